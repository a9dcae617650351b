"""Nodes that could not be asked at all."""

from datetime import datetime

from aiops.layers.core.errors import AiopsError
from aiops.layers.l0_nodes.node import Node

from .finding import Finding

CHECK = "node.reachable"


def unreached(node: Node, error: AiopsError, at: datetime, last: datetime | None) -> Finding:
    """What is found of a node that could not be asked."""
    message = error.message.removeprefix(f"{node.name}: ").removeprefix(f"{node.name} ")
    return Finding(node.name, CHECK, "unknown", message, since=last or at, evidence={"code": error.code})

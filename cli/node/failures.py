"""Nodes that could not be asked, on the screen: what is the same for several of them is told once."""

from collections.abc import Mapping
from typing import Any

from aiops.cli.screen import Screen
from aiops.layers.core.errors import AiopsError

_HINTS = 6
_NODE = "\0"


def document(screen: Screen, node: str, error: AiopsError) -> dict[str, Any]:
    """A node's error as JSON-ready values."""
    return {
        "node": node,
        "code": error.code,
        "message": error.message,
        "hint": screen.pasteable("; ".join(error.hints)),
    }


def tell(screen: Screen, errors: Mapping[str, AiopsError]) -> None:
    """Show every error on stderr, and what to do about them."""
    if screen.json or not errors:
        return
    from aiops.layers.l0_nodes.nodeset import fold

    messages: dict[str, list[str]] = {}
    hints: dict[str, list[str]] = {}
    for node, error in errors.items():
        messages.setdefault(error.message.replace(node, _NODE), []).append(node)
        for hint in error.hints:
            hints.setdefault(hint.replace(node, _NODE), []).append(node)
    told = []
    for message, nodes in messages.items():
        first = errors[nodes[0]]
        told.append(type(first)(message.replace(_NODE, fold(nodes)), code=first.code, problems=first.problems))
    for error in told:
        screen.error(error)
    if hints:
        screen.note("")
    for hint, nodes in list(hints.items())[:_HINTS]:
        screen.hint(hint.replace(_NODE, fold(nodes)))

"""Reach: what is found of a node that could not be asked at all. Pure.

It is unknown, for nobody has looked at it, and nothing is done about it by itself: a node that does not answer us may
well be at work. The words are those of the error, less the node's name; who has to act follows from its code.
"""

import re
from collections.abc import Mapping
from datetime import datetime

from aiops.layers.core.errors import AiopsError
from aiops.layers.l0_nodes.node import Node

from .finding import Finding
from .verdict import Owner

CHECK = "node.reachable"
TITLE = "it can be asked"
JUDGES = (
    "Unknown when a node could not be asked: it does not answer, its host key is not the one that is known, it does "
    "not let us in, sudo is refused, or there is no Python to ask with."
)
REMEDY = (
    "The evidence has the commands for what stood in the way. `aiops node exec --on NODE -- true` tries once more; a "
    "host that was installed anew: `aiops node trust NODE --replace`."
)
SOURCE = "aiops' own: what was not looked at is not well"

OWNERS: Mapping[str, Owner] = {
    # This machine, its inventory and its keys.
    "become.disabled": "controller",
    "become.method": "controller",
    "become.no_password": "controller",
    "become.password": "controller",
    "local.start": "controller",
    "ssh.channels": "controller",
    "ssh.closed": "controller",
    "ssh.config": "controller",
    "ssh.host_key_broken": "controller",
    "ssh.host_key_changed": "controller",
    "ssh.host_key_unknown": "controller",
    "ssh.missing": "controller",
    "ssh.name": "controller",
    "ssh.proxy": "controller",
    "ssh.unsupported": "controller",
    # The node itself.
    "become.missing": "node",
    "become.refused": "node",
    "command.too_much_output": "node",
    "probe.failed": "node",
    "probe.garbled": "node",
    "probe.no_python": "node",
    "probe.silent": "node",
    "probe.timeout": "node",
    "ssh.auth": "node",
    "ssh.connect": "node",
    "ssh.handshake": "node",
    "ssh.host_key": "node",
    "ssh.host_key_revoked": "node",
    "ssh.host_key_weak": "node",
    "ssh.jump": "node",
    "ssh.lost": "node",
    "ssh.no_command": "node",
    "ssh.silent": "node",
}
"""Who has to act, by the code of what stood in the way; the node where a code is not among them."""

_NOTHING_SHOWN = "with no key at all"
_UNITS = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))
_TIMED_OUT = ": timed out"


def unreached(node: Node, error: AiopsError, at: datetime, last: datetime | None) -> Finding:
    """What is found of a node that could not be asked.

    Args:
        node: The node.
        error: What stood in the way.
        at: When it was to be asked.
        last: When it last answered; None where that is not known.
    """
    words, way = _less_its_name(node.name, error.message)
    seen = "" if last is None else f" (last seen {_ago(last, at)})"
    return Finding(
        node.name,
        CHECK,
        "unknown",
        f"{words}{seen}",
        evidence={
            "code": error.code,
            "hints": list(error.hints),
            "last_seen": None if last is None else last.isoformat().replace("+00:00", "Z"),
        },
        action="none",
        owner=_owner(error, way),
        since=last or at,
    )


def _owner(error: AiopsError, way: str) -> Owner:
    if way:
        return "fabric"
    if _NOTHING_SHOWN in error.message:  # a key that cron cannot unlock is no fault of the node
        return "controller"
    return OWNERS.get(error.code, "node")


def _less_its_name(node: str, message: str) -> tuple[str, str]:
    """What was said without the name that a finding carries anyway, and the jump host that it was said of."""
    found = re.match(rf"{re.escape(node)}(?:, by way of (\S+?))?(: | (?=did not answer ))(.*)", message, re.DOTALL)
    if found is None:
        return message, ""
    way, _, words = found.groups()
    words = words.removesuffix(_TIMED_OUT) if words.startswith("did not answer ") else words
    return (f"the jump host {way}: {words}", way) if way else (words, "")


def _ago(at: datetime, now: datetime) -> str:
    """`12s ago`, `4m ago`, `5d ago`; a clock that was set back makes nothing later than now."""
    seconds = max(0, int((now - at).total_seconds()))
    unit, size = next(((unit, size) for unit, size in _UNITS if seconds >= size), ("s", 1))
    return f"{seconds // size}{unit} ago"

"""The words of a judgement: how bad, what to do, whose it is."""

from collections.abc import Iterable
from typing import Literal, get_args

Verdict = Literal["ok", "warn", "critical", "unknown"]
"""`unknown`: it could not be read, which is never taken for well."""

Severity = Literal["warn", "critical"]
"""How bad something is that was seen."""

Level = Literal["quick", "standard", "deep"]
"""How much is asked: `quick` within 2 s of a node, `deep` only of nodes that are out of service."""

Action = Literal["none", "restart_app", "reset_device", "restart_service", "reboot", "service"]
"""The ladder of what to do, the least first. `service`: somebody has to go there, or the part is sent back."""

Owner = Literal["node", "fabric", "user", "controller"]
"""Who has to act: on the node, on the network between nodes, whoever's job it was, or on this controller."""

LEVELS: tuple[Level, ...] = get_args(Level)
ACTIONS: tuple[Action, ...] = get_args(Action)
_WORST_FIRST: tuple[Verdict, ...] = ("critical", "unknown", "warn", "ok")


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The one that counts of several of one node: critical, then unknown, then warn; ok where there is none."""
    seen = set(verdicts)
    return next((one for one in _WORST_FIRST if one in seen), "ok")


def includes(level: Level, other: Level) -> bool:
    """Whether an examination at `level` has the checks of `other` in it."""
    return LEVELS.index(other) <= LEVELS.index(level)

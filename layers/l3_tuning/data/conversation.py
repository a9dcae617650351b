"""Conversations: which roles may follow each other. Pure."""

from collections.abc import Sequence

_AFTER = {
    "": ("system", "user"),
    "system": ("user",),
    "user": ("assistant",),
    "assistant": ("user", "tool"),
    "tool": ("tool", "assistant"),
}
"""By role who may speak next; the empty one is before the first."""


def misplaced(roles: Sequence[str], *, before: str = "", last: Sequence[str] = ("assistant",)) -> str | None:
    """What is wrong with the order of roles; None for nothing.

    Args:
        roles: Of all turns, in order.
        before: The role of the turn before the first, where these are not all turns.
        last: Who may speak last.
    """
    previous = before
    for number, role in enumerate(roles, 1):
        if role not in _AFTER[previous]:
            return _words(number, role, previous)
        previous = role
    if previous not in last:
        return f"it ends with {previous or 'nothing'}, not with {' or '.join(last)}"
    return None


def _words(number: int, role: str, previous: str) -> str:
    if not previous:
        return f"it begins with {role}"
    if role == previous:
        return f"turn {number} is {role}, as the one before"
    if role == "system":
        return f"turn {number} is system, which only begins a conversation"
    return f"turn {number} is {role}, after {previous}"

"""What a deploy decides from what is known, without asking anybody."""

from collections.abc import Iterable, Sequence

from .change import Change
from .phase import Phase

_ON_THE_WAY = ("activating", "reloading", "deactivating")


def wants_reboot(changes: Iterable[Change]) -> bool:
    """Whether a reboot is among what differs."""
    return any(change.key == "reboot" for change in changes)


def reboot_reason(changes: Iterable[Change]) -> str:
    """Why a reboot is among what differs; empty where none is."""
    return next((change.expected for change in changes if change.key == "reboot"), "")


def on_the_way(changes: Iterable[Change], *, rebooted: bool) -> bool:
    """Whether waiting may help: all that is left are services between two states.

    Args:
        changes: What still differs on a node.
        rebooted: Whether it was to reboot in this phase; otherwise a reboot that is due waits for a later one.
    """
    left = [change for change in changes if rebooted or change.key != "reboot"]
    return bool(left) and all(
        change.key.startswith("service:") and change.found.endswith(_ON_THE_WAY) for change in left
    )


def needed_roles(phase: Phase, phases: Iterable[Phase]) -> tuple[str, ...]:
    """The roles that a phase and those it comes after need: without the head's repository there is no base."""
    chosen = {one.name: one for one in phases}
    waiting, seen = [phase.name], [phase]
    while waiting:
        for name in chosen[waiting.pop()].after:
            if name in chosen and chosen[name] not in seen:
                seen.append(chosen[name])
                waiting.append(name)
    return tuple(dict.fromkeys(role for one in seen for role in one.needs))


def shortfall(left: Sequence[Change]) -> str:
    """What a node still lacks, in one line; empty when nothing."""
    if not left:
        return ""
    more = len(left) - 1
    return f"{left[0]}{f' (and {more} more)' if more else ''}"

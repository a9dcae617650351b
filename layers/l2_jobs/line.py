"""Lines: one open channel to each node that runs something of ours, for all attempts on it.

At its end an agent (`remote/agent.py`) starts units, passes the head's beats to launchers and tells what they say.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from .attempt import Key
from .report import Report


class Lines(Protocol):
    """The lines of one controller; safe to use from several threads. None of these calls waits for a node."""

    def start(self, key: Key, node: str, spec: Mapping[str, Any]) -> None:
        """Have the launcher of a rank group run on `node` as a unit of systemd, once, and follow it.

        Args:
            key: The attempt.
            node: Its node.
            spec: What the launcher is given, see docs/decisions/jobs.md.
        """
        ...

    def follow(self, key: Key, node: str, owner: int, *, awaited: bool = False) -> None:
        """Follow a launcher that somebody else starts or has started, whose user is `owner`.

        Args:
            key: The attempt.
            node: Its node.
            owner: A uid.
            awaited: Whether it may come only later: until it has spoken, or is to be killed, nothing is told of it.
        """
        ...

    def stop(self, key: Key, node: str, seconds: float) -> None:
        """Have a launcher ask its processes to save and leave, and end what is left after `seconds`."""
        ...

    def kill(self, key: Key, node: str) -> None:
        """End a rank group at once; `Ended` comes, also when nothing of it runs any more."""
        ...

    def dump(self, key: Key, node: str) -> None:
        """Have the stacks of a rank group's processes written to their logs."""
        ...

    def release(self, key: Key, node: str) -> None:
        """Forget a rank group that has ended, there too."""
        ...

    def reports(self, keys: Sequence[Key] | None = None) -> list[Report]:
        """What has come since the last call, of those attempts, or all that nobody else has taken; never waits."""
        ...

    def wait(self, seconds: float) -> None:
        """Wait until a report has come, or `seconds` have passed."""
        ...

    def close(self) -> None:
        """Let go of all nodes; what runs there goes on."""
        ...

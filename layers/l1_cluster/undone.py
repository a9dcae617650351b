"""What a node undoes in a reset, as it tells it, and in words."""

from dataclasses import dataclass
from typing import Any

_NAMED = 3
_FOLDER = "folder of "
"""How a node begins to tell of a folder that has something in it; then comes how much."""

_PAST = {
    "stop": "stopped and disabled",
    "delete": "deleted",
    "restore": "put back",
    "purge": "purged",
    "install": "installed again",
    "hold": "held again",
    "unhold": "released",
    "remove": "removed",
    "alter": "given back its numbers",
    "set": "set back",
    "clean": "cleaned",
    "create": "made again",
}
_NOUNS = {"file": "files", "service": "services", "sysctl": "kernel settings", "user": "users", "group": "groups"}


@dataclass(frozen=True, slots=True)
class Undo:
    """One thing that is undone.

    Attributes:
        key: The resource's, as in the deploy that changed it; `packages` for all that are purged at once.
        action: What is done about it.
        found: How it is, in a few words.
        expected: How it will be.
    """

    key: str
    action: str
    found: str
    expected: str

    @property
    def words(self) -> str:
        """For the screen: `delete /etc/slurm/slurm.conf`, `purge 43 packages`, `delete /srv/x (1.2 GB in 9 files)`."""
        if self.heavy:
            return f"{self.action} {self.key.partition(':')[2]} ({self.found.removeprefix(_FOLDER)})"
        return f"{self.action} {self.found.partition(':')[0] if self.key == 'packages' else self.key.partition(':')[2]}"

    @property
    def heavy(self) -> bool:
        """Whether a folder goes with all that is in it: that is always told by its name."""
        return self.found.startswith(_FOLDER)

    @property
    def done(self) -> str:
        """That it was: `file:/etc/hosts was as aiops made it, put back`."""
        return f"{self.key} was {self.found}, {_PAST.get(self.action, f'{self.action}ed')}"


@dataclass(frozen=True, slots=True)
class Undone:
    """What one node has undone, or would.

    Attributes:
        known: Whether aiops ever changed anything there, by the node's own memory.
        kept: What stays and why.
        failed: What could not be undone and why.
        reboot: Why it was rebooted for the deploy, and is to be again; None where it was not.
    """

    known: bool
    done: tuple[Undo, ...] = ()
    kept: tuple[tuple[str, str], ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    reboot: str | None = None

    @property
    def lines(self) -> tuple[str, ...]:
        """All of it in one line, and what stays in one each; few things are named, many are counted, but folders."""
        if not self.known:
            return ("no deploy has changed it", *(f"keep {what}: {why}" for what, why in self.kept))
        groups: dict[tuple[str, str], list[Undo]] = {}
        for one in self.done:
            if not one.heavy:
                groups.setdefault((one.action, one.key.partition(":")[0]), []).append(one)
        words = []
        for (action, kind), members in groups.items():
            if len(members) <= _NAMED or kind not in _NOUNS:
                words += [one.words for one in members]
            else:
                words.append(f"{action} {len(members)} {_NOUNS[kind]}")
        words += [one.words for one in self.done if one.heavy]
        kept = [f"keep {what}: {why}" for what, why in self.kept]
        return (", ".join(words) or "nothing is left to undo", *kept)

    def document(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "known": self.known,
            "undone": [{name: getattr(one, name) for name in one.__slots__} for one in self.done],
            "kept": [{"what": what, "why": why} for what, why in self.kept],
            "failed": [{"key": key, "reason": reason} for key, reason in self.failed],
            "reboot": self.reboot,
        }

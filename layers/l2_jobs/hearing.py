"""Hearing: when the head last heard a node, and since when it does not."""

from dataclasses import dataclass, replace

from .report import Heard, Silent


@dataclass(frozen=True, slots=True)
class Hearing:
    """What is known of the line to one node.

    Attributes:
        heard: When it last answered; None if it never did.
        since: Since when it answers without a break.
        back: When it last came back after it had not answered; None where it never did.
        boot_id: What it said then.
        silent: Since when it does not answer, and no beat goes to it; None while it does, or was never asked.
        reason: Why it does not.
    """

    heard: float | None = None
    since: float | None = None
    boot_id: str = ""
    silent: float | None = None
    reason: str = ""
    back: float | None = None

    @property
    def up(self) -> bool:
        """Whether it answers."""
        return self.silent is None and self.heard is not None

    def after(self, report: Heard | Silent) -> "Hearing":
        """What is known after `report`."""
        if isinstance(report, Heard):
            since = report.at if not self.up or self.since is None else self.since
            back = report.at if self.silent is not None and self.heard is not None else self.back
            return Hearing(report.at, since, report.boot_id, back=back)
        if self.silent is not None:
            return replace(self, reason=report.reason)
        return replace(self, silent=report.at, since=None, reason=report.reason)

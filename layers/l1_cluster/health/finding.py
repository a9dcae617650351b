"""What an examination finds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from .verdict import Action, Owner, Verdict

Key = tuple[str, str, str]
"""Node, check and what on the node it is about: by these a finding is known again."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be, or that could not be read.

    Attributes:
        check: The check's id.
        verdict: `warn`, `critical` or `unknown`.
        message: What was found, with value and limit.
        about: The thing on the node; empty: the node itself.
        evidence: What was read.
        action: What is to be done.
        owner: Who has to act.
        standing: `counts`; `once`: it was seen too few times yet; `starting`: the node has only just booted;
            `observed`: the site only wants to see what this check says; `recovering`: it is no longer seen, and was so
            a moment ago. All but `counts` change nothing but the screen.
        since: When it was first seen in a row; None where nothing is remembered.
        plugin: Whose check it is.
    """

    node: str
    check: str
    verdict: Verdict
    message: str
    about: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    action: Action = "none"
    owner: Owner = "node"
    standing: Literal["counts", "once", "starting", "observed", "recovering"] = "counts"
    since: datetime | None = None
    plugin: str = ""

    @property
    def key(self) -> Key:
        """By what it is known again."""
        return (self.node, self.check, self.about)

    @property
    def counts(self) -> bool:
        """Whether it makes its node's verdict."""
        return self.standing == "counts"

    @property
    def words(self) -> str:
        """`GPU 3: 86 °C, limit 85 °C`."""
        return f"{self.about}: {self.message}" if self.about else self.message

    def document(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "node": self.node,
            "check": self.check,
            "verdict": self.verdict,
            "about": self.about or None,
            "message": self.message,
            "evidence": dict(self.evidence),
            "action": self.action,
            "owner": self.owner,
            "standing": self.standing,
            "since": None if self.since is None else self.since.isoformat().replace("+00:00", "Z"),
        }

"""Strand: one rank group on a line, and what is known of it there."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .attempt import Key
from .report import Ended, NotStarted, Report, Signed, Started, Stepped
from .text import plain
from .wire import ended_of, report_of, whole

Reader = Callable[[str], tuple[str, bool] | None]
"""Told each line of a log, it says the class of the fault that the line is a sign of, and whether it is one at once."""

_RANK = re.compile(r"\[rank([0-9]{1,6})\]: ?")
_LONGEST = 65_536
_RANKS = 4096
"""Of one group; a launcher listens to no more."""


@dataclass(slots=True)
class Strand:
    """A rank group, as a line knows it.

    Attributes:
        owner: The uid of the job's user.
        spec: What its launcher is given, where it is to be started; None where it is only followed.
        reader: Of its output.
        after: The last event that was heard.
        log: The end of the output that was heard.
        stop: The seconds it was given to leave; None while it was not asked.
        killed: Whether it was to be ended at once.
        awaited: Whether its launcher may come only later.
        over: Its last word, once that was told.
        dying: Its launcher's last word. Its user may have made it up, so it counts once nothing of its unit is left,
            which root sees.
    """

    key: Key
    node: str
    owner: int
    spec: Mapping[str, Any] | None
    reader: Reader
    after: int = 0
    log: int = 0
    stop: float | None = None
    killed: bool = False
    awaited: bool = False
    over: Report | None = None
    dying: Ended | NotStarted | None = None
    _begun: bool = False
    _line: bytes = field(default=b"")
    _steps: dict[int, tuple[int, str]] = field(default_factory=dict)
    _tokens: dict[int, float] = field(default_factory=dict)

    def orders(self) -> list[dict[str, Any]]:
        """What an agent that knows nothing of it is told."""
        key = str(self.key)
        known = {"key": key, "after": self.after, "log": self.log}
        said: list[dict[str, Any]] = []
        if self.over is None and self.spec is not None and not self.killed:
            said.append({"do": "start", "spec": self.spec, **known})
        elif self.over is None:
            said.append({"do": "follow", "uid": self.owner, **known, **({"awaited": True} if self.awaited else {})})
        if self.killed and self.over is None:
            said.append({"do": "kill", "key": key, "uid": self.owner})
        elif self.stop is not None and self.over is None:
            said.append({"do": "stop", "key": key, "seconds": self.stop})
        return said

    def heard(self, at: float, event: Mapping[str, Any]) -> Report | None:
        """A launcher's event; None for one that was heard before, or says nothing, or is to wait for `gone`."""
        number = event.get("n")
        if number is not None:
            if not whole(number):
                return None
            if number <= self.after:
                return None
            self.after = number
        if event.get("kind") == "ending":
            self.dying = ended_of(self.key, self.node, at, event)
            return None
        report = report_of(self.key, self.node, at, event)
        if isinstance(report, Stepped):
            word = (report.step, report.phase)
            many = report.rank not in self._steps and len(self._steps) >= _RANKS
            if many or self._steps.get(report.rank) == word:
                return None  # told again at the end, or to whoever begins to follow
            self._steps[report.rank] = word
            report = self._since(report)
        self._begun = self._begun or isinstance(report, Started)
        if isinstance(report, Ended | NotStarted):
            if not (self._begun and isinstance(report, NotStarted)):
                self.dying = report
            return None
        return report

    def _since(self, report: Stepped) -> Stepped:
        """A launcher counts a rank's tokens from its beginning; those since its last word, where that was heard."""
        if report.tokens is None:
            return report
        before = self._tokens.get(report.rank)
        self._tokens[report.rank] = report.tokens
        return replace(report, tokens=None if before is None else max(0.0, report.tokens - before))

    def gone(self, at: float) -> Report | None:
        """Nothing of its unit is left; None where its end was told already."""
        if self.over is not None and not self.killed:
            return None
        report: Ended | NotStarted
        if isinstance(self.over, Ended):
            report = self.over
        elif self.dying is not None:
            report = replace(self.dying, at=at)
        elif self.killed:
            report = Ended(self.key, self.node, at, "stopped", reason="it was ended at once, as asked")
        else:
            report = Ended(self.key, self.node, at, "lost", reason="its launcher is gone and has left no word")
        self.over = report
        self.killed = False
        return report

    def refused(self, at: float, reason: str, causer: str) -> Report | None:
        """It could not be started."""
        if self.over is not None:
            return None
        self.over = NotStarted(self.key, self.node, at, reason, causer)
        return self.over

    def signs(self, at: float, offset: int, data: bytes) -> list[Signed]:
        """What the fault catalogue knows of a piece of output that was not heard before."""
        new = data[max(0, self.log - offset) :]
        self.log = max(self.log, offset + len(data))
        *lines, self._line = (self._line + new).split(b"\n")
        if len(self._line) > _LONGEST:
            lines.append(self._line)
            self._line = b""
        found = []
        for line in lines:
            text = line.decode("utf-8", "replace")
            sign = self.reader(text)
            if sign is not None:
                rank = _RANK.match(text)
                number = int(rank.group(1)) if rank is not None else None
                found.append(Signed(self.key, self.node, at, sign[0], plain(text, 2000), sign[1], number))
        return found

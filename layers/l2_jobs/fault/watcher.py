"""Signs of faults while a job still runs: each line is looked at once, as it comes."""

from collections.abc import Sequence
from dataclasses import dataclass

from .diagnosis import Diagnosis, decide
from .fault import Evidence
from .index import Index
from .reader import Reader
from .signature import Signature


@dataclass(frozen=True, slots=True)
class Sign:
    """A sign that was seen for the first time, and counts.

    Attributes:
        signature: The identity of the sign.
        kind: The class that it is a sign of.
        immediate: It is a fault now. Otherwise it means nothing before a process has ended: programs survive many an
            error that they print.
        evidence: The line.
    """

    signature: str
    kind: str
    immediate: bool
    evidence: Evidence


class Watcher:
    """One log as it grows. Cheap for each line; its memory does not grow with the log."""

    def __init__(self, signatures: Sequence[Signature] | None = None, index: Index | None = None) -> None:
        """Watch with a catalogue, or with an index of one that several watchers share."""
        self._reader = Reader(signatures, index)
        self._number = 0
        self._told: set[str] = set()

    def feed(self, line: str) -> Sign | None:
        """Take the next line; gives the strongest sign in it that was not given before, if any."""
        self._number += 1
        if self._reader.skips(self._number, line):
            return None
        seen = self._reader.seen
        found = [
            one for one in self._reader.feed(self._number, line) if one.counts and seen[one.id].count >= one.at_least
        ]
        best = max(found, key=lambda one: (one.live, one.level), default=None)
        new = best is not None and best.id not in self._told
        self._told.update(one.id for one in found)
        return self._sign(best) if best is not None and new else None

    def _sign(self, best: Signature) -> Sign:
        seen = self._reader.seen[best.id]
        line_number, text = seen.texts[-1]
        return Sign(best.id, best.kind, best.live, Evidence("log", text, rank=seen.rank, line=line_number))

    def diagnosis(self) -> Diagnosis:
        """What the log says so far; asked when a process has ended."""
        return decide(self._reader)

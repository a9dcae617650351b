"""The level `full` of a check: each row as the model reads it. While one batch is tokenised, the next is rendered."""

import gc
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, NamedTuple

from .fault import Flaw
from .findings import Findings
from .form import read_row
from .leak import Evaluation
from .lesson import Lesson, Reader
from .personal import personal, suspects
from .recognition import Known, Recognise, row_of
from .row import Form, Place, Row
from .source import SourceFile
from .structure import contents_of, flaws_of, identity, texts

_BATCH: Final = 512
"""Rows that are tokenised together."""

_COLLECTED: Final = 100_000
"""New objects between two searches for circles of dead ones."""

_SWITCHED: Final = 0.0002
"""Seconds after which what renders makes way for what tokenises. That waits so long before and behind each batch of
some ten milliseconds, and Python's own 5 ms would let processors idle meanwhile."""

_HASH_BITS: Final = 64
_HASH: Final = (1 << _HASH_BITS) - 1

_SOUND: Final = "encoding."
"""Flaws after which a row can still be rendered; after others it would be refused once more for the same."""

_NOTHING: Final = Row("text")
"""Of what is no row."""

_Measured = tuple[list[int], Mapping[int, tuple[Flaw, ...]]]


class _Entry(NamedTuple):
    """A row that is read.

    Attributes:
        line: Where it stands.
        row: What it is.
        contents: Its texts.
        flaws: What is wrong so far.
        sound: Whether it can be rendered.
    """

    line: int
    row: Row | Known
    contents: Sequence[str]
    flaws: Sequence[Flaw]
    sound: bool


class _Suspects(NamedTuple):
    """Numbers of the entries of a batch that are looked at one by one.

    Attributes:
        personal: May have personal data.
        leaked: Have leaked, each with the row of the evaluation.
        typed: Have a special token.
    """

    personal: set[int]
    leaked: Mapping[int, Place]
    typed: set[int]


@dataclass(slots=True)
class _Batch:
    """Rows that are tokenised together.

    Attributes:
        lessons: What the model reads.
        lines: Of each lesson.
        faulty: Lines that failed before.
    """

    lessons: list[Lesson] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    faulty: set[int] = field(default_factory=set)


class LessonCheck:
    """Checks files closely."""

    def __init__(
        self,
        findings: Findings,
        recognise: Recognise,
        form: Form | None,
        reader: Reader,
        evaluation: Evaluation | None,
    ) -> None:
        self._findings = findings
        self._recognise = recognise
        self._form = form
        self._reader = reader
        self._evaluation = evaluation
        self._prompts: dict[int, int] = {}  # by what is asked, where that was first, above what was answered

    def file(self, file: SourceFile) -> None:
        """Check one file."""
        collected, switched = gc.get_threshold(), sys.getswitchinterval()
        gc.set_threshold(
            _COLLECTED
        )  # what is kept of a row is in no circle: looking for some costs a tenth of the time
        sys.setswitchinterval(_SWITCHED)
        try:
            self._pipelined(file)
        finally:
            sys.setswitchinterval(switched)
            gc.set_threshold(*collected)

    def _pipelined(self, file: SourceFile) -> None:
        with ThreadPoolExecutor(1, "tokenise") as pool:
            waiting: tuple[_Batch, Future[_Measured]] | None = None
            for batch in self._batches(file):
                future = pool.submit(self._reader.measured, batch.lessons)
                if waiting is not None:
                    self._told(*waiting)
                waiting = (batch, future)
            if waiting is not None:
                self._told(*waiting)

    def _told(self, batch: _Batch, future: "Future[_Measured]") -> None:
        counts, flaws = future.result()
        self._findings.report.lengths.update(counts)
        for number in sorted(flaws):
            line = batch.lines[number]
            self._findings.add(line, flaws[number], counted=line in batch.faulty)

    def _batches(self, file: SourceFile) -> Iterator[_Batch]:
        rows = self._findings.rows(file)
        while taken := list(islice(rows, _BATCH)):
            yield self._batch([self._entry(*one) for one in taken])

    def _entry(self, line: int, value: Any, careful: bool) -> _Entry:
        """What a row is, and what is wrong with it by itself or for another before it."""
        flaws: tuple[Flaw, ...] = ()
        sound = True
        row: Row | Known
        contents: Sequence[str]
        known = self._recognise(value, careful)
        if known is not None:
            row, contents, said = known, known.contents, known.identity
        else:
            read = read_row(value, self._form)
            if not isinstance(read, Row):
                return _Entry(line, _NOTHING, (), read, sound=False)
            flaws = flaws_of(read)
            sound = all(flaw.kind.startswith(_SOUND) for flaw in flaws)
            row, contents, said = read, contents_of(read), identity(read)
        again = self._findings.duplicate(line, said)
        if again:
            flaws = (*flaws, *again)
        elif sound:
            flaws = (*flaws, *self._conflict(row, line))
        return _Entry(line, row, contents, flaws, sound)

    def _suspects(self, entries: Sequence[_Entry]) -> _Suspects:
        rows = ["\n\n".join(entry.contents) for entry in entries]
        leaked: Mapping[int, Place] = {}
        if self._evaluation is not None:
            leaked = self._evaluation.leaks([entry.contents for entry in entries])
        return _Suspects(suspects(rows), leaked, self._reader.typed(rows))

    def _batch(self, entries: Sequence[_Entry]) -> _Batch:
        """What is wrong with rows, but for their tokens: those are counted of what comes of it."""
        batch = _Batch()
        suspected = self._suspects(entries)
        for number, (line, row, contents, before, sound) in enumerate(entries):
            flaws = [*before]
            if number in suspected.personal:
                flaws += _personal(_whole(row))
            if number in suspected.leaked:
                flaws.append(Flaw("leak.evaluation", f"asks what {suspected.leaked[number]} asks"))
            if sound:
                if isinstance(row, Known):
                    lesson = self._reader.known(row, typed=number in suspected.typed)
                else:
                    lesson = self._reader.lesson(row, contents)
                flaws += lesson.flaws
                if lesson.texts:
                    batch.lessons.append(lesson)
                    batch.lines.append(line)
            if flaws and self._findings.add(line, flaws):
                batch.faulty.add(line)
        return batch

    def _conflict(self, row: Row | Known, line: int) -> tuple[Flaw, ...]:
        """Another answer to a prompt that came before; preferences are several pairs of one prompt by their nature."""
        if row.form not in ("chat", "prompt"):
            return ()
        if isinstance(row, Known):
            _, _, roles, contents = row
            asked, said = hash((roles[:-1], contents[:-1])), hash(contents[-1])
        else:
            turns = (*row.turns, *row.answer)
            asked = hash((tuple(turn.role for turn in turns[:-1]), tuple(turn.content for turn in turns[:-1])))
            said = hash(turns[-1].content)
        here = (self._findings.base | line) << _HASH_BITS | (said & _HASH)
        first = self._prompts.setdefault(asked, here)
        if first is here or not (first ^ here) & _HASH:
            return ()
        place = self._findings.place(first >> _HASH_BITS)
        return (Flaw("duplicate.conflicting", f"has the prompt of {place} and another answer"),)


def _whole(row: Row | Known) -> Row:
    return row_of(row) if isinstance(row, Known) else row


def _personal(row: Row) -> Iterator[Flaw]:
    """Personal data by where it stands; it is never told itself."""
    for where, text in texts(row):
        for one in personal(text):
            yield Flaw(f"personal.{one.kind}", f"{where}: characters {one.start + 1} to {one.end}")

"""The level `full` of a check: each row as the model reads it. While one batch is tokenised, the next is rendered."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from .fault import Flaw
from .findings import Findings
from .form import read_row
from .leak import Evaluation
from .lesson import Lesson, Reader
from .personal import personal
from .recognition import Known, Recognise, row_of
from .row import Form, Row
from .source import SourceFile
from .structure import flaws_of, identity, texts

_BATCH: Final = 512
"""Rows that are tokenised together."""

_SOUND: Final = "encoding."
"""Flaws after which a row can still be rendered; after others it would be refused once more for the same."""

_Measured = list[tuple[int, tuple[Flaw, ...]]]


@dataclass(slots=True)
class _Batch:
    """Rows that are tokenised together.

    Attributes:
        lessons: Each with its line.
        faulty: Lines that failed before.
    """

    lessons: list[tuple[int, Lesson]] = field(default_factory=list)
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
        self._prompts: dict[int, tuple[int, int]] = {}

    def file(self, file: SourceFile) -> None:
        """Check one file."""
        with ThreadPoolExecutor(1, "tokenise") as pool:
            waiting: tuple[_Batch, Future[_Measured]] | None = None
            for batch in self._batches(file):
                future = pool.submit(self._reader.measured, [lesson for _, lesson in batch.lessons])
                if waiting is not None:
                    self._told(*waiting)
                waiting = (batch, future)
            if waiting is not None:
                self._told(*waiting)

    def _told(self, batch: _Batch, future: "Future[_Measured]") -> None:
        report = self._findings.report
        for (line, _), (tokens, flaws) in zip(batch.lessons, future.result(), strict=True):
            report.lengths[tokens] += 1
            if flaws:
                self._findings.add(line, flaws, counted=line in batch.faulty)

    def _batches(self, file: SourceFile) -> Iterator[_Batch]:
        rows = self._findings.rows(file)
        while taken := list(islice(rows, _BATCH)):
            batch = _Batch()
            for line, value, careful in taken:
                flaws = self._row(line, value, batch, careful=careful)
                if flaws and self._findings.add(line, flaws):
                    batch.faulty.add(line)
            yield batch

    def _row(self, line: int, value: Any, batch: _Batch, *, careful: bool) -> list[Flaw]:
        """What is wrong with a row, but for its tokens: those the batch tells."""
        row: Row | Known | None = self._recognise(value, careful)
        flaws: list[Flaw] = []
        sound = True
        if isinstance(row, Known):
            contents: Sequence[str] = row.contents
            said = row.identity
        else:
            read = read_row(value, self._form)
            if not isinstance(read, Row):
                return list(read)
            row, contents, said = read, _contents(read), identity(read)
            flaws += flaws_of(read)
            sound = all(flaw.kind.startswith(_SOUND) for flaw in flaws)
        again = self._findings.duplicate(line, said)
        flaws += again or (self._conflict(row, line) if sound else ())
        if personal("\n\n".join(contents)):
            flaws += _personal(_whole(row))
        leaked = self._evaluation.leaked(contents) if self._evaluation is not None else None
        if leaked is not None:
            flaws.append(Flaw("leak.evaluation", f"asks what {leaked} asks"))
        if sound:
            lesson = self._reader.known(row) if isinstance(row, Known) else self._reader.lesson(row, contents)
            flaws += lesson.flaws
            if lesson.texts:
                batch.lessons.append((line, lesson))
        return flaws

    def _conflict(self, row: Row | Known, line: int) -> Iterator[Flaw]:
        """Another answer to a prompt that came before; preferences are several pairs of one prompt by their nature."""
        if row.form not in ("chat", "prompt"):
            return
        if isinstance(row, Known):
            asked, said = hash((row.roles[:-1], row.contents[:-1])), hash(row.contents[-1])
        else:
            turns = (*row.turns, *row.answer)
            asked = hash((tuple(turn.role for turn in turns[:-1]), tuple(turn.content for turn in turns[:-1])))
            said = hash(turns[-1].content)
        here = self._findings.base | line
        first, before = self._prompts.setdefault(asked, (here, said))
        if first != here and before != said:
            place = self._findings.place(first)
            yield Flaw("duplicate.conflicting", f"has the prompt of {place} and another answer")


def _whole(row: Row | Known) -> Row:
    return row_of(row) if isinstance(row, Known) else row


def _contents(row: Row) -> list[str]:
    """All texts of a row."""
    if row.form == "text":
        return [row.text]
    turns = (*row.turns, *row.answer, *row.rejected)
    if any(turn.calls for turn in turns):
        return [text for _, text in texts(row)]
    return [turn.content for turn in turns]


def _personal(row: Row) -> Iterator[Flaw]:
    """Personal data by where it stands; it is never told itself."""
    for where, text in texts(row):
        for one in personal(text):
            yield Flaw(f"personal.{one.kind}", f"{where}: characters {one.start + 1} to {one.end}")

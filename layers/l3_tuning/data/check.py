"""Check: files to a report, at one of two levels. What is found is a fault with its place, never an exception."""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from aiops.layers.core.errors import InputError

from .encoding import strange_bytes
from .fault import Level
from .findings import Findings, Told
from .form import read_row
from .leak import Evaluation
from .lesson import Reader
from .lesson_check import LessonCheck
from .reading import form_found, parsed
from .recognition import Recognise, recogniser
from .report import Report
from .row import Form, Row
from .source import SourceFile
from .stream import BrokenError, Lines, line_blocks
from .structure import flaws_of, identity


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be checked.

    Attributes:
        form: What the rows are; None to find out.
        reader: The model's tokenizer and template; with one the level is `full`, without it `structure`.
        evaluation: What must not be in it; only looked for with a reader.
        most: Faults of each kind that are kept.
        allowed: Kinds that do not fail it.
    """

    form: Form | None = None
    reader: Reader | None = None
    evaluation: Evaluation | None = None
    most: int = 5
    allowed: frozenset[str] = frozenset()

    @property
    def level(self) -> Level:
        """Which level this asks for."""
        return "structure" if self.reader is None else "full"


def check(files: Sequence[SourceFile], wish: Wish, told: Told = lambda _rows, _bytes: None) -> Report:
    """Read all of `files` and say what is wrong.

    Args:
        files: In this order; a duplicate is one of what came before.
        wish: How.
        told: For progress, about once a block.

    Raises:
        InputError: The rows are conversations, and the model has no template.
    """
    form = wish.form or form_found(files)
    if form == "chat" and wish.reader is not None and wish.reader.template is None:
        raise InputError(
            f"{wish.reader.tokenizer.folder} has no chat template, and the rows are conversations",
            code="template.none",
            hints=["name one: `--template FILE`"],
        )
    report = Report(wish.level, wish.most, form, allowed=wish.allowed)
    findings = Findings(files, report, told)
    recognise: Recognise = recogniser(form) if form else lambda _record, _careful: None
    if wish.reader is not None:
        report.tokenizer = wish.reader.tokenizer.digest
        report.template = wish.reader.template.digest if wish.reader.template else None
        report.length = wish.reader.length
        report.questions = wish.evaluation.questions if wish.evaluation is not None else None
        closely = LessonCheck(findings, recognise, form, wish.reader, wish.evaluation)
        for file in findings.files():
            closely.file(file)
        return report
    structure = _StructureCheck(findings, recognise, form)
    for file in findings.files():
        structure.file(file)
    return report


class _StructureCheck:
    """The level `structure`: lines of JSON a block at a time, and only what is not recognised row by row."""

    def __init__(self, findings: Findings, recognise: Recognise, form: Form | None) -> None:
        self._findings = findings
        self._recognise = recognise
        self._form = form

    def file(self, file: SourceFile) -> None:
        """Check one file."""
        findings = self._findings
        if file.layout != "jsonl":
            for line, value, _ in findings.rows(file):
                known = self._recognise(value, True)
                if known is None:
                    self._row(line, value)
                else:
                    findings.add(line, findings.duplicate(line, known.identity))
            return
        rows = findings.report.rows
        try:
            for block in line_blocks(file, findings.read):
                self._block(block, careful=strange_bytes(block.raw))
        except BrokenError as error:
            findings.broken(error)
        if findings.report.rows == rows:
            findings.empty()

    def _block(self, block: Lines, *, careful: bool) -> None:
        """The loop that most rows go through: names are local, and no call is made that is not needed."""
        findings, loads, recognise, seen = self._findings, orjson.loads, self._recognise, self._findings.seen
        base, rows = findings.base, 0
        for number, line in enumerate(block.lines, block.first):
            try:
                value = loads(line)
            except orjson.JSONDecodeError:
                if line and not line.isspace():
                    rows += 1
                    findings.add(number, (parsed(line),))
                continue
            rows += 1
            known = recognise(value, careful)
            if known is None:
                self._row(number, value)
            elif known[0] in seen:
                findings.add(number, findings.duplicate(number, known[0]))
            else:
                seen[known[0]] = base | number
        findings.report.rows += rows

    def _row(self, line: int, value: object) -> None:
        """A row that was not recognised."""
        row = read_row(value, self._form)
        if isinstance(row, Row):
            self._findings.add(line, (*flaws_of(row), *self._findings.duplicate(line, identity(row))))
        else:
            self._findings.add(line, row)

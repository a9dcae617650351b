"""Precheck: what `aiops data check` says of rows before anything is made of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path

from aiops.layers.core.errors import InputError, Problem

from .check import Wish, check
from .evaluation_set import exam_of
from .fault import CATALOGUE
from .lesson import Reader
from .preparation import Preparation
from .report import Report
from .source import sources
from .template import read_template
from .tokenizer import read_tokenizer
from .tolerance import tolerated

_SHOWN = 5


def precheck(preparation: Preparation, told: Callable[[int], None]) -> tuple[Report, ...]:
    """Check all rows, those that are held out too, at the level full.

    Args:
        preparation: What is to be made.
        told: Told how many more rows are done.

    Returns:
        What was found of the rows, and of those of files that are held out.

    Raises:
        InputError: There are faults that are not allowed; the first of each kind, with file and line. Or the
            evaluation that is to be removed has faults itself.
        FailedError: The file of that evaluation is not any more what was hashed.
    """
    plan = preparation.plan
    tokenizer = read_tokenizer(Path(preparation.base))
    template = read_template(tokenizer, None if plan.template is None else Path(plan.template))
    wish = Wish(preparation.form, Reader(tokenizer, template, plan.length), most=_SHOWN, allowed=tolerated(plan))
    reports = []
    exam = exam_of(preparation)
    for files, asked in ((preparation.train, exam), (preparation.evaluation, None)):
        if files:
            said = 0

            def more(rows: int, _bytes: int) -> None:
                nonlocal said
                told(rows - said)
                said = rows

            report = check(sources([file.path for file in files]), replace(wish, evaluation=asked), more)
            if report.failed:
                raise _refused(report)
            reports.append(report)
    return tuple(reports)


def _refused(report: Report) -> InputError:
    kinds = [kind for kind in report.kinds if report.failing(kind)]
    return InputError(
        f"{report.faulty:,} of {report.rows:,} rows cannot be prepared:",
        code="data.refused",
        problems=_problems(report, kinds),
        hints=[*ways_out(report.counts, kinds), "see all: `aiops data check PATH --base DIR`"],
    )


def _problems(report: Report, kinds: Iterable[str]) -> list[Problem]:
    shown = (fault for kind in kinds for fault in report.shown[kind])
    return [Problem(f"{one.kind}: {one.reason}", one.place.file, one.place.line) for one in islice(shown, 2 * _SHOWN)]


def ways_out(counts: Mapping[str, int], kinds: Iterable[str]) -> Iterator[str]:
    """What can be done about kinds of faults, as a command line says it and as a recipe does."""
    if counts.get("length.over") or counts.get("length.answer_cut_off"):
        yield "cut longer rows, or leave them out: `--long truncate` or `--long drop`; of a recipe `data.long`"
    for kind in islice((one for one in kinds if not one.startswith("length.")), 3):
        said = f"{kind} ({counts[kind]:,})"
        allow = f"`--allow {kind}`; of a recipe `data.allow: [{kind}]`"
        if kind.startswith("personal."):
            mask = kind.partition(".")[2]
            yield f"{said}: mask it, `--mask {mask}`, of a recipe `data.mask: [{mask}]`; or keep it, {allow}"
        else:
            yield f"{said}: {CATALOGUE[kind].advice}; or {allow}"

"""Evaluation sets: the questions of files, to be looked for in data."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from aiops.layers.core.errors import InputError

from .fault import Fault, Flaw
from .form import read_row
from .leak import Evaluation
from .preparation import Preparation, changed
from .reading import form_found, records
from .row import Row
from .source import SourceFile, sources


def evaluation_of(paths: Sequence[str | Path], folder: Path | None = None) -> Evaluation:
    """The questions of an evaluation.

    Args:
        paths: Its files; each may have a format of its own.
        folder: What they are meant from; where the process is by default.

    Raises:
        InputError: It has faults itself, or asks nothing: what is looked for must be known.
    """
    return _evaluation((file, file.name) for file in sources(paths, folder))


def exam_of(preparation: Preparation) -> Evaluation | None:
    """The questions that a preparation removes; its files are called as in the lineage. None where it has none.

    Raises:
        InputError: It has faults itself, or asks nothing.
        FailedError: A file is not any more what was hashed.
    """

    def files() -> Iterator[tuple[SourceFile, str]]:
        for material in preparation.exam:
            (file,) = sources([material.path])
            yield replace(file, name=material.name), material.path
            if not material.unchanged():
                raise changed(material)

    return _evaluation(files()) if preparation.exam else None


def _evaluation(files: Iterable[tuple[SourceFile, str]]) -> Evaluation:
    """The questions of files, each with what a command line calls it."""
    evaluation, called = Evaluation(), []
    for file, name in files:
        called.append(name)
        form = form_found([file])
        for one in records(file):
            row = (Flaw(one.kind, one.reason),) if isinstance(one, Fault) else read_row(one.value, form)
            if not isinstance(row, Row):
                raise InputError(
                    f"{one.place}: {row[0].reason}",
                    code="data.evaluation",
                    hints=[f"see all that is wrong with it: `aiops data check {name}`"],
                )
            evaluation.add(one.place, row)
    if not evaluation.questions:
        raise InputError(f"{called[0]} asks nothing that could be looked for", code="data.evaluation")
    return evaluation

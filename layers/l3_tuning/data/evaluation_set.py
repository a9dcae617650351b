"""Evaluation sets: the questions of files, to be looked for in data."""

from collections.abc import Sequence
from pathlib import Path

from aiops.layers.core.errors import InputError

from .fault import Fault, Flaw
from .form import read_row
from .leak import Evaluation
from .reading import form_found, records
from .row import Row
from .source import sources


def evaluation_of(paths: Sequence[str | Path], folder: Path | None = None) -> Evaluation:
    """The questions of an evaluation.

    Args:
        paths: Its files.
        folder: What they are meant from; where the process is by default.

    Raises:
        InputError: It has faults itself, or asks nothing: what is looked for must be known.
    """
    files = sources(paths, folder)
    form = form_found(files)
    evaluation = Evaluation()
    for file in files:
        for one in records(file):
            row = (Flaw(one.kind, one.reason),) if isinstance(one, Fault) else read_row(one.value, form)
            if not isinstance(row, Row):
                raise InputError(
                    f"{one.place}: {row[0].reason}",
                    code="data.evaluation",
                    hints=[f"see all that is wrong with it: `aiops data check {file.name}`"],
                )
            evaluation.add(one.place, row)
    if not evaluation.questions:
        raise InputError(f"{paths[0]} asks nothing that could be looked for", code="data.evaluation")
    return evaluation

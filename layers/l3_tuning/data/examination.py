"""Examination: rows are read, brought to normal form, filtered, and given what duplicates are told by."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from .fault import CATALOGUE, Flaw
from .filter import reason
from .identity import canonical, digest
from .minhash import Array, bands, shingles
from .normal import normal_row
from .preparation import Preparation, changed
from .row import Row
from .structure import flaws_of
from .taking import take
from .work import CHUNK_ROWS, Removed, Work, chunk_name, file_name, pressed, removed_array

_MANY = 4
"""Files for each share from which on shares read files of their own; below each reads all and does its own chunks."""


def examine(work: Work, rank: int, of: int, told: Callable[[int], None]) -> None:
    """The share `rank` of `of` shares.

    Raises:
        FailedError: A file is not any more what was hashed.
        InputError: A file cannot be read to its end.
    """
    preparation = work.preparation
    for which, files in (("t", preparation.train), ("v", preparation.evaluation)):
        apart = len(files) >= _MANY * of
        for number in range(len(files)):
            if not apart:
                _file(work, which, number, ((rank - number) % of, of), told)
            elif number % of == rank:
                _file(work, which, number, (0, 1), told)


def _file(work: Work, which: str, number: int, shares: tuple[int, int], told: Callable[[int], None]) -> None:
    file = (work.preparation.train if which == "t" else work.preparation.evaluation)[number]
    rows = chunks = 0
    for count, block in enumerate(_blocks(take(file.path, work.preparation.form))):
        name = chunk_name(which, number, count)
        rows, chunks = rows + len(block), count + 1
        if count % shares[1] != shares[0]:
            continue
        if not work.has("examine", name):
            work.save("examine", name, **examined(block, work.preparation, held_out=which == "v"))
        told(len(block))
    if not file.unchanged():
        raise changed(file)
    work.end_file("examine", file_name(which, number), rows, chunks)


def _blocks(rows: Iterable[tuple[int, Row | Flaw]]) -> Iterator[Sequence[tuple[int, Row | Flaw]]]:
    rest = iter(rows)
    while block := list(islice(rest, CHUNK_ROWS)):
        yield block


def fails(flaw: Flaw) -> bool:
    """Whether a row with such a flaw must not be prepared unless that is allowed."""
    return CATALOGUE[flaw.kind].fails


def examined(block: Sequence[tuple[int, Row | Flaw]], preparation: Preparation, *, held_out: bool) -> dict[str, Array]:
    """What is kept of some rows: those that stay, with what duplicates are told by, and those that were removed.

    Args:
        block: Rows with their lines.
        preparation: What is done.
        held_out: Whether they come from files that are held out: those are taken as they are but for normal form.
    """
    import numpy as np

    near = preparation.plan.duplicates == "near" and not held_out
    lines: list[int] = []
    rows: list[Row] = []
    removed: list[Removed] = []
    for line, read in block:
        if not isinstance(read, Row):
            removed.append(Removed(line, "check", f"{read.kind}: {read.reason}"))
            continue
        flaw = next((one for one in flaws_of(read) if one.kind not in preparation.allow and fails(one)), None)
        if flaw is not None:
            removed.append(Removed(line, "check", f"{flaw.kind}: {flaw.reason}"))
            continue
        row = normal_row(read)
        why = None if held_out else reason(row, preparation.filters)
        if why is not None:
            removed.append(Removed(line, "filter", why))
            continue
        lines.append(line)
        rows.append(row)
    written = [canonical(row) for row in rows]
    of, ends = shingles(rows if near else [])
    return {
        "lines": np.array(lines, np.uint64),
        "forms": np.array(sorted({row.form for row in rows}), "U16"),
        "digests": np.frombuffer(b"".join(map(digest, written)), "<u8").reshape(-1, 2),
        "rows": pressed(written),
        "removed": removed_array(removed),
        "shingles": of,
        "ends": ends,
        "bands": bands(of, ends),
    }

"""Judgement: which rows are duplicates, over all of them. One process does it, with so many bytes a row as stand below.

Of each row 16 bytes of its digest are in memory, and about 50 more while they are sorted. Near duplicates take 112
bytes a row on the disk, of which 8 at a time are in memory; the shingles (4 bytes a word) of rows that share a band
are on the disk too, read as a file that is mapped into memory.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aiops.layers.core.errors import FailedError, InputError

from .duplicate import exact, near
from .minhash import BANDS, Array, candidates
from .preparation import Preparation
from .refusal import refuse
from .row import Place
from .work import Removed, Work, chunk_file, chunk_name, file_name, removed_array

_SHINGLES = "shingles.bin"


@dataclass(frozen=True)
class _Rows:
    """All rows of `train` that are still there, one after the other.

    Attributes:
        chunks: Their names.
        starts: Number of each chunk's first row, and of all.
        lines: Of each row.
    """

    chunks: "list[str]"
    starts: Array
    lines: Array
    preparation: Preparation

    def place(self, row: int) -> Place:
        """Where a row stands."""
        return Place(self.preparation.train[chunk_file(self.chunks[self.chunk(row)])[1]].name, int(self.lines[row]))

    def chunk(self, row: int) -> int:
        """Number of the chunk that a row is in."""
        import numpy as np

        return int(np.searchsorted(self.starts, row, "right")) - 1


def judge(work: Work, _rank: int, _of: int, told: Callable[[int], None]) -> None:
    """Decide for all rows at once.

    Raises:
        FailedError: A share of the examination is missing.
        InputError: The rows are of several forms, or one is refused.
    """
    import numpy as np

    refuse(work, ["examine"])
    _whole(work)
    preparation = work.preparation
    chunks = [name for name in work.chunks("examine") if chunk_file(name)[0] == "t"]
    loaded = [work.load("examine", name, "lines", "digests") for name in chunks]
    starts = np.cumsum([0, *(len(lines) for lines, _ in loaded)])
    lines = np.concatenate([np.empty(0, np.uint64), *(lines for lines, _ in loaded)])
    digests = np.concatenate([np.empty((0, 2), np.uint64), *(digests for _, digests in loaded)])
    del loaded
    rows = _Rows(chunks, starts, lines, preparation)
    gone: dict[int, Removed] = {}
    kept: Array = np.ones(len(lines), np.bool_)
    if preparation.plan.duplicates != "keep":
        first = exact(digests)
        kept = first < 0
        for row in np.flatnonzero(~kept).tolist():
            gone[row] = Removed(
                int(lines[row]), "duplicates", "equals an earlier row", str(rows.place(int(first[row])))
            )
    if preparation.plan.duplicates == "near":
        groups = candidates(_bands(work, chunks), kept)
        for row, (other, alike) in near(groups, _shingles(work, rows, groups)).items():
            kept[row] = False
            of, note = str(rows.place(other)), f"{alike:.3f} of their shingles are shared"
            gone[row] = Removed(int(lines[row]), "duplicates", "resembles an earlier row", of, note)
    for number, name in enumerate(chunks):
        mine = range(int(starts[number]), int(starts[number + 1]))
        removed = [gone[row] for row in mine if row in gone]
        work.save("judge", name, kept=kept[mine.start : mine.stop], removed=removed_array(removed))
        told(len(mine))


def _whole(work: Work) -> None:
    """Whether every chunk of every file is there, and of one form.

    Raises:
        FailedError: One is missing.
        InputError: There are several forms.
    """
    there = set(work.chunks("examine"))
    forms: dict[str, str] = {}
    for which, files in (("t", work.preparation.train), ("v", work.preparation.evaluation)):
        for number, file in enumerate(files):
            _, chunks = work.file_end("examine", file_name(which, number))
            for count in range(chunks):
                name = chunk_name(which, number, count)
                if name not in there:
                    raise FailedError(f"a share of the step examine left out rows of {file.name}", code="data.work")
                for form in work.load("examine", name, "forms")[0].tolist():
                    forms.setdefault(form, file.name)
    if len(forms) > 1:
        (one, here), (other, there_) = list(forms.items())[:2]
        raise InputError(
            f"the rows are of several formats: {one} in {here}, {other} in {there_}",
            code="data.mixed",
            hints=["prepare each format by itself: `aiops data prepare --help`"],
        )


def _bands(work: Work, chunks: list[str]) -> Iterator[Array]:
    import numpy as np

    for band in range(BANDS):
        yield np.concatenate(
            [np.empty(0, np.uint64), *(work.load("examine", name, "bands")[0][:, band] for name in chunks)]
        )


def _shingles(work: Work, rows: _Rows, groups: Mapping[int, Any]) -> Callable[[int], Array]:
    """The shingles of the rows that share a band, laid down in a file in which each can be looked up."""
    import numpy as np

    where: dict[int, tuple[int, int]] = {}
    path = work.folder / "judge" / _SHINGLES
    total, number = 0, -1
    with path.open("wb") as stream:
        for row in sorted(groups):
            if rows.chunk(row) != number:
                number = rows.chunk(row)
                sets, ends = work.load("examine", rows.chunks[number], "shingles", "ends")
            of_chunk = row - int(rows.starts[number])
            mine = sets[int(ends[of_chunk - 1]) if of_chunk else 0 : int(ends[of_chunk])]
            stream.write(mine.tobytes())
            where[row] = (total, len(mine))
            total += len(mine)
    mapped = np.memmap(path, np.uint32, "r") if total else np.empty(0, np.uint32)

    def look_up(row: int) -> Array:
        start, count = where[row]
        return mapped[start : start + count]

    return look_up

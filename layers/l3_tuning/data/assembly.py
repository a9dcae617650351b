"""Assembly: what the shares rendered becomes the files of a prepared folder, in the order of the source."""

import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from operator import attrgetter
from pathlib import Path
from typing import Any

import orjson

from aiops.layers.core.errors import InputError
from aiops.layers.core.file import write_atomic

from .dataset import EVALUATION, MANIFEST, REMOVED, TOLERATED, Manifest
from .minhash import Array
from .packing import packed, windows
from .refusal import kind_of, refuse
from .sample_file import Batch, Lines, SampleFiles
from .work import Removed, Step, Work, chunk_file, file_name, removed_of, unpressed

WHOLE = "whole"


def assemble(work: Work, _rank: int, _of: int, told: Callable[[int], None]) -> None:
    """Write the folder below the work's, under the name `WHOLE`; its manifest comes last.

    Raises:
        InputError: A row was refused, or none is left; nothing comes of it.
    """
    refuse(work, ["render"])
    folder = work.folder / WHOLE
    if folder.exists():  # of one that was cut off
        shutil.rmtree(folder)
    folder.mkdir()
    chunks = work.chunks("examine")
    lineage = _Lineage(work)
    with ExitStack() as stack:
        removed = Lines(folder / REMOVED)
        stack.callback(removed.drop)
        for name in chunks:
            for one in _removed(work, name):
                removed.write(lineage.line(name, one))
        files = {REMOVED: removed.close()}
    packing = work.preparation.plan.packing
    with ExitStack() as stack:
        train = SampleFiles(folder, packed=packing)
        stack.callback(train.drop)
        out = bool(work.preparation.evaluation) or work.preparation.plan.held_out > 0
        held_out = SampleFiles(folder / EVALUATION, packed=packing) if out else None
        if held_out is not None:
            stack.callback(held_out.drop)
        for window in _windows(work, chunks):
            _add(work, train, window, held_out=False)
            if held_out is not None:
                _add(work, held_out, window, held_out=True)
            told(sum(len(work.load("render", name, "lines")[0]) for name in window))
        files |= train.close()
        if not train.sums.rows:
            raise InputError(
                "no row is left to train on", code="data.empty", hints=["see why: " + _few(lineage.counts())]
            )
        if held_out is not None:
            kept = held_out.close()
            files |= {f"{EVALUATION}/{name}": one for name, one in kept.items()}
            _manifest(work, folder / EVALUATION, held_out, kept, {})
    _manifest(work, folder, train, files, lineage.document(held_out))


def _manifest(work: Work, folder: Path, of: SampleFiles, files: dict[str, Any], lineage: dict[str, Any]) -> None:
    preparation = work.preparation
    sums = of.sums
    manifest = Manifest(
        preparation.digest,
        preparation.form,
        sums.samples,
        sums.rows,
        sums.tokens,
        sums.counted,
        sums.longest,
        preparation.plan.packing,
        preparation.plan.length,
        preparation.vocabulary,
        preparation.inputs,
        lineage,
        files,
    )
    content = json.dumps(asdict(manifest), indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    write_atomic(folder / MANIFEST, content.encode(), 0o644)


def _removed(work: Work, name: str) -> list[Removed]:
    steps: tuple[Step, ...] = ("examine", "judge", "render") if chunk_file(name)[0] == "t" else ("examine", "render")
    found = [one for step in steps for one in removed_of(work.load(step, name, "removed")[0])]
    return sorted(found, key=attrgetter("line"))


def _windows(work: Work, chunks: Sequence[str]) -> Iterator[Sequence[str]]:
    """Chunks that are packed together: so many that the memory they take is bounded; without packing one by one."""
    if not work.preparation.plan.packing:
        yield from ([name] for name in chunks)
        return
    sizes = [work.load("render", name, "sizes")[0] for name in chunks]
    rest = iter(chunks)
    for count in windows((len(one), int(one.sum())) for one in sizes):
        yield [next(rest) for _ in range(count)]


def _add(work: Work, files: SampleFiles, names: Sequence[str], *, held_out: bool) -> None:
    import numpy as np

    batches = [batch for name in names if len((batch := _batch(work, name, held_out=held_out)).sizes)]
    if not batches:
        return
    joined = Batch(
        np.concatenate([one.tokens for one in batches]),
        np.concatenate([one.mask for one in batches]),
        np.concatenate([one.sizes for one in batches]),
        [place for one in batches for place in one.places],
        [row for one in batches for row in one.rows],
    )
    if work.preparation.plan.packing:
        files.add_packed(joined, packed(joined.sizes.reshape(-1).tolist(), work.preparation.plan.length))
    else:
        files.add(joined)


def _batch(work: Work, name: str, *, held_out: bool) -> Batch:
    import numpy as np

    lines, rows, sides, sizes, tokens, mask = work.load(
        "render", name, "lines", "rows", "held_out", "sizes", "tokens", "mask"
    )
    mine: Array = sides == held_out
    of_tokens: Array = np.repeat(mine, sizes.sum(axis=1))
    which, number = chunk_file(name)
    preparation = work.preparation
    file = (preparation.train if which == "t" else preparation.evaluation)[number].name
    return Batch(
        tokens[of_tokens],
        mask[of_tokens],
        sizes[mine],
        [(file, line) for line in lines[mine].tolist()],
        [row for row, taken in zip(unpressed(rows), mine.tolist(), strict=True) if taken],
    )


class _Lineage:
    """What became of rows that are not there."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._counts: dict[str, Counter[str]] = defaultdict(Counter)

    def line(self, chunk: str, one: Removed) -> bytes:
        """The line of a removed row."""
        preparation = self._work.preparation
        which, number = chunk_file(chunk)
        file = (preparation.train if which == "t" else preparation.evaluation)[number]
        self._counts[one.step][kind_of(one) if one.step == "check" else one.reason] += 1
        written: dict[str, Any] = {"file": file.name, "line": one.line, "step": one.step, "reason": one.reason}
        written |= {key: value for key, value in (("of", one.of), ("note", one.note)) if value}
        return orjson.dumps({"set": "train" if which == "t" else EVALUATION, **written})

    def counts(self) -> dict[str, dict[str, int]]:
        """By step and reason how many rows were removed."""
        return {step: dict(sorted(reasons.items())) for step, reasons in sorted(self._counts.items()) if reasons}

    def document(self, held_out: SampleFiles | None) -> dict[str, Any]:
        """For the manifest."""
        work, preparation = self._work, self._work.preparation
        masked: Counter[str] = Counter()
        for name in work.chunks("render"):
            masked.update(json.loads(unpressed(work.load("render", name, "masked")[0])[0]))
        document: dict[str, Any] = {
            "files": [
                {
                    "set": which,
                    "name": file.name,
                    "sha256": file.digest,
                    "bytes": file.size,
                    "rows": work.file_end("examine", file_name(letter, number))[0],
                }
                for which, letter, files in (
                    ("train", "t", preparation.train),
                    (EVALUATION, "v", preparation.evaluation),
                )
                for number, file in enumerate(files)
            ],
            "decontaminated_by": [
                {"name": file.name, "sha256": file.digest, "bytes": file.size} for file in preparation.exam
            ],
            TOLERATED: work.tolerated(),
            "removed": self.counts(),
            "masked": dict(sorted(masked.items())),
            "options": {
                key: value
                for key, value in asdict(preparation.plan).items()
                if key not in {"train", "evaluation", "decontaminate", "template", "form", "allow"}
            },
            "filters": dict(preparation.filters),
        }
        if held_out is not None:
            document[EVALUATION] = asdict(held_out.sums)
        return document


def _few(counts: dict[str, dict[str, int]]) -> str:
    return ", ".join(f"{count:,} {step} ({why})" for step, reasons in counts.items() for why, count in reasons.items())

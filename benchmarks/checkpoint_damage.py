"""Damaged checkpoints of every format: whether the newest good one is chosen, and no good one is refused; and speed.

For each recorded save of a real library (or laid out as its source says), the newest of two checkpoints is damaged by a
seed, the folder is read, and the damage undone:

- cut off: every file that has a structure, at drawn lengths, without a manifest; every file with one;
- one bit flipped: with a manifest, where the older one must be chosen; without one it is counted how often the
  structure tells, and nothing else may be chosen than one of the two;
- missing: each file without which it is none; with a manifest each file;
- swapped: all pairs of files with the same suffix, with a manifest; without one it is counted how often it is told;
- stale: each file of the older checkpoint in the place of the newest's, with a manifest; and a marker without the rest.

Between damages the untouched folder is read: the newest must be chosen. Then speed: level 1 on 1,000 files, hashing
beside this machine's own sha256, 64 shards in threads.
"""

import argparse
import hashlib
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from tests.l2_jobs.checkpoint.damage import Bench, fresh, is_same_document
from tests.l2_jobs.checkpoint.saves import ALL, NEW, OLD, Save, formats, place, reader, write_manifest

from aiops.layers.l2_jobs.checkpoint.checkpoint import Level
from aiops.layers.l2_jobs.checkpoint.facts import MANIFEST

from .measurement import BrokenError, Figure, report

SEED = 20261128
DRAWN = 500
"""Cut lengths, and as many bits, for each save."""

FILES = 1000
SHARDS = 64
SHARD_BYTES = 32 << 20
Change = Callable[[], AbstractContextManager[None]]


class Tally:
    """What was tried on one save, and what of it went wrong."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.tried = Counter[str]()
        self.told = Counter[str]()
        self.wrong: list[str] = []

    def hold(self, bench: Bench, kind: str, what: str, change: Change, wanted: int | None) -> None:
        """Make a change and see what is chosen; `wanted` None where either may be."""
        with change():
            step = bench.step()
        self.tried[kind] += 1
        self.told[kind] += step == OLD
        if step != wanted if wanted is not None else step not in (OLD, NEW):
            self.wrong.append(f"{kind}: {what}: chose {step}")

    def hold_whole(self, bench: Bench) -> None:
        """The untouched folder: the newest is chosen."""
        self.tried["untouched"] += 1
        if bench.step() != NEW:
            self.wrong.append("untouched: the newest was refused")


def _cuts(bench: Bench, files: list[Path], draw: random.Random, count: int) -> Iterator[tuple[Path, int]]:
    """Each file at 0, in the middle and one byte short, then drawn ones."""
    for path in files:
        size = len(bench.original[path])
        yield from ((path, length) for length in sorted({0, size // 2, size - 1}))
    for _ in range(count):
        path = draw.choice(files)
        yield path, draw.randrange(len(bench.original[path]))


def without_manifest(tally: Tally, bench: Bench, draw: random.Random, count: int) -> None:
    """What the structure alone tells."""
    for path, length in _cuts(bench, bench.structured, draw, count):
        whole = bench.original[path]
        same = path.suffix == ".json" and is_same_document(whole[:length], whole)
        wanted = NEW if same else OLD
        tally.hold(bench, "cut off", f"{path.name} at {length}", partial(bench.cut, path, length), wanted)
    tally.hold_whole(bench)
    for path in bench.needed:
        tally.hold(bench, "missing", path.name, partial(bench.gone, path), OLD)
    tally.hold_whole(bench)
    marker = formats().named(bench.save.format).marker(place(bench.save, bench.root, NEW))
    others = [path for path in bench.files if bench.relative[path] != marker]
    if marker is not None and others:
        tally.hold(bench, "marker alone", marker, partial(bench.gone, *others), OLD)
    for one, other in bench.swaps():
        tally.hold(bench, "swapped, no manifest", one.name, partial(bench.swapped, one, other), None)
    for _ in range(count):
        path = draw.choice(bench.files)
        bit = (draw.randrange(len(bench.original[path])), draw.randrange(8))
        tally.hold(bench, "bit, no manifest", path.name, partial(bench.flipped, path, *bit), None)
    tally.hold_whole(bench)


def with_manifest(tally: Tally, bench: Bench, draw: random.Random, count: int) -> None:
    """What the manifest tells."""
    for path, length in _cuts(bench, bench.files, draw, count):
        tally.hold(bench, "cut off, manifest", f"{path.name} at {length}", partial(bench.cut, path, length), OLD)
    others = [path for path in bench.files if path.name != MANIFEST]
    for _ in range(count):
        path = draw.choice(others)
        bit = (draw.randrange(len(bench.original[path])), draw.randrange(8))
        tally.hold(bench, "bit, manifest", path.name, partial(bench.flipped, path, *bit), OLD)
    tally.hold_whole(bench)
    for path in others:
        tally.hold(bench, "missing, manifest", path.name, partial(bench.gone, path), OLD)
    for one, other in bench.swaps():
        tally.hold(bench, "swapped, manifest", one.name, partial(bench.swapped, one, other), OLD)
    for path in others:
        if bench.original[path] != bench.original[bench.counterpart(path)]:
            tally.hold(bench, "stale, manifest", path.name, partial(bench.from_old, path), OLD)
    tally.hold_whole(bench)


def damaged(save: Save, root: Path, seed: int, count: int) -> Tally:
    """All damages of one save."""
    tally, draw = Tally(save.name), random.Random(f"{seed} {save.name}")  # noqa: S311 - no secret
    bench = fresh(save, root)
    tally.hold_whole(bench)
    without_manifest(tally, bench, draw, count)
    if save.folder_manifest:
        for step in (OLD, NEW):
            write_manifest(root / place(save, root, step).base, step, save.format, save.world_size)
        with_manifest(tally, Bench(save, root), draw, count)
    print(f"{save.name}: {tally.tried.total()} tried, {len(tally.wrong)} wrong", file=sys.stderr, flush=True)
    return tally


def _seconds(work: Callable[[], object], times: int = 3) -> tuple[float, ...]:
    found = []
    for _ in range(times):
        begun = time.monotonic()
        work()
        found.append(time.monotonic() - begun)
    return tuple(found)


def _level_1(root: Path) -> Figure:
    """A checkpoint of 1,000 small files of torch.save at level 1, without a manifest."""
    from tests.l2_jobs.checkpoint.saves import files_of

    folder = root / "step-20"
    folder.mkdir(parents=True)
    content = files_of("torch")["step_20.pt"]
    for rank in range(FILES):
        (folder / f"rank{rank}.pt").write_bytes(content)

    def look() -> None:
        found = reader().all(str(root), Level.STRUCTURE)
        if [one.state for one in found] != ["good"]:
            raise BrokenError(f"1,000 files: {found}")

    return Figure("level 1 of a checkpoint of 1,000 files", "s", _seconds(look), 1.0)


def _hashing(root: Path) -> Iterator[Figure]:
    """64 shards with a manifest beside the machine's own sha256 of as many bytes."""
    folder = root / "step-20"
    folder.mkdir(parents=True)
    block = os.urandom(SHARD_BYTES)
    for number in range(SHARDS):
        (folder / f"shard-{number}.bin").write_bytes(block)
    write_manifest(folder, NEW, "files")
    total = SHARDS * SHARD_BYTES / 1e9

    def look() -> None:
        found = reader().all(str(root))
        if [one.state for one in found] != ["good"]:
            raise BrokenError(f"64 shards: {found}")

    verified = tuple(total / one for one in _seconds(look))
    alone = tuple(4 * SHARD_BYTES / 1e9 / one for one in _seconds(lambda: [hashlib.sha256(block) for _ in range(4)]))
    yield Figure("verified by hash, 64 shards of 32 MiB, files cached", "GB/s", verified)
    yield Figure("sha256 of this machine, one core", "GB/s", alone)
    share = tuple(one / other for one, other in zip(verified, alone, strict=True))
    yield Figure("verified beside one core's sha256", "times", share, 0.8, at_least=True)


def main() -> int:
    """Damage all, and report; exit 1 when a wrong one was chosen or a good one refused."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--count", type=int, default=DRAWN, help="cut lengths and bits for each save")
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="aiops-damage-"))
    try:
        tallies = [damaged(save, root / save.name, options.seed, options.count) for save in ALL]
        speed = [_level_1(root / "many"), *_hashing(root / "large")]
    finally:
        shutil.rmtree(root)
    for tally in tallies:
        for one in tally.wrong:
            print(f"wrong: {tally.name}: {one}", file=sys.stderr)
    tried = sum((one.tried for one in tallies), Counter[str]())
    told = sum((one.told for one in tallies), Counter[str]())
    free = ("bit, no manifest", "swapped, no manifest")
    held = sum(count for kind, count in tried.items() if kind not in (*free, "untouched"))
    wrong = sum(len(one.wrong) for one in tallies)
    figures = [
        Figure("saves", "", (float(len(ALL)),)),
        Figure("damages that must be told", "", (float(held),)),
        Figure("readings of untouched folders", "", (float(tried["untouched"]),)),
        Figure("wrong ones chosen, or good ones refused", "", (float(wrong),), 0.0),
        *(
            Figure(f"told without a manifest: {kind.partition(',')[0]}", "%", (_share(told, tried, kind),))
            for kind in free
        ),
        *speed,
    ]
    details = [
        {"save": one.name, "tried": dict(one.tried), "told": dict(one.told), "wrong": one.wrong} for one in tallies
    ]
    simulated = (
        "the damage; layouts whose name ends with -source are written by torch.save as the library's source says"
    )
    return report("checkpoint_damage", figures, simulated=simulated, details=[{"seed": options.seed}, *details])


def _share(told: Counter[str], tried: Counter[str], kind: str) -> float:
    return round(100 * told[kind] / tried[kind], 1) if tried[kind] else 0.0


if __name__ == "__main__":
    sys.exit(main())

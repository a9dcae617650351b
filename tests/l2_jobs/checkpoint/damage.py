"""What happens to files of a checkpoint: cut off, a bit flipped, gone, swapped, stale. Each is made and undone."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiops.layers.l2_jobs.checkpoint.checkpoint import Checkpoint

from .saves import NEW, OLD, Save, is_optional, paths, place, reader

WITHOUT_STRUCTURE = (".md", ".py", ".txt", "latest")
"""What has no structure that could tell that its end is missing."""


class Bench:
    """A laid out save whose newest checkpoint is damaged and mended again."""

    def __init__(self, save: Save, root: Path) -> None:
        self.save = save
        self.root = root
        self.files = paths(save, root, NEW)
        self.old = paths(save, root, OLD)
        _, self.places = reader(argument=save.argument).places(str(root))
        self.original = {path: path.read_bytes() for path in (*self.files, *self.old)}
        read = [one.path for one in place(save, root, NEW).files]
        self.relative = dict(zip(self.files, read, strict=True))

    @property
    def structured(self) -> list[Path]:
        """Files of the newest whose structure tells when something of them is missing."""
        return [path for path in self.files if not path.name.endswith(WITHOUT_STRUCTURE) and self._is_read(path)]

    @property
    def needed(self) -> list[Path]:
        """Files of the newest without which it is none."""
        return [path for path in self.files if not is_optional(self.save, path)]

    def _is_read(self, path: Path) -> bool:
        format_, one = next(pair for pair in self.places if pair[1].step == NEW or str(NEW) in pair[1].path)
        read = {reading.path for reading in format_.readings(one)}
        return self.relative[path] in read or path.suffix == ".distcp"

    def chosen(self) -> Checkpoint | None:
        """What a run would go on from."""
        seen, _ = reader(argument=self.save.argument).newest(str(self.root))
        return None if seen is None else seen.checkpoint

    def step(self) -> int | None:
        """Of that."""
        found = self.chosen()
        return None if found is None else found.step

    @contextmanager
    def written(self, path: Path, content: bytes) -> Iterator[None]:
        """A file of the newest with other contents."""
        path.write_bytes(content)
        try:
            yield
        finally:
            path.write_bytes(self.original[path])

    @contextmanager
    def cut(self, path: Path, length: int) -> Iterator[None]:
        """A file that ends too early."""
        with self.written(path, self.original[path][:length]):
            yield

    @contextmanager
    def flipped(self, path: Path, byte: int, bit: int) -> Iterator[None]:
        """One bit that is another."""
        content = bytearray(self.original[path])
        content[byte] ^= 1 << bit
        with self.written(path, bytes(content)):
            yield

    @contextmanager
    def gone(self, *which: Path) -> Iterator[None]:
        """Files that are not there."""
        for path in which:
            path.unlink()
        try:
            yield
        finally:
            for path in which:
                path.write_bytes(self.original[path])

    @contextmanager
    def swapped(self, one: Path, other: Path) -> Iterator[None]:
        """Two files in each other's place."""
        one.write_bytes(self.original[other])
        other.write_bytes(self.original[one])
        try:
            yield
        finally:
            one.write_bytes(self.original[one])
            other.write_bytes(self.original[other])

    @contextmanager
    def from_old(self, path: Path) -> Iterator[None]:
        """A file of the older checkpoint in the place of the newest's."""
        with self.written(path, self.original[self.counterpart(path)]):
            yield

    def counterpart(self, path: Path) -> Path:
        """The file of the older checkpoint in the same place."""
        names = {self._plain(old): old for old in self.old}
        return names[self._plain(path)]

    def swaps(self) -> list[tuple[Path, Path]]:
        """Pairs of files of the newest with the same suffix and different contents."""
        found = self.needed
        return [
            (one, other)
            for number, one in enumerate(found)
            for other in found[number + 1 :]
            if one.suffix == other.suffix and self.original[one] != self.original[other]
        ]

    def _plain(self, path: Path) -> str:
        return str(path.relative_to(self.root)).replace(str(NEW), "N").replace(str(OLD), "N")


def is_same_document(one: bytes, other: bytes) -> bool:
    """Whether what is left of a JSON document says the same: it lost blanks at its end."""
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return False


def fresh(save: Save, root: Path) -> Bench:
    """Laid out anew below `root`."""
    from .saves import lay

    if root.exists():
        shutil.rmtree(root)
    root.mkdir(parents=True)
    return Bench(save, lay(save.name, root))

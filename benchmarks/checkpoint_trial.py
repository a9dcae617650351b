"""What a save of a checkpoint was to leave, and whether a restart chooses rightly among what it has left."""

import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from aiops.layers.core.plugin import Plugins
from aiops.layers.l2_jobs.checkpoint.facts import MANIFEST
from aiops.layers.l2_jobs.checkpoint.format import read_formats
from aiops.layers.l2_jobs.checkpoint.reader import Reader
from aiops.layers.l2_jobs.checkpoint.surveyor import LocalSurveyor

from .checkpoint_writers import Writer
from .measurement import BrokenError

Tree = dict[str, bytes | None]
_OTHER = (".md",)
"""Files beside a checkpoint that no loader reads (PEFT writes a README)."""

RUNS = "place/runs"
"""Where the folder of checkpoints is in a benchmark's own: always the same, for some libraries write it down."""

_OF_EACH_SAVE = re.compile(rb"(?s)(\rcheckpoint_id).*?(\x07load_id)")
"""In the pickle of a DCP `.metadata`: the path that it was written to, and an id drawn for each save."""


def tree(folder: Path) -> Tree:
    """All that is below a folder."""
    found: Tree = {}
    for above, folders, files in os.walk(folder):
        for name in folders:
            found[os.path.relpath(f"{above}/{name}", folder)] = None
        for name in files:
            path = Path(above, name)
            found[os.path.relpath(path, folder)] = path.read_bytes()
    return found


def data_of(state: Tree, place: str) -> dict[str, bytes]:
    """The files of a checkpoint but its manifest and what no loader reads, by their path in it."""
    head = f"{place}/"
    return {
        name.removeprefix(head): _OF_EACH_SAVE.sub(rb"\1\2", content) if name.endswith(".metadata") else content
        for name, content in state.items()
        if content is not None
        and (name == place or name.startswith(head))
        and not name.removeprefix(head).startswith(MANIFEST)
        and not name.endswith(_OTHER)
    }


def has_whole_manifest(state: Tree, place: str) -> bool:
    """Whether a checkpoint's manifest is there, and each file is what it says."""
    try:
        said = {
            one["path"]: (one["size"], one["sha256"])
            for one in json.loads(state.get(f"{place}/{MANIFEST}") or b"")["files"]
        }
    except ValueError:
        return False
    head = f"{place}/"
    found = {
        name.removeprefix(head): (len(content), hashlib.sha256(content).hexdigest())
        for name, content in state.items()
        if content is not None and name.startswith(head) and name != head + MANIFEST
    }
    return said == found


class Chooser:
    """Chooses as a restart does: by aiops' verifier, when it is known that nobody writes any more."""

    def __init__(self) -> None:
        self._reader = Reader(LocalSurveyor(), read_formats(Plugins()), settled=0.0)

    def __call__(self, folder: Path) -> str | None:
        """The checkpoint to go on from, by its path in `folder`; None to begin."""
        seen, _ = self._reader.newest(str(folder))
        return None if seen is None else os.path.relpath(seen.checkpoint.path, folder)


@dataclass(frozen=True)
class Trial:
    """A writer that has saved steps 1 and 2, and what step 3 would be.

    Attributes:
        before: What is below the folder before step 3 is saved.
        wanted: The files of step 3 by their path in it.
    """

    writer: Writer
    before: Tree
    wanted: dict[str, bytes]

    def is_whole(self, state: Tree) -> bool:
        """Whether step 3 is there, and in each byte as it was saved."""
        place = self.writer.place(3)
        return data_of(state, place) == self.wanted and (not self.writer.sealed or has_whole_manifest(state, place))

    def is_torn(self, state: Tree) -> bool:
        """Whether something has the name of step 3 that is not whole."""
        return self.writer.place(3) in state and not self.is_whole(state)

    def judge(self, state: Tree, chosen: str | None) -> str:
        """What is wrong when `chosen` is what a restart goes on from; empty when nothing is."""
        place = self.writer.place
        newest = data_of(state, place(3))
        step = next((n for n in (1, 2, 3) if chosen and (chosen + "/").startswith(place(n) + "/")), None)
        if step == 3:  # noqa: PLR2004 - the one that was being written
            return "" if newest == self.wanted else f"a bad one was chosen: {self._damage(newest)}"
        if self.is_whole(state):
            return f"the newest is good and was refused for {chosen}"
        if step == 2 and data_of(state, place(2)) == data_of(self.before, place(2)):  # noqa: PLR2004
            return ""
        return f"{chosen} was chosen, and step 2 is good"

    def _damage(self, found: dict[str, bytes]) -> str:
        told = []
        for name, content in self.wanted.items():
            other = found.get(name)
            if other is None:
                told.append(f"{name} is missing")
            elif len(other) != len(content):
                told.append(f"{name} has another length")
            elif other != content:
                told.append(f"{name} has other bytes")
        return ", ".join(told)


def trial(writer: Writer, work: Path) -> Trial:
    """Save steps 1, 2 and 3 below `work`.

    Raises:
        BrokenError: The writer does not write the same bytes each time, so that nothing can be compared.
    """
    seen = []
    folder = work / RUNS
    for _ in range(2):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        before: Tree = {}
        for step in (1, 2, 3):
            before = tree(folder)
            writer.save(folder, step)
        seen.append((before, data_of(tree(folder), writer.place(3))))
        shutil.rmtree(folder)
    if seen[0][1] != seen[1][1] or not seen[0][1]:
        differ = [name for name in seen[0][1] if seen[1][1].get(name) != seen[0][1][name]]
        raise BrokenError(f"{writer.name} writes other bytes each time: {', '.join(differ) or 'no files at all'}")
    return Trial(writer, *seen[0])

"""A host's disk: a sparse file with an ext4 of its own, on which an overlay keeps what the host writes.

```
hosts/NAME/disk.img   sparse file, loop-mounted at hosts/NAME/disk
  disk/upper, work      what the host has written since `base`
  disk/layers/SNAPSHOT  what it had written before, frozen
hosts/NAME/root       overlay: upper over the frozen layers over the base image
```
"""

import contextlib
import json
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from aiops.layers.core.errors import FailedError

from .machine import MIB, run


class Disk:
    """The disk and the root of one host."""

    def __init__(self, folder: Path, image: Path) -> None:
        """Name it; nothing is made.

        Args:
            folder: The host's folder, `hosts/NAME` of the lab.
            image: The base image.
        """
        self.file = folder / "disk.img"
        self.mounted = folder / "disk"
        self.root = folder / "root"
        self._image = image

    def make(self, mib: int) -> None:
        """Make the sparse file with an empty file system in it."""
        with self.file.open("wb") as stream:
            os.truncate(stream.fileno(), mib * MIB)
        options = "lazy_itable_init=1,lazy_journal_init=1,nodiscard"
        run(["mkfs.ext4", "-q", "-m", "0", "-E", options, str(self.file)])

    def mount(self, layers: Sequence[str]) -> None:
        """Mount the disk and, over the frozen `layers` (oldest first) and the image, the root."""
        for folder in (self.mounted, self.root):
            folder.mkdir(exist_ok=True)
        run(["mount", "-o", "loop,noatime", str(self.file), str(self.mounted)])
        for folder in (self.upper, self._work, self._layers):
            folder.mkdir(exist_ok=True)
        self.mount_root(layers)

    def mount_root(self, layers: Sequence[str]) -> None:
        """Mount the root alone, the disk being mounted."""
        lower = ":".join([*(str(self._layers / layer) for layer in reversed(layers)), str(self._image)])
        options = f"lowerdir={lower},upperdir={self.upper},workdir={self._work}"
        run(["mount", "-t", "overlay", "overlay", "-o", options, str(self.root)])

    @property
    def upper(self) -> Path:
        """What the host has written since the last frozen layer."""
        return self.mounted / "upper"

    @property
    def _work(self) -> Path:
        return self.mounted / "work"

    @property
    def _layers(self) -> Path:
        return self.mounted / "layers"

    def lock_name(self) -> str | None:
        """The name of the lock that nspawn takes on the mounted root and leaves behind when it is killed."""
        if not os.path.ismount(self.root):
            return None
        status = self.root.stat()
        return f"inode-{status.st_dev}:{status.st_ino}"

    def freeze_layer(self, name: str) -> None:
        """Make what was written since the last layer the new layer `name`; the root must not be mounted."""
        self.upper.rename(self._layers / name)
        self.upper.mkdir()

    def drop_upper(self, layers: Sequence[str]) -> None:
        """Forget what was written since, and the layers not in `layers`; the root must not be mounted."""
        shutil.rmtree(self.upper)
        shutil.rmtree(self._work)
        for layer in self._layers.iterdir():
            if layer.name not in layers:
                shutil.rmtree(layer)
        self.upper.mkdir()
        self._work.mkdir()


def mounts_below(folder: Path, mountinfo: str | None = None) -> list[Path]:
    """Mount points in or at `folder`, the last mounted first."""
    text = mountinfo if mountinfo is not None else Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape")
    points = [Path(line.split()[4]) for line in text.splitlines() if line]
    return [point for point in reversed(points) if point == folder or folder in point.parents]


def unmount_below(folder: Path, *, seconds: float = 15.0) -> None:
    """Unmount everything in `folder`, and let go of loop devices whose files lie there.

    Raises:
        FailedError: Something keeps a mount busy.
    """
    deadline = time.monotonic() + seconds
    while points := mounts_below(folder):
        for point in points:
            try:
                run(["umount", str(point)])
            except FailedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
    while loops := loop_devices(folder):
        for device in loops:  # a mount's own loop goes by itself a moment after it
            with contextlib.suppress(FailedError):
                run(["losetup", "--detach", device])
        if time.monotonic() > deadline:
            raise FailedError(
                f"loop devices {', '.join(loops)} are still busy with files in {folder}",
                code="lab.loop_busy",
                hints=["`fuser -vm DEVICE` shows who holds one"],
            )
        time.sleep(0.01)


def loop_devices(folder: Path) -> list[str]:
    """Loop devices whose backing file lies in `folder`, deleted or not."""
    text = run(["losetup", "--list", "--json", "--output", "NAME,BACK-FILE"])
    devices = json.loads(text)["loopdevices"] if text.strip() else []
    return [str(device["name"]) for device in devices if folder in Path(str(device["back-file"] or "/")).parents]

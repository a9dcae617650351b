"""A host's disk: a sparse file with an ext4 of its own, on which an overlay keeps what the host writes.

```
hosts/NAME/disk.img     sparse file; mounted at hosts/NAME/disk in the host's own mount namespace only
  disk/upper, work        what the host has written since the last snapshot
  disk/layers/SNAPSHOT    what it had written before, frozen
hosts/NAME/stage        files to be copied onto the root when it boots next
hosts/NAME/root         overlay: upper over the frozen layers over the base image
```

Nothing is mounted where the rest of the machine can see it. Containers that start meanwhile would take a copy of
such a mount with them and keep the disk busy for as long as they live; and what only the host's own processes see
goes when they go, whoever killed them.
"""

import contextlib
import json
import os
import shlex
import time
from collections.abc import Sequence
from pathlib import Path

from aiops.layers.core.errors import FailedError

from .machine import MIB, run

_PRIVATE = ("unshare", "--mount", "--propagation", "private")


class Disk:
    """The disk and the root of one host. Its methods are for a host that is off."""

    def __init__(self, folder: Path, image: Path) -> None:
        """Name it; nothing is made.

        Args:
            folder: The host's folder, `hosts/NAME` of the lab.
            image: The base image.
        """
        self.file = folder / "disk.img"
        self.mounted = folder / "disk"
        self.root = folder / "root"
        self.stage = folder / "stage"
        self._image = image

    @property
    def filler(self) -> Path:
        """The file that takes all free blocks while the disk is full; out of the host's sight."""
        return self.mounted / "filler"

    def make(self, mib: int) -> None:
        """Make the sparse file with an empty file system in it."""
        with self.file.open("wb") as stream:
            os.truncate(stream.fileno(), mib * MIB)
        options = "lazy_itable_init=1,lazy_journal_init=1,nodiscard"
        run(["mkfs.ext4", "-q", "-m", "0", "-E", options, str(self.file)])
        for folder in (self.mounted, self.root, self.stage):
            folder.mkdir(exist_ok=True)

    def mount_script(self, layers: Sequence[str], *, fresh: bool = False) -> str:
        """Shell lines that mount the disk and the root over the frozen `layers` (oldest first). Pure.

        Args:
            layers: Snapshots that the root stands on.
            fresh: First forget what was written since the last of them, and every other layer.
        """
        lower = ":".join([*(str(self.mounted / "layers" / layer) for layer in reversed(layers)), str(self._image)])
        options = f"lowerdir={lower},upperdir={self.mounted}/upper,workdir={self.mounted}/work"
        root, stage = shlex.quote(str(self.root)), shlex.quote(str(self.stage))
        return (
            f"{self._mount_disk(layers if fresh else None)}"
            f"mount -t overlay overlay -o {shlex.quote(options)} {root}\n"
            f"if [ -d {stage} ]; then cp -a {stage}/. {root}; rm -rf {stage}; fi\n"
        )

    def freeze_layer(self, name: str) -> None:
        """Make what was written since the last layer the new layer `name`."""
        self._within(f"mv upper layers/{shlex.quote(name)}\nrm -rf work filler\n")

    def _mount_disk(self, forget_but: Sequence[str] | None = None) -> str:
        """Shell lines that mount the disk with its folders, forgetting all but some layers when given."""
        mounted = shlex.quote(str(self.mounted))
        upper, work, layers, filler = (f"{mounted}/{name}" for name in ("upper", "work", "layers", "filler"))
        forget = ""
        if forget_but is not None:
            kept = "".join(f" ! -name {shlex.quote(layer)}" for layer in forget_but)
            forget = f"rm -rf {upper} {work} {filler}\n[ ! -d {layers} ] || "
            forget += f"find {layers} -mindepth 1 -maxdepth 1{kept} -exec rm -rf {{}} +\n"
        mount = f"mount -o loop,noatime {shlex.quote(str(self.file))} {mounted}\n"
        return f"{mount}{forget}mkdir -p {upper} {work} {layers}\n"

    def _within(self, script: str) -> None:
        """Run shell lines in the mounted disk, which nobody else sees and which is unmounted with them."""
        self.wait_free()
        lines = f"set -e\n{self._mount_disk()}cd {shlex.quote(str(self.mounted))}\n{script}"
        run([*_PRIVATE, "sh", "-c", lines], timeout=120)
        self.wait_free()

    def wait_free(self) -> None:
        """Wait until nothing has the disk mounted: a dead host's mounts go a moment after its last process.

        Raises:
            FailedError: Something keeps it.
        """
        release_loops(self.file)


def in_private_namespace(command: Sequence[str]) -> list[str]:
    """`command` with mounts of its own that nobody else sees. Pure."""
    return [*_PRIVATE, *command]


def mounts_below(folder: Path, mountinfo: str | None = None) -> list[Path]:
    """Mount points in or at `folder` that this machine's own namespace has, the last mounted first."""
    text = mountinfo if mountinfo is not None else Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape")
    points = [Path(line.split()[4]) for line in text.splitlines() if line]
    return [point for point in reversed(points) if point == folder or folder in point.parents]


def unmount_below(folder: Path) -> None:
    """Unmount everything in `folder`."""
    for point in mounts_below(folder):
        run(["umount", str(point)])


def release_loops(path: Path, *, seconds: float = 15.0) -> None:
    """Wait until no loop device has the file `path`, or a file in the folder `path`; detach what stays.

    Raises:
        FailedError: Something keeps one busy.
    """
    deadline = time.monotonic() + seconds
    while loops := loop_devices(path):
        if time.monotonic() > deadline:
            raise FailedError(
                f"loop devices {', '.join(loops)} are still busy with {path}",
                code="lab.loop_busy",
                hints=["`lsns -t mnt` lists who has mounts of its own; one of them keeps it"],
            )
        time.sleep(0.01)
        for device in loops:
            with contextlib.suppress(FailedError):
                run(["losetup", "--detach", device])


def loop_devices(path: Path) -> list[str]:
    """Loop devices whose file is `path`, or lies in the folder `path`."""
    text = run(["losetup", "--list", "--json", "--output", "NAME,BACK-FILE"])
    devices = json.loads(text)["loopdevices"] if text.strip() else []
    found = []
    for device in devices:
        file = Path(str(device["back-file"] or "/").removesuffix(" (deleted)"))
        if file == path or path in file.parents:
            found.append(str(device["name"]))
    return found

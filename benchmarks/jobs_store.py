"""A small file system of its own for checkpoints, which all hosts see, and which can stall and fill up for real."""

import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .jobs_site import Site
from .measurement import BrokenError

THERE = "/var/store"
"""Where hosts see it."""

_MIB = 192


class Store:
    """One ext4, mounted here and in the hosts: one kernel, so one file system."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._image = site.lab.folder / "store.img"
        self._frozen = False
        # Mounted for a process of its own: hosts of any lab that boot meanwhile would take a mount of ours along.
        words = ("unshare", "--mount", "--propagation", "private", "sh", "-c", "echo; read _")
        self._keeper = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._keeper.stdout is not None
        self._keeper.stdout.readline()
        place = site.lab.folder / "store"
        place.mkdir(exist_ok=True)
        self._here = Path(f"/proc/{self._keeper.pid}/root{place}")
        self._image.unlink(missing_ok=True)  # an earlier one may still be mounted
        with self._image.open("wb") as file:
            file.truncate(_MIB << 20)
        _run("mkfs.ext4", "-q", "-m", "0", "-F", str(self._image))
        self._device = _run("losetup", "--find", "--show", str(self._image)).strip()
        _run("nsenter", "--target", str(self._keeper.pid), "--mount", "mount", self._device, str(place))

    @property
    def folder(self) -> Path:
        """Where this machine sees it."""
        return self._here

    def show_to(self, nodes: Iterable[str]) -> None:
        """Mount it in hosts that run; again after they were off."""
        number = Path(self._device).stat().st_rdev
        major, minor = os.major(number), os.minor(number)
        line = (
            f"mkdir -p {THERE}; umount -l {THERE} 2>/dev/null; rm -f /dev/store; "
            f"mknod /dev/store b {major} {minor} && mount -t ext4 /dev/store {THERE}"
        )
        for node in nodes:
            _run(
                "nsenter",
                "--target",
                _init_of(self._site.lab.state.host(node).address),
                "--mount",
                "--root",
                "--",
                "/bin/sh",
                "-c",
                line,
            )

    def freeze(self) -> None:
        """Whoever writes stands still."""
        _run("fsfreeze", "--freeze", str(self._here))
        self._frozen = True

    def thaw(self) -> None:
        """They go on."""
        if self._frozen:
            _run("fsfreeze", "--unfreeze", str(self._here))
        self._frozen = False

    def fill(self) -> None:
        """Leave no free block."""
        subprocess.run(
            ["dd", "if=/dev/zero", f"of={self._here / 'filler'}", "bs=1M"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=120,
        )
        subprocess.run(["sync", "-f", str(self._here)], check=False, timeout=60)

    def empty(self) -> None:
        """Give the blocks back."""
        (self._here / "filler").unlink(missing_ok=True)

    def close(self) -> None:
        """Take it away here; hosts that still run keep it until they end."""
        self.thaw()
        self._keeper.communicate()
        subprocess.run(["losetup", "--detach", self._device], check=False, timeout=60)


@contextmanager
def store(site: Site, nodes: Iterable[str]) -> Iterator[Store]:
    """A store that those hosts see, away afterwards."""
    made = Store(site)
    try:
        made.show_to(nodes)
        yield made
    finally:
        made.close()


def _init_of(address: str) -> str:
    """The process that is number 1 in the host with that address.

    Raises:
        BrokenError: It does not run.
    """
    for status in [one / "status" for one in Path("/proc").glob("[0-9]*")]:
        with suppress(OSError):
            numbers = next(line for line in status.read_text().splitlines() if line.startswith("NSpid:")).split()[1:]
            if len(numbers) > 1 and numbers[-1] == "1" and f" {address}\n" in _addresses(status.parent):
                return status.parent.name
    raise BrokenError(f"no host with {address} runs")


def _addresses(process: Path) -> str:
    """The addresses in the network of a process, one a line after a blank."""
    text = (process / "net/fib_trie").read_text()
    return "".join(f" {line.split()[-1]}\n" for line in text.splitlines() if "|--" in line)


def _run(*words: str) -> str:
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise BrokenError(f"{' '.join(words)}: {done.stderr}{done.stdout}")
    return done.stdout

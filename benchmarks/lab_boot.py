"""The lab: how fast hosts boot, go back to a snapshot and go away, and what 32 of them cost.

`python -m benchmarks.lab_boot [--full]`. With `--full` the base image is built first, from the mirror.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from aiops.layers.core.errors import AiopsError
from aiops.layers.l0_nodes.lab import Lab, LabSpec
from aiops.layers.l0_nodes.lab.image import build_image, image_path, machine_recipe

from .measurement import BrokenError, Figure, report

REPEATS = 3
MEMORY_MIB = 4096
"""What 32 hosts get: the limit is set on their control group, so passing it would kill them."""


def seconds(work: Callable[[], object]) -> float:
    """Wall time of `work`."""
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


def up(spec: LabSpec, home: Path) -> tuple[Lab, float]:
    """A lab and the seconds it took; a broken one is removed."""
    begun = time.monotonic()
    try:
        lab = Lab.up(spec, home=home)
    except AiopsError:
        Lab.open(spec.name, home=home).down()
        raise
    return lab, time.monotonic() - begun


def all_answer(lab: Lab) -> None:
    """Raises unless every host answers."""
    silent = [host.name for host in lab.status() if not host.reachable]
    if silent:
        raise BrokenError(f"{', '.join(silent)} do not answer")


def gone(lab: Lab) -> float:
    """Take it down; the seconds, nothing being left."""
    took = seconds(lab.down)
    if lab.remains():
        raise BrokenError(f"left behind: {lab.remains()}")
    return took


def small(home: Path) -> list[Figure]:
    """A head and eight nodes, from the cached image to the last sshd, three times."""
    ups, downs = [], []
    for _ in range(REPEATS):
        lab, took = up(LabSpec("bench-small", nodes=8), home)
        ups.append(took)
        all_answer(lab)
        downs.append(gone(lab))
    return [
        Figure("9 hosts up, from the cached image to sshd", "s", tuple(ups), limit=30),
        Figure("9 hosts down, nothing left", "s", tuple(downs)),
    ]


def snapshots(home: Path) -> list[Figure]:
    """Five hosts back to a snapshot with 200 MiB written since, three times."""
    lab = Lab.up(LabSpec("bench-reset", nodes=4), home=home)
    try:
        lab.snapshot("clean")
        resets = []
        for _ in range(REPEATS):
            for host in lab.hosts:
                (lab.root(host.name) / "root/written").write_bytes(os.urandom(200 << 20))
            resets.append(seconds(lambda: lab.reset("clean")))
            all_answer(lab)
            if (lab.root("head") / "root/written").exists():
                raise BrokenError("the reset forgot nothing")
    finally:
        gone(lab)
    return [Figure("5 hosts reset to a snapshot", "s", tuple(resets), limit=5)]


def large(home: Path) -> list[Figure]:
    """32 hosts under a limit of 4 GiB for all of them together."""
    lab, took = up(LabSpec("bench-large", nodes=31, memory_mib=MEMORY_MIB, disk_mib=2048), home)
    try:
        all_answer(lab)
        memory = float(lab.memory_mib or 0)
        written = sum(path.stat().st_blocks * 512 for path in lab.folder.glob("hosts/*/disk.img")) / 2**20
    finally:
        down = gone(lab)
    return [
        Figure("32 hosts up", "s", (took,)),
        Figure("32 hosts, memory with page cache", "MiB", (memory,), limit=MEMORY_MIB),
        Figure("32 hosts, disk really written", "MiB", (written,)),
        Figure("32 hosts down, nothing left", "s", (down,)),
    ]


def image() -> list[Figure]:
    """The base image, built from the mirror into an empty home."""
    with tempfile.TemporaryDirectory(prefix="aiops-bench-", dir="/var/tmp") as folder:
        home = Path(folder)
        took = seconds(lambda: build_image(home, machine_recipe()))
        size = subprocess.run(
            ["du", "-sm", image_path(home, machine_recipe())], capture_output=True, text=True, check=True, timeout=60
        ).stdout.split()[0]
    return [Figure("base image built", "s", (took,)), Figure("base image", "MiB", (float(size),))]


def main() -> int:
    """Measure all of it."""
    home = Path(os.environ.get("AIOPS_TEST_HOME", "/var/tmp/aiops-tests"))  # noqa: S108 - root's own, kept for its image
    figures = image() if "--full" in sys.argv[1:] else []
    build_image(home, machine_recipe())
    figures += small(home) + snapshots(home) + large(home)
    return report("lab_boot", figures, simulated="hosts (containers that share this machine's kernel)")


if __name__ == "__main__":
    sys.exit(main())

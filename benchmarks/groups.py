"""Several kinds of nodes in one inventory: one deploy for all, each as its group should be.

A head and four groups of one worker each: eight accelerators, four of another model, none, and another release of
Debian. The deploy converges; a second one changes nothing; Slurm gives each group's devices and refuses what a group
has not; drivers are only where devices are. Then a device falls off one node's bus, and the inventory wants of two
others what they are not: all three are named with their group, and nothing changes on the others.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from aiops.cli.app import App
from aiops.layers.l0_nodes.lab import Lab

from .cluster_rig import SIMULATED, Rig
from .measurement import BrokenError, Figure, Ran, aiops, report

NAME = "groups"
GROUPS = ("h200=1,nvidia:8:H200", "l40s=1,nvidia:4:L40S", "cpu=1", "new=1,trixie")
RELEASES = ("bookworm", "trixie")
JOBS: Sequence[tuple[str, bool]] = (
    ("-w h200-01 --gres=gpu:8", True),
    ("-w l40s01 --gres=gpu:8", False),
    ("--gres=gpu:h200:8", True),
    ("--gres=gpu:l40s:4", True),
    ("-w l40s01 --gres=gpu:h200:1", False),
    ("-w cpu01", True),
    ("-w cpu01 --gres=gpu:1", False),
    ("-w new01", False),
)
"""What is asked of srun, and whether Slurm should give it."""


@contextmanager
def rig() -> Iterator[Rig]:
    """The lab, and a bundle for both releases; the lab is removed afterwards."""
    app = App(os.environ)
    aiops("lab", "down", "--name", NAME, "-q", expect=(0, 6))
    try:
        aiops("lab", "up", "--name", NAME, "-q", *(word for group in GROUPS for word in ("--group", group)))
        releases = (word for release in RELEASES for word in ("--for", release))
        aiops("cluster", "bundle", "build", "--simulated", "nvidia", "-q", *releases)
        yield Rig(Lab.open(NAME, home=app.home, vendors=app.vendors()))
    finally:
        aiops("lab", "down", "--name", NAME, "-q", expect=(0, 6))


def changed(ran: Ran) -> int:
    """How many (phase, node) pairs a deploy changed."""
    return sum(one["outcome"] == "changed" for one in json.loads(ran.stdout)["results"])


def on_head(made: Rig, line: str) -> Ran:
    """Run a shell line on the head."""
    return aiops("node", "exec", "-i", made.inventory, "--on", "head", "-q", "--", "sh", "-c", line, expect=(0, 1))


def jobs_as_they_should(made: Rig) -> int:
    """How many of `JOBS` Slurm places or refuses as it should; it has a minute to see its nodes."""
    on_head(made, "for n in $(seq 60); do [ $(sinfo -h -N -o %t | sort -u) = idle ] && break; sleep 1; done")
    right = 0
    for options, fits in JOBS:
        placed = on_head(made, f"srun --immediate=20 {options} hostname").exit_status == 0
        right += placed is fits
        print(f"srun {options}: {'placed' if placed else 'refused'}", file=sys.stderr)
    return right


def with_driver(made: Rig) -> set[str]:
    """The nodes on which any package of a driver is installed."""
    line = "dpkg-query -W -f '${Package} ' 'nvidia-driver-*' 2>/dev/null || true"
    ran = aiops("node", "exec", "-i", made.inventory, "--json", "--", "sh", "-c", line)
    return {one["node"] for one in json.loads(ran.stdout)["results"] if one["stdout"].strip()}


def wrong(made: Rig) -> tuple[Mapping[str, str], int]:
    """Make three nodes unlike what is expected; why a deploy leaves nodes out, and how much it changes."""
    made.lab.fault("l40s01", "device-lost", device=2)
    document: dict[str, Any] = yaml.safe_load(made.lab.inventory_path.read_text("utf-8"))
    groups = document["all"]["children"]["workers"]["children"]
    groups["cpu"]["vars"]["aiops_expect"]["nics"] = [{"kind": "infiniband", "count": 8, "speed_gbit": 400}]
    del groups["new"]["vars"]["aiops_engine"]
    inventory = made.lab.folder / "unlike.yml"
    inventory.write_text(json.dumps(document), "utf-8")  # JSON is YAML
    ran = aiops("cluster", "deploy", str(inventory), "--yes", "--json", "--only", "base", expect=(1,))
    refused = {one["node"]: one["reason"] for one in json.loads(ran.stdout)["failures"]}
    planned = aiops("cluster", "plan", str(inventory), "--json", expect=(3,))
    refused |= {one["node"]: one["reason"] for one in json.loads(planned.stdout)["failures"]}
    made.lab.heal("l40s01")
    return refused, changed(ran)


EXPECTED = {
    "l40s01": "3 nvidia devices on the bus, 4 expected of group `l40s`",
    "cpu01": "0 active InfiniBand ports, 8 expected of group `cpu`",
    "new01": "the head's Slurm 22.05 does not understand its Slurm 24.11, only its own release and the 2 before",
}


def main() -> int:
    """Measure and report."""
    with rig() as made:
        first = made.deploy()
        second = made.deploy()
        right = jobs_as_they_should(made)
        driven = with_driver(made)
        refused, touched = wrong(made)
    if driven != {"h200-01", "l40s01"}:
        raise BrokenError(f"driver packages are on {sorted(driven)}")
    if refused != EXPECTED:
        raise BrokenError(f"left out: {refused}")
    return report(
        Path(__file__).stem,
        [
            Figure("first deploy of a head and four kinds of workers", "s", (first.seconds,)),
            Figure("second deploy", "s", (second.seconds,)),
            Figure("changed by the second deploy", "steps", (changed(second),), limit=0),
            Figure("jobs placed or refused as they should", "", (right,), limit=len(JOBS), at_least=True),
            Figure("nodes unlike their group, named with it", "", (len(refused),), limit=len(EXPECTED), at_least=True),
            Figure("changed meanwhile on the others", "steps", (touched,), limit=0),
        ],
        simulated=SIMULATED,
        details=[{"groups": list(GROUPS), "refused": dict(refused)}],
    )


if __name__ == "__main__":
    sys.exit(main())

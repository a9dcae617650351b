"""A deploy to 8 nodes and a head: it converges, is idempotent, and costs little more than plain Ansible would.

Each round begins with bare hosts (the lab is reset), so that the figures are of first deploys.
"""

import json
import os
import sys
from pathlib import Path

from aiops.cli.app import App
from aiops.layers.l0_nodes.lab import Lab

from .measurement import BrokenError, Figure, Ran, aiops, report

NAME = "benchmark"
NODES = 8
ROUNDS = 3


def changed(ran: Ran) -> set[tuple[str, str]]:
    """The (phase, node) pairs that a deploy changed, of its JSON answer."""
    return {(one["phase"], one["node"]) for one in json.loads(ran.stdout)["results"] if one["outcome"] == "changed"}


def main() -> int:
    """Measure and report."""
    app = App(os.environ)
    firsts, seconds, plans = [], [], []
    aiops("lab", "down", "--name", NAME, "-q")
    aiops("lab", "up", "--name", NAME, "--nodes", str(NODES), "--accelerator", "nvidia:8", "-q")
    try:
        lab = Lab.open(NAME, home=app.home, vendors=app.vendors())
        inventory = str(lab.inventory_path)
        aiops("cluster", "bundle", "build", "--simulated", "nvidia", "-q")
        for number in range(ROUNDS):
            if number:
                lab.reset()
            plans.append(aiops("cluster", "plan", inventory, "--json"))
            firsts.append(aiops("cluster", "deploy", inventory, "--yes", "--json"))
            seconds.append(aiops("cluster", "deploy", inventory, "--yes", "--json"))
            if changed(seconds[-1]):
                raise BrokenError(f"the second deploy changed {sorted(changed(seconds[-1]))}")
    finally:
        aiops("lab", "down", "--name", NAME, "-q")
    first = Figure(f"first deploy, {NODES} nodes and a head", "s", tuple(one.seconds for one in firsts))
    second = Figure("second deploy, nothing to change", "s", tuple(one.seconds for one in seconds))
    return report(
        Path(__file__).stem,
        [
            Figure("plan of bare nodes", "s", tuple(one.seconds for one in plans), limit=15),
            first,
            second,
            Figure("second over first", "", (second.median / first.median,), limit=0.4),
        ],
        simulated="accelerators and their driver packages; hosts share this machine's kernel and clock",
    )


if __name__ == "__main__":
    sys.exit(main())

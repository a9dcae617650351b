"""What each level of `aiops health` takes of a node, on a lab of 8 nodes with 8 simulated GPUs each.

A round of one node at a time, so that what is measured is the node's and not the queue of many on one machine. At
`deep` only what the lab's hosts have is tested, the simulated dcgmi; what is not there is kept beside the figures.
"""

import os
import sys
from pathlib import Path

from aiops.cli.app import App
from aiops.layers.l1_cluster.health.catalogue import checks_of
from aiops.layers.l1_cluster.health.round import QUICK_SECONDS, Report, Round
from aiops.layers.l1_cluster.health.rules import Rules
from aiops.layers.l1_cluster.health.verdict import LEVELS, Level

from .measurement import BrokenError, Figure, aiops, report

NAME = "levels"
NODES, DEVICES, ROUNDS = 8, 8, 3
DRIVER = "580.95.05"


def looked(app: App, inventory: Path, level: Level) -> list[Report]:
    """A report of each node and round.

    Raises:
        BrokenError: A node did not answer.
    """
    read = app.inventory(inventory)
    nodes = [node for node in read.nodes if "workers" in node.roles]
    found = []
    with app.fleet(read) as fleet:
        round_ = Round(fleet, app.vendors(), checks_of(app.plugins), Rules(), app.clock, level)
        for node in nodes * ROUNDS:
            told = round_.make([node])
            if told.errors:
                raise BrokenError(f"{node.name} did not answer: {told.errors[node.name]}")
            late = [
                one.check for one in told.findings if "deadline" in one.message or "no answer within" in one.message
            ]
            if late:
                raise BrokenError(f"{node.name} did not answer {', '.join(late)} in time")
            found.append(told)
    return found


def main() -> int:
    """Measure and report."""
    aiops("lab", "down", "--name", NAME, "-q", expect=(0, 6))
    words = ("--nodes", str(NODES), "--accelerator", f"nvidia:{DEVICES}", "--driver", DRIVER, "-q")
    aiops("lab", "up", "--name", NAME, *words)
    figures: list[Figure] = []
    details: list[object] = []
    try:
        app = App(os.environ)
        inventory = Path(aiops("lab", "inventory", "--name", NAME).stdout.strip())
        for level in LEVELS:
            reports = looked(app, inventory, level)
            taken = tuple(one.seconds for one in reports)
            limit = QUICK_SECONDS if level == "quick" else None
            figures += [
                Figure(f"{level}: a node, {reports[0].checks} checks", "s", taken, limit),
                Figure(f"{level}: the slowest of {len(taken)}", "s", (max(taken),), limit),
            ]
            missing = {tool for one in reports for tools in one.untested.values() for tool in tools.values()}
            if missing:
                details.append({"level": level, "not tested, for the tool is not there": sorted(missing)})
    finally:
        aiops("lab", "down", "--name", NAME, "-q", expect=(0, 6))
    simulated = "accelerators, nvidia-smi, dcgmi; hosts share this machine's processors"
    return report(Path(__file__).stem, figures, simulated=simulated, details=details)


if __name__ == "__main__":
    sys.exit(main())

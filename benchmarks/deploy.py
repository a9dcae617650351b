"""A deploy to 8 nodes and a head: it converges, is idempotent, and costs little more than plain Ansible would.

Each round begins with bare hosts (the lab is reset), so that the figures are of first deploys. Then the hosts are bare
again, and plain `ansible-playbook` runs the same `apply.yml` for the same phases, one after another, with the same
forks, pipelining, shared connections and bundle, on what `aiops cluster plan --write` has written for it.

`python -m benchmarks.deploy --nodes 32 --rounds 1` keeps its figures as deploy_32.json.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from aiops.layers.l0_nodes.settings import Settings

from .cluster_rig import SIMULATED, Rig, rig
from .measurement import BrokenError, Figure, Ran, report

NAME = "benchmark"
SLOWER = {8: 1.1, 32: 1.0}
"""How much of plain Ansible's time a first deploy may take, by the number of workers."""


def changed(ran: Ran) -> set[tuple[str, str]]:
    """The (phase, node) pairs that a deploy changed, of its JSON answer."""
    return {(one["phase"], one["node"]) for one in json.loads(ran.stdout)["results"] if one["outcome"] == "changed"}


def planned_phases(ran: Ran) -> list[str]:
    """The phases in which a plan changes something."""
    phases: list[dict[str, Any]] = json.loads(ran.stdout)["plan"]["phases"]
    return [one["phase"] for one in phases if one["changes"]]


def plain(made: Rig) -> tuple[float, float]:
    """Seconds, and seconds of processor, that plain ansible-playbook takes for all phases; the hosts must be bare."""
    with tempfile.TemporaryDirectory(prefix="aiops-bench-") as name:
        folder = Path(name) / "plan"
        phases = planned_phases(made.plan("--write", str(folder)))
        ran = [made.plain(folder, phase, Settings().forks) for phase in phases]
    left = planned_phases(made.plan())
    if left:
        raise BrokenError(f"plain ansible-playbook left {', '.join(left)} to do")
    return sum(one.seconds for one in ran), sum(one.cpu for one in ran)


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=8, help="workers; the head comes on top")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    firsts, seconds, plans, plains = [], [], [], []
    with rig(NAME, options.nodes) as made:
        for number in range(options.rounds):
            if number:
                made.lab.reset()
            plans.append(made.plan().seconds)
            firsts.append(made.deploy())
            second = made.deploy()
            if changed(second):
                raise BrokenError(f"the second deploy changed {sorted(changed(second))}")
            seconds.append(second.seconds)
            made.lab.reset()
            plains.append(plain(made))
    first = Figure(f"first deploy, {options.nodes} nodes and a head", "s", tuple(one.seconds for one in firsts))
    first_cpu = Figure("first deploy, the controller's processor", "CPU-s", tuple(one.cpu for one in firsts))
    again = Figure("second deploy, nothing to change", "s", tuple(seconds))
    ansible = Figure("the same by plain ansible-playbook", "s", tuple(seconds for seconds, _ in plains))
    ansible_cpu = Figure("plain ansible-playbook, the controller's processor", "CPU-s", tuple(cpu for _, cpu in plains))
    return report(
        Path(__file__).stem + ("" if options.nodes == parser.get_default("nodes") else f"_{options.nodes}"),
        [
            Figure("plan of bare nodes", "s", tuple(plans), limit=15),
            first,
            again,
            Figure("second over first", "", (again.median / first.median,), limit=0.4),
            ansible,
            Figure(
                "first over plain ansible-playbook",
                "",
                (first.median / ansible.median,),
                limit=SLOWER.get(options.nodes),
            ),
            first_cpu,
            ansible_cpu,
            Figure("first over plain ansible-playbook, processor", "", (first_cpu.median / ansible_cpu.median,)),
        ],
        simulated=SIMULATED,
    )


if __name__ == "__main__":
    sys.exit(main())

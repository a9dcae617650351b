"""A deploy to 8 nodes and a head: it converges, is idempotent, and costs little more than plain Ansible would.

Each round begins with bare hosts (the lab is reset), so that the figures are of first deploys. Then the hosts are bare
again, and plain `ansible-playbook` runs the same `apply.yml` for the same phases, one after another, with the same
forks, pipelining, shared connections and bundle, on what `aiops cluster plan --write` has written for it. That a deploy
looks at the nodes and works out what is to be done is in its time, so the plan that plain Ansible is given is counted
there too; beside it stands the ratio to the playbooks alone. Who begins alternates from round to round: the first of a
round finds the machine's file cache colder.

`python -m benchmarks.deploy --nodes 32 --rounds 1` keeps its figures as deploy_32.json.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Plain:
    """What plain ansible-playbook took, seconds and seconds of processor; the plan that it was given by itself."""

    seconds: float
    cpu: float
    planned: float


@dataclass(frozen=True, slots=True)
class Ours:
    """A plan of bare nodes, a deploy to them, and a second one."""

    plan: Ran
    first: Ran
    second: Ran


def plain(made: Rig) -> Plain:
    """All phases by plain ansible-playbook; the hosts must be bare."""
    with tempfile.TemporaryDirectory(prefix="aiops-bench-") as name:
        folder = Path(name) / "plan"
        planned = made.plan("--write", str(folder))
        ran = [made.plain(folder, phase, Settings().forks) for phase in planned_phases(planned)]
    left = planned_phases(made.plan())
    if left:
        raise BrokenError(f"plain ansible-playbook left {', '.join(left)} to do")
    return Plain(sum(one.seconds for one in ran), sum(one.cpu for one in ran), planned.seconds)


def ours(made: Rig) -> Ours:
    """The same by aiops; the hosts must be bare."""
    done = Ours(made.plan(), made.deploy(), made.deploy())
    if changed(done.second):
        raise BrokenError(f"the second deploy changed {sorted(changed(done.second))}")
    return done


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=8, help="workers; the head comes on top")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    deploys, plains = [], []
    with rig(NAME, options.nodes) as made:
        for number in range(options.rounds):
            for turn in range(2):
                if number or turn:
                    made.lab.reset()
                if (number + turn) % 2:
                    plains.append(plain(made))
                else:
                    deploys.append(ours(made))
    firsts = [one.first for one in deploys]
    first = Figure(f"first deploy, {options.nodes} nodes and a head", "s", tuple(one.seconds for one in firsts))
    first_cpu = Figure("first deploy, the controller's processor", "CPU-s", tuple(one.cpu for one in firsts))
    again = Figure("second deploy, nothing to change", "s", tuple(one.second.seconds for one in deploys))
    ansible = Figure("the same by plain ansible-playbook", "s", tuple(one.seconds for one in plains))
    planned = Figure(
        "likewise, with the plan that it is given", "s", tuple(one.seconds + one.planned for one in plains)
    )
    plain_cpu = Figure("plain ansible-playbook, the controller's processor", "CPU-s", tuple(one.cpu for one in plains))
    return report(
        Path(__file__).stem + ("" if options.nodes == parser.get_default("nodes") else f"_{options.nodes}"),
        [
            Figure("plan of bare nodes", "s", tuple(one.plan.seconds for one in deploys), limit=15),
            first,
            again,
            Figure("second over first", "", (again.median / first.median,), limit=0.4),
            ansible,
            planned,
            Figure(
                "first over plain ansible-playbook with its plan",
                "",
                (first.median / planned.median,),
                limit=SLOWER.get(options.nodes),
            ),
            Figure("first over the playbooks alone", "", (first.median / ansible.median,)),
            first_cpu,
            plain_cpu,
            Figure("first over plain ansible-playbook, processor", "", (first_cpu.median / plain_cpu.median,)),
        ],
        simulated=SIMULATED,
    )


if __name__ == "__main__":
    sys.exit(main())

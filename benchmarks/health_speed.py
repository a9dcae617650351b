"""How fast `aiops health` looks at nodes: 32 lab hosts beside other ways to ask them, and 1,000 nodes at once.

`python -m benchmarks.health_speed [--nodes 32] [--rounds 3] [--many 1000]`.

On the lab hosts, which have eight simulated GPUs and their driver each, clush runs the very same probe with the very
same asks, and Ansible gathers its facts, all with as many connections at once and in turn. `aiops health` is measured
as it is typed: it starts, asks, judges, remembers, and tells.

The 1,000 nodes are loopback addresses behind a real sshd, see `loopback_nodes`. Each answers after a second with what a
lab host has recorded, made as large as a large node's answer. What sshd and the answering cost is not counted, but it
is done by the same processors.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from aiops.cli.app import App
from aiops.layers.core.command import Command
from aiops.layers.l0_nodes import shell
from aiops.layers.l0_nodes.inventory import Inventory
from aiops.layers.l0_nodes.lab import Lab
from aiops.layers.l0_nodes.lab.identity import login_key
from aiops.layers.l0_nodes.probe import command
from aiops.layers.l1_cluster.health.catalogue import checks_of
from aiops.layers.l1_cluster.health.round import Round
from aiops.layers.l1_cluster.health.rules import Rules

from .full_record import full_size
from .loopback_nodes import loopback_nodes
from .measurement import BrokenError, Figure, Ran, aiops, report, run

NAME = "health-speed"
DRIVER = "580.95.05"
DEVICES = 8
FORKS = 64
ANSWERS_AFTER = 1.0
CLUSH = Path(sys.executable).with_name("clush")
ANSIBLE = Path(sys.executable).with_name("ansible")
JUDGED = (0, 3, 4)
"""How `aiops health` ends when it has looked: bare hosts lack what a deploy brings."""


def question(app: App, inventory: Inventory) -> Command:
    """What `aiops health` runs on a worker at its level `standard`."""
    round_ = Round(app.fleet(inventory), app.vendors(), checks_of(app.plugins), Rules(), app.clock)
    return command(inventory.nodes[-1], round_.asks(round_.made))


def answer(app: App, inventory: Inventory, asked: Command) -> bytes:
    """What the last worker answers.

    Raises:
        BrokenError: It does not.
    """
    with app.fleet(inventory) as fleet:
        done = fleet.transport(inventory.nodes[-1]).run(asked)
    if not done.ok:
        raise BrokenError(f"the probe failed: {done.error_text}")
    return done.stdout


def health(inventory: Path, count: int) -> Ran:
    """`aiops health`, every node of which answers.

    Raises:
        BrokenError: One did not.
    """
    ran = aiops("health", "--json", "-q", "--forks", str(FORKS), "-i", str(inventory), expect=JUDGED)
    told = json.loads(ran.stdout)
    silent = [one["node"] for one in told["findings"] if one["check"] == "node.reachable"]
    if silent or len(told["nodes"]) != count:
        raise BrokenError(f"{len(silent)} of {len(told['nodes'])} nodes did not answer; {count} were to")
    return ran


def beside(lab: Lab, asked: Command, rounds: int) -> tuple[list[Figure], float]:
    """The same hosts by aiops, clush and Ansible in turn; the figures, and aiops' wall time over that of clush."""
    count = len(lab.hosts)
    ours: list[Ran] = []
    plain: list[Ran] = []
    facts: list[Ran] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = folder / "probe.py"
        program.write_bytes(asked.stdin)
        options = f"-i {login_key(lab.folder)} -o UserKnownHostsFile={lab.folder / 'known_hosts'} -o IdentitiesOnly=yes"
        hosts = ",".join(host.address for host in lab.hosts)
        clush: tuple[str | Path, ...] = (
            CLUSH,
            "-q",
            "-f",
            str(FORKS),
            "-l",
            "root",
            "-o",
            options,
            "-w",
            hosts,
            shell.line(shell.words(asked)),
        )
        settings = {"ANSIBLE_SSH_CONTROL_PATH_DIR": str(folder / "kept"), "ANSIBLE_SSH_ARGS": "-o ControlMaster=no"}
        ansible: tuple[str | Path, ...] = (
            *("env", *(f"{key}={value}" for key, value in settings.items())),
            *(ANSIBLE, "-i", lab.inventory_path, "all", "-f", str(FORKS), "-m", "setup"),
        )
        health(lab.inventory_path, count)  # the first look makes the store and the cache of the inventory
        for _ in range(rounds):
            ours.append(health(lab.inventory_path, count))
            plain.append(run(*clush, stdin=program))
            answered = plain[-1].stdout.count('{"aiops_probe": 1,')
            if answered != count:
                raise BrokenError(f"{answered} of {count} hosts answered clush")
            facts.append(run(*ansible))
    figures = [
        figure
        for who, several in (("aiops health", ours), ("clush, the same probe", plain), ("ansible -m setup", facts))
        for figure in (
            Figure(f"{who}, {count} hosts", "s", tuple(one.seconds for one in several)),
            Figure(f"{who}, CPU per host", "s", tuple(one.cpu / count for one in several)),
        )
    ]
    return figures, figures[0].median / figures[2].median


def many(recorded: bytes, count: int) -> list[Figure]:
    """As many nodes as `count`, once."""
    with loopback_nodes(count, recorded, ANSWERS_AFTER) as inventory:
        ran = health(inventory, count)
    return [
        Figure(f"aiops health, {count} nodes, {FORKS} connections", "s", (ran.seconds,), limit=60),
        Figure(f"aiops health, {count} nodes, CPU per node", "s", (ran.cpu / count,), limit=0.08),
        Figure(f"aiops health, {count} nodes, memory", "MiB", (ran.peak_mib,), limit=300),
        Figure("a node's answer", "kB", (len(recorded) / 1000,)),
    ]


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=32, help="hosts of the lab, its head among them")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--many", type=int, default=1000, help="loopback addresses")
    chosen = parser.parse_args()
    app = App(os.environ)
    aiops("lab", "down", "--name", NAME, "-q", expect=(0, 6))
    words = ("--nodes", str(chosen.nodes - 1), "--accelerator", f"nvidia:{DEVICES}", "--driver", DRIVER)
    aiops("lab", "up", "--name", NAME, *words, "-q")
    try:
        lab = Lab.open(NAME, home=app.home, vendors=app.vendors())
        inventory = app.inventory(lab.inventory_path)
        asked = question(app, inventory)
        recorded = full_size(answer(app, inventory, asked))
        figures, ratio = beside(lab, asked, chosen.rounds)
    finally:
        aiops("lab", "down", "--name", NAME, "-q", expect=(0, 6))
    return report(
        Path(__file__).stem,
        [
            *figures,
            Figure("aiops health over clush, wall time", "×", (ratio,), limit=1.5),
            *many(recorded, chosen.many),
        ],
        simulated="accelerators and their tools; hosts share this machine; of the many nodes all but the connections",
    )


if __name__ == "__main__":
    sys.exit(main())

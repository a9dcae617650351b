"""Two nodes join eight, one leaves and is reset, then the whole cluster is reset and deployed anew.

Shown: a node that joins changes nothing on the others but the files that list nodes, by the run's own journal and by a
digest of every file; a node that was reset has the names, rights, contents, packages, accounts and units of before the
first deploy.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from .cluster_rig import SIMULATED, Rig, rig
from .measurement import BrokenError, Figure, Ran, aiops, report

NAME = "bench-members"
VOLATILE = {
    "proc": "the kernel's",
    "sys": "the kernel's",
    "dev": "devices",
    "run": "of this boot only",
    "tmp": "of this boot only",
    "var/tmp": "systemd makes a folder per service there",
    "var/log": "logs tell what happened; removing packages is told there too",
    "var/lib/systemd": "timers note when they ran",
    "etc/.updated": "systemd notes that it has booted",
    "var/cache/apt": "apt makes its caches anew from what is installed",
    "var/cache/ldconfig/aux-cache": "likewise ldconfig",
    "var/lib/apt/lists/auxfiles": "a folder that apt makes when it first downloads",
    "var/lib/dpkg/status-old": "dpkg's backup of before its last change",
    "var/lib/dpkg/statoverride-old": "likewise",
    "var/cache/debconf/templates.dat-old": "likewise debconf's",
    "var/cache/debconf/config.dat-old": "likewise",
    "var/lib/ucf": "ucf's numbered backups of its list of settings files",
}
"""What is left out of the comparison with the time before the first deploy, and why."""

AT_WORK = {
    **VOLATILE,
    "var/lib/aiops": "the fence's number and the undo memory, which change with every deploy",
    "var/lib/prometheus": "samples",
    "var/lib/slurm": "what slurmctld writes down of nodes and jobs",
    "var/spool": "slurmd's and cron's work",
    "var/lib/chrony": "how fast the clock goes",
}
"""What is left out besides while the cluster is at work."""

LISTS = (
    "/etc/hosts",
    "/etc/slurm/slurm.conf",
    "/etc/slurm/gres.conf",
    "/etc/prometheus/targets/nodes.json",
    "/etc/prometheus/targets/dcgm.json",
    "/etc/chrony/chrony.conf",
)
"""The files that list the nodes of the cluster."""

LEAST_LINES = 10000
"""A host has more files than that; fewer mean that it was not looked at."""

Listing = Mapping[str, frozenset[str]]
"""By node, a line for each path, package, account and unit."""


def listing(made: Rig, leave: Iterable[str], nodes: Iterable[str] | None = None) -> Listing:
    """Everything that is on the hosts but `leave`."""
    pruned = " -o ".join(f"-path ./{path}" for path in leave)
    line = (
        f"cd / && find . \\( {pruned} \\) -prune -o -printf 'path %p %y %m %U %G %l\\n';"
        f" find . \\( {pruned} \\) -prune -o -type f -print0 | xargs -0 sha256sum;"
        " dpkg-query --show --showformat='package ${Package} ${Version} ${Status}\\n';"
        " apt-mark showhold; apt-mark showauto; sed 's/^/account /' /etc/passwd /etc/group;"
        " systemctl list-unit-files --no-legend --no-pager"
    )
    on = ["--on", ",".join(nodes)] if nodes is not None else []
    words = ["node", "exec", "-i", made.inventory, *on, "--json", "--timeout", "300", "--", "sh", "-c", line]
    found = {one["node"]: frozenset(one["stdout"].splitlines()) for one in json.loads(aiops(*words).stdout)["results"]}
    thin = [node for node, lines in found.items() if len(lines) < LEAST_LINES]
    if thin or not found:
        raise BrokenError(f"what is on {', '.join(thin) or 'the hosts'} could not be listed")
    return found


def paths_of(lines: Iterable[str]) -> set[str]:
    """The paths that lines of a listing are about."""
    found = set()
    for line in lines:
        words = line.split(" ")
        found.add(next((word.removeprefix(".") for word in words if word.startswith("./")), line))
    return found


def differing(before: Listing, after: Listing, title: str, allowed: Callable[[str], bool] = lambda _: False) -> int:
    """How many paths, packages and so on differ between two listings of the same nodes; each is printed."""
    count = 0
    for node, lines in after.items():
        for what in sorted(paths_of(before[node] ^ lines)):
            if not allowed(what):
                print(f"{title}: {node}: {what}")
                count += 1
    return count


def inventory(made: Rig, folder: Path, without: Iterable[str]) -> str:
    """The lab's inventory without some of its hosts."""
    gone = tuple(f"        {node}:" for node in without)
    lines = Path(made.inventory).read_text(encoding="utf-8").splitlines(keepends=True)
    path = folder / f"without-{'-'.join(without) or 'none'}.yml"
    path.write_text("".join(line for line in lines if not line.startswith(gone)), encoding="utf-8")
    return str(path)


def deploy(path: str) -> tuple[Ran, dict[str, set[str]]]:
    """Deploy; what changed, by node."""
    ran = aiops("cluster", "deploy", path, "--yes", "--json", limit=1800)
    events = json.loads(aiops("run", "events", json.loads(ran.stdout)["run"], "--json").stdout)
    changed: dict[str, set[str]] = {}
    for one in events:
        if one["kind"] == "resource_changed":
            changed.setdefault(one["node"], set()).add(one["data"]["key"])
    return ran, changed


def strays(changed: Mapping[str, set[str]], new: Iterable[str], title: str) -> int:
    """How many resources other than lists of nodes changed on nodes that are not `new`; each is printed."""
    found = [
        (node, key)
        for node, keys in changed.items()
        if node not in set(new)
        for key in keys
        if key.removeprefix("file:") not in LISTS
    ]
    for node, key in found:
        print(f"{title}: {node}: {key}")
    return len(found)


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=8, help="workers to begin with; two join later")
    options = parser.parse_args()
    workers = [f"gpu{number:02d}" for number in range(1, options.nodes + 3)]
    new, leaving = workers[-2:], workers[2]
    with rig(NAME, options.nodes + 2) as made:
        folder = Path(made.inventory).parent
        name = made.lab.state.name
        before = listing(made, VOLATILE)
        first, _ = deploy(inventory(made, folder, new))
        old = ["head", *workers[:-2]]
        at_work = listing(made, AT_WORK, old)
        joined, changed = deploy(inventory(made, folder, ()))
        stray = strays(changed, new, "changed though it did not join")
        touched = differing(at_work, listing(made, AT_WORK, old), "touched by the joining", LISTS.__contains__)
        smaller = inventory(made, folder, [leaving])
        left, changed = deploy(smaller)
        stray += strays(changed, (), "changed though only another left")
        unmanaged = json.loads(left.stdout)["unmanaged"]
        one = aiops("cluster", "reset", smaller, "--on", leaving, "--confirm", name, "--json")
        left_over = differing(before, listing(made, VOLATILE, [leaving]), "left over")
        whole = aiops("cluster", "reset", smaller, "--confirm", name, "--json", limit=1800)
        left_over_all = differing(before, listing(made, VOLATILE), "left over after all")
        anew, _ = deploy(inventory(made, folder, ()))
        second = json.loads(made.plan().stdout)["plan"]["phases"]
        again = sum(len(changes) for phase in second for changes in phase["changes"].values())
    count = options.nodes
    return report(
        Path(__file__).stem,
        [
            Figure(f"first deploy of {count} nodes and a head", "s", (first.seconds,)),
            Figure("deploy after two have joined", "s", (joined.seconds,)),
            Figure("resources changed on the others, but lists of nodes", "", (float(stray),), limit=0),
            Figure("files changed on the others, but lists of nodes", "", (float(touched),), limit=0),
            Figure("nodes told to be no longer managed", "", (float(len(unmanaged)),), limit=1, at_least=True),
            Figure("reset of one node", "s", (one.seconds,)),
            Figure("what differs there from before the first deploy", "", (float(left_over),), limit=0),
            Figure(f"reset of the {count + 2} others", "s", (whole.seconds,)),
            Figure("what differs on any node from before", "", (float(left_over_all),), limit=0),
            Figure(f"deploy of all {count + 3} after that", "s", (anew.seconds,)),
            Figure("what a plan would still change then", "", (float(again),), limit=0),
        ],
        simulated=SIMULATED,
    )


if __name__ == "__main__":
    sys.exit(main())

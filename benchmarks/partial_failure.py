"""Who converges and who is retried among 8 workers and a head, first with one dead, then with three that fail.

With one dead host the others must converge, it must be named, and the deploy must end with 1. On bare hosts again, one
is dead, one has a full disk and one reboots midway: the first deploy must end with 1 and name the three with the true
reason, while all others converge. After healing, `--retry-failed` must touch exactly those three: by its answer, by its
events, and by a digest over the file systems of the other hosts, with the times of their files. Then nothing is left
for a deploy of all nodes to change.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from .cluster_rig import SIMULATED, Rig, rig
from .measurement import AIOPS, BrokenError, Figure, aiops, report

NAME = "bench-partial"
DEAD, FULL, REBOOTING = "gpu02", "gpu04", "gpu07"
REASONS = {
    DEAD: ("connect", r"did not answer|no SSH handshake"),
    FULL: ("preflight", r"0 MiB free on /"),
    REBOOTING: ("base", r"it was rebooted during phase `base`, and not by aiops"),
}
PACKAGE = "htop"
"""One of the first phase's: once it is unpacked, the host reboots."""

LIMIT = 300.0
"""Seconds that anything on the way may take before it counts as broken."""

VOLATILE = {
    "proc": "the kernel's",
    "sys": "the kernel's",
    "dev": "devices",
    "run": "of this boot only",
    "shared": "the shared folder: it is the same on all hosts, and retried nodes may write there",
    "tmp": "of this boot only",
    "var/tmp": "systemd makes a folder per service there",
    "var/log": "journal, login records, logs of daemons",
    "var/lib/systemd": "timers note when they ran",
    "var/lib/prometheus": "measurements",
    "var/lib/chrony": "how the clock drifts",
    "var/lib/slurm": "the state of nodes and jobs",
    "var/lib/aiops": "the lock and its history on the head, and what the fence has seen",
    "var/lib/private": "state of services with a user of their own",
    "etc/.updated": "systemd notes that it has booted",
}
"""What is left out of the digest, and why."""


def digests(made: Rig, names: list[str]) -> dict[str, str]:
    """One digest per host over names, modes, owners, times and contents."""
    leave = " -o ".join(f"-path ./{path}" for path in VOLATILE)
    line = (
        f"cd / && {{ find . \\( {leave} \\) -prune -o -type f -printf '%p %m %U %G %T@\\n' | sort; "
        f"find . \\( {leave} \\) -prune -o -type f -print0 | sort -z | xargs -0 sha256sum; }} | sha256sum"
    )
    words = ("node", "exec", "-i", made.inventory, "--on", ",".join(names), "--json", "--timeout", "300")
    ran = aiops(*words, "--", "sh", "-c", line)
    return {one["node"]: one["stdout"] for one in json.loads(ran.stdout)["results"]}


def wait(what: str, condition: Callable[[], bool]) -> None:
    """Wait until `condition` holds.

    Raises:
        BrokenError: It did not within `LIMIT`.
    """
    deadline = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > deadline:
            raise BrokenError(f"waited {LIMIT:.0f} s in vain: {what}")
        time.sleep(0.1)


def first_deploy(made: Rig) -> tuple[dict[str, Any], int, float]:
    """A deploy during which one host reboots by itself: its answer, its exit code and its seconds."""
    words = (AIOPS, "cluster", "deploy", made.inventory, "--yes", "--json")
    start = time.monotonic()
    # A file, for a pipe that nobody reads while the host is waited for would hold the answer up.
    with tempfile.TemporaryFile("w+") as answer, subprocess.Popen(words, stdout=answer) as process:
        try:
            packages = made.lab.root(REBOOTING) / "var/lib/dpkg/info"
            wait(
                f"{REBOOTING} installs packages",
                lambda: (packages / f"{PACKAGE}.list").exists() or process.poll() is not None,
            )
            if process.poll() is None:
                made.lab.fault(REBOOTING, "reboot")
            code = process.wait(timeout=LIMIT * 3)
        finally:
            process.kill()
        seconds = time.monotonic() - start
        answer.seek(0)
        return json.load(answer), code, seconds


def require(condition: bool, what: str) -> None:
    """Refuse to go on where something is not as it must be.

    Raises:
        BrokenError: It is not.
    """
    if not condition:
        raise BrokenError(what)


def changed_in(run: str) -> set[str]:
    """The nodes that a run has changed something on, by its events."""
    events = json.loads(aiops("run", "events", run, "--json").stdout)
    return {event["node"] for event in events if event["kind"] in {"resource_changed", "reboot_finished"}}


def verified(answer: dict[str, Any]) -> set[str]:
    """The nodes that a deploy has looked at in the end and found as wanted."""
    return {one["node"] for one in answer["results"] if one["phase"] == "verify" and one["outcome"] == "ok"}


def require_named(answer: dict[str, Any], reasons: Mapping[str, tuple[str, str]], names: Collection[str]) -> set[str]:
    """The nodes that converged: all of `names` but those in `reasons`, which must have failed as it is said there.

    Raises:
        BrokenError: It is otherwise.
    """
    failures = {one["node"]: one for one in answer["failures"]}
    require(set(failures) == set(reasons), f"failed are {sorted(failures)}: {answer['failures']}")
    for node, (phase, reason) in reasons.items():
        told = failures[node]
        require(told["phase"] == phase, f"{node} failed in {told['phase']}")
        require(re.search(reason, told["reason"]) is not None, f"{node} is said to have failed by {told['reason']}")
    converged = verified(answer)
    require(converged == set(names) - set(reasons), f"as wanted are {sorted(converged)}")
    return converged


def one_dead(made: Rig, names: Collection[str]) -> tuple[set[str], float]:
    """A deploy with one dead host: who converged, and its seconds. The hosts are bare again afterwards."""
    made.lab.fault(DEAD, "power-loss")
    ran = aiops("cluster", "deploy", made.inventory, "--yes", "--json", expect=(1,))
    converged = require_named(json.loads(ran.stdout), {DEAD: REASONS[DEAD]}, names)
    made.lab.heal(DEAD)
    made.lab.reset()
    return converged, ran.seconds


def main() -> int:
    """Show it, measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=8, help="workers; the head comes on top")
    options = parser.parse_args()
    with rig(NAME, options.nodes) as made:
        names = [host.name for host in made.lab.state.hosts]
        others = [name for name in names if name not in REASONS]
        beside_dead, dead_seconds = one_dead(made, names)
        made.lab.fault(DEAD, "power-loss")
        made.lab.fault(FULL, "disk-full")
        answer, code, seconds = first_deploy(made)

        require(code == 1, f"the first deploy ended with {code}")
        converged = require_named(answer, REASONS, names)

        for node in (DEAD, FULL):
            made.lab.heal(node)
        before = digests(made, others)
        begun = time.monotonic()
        ran = aiops("cluster", "deploy", made.inventory, "--retry-failed", "--yes", "--json")
        retry_seconds = time.monotonic() - begun
        retried = json.loads(ran.stdout)
        require(set(retried["plan"]["nodes"]) == set(REASONS), f"retried were {retried['plan']['nodes']}")
        touched = {one["node"] for one in retried["results"] if one["outcome"] == "changed"}
        require(touched == set(REASONS), f"changed were {sorted(touched)}")
        require(changed_in(retried["run"]) == set(REASONS), "its events tell of other nodes")
        after = digests(made, others)
        differing = sorted(name for name in others if before[name] != after[name])
        require(not differing, f"files changed on {differing}")

        aiops("cluster", "deploy", made.inventory, "--retry-failed", "--yes", "--json", expect=(2,))
        again = json.loads(aiops("cluster", "deploy", made.inventory, "--yes", "--json").stdout)
        left = sorted({one["node"] for one in again["results"] if one["outcome"] != "ok"})
        require(not left, f"the deploy of all nodes then changed {left}")
    return report(
        Path(__file__).stem,
        [
            Figure(f"nodes that converge among {len(names)}, one of which is dead", "", (float(len(beside_dead)),)),
            Figure("first deploy, one dead", "s", (dead_seconds,)),
            Figure(f"nodes that converge among {len(names)}, three of which fail", "", (float(len(converged)),)),
            Figure("failed nodes named with the true reason", "", (float(len(REASONS)),), limit=3, at_least=True),
            Figure("first deploy, with the failures", "s", (seconds,)),
            Figure("nodes that --retry-failed changed", "", (float(len(touched)),), limit=3),
            Figure("other hosts with any file changed by it", "", (float(len(differing)),), limit=0),
            Figure("--retry-failed of three nodes", "s", (retry_seconds,)),
            Figure("nodes that a deploy of all then changed", "", (float(len(left)),), limit=0),
        ],
        simulated=SIMULATED,
    )


if __name__ == "__main__":
    sys.exit(main())

"""Health on five hosts with one real trouble each that could hold it up: how long it takes, what it tells, what stays.

- a tool that hangs until it is killed;
- a tool that waits in the kernel, beyond any signal, for a FUSE server that took its question and never answers;
- a dead mount: a FUSE server that has stopped, as an NFS server would;
- a disk without a free byte;
- a host without Python 3.

Beside them stand two hosts without trouble. What is told of each is compared with what was told before, so that what
is not concerned must be told as it was. Processes on each host are listed before and after.
"""

import json
import os
import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiops.cli.app import App
from aiops.layers.l0_nodes.lab import Lab
from aiops.layers.l0_nodes.probe import SECONDS

from .measurement import BrokenError, Figure, aiops, report

NAME = "health-stuck"
DRIVER = "580.95.05"
LOOKS = 3
HELD = "gpu02"
NO_PYTHON = "gpu05"
FUSE_SERVER = Path(__file__).parents[1] / "tests/l1_cluster/health/fuse_server.py"
POINT = "/mnt/dead"
JUDGED = (0, 3, 4)
_WAIT = 30.0
_COMING_AND_GOING = {"systemd-timedat", "systemd-hostnam", "systemd-localed"}
"""Services that the bus starts when they are asked something, and that end by themselves."""

_STUCK_TOOL = f"""
set -e
tool=$(readlink -f "$(command -v nvidia-smi)")
mv "$tool" "$tool.real"
printf '#!/bin/sh\\nexec stat -f {POINT}\\n' >"$tool"
chmod 755 "$tool"
"""


@dataclass(frozen=True)
class Trouble:
    """One thing that is wrong with one host.

    Attributes:
        cause: Makes it so.
        concerns: What the ids of the checks begin with that it may change; one of them must be told anew.
        told: The verdict of that.
    """

    name: str
    cause: Callable[[Lab, str], None]
    concerns: tuple[str, ...]
    told: str = "unknown"


def on(lab: Lab, nodes: str, line: str) -> dict[str, str]:
    """What a shell line says on hosts, by host.

    Raises:
        BrokenError: It failed on one.
    """
    words = ("node", "exec", "-i", str(lab.inventory_path), "--on", nodes, "--json", "-q")
    results = json.loads(aiops(*words, "--", "sh", "-c", line).stdout)["results"]
    return {str(one["node"]): str(one["stdout"]) for one in results}


def fuse(lab: Lab, node: str, mode: str) -> None:
    """Mount a file system whose server stops (`stops`) or keeps every question (`swallows`).

    Raises:
        BrokenError: It is not mounted in time.
    """
    folder = lab.root(node) / "root"
    (folder / "fuse_server.py").write_text(FUSE_SERVER.read_text("utf-8"), "utf-8")
    server = f"exec python3 /root/fuse_server.py {POINT} {mode} >/root/fuse.log 2>&1 </dev/null"
    device = "[ -e /dev/fuse ] || mknod /dev/fuse c 10 229"
    on(lab, node, f"{device}; mkdir -p {POINT}; setsid sh -c {shlex.quote(server)} >/dev/null 2>&1 </dev/null &")
    deadline = time.monotonic() + _WAIT
    while "ready" not in (said := (folder / "fuse.log").read_text("utf-8") if (folder / "fuse.log").exists() else ""):
        if time.monotonic() > deadline:
            raise BrokenError(f"{node}: no FUSE file system: {said}")
        time.sleep(0.05)


def _stuck_tool(lab: Lab, node: str) -> None:
    fuse(lab, node, "swallows")
    on(lab, node, _STUCK_TOOL)


def _no_python(lab: Lab, node: str) -> None:
    on(lab, node, "mv /usr/bin/python3 /usr/bin/python3.away")


TROUBLES: Mapping[str, Trouble] = {
    "gpu01": Trouble("a tool that hangs", lambda lab, node: lab.fault(node, "tool-hang"), ("gpu.", "nvlink.")),
    HELD: Trouble("a tool that waits in the kernel", _stuck_tool, ("gpu.", "nvlink.", "mount.", "disk.", "proc.")),
    "gpu03": Trouble("a dead mount", lambda lab, node: fuse(lab, node, "stops"), ("mount.", "disk."), "critical"),
    "gpu04": Trouble("a full disk", lambda lab, node: lab.fault(node, "disk-full"), ("disk.",), "critical"),
    NO_PYTHON: Trouble("no Python 3", _no_python, ("",)),
}


Told = Mapping[str, Mapping[tuple[str, str], str]]
"""By node, the verdict of each check and what it is about."""


def look(lab: Lab) -> tuple[Told, float]:
    """What `aiops health` tells, and the seconds that its round took."""
    words = ("health", "--json", "-q", "-i", str(lab.inventory_path))
    document: dict[str, Any] = json.loads(aiops(*words, expect=JUDGED).stdout)
    told: dict[str, dict[tuple[str, str], str]] = {one["node"]: {} for one in document["nodes"]}
    for one in document["findings"]:
        if one["standing"] == "recovering":  # of an earlier lab of this name
            continue
        told[one["node"]][one["check"], one["about"] or ""] = one["verdict"]
    return told, float(document["seconds"])


def running(lab: Lab) -> dict[str, Counter[str]]:
    """How many processes of each name run on each host, those in the kernel beyond any signal apart."""
    found = {}
    for node, text in on(lab, "all", "ps -eo state=,comm=").items():
        names = [line.split(None, 1) for line in text.splitlines()]
        found[node] = Counter(
            f"{name} (D)" if state == "D" else name for state, name in names if name not in _COMING_AND_GOING
        )
    return found


def left(lab: Lab, before: Mapping[str, Counter[str]]) -> dict[str, Counter[str]]:
    """What runs on hosts that did not before; what ends within a moment is waited for."""
    deadline = time.monotonic() + 2.0
    while True:
        found = {node: counts - before[node] for node, counts in running(lab).items()}
        found = {node: counts for node, counts in found.items() if counts}
        if not found or time.monotonic() > deadline:
            return found


def held(rest: Mapping[str, Counter[str]]) -> int:
    """How many processes the kernel holds beyond any signal."""
    return sum(count for counts in rest.values() for name, count in counts.items() if name.endswith(" (D)"))


def wrong(before: Told, after: Told) -> dict[str, str]:
    """By node, what is not told as it should be."""
    found = {}
    for node, told in after.items():
        trouble = TROUBLES.get(node)
        new = {key for key, verdict in told.items() if before[node].get(key) != verdict}
        lost = set() if node == NO_PYTHON else set(before[node]) - set(told)
        own = {key for key in new if trouble is not None and key[0].startswith(trouble.concerns)}
        if trouble is not None and trouble.told not in {told[key] for key in own}:
            found[node] = f"{trouble.name} is not told as {trouble.told}: {sorted(told.items())}"
        elif new - own or lost:
            found[node] = f"told anew {sorted(new - own)}, no longer {sorted(lost)}"
    return found


def main() -> int:
    """Show it, measure and report."""
    app = App(os.environ)
    aiops("lab", "down", "--name", NAME, "-q", expect=(0, 6))
    words = ("--nodes", str(len(TROUBLES) + 1), "--accelerator", "nvidia:8", "--driver", DRIVER)
    aiops("lab", "up", "--name", NAME, *words, "-q")
    try:
        lab = Lab.open(NAME, home=app.home, vendors=app.vendors())
        look(lab)  # what is seen for the first time may still come and go
        before, calm = look(lab)
        for node, trouble in TROUBLES.items():
            trouble.cause(lab, node)
        ran = running(lab)
        mistakes: dict[str, str] = {}
        seconds = []
        once = 0  # what the first look leaves in the kernel: no later one leaves more
        for _ in range(LOOKS):
            after, took = look(lab)
            seconds.append(took)
            mistakes |= wrong(before, after)
            once = once or held(left(lab, ran))
        rest = left(lab, ran)
        beyond = held(rest)
        ours = {node: counts for node, counts in rest.items() if any(not name.endswith(" (D)") for name in counts)}
        on(lab, HELD, "pkill -KILL -f [f]use_server.py")
        after_all = left(lab, ran)
    finally:
        aiops("lab", "down", "--name", NAME, "-q", expect=(0, 6))
    right = len(TROUBLES.keys() - mistakes.keys())
    for node, line in mistakes.items():
        print(f"{node}: {line}", file=sys.stderr)
    for node, counts in {**ours, **after_all}.items():
        print(f"{node}: still there: {dict(counts)}", file=sys.stderr)
    return report(
        Path(__file__).stem,
        [
            Figure("a look at 7 hosts without trouble", "s", (calm,)),
            Figure("a look, five of them in trouble: the longest", "s", (max(seconds),), limit=SECONDS + 1),
            Figure("troubles told, and nothing else", "", (float(right),), limit=len(TROUBLES), at_least=True),
            Figure(
                "hosts without trouble of which something is told",
                "",
                (float(len(mistakes) - len(TROUBLES) + right),),
                limit=0,
            ),
            Figure("hosts on which a process of ours is left", "", (float(len(ours)),), limit=0),
            Figure("processes that the kernel holds after three looks", "", (float(beyond),), limit=float(once)),
            Figure("hosts on which any is left once it is gone", "", (float(len(after_all)),), limit=0),
        ],
        simulated="accelerators and their tools; hosts share this machine; FUSE servers stand in for dead NFS servers",
        details=[mistakes, *({node: dict(counts)} for node, counts in {**ours, **after_all}.items())],
    )


if __name__ == "__main__":
    sys.exit(main())

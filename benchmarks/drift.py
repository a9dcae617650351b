"""Drift on 8 deployed nodes: nothing on a clean cluster, 12 planted differences each on exactly one node, in time.

Each kind is planted on one node, told by `aiops cluster drift`, and repaired: by the command that the finding names
where it names one, by healing the lab's fault where the difference is simulated. At the end all are planted at once.
"""

import argparse
import json
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .cluster_rig import SIMULATED, Rig, rig
from .measurement import BrokenError, Figure, Ran, aiops, report

NAME = "bench-drift"
SECONDS = 10
_COMMAND = re.compile(r"`(aiops [^`]*)`")

NEWER_JQ = """
set -e
d=$(mktemp -d)
mkdir $d/DEBIAN
printf '%s\\n' 'Package: jq' 'Version: 9.9-1' "Architecture: $(dpkg --print-architecture)" \\
  'Maintainer: nobody <nobody@example.org>' 'Description: another version' > $d/DEBIAN/control
dpkg-deb --build $d $d.deb
dpkg --install $d.deb
rm -r $d $d.deb
"""
SUDOER = """
set -e
useradd mallory
gpasswd --add mallory sudo
echo 'mallory ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/90-mallory
"""


@dataclass(frozen=True)
class Kind:
    """A kind of difference.

    Attributes:
        whats: What is to be told, exactly.
        line: Shell line that plants it, as root; or the name of a lab's `fault`.
        cleanup: What no repair takes away (an account that is harmless now).
    """

    name: str
    whats: frozenset[str]
    line: str = ""
    fault: str = ""
    cleanup: str = ""


def kind(name: str, *whats: str, line: str = "", fault: str = "", cleanup: str = "") -> Kind:
    """A kind of difference."""
    return Kind(name, frozenset(whats), line, fault, cleanup)


KINDS = (
    kind("package version", "packages", line=NEWER_JQ),
    kind(
        "config edit",
        "file:/etc/security/limits.d/60-aiops.conf",
        line="echo '* soft nofile 1' >> /etc/security/limits.d/60-aiops.conf",
    ),
    kind(
        "sysctl",
        "sysctl:net.ipv4.tcp_mtu_probing",
        line="sysctl -qw net.ipv4.tcp_mtu_probing=0",
    ),
    kind(
        "service stopped",
        "service:prometheus-node-exporter",
        line="systemctl mask --now prometheus-node-exporter",
    ),
    kind("mount gone", "mount:/shared", "service:shared.mount", line="umount /shared"),
    kind("kernel string", "kernel", fault="kernel-skew"),
    kind("driver", "driver", fault="driver-skew"),
    kind("firmware", "firmware", fault="firmware-skew"),
    kind(
        "user in sudoers",
        "sudoers",
        "privileged users",
        line=SUDOER,
        cleanup="userdel mallory",
    ),
    kind("time source", "time sources", line="chronyc add server 192.0.2.1"),
    kind("disk layout", "disk layout", fault="disk-skew"),
    kind("held package released", "package:nvidia-driver-580", line="apt-mark unhold nvidia-driver-580"),
)


def drift(made: Rig, *, clean: bool) -> tuple[Ran, Mapping[str, Any]]:
    """`aiops cluster drift --json`, and what it says."""
    ran = aiops("cluster", "drift", made.inventory, "--json", expect=(0,) if clean else (4,))
    return ran, json.loads(ran.stdout)


def told(document: Mapping[str, Any]) -> dict[str, set[str]]:
    """What was found, by node."""
    found: dict[str, set[str]] = {}
    for one in document["findings"]:
        for node in one["nodes"]:
            found.setdefault(node, set()).add(one["what"])
    return found


def root(made: Rig, node: str, line: str) -> None:
    """Run a shell line on a node."""
    aiops("node", "exec", "-i", made.inventory, "--on", node, "--root", "-q", "--", "sh", "-c", line)


def plant(made: Rig, node: str, one: Kind) -> None:
    """Make a node differ."""
    if one.fault:
        made.lab.fault(node, one.fault)
    else:
        root(made, node, one.line)


def repair(made: Rig, node: str, one: Kind, document: Mapping[str, Any]) -> None:
    """Do what the findings name as the repair; what is simulated is healed in the lab."""
    if one.fault:
        made.lab.heal(node, one.fault)
    else:
        for line in dict.fromkeys(_COMMAND.findall(finding["repair"])[-1] for finding in document["findings"]):
            words = shlex.split(line)[1:]
            aiops(*words, *(["--yes", "-q"] if words[:2] == ["cluster", "deploy"] else []))
    if one.cleanup:
        root(made, node, one.cleanup)


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=8, help="workers; the head comes on top")
    options = parser.parse_args()
    wrong: list[str] = []
    with rig(NAME, options.nodes) as made:
        made.deploy()
        clean = [drift(made, clean=True)[0].seconds for _ in range(3)]
        workers = [f"gpu{number + 1:02d}" for number in range(options.nodes)]
        places = {one: workers[number % len(workers)] for number, one in enumerate(KINDS)}
        dirty, found = [], 0
        for one, node in places.items():
            plant(made, node, one)
            ran, document = drift(made, clean=False)
            dirty.append(ran.seconds)
            if told(document) == {node: set(one.whats)}:
                found += 1
            else:
                wrong.append(f"{one.name} on {node}: told {told(document)}")
            repair(made, node, one, document)
            if told(drift(made, clean=True)[1]):
                raise BrokenError(f"{one.name} on {node} was not repaired")
        for one, node in places.items():
            plant(made, node, one)
        ran, document = drift(made, clean=False)
        dirty.append(ran.seconds)
        expected: dict[str, set[str]] = {}
        for one, node in places.items():
            expected.setdefault(node, set()).update(one.whats)
        if told(document) != expected:
            wrong.append(f"all at once: told {told(document)}, expected {expected}")
    for line in wrong:
        print(line)
    return report(
        Path(__file__).stem,
        [
            Figure(f"drift of {options.nodes} clean nodes and a head", "s", tuple(clean), limit=SECONDS),
            Figure(f"drift of {options.nodes} nodes with differences", "s", tuple(dirty), limit=SECONDS),
            Figure(
                "planted kinds that were found, on their node and nowhere else",
                "",
                (float(found),),
                limit=12,
                at_least=True,
            ),
            Figure("rounds with a wrong or a missing finding", "", (float(len(wrong)),), limit=0),
        ],
        simulated=f"{SIMULATED}; kernel string, driver, firmware and disk layout are shims of the lab",
    )


if __name__ == "__main__":
    sys.exit(main())

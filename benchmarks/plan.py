"""A dry run on 8 bare nodes: how long it takes, that it changes nothing, that it says what the deploy then changes.

"Changes nothing" is a digest over every file of every host (name, mode, owner, size, link, content), before and after.
What the deploy changed is told twice: by its own events, and for files below /etc by their digests on the hosts, of
which those are left out that are as a package brings them.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from .cluster_rig import SIMULATED, Rig, rig
from .measurement import BrokenError, Figure, aiops, report

NAME = "bench-plan"
VOLATILE = {
    "proc": "the kernel's",
    "sys": "the kernel's",
    "dev": "devices",
    "run": "of this boot only",
    "tmp": "of this boot only",
    "var/tmp": "systemd makes a folder per service there",
    "var/log": "the journal and login records grow with every connection",
    "var/lib/systemd": "timers note when they ran",
    "etc/.updated": "systemd notes that it has booted",
}
"""What is left out of the digest, and why."""


BY_PRODUCTS = {
    "/etc/group": "accounts that the plan lists, and those of packages",
    "/etc/gshadow": "the same",
    "/etc/passwd": "the same",
    "/etc/shadow": "the same",
    "/etc/group-": "the copy before that",
    "/etc/gshadow-": "the same",
    "/etc/passwd-": "the same",
    "/etc/shadow-": "the same",
    "/etc/subgid": "ranges of those accounts",
    "/etc/subuid": "the same",
    "/etc/subgid-": "the copy before that",
    "/etc/subuid-": "the same",
    "/etc/ld.so.cache": "made anew when packages bring libraries",
    "/etc/ssl/certs/": "made by ca-certificates, a package of the plan",
    "/etc/ca-certificates.conf": "the same",
    "/etc/chrony/chrony.keys": "made by the configuring of chrony, a package of the plan",
    "/etc/apparmor.d/local/": "the same, an empty file for the site's own rules",
    "/etc/shells": "made anew by debianutils when a package of the plan brings a shell",
}
"""Files and folders below /etc that change as a consequence of what a plan lists, and why."""


def digests(made: Rig) -> dict[str, str]:
    """One digest per host."""
    leave = " -o ".join(f"-path ./{path}" for path in VOLATILE)
    line = (
        f"cd / && {{ find . \\( {leave} \\) -prune -o -printf '%p %m %U %G %l\\n' | sort; "
        f"find . \\( {leave} \\) -prune -o -type f -print0 | sort -z | xargs -0 sha256sum; }} | sha256sum"
    )
    ran = aiops("node", "exec", "-i", made.inventory, "--json", "--timeout", "300", "--", "sh", "-c", line)
    return {one["node"]: one["stdout"] for one in json.loads(ran.stdout)["results"]}


def configuration(made: Rig) -> dict[str, dict[str, str]]:
    """The digest of every file below /etc, by host and path; `package` for those that are as a package brings them."""
    line = (
        "find /etc -type f -print0 | sort -z | xargs -0 sha256sum; "
        "cat /var/lib/dpkg/info/*.list | grep ^/etc/ | sed 's/^/package  /'; "
        "dpkg --verify | sed -n 's/^..5.* c /altered  /p'"
    )
    ran = aiops("node", "exec", "-i", made.inventory, "--json", "--timeout", "300", "--", "sh", "-c", line)
    return {
        one["node"]: {path: digest for digest, _, path in (row.partition("  ") for row in one["stdout"].splitlines())}
        for one in json.loads(ran.stdout)["results"]
    }


def surprises(
    before: Mapping[str, Mapping[str, str]], after: Mapping[str, Mapping[str, str]], expected: Mapping[str, set[str]]
) -> dict[str, list[str]]:
    """Files below /etc that changed on a host, are in no plan, not as a package brings them, and no by-product."""

    def told(node: str, path: str) -> bool:
        product = any(path == known or (known.endswith("/") and path.startswith(known)) for known in BY_PRODUCTS)
        return product or after[node].get(path) == "package" or f"file:{path}" in expected.get(node, set())

    found = {
        node: [
            path
            for path in sorted({*files, *after[node]})
            if files.get(path) != after[node].get(path) and not told(node, path)
        ]
        for node, files in before.items()
    }
    return {node: paths for node, paths in found.items() if paths}


def by_node(pairs: list[tuple[str, str]]) -> dict[str, set[str]]:
    """Keys of resources by node."""
    found: dict[str, set[str]] = defaultdict(set)
    for node, key in pairs:
        found[node].add(key)
    return found


def beyond(some: Mapping[str, set[str]], others: Mapping[str, set[str]]) -> dict[str, list[str]]:
    """What `some` has and `others` has not."""
    return {
        node: sorted(keys - others.get(node, set())) for node, keys in some.items() if keys - others.get(node, set())
    }


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=8, help="workers; the head comes on top")
    options = parser.parse_args()
    with rig(NAME, options.nodes) as made:
        before, old = digests(made), configuration(made)
        plans = [made.plan() for _ in range(3)]
        touched = [node for node, digest in digests(made).items() if digest != before[node]]
        if touched or len(before) != options.nodes + 1:
            raise BrokenError(f"the plan changed something on {', '.join(touched)}")
        phases = json.loads(plans[-1].stdout)["plan"]["phases"]
        expected = by_node(
            [(node, one["key"]) for phase in phases for node, changes in phase["changes"].items() for one in changes]
        )
        run = json.loads(made.deploy().stdout)["run"]
        events = json.loads(aiops("run", "events", run, "--json").stdout)
        unexpected = surprises(old, configuration(made), expected)
    changed = by_node([(one["node"], one["data"]["key"]) for one in events if one["kind"] == "resource_changed"])
    missed, needless = beyond(changed, expected), beyond(expected, changed)
    titles = {"not predicted": missed, "predicted, and not changed": needless, "unexpected below /etc": unexpected}
    for title, found in titles.items():
        for node, keys in found.items():
            print(f"{title} on {node}: {', '.join(keys)}")
    return report(
        Path(__file__).stem,
        [
            Figure(
                f"plan of {options.nodes} bare nodes and a head", "s", tuple(one.seconds for one in plans), limit=15
            ),
            Figure("files that the plan changed on any host", "", (0.0,), limit=0),
            Figure("resources planned", "", (float(sum(map(len, expected.values()))),)),
            Figure("resources changed that were not planned", "", (float(sum(map(len, missed.values()))),), limit=0),
            Figure("resources planned that did not change", "", (float(sum(map(len, needless.values()))),), limit=0),
            Figure(
                "files below /etc that changed, of no package and in no plan",
                "",
                (float(sum(map(len, unexpected.values()))),),
                limit=0,
            ),
        ],
        simulated=SIMULATED,
    )


if __name__ == "__main__":
    sys.exit(main())

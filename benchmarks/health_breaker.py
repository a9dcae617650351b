"""Health that acts, on ten workers of a real Slurm, when three of them are critical at once.

Unknown drains nobody, nobody else's drain is touched, and no more than one node is drained, however often it looks and
whoever closes the breaker.
"""

import json
import os
import sys
import time
from typing import Any

from .cluster_rig import SIMULATED, Rig, rig
from .measurement import BrokenError, Figure, aiops, report

NAME = f"breaker-{os.getpid()}"  # what is remembered of a cluster goes by its name
NODES = 10
LIMIT = 1
"""10 % of ten workers, in 15 minutes: all of this takes less."""

FOREIGN, DUMB, CUT = "gpu10", "gpu09", "gpu08"
CRITICAL = ("gpu01", "gpu02", "gpu03")
REASON = "bob: waits for a disk"
OURS = "aiops: health"
_SLURM_SECONDS = 60.0


class Cluster:
    """The lab's cluster, as Slurm and as aiops see it."""

    def __init__(self, made: Rig) -> None:
        self._made = made

    def on_head(self, line: str) -> str:
        """What a shell line says on the head."""
        return self._made.on("head", line)

    def reasons(self) -> dict[str, str]:
        """By node that Slurm gives no work, why."""
        lines = self.on_head("sinfo -h -N -o '%N|%T|%E'").splitlines()
        told = dict(line.split("|", 1) for line in dict.fromkeys(lines))
        parts = {node: rest.split("|", 1) for node, rest in told.items()}
        return {node: reason for node, (state, reason) in parts.items() if state.rstrip("*").startswith("drain")}

    def drained(self) -> set[str]:
        """The nodes that were drained for their health."""
        return {node for node, reason in self.reasons().items() if reason.startswith(OURS)}

    def fault(self, node: str, kind: str) -> None:
        """Injure a node."""
        aiops("lab", "fault", node, kind, "--name", NAME, "-q")

    def heal(self, node: str) -> None:
        """Take that back."""
        aiops("lab", "heal", node, "--name", NAME, "-q")

    def act(self) -> dict[str, Any]:
        """Look, and act on it."""
        words = ("health", "--act", "--json", "-i", self._made.inventory)
        answer: dict[str, Any] = json.loads(aiops(*words, expect=(0, 3, 4)).stdout)
        return answer

    def settle(self) -> None:
        """Wait until Slurm gives work to all workers.

        Raises:
            BrokenError: It does not.
        """
        deadline = time.monotonic() + _SLURM_SECONDS
        while self.on_head("sinfo -h -N -o '%t' | sort -u") != "idle":
            require(time.monotonic() < deadline, "Slurm does not give work to all workers")
            time.sleep(1)

    def rearm(self) -> bool:
        """Close the breaker; whether it was open."""
        return json.loads(aiops("health", "rearm", "--json", "-i", self._made.inventory).stdout)["was_open"] is not None


def require(condition: bool, what: str) -> None:
    """Refuse to go on where something is not as it must be.

    Raises:
        BrokenError: It is not.
    """
    if not condition:
        raise BrokenError(what)


def critical(answer: dict[str, Any]) -> set[str]:
    """The nodes that are critical by something that counts."""
    return {one["node"] for one in answer["findings"] if one["verdict"] == "critical" and one["standing"] == "counts"}


def main() -> int:
    """Measure and report."""
    with rig(NAME, NODES) as made:
        made.deploy()
        cluster = Cluster(made)
        cluster.settle()
        well = cluster.act()
        require(well["counts"]["ok"] == NODES + 1, f"the cluster is not well: {well['counts']}")

        cluster.on_head(f"scontrol update NodeName={FOREIGN} State=DRAIN Reason='{REASON}'")
        made.on(DUMB, "rm /usr/bin/python3")
        cluster.fault(CUT, "network-cut")
        unknown = cluster.act()
        unknown = cluster.act()
        require(unknown["counts"]["unknown"] == 2, f"{DUMB} and {CUT} are to be unknown: {unknown['counts']}")  # noqa: PLR2004
        by_unknown = cluster.drained()

        for node in (*CRITICAL, FOREIGN):
            cluster.fault(node, "ecc-uncorrected")
        seen = [cluster.act()]
        require(critical(seen[0]) == {*CRITICAL, FOREIGN}, f"critical are {sorted(critical(seen[0]))}")
        most = [len(cluster.drained())]
        opened = 0
        for closed_before in (False, False, True, True):
            if closed_before:
                opened += cluster.rearm()
            cluster.act()
            most.append(len(cluster.drained()))
        foreign = cluster.reasons().get(FOREIGN, "it is in service")
    return report(
        "health_breaker",
        [
            Figure("nodes drained for what is unknown (no Python; cut off)", "", (len(by_unknown),), limit=0),
            Figure("nodes critical at once, of ten and one drained by another", "", (len(CRITICAL) + 1,)),
            Figure("most nodes drained for their health, of 5 looks", "", (max(most),), limit=LIMIT),
            Figure("least", "", (min(most),), limit=1, at_least=True),
            Figure("times a person found the breaker open, of 2", "", (opened,), limit=2, at_least=True),
            Figure("reasons of others that were changed", "", (float(foreign != REASON),), limit=0),
        ],
        simulated=SIMULATED,
    )


if __name__ == "__main__":
    sys.exit(main())

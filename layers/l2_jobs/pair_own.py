"""A site's own test of pairs, `[jobs] pair_test`: for what our data does not go over, as RDMA between accelerators.

It runs on both nodes at once, as the owner of the job that waits, with the variables by which ranks find each other.
What it says is no proof: the owner may have it fail wherever he likes. So it keeps his job off a node, and drains none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aiops.layers.core.errors import FailedError
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.transport import Transport
from aiops.layers.l1_cluster.script import answer_of, command, program

from .job import Job
from .pair_probe import End
from .pair_test import Pair, PairResult
from .report import ended_with
from .spec import visible_devices
from .text import plain

SECONDS = 25.0
"""That a site's own test of a pair may take."""

_PACKAGE = "aiops.layers.l2_jobs"
_MARGIN = 15.0
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class OwnTest:
    """What is run.

    Attributes:
        argv: The site's.
        job: For whose owner, and in whose folder.
        port: For the two to meet at, on the first.
        devices: Of each node that are the job's, with their maker.
        seconds: That it may take.
    """

    argv: tuple[str, ...]
    job: Job
    port: int
    devices: Mapping[str, tuple[str | None, tuple[int, ...]]]
    seconds: float = SECONDS

    def spec(self, pair: Pair, rank: int, address: str) -> dict[str, Any]:
        """What one end is given."""
        vendor, devices = self.devices.get(pair.nodes[rank], (None, ()))
        return {
            "user": self.job.owner.user,
            "uid": self.job.owner.uid,
            "folder": self.job.folder,
            "argv": list(self.argv),
            "seconds": self.seconds,
            "environment": {
                **self.job.environment,
                **visible_devices(vendor, devices),
                "MASTER_ADDR": address,
                "MASTER_PORT": str(self.port),
                "RANK": str(rank),
                "WORLD_SIZE": "2",
            },
        }


def own_pairs(
    fleet: Fleet, ends: Mapping[str, End], results: Sequence[PairResult], test: OwnTest
) -> tuple[PairResult, ...]:
    """`results`, of which those that have passed must pass the site's own test too."""
    passed = {one.pair for one in results if one.passed}
    specs = {pair.nodes[rank]: test.spec(pair, rank, ends[pair.first].address) for pair in passed for rank in range(2)}
    if not specs:
        return tuple(results)

    def run(transport: Transport) -> Mapping[str, Any]:
        return _ran(transport, specs[transport.node.name])

    said: dict[str, Mapping[str, Any]] = {}
    for outcome in fleet.each([ends[name].node for name in specs], run):
        said[outcome.node.name] = outcome.value or {"none": outcome.error.message if outcome.error else "no answer"}
    return tuple(_both(one, said) if one.pair in passed else one for one in results)


def _ran(transport: Transport, spec: Mapping[str, Any]) -> Mapping[str, Any]:
    node = transport.node
    source = program(("processes", "pair_own"), f"main({dict(spec)!r})", _PACKAGE)
    done = transport.run(command(node, source, timeout=spec["seconds"] + _MARGIN))
    if not done.ok:
        said = "it did not answer in time" if done.timed_out else (done.error_text.splitlines() or ["no reason"])[-1]
        raise FailedError(f"{node.name} could not run the site's own test: {plain(said)}", code="job.pair_test")
    answer: Mapping[str, Any] = answer_of(node, done, "job.pair_test", dict)
    return answer


def _both(result: PairResult, said: Mapping[str, Mapping[str, Any]]) -> PairResult:
    silent = tuple(name for name in result.pair.nodes if "none" in said[name])
    if silent:
        why = "; ".join(f"{name}: {plain(str(said[name]['none']))}" for name in silent)
        return replace(result, passed=None, why=f"the site's own test: {why}", silent=silent, own=True)
    bad = [name for name in result.pair.nodes if said[name].get("status") != 0]
    if not bad:
        return result
    why = "; ".join(f"{name} {_words(said[name])}" for name in bad)
    return replace(result, passed=False, why=f"the site's own test: {why}", own=True)


def _words(said: Mapping[str, Any]) -> str:
    status = said.get("status")
    how = "was not done in its time" if not isinstance(status, int) else ended_with(status)
    line = plain(str(said.get("said", "")), _SHOWN)
    return f"{how}: {line}" if line else how

"""What each launcher of an attempt is given: pure, from the job, the attempt and where its nodes are.

The wire format stands in docs/decisions/jobs.md. It holds a secret, and travels on stdin only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiops.layers.core.errors import InputError
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.variables import variables_of

from . import lease
from .attempt import Attempt
from .job import Job
from .stack_variables import variables
from .torchrun_options import split

VERSION = 1
PORTS = 16
"""Ports from `Attempt.port` on that are an attempt's own on each of its nodes: rendezvous, beats, a service's."""

_BEATS = 1
_SERVICE = 2

_VISIBLE: Mapping[str, tuple[str, ...]] = {
    "nvidia": ("CUDA_VISIBLE_DEVICES",),
    "amd": ("HIP_VISIBLE_DEVICES",),
    "ascend": ("ASCEND_RT_VISIBLE_DEVICES",),
    "biren": ("BIREN_VISIBLE_DEVICES",),
    "cambricon": ("MLU_VISIBLE_DEVICES",),
    "enflame": ("TOPS_VISIBLE_DEVICES",),
    "gaudi": ("HABANA_VISIBLE_MODULES",),
    "hygon": ("HIP_VISIBLE_DEVICES",),
    "iluvatar": ("CUDA_VISIBLE_DEVICES",),
    "kunlunxin": ("XPU_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"),
    "metax": ("CUDA_VISIBLE_DEVICES",),
    "mthreads": ("MUSA_VISIBLE_DEVICES",),
    "thead": ("CUDA_VISIBLE_DEVICES",),
}
"""The variables by which each vendor's runtime is told which devices it may see. Written down from what is generally
known of them; none was looked up in a manual or seen at work on hardware."""


@dataclass(frozen=True, slots=True)
class Seat:
    """Where a rank group runs.

    Attributes:
        address: Of the node, as the others reach it.
        vendor: The maker of its accelerators; None without any.
        root: Whether jobs may run as root there (`aiops_jobs_as_root`).
    """

    address: str
    vendor: str | None = None
    root: bool = False


def seat_of(job: Job, node: Node, vendor: str | None) -> Seat:
    """Where a rank group of `job` runs on `node`.

    Args:
        job: The job; a vendor that it asks for is the one it was placed for.
        node: The node.
        vendor: As the node's facts have it; the inventory's word counts where there are none.
    """
    variables = variables_of(node)
    bought = variables.aiops_accelerators
    maker = job.devices.vendor or vendor or (bought.vendor if bought is not None else None)
    address = variables.aiops_address or node.connection.address or node.name
    return Seat(address, maker, root=variables.aiops_jobs_as_root)


def specs(job: Job, attempt: Attempt, seats: Mapping[str, Seat]) -> dict[str, dict[str, Any]]:
    """What each launcher is given, by node.

    Args:
        job: The job.
        attempt: The attempt, all of whose nodes are in `seats`.
        seats: Where its nodes are.

    Raises:
        InputError: It cannot run under our launcher (`launch: srun`), or has more ports than there are.
    """
    if job.launch == "srun":
        raise InputError(
            f"{job.id}: `launch: srun` needs Slurm", code="job.srun", hints=["say `launch: torchrun` or `command`"]
        )
    if job.service is not None and len(job.service.ports) > PORTS - _SERVICE:
        raise InputError(f"{job.id}: a service has at most {PORTS - _SERVICE} ports", code="job.ports")
    nodes = attempt.allocation.nodes
    return {node: _spec(job, attempt, seats, node, rank) for rank, node in enumerate(nodes)}


def _spec(job: Job, attempt: Attempt, seats: Mapping[str, Seat], node: str, rank: int) -> dict[str, Any]:
    nodes, beats = attempt.allocation.nodes, attempt.port + _BEATS
    torchrun = job.launch == "torchrun"
    processes = job.processes if torchrun else 1
    found: dict[str, Any] = {
        "v": VERSION,
        "key": str(attempt.key),
        "node": node,
        "node_rank": rank,
        "nodes": len(nodes),
        "user": {
            "name": job.owner.user,
            "uid": job.owner.uid,
            "gid": job.owner.gid,
            "root": seats[node].root,
        },
        "argv": list(job.command),
        "environment": environment(job, attempt, seats, node, rank),
        "folder": job.folder,
        "stack": job.stack,
        "first_rank": rank * processes,
        "processes": processes,
        "peers": [{"node": one, "address": seats[one].address, "port": beats} for one in nodes if one != node],
        "beat_port": beats,
        "secret": attempt.secret,
        "lease": {
            "beat": lease.BEAT,
            "missed": lease.MISSED,
            "freeze": lease.FREEZE,
            "kill": lease.KILL,
            "peers_only": lease.PEERS_ONLY,
        },
        "progress": {"regex": job.progress.regex} if job.progress is not None else None,
        "checkpoints": job.checkpoint.path if job.checkpoint is not None else None,
        "ready": _ready(job, attempt) if rank == 0 else None,
        "stop_seconds": job.limits.stop,
        "limits": {"memory": job.limits.memory, "processors": job.limits.processors},
    }
    if torchrun:
        found |= _torchrun(job, attempt, seats[nodes[0]].address, rank)
    return found


def _ready(job: Job, attempt: Attempt) -> dict[str, Any] | None:
    """How the first node asks whether a service serves; None where nobody has said."""
    service = job.service
    if service is None or not service.ready:
        return None
    if not isinstance(service.ready, str):
        return {"argv": list(service.ready)}
    name, slash, path = service.ready.removeprefix("http:").partition("/")
    return {"port": service_port(attempt, service.ports.index(name)), "path": slash + path}


def service_port(attempt: Attempt, number: int) -> int:
    """The port that a service is given under the name that it says at `number`."""
    return attempt.port + _SERVICE + number


def _torchrun(job: Job, attempt: Attempt, master: str, rank: int) -> dict[str, Any]:
    """Torchrun with a rendezvous of the attempt's own on its first node, and no restarts but ours."""
    options, bare, script = split(job.command[1:])
    argv = [
        job.command[0],
        *options,
        f"--nnodes={len(attempt.allocation.slots)}",
        f"--node-rank={rank}",
        f"--nproc-per-node={job.processes}",
        "--rdzv-backend=static",
        f"--rdzv-id={attempt.key}",
        f"--master-addr={master}",
        f"--master-port={attempt.port}",
        "--max-restarts=0",
        *(() if any(one.startswith("--monitor") for one in options) else ("--monitor-interval=0.1",)),
    ]
    return {"argv": [*argv, *script], "options_end": len(argv), "bare": bare}


def environment(job: Job, attempt: Attempt, seats: Mapping[str, Seat], node: str, rank: int) -> dict[str, str]:
    """What the processes of a rank group see beside what their user's login has."""
    slot = attempt.allocation.slots[rank]
    found = {
        **(variables(job.stack) if job.stack is not None else {}),
        **job.environment,
        "AIOPS_JOB": job.id,
        "AIOPS_ATTEMPT": str(attempt.key.number),
        "AIOPS_EPOCH": str(attempt.key.number),
        "AIOPS_NODE_RANK": str(rank),
        "AIOPS_NODES": str(len(attempt.allocation.slots)),
        **visible_devices(seats[node].vendor, slot.devices),
    }
    if slot.devices and slot.share < 1:
        found["AIOPS_DEVICE_SHARE"] = f"{slot.share:g}"
    if job.checkpoint is not None:
        found |= {"AIOPS_CHECKPOINTS": job.checkpoint.path, "AIOPS_RESUME": attempt.resume or ""}
    if job.launch == "command":
        first = attempt.allocation.nodes[0]
        found |= {"MASTER_ADDR": seats[first].address, "MASTER_PORT": str(attempt.port)}
    for number, name in enumerate(job.service.ports if job.service is not None else ()):
        found[f"AIOPS_PORT_{name.upper().replace('-', '_')}"] = str(service_port(attempt, number))
    return found


def visible_devices(vendor: str | None, devices: tuple[int, ...]) -> dict[str, str]:
    """The variables that show a process these devices of `vendor` and no others; empty for a vendor nobody knows."""
    names = _VISIBLE.get(vendor or "", ())
    found = {name: ",".join(map(str, devices)) for name in names}
    if "CUDA_VISIBLE_DEVICES" in found:
        found["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # as the vendor's tools count them, and so the allocation
    return found

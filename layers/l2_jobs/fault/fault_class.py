"""The classes of faults: whom each usually concerns, what may be done about it, and the next step in plain words.

The names and usual values up to `healthy` are those of the labels that operators use for logs; the last five are what
aiops itself observes where no log says more. A signature or an observer may override the usual values of its class.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from aiops.layers.core.errors import NotFoundError

Causer = Literal["user", "node", "network", "storage", "framework", "scheduler", "none"]
"""Who has to act first."""

CAUSERS: tuple[Causer, ...] = ("user", "node", "network", "storage", "framework", "scheduler", "none")


@dataclass(frozen=True, slots=True)
class FaultClass:
    """One kind of fault.

    Attributes:
        name: What stands in records, events and `--json`.
        title: What happened, in plain words, to follow "what happened:".
        causer: Who usually has to act first.
        retryable: Whether the same job is usually started again unchanged, on other nodes if need be.
        bad_node: Whether the node usually has to be taken out.
        action: What to do, one or two sentences without a full stop at the end.
    """

    name: str
    title: str
    causer: Causer
    retryable: bool
    bad_node: bool
    action: str


HEALTHY = "healthy"
"""The class of a log in which nothing went wrong."""

FAULT_CLASSES: tuple[FaultClass, ...] = (
    FaultClass(
        "gpu_xid_hw",
        "the GPU, its memory or its NVLink reported a hardware error (Xid)",
        "node",
        True,
        True,
        "drain the node and reset the GPU, replace it if the error comes back; the job goes on elsewhere",
    ),
    FaultClass(
        "gpu_xid_app",
        "the program did something illegal on the GPU (Xid of an application)",
        "user",
        False,
        False,
        "find the bad access with `compute-sanitizer` or CUDA_LAUNCH_BLOCKING=1; "
        "suspect the GPU only when different programs fail on it",
    ),
    FaultClass(
        "gpu_ecc",
        "the GPU met a memory error that it could not correct",
        "node",
        True,
        True,
        "drain the node, reset the GPU, look at its remapped rows; the job goes on elsewhere from its last checkpoint",
    ),
    FaultClass(
        "gpu_lost",
        "a GPU disappeared from its node",
        "node",
        True,
        True,
        "drain and power-cycle the node, check power and seating of the GPU; the job goes on elsewhere",
    ),
    FaultClass(
        "gpu_oom",
        "the program ran out of GPU memory",
        "user",
        False,
        False,
        "lower the batch size, shard more or change the allocator's settings; "
        "look for leftover processes if it failed while starting",
    ),
    FaultClass(
        "host_oom",
        "the program ran out of the host's memory and was killed",
        "user",
        False,
        False,
        "ask for more memory, or run fewer loader workers",
    ),
    FaultClass(
        "cuda_driver_mismatch",
        "CUDA of the program and the driver of the node do not fit",
        "user",
        False,
        False,
        "choose an image whose CUDA the driver supports; "
        "where library and kernel module of the node differ, drain and reboot it",
    ),
    FaultClass(
        "nccl_timeout",
        "a collective operation timed out: some rank did not come",
        "framework",
        True,
        False,
        "find the rank that stopped first and look at its node; try again once, then test the nodes in pairs",
    ),
    FaultClass(
        "nccl_network",
        "ranks lost the connection to each other",
        "network",
        True,
        False,
        "start again without the peer that is named, and check the link and counters of both ends",
    ),
    FaultClass(
        "ib_link",
        "a network port of the node is down or flaps",
        "network",
        True,
        True,
        "drain the node and replace cable, transceiver or adapter; many nodes at once point to the switch: drain none",
    ),
    FaultClass(
        "node_unreachable",
        "a node no longer answers",
        "node",
        True,
        True,
        "take the node out and power-cycle it; several at once: look at network and power first",
    ),
    FaultClass(
        "slurm_infra",
        "the scheduler could not start or keep the job",
        "scheduler",
        True,
        False,
        "repair the daemon, clock or prolog that is named, and release held jobs",
    ),
    FaultClass(
        "storage_full",
        "the storage is full, or the quota is used up",
        "storage",
        False,
        False,
        "free space or raise the quota, remove the truncated file, then go on",
    ),
    FaultClass(
        "storage_io",
        "the storage failed to read or write",
        "storage",
        True,
        False,
        "check the mount and its server, mount again, try again; a local disk: drain the node",
    ),
    FaultClass(
        "checkpoint_corrupt",
        "a checkpoint or file of weights is damaged or incomplete",
        "storage",
        False,
        False,
        "go back to the checkpoint before it, or download it again; look for a full disk or a kill while it was saved",
    ),
    FaultClass(
        "loss_nan",
        "the loss or a gradient is no longer a finite number",
        "user",
        False,
        False,
        "go back a checkpoint and skip the data or lower the learning rate; "
        "run the step once on another node to exclude silent corruption",
    ),
    FaultClass(
        "user_code",
        "the program raised an error",
        "user",
        False,
        False,
        "mend the program: its traceback says where",
    ),
    FaultClass(
        "user_config",
        "the program was given settings that do not fit",
        "user",
        False,
        False,
        "correct the setting that is named",
    ),
    FaultClass(
        "data_error",
        "the data could not be read",
        "user",
        False,
        False,
        "repair or skip the sample that is named; enlarge /dev/shm where a loader worker was killed",
    ),
    FaultClass(
        "port_in_use",
        "the port for the ranks to meet at is taken",
        "user",
        True,
        False,
        "choose a free port, end the leftover process, try again",
    ),
    FaultClass(
        "rendezvous_failure",
        "the ranks could not find each other",
        "network",
        True,
        False,
        "see that the host of rank 0 lives and its port is open, remove stale store files, try again",
    ),
    FaultClass(
        "preempted",
        "the job was ended from outside",
        "scheduler",
        True,
        False,
        "nothing is broken: go on from the last checkpoint",
    ),
    FaultClass(
        "auth_token",
        "access was refused for want of a token or licence",
        "user",
        False,
        False,
        "give a valid token, or accept the licence of the model",
    ),
    FaultClass(
        "thermal_power",
        "the node is too hot or short of power",
        "node",
        True,
        True,
        "check cooling and power supply; drain the node when it lasts under normal load",
    ),
    FaultClass(
        "pcie",
        "the PCIe bus reported errors",
        "node",
        True,
        True,
        "drain the node, reseat the device, check riser and firmware",
    ),
    FaultClass(
        "disk_smart",
        "a disk of the node is failing",
        "node",
        True,
        True,
        "drain the node and replace the disk",
    ),
    FaultClass(
        "ascend_npu",
        "the Ascend runtime or HCCL reported an error",
        "network",
        True,
        False,
        "find the rank that stopped first and look at its node; drain it on an error of driver or HBM",
    ),
    FaultClass(
        "amd_gpu",
        "the amdgpu driver reported a hang, reset or failure",
        "framework",
        True,
        False,
        "try again; drain the node when the reset fails or comes back",
    ),
    FaultClass(
        "serving_oom",
        "the serving engine found no memory for its cache",
        "user",
        False,
        False,
        "raise gpu_memory_utilization, lower max_model_len or add GPUs; look for another process on the GPU",
    ),
    FaultClass(
        "serving_crash",
        "the serving engine died",
        "framework",
        True,
        False,
        "start the replica again; the first traceback before the engine's own is the cause",
    ),
    FaultClass(
        HEALTHY,
        "nothing went wrong",
        "none",
        False,
        False,
        "nothing to do",
    ),
    FaultClass(
        "process_exit",
        "a process of the job ended, and nothing says why",
        "framework",
        True,
        False,
        "try again; if it comes back, run it with `faulthandler` or a debugger",
    ),
    FaultClass(
        "hang",
        "the job makes no progress",
        "framework",
        True,
        False,
        "look at the stacks of all ranks, start again; test the nodes in pairs if it comes back",
    ),
    FaultClass(
        "node_lost",
        "a node was lost with the ranks on it",
        "node",
        True,
        True,
        "go on without the node; power-cycle it and examine it before it comes back",
    ),
    FaultClass(
        "straggler",
        "a rank is much slower than the others",
        "node",
        True,
        False,
        "test its node against another; swap it at the next checkpoint if the test agrees",
    ),
    FaultClass(
        "loss_spike",
        "the loss jumped far above its course",
        "user",
        True,
        False,
        "go back a checkpoint; if it comes back at the same step, skip the data or lower the learning rate",
    ),
)
"""Every class; the names are unique."""

_BY_NAME = {one.name: one for one in FAULT_CLASSES}


def fault_class(name: str) -> FaultClass:
    """The class called `name`.

    Raises:
        NotFoundError: There is none; the nearest names are in the hint.
    """
    if name in _BY_NAME:
        return _BY_NAME[name]
    near = get_close_matches(name, _BY_NAME, n=3)
    hint = f"did you mean {' or '.join(f'`{one}`' for one in near)}?" if near else f"there are {', '.join(_BY_NAME)}"
    raise NotFoundError(f"there is no class of faults `{name}`", code="fault.no_such_class", hints=[hint])

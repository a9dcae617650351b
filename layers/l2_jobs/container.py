"""The seam for containers: each kind is a plugin of the kind `container` that builds the argv around a command.

`tests/l2_jobs/container_contract.py` is what all do alike. Whatever the kind: the processes run as the job's user with
the same number, in the unit of their rank group (it is their fence), on the node's own network, and see the paths of
the node under the same names. Variables are passed on by name, so no value of one stands in an argv.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from aiops.layers.core.errors import InputError
from aiops.layers.core.places import nearest
from aiops.layers.core.plugin import Plugins, hookspec

from .attempt import Attempt
from .container_devices import DeviceAccess, access_of
from .job import Job
from .job_conflicts import image_of
from .spec import Seat, specs

FOLDER = "/var/lib/aiops-jobs"
"""Where the folders of attempts are on nodes (remote/agent.py, for root)."""

LAUNCHER_NAMES = ("AIOPS_PROGRESS", "AIOPS_STOP", "AIOPS_OUT", "AIOPS_PYTHON_EXEC", "PYTHON_EXEC", "GLOO_SOCKET_IFNAME")
"""Variables that a launcher adds on the node to what it was given."""

Proof = str
"""How much of a kind was seen at work by us: `run`, or `rendered, not run`."""


@dataclass(frozen=True, slots=True)
class Wrapping:
    """What is put into a container.

    Attributes:
        name: Of the container; unique on the node.
        image: Without the kind in front.
        argv: The command.
        folder: Where it begins.
        writable: Paths of the node that it sees and may write to, as its user may.
        environment: Names of the variables that it sees.
        user: Its number and that of its group.
    """

    name: str
    image: str
    argv: tuple[str, ...]
    folder: str
    writable: tuple[str, ...]
    environment: tuple[str, ...]
    user: tuple[int, int]
    devices: DeviceAccess


class Container(Protocol):
    """One kind of container."""

    @property
    def name(self) -> str:
        """As in `image: NAME://IMAGE`."""
        ...

    @property
    def proof(self) -> Proof:
        """How much of it was seen at work by us."""
        ...

    def wrap(self, wrapping: Wrapping) -> tuple[str, ...]:
        """The argv that runs it. Pure; what follows in it is `wrapping.argv`, whole and last."""
        ...


class ContainerHooks:
    """Hooks of the kind `container`."""

    @hookspec
    def container(self) -> Container:  # type: ignore[empty-body]
        """The kind of container that this plugin knows."""


def containers_of(plugins: Plugins) -> dict[str, Container]:
    """The kinds that are installed, by name.

    Raises:
        PluginError: A plugin is broken.
    """
    return {one.name: one for one in plugins.hooks("container", ContainerHooks).container()}


def contained_specs(
    job: Job, attempt: Attempt, seats: Mapping[str, Seat], containers: Callable[[], Mapping[str, Container]]
) -> dict[str, dict[str, Any]]:
    """What each launcher of an attempt is given, by node, with its command in the container that the job asks for.

    Args:
        job: The job.
        attempt: The attempt.
        seats: Where its nodes are.
        containers: The kinds there are; asked only where the job has an image.

    Raises:
        InputError: It cannot run under our launcher, or not in such a container.
    """
    given = specs(job, attempt, seats)
    if job.image is None:
        return given
    kinds = containers()
    return {
        slot.node: contained(
            given[slot.node],
            job,
            vendor=seats[slot.node].vendor,
            devices=slot.devices,
            spool=f"{FOLDER}/{attempt.key}",
            containers=kinds,
        )
        for slot in attempt.allocation.slots
    }


def contained(
    spec: Mapping[str, Any],
    job: Job,
    *,
    vendor: str | None,
    devices: Sequence[int],
    spool: str,
    containers: Mapping[str, Container],
) -> dict[str, Any]:
    """What a launcher is given, with its command in the container that the job asks for. Pure.

    Args:
        spec: What it is given without (docs/decisions/jobs.md).
        job: The job.
        vendor: The maker of its devices on that node; None without any.
        devices: Their indices.
        spool: The launcher's own folder on the node, with its sockets.
        containers: The kinds there are.

    Raises:
        InputError: There is no such kind, or nobody has said how devices of that maker get into a container.
    """
    if job.image is None:
        return dict(spec)
    kind, image = image_of(job.image)
    if kind not in containers:
        near = nearest(kind, tuple(containers))
        hint = f"did you mean `{near}://{image}`?" if near else "`aiops plugin list` shows which there are"
        raise InputError(f"{job.id}: there is no kind of container `{kind}`", code="job.container", hints=[hint])
    paths = (job.folder, spool, *([job.checkpoint.path] if job.checkpoint is not None else []))
    argv = tuple(spec["argv"])
    names = dict.fromkeys((*sorted(spec["environment"]), *LAUNCHER_NAMES))
    wrapping = Wrapping(
        name=f"aiops-{spec['key']}-{spec['node_rank']}",
        image=image,
        argv=argv,
        folder=job.folder,
        writable=tuple(dict.fromkeys(paths)),
        environment=tuple(names),
        user=(job.owner.uid, job.owner.gid),
        devices=access_of(vendor, devices),
    )
    whole = containers[kind].wrap(wrapping)
    ahead = len(whole) - len(argv)
    found = dict(spec) | {"argv": list(whole)}
    if "options_end" in spec:  # where the launcher puts its own options of torchrun
        found["options_end"] = spec["options_end"] + ahead
    return found

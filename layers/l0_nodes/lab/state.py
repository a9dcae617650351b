"""What a lab is made of, written down before any of it is made.

Every name follows from the lab's id, so the record is complete before the first mount: whatever is killed when,
`down` reads it and removes exactly that.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Literal

from aiops.layers.core.errors import ConflictError, NotFoundError
from aiops.layers.core.file import write_atomic

from .recipe import DEFAULT_RELEASE
from .specification import LabSpec, Simulated, WorkerGroup, require_sense
from .subnet import FIRST_HOST

VERSION = 1


@dataclass(frozen=True, slots=True)
class HostState:
    """One host: its place in the cluster and the names of what it is made of.

    Attributes:
        namespace: Network namespace.
        link: This machine's end of its cable.
        machine: nspawn's name for it, unique on this machine.
        disk_mib: Size of its disk.
        image: The base image it stands on.
        release: The operating system in that image.
        group: Its group of alike workers; empty where the lab has none.
        accelerator: What is on its bus, or None.
    """

    name: str
    role: Literal["head", "workers"]
    address: str
    namespace: str
    link: str
    machine: str
    machine_id: str
    disk_mib: int
    image: str
    release: str = DEFAULT_RELEASE
    group: str = ""
    accelerator: Simulated | None = None


@dataclass(frozen=True, slots=True)
class LabState:
    """All of a lab, as `state.json` keeps it.

    Attributes:
        id: Six hex digits from the lab's folder: the same lab has the same id, two labs never share one.
        stage: `making` until every host has answered once, and again while something larger changes.
        snapshots: Names in the order they were taken; each froze what the hosts had written until then.
        faults: By host and kind, what heals it again.
    """

    name: str
    id: str
    subnet: str
    gateway: str
    bridge: str
    table: str
    cgroup: str
    spec: LabSpec
    hosts: tuple[HostState, ...]
    created: str
    stage: Literal["making", "up"] = "making"
    snapshots: tuple[str, ...] = ()
    faults: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)

    def host(self, name: str) -> HostState:
        """The host called `name`.

        Raises:
            NotFoundError: There is none.
        """
        for host in self.hosts:
            if host.name == name:
                return host
        raise NotFoundError(
            f"lab `{self.name}` has no host `{name}`",
            code="lab.unknown_host",
            hints=[f"its hosts are {', '.join(host.name for host in self.hosts)}"],
        )


def plan_lab(
    spec: LabSpec, folder: Path, subnet: IPv4Network, image_of: Callable[[str], Path], created: str
) -> LabState:
    """Everything the lab will be made of. Pure.

    Args:
        spec: What is wanted.
        folder: The lab's.
        subnet: Its network.
        image_of: Where the image of a release is kept.
        created: When, for the record; machine ids follow from it too.

    Raises:
        InputError: The specification makes no sense.
    """
    require_sense(spec, folder)
    digest = hashlib.sha256(str(folder).encode()).hexdigest()
    short = digest[:6]
    places = [("head", WorkerGroup("", 1)), *spec.workers()]
    hosts = tuple(
        HostState(
            name=name,
            role="workers" if index else "head",
            address=str(subnet.network_address + FIRST_HOST + index),
            namespace=f"aiops-{short}-{index}",
            link=f"al{short}-{index}",
            machine=f"aiops-{short}-{name}",
            machine_id=hashlib.sha256(f"{digest}-{created}-{name}".encode()).hexdigest()[:32],
            disk_mib=spec.disk_mib,
            image=str(image_of(group.release or spec.release)),
            release=group.release or spec.release,
            group=group.name,
            accelerator=group.accelerator,
        )
        for index, (name, group) in enumerate(places)
    )
    return LabState(
        name=spec.name,
        id=short,
        subnet=str(subnet),
        gateway=str(subnet.network_address + 1),
        bridge=f"al{short}",
        table=f"aiops_lab_{short}",
        cgroup=f"aiops-lab/{short}",
        spec=spec,
        hosts=hosts,
        created=created,
    )


def write_state(folder: Path, state: LabState) -> None:
    """Write `state.json` of the lab in `folder`, whole or not at all."""
    document = {"version": VERSION, **asdict(state)}
    write_atomic(folder / "state.json", json.dumps(document, indent=1).encode() + b"\n")


def read_state(folder: Path) -> LabState:
    """Read it back.

    Raises:
        NotFoundError: There is no such lab.
        ConflictError: A newer aiops wrote it, or it is damaged.
    """
    path = folder / "state.json"
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise NotFoundError(
            f"there is no lab `{folder.name}`", code="lab.unknown", hints=["`aiops lab status` lists the labs"]
        ) from error
    except ValueError as error:
        raise ConflictError(f"{path} is damaged: {error}", code="lab.damaged") from error
    if document.pop("version", 0) != VERSION:
        raise ConflictError(f"{path} was written by another version of aiops", code="lab.other_version")
    try:
        document["hosts"] = tuple(_host(host, document) for host in document["hosts"])
        document["spec"] = _spec(document["spec"])
        document["snapshots"] = tuple(document["snapshots"])
        return LabState(**_known(LabState, document))
    except (KeyError, TypeError) as error:
        raise ConflictError(f"{path} is damaged: {error}", code="lab.damaged") from error


def _spec(document: Mapping[str, Any]) -> LabSpec:
    groups = (_known(WorkerGroup, group) for group in document.get("groups", ()))
    spec = _known(LabSpec, document) | {
        "accelerator": _simulated(document.get("accelerator")),
        "groups": tuple(
            WorkerGroup(**group | {"accelerator": _simulated(group.get("accelerator"))}) for group in groups
        ),
        "binds": tuple((source, target) for source, target in document.get("binds", ())),
    }
    return LabSpec(**spec)


def _host(host: Mapping[str, Any], lab: Mapping[str, Any]) -> HostState:
    """A host of the record; labs of before there were groups have one image, and one kind of workers, for all."""
    shared = {} if "image" in host else {"image": lab["image"]}
    if shared and host["role"] == "workers":
        shared["accelerator"] = lab["spec"]["accelerator"]
    known = _known(HostState, {**host, **shared})
    return HostState(**known | {"accelerator": _simulated(known.get("accelerator"))})


def _simulated(document: Mapping[str, Any] | None) -> Simulated | None:
    return Simulated(**_known(Simulated, document)) if document else None


def _known(kind: type, document: Mapping[str, Any]) -> dict[str, Any]:
    """What `kind` knows of a document: what another release added does not keep a lab from being removed."""
    names = {one.name for one in fields(kind)}
    return {name: value for name, value in document.items() if name in names}

"""What a lab is made of, written down before any of it is made.

Every name follows from the lab's id, so the record is complete before the first mount: whatever is killed when,
`down` reads it and removes exactly that.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Literal

from aiops.layers.core.errors import ConflictError, InputError, NotFoundError
from aiops.layers.core.file import write_atomic

from .subnet import FIRST_HOST, LAST_HOST

VERSION = 1
MOST_HOSTS = LAST_HOST - FIRST_HOST + 1


@dataclass(frozen=True, slots=True)
class Simulated:
    """The accelerators of a lab's workers."""

    vendor: str
    count: int
    model: str | None = None


@dataclass(frozen=True, slots=True)
class LabSpec:
    """What lab is wanted.

    Attributes:
        nodes: Workers; the head comes on top.
        accelerator: What each worker has on its bus, or None.
        driver: Version of the vendor's driver that the workers come with; None for bare hosts.
        disk_mib: Size of each host's own disk. The file is sparse.
        memory_mib: Limit for the whole lab together, or None.
    """

    name: str = "lab"
    nodes: int = 2
    accelerator: Simulated | None = None
    driver: str | None = None
    disk_mib: int = 8192
    memory_mib: int | None = None


@dataclass(frozen=True, slots=True)
class HostState:
    """One host: its place in the cluster and the names of what it is made of.

    Attributes:
        namespace: Network namespace.
        link: This machine's end of its cable.
        machine: nspawn's name for it, unique on this machine.
        disk_mib: Size of its disk.
    """

    name: str
    role: Literal["head", "workers"]
    address: str
    namespace: str
    link: str
    machine: str
    machine_id: str
    disk_mib: int


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
    image: str
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


def plan_lab(spec: LabSpec, folder: Path, subnet: IPv4Network, image: Path, created: str) -> LabState:
    """Everything the lab will be made of. Pure.

    Raises:
        InputError: The specification makes no sense.
    """
    _check(spec, folder)
    digest = hashlib.sha256(str(folder).encode()).hexdigest()
    short = digest[:6]
    stem = "gpu" if spec.accelerator else "node"
    width = max(2, len(str(spec.nodes)))
    names = ["head", *(f"{stem}{number:0{width}d}" for number in range(1, spec.nodes + 1))]
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
        )
        for index, name in enumerate(names)
    )
    return LabState(
        name=spec.name,
        id=short,
        subnet=str(subnet),
        gateway=str(subnet.network_address + 1),
        bridge=f"al{short}",
        table=f"aiops_lab_{short}",
        cgroup=f"aiops-lab/{short}",
        image=str(image),
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
        spec = _known(LabSpec, document["spec"])
        if spec.get("accelerator"):
            spec["accelerator"] = Simulated(**_known(Simulated, spec["accelerator"]))
        document["spec"] = LabSpec(**spec)
        document["hosts"] = tuple(HostState(**_known(HostState, host)) for host in document["hosts"])
        document["snapshots"] = tuple(document["snapshots"])
        return LabState(**_known(LabState, document))
    except (KeyError, TypeError) as error:
        raise ConflictError(f"{path} is damaged: {error}", code="lab.damaged") from error


def _known(kind: type, document: Mapping[str, Any]) -> dict[str, Any]:
    """What `kind` knows of a document: what another release added does not keep a lab from being removed."""
    names = {one.name for one in fields(kind)}
    return {name: value for name, value in document.items() if name in names}


def _check(spec: LabSpec, folder: Path) -> None:
    wrong = None
    if not spec.name.isascii() or not spec.name.replace("-", "").isalnum() or not spec.name[0].isalpha():
        wrong = f"`{spec.name}` is no name for a lab: use letters, digits and dashes, a letter first"
    elif spec.name != spec.name.lower() or len(spec.name) > 40:  # noqa: PLR2004
        wrong = f"`{spec.name}` is no name for a lab: use at most 40 lower-case letters, digits and dashes"
    elif not 0 <= spec.nodes < MOST_HOSTS:
        wrong = f"a lab has 0 to {MOST_HOSTS - 1} nodes beside its head, not {spec.nodes}"
    elif spec.disk_mib < 256:  # noqa: PLR2004
        wrong = f"a host's disk needs at least 256 MiB, not {spec.disk_mib}"
    elif spec.accelerator and not 1 <= spec.accelerator.count <= 16:  # noqa: PLR2004
        wrong = f"a host has 1 to 16 accelerators, not {spec.accelerator.count}"
    elif spec.driver and not spec.accelerator:
        wrong = "a driver without accelerators: add `--accelerator nvidia:8`"
    elif any(letter in str(folder) for letter in ',:\\" \t\n'):
        wrong = f"the lab's folder `{folder}` has a character that mount options cannot carry: set another AIOPS_HOME"
    if wrong:
        raise InputError(wrong, code="lab.bad_specification")

"""The `aiops_*` variables of the inventory: one model gives their types, defaults, words and the reference page."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from .node import Node
from .power_words import require_harmless

_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def _flag(value: Any) -> Any:
    """INI inventories have no booleans, only words."""
    return _WORDS.get(value.lower(), value) if isinstance(value, str) else value


def _number(value: Any) -> Any:
    """Templates of older Ansible give digits as text."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value


Flag = Annotated[bool, BeforeValidator(_flag)]
Number = Annotated[int, BeforeValidator(_number)]
PowerWords = Annotated[list[str], AfterValidator(require_harmless)]


class _Strict(BaseModel):
    """Unknown keys and silent conversions are mistakes: the user is told."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ExpectedAccelerators(_Strict):
    """What the operator bought; the probe tells what is there."""

    vendor: str = Field(description="The vendor, as its plugin is called.", examples=["nvidia"])
    count: Number = Field(ge=1, description="Devices in each node.", examples=[8])
    model: str | None = Field(default=None, description="Part of the model's name.", examples=["H100"])


class ExpectedNics(_Strict):
    """Network ports of one kind that each node should have."""

    count: Number = Field(ge=1, description="Ports in each node whose link is up.", examples=[8])
    kind: Literal["ethernet", "infiniband", "roce"] = Field(default="ethernet", description="What they speak.")
    name: str = Field(
        default="*",
        min_length=1,
        description="Pattern of their names: of interfaces for ethernet, of devices (`mlx5_0`) for the others.",
        examples=["mlx5_*"],
    )
    speed_gbit: Number | None = Field(default=None, ge=1, description="Gbit/s of each at least.", examples=[400])


class Expected(_Strict):
    """What preflight compares each node with, beside its accelerators."""

    os: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z]+( [0-9]+(\.[0-9]+)*)?$",
        description="Operating system, with or without its release.",
        examples=["debian 12"],
    )
    nics: list[ExpectedNics] = Field(
        default=[],
        description="Network ports, kind by kind.",
        examples=[[{"count": 8, "kind": "infiniband", "speed_gbit": 400}]],
    )


class Shared(_Strict):
    """A directory that every node sees under the same path."""

    path: str = Field(pattern=r"^/", description="Where nodes see it.", examples=["/shared"])
    source: str = Field(
        min_length=1,
        description="What is mounted: `SERVER:/PATH` for nfs, a directory for bind, the exported one for nfs-export.",
        examples=["10.0.0.1:/export/shared"],
    )
    type: Literal["bind", "nfs", "nfs-export"] = Field(
        default="nfs",
        description="`nfs` mounts what a server outside exports, `nfs-export` makes the storage node (or the head) that"
        " server, `bind` binds a directory that every node already has.",
    )
    options: str = Field(default="defaults", description="Mount options.", examples=["rw,hard,nconnect=8"])


class ManagedUser(_Strict):
    """An account with the same numbers on every node."""

    name: str = Field(pattern=r"^[a-z_][a-z0-9_-]{0,31}$", description="Login name.", examples=["alice"])
    uid: Number = Field(ge=1, le=4294967293, description="User number, the same everywhere.", examples=[2001])
    gid: Number | None = Field(default=None, ge=1, description="Group number; `uid` by default.")
    group: str | None = Field(default=None, description="Primary group; the user's name by default.")
    home: str | None = Field(default=None, pattern=r"^/", description="Home directory; `/home/NAME` by default.")
    shell: str = Field(default="/bin/bash", pattern=r"^/", description="Login shell.")


class NodeVariables(_Strict):
    """All `aiops_*` variables of one node, after templating."""

    aiops_cluster: str | None = Field(
        default=None,
        pattern=r"^[a-z][a-z0-9-]{0,39}$",
        description="The cluster's name, the same on all nodes; by default made from the inventory's path.",
        examples=["lab-a"],
    )
    aiops_address: str | None = Field(
        default=None,
        min_length=1,
        description="The node's address inside the cluster, when it differs from the one aiops connects to.",
        examples=["192.168.10.11"],
    )
    aiops_engine: Literal["slurm", "ssh"] = Field(
        default="slurm", description="Who places jobs on this node; never both."
    )
    aiops_share_devices: Flag = Field(
        default=False, description="Whether several jobs may each have a part of the memory of one of its accelerators."
    )
    aiops_jobs_as_root: Flag = Field(
        default=False, description="Whether jobs of root may run on this node; those of others never run as root."
    )
    aiops_power_status: PowerWords = Field(
        default=[],
        description="The command, as a list of words, that asks the node's BMC whether the node has power. It runs on"
        " the machine of the controller, as its user, has 10 s, and says so in its last line: `Chassis Power is off`,"
        " `on`, a Redfish document with `PowerState`; whatever else it says is unknown. It may only ask. All users of"
        " that machine see its words: let it read the password from a file (`-f`).",
        examples=[
            [
                *("ipmitool", "-I", "lanplus", "-H", "{{ bmc }}", "-U", "aiops"),
                *("-f", "/etc/aiops/bmc.password", "chassis", "power", "status"),
            ]
        ],
    )
    aiops_ntp_servers: list[str] = Field(
        default=[],
        description="Time servers the head follows; by default the head's own clock leads.",
        examples=[["ntp1.example.org", "ntp2.example.org"]],
    )
    aiops_repository: Literal["bundle", "system"] = Field(
        default="bundle", description="Where packages come from: the bundle the head serves, or the node's own sources."
    )
    aiops_bundle: str | None = Field(
        default=None, min_length=1, description="The bundle's path on this machine; `AIOPS_HOME/bundle` by default."
    )
    aiops_repository_port: Number = Field(
        default=8990,
        ge=1,
        le=65535,
        description="The port on which the head serves the bundle; the head's own value counts for all nodes.",
    )
    aiops_accelerators: ExpectedAccelerators | None = Field(
        default=None,
        description="What each node should have; preflight compares it with the bus.",
        examples=[{"vendor": "nvidia", "count": 8, "model": "H100"}],
    )
    aiops_expect: Expected | None = Field(
        default=None,
        description="What else each node should have; preflight keeps out a node that has less.",
        examples=[{"os": "ubuntu 24.04", "nics": [{"count": 8, "kind": "infiniband", "speed_gbit": 400}]}],
    )
    aiops_accelerator_packages: Literal["vendor", "simulated", "none"] = Field(
        default="vendor",
        description="Which driver packages are installed: the vendor's, the lab's dummies, or none (you do it).",
    )
    aiops_driver_version: str | None = Field(
        default=None,
        pattern=r"^[0-9][0-9A-Za-z.+~:-]*$",
        description="The driver's exact version (quote it); by default the newest of the repository.",
        examples=["580.95.05"],
    )
    aiops_shared: Shared | None = Field(
        default=None,
        description="The shared directory.",
        examples=[{"path": "/shared", "source": "10.0.0.1:/export/shared", "type": "nfs"}],
    )
    aiops_sysctl: dict[str, str | int] = Field(
        default={}, description="Kernel settings beside aiops' own.", examples=[{"vm.max_map_count": 1048576}]
    )
    aiops_packages: list[str] = Field(
        default=[],
        description="More packages to install; a bundle that is built for this inventory (`aiops cluster bundle build"
        " -i FILE`) holds them.",
        examples=[["tmux", "htop"]],
    )
    aiops_hold: list[str] = Field(
        default=[],
        description="Packages never to be upgraded, beside kernel and driver.",
        examples=[["linux-image-amd64"]],
    )
    aiops_environments: list[Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]] = Field(
        default=[],
        description="Python environments of trainers and serving engines that the node has below /opt/aiops/env, by"
        " name; a bundle that is built for this inventory holds their wheels.",
        examples=[["trainer"]],
    )
    aiops_environment_locks: dict[str, Annotated[str, Field(min_length=1)]] = Field(
        default={},
        description="Lock files of your own, by environment, in place of the shipped ones: say it for the group of"
        " nodes whose accelerators need another build of torch. Seen from the inventory's folder.",
        examples=[{"trainer": "locks/trainer-cuda.lock"}],
    )
    aiops_environments_folder: str | None = Field(
        default=None,
        pattern=r"^/",
        description="A folder that all nodes share, and the head may write to, in which environments are kept once;"
        " by default each node has its own copy.",
        examples=["/shared/aiops/env"],
    )
    aiops_swap_off: Flag = Field(default=True, description="Turn swap off.")
    aiops_slurm_partition: str = Field(
        default="main", pattern=r"^[A-Za-z0-9_-]+$", description="The Slurm partition the node is in."
    )
    aiops_slurm_account: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_.-]+$",
        description="The account of Slurm that jobs of aiops on the node are charged to; by default their owner's own.",
        examples=["research"],
    )
    aiops_slurm_qos: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_.-]+$",
        description="The QOS of Slurm that jobs of aiops on the node have; by default their owner's own.",
        examples=["high"],
    )
    aiops_slurm_options: dict[str, str | int] = Field(
        default={}, description="More lines of slurm.conf.", examples=[{"SlurmdTimeout": 120}]
    )
    aiops_prometheus_retention: str = Field(
        default="30d", pattern=r"^[0-9]+[smhdwy]$", description="How long Prometheus keeps its samples."
    )
    aiops_alert_webhook: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s\"']+$",
        description="Where Alertmanager sends alerts; by default it shows them and tells nobody.",
        examples=["https://alerts.example.org/hook"],
    )
    aiops_users: list[ManagedUser] = Field(
        default=[],
        description="Accounts with the same numbers everywhere.",
        examples=[[{"name": "alice", "uid": 2001}]],
    )


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something wrong with one variable: its name, and what to say."""

    variable: str
    message: str
    hint: str | None = None


def variables_of(node: Node) -> NodeVariables:
    """The `aiops_*` variables of `node`, with defaults.

    `read_inventory` has checked them, so this does not fail for nodes that came from there.

    Raises:
        pydantic.ValidationError: The node was made by hand with wrong values.
    """
    return NodeVariables.model_validate(dict(node.aiops))


def mistakes_in(values: Mapping[str, Any]) -> Iterator[Mistake]:
    """What is wrong with the `aiops_*` variables of a node."""
    try:
        NodeVariables.model_validate(dict(values))
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            yield _mistake(detail)


def _mistake(detail: Mapping[str, Any]) -> Mistake:
    path = tuple(detail["loc"])
    name = str(path[0])
    where = name + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path[1:] if _said(part))
    if detail["type"] == "extra_forbidden":
        known = sorted(_fields(path[:-1]))
        near = _nearest(str(path[-1]), known)
        hint = f"did you mean `{near}`?" if near else f"known are {', '.join(known)}"
        return Mistake(name, f"there is no variable `{where}`", hint)
    if detail["type"] == "missing":
        return Mistake(name, f"`{where}` is missing", _example(name))
    words = str(detail["msg"]).partition("should ")[2].replace("be a valid", "be a")
    if detail["type"] == "model_type":
        words = f"be a mapping of {', '.join(_fields(path))}"
    given = detail["input"]
    shown = "" if isinstance(given, dict | list) else f", not {given!r}"
    quote = detail["type"] == "string_type" and not isinstance(given, dict | list)
    return Mistake(name, f"`{where}` must {words}{shown}", f'quote it: "{given}"' if quote else _example(name))


def _nearest(name: str, known: Sequence[str]) -> str | None:
    """The known name that was surely meant; what all share, `aiops_`, makes no names alike."""
    own = {one.removeprefix("aiops_"): one for one in known}
    near = get_close_matches(name.removeprefix("aiops_"), own, n=1)
    return own[near[0]] if near else None


def _said(part: Any) -> bool:
    """Whether a step of pydantic's path means something to the user; the branches of a union do not."""
    return isinstance(part, int) or str(part) not in {"str", "int", "function-before[_number(), int]"}


def _fields(path: Sequence[Any]) -> Sequence[str]:
    """The names that are known at a step of pydantic's path."""
    model: type[BaseModel] | None = NodeVariables
    for part in path:
        if model is not None and part in model.model_fields:
            model = model_in(model.model_fields[part].annotation)
    return tuple(model.model_fields) if model is not None else ()


def model_in(kind: Any) -> type[BaseModel] | None:
    """The model inside a variable's type."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind
    return next((found for part in get_args(kind) if (found := model_in(part)) is not None), None)


def _example(name: str) -> str | None:
    """A hint that shows a right value."""
    examples = NodeVariables.model_fields[name].examples
    return f"for example `{name}: {examples[0]}`" if examples else None

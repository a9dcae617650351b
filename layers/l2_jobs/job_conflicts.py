"""Mistakes of a job.yml that lie between its keys: each alone would do. Pure."""

import re
from collections.abc import Callable, Iterator

from aiops.layers.core.places import Path, nearest

from .job import Launch
from .job_document import JobDocument
from .torchrun_options import names_script, ours

Conflict = tuple[Path, str, str | None]
"""Where, what is wrong, what would fit."""

VISIBLE = {
    *("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"),
    *("ASCEND_RT_VISIBLE_DEVICES", "ASCEND_VISIBLE_DEVICES", "HABANA_VISIBLE_MODULES", "MLU_VISIBLE_DEVICES"),
    *("MUSA_VISIBLE_DEVICES", "XPU_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "ENFLAME_VISIBLE_DEVICES"),
    *("MACA_VISIBLE_DEVICES", "SUPA_VISIBLE_DEVICES"),
}
_RANKS = {
    *("MASTER_ADDR", "MASTER_PORT", "RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK"),
    *("GROUP_WORLD_SIZE", "ROLE_RANK", "ROLE_WORLD_SIZE", "NODE_RANK"),
}
_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_IMAGE = re.compile(r"^([a-z][a-z0-9]*)://(\S+)$")
_PROBE = re.compile(r"^http:([a-z][a-z0-9_]*)(/\S*)$")
DEFAULT_CONTAINER = "podman"
OF_SRUN = "pyxis"
"""The kind of container that is a part of Slurm's srun; what srun runs can have no other."""


def launch_of(document: JobDocument) -> Launch:
    """How the command is started: as it says, else by what the command begins with."""
    if document.launch is not None:
        return document.launch
    begins = document.command[0].rpartition("/")[2]
    return "torchrun" if begins == "torchrun" else "srun" if begins == "srun" else "command"


def image_of(text: str) -> tuple[str, str]:
    """The plugin and the image that `image:` names: `podman://a/b:1`, or `a/b:1` for podman.

    Raises:
        ValueError: It names no image.
    """
    found = _IMAGE.match(text)
    if found:
        return found[1], found[2]
    if "://" in text or not text.strip() or any(letter.isspace() for letter in text) or text.startswith("-"):
        raise ValueError("is no image")
    return DEFAULT_CONTAINER, text


def _nodes(document: JobDocument) -> Iterator[Conflict]:
    nodes = document.nodes
    if nodes.max is not None and nodes.max < nodes.min:
        yield ("nodes", "max"), f"`nodes.max` is {nodes.max}, less than `nodes.min`, {nodes.min}", None
    if nodes.only and len(nodes.only) < nodes.min:
        words = f"`nodes.only` names {len(nodes.only)} of the {nodes.min} nodes that `nodes.min` asks for"
        yield ("nodes", "only"), words, f"name more nodes, or set `nodes.min` to {len(nodes.only)}"


def _devices(document: JobDocument) -> Iterator[Conflict]:
    devices = document.devices
    if devices.share is not None and devices.count not in (None, 1):
        words = f"`devices.share` is a part of one accelerator, and `devices.count` is {devices.count}"
        yield ("devices", "share"), words, "leave one of the two out"
    if devices.vendor is not None and not devices.count and devices.share is None:
        yield ("devices", "vendor"), "`devices.vendor` is said, and no devices are asked for", "say `devices.count`"


def _torchrun(document: JobDocument) -> Iterator[Conflict]:
    command, launch = document.command, launch_of(document)
    first = command[0].rpartition("/")[2]
    if launch == "torchrun" and first != "torchrun":
        hint = f"begin it with `torchrun`, or say `launch: command` to run `{first}` once on each node"
        yield ("command",), f"`command` begins with `{first}`, and `launch: torchrun` needs torchrun there", hint
    elif launch == "torchrun":
        for option, instead in ours(command[1:]):
            yield ("command",), f"`command` has `{option}`, which is not its own to say", f"leave it out: {instead}"
        if not names_script(command[1:]):
            yield ("command",), "`command` names no script behind torchrun", "for example `torchrun train.py`"
    elif first == "torchrun" and launch == "command":
        hint = "say `launch: torchrun`: aiops gives it ranks and a rendezvous"
        yield ("launch",), "`command` begins with torchrun, and `launch` is `command`", hint


def _processes(document: JobDocument) -> Iterator[Conflict]:
    if document.processes is not None and document.processes > 1 and launch_of(document) != "torchrun":
        words = f"`processes` is {document.processes}, and `launch: {launch_of(document)}` starts one on each node"
        yield ("processes",), words, "start several with `launch: torchrun`, or leave it out"


def _engine(document: JobDocument) -> Iterator[Conflict]:
    if launch_of(document) == "srun" and document.engine == "ssh":
        where: Path = ("launch",) if document.launch else ("engine",)
        hint = "say `launch: torchrun` or `command`, or `engine: slurm`"
        yield where, "`launch: srun` needs Slurm, and `engine` is `ssh`", hint


def _environment(document: JobDocument) -> Iterator[Conflict]:
    for name, value in document.env.items():
        if not _NAME.match(name):
            words = "is no name of a variable: letters, digits and `_`, no digit first"
            yield ("env", name), f"`env.{name}` {words}", None
        elif name in VISIBLE:
            hint = "leave it out, and say how many with `devices:`"
            yield ("env", name), f"`env.{name}`: which devices are seen is said by aiops", hint
        elif name in _RANKS or name.startswith(("AIOPS_", "TORCHELASTIC_", "SLURM_")):
            yield ("env", name), f"`env.{name}` is set by what starts the processes", "leave it out"
        if "\0" in value:
            yield ("env", name), f"`env.{name}` has a NUL byte", None


def _image(document: JobDocument) -> Iterator[Conflict]:
    if document.image is None:
        return
    try:
        kind, _ = image_of(document.image)
    except ValueError as error:
        yield ("image",), f"`image` {error}", "for example `podman://registry.example.org/team/train:1`"
        return
    srun = launch_of(document) == "srun"
    if srun != (kind == OF_SRUN):
        words = f"`image` is of {kind}, and `launch` is `{launch_of(document)}`"
        hint = (
            f"under srun only `{OF_SRUN}://IMAGE` does" if srun else f"`{OF_SRUN}` is srun's own: take enroot or podman"
        )
        yield ("image",), words, hint


def _limits(document: JobDocument) -> Iterator[Conflict]:
    time, stop = document.limits.time, document.limits.stop
    if time is not None and stop >= time:
        yield ("limits", "stop"), "`limits.stop` leaves nothing of `limits.time`", None


def _service(document: JobDocument) -> Iterator[Conflict]:
    service = document.service
    if service is None:
        return
    if document.kind != "service":
        yield ("service",), "`service` is said, and `kind` is `batch`", "say `kind: service`, or leave it out"
    for number, port in enumerate(service.ports):
        if port in service.ports[:number]:
            yield ("service", "ports", number), f"`service.ports` has `{port}` twice", None
    if isinstance(service.ready, str):
        found = _PROBE.match(service.ready)
        if not found:
            words = f"`service.ready` is `{service.ready}`, no command and no address of a port"
            yield ("service", "ready"), words, "for example `http:http/health`"
        elif found[1] not in service.ports:
            near = nearest(found[1], service.ports)
            hint = f"did you mean `{near}`?" if near else f"name it in `service.ports`: `[{found[1]}]`"
            yield ("service", "ready"), f"`service.ready` asks the port `{found[1]}`, which it does not have", hint


_CHECKS: tuple[tuple[frozenset[str], Callable[[JobDocument], Iterator[Conflict]]], ...] = (
    (frozenset({"nodes"}), _nodes),
    (frozenset({"devices"}), _devices),
    (frozenset({"command", "launch"}), _torchrun),
    (frozenset({"command", "launch", "processes"}), _processes),
    (frozenset({"command", "launch", "engine"}), _engine),
    (frozenset({"env"}), _environment),
    (frozenset({"image", "command", "launch"}), _image),
    (frozenset({"limits"}), _limits),
    (frozenset({"kind", "service"}), _service),
)


def conflicts(document: JobDocument, spoiled: frozenset[str] = frozenset()) -> Iterator[Conflict]:
    """What is wrong between the keys.

    Args:
        document: A document that fits the model.
        spoiled: Top keys whose values are not the user's, for those were wrong by themselves: nothing is said of them.
    """
    for keys, check in _CHECKS:
        if not keys & spoiled:
            yield from check(document)

"""The keys of job.yml: one pydantic model gives their types, words, examples and the JSON schema."""

import re
import shlex
from collections.abc import Callable
from math import inf
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from aiops.layers.core.errors import InputError
from aiops.layers.l0_nodes.nodeset import expand

from .job import EngineName, Kind, Launch, OnFault
from .mistake import WrongError
from .quantity import MEMORY_PATTERN, SPAN_PATTERN, bytes_of, seconds_of

_NAME = r"^[a-z][a-z0-9-]{0,39}$"
_WORD = r"^[a-z][a-z0-9_-]{0,39}$"
_PORT = r"^[a-z][a-z0-9_]{0,30}$"
_STACK = r"^(?:[a-z][a-z0-9-]{0,60}|/[^\x00-\x1f\x7f:]*)$"
_ABSOLUTE = r"^/[^\x00-\x1f\x7f]*$"
PATTERN_WORDS = {
    _NAME: "must be lower-case letters, digits and `-`, a letter first, at most 40",
    _WORD: "must be lower-case letters, digits, `-` and `_`, a letter first, at most 40",
    _PORT: "must be lower-case letters, digits and `_`, a letter first, at most 31",
    _STACK: "must be lower-case letters, digits and `-`, a letter first, or a path that begins with /",
    _ABSOLUTE: "must be a path that begins with /",
}
"""What each pattern asks for, in words."""

_SHELL_WORDS = re.compile(r"^[|&;]+$|^\d?[<>]|\$[A-Za-z_({]|`|;$|^~(?:/|$)")
_ASSIGNMENT = re.compile(r"^[A-Za-z_]\w*=")
_SHELLS = ("sh", "bash", "dash", "zsh")
CAUSERS = ("node", "network", "storage", "framework", "scheduler", "process")
"""Whose faults have a budget of restarts of their own. A fault of the user's has none: it would only come again."""


def read_by(reader: Callable[[str], Any], example: str) -> Callable[[Any], Any]:
    """A validator for what is written as text and read by `reader`."""

    def read(value: Any) -> Any:
        if not isinstance(value, str):
            raise WrongError(f"needs a unit, is {value!r}", f"for example `{example}`")
        try:
            return reader(value)
        except ValueError as error:
            raise WrongError(f"is `{value}`; {error}") from error

    return read


def _word_or(words: dict[str, Any], reader: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: words[value] if isinstance(value, str) and value in words else reader(value)


_span, _memory = read_by(seconds_of, "30m"), read_by(bytes_of, "64 GiB")


def _argv(value: Any) -> Any:
    """A command as words; a line is split as a shell would, and what only a shell understands is a mistake."""
    if not isinstance(value, str):
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            raise WrongError("must be a line, or a list of words")
        words = value
    else:
        try:
            words = shlex.split(value)
        except ValueError as error:
            raise WrongError(f"cannot be split into words: {str(error).lower()}") from error
        shell = words and words[0].rpartition("/")[2] in _SHELLS
        strange = next((word for word in words if _SHELL_WORDS.search(word)), None)
        if strange is not None and not shell:
            hint = 'none is used: write the words as a list, or `[bash, -c, "..."]` for a line of a shell'
            raise WrongError(f"has `{strange}`, which only a shell understands", hint)
        if words and _ASSIGNMENT.match(words[0]):
            raise WrongError(f"begins with `{words[0]}`", "variables stand below `env:`")
    if not words or not words[0]:
        raise WrongError("is empty")
    if any("\0" in word for word in words):
        raise WrongError("has a NUL byte")
    return tuple(words)


def _ready(value: Any) -> Any:
    return value if isinstance(value, str) and value.startswith("http:") else _argv(value)


def _nodes(value: Any) -> Any:
    """`nodes: 4` means exactly four."""
    return {"min": value, "max": value} if isinstance(value, int) and not isinstance(value, bool) else value


def _devices(value: Any) -> Any:
    """`devices: 8` means eight whole ones."""
    return {"count": value} if isinstance(value, int) and not isinstance(value, bool) else value


def _names(value: Any) -> Any:
    """A node set, `gpu[01-04]`, or a list of such."""
    parts = value if isinstance(value, list) else [value]
    if not parts or not all(isinstance(part, str) and part for part in parts):
        raise WrongError("must be a node set", "for example `gpu[01-04]`")
    try:
        return tuple(dict.fromkeys(name for part in parts for name in expand(part)))
    except InputError as error:
        raise WrongError(f"is no node set: {error.message}", "for example `gpu[01-04]`") from error


def _share(value: Any) -> Any:
    """`0.5`, or `50%`."""
    if isinstance(value, str) and re.fullmatch(r"\d{1,2}(\.\d+)?\s*%", value):
        return float(value.rstrip("% ")) / 100
    if isinstance(value, bool) or not isinstance(value, float) or not 0 < value < 1:
        raise WrongError(f"must be more than 0 and less than 1, is {value!r}", "for example `0.5`, or `50%`")
    return value


def _named(value: Any) -> Any:
    """Elsewhere variables stand below this key."""
    if isinstance(value, dict):
        raise WrongError("is the name of an environment", "variables stand below `env:`")
    return value


def regex_of_steps(value: Any) -> Any:
    """`value`, which finds steps in output.

    Raises:
        WrongError: It does not.
    """
    if not isinstance(value, str):
        raise WrongError("must be text")
    try:
        groups = re.compile(value).groupindex
    except re.error as error:
        raise WrongError(f"is no regular expression: {error}") from error
    strange = sorted(set(groups) - {"step", "loss"})
    if "step" not in groups or strange:
        words = f"has a group `{strange[0]}`" if strange else "has no group `step`"
        raise WrongError(words, r"for example `step (?P<step>\d+).*loss (?P<loss>[\d.]+)`")
    return value


def _text_schema(pattern: str, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]})


_LINE: dict[str, Any] = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
Span = Annotated[float, BeforeValidator(_span), _text_schema(SPAN_PATTERN, "30m")]
HangSpan = Annotated[
    float | None,
    BeforeValidator(_word_or({"auto": None, "never": inf}, _span)),
    _text_schema(f"^(?:auto|never)$|{SPAN_PATTERN}", "auto"),
]
Memory = Annotated[int, BeforeValidator(_memory), _text_schema(MEMORY_PATTERN, "64 GiB")]
Argv = Annotated[tuple[str, ...], BeforeValidator(_argv), WithJsonSchema(_LINE)]
ReadyProbe = Annotated[tuple[str, ...] | str, BeforeValidator(_ready), WithJsonSchema(_LINE)]
Names = Annotated[tuple[str, ...], BeforeValidator(_names), WithJsonSchema(_LINE)]
Share = Annotated[float, BeforeValidator(_share)]
Regex = Annotated[str, BeforeValidator(regex_of_steps)]


class Strict(BaseModel):
    """Unknown keys and silent conversions are mistakes: the user is told."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class NodesDocument(Strict):
    """How many nodes."""

    min: int = Field(default=1, ge=1, description="Fewer are never started.")
    max: int | None = Field(default=None, ge=1, description="As many as there are room for, up to this; `min` if none.")
    only: Names = Field(default=(), description="Only these may be used, a node set.", examples=["gpu[01-04]"])


class DevicesDocument(Strict):
    """What is taken of each node."""

    count: int | None = Field(default=None, ge=0, description="Whole accelerators of each node.", examples=[8])
    share: Share | None = Field(
        default=None, description="Instead: a part of one accelerator's memory, where its owner allows it."
    )
    vendor: str | None = Field(default=None, description="Only of this maker.", examples=["nvidia"])


class CheckpointDocument(Strict):
    """Where checkpoints are written."""

    path: str = Field(pattern=_ABSOLUTE, description="The folder, the same on all nodes.", examples=["/shared/runs/a"])
    format: str = Field(default="auto", min_length=1, description="What writes them; `auto` finds out.")
    every: int | None = Field(default=None, ge=1, description="Steps between two; only for words.")
    keep: int = Field(default=2, ge=2, description="Good ones that `aiops checkpoint prune` leaves, at least two.")
    resume: bool = Field(
        default=False, description="Begin with the newest verified one that is there; else none may be there."
    )


class ProgressDocument(Strict):
    """How steps are seen of a program that does not tell them itself."""

    regex: Regex = Field(description="With a group `step` and perhaps `loss`, searched in each line of output.")


class LimitsDocument(Strict):
    """What the job may take."""

    time: Span | None = Field(default=None, description="How long it may run, in all attempts together.")
    hang: HangSpan = Field(default=None, description="Without progress for so long it is taken for hung.")
    memory: Memory | None = Field(default=None, description="Of each node.")
    processors: float | None = Field(default=None, gt=0, description="Of each node.")
    stop: Span = Field(default=30.0, description="How long it has to save and leave when it is asked to.")


class RestartsDocument(Strict):
    """How often it is started again, by who caused the fault."""

    node: int | None = Field(default=None, ge=0, description="A node failed.")
    network: int | None = Field(default=None, ge=0, description="The network did.")
    storage: int | None = Field(default=None, ge=0, description="Storage did.")
    framework: int | None = Field(default=None, ge=0, description="NCCL, torch or another library did.")
    scheduler: int | None = Field(default=None, ge=0, description="Slurm, or a preemption.")
    process: int | None = Field(default=None, ge=0, description="A process ended and nothing says why.")
    without_progress: int = Field(
        default=3, ge=1, description="Attempts in a row without a newer verified checkpoint, after which it is held."
    )


class ServiceDocument(Strict):
    """What a service has beside."""

    ports: list[Annotated[str, Field(pattern=_PORT)]] = Field(
        default=[], description="Names of the ports it is given, as AIOPS_PORT_NAME.", examples=[["http"]]
    )
    ready: ReadyProbe = Field(
        default=(),
        description="A command that ends with 0 once it serves, or `http:PORT/path`.",
        examples=["http:http/health"],
    )
    ready_within: Span = Field(default=600.0, description="How long that may take.")


class JobDocument(Strict):
    """One job, as a user writes it down."""

    aiops: Literal[1] = Field(description="The version of this format.")
    name: str = Field(pattern=_NAME, description="What it is called; jobs are numbered behind it.", examples=["sft"])
    kind: Kind = Field(default="batch", description="Whether it ends by itself, or serves.")
    command: Argv = Field(description="What is run: a line that is split into words, or the words; never a shell.")
    launch: Launch | None = Field(
        default=None,
        description="`torchrun`: aiops gives it its options and ranks. `command`: one process per node. `srun`: given"
        " to Slurm's srun as it is. By default what the command begins with.",
    )
    nodes: Annotated[NodesDocument, BeforeValidator(_nodes)] = Field(
        default=NodesDocument(max=1), description="How many nodes, a number or min and max."
    )
    devices: Annotated[DevicesDocument, BeforeValidator(_devices)] = Field(
        default=DevicesDocument(), description="Accelerators of each node, a number or a mapping."
    )
    processes: int | None = Field(default=None, ge=1, description="Per node, of torchrun; one for each device if none.")
    engine: EngineName | None = Field(default=None, description="Who runs it; by default whose nodes are chosen.")
    image: str | None = Field(
        default=None, min_length=1, description="A container image, `podman://IMAGE`.", examples=["podman://a/b:1"]
    )
    env: dict[str, str] = Field(default={}, description="Variables of its processes. Not for secrets.")
    environment: Annotated[str | None, BeforeValidator(_named)] = Field(
        default=None,
        pattern=_STACK,
        description="A Python environment of the nodes, NAME or NAME-DIGEST below /opt/aiops/env, or a folder.",
        examples=["trainer"],
    )
    folder: str | None = Field(default=None, pattern=_ABSOLUTE, description="Where it begins; job.yml's own if none.")
    checkpoint: CheckpointDocument | None = Field(default=None, description="Where its checkpoints are.")
    progress: ProgressDocument | None = Field(default=None, description="How its steps are seen in its output.")
    limits: LimitsDocument = Field(default=LimitsDocument(), description="What it may take.")
    restarts: RestartsDocument = Field(default=RestartsDocument(), description="How often it is started again.")
    on_fault: OnFault = Field(default="restart", description="Start it again, or wait for a person.")
    spares: int = Field(default=0, ge=0, description="Healthy nodes that are kept free for it.")
    priority: int = Field(default=50, ge=0, le=100, description="More goes first.")
    queue: str = Field(default="default", pattern=_WORD, description="Which queue it waits in.")
    service: ServiceDocument | None = Field(default=None, description="What a service has beside.")


def schema_text() -> str:
    """docs/reference/job.schema.json: the JSON schema of job.yml, for editors. Written by `make docs`."""
    import json

    schema = JobDocument.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    plain = [{"type": kind} for kind in ("string", "number", "boolean")]
    properties = schema["properties"]
    properties["env"]["additionalProperties"] = {"anyOf": plain}
    for key in ("nodes", "devices"):
        reference = properties[key].pop("$ref", None) or properties[key].pop("allOf")[0]["$ref"]
        properties[key]["anyOf"] = [{"type": "integer", "minimum": 0 if key == "devices" else 1}, {"$ref": reference}]
    share = schema["$defs"]["DevicesDocument"]["properties"]["share"]
    share["anyOf"] = [{"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, {"type": "string"}]
    return json.dumps(untitled(schema) | {"title": "job.yml of aiops"}, indent=2) + "\n"


def untitled(schema: Any) -> Any:
    """A schema without the titles that pydantic makes of names: they say nothing more."""
    if isinstance(schema, dict):
        return {key: untitled(value) for key, value in schema.items() if key != "title" or not isinstance(value, str)}
    return [untitled(value) for value in schema] if isinstance(schema, list) else schema

"""The keys of recipe.yml: one pydantic model gives their types, words, examples and the JSON schema."""

import json
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from aiops.layers.l2_jobs.job import EngineName
from aiops.layers.l2_jobs.job_document import Names, Span, Strict, untitled
from aiops.layers.l2_jobs.mistake import WrongError

from .data.fault import CATALOGUE, nearest_kind
from .recipe import AdapterKind, Attention, Duplicates, Long, Loss, Method, Optimizer, Precision, Schedule, Sharding

_NAME = r"^[a-z][a-z0-9-]{0,39}$"
_WORD = r"^[a-z][a-z0-9_-]{0,39}$"
_PATH = r"^[^\x00-\x1f\x7f~][^\x00-\x1f\x7f]*$"
_LAYER = r"^[A-Za-z_][A-Za-z0-9_.]*$"
_FOLDER = r"^/[^\x00-\x1f\x7f]*$|^[A-Za-z0-9][A-Za-z0-9._-]*$"
PATTERN_WORDS = {
    _NAME: "must be lower-case letters, digits and `-`, a letter first, at most 40",
    _WORD: "must be lower-case letters, digits, `-` and `_`, a letter first, at most 40",
    _PATH: "must be a path",
    _LAYER: "must be the name of a layer, like `q_proj`",
    _FOLDER: "must be a name below /opt/aiops/env, or a path that begins with /",
}
"""What each pattern asks for, in words."""

PATHS = (
    ("base",),
    ("data", "train"),
    ("data", "evaluation"),
    ("data", "template"),
    ("data", "decontaminate"),
    ("folder",),
    ("evaluation", "questions"),
)
"""Keys that hold paths, which are meant from the folder of the file that says them."""

NEEDED = (("name",), ("base",), ("data", "train"), ("folder",))
"""Keys without which nothing can run, but which a file that others extend may leave to them."""

_SCIENTIFIC = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d+)?)\s*%")


def _number(value: Any) -> Any:
    """`2e-4` is text to YAML 1.1, and a number to everybody else."""
    if isinstance(value, str) and _SCIENTIFIC.fullmatch(value.strip()):
        return float(value)
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _part(value: Any) -> Any:
    """`0.02`, or `2%`."""
    if isinstance(value, str) and (found := _PERCENT.fullmatch(value.strip())):
        return float(found[1]) / 100
    return _number(value)


def _paths(value: Any) -> Any:
    """One path, or a list of them."""
    return [value] if isinstance(value, str) else value


def _options(value: Any) -> Any:
    if not isinstance(value, dict):
        raise WrongError("must be a mapping of the trainer's own options")
    for key, one in value.items():
        if not isinstance(one, str | int | float | bool):
            raise WrongError(f"has `{key}`, which is neither text, a number nor yes or no")
    return value


def _fault(value: str) -> str:
    if value not in CATALOGUE:
        near = nearest_kind(value)
        raise WrongError(f"names no kind of fault: `{value}`" + (f"; is it `{near}`?" if near else ""))
    return value


_REAL = {"type": "number"}
_PART = {
    "anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "string", "pattern": r"^\d{1,3}(\.\d+)?\s*%$"}]
}
_TEXTS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
Real = Annotated[float, BeforeValidator(_number), WithJsonSchema(_REAL)]
Part = Annotated[float, BeforeValidator(_part), WithJsonSchema(_PART)]
FilePath = Annotated[str, Field(pattern=_PATH)]
FilePaths = Annotated[list[FilePath], BeforeValidator(_paths), WithJsonSchema(_TEXTS)]
FaultKind = Annotated[str, AfterValidator(_fault), WithJsonSchema({"type": "string", "enum": list(CATALOGUE)})]
Options = Annotated[dict[str, Any], BeforeValidator(_options)]


class AboutDocument(Strict):
    """What a recipe is for, and where its values come from. Changes nothing of what is run."""

    family: str = Field(min_length=1, description="Of the model.", examples=["llama"])
    size: str = Field(min_length=1, description="Of the model.", examples=["8B"])
    proof: Literal["measured", "published", "adapted"] = Field(
        description="`measured`: run by us. `published`: values of the source. `adapted`: of the source, for another."
    )
    source: str = Field(min_length=1, description="Where its values come from, and what of them differs.")
    link: str | None = Field(default=None, pattern=r"^https://\S+$", description="The source.")


class AdapterDocument(Strict):
    """What is trained beside, or instead of, the weights."""

    type: AdapterKind = Field(default="lora", description="`none` trains all weights.")
    rank: int = Field(default=16, ge=1, le=4096, description="Of its two matrices.")
    alpha: int = Field(default=32, ge=1, description="Its scale: the update is alpha / rank times their product.")
    dropout: Part = Field(default=0.0, ge=0, lt=1, description="Before the first of them.")
    targets: list[Annotated[str, Field(pattern=_LAYER)]] = Field(
        default=[], description="Linear layers by name; all but the output's if none.", examples=[["q_proj", "v_proj"]]
    )
    layers: int | None = Field(default=None, ge=1, description="Only the decoder's last so many; all if none.")


class DataDocument(Strict):
    """What is learnt from."""

    train: FilePaths = Field(default=[], description="Files or folders.", examples=["[/shared/data/facts]"])
    evaluation: FilePaths = Field(default=[], description="Held-out files.")
    held_out: Part = Field(default=0.0, ge=0, lt=1, description="Instead: a part of `train`, by hash.")
    format: Literal["auto", "chat", "prompt", "preference", "text"] = Field(default="auto", description="Of the rows.")
    template: FilePath | None = Field(default=None, description="A chat template; the base's own if none.")
    length: int = Field(default=2048, ge=8, description="Tokens of one sample, at most.")
    long: Long = Field(default="error", description="What is done with longer rows.")
    packing: bool = Field(default=False, description="Rows share samples up to `length`; none sees another.")
    loss: Loss | None = Field(default=None, description="Which tokens count; `answer` if none, for text `all`.")
    duplicates: Duplicates = Field(default="exact", description="Which are removed.")
    mask: list[Literal["email", "phone", "card", "iban", "ip", "key"]] = Field(
        default=[], description="Kinds of personal data that are masked."
    )
    decontaminate: FilePaths = Field(default=[], description="Files whose rows must not be learnt.")
    allow: list[FaultKind] = Field(
        default=[], description="Kinds of faults that are told and refuse nothing.", examples=[["personal.email"]]
    )


class TrainDocument(Strict):
    """How it is learnt."""

    epochs: Real | None = Field(default=None, gt=0, description="Passes over the data; this or `steps`.", examples=[3])
    steps: int | None = Field(default=None, ge=1, description="Of the optimizer; this or `epochs`.", examples=[1000])
    batch: int = Field(default=1, ge=1, description="Samples of each device in one pass.")
    accumulate: int = Field(default=1, ge=1, description="Passes to one step.")
    rate: Real = Field(default=2e-4, gt=0, le=1, description="The highest learning rate.", examples=["2e-4"])
    warmup: int = Field(default=0, ge=0, description="Steps in which it rises.")
    schedule: Schedule = Field(default="cosine", description="How it falls.")
    weight_decay: Real = Field(default=0.0, ge=0, description="Of the optimizer.")
    clip: Real = Field(default=1.0, ge=0, description="The norm to which gradients are cut; 0 for none.")
    optimizer: Optimizer = Field(default="adamw", description="Which one.")
    precision: Precision | None = Field(default=None, description="`bf16` if none; on processors `fp32`.")
    attention: Attention = Field(default="sdpa", description="How it is calculated.")
    recompute: bool = Field(default=True, description="Activations are computed again instead of kept.")
    seed: int = Field(default=1, ge=0, lt=2**31, description="Of the order of samples, dropout and new weights.")
    beta: Real | None = Field(default=None, gt=0, description="Of dpo: how far it may go from the base; 0.1 if none.")
    log_every: int = Field(default=1, ge=1, description="Steps between two reports of loss.")


class PlacementDocument(Strict):
    """Where it runs."""

    nodes: int = Field(default=1, ge=1, description="So many, exactly.")
    devices: int = Field(default=1, ge=0, description="Accelerators of each node; 0 trains on processors.")
    processes: int | None = Field(default=None, ge=1, description="Of each node; one for each device if none.")
    vendor: str | None = Field(default=None, description="Only devices of this maker.", examples=["nvidia"])
    only: Names = Field(default=(), description="Only these nodes, a node set.", examples=["gpu[01-08]"])
    sharding: Sharding | None = Field(default=None, description="How ranks share the work.")
    engine: EngineName | None = Field(default=None, description="Who runs it; whose nodes are chosen if none.")
    queue: str | None = Field(default=None, pattern=_WORD, description="Which queue it waits in.")
    priority: int = Field(default=50, ge=0, le=100, description="More goes first.")
    spares: int = Field(default=0, ge=0, description="Healthy nodes that are kept free for it.")
    time: Span | None = Field(default=None, description="How long it may run, in all attempts together.")


class CheckpointDocument(Strict):
    """When what is saved."""

    every: int = Field(default=100, ge=1, description="Steps between two.")
    keep: int = Field(default=2, ge=2, description="How many are left.")


class EvaluationDocument(Strict):
    """What the tuned model must show before it is handed on."""

    questions: FilePath | None = Field(default=None, description="Prompt/completion rows that it must answer.")
    right: Part | None = Field(
        default=None, gt=0, le=1, description="Part of them that must be right.", examples=["80%"]
    )
    tokens: int = Field(default=64, ge=1, description="An answer is cut after so many.")
    loss: Real | None = Field(default=None, gt=0, description="The held-out loss that must not be passed.")


class RegisterDocument(Strict):
    """What becomes of the tuned model."""

    name: str | None = Field(default=None, pattern=_NAME, description="The recipe's own if none.")
    alias: str | None = Field(default=None, pattern=_NAME, description="That the registry is to give it.")
    merge: bool = Field(default=False, description="An adapter is merged into the base's weights too.")
    gguf: list[Literal["q8_0", "bf16", "f16", "f32"]] = Field(default=[], description="GGUF files written beside.")


class RecipeDocument(Strict):
    """One tuned model, as a user writes it down."""

    aiops: Literal[1] = Field(description="The version of this format.")
    kind: Literal["recipe"] = Field(default="recipe", description="What tells it from a job file.")
    name: str | None = Field(
        default=None, pattern=_NAME, description="Runs are numbered behind it.", examples=["facts"]
    )
    about: AboutDocument | None = Field(default=None, description="What it is for, and where its values come from.")
    extends: str | None = Field(
        default=None, min_length=1, description="A shipped recipe, or a file beside this one, that says the rest."
    )
    base: FilePath | None = Field(
        default=None, description="The model that is tuned.", examples=["/shared/models/llama-3.1-8b-instruct"]
    )
    method: Method = Field(default="sft", description="sft, pretrain (continued) or dpo.")
    adapter: AdapterDocument = Field(default=AdapterDocument(), description="What is trained.")
    data: DataDocument = Field(default=DataDocument(), description="What is learnt from.")
    folder: FilePath | None = Field(
        default=None, description="Where runs are kept, the same on all nodes.", examples=["/shared/runs/facts"]
    )
    train: TrainDocument = Field(default=TrainDocument(), description="How it is learnt.")
    placement: PlacementDocument = Field(default=PlacementDocument(), description="Where it runs.")
    checkpoint: CheckpointDocument = Field(default=CheckpointDocument(), description="When what is saved.")
    evaluation: EvaluationDocument = Field(default=EvaluationDocument(), description="What it must show.")
    register_: RegisterDocument = Field(default=RegisterDocument(), alias="register", description="What becomes of it.")
    trainer: str = Field(default="aiops", pattern=_WORD, description="Who trains.")
    environment: str | None = Field(default=None, pattern=_FOLDER, description="The trainer's own if none.")
    options: Options = Field(default={}, description="What only this trainer knows.")


def schema_text() -> str:
    """docs/reference/recipe.schema.json: the JSON schema of recipe.yml, for editors. Written by `make docs`."""
    schema = RecipeDocument.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    plain = [{"type": kind} for kind in ("string", "number", "boolean")]
    schema["properties"]["options"]["additionalProperties"] = {"anyOf": plain}
    return json.dumps(untitled(schema) | {"title": "recipe.yml of aiops"}, indent=2) + "\n"

"""Recipe: what is tuned, on which data, how, where. Read from recipe.yml by `recipe_file`; nothing changes it then."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Method = Literal["pretrain", "sft", "dpo"]
AdapterKind = Literal["lora", "qlora", "none"]
Precision = Literal["bf16", "fp16", "fp32"]
Optimizer = Literal["adamw", "adamw-8bit", "adafactor", "sgd"]
Schedule = Literal["cosine", "linear", "constant"]
Sharding = Literal["none", "fsdp", "ddp"]
"""How ranks share the work. `ddp`: each holds everything. `fsdp`: weights, gradients and optimizer are split (FSDP2).
`none`: one process."""

Attention = Literal["sdpa", "eager", "flash"]
Long = Literal["error", "truncate", "drop"]
Loss = Literal["answer", "all"]
"""Which tokens the loss counts: those of the answers, or all."""

Duplicates = Literal["keep", "exact", "near"]

LEARNS: Mapping[Method, tuple[str, ...]] = {"sft": ("chat", "prompt"), "pretrain": ("text",), "dpo": ("preference",)}
"""The forms of rows that each method learns; each is learnt by one."""


def learner(form: str) -> Method:
    """The method that learns rows of a form."""
    return next(method for method, forms in LEARNS.items() if form in forms)


@dataclass(frozen=True, slots=True)
class Adapter:
    """What is trained beside, or instead of, the weights.

    Attributes:
        kind: `none` trains all weights.
        rank: Of the two matrices.
        alpha: Scale; the update is alpha / rank times their product.
        dropout: 0 to 1, before the first.
        targets: Names of the linear layers that get one; empty for all but the output's.
        layers: Only the decoder's last so many layers get one; None for all.
    """

    kind: AdapterKind = "lora"
    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    targets: tuple[str, ...] = ()
    layers: int | None = None


@dataclass(frozen=True, slots=True)
class DataPlan:
    """What is learnt from.

    Attributes:
        train: Files or folders, absolute; or the one folder of prepared data.
        evaluation: Held-out files, absolute; empty for none or for a part of `train`.
        held_out: Part of `train` that is held out by hash, 0 <= part < 1.
        form: `auto`, or what the rows are.
        template: An absolute path of a chat template (Jinja); None for the base's own.
        length: Tokens, at most.
        long: What is done with longer rows.
        packing: Whether rows share samples up to `length`.
        loss: What is counted.
        duplicates: `keep`, or which are removed.
        mask: Kinds of personal data that are masked.
        decontaminate: Files whose rows must not be in `train`, absolute; those found are removed.
        allow: Kinds of faults in spite of which something is prepared. No part of any digest: they say whether
            something comes of it, not what. Those that were met stand in the manifest, and whoever takes what is there
            already has to allow them too.
    """

    train: tuple[str, ...]
    evaluation: tuple[str, ...] = ()
    held_out: float = 0.0
    form: str = "auto"
    template: str | None = None
    length: int = 2048
    long: Long = "error"
    packing: bool = False
    loss: Loss = "answer"
    duplicates: Duplicates = "exact"
    mask: tuple[str, ...] = ()
    decontaminate: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrainPlan:
    """How it is learnt. Exactly one of `epochs` and `steps` is given.

    Attributes:
        batch: Samples of each device in one pass.
        accumulate: Passes to one step of the optimizer.
        rate: The highest learning rate.
        warmup: Steps in which it rises from 0.
        clip: The norm to which gradients are cut; 0 for none.
        seed: Of the order of samples, dropout and new weights.
        recompute: Activations are computed again in the backward pass instead of kept.
        beta: Of DPO: how far it may go from the base.
    """

    epochs: float | None = None
    steps: int | None = None
    batch: int = 1
    accumulate: int = 1
    rate: float = 2e-4
    schedule: Schedule = "cosine"
    warmup: int = 0
    weight_decay: float = 0.0
    clip: float = 1.0
    optimizer: Optimizer = "adamw"
    precision: Precision = "bf16"
    attention: Attention = "sdpa"
    recompute: bool = True
    seed: int = 1
    beta: float = 0.1
    log_every: int = 1


@dataclass(frozen=True, slots=True)
class Placement:
    """Where it runs: what a job file says of the same.

    Attributes:
        nodes: So many, exactly: the order of samples depends on it.
        devices: Of each node; 0 trains on the processors.
        processes: Of each node; None for one for each device.
        sharding: How the ranks share the work.
    """

    nodes: int = 1
    devices: int = 1
    processes: int | None = None
    vendor: str | None = None
    only: tuple[str, ...] = ()
    engine: str | None = None
    queue: str | None = None
    priority: int = 50
    spares: int = 0
    time: float | None = None
    sharding: Sharding = "fsdp"


@dataclass(frozen=True, slots=True)
class CheckpointPlan:
    """When what is saved.

    Attributes:
        every: Steps between two.
        keep: So many are left.
    """

    every: int = 100
    keep: int = 2


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What the tuned model must show before it is handed on.

    Attributes:
        questions: A file of prompt/completion rows, absolute, answered without sampling; None for none.
        right: Part of them that must be right (the completion, without space around and case), 0 to 1.
        loss: The held-out loss that must not be passed; None for none.
        tokens: An answer is cut after so many.
    """

    questions: str | None = None
    right: float = 0.0
    loss: float | None = None
    tokens: int = 64


@dataclass(frozen=True, slots=True)
class Handing:
    """What becomes of the tuned model: the artefact of a run.

    Attributes:
        name: The model's, for whoever registers it; None is the recipe's own.
        alias: That the registry is to give it.
        merge: Whether an adapter is also merged into the base's weights.
        gguf: Types of GGUF files to write beside (`q8_0`, `f16`, `f32`); empty for none.
    """

    name: str | None = None
    alias: str | None = None
    merge: bool = False
    gguf: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is tuned, on which data, how, where.

    Attributes:
        base: An absolute folder of a model as Hugging Face lays it out; a NAME@VERSION where a registry answers.
        folder: Where runs are kept, absolute, the same on all nodes: `folder/RUN/` holds the resolved recipe, the
            prepared data, checkpoints, the report and `artefact/`.
        trainer: The plugin of the kind `trainer` that runs it.
        environment: NAME or NAME-DIGEST below /opt/aiops/env; None for the trainer's own.
        options: Of the trainer, past what recipes can say; each trainer tells which it takes.
        digest: sha256 of all that it says, in canonical JSON.
    """

    name: str
    base: str
    method: Method
    data: DataPlan
    folder: str
    adapter: Adapter = field(default_factory=Adapter)
    train: TrainPlan = field(default_factory=TrainPlan)
    placement: Placement = field(default_factory=Placement)
    checkpoint: CheckpointPlan = field(default_factory=CheckpointPlan)
    evaluation: Evaluation = field(default_factory=Evaluation)
    handing: Handing = field(default_factory=Handing)
    trainer: str = "aiops"
    environment: str | None = None
    options: Mapping[str, str | int | float | bool] = field(default_factory=dict, hash=False)
    digest: str = ""

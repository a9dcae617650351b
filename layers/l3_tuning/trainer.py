"""The seam for trainers: each is a plugin of the kind `trainer` that renders a run for the tool that trains.

`tests/l3_tuning/trainer_contract.py` is what all do alike. A trainer is pure: it says what it can do, refuses what it
cannot in words, and makes files and the command of a job of them. It never imports the tool that it renders for; that
lives in an environment of its own on the nodes. What is the same for all (digests, prepared data, the job file, the
report) is not its business.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Literal, Protocol

from aiops.layers.core.errors import InputError
from aiops.layers.core.places import nearest
from aiops.layers.core.plugin import Plugins, hookspec
from aiops.layers.l2_jobs.job import Launch

from .data.row import Row
from .recipe import AdapterKind, Attention, Method, Optimizer, Precision, Recipe, Schedule, Sharding
from .run import Run

Proof = Literal["run", "accepted", "rendered"]
"""How much of a trainer was seen at work by us: whole runs; what it renders was accepted by the tool's own validation;
or only compared with the tool's documentation."""

Path = tuple[str | int, ...]
"""Where something stands in a recipe.yml: keys, and numbers of items in lists."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What of a recipe a trainer cannot do.

    Attributes:
        path: The key in recipe.yml, `("train", "optimizer")`.
        words: Behind the key's name: "is `adafactor`, which axolotl does not know by that name".
        hint: What would fit; None where nothing would.
    """

    path: Path
    words: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a trainer can carry out of what a recipe can say. What is not here is refused before anything starts.

    Attributes:
        methods: How it can learn.
        adapters: What it can train.
        optimizers: Which it has.
        precisions: In which it can calculate.
        attentions: Which it has.
        schedules: How the rate can fall.
        shardings: How its ranks can share the work.
        processors: Whether it can train without accelerators.
        packing: Whether rows can share samples without seeing each other.
        layers: Whether only the last decoder layers can get adapters.
        targets: Whether the layers with adapters can be named.
        loss_all: Whether prompts too can be learnt, `loss: all`.
        evaluation: Whether it can judge the tuned model, `evaluation:`.
        merge: Whether it can merge an adapter, or somebody can from what it leaves.
        gguf: Whether GGUF files can be written of what it leaves.
        exact: Whether a resumed run reads the very samples that the unbroken one would have.
        worlds: Whether a run can go on with another number of processes than it was begun with.
        options: What may stand below `options:`, each with a few words.
        unfit: Why a base cannot be trained, by its config.json: words that follow `base`, and what would fit, or None.
            Pure; None where it takes whatever transformers reads.
    """

    methods: frozenset[Method]
    adapters: frozenset[AdapterKind]
    optimizers: frozenset[Optimizer] = frozenset({"adamw"})
    precisions: frozenset[Precision] = frozenset({"bf16", "fp16", "fp32"})
    attentions: frozenset[Attention] = frozenset({"sdpa", "eager", "flash"})
    schedules: frozenset[Schedule] = frozenset({"cosine", "linear", "constant"})
    shardings: frozenset[Sharding] = frozenset({"none", "ddp", "fsdp"})
    processors: bool = False
    packing: bool = False
    layers: bool = False
    targets: bool = True
    loss_all: bool = True
    evaluation: bool = False
    merge: bool = False
    gguf: bool = False
    exact: bool = False
    worlds: bool = False
    options: Mapping[str, str] = field(default_factory=dict, hash=False)
    unfit: Callable[[Mapping[str, Any]], tuple[str, str] | None] | None = field(default=None, hash=False)


@dataclass(frozen=True, slots=True)
class Export:
    """Rows written for a tool that tokenises itself, as JSONL, one object for each row of the prepared data.

    Attributes:
        file: Below the run's folder, `rows/train.jsonl`.
        part: Which rows: those that are learnt from, or those that are held out.
        write: What stands in the file for a row. Pure.
        refuse: Why a row cannot be handed over, in words that follow its place, or None. Pure; None where all can be.
    """

    file: str
    part: Literal["train", "evaluation"]
    write: Callable[[Row], Mapping[str, Any]]
    refuse: Callable[[Row], str | None] | None = None


@dataclass(frozen=True, slots=True)
class Rendered:
    """A run as its tool wants it.

    Attributes:
        command: The words of the job's command. Paths are absolute (`run.environment`, `run.worker`, `run.folder`); a
            command of torchrun begins with `ENVIRONMENT/bin/torchrun` and has none of its options for nodes and ranks.
        launch: How L2 starts it.
        files: By path below the run's folder; written before the job is handed in. None of them is one of the run's own
            (`inside_run`).
        exports: Rows in files of the tool's own layout.
        processes: On each node, of torchrun; None for `command`.
        variables: Of its processes, past those that all have (`compile`), which it may say otherwise; no secrets.
        checkpoints: Where it writes them, below the run's folder.
        checkpoint_format: As in `checkpoint.format` of a job file: `files` for what `aiops.checkpoint` writes.
        progress: How its steps are seen in its output; None where it uses `aiops.checkpoint`.
        output: Where it leaves the tuned model below the run's folder, an adapter or a whole model, there or in the
            folder of its last step; `sealing` makes the artefact of it. None where it writes `artefact/` itself.
        bare: Whether what it leaves are weights alone, so that config, tokenizer and template are the base's.
        own_template: Whether rows are learnt by a chat template of the tool's own. What that makes of them is known to
            the tool alone: nothing is compared then, nor said to be.
    """

    command: tuple[str, ...]
    launch: Launch
    files: Mapping[str, bytes] = field(default_factory=dict, hash=False)
    exports: tuple[Export, ...] = ()
    processes: int | None = None
    variables: Mapping[str, str] = field(default_factory=dict, hash=False)
    checkpoints: str = "checkpoints"
    checkpoint_format: str = "auto"
    progress: str | None = None
    output: str | None = None
    bare: bool = False
    own_template: bool = False


class Trainer(Protocol):
    """One tool that trains."""

    @property
    def name(self) -> str:
        """As in `trainer: NAME` of a recipe."""
        ...

    @property
    def title(self) -> str:
        """For people, in a few words."""
        ...

    @property
    def proof(self) -> Proof:
        """How much of it was seen at work by us."""
        ...

    @property
    def environment(self) -> str:
        """The folder below /opt/aiops/env that it runs in where the recipe names none."""
        ...

    @property
    def imports(self) -> tuple[str, ...]:
        """Modules that the environment's Python must be able to import on every node before a run starts."""
        ...

    @property
    def abilities(self) -> Abilities:
        """What it can do."""
        ...

    def refuse(self, recipe: Recipe) -> Iterable[Refusal]:
        """What of a recipe it cannot do, past what `abilities` says already. Pure."""
        ...

    def code(self) -> Mapping[str, bytes]:
        """Its own code, by name, which a run keeps in `run.worker`; empty where it brings none."""
        ...

    def render(self, run: Run) -> Rendered:
        """A run as its tool wants it. Pure; the run's recipe was refused nothing."""
        ...


class TrainerHooks:
    """Hooks of the kind `trainer`."""

    @hookspec
    def trainer(self) -> Trainer:  # type: ignore[empty-body]
        """The trainer that this plugin knows."""


def trainers_of(plugins: Plugins) -> dict[str, Trainer]:
    """The trainers that are installed, by name.

    Raises:
        PluginError: A plugin is broken.
    """
    found = plugins.answers("trainer", TrainerHooks, "trainer")
    return {one.name: one for _, one in found}


def trainer_named(trainers: Mapping[str, Trainer], name: str) -> Trainer:
    """The trainer of a recipe.

    Raises:
        InputError: There is none of that name (`recipe.trainer`).
    """
    if name in trainers:
        return trainers[name]
    near = nearest(name, tuple(trainers))
    known = ", ".join(sorted(trainers)) or "none"
    hint = f"did you mean `{near}`?" if near else "`aiops plugin list` shows which there are"
    raise InputError(f"there is no trainer `{name}`; installed are {known}", code="recipe.trainer", hints=[hint])


def refusals(recipe: Recipe, trainer: Trainer, base: Mapping[str, Any] | None = None) -> tuple[Refusal, ...]:
    """All that a trainer cannot do of a recipe: what its abilities lack, and what it refuses itself. Pure.

    Args:
        recipe: What is asked.
        trainer: Who is.
        base: What the config.json of the base says; None where it is not at hand.
    """
    able = trainer.abilities
    found: list[Refusal] = []

    def one_of(path: Path, said: str, known: Iterable[str]) -> None:
        if said not in known:
            fits = ", ".join(f"`{one}`" for one in sorted(known)) or "nothing"
            found.append(Refusal(path, f"is `{said}`, which {trainer.name} cannot do", f"it can do {fits}"))

    def without(path: Path, asked: object, can: bool, words: str) -> None:
        if asked and not can:
            found.append(Refusal(path, f"{words}, which {trainer.name} cannot do", "leave it out, or `trainer: aiops`"))

    train, adapter, data = recipe.train, recipe.adapter, recipe.data
    one_of(("method",), recipe.method, able.methods)
    one_of(("adapter", "type"), adapter.kind, able.adapters)
    one_of(("train", "optimizer"), train.optimizer, able.optimizers)
    one_of(("train", "precision"), train.precision, able.precisions)
    one_of(("train", "attention"), train.attention, able.attentions)
    one_of(("train", "schedule"), train.schedule, able.schedules)
    one_of(("placement", "sharding"), recipe.placement.sharding, able.shardings)
    without(("placement", "devices"), recipe.placement.devices == 0, able.processors, "trains on processors")
    without(("data", "packing"), data.packing, able.packing, "lets rows share samples")
    without(("data", "loss"), data.loss == "all" and recipe.method == "sft", able.loss_all, "counts every token")
    if adapter.kind != "none":
        without(("adapter", "layers"), adapter.layers, able.layers, "names the last layers only")
        without(("adapter", "targets"), adapter.targets, able.targets, "names layers")
    judged = recipe.evaluation.questions or recipe.evaluation.loss is not None
    without(("evaluation",), judged, able.evaluation, "asks for a verdict on the tuned model")
    without(
        ("register", "merge"), recipe.handing.merge and adapter.kind != "none", able.merge, "asks for a merged model"
    )
    without(("register", "gguf"), recipe.handing.gguf, able.gguf, "asks for GGUF files")
    found.extend(_options(recipe, trainer))
    found.extend(trainer.refuse(recipe))
    unfit = None if base is None or able.unfit is None else able.unfit(base)
    if unfit is not None:
        found.append(Refusal(("base",), *unfit))
    return tuple(found)


def _options(recipe: Recipe, trainer: Trainer) -> Iterable[Refusal]:
    known = trainer.abilities.options
    for name in recipe.options:
        if name not in known:
            near = nearest(name, tuple(known))
            hint = f"did you mean `{near}`?" if near else f"it knows {', '.join(sorted(known))}" if known else None
            yield Refusal(("options", name), f"is no option of {trainer.name}", hint)


_OWN = frozenset(
    {"run.json", "recipe.yml", "job.yml", "jobs.json", "worker", "data", "artefact", "report.json", "report.html"}
)
"""What aiops itself writes into the folder of a run; hidden names are its locks, and what it has not finished."""


def inside_run(path: str) -> bool:
    """Whether a file of a trainer's may be written there: below the run's folder, and not one of the run's own."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\0" in path:
        return False
    return parts[0] not in _OWN and not parts[0].startswith(".")

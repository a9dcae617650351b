"""The trainer `aiops`: a worker of ours over transformers and PEFT, in an environment of its own on the nodes."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import cache
from importlib.resources import files

from aiops.layers.core.plugin import hookimpl
from aiops.layers.l3_tuning.recipe import Recipe
from aiops.layers.l3_tuning.run import Run, processes_of
from aiops.layers.l3_tuning.trainer import Abilities, Proof, Refusal, Rendered

DOCUMENT = "trainer.json"
"""What the worker is given (`worker/work.py` reads it)."""

_START = b"""\
\"\"\"Where torchrun begins. The worker lies beside.\"\"\"

from worker.main import main

if __name__ == "__main__":
    raise SystemExit(main())
"""
_GGUF = ("f16", "f32", "q8_0", "bf16")
_OPTIONS = {
    "threads": "threads of torch in each process, on processors; as many on every node, or runs differ. Default: 1",
    "trace_samples": "write down which samples each step and rank has read (samples-RANK.jsonl)",
}


class TransformersTrainer:
    """Ours."""

    name = "aiops"
    title = "transformers and PEFT, with exact resume"
    proof: Proof = "run"
    environment = "trainer"
    imports = ("torch", "transformers", "peft", "safetensors", "numpy", "zstandard")
    abilities = Abilities(
        methods=frozenset({"pretrain", "sft", "dpo"}),
        adapters=frozenset({"lora", "qlora", "none"}),
        optimizers=frozenset({"adamw", "adamw-8bit", "adafactor", "sgd"}),
        processors=True,
        packing=True,
        layers=True,
        evaluation=True,
        merge=True,
        gguf=True,
        exact=True,
        options=_OPTIONS,
    )

    def refuse(self, recipe: Recipe) -> Iterable[Refusal]:
        """What of a recipe it cannot do, past what its abilities say."""
        split = recipe.placement.sharding == "fsdp"
        if split and recipe.adapter.kind == "qlora":
            yield Refusal(
                ("placement", "sharding"), "splits weights of 4 bits, which torch's FSDP2 cannot", "`sharding: ddp`"
            )
        if split and recipe.train.optimizer == "adamw-8bit":
            yield Refusal(("train", "optimizer"), "keeps its state in blocks, which cannot be split", "`sharding: ddp`")
        if recipe.method == "dpo" and recipe.data.packing:
            yield Refusal(("data", "packing"), "lets pairs share samples, which dpo cannot", "leave it out")
        if recipe.placement.devices == 0 and recipe.train.attention == "flash":
            yield Refusal(("train", "attention"), "is `flash`, which processors have not", "`attention: sdpa`")
        if recipe.placement.devices == 0 and recipe.train.precision == "fp16":
            yield Refusal(("train", "precision"), "is `fp16`, which processors cannot train in", "`precision: fp32`")
        for kind in recipe.handing.gguf:
            if kind not in _GGUF:
                yield Refusal(
                    ("register", "gguf"), f"has `{kind}`, which is not made here", f"one of {', '.join(_GGUF)}"
                )
        threads = recipe.options.get("threads", 1)
        if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
            yield Refusal(("options", "threads"), "is no number of threads", "`threads: 1`")
        if not isinstance(recipe.options.get("trace_samples", False), bool):
            yield Refusal(("options", "trace_samples"), "is neither true nor false")

    def code(self) -> Mapping[str, bytes]:
        """The worker, and of aiops the one file that it uses."""
        return _code()

    def render(self, run: Run) -> Rendered:
        """A run as the worker wants it."""
        # Python's own hashes must not make two ranks differ.
        variables = {"PYTHONHASHSEED": "0"}
        threads = threads_of(run.recipe)
        if threads is not None:
            variables["OMP_NUM_THREADS"] = str(threads)
        return Rendered(
            command=(f"{run.environment}/bin/torchrun", f"{run.worker}/train.py", f"{run.folder}/{DOCUMENT}"),
            launch="torchrun",
            files={DOCUMENT: json.dumps(document(run), indent=1).encode() + b"\n"},
            processes=processes_of(run.recipe),
            variables=variables,
            checkpoint_format="files",
        )


def threads_of(recipe: Recipe) -> int | None:
    """Threads of torch in each process; None on accelerators, where they are left as they are. Pure."""
    return None if recipe.placement.devices else int(recipe.options.get("threads", 1))


def document(run: Run) -> dict[str, object]:
    """What the worker is told of a run. Pure."""
    recipe, train, data = run.recipe, run.recipe.train, run.data
    sharding = recipe.placement.sharding if run.world > 1 else "none"
    return {
        "v": 1,
        "run": run.name,
        "name": recipe.handing.name or recipe.name,
        "folder": run.folder,
        "base": run.base.path,
        "data": data.path,
        "digests": {
            "base": run.base.digest,
            "data": data.manifest.digest,
            "recipe": recipe.digest,
            "code": run.code,
        },
        "allowed": list(run.allowed),
        "form": data.manifest.form,
        "packed": data.manifest.packed,
        "held_out": data.held_out is not None,
        "length": recipe.data.length,
        "template": recipe.data.template,
        "method": recipe.method,
        "adapter": {**asdict(recipe.adapter), "targets": list(recipe.adapter.targets)},
        "steps": run.steps,
        "world": run.world,
        **{
            name: getattr(train, name)
            for name in (
                *("batch", "accumulate", "rate", "schedule", "warmup", "weight_decay", "clip", "optimizer"),
                *("precision", "attention", "recompute", "seed", "beta", "log_every"),
            )
        },
        "sharding": sharding,
        "devices": recipe.placement.devices,
        "threads": threads_of(recipe),
        "every": recipe.checkpoint.every,
        "keep": recipe.checkpoint.keep,
        "questions": recipe.evaluation.questions,
        "right": recipe.evaluation.right,
        "loss": recipe.evaluation.loss,
        "tokens": recipe.evaluation.tokens,
        "alias": recipe.handing.alias,
        "merge": recipe.handing.merge and recipe.adapter.kind != "none",
        "gguf": list(recipe.handing.gguf),
        "trace": bool(recipe.options.get("trace_samples", False)),
        "simulated": run.simulated,
    }


@cache
def _code() -> Mapping[str, bytes]:
    found = {"train.py": _START, "aiops/__init__.py": b""}
    found["aiops/checkpoint.py"] = files("aiops").joinpath("checkpoint.py").read_bytes()
    for one in files(f"{__package__}.worker").iterdir():
        if one.name.endswith(".py"):
            found[f"worker/{one.name}"] = one.read_bytes()
    return dict(sorted(found.items()))


@hookimpl
def trainer() -> TransformersTrainer:
    """The trainer."""
    return TransformersTrainer()

"""What all trainers do alike."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import Any, get_args

import pytest

from aiops.layers.l2_jobs.job_conflicts import VISIBLE
from aiops.layers.l2_jobs.torchrun_options import names_script, ours
from aiops.layers.l3_tuning.compile import OFFLINE
from aiops.layers.l3_tuning.data.dataset import Manifest
from aiops.layers.l3_tuning.data.row import Form, Row, Turn
from aiops.layers.l3_tuning.recipe import (
    Adapter,
    AdapterKind,
    DataPlan,
    Handing,
    Method,
    Placement,
    Recipe,
    Sharding,
    TrainPlan,
)
from aiops.layers.l3_tuning.run import Base, Prepared, Run, environment_of, world_of
from aiops.layers.l3_tuning.trainer import Export, Rendered, Trainer, inside_run, refusals

LLAMA: Mapping[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}
FORMS: Mapping[Method, Form] = {"sft": "chat", "pretrain": "text", "dpo": "preference"}


def a_recipe(method: Method = "sft", adapter: AdapterKind = "lora", **changes: Any) -> Recipe:
    """A recipe that every part of which is said."""
    plain = Recipe(
        name="llama-facts",
        base="/shared/models/llama-3.1-8b-instruct",
        method=method,
        data=DataPlan(
            train=("/shared/data/facts",), form=FORMS[method], loss="all" if method == "pretrain" else "answer"
        ),
        folder="/shared/runs/llama-facts",
        adapter=Adapter(kind=adapter),
        train=TrainPlan(steps=100, batch=2, accumulate=4, warmup=10),
        placement=Placement(nodes=2, devices=8, sharding="fsdp" if adapter == "none" else "ddp"),
        digest="ab" * 32,
    )
    return replace(plain, **changes)


def a_run(recipe: Recipe, trainer: Trainer, *, config: Mapping[str, Any] = LLAMA) -> Run:
    """A run of it, with a part that is held out where the recipe wants one."""
    form = FORMS[recipe.method]
    manifest = Manifest(
        digest="cd" * 32,
        form=form,
        samples=1600,
        rows=1600,
        tokens=800_000,
        counted=300_000,
        longest=1900,
        packed=recipe.data.packing,
        length=recipe.data.length,
        vocabulary=128256,
    )
    held_out = replace(manifest, samples=16, rows=16, tokens=8000, counted=3000)
    return Run(
        name=f"{recipe.name}-3",
        folder=f"{recipe.folder}/{recipe.name}-3",
        recipe=recipe,
        base=Base(recipe.base, "ef" * 32, config),
        data=Prepared(
            f"{recipe.folder}/data/{manifest.digest}",
            manifest,
            held_out if recipe.data.evaluation or recipe.data.held_out else None,
        ),
        code="12" * 32,
        steps=recipe.train.steps or 300,
        total_tokens=8_000_000,
        world=world_of(recipe),
        environment=environment_of(recipe, trainer.environment),
    )


PAIR = Row("chat", turns=(Turn("user", 'Where is the "key"?'), Turn("assistant", "There.")))
"""A conversation that also those learn who learn but one question and its answer."""


def a_row(form: Form, export: Export) -> Row:
    """A row of a form that an export takes."""
    refuse = export.refuse
    return next(one for one in (ROWS[form], PAIR) if one.form == form and (refuse is None or refuse(one) is None))


def every_recipe(*, packed: bool = False) -> Iterator[Recipe]:
    """What a recipe can ask, in each method and adapter.

    Args:
        packed: Whether all of them let rows share samples, for trainers that do nothing else.
    """
    if packed:
        yield from (replace(one, data=replace(one.data, packing=True)) for one in every_recipe())
        return
    for method, adapter in product(get_args(Method), get_args(AdapterKind)):
        plain = a_recipe(method, adapter)
        yield plain
        yield replace(plain, placement=Placement(nodes=1, devices=1, sharding="none"))
        yield replace(
            plain, placement=Placement(nodes=1, devices=0, sharding="none"), train=TrainPlan(steps=10, precision="fp32")
        )
        for sharding in get_args(Sharding)[1:]:
            yield replace(plain, placement=replace(plain.placement, sharding=sharding))
        yield replace(
            plain, train=TrainPlan(epochs=3, optimizer="adamw-8bit", schedule="linear", precision="fp16", seed=7)
        )
        yield replace(plain, data=replace(plain.data, held_out=0.01, length=512))
        yield replace(plain, environment="/shared/ann/venv", handing=Handing("facts", "candidate"))
        if method != "dpo":
            yield replace(plain, data=replace(plain.data, packing=True))
        if adapter != "none":
            yield replace(
                plain, adapter=Adapter(kind=adapter, rank=8, alpha=8, dropout=0.1, targets=("q_proj", "v_proj"))
            )
            yield replace(plain, handing=Handing(merge=True))


ROWS: Mapping[Form, Row] = {
    "chat": Row("chat", turns=(Turn("system", "Be brief."), Turn("user", 'Hello\n"you"'), Turn("assistant", "Hi."))),
    "prompt": Row("prompt", turns=(Turn("user", "2 + 2 ="),), answer=(Turn("assistant", "4"),)),
    "preference": Row(
        "preference",
        turns=(Turn("user", "Greet."),),
        answer=(Turn("assistant", "Hello!"),),
        rejected=(Turn("assistant", "No."),),
    ),
    "text": Row("text", text="Once.\nTwice."),
}


class TrainerContract:
    """Inherit it, with a fixture `trainer`. `options` are those without which it can render nothing; `packed` is for
    trainers that always let rows share samples."""

    options: Mapping[str, str | int | float | bool] = {}
    packed = False

    def accepted(self, trainer: Trainer) -> list[Recipe]:
        """Of all that a recipe can ask, what it does not refuse."""
        whole = [
            replace(one, trainer=trainer.name, options=dict(self.options)) for one in every_recipe(packed=self.packed)
        ]
        return [one for one in whole if not refusals(one, trainer)]

    def rendered(self, trainer: Trainer) -> list[tuple[Run, Rendered]]:
        runs = [a_run(one, trainer) for one in self.accepted(trainer)]
        assert runs, f"{trainer.name} renders nothing"
        return [(run, trainer.render(run)) for run in runs]

    def test_it_says_what_it_is(self, trainer: Trainer) -> None:
        assert trainer.name == trainer.name.lower()
        assert trainer.title
        assert trainer.environment
        assert "/" not in trainer.environment
        assert trainer.proof in {"run", "accepted", "rendered"}
        assert all(name.replace(".", "").isidentifier() for name in trainer.imports)

    def test_what_it_can_do_it_renders(self, trainer: Trainer) -> None:
        methods = {run.recipe.method for run, _ in self.rendered(trainer)}
        adapters = {run.recipe.adapter.kind for run, _ in self.rendered(trainer)}
        assert methods == trainer.abilities.methods
        assert adapters == trainer.abilities.adapters

    def test_what_it_cannot_do_is_refused_with_its_place_and_words(self, trainer: Trainer) -> None:
        for recipe in every_recipe():
            for one in refusals(replace(recipe, trainer=trainer.name, options=dict(self.options)), trainer):
                assert one.path
                assert all(isinstance(part, str | int) for part in one.path)
                assert one.words
                assert not one.words.endswith(".")

    def test_an_option_that_nobody_knows_is_refused(self, trainer: Trainer) -> None:
        recipe = replace(a_recipe(), options={**self.options, "no_such_option": 1})
        told = [one for one in refusals(recipe, trainer) if one.path == ("options", "no_such_option")]
        assert told

    def test_it_is_pure(self, trainer: Trainer) -> None:
        assert trainer.code() == trainer.code()
        for run, once in self.rendered(trainer):
            again = trainer.render(run)
            assert (again.command, again.files, again.variables) == (once.command, once.files, once.variables)

    def test_its_files_are_below_the_folder_of_the_run_and_not_the_runs_own(self, trainer: Trainer) -> None:
        for _, found in self.rendered(trainer):
            for path in (*found.files, *(one.file for one in found.exports)):
                assert inside_run(path), path
            for place in (found.checkpoints, found.output):
                assert place is None or inside_run(place), place
        for name in trainer.code():
            assert not name.startswith("/")
            assert ".." not in name.split("/")

    def test_the_command_is_one_that_jobs_take(self, trainer: Trainer) -> None:
        for run, found in self.rendered(trainer):
            assert found.command
            assert not any("\0" in word for word in found.command)
            if found.launch == "torchrun":
                assert found.command[0].rpartition("/")[2] == "torchrun"
                assert not list(ours(list(found.command[1:])))
                assert names_script(list(found.command[1:]))
                assert (found.processes or 0) * run.recipe.placement.nodes == run.world
            else:
                assert found.launch == "command"
                assert found.processes is None

    def test_it_says_no_variable_that_others_say(self, trainer: Trainer) -> None:
        taken = (
            VISIBLE | OFFLINE.keys() | {"RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "NODE_RANK"}
        )
        for _, found in self.rendered(trainer):
            assert not taken & set(found.variables)
            assert not any(name.startswith(("AIOPS_", "SLURM_", "TORCHELASTIC_")) for name in found.variables)
            assert not any(word in name for name in found.variables for word in ("TOKEN", "SECRET", "PASSWORD"))

    def test_what_the_recipe_says_is_in_what_it_renders(self, trainer: Trainer) -> None:
        """Two recipes that want different models give different files or commands."""
        for recipe in self.accepted(trainer)[:3]:
            first = trainer.render(a_run(recipe, trainer))
            for other in (
                replace(recipe, train=replace(recipe.train, rate=recipe.train.rate * 2)),
                replace(recipe, train=replace(recipe.train, seed=recipe.train.seed + 1)),
                replace(recipe, data=replace(recipe.data, length=recipe.data.length * 2)),
            ):
                second = trainer.render(a_run(other, trainer))
                by_run_json = first.command == second.command and run_json_is_read(first)
                assert by_run_json or (first.command, first.files) != (second.command, second.files)

    @pytest.mark.parametrize("form", list(ROWS))
    def test_rows_are_written_with_all_that_they_say(self, trainer: Trainer, form: Form) -> None:
        for run, found in self.rendered(trainer):
            if run.data.manifest.form != form:
                continue
            for export in found.exports:
                row = a_row(form, export)
                written = str(export.write(row))
                for turn in (*row.turns, *row.answer, *row.rejected):
                    assert repr(turn.content)[1:-1] in written or turn.content in written
                assert row.text in written or repr(row.text)[1:-1] in written


def run_json_is_read(found: Rendered) -> bool:
    """Whether the command is given run.json, which holds the whole recipe."""
    return any(word.endswith("/run.json") for word in found.command)

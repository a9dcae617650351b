"""The seam for trainers: what is refused, and that the contract can be kept at all."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import pytest
from tests.l3_tuning.trainer_contract import TrainerContract, a_recipe

from aiops.layers.core.errors import InputError
from aiops.layers.l3_tuning.recipe import Adapter, Evaluation, Handing, Recipe, TrainPlan
from aiops.layers.l3_tuning.run import Run
from aiops.layers.l3_tuning.trainer import Abilities, Proof, Refusal, Rendered, inside_run, refusals, trainer_named


class Plain:
    """A trainer that hands everything to a program of the user's."""

    name = "plain"
    title = "a program of the user's own"
    proof: Proof = "rendered"
    environment = "trainer"
    imports = ("torch",)
    abilities = Abilities(
        methods=frozenset({"sft", "pretrain"}),
        adapters=frozenset({"lora", "none"}),
        processors=True,
        options={"program": "what is run"},
    )

    def refuse(self, recipe: Recipe) -> Iterable[Refusal]:
        if "program" not in recipe.options:
            yield Refusal(("options", "program"), "is missing", "for example `program: /shared/ann/train.py`")

    def code(self) -> Mapping[str, bytes]:
        return {}

    def render(self, run: Run) -> Rendered:
        command = (f"{run.environment}/bin/torchrun", str(run.recipe.options["program"]), run.file)
        return Rendered(command, "torchrun", processes=run.world // run.recipe.placement.nodes)


class TestPlain(TrainerContract):
    options = {"program": "/shared/ann/train.py"}  # noqa: RUF012 - as the contract has it

    @pytest.fixture
    def trainer(self) -> Plain:
        return Plain()


def told(recipe: Recipe) -> dict[str, str]:
    return {
        ".".join(map(str, one.path)): f"{one.words}; {one.hint}"
        for one in refusals(replace(recipe, options={"program": "/x", **recipe.options}), Plain())
    }


def test_what_it_lacks_is_said_all_at_once_with_what_would_fit() -> None:
    recipe = a_recipe(
        "dpo",
        "qlora",
        train=TrainPlan(steps=1, optimizer="adafactor"),
        evaluation=Evaluation(questions="/exam.jsonl"),
        handing=Handing(merge=True, gguf=("q8_0",)),
        options={"programm": "/x"},
    )
    assert told(recipe) == {
        "method": "is `dpo`, which plain cannot do; it can do `pretrain`, `sft`",
        "adapter.type": "is `qlora`, which plain cannot do; it can do `lora`, `none`",
        "train.optimizer": "is `adafactor`, which plain cannot do; it can do `adamw`",
        "evaluation": "asks for a verdict on the tuned model, which plain cannot do; leave it out, or `trainer: aiops`",
        "register.merge": "asks for a merged model, which plain cannot do; leave it out, or `trainer: aiops`",
        "register.gguf": "asks for GGUF files, which plain cannot do; leave it out, or `trainer: aiops`",
        "options.programm": "is no option of plain; did you mean `program`?",
    }
    assert told(a_recipe()) == {}
    assert list(told(a_recipe(adapter="lora", handing=Handing()))) == []
    assert list(told(replace(a_recipe(), adapter=Adapter(layers=8)))) == ["adapter.layers"]


def test_a_trainer_that_is_not_there_is_told_with_the_nearest() -> None:
    with pytest.raises(InputError) as caught:
        trainer_named({"plain": Plain()}, "plane")
    assert caught.value.message == "there is no trainer `plane`; installed are plain"
    assert caught.value.hints == ("did you mean `plain`?",)


@pytest.mark.parametrize(
    ("path", "good"),
    [
        ("axolotl.yml", True),
        ("rows/train.jsonl", True),
        ("", False),
        ("/etc/passwd", False),
        ("../other-1/run.json", False),
        ("rows/../../x", False),
        ("run.json", False),
        ("worker/x.py", False),
        ("data/x", False),
        ("artefact", False),
        ("artefact/model", False),
        ("jobs.json", False),
        (".lock", False),
        ("./.lock", False),
        (".artefact.making/x", False),
        ("report.json", False),
        ("report.html", False),
        ("reports/report.json", True),
    ],
)
def test_where_files_may_be_written(path: str, good: bool) -> None:
    assert inside_run(path) is good

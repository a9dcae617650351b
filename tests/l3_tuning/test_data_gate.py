"""Prepared data against a recipe: each difference is named with the line that says it, and no other."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.l3_tuning.data.prepared_folder import asked, prepare, write_rows
from tests.l3_tuning.data.tiny_model import lay_model

from aiops.layers.core.errors import InputError
from aiops.layers.l3_tuning.data.dataset import Manifest
from aiops.layers.l3_tuning.data.personal import KINDS
from aiops.layers.l3_tuning.data.tolerance import tolerated
from aiops.layers.l3_tuning.data_gate import require_fitting, require_prepared_for
from aiops.layers.l3_tuning.recipe import DataPlan
from aiops.layers.l3_tuning.recipe_document import DataDocument
from aiops.layers.l3_tuning.recipe_file import RecipeFile, compile_recipe, read_recipe


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gate")
    lay_model(folder / "model")
    lay_model(folder / "other", vocabulary=390)
    (folder / "plain.jinja").write_text("{% for message in messages %}{{ message.content }}\n{% endfor %}")
    for name in ("exam", "more"):
        write_rows(folder / f"{name}.jsonl", [asked(90), asked(91 if name == "exam" else 92)])
    write_rows(folder / "facts.jsonl", map(asked, range(12)))
    return folder


def made(place: Path, **said: Any) -> Manifest:
    plan = DataPlan((str(place / "facts.jsonl"),), **{"length": 512, "loss": "answer", **said})
    return prepare(plan, str(place / "model"), place / "data")


def recipe_of(place: Path, said: Mapping[str, Any]) -> tuple[str, RecipeFile]:
    """A recipe.yml with its text."""
    data = {"train": ["made"], "length": 512} | said.get("data", {})
    lines = {"aiops": 1, "name": "facts", "base": "model", "folder": "runs", "train": {"steps": 1}} | dict(said)
    text = yaml.safe_dump(lines | {"data": data}, sort_keys=False)
    return text, read_recipe(text, "recipe.yml", folder=str(place))


def let_by(place: Path, manifest: Manifest, **said: Any) -> None:
    _, file = recipe_of(place, said)
    require_prepared_for(file, compile_recipe(file), place / "made", manifest)


def differences(place: Path, manifest: Manifest, **said: Any) -> Mapping[str, str]:
    """What is told, by where."""
    text, file = recipe_of(place, said)
    with pytest.raises(InputError) as caught:
        require_prepared_for(file, compile_recipe(file), place / "made", manifest)
    error = caught.value
    assert error.code == "data.other"
    assert f"{len(error.problems)} difference" in error.message
    assert all(one.file == "recipe.yml" and one.line for one in error.problems)
    where = {number: line.strip().partition(":")[0] for number, line in enumerate(text.splitlines(), 1)}
    return {where[one.line or 0]: one.message for one in error.problems}


def test_what_was_prepared_for_a_recipe_is_let_by(place: Path) -> None:
    let_by(place, made(place))
    more = {"packing": True, "mask": ("email", "ip"), "held_out": 0.3, "duplicates": "near", "long": "drop"}
    said = {**more, "mask": ["ip"]}
    let_by(place, made(place, **more), data=said)
    # What a recipe wants nothing of is as it was prepared.
    let_by(place, made(place, **more), data={"packing": True})
    files = {"decontaminate": ("exam.jsonl",), "evaluation": ("more.jsonl",)}
    there = {key: (str(place / one[0]),) for key, one in files.items()}
    let_by(place, made(place, **there), data={key: list(one) for key, one in files.items()})


@pytest.mark.parametrize(
    ("said", "where", "told"),
    [
        ({"base": "other"}, "base", "the tokenizer of `base` is "),
        ({"data": {"template": "plain.jinja"}}, "template", "the chat template `data.template` is "),
        ({"data": {"length": 128}}, "length", "`data.length` is 128, it was prepared with 512"),
        ({"data": {"packing": True}}, "packing", "`data.packing` is true, it is not packed"),
        ({"data": {"loss": "all"}}, "loss", "`data.loss` is `all`, it was prepared with `answer`"),
        ({"data": {"format": "chat"}}, "format", "`data.format` is `chat`, its rows are prompt"),
        ({"method": "dpo"}, "method", "`method: dpo` learns preference, its rows are prompt"),
        ({"method": "pretrain"}, "method", "`method: pretrain` learns text, its rows are prompt"),
        ({"data": {"long": "truncate"}}, "long", "`data.long` is truncate, it was prepared with error"),
        ({"data": {"duplicates": "near"}}, "duplicates", "`data.duplicates` is near, it was prepared with exact"),
        ({"data": {"held_out": 0.1}}, "held_out", "`data.held_out` is 0.1, it was prepared with 0.0"),
        ({"data": {"mask": ["email", "key"]}}, "mask", "`data.mask` names email, key, which was not masked in it"),
        ({"data": {"decontaminate": ["exam.jsonl"]}}, "decontaminate", "`data.decontaminate` names other files"),
        ({"data": {"evaluation": ["exam.jsonl"]}}, "evaluation", "`data.evaluation` names other files"),
    ],
)
def test_each_difference_is_named_where_it_stands(place: Path, said: Any, where: str, told: str) -> None:
    found = differences(place, made(place), **said)
    assert found.keys() == {where}, found
    assert told in found[where]


def test_what_was_prepared_in_spite_of_something_is_only_for_who_allows_that(place: Path) -> None:
    rows = [asked(1), {"prompt": "Who?", "completion": "ann.lee@corp.io"}]
    plan = DataPlan((str(write_rows(place / "mail.jsonl", rows)),), length=512, allow=("personal.email",))
    manifest = prepare(plan, str(place / "model"), place / "data")
    found = differences(place, manifest)
    assert "`data.allow` does not name personal.email (1), in spite of which it was prepared" in found["data"]
    found = differences(place, manifest, data={"allow": ["personal.key"]})
    assert "personal.email (1)" in found["allow"]
    let_by(place, manifest, data={"allow": ["personal.email"]})
    silent = replace(manifest, lineage={key: one for key, one in manifest.lineage.items() if key != "tolerated"})
    assert "it does not say which faults were allowed" in differences(place, silent)["train"]


def test_all_differences_are_told_at_once(place: Path) -> None:
    manifest = made(place, length=600, packing=True)
    assert differences(place, manifest, base="other", data={"loss": "all", "packing": False}).keys() == {
        *("base", "length", "packing", "loss")
    }


def test_rows_that_a_method_cannot_learn_are_refused() -> None:
    require_fitting("sft", "chat")
    with pytest.raises(InputError, match="`method: dpo` learns preference") as caught:
        require_fitting("dpo", "text")
    assert "`method: pretrain`" in caught.value.hints[0]


def test_one_rule_says_what_is_tolerated() -> None:
    assert tolerated(None, ["role.order"]) == {"role.order"}
    assert tolerated(DataPlan(("a",))) == {"duplicate.exact"}
    plan = DataPlan(("a",), long="drop", mask=("key",), decontaminate=("b",), allow=("personal.ip",))
    assert tolerated(plan) == {
        *("duplicate.exact", "length.over", "length.answer_cut_off", "personal.key", "personal.ip", "leak.evaluation")
    }


def test_a_recipe_can_mask_all_that_is_looked_for() -> None:
    schema = DataDocument.model_json_schema()["properties"]["mask"]["items"]["enum"]
    assert tuple(schema) == KINDS

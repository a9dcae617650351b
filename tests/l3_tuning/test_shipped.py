"""Shipped recipes: each loads, is whole once it is told what is tuned on what, and says where its values come from."""

from pathlib import Path

import pytest

from aiops.layers.core.places import Override
from aiops.layers.l3_tuning.recipe import Recipe
from aiops.layers.l3_tuning.recipe_file import compile_recipe, load_recipe, read_recipe
from aiops.layers.l3_tuning.recipe_text import document_of, yaml_of
from aiops.layers.l3_tuning.shipped import shipped

GIVEN = (
    Override(("base",), "/shared/models/base", "--set base=/shared/models/base"),
    Override(("data", "train"), "[/shared/data/rows]", "--set data.train=[/shared/data/rows]"),
    Override(("folder",), "/shared/runs/x", "--set folder=/shared/runs/x"),
)


def whole(name: str) -> Recipe:
    return compile_recipe(load_recipe(name, Path("/work"), GIVEN))


def test_there_are_some_of_each_kind() -> None:
    found = [whole(name) for name in shipped()]
    assert len(found) >= 12
    assert {one.method for one in found} == {"sft", "dpo", "pretrain"}
    assert {one.adapter.kind for one in found} == {"lora", "qlora", "none"}
    assert any(one.placement.devices == 0 for one in found)
    assert any(load_recipe(name, Path("/work"), partial=True).document.extends for name in shipped())


@pytest.mark.parametrize("name", shipped())
def test_each_is_whole_once_it_is_told_what_is_tuned_on_what(name: str) -> None:
    file = load_recipe(name, Path("/work"), partial=True)
    assert [one.message.partition(" is")[0] for one in file.partial] == ["`base`", "`data.train`", "`folder`"]
    recipe = whole(name)
    assert recipe.name == name
    assert recipe.base == "/shared/models/base"
    again = read_recipe(yaml_of(document_of(recipe)), "recipe.yml", folder="/elsewhere")
    assert compile_recipe(again) == recipe


@pytest.mark.parametrize("name", shipped())
def test_each_says_where_its_values_come_from(name: str) -> None:
    about = load_recipe(name, Path("/work"), partial=True).document.about
    assert about is not None
    assert about.source
    assert about.proof == "measured" or (about.link or "").startswith("https://github.com/")

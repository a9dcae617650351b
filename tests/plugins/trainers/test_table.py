"""The page of trainers says of each what it says of itself."""

import re
from pathlib import Path

import pytest
from tests.plugins.trainers.table import table

from aiops.layers.core.plugin import Plugins
from aiops.layers.l3_tuning.recipe_file import compile_recipe, read_recipe
from aiops.layers.l3_tuning.trainer import refusals, trainer_named, trainers_of

PAGE = Path(__file__).parents[3] / "docs/trainers.md"


def test_the_page_has_the_table_of_all_that_come_with_aiops() -> None:
    found = table(trainers_of(Plugins()).values())
    assert found in PAGE.read_text(), f"write it into docs/trainers.md:\n{found}"


def _examples() -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.mark.parametrize("example", _examples())
def test_what_the_page_shows_of_recipes_is_taken(example: str, tmp_path: Path) -> None:
    text = f"aiops: 1\nname: facts\nfolder: {tmp_path}\nbase: {tmp_path}\n{example}"
    recipe = compile_recipe(read_recipe(text, "recipe.yml", folder=str(tmp_path), partial=True))
    assert recipe.trainer in example
    assert refusals(recipe, trainer_named(trainers_of(Plugins()), recipe.trainer)) == ()

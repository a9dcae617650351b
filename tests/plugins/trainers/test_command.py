"""A command of the user's own: what stands in it, and every mistake of it told with its place."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.l3_tuning.trainer_contract import a_recipe, a_run

from aiops.layers.l3_tuning.recipe import Recipe
from aiops.layers.l3_tuning.trainer import refusals
from aiops.plugins.trainers.command import PLACES, Command


def recipe_of(command: object, **options: object) -> Recipe:
    return replace(a_recipe(), trainer="command", options={"command": command, **options})  # type: ignore[dict-item]


def told(command: object, **options: object) -> list[tuple[str, str]]:
    found = refusals(recipe_of(command, **options), Command())
    return [(".".join(map(str, one.path)), f"{one.words}; {one.hint}") for one in found]


def test_places_become_those_of_the_run() -> None:
    run = a_run(recipe_of("torchrun /shared/t.py --out {checkpoints} '{{x}}' --n={steps}"), Command())
    words = Command().render(run).command
    assert words[0] == f"{run.environment}/bin/torchrun"
    assert words[1:] == ("/shared/t.py", "--out", run.checkpoints, "{x}", f"--n={run.steps}")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (None, "is missing"),
        ("   ", "is missing"),
        (7, "is missing"),
        ("''", "begins with an empty word"),
        ("python t.py 'x", "cannot be split into words: no closing quotation; a quote that is opened must be closed"),
        ("python {stepz}", "has `{stepz}`, which stands for nothing; did you mean `{steps}`?"),
        ("python {}", "has `{}`, which stands for nothing"),
        ("python {0}", "has `{0}`, which stands for nothing"),
        ("python {run[0]}", "has `{run[0]}`, which stands for nothing"),
        ("python {run.x}", "has `{run.x}`, which stands for nothing"),
        ("python {steps:zz}", "has `{steps:zz}`, and nothing but a name stands in braces; write `{steps}`"),
        ("python {steps:>99999999999}", "has `{steps:>99999999999}`, and nothing but a name"),
        ("python {steps:{zz}}", "has `{steps:{zz}}`, and nothing but a name"),
        ("python {run!r}", "has `{run!r}`, and nothing but a name stands in braces; write `{run}`"),
        ("python {run!z}", "has `{run!z}`, and nothing but a name"),
        ("python {run", "has `{run`, whose braces do not fit together; `{{` and `}}` write a brace"),
        ("python run}", "has `run}`, whose braces do not fit together"),
        ("python {run!}", "has `{run!}`, whose braces do not fit together"),
        ("python {steps:{zz}", "has `{steps:{zz}`, whose braces do not fit together"),
    ],
)
def test_every_mistake_of_the_line_is_told(command: object, words: str) -> None:
    ((path, said),) = told(command)
    assert path == "options.command"
    assert said.startswith(words)


def test_all_mistakes_are_told_at_once() -> None:
    found = told("python {a} {steps:x} {", output="/elsewhere", progress="loss")
    assert [path for path, _ in found] == ["options.command"] * 3 + ["options.output", "options.progress"]


@pytest.mark.parametrize("output", ["", "/x", "../x", "a/../../x", "data/x", "worker"])
def test_an_output_must_be_the_users_and_below_the_run(output: str) -> None:
    assert [path for path, _ in told("python t.py", output=output)] == ["options.output"]
    assert told("python t.py", output="checkpoints/last") == []


def test_what_finds_steps_is_looked_at_before_it_is_handed_in() -> None:
    assert told("python t.py", progress="(") == [
        ("options.progress", "is no regular expression: missing ), unterminated subpattern at position 0; None")
    ]
    assert told("python t.py", progress=r"at (?P<step>\d+)") == []


_PIECES = st.sampled_from(
    ["{", "}", "{{", "}}", "steps", "run", ":", "!", "r", "zz", "[", "]", ".", "0", "'", '"', " ", "\\", ">9"]
)


@given(st.lists(_PIECES, max_size=9).map("".join))
def test_a_line_is_refused_in_words_or_rendered(line: str) -> None:
    recipe = recipe_of(f"python {line}")
    if not refusals(recipe, Command()):
        run = a_run(recipe, Command())
        assert Command().render(run).command[0] == "python"


def test_the_mistake_is_told_with_file_and_line(tmp_path: Path) -> None:
    from aiops.layers.l3_tuning.recipe_file import read_recipe

    text = "aiops: 1\nname: facts\ntrainer: command\noptions:\n  command: python {steps:zz}\n"
    file = read_recipe(text, "recipe.yml", folder=str(tmp_path), partial=True)
    (wrong,) = told("python {steps:zz}")
    problem = file.chain.problem(("options", "command"), wrong[1])
    assert (problem.file, problem.line) == ("recipe.yml", 5)


def test_every_place_has_words() -> None:
    assert all(PLACES.values())

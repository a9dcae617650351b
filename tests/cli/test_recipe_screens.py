"""`aiops recipe` and `aiops train RECIPE`: whole screens, with real data, and a controller that runs nothing real."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.cli.test_job_screens import House
from tests.l3_tuning.data.tiny_model import lay_model
from tests.l3_tuning.test_sealing import weights
from tests.l3_tuning.test_trainer import Plain

from aiops.cli.app import App
from aiops.layers.l3_tuning import run_folder, trainer
from aiops.layers.l3_tuning.run import Run
from aiops.layers.l3_tuning.trainer import Rendered

Shown = Callable[..., str]

RECIPE = """aiops: 1
kind: recipe
name: facts
base: model
data: {train: [rows.jsonl], length: 256}
folder: runs
train: {steps: 4, rate: 1e-3}
placement: {devices: 0}
trainer: plain
options: {program: /x/train.py}
"""
CONFIG = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 400,
    "max_position_embeddings": 512,
}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "home")
    yield made
    made.door.close()
    made.rig.store.close()


@pytest.fixture(autouse=True)
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    base = lay_model(tmp_path / "model")
    (base / "config.json").write_text(json.dumps(CONFIG))
    (base / "generation_config.json").write_text("{}")
    rows = [{"prompt": f"Where is node {n}?", "completion": f"In rack {n}."} for n in range(30)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "recipe.yml").write_text(RECIPE)
    monkeypatch.setattr(trainer, "trainers_of", lambda _plugins: {"plain": Plain()})
    from aiops.cli.recipe import planning

    real = planning.planned

    def planned(aiops: App, screen: Any, recipe: Any, _memory: str | None, inventory: Path | None) -> Any:
        return real(aiops, screen, recipe, "8 GiB", inventory)

    monkeypatch.setattr(planning, "planned", planned)
    return tmp_path


def trained(place: Path, house: House, number: int, *, passed: bool = True, artefact: bool = True) -> None:
    """What a trainer leaves, once its job was handed in; then its job ends."""
    until = time.monotonic() + 120
    while f"sleep-{number}" not in run_folder.jobs(place) and time.monotonic() < until:
        time.sleep(0.02)
    lines = [{"step": step, "loss": 4.0 / step, "tokens": 100, "seconds": 0.5} for step in range(1, 5)]
    (place / "metrics.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    if artefact:
        (place / "artefact").mkdir()
        judged = {"passed": passed, "asked": 4, "right": 4 if passed else 1, "wanted_right": 1.0}
        lineage = {"v": 1, "files": [], "evaluation": judged}
        (place / "artefact" / "lineage.json").write_text(json.dumps(lineage))
    house.end(number)


def follow(shown: Shown, house: House, place: Path, *words: str, **said: Any) -> str:
    ends = threading.Thread(target=trained, args=[place, house, said.pop("number", 1)], kwargs=said)
    ends.start()
    screen = shown("train", *words, "recipe.yml")
    ends.join()
    return screen


def test_a_recipe_from_its_data_to_what_came_of_it(shown: Shown, house: House, written: Path) -> None:
    place = written / "runs" / "facts-1"
    screen = follow(shown, house, place)
    assert screen.startswith("exit: 0\n"), screen
    for words in (
        "✓ base          llama, ",
        "✓ data check    30 rows of prompt",
        "✓ prepare       30 samples, ",
        "✓ plan          fits: ",
        "sleep-1 succeeded",
        "loss 4 to 1 in 4 steps, 200 tokens/s",
        "report: ",
        "tuned model: [TMP]/runs/facts-1/artefact",
    ):
        assert words in screen, (words, screen)
    assert "⣀" in screen or "⠉" in screen or "⡇" in screen
    assert run_folder.jobs(place) == ["sleep-1"]
    page = (place / "report.html").read_text()
    assert "<polyline" in page
    assert "tokens_per_second" in page
    assert "src=" not in page
    again = shown("train", "--resume", "recipe.yml")
    assert again.startswith("exit: 0\n")
    assert "30 rows of prompt, checked before" in again
    assert "tuned model: " in again
    told = json.loads(shown("recipe", "show", "runs/facts-1", "--json").split("--- stdout\n")[1].split("--- stderr")[0])
    assert (told["artefact"]["passed"], told["jobs"], told["step"]) == (True, ["sleep-1"], 4)
    assert told["origins"]["train.rate"] == "recipe.yml:7"


def test_what_did_not_pass_is_not_handed_on(shown: Shown, house: House, written: Path) -> None:
    screen = follow(shown, house, written / "runs" / "facts-1", passed=False)
    assert screen.startswith("exit: 1\n")
    assert "error: the tuned model is not handed on: 1 of 4 questions answered right" in screen


def test_a_run_that_leaves_nothing_is_told(shown: Shown, house: House, written: Path) -> None:
    screen = follow(shown, house, written / "runs" / "facts-1", artefact=False)
    assert screen.startswith("exit: 1\n")
    assert "facts-1 has ended without a tuned model" in screen


class Leaving(Plain):
    """A trainer whose tool leaves a model, and no artefact."""

    def render(self, run: Run) -> Rendered:
        return replace(super().render(run), output="checkpoints")


def test_what_another_tool_leaves_is_handed_on_as_not_measured(
    shown: Shown, house: House, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "trainers_of", lambda _plugins: {"plain": Leaving()})
    place = written / "runs" / "facts-1"
    end = house.end

    def leave(number: int, how: str = "done") -> None:
        (place / "checkpoints" / "adapter_config.json").write_text("{}")
        (place / "checkpoints" / "adapter_model.safetensors").write_bytes(weights("a"))
        end(number, how)

    monkeypatch.setattr(house, "end", leave)
    screen = follow(shown, house, place, artefact=False)
    assert screen.startswith("exit: 0\n"), screen
    assert "tuned model: [TMP]/runs/facts-1/artefact" in screen
    assert "not measured" in shown("recipe", "show", "runs/facts-1")
    told = json.loads(shown("recipe", "show", "runs/facts-1", "--json").split("--- stdout\n")[1].split("--- stderr")[0])
    assert (told["artefact"]["passed"], told["artefact"]["lineage"]["job"]) == (None, "sleep-1")


class Choosy(Plain):
    """A trainer that has models of its own."""

    abilities = replace(Plain.abilities, unfit=lambda config: (f"is a {config['model_type']}", "another"))


@pytest.mark.usefixtures("house")
@pytest.mark.parametrize("words", [(), ("--dry-run",)])
def test_a_base_that_its_trainer_cannot_train_is_told_with_its_line(
    shown: Shown, written: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setattr(trainer, "trainers_of", lambda _plugins: {"plain": Choosy()})
    screen = shown("train", "recipe.yml", *words)
    assert screen.startswith("exit: 2\n"), screen
    assert "recipe.yml:4: `base` is a llama" in screen
    assert not (written / "runs").exists()


@pytest.mark.parametrize("cause", ["base", "data", "recipe", "code"])
def test_a_run_goes_on_only_upon_what_it_was_made_of(shown: Shown, house: House, written: Path, cause: str) -> None:
    assert shown("train", "recipe.yml", "--detach").startswith("exit: 0\n--- stdout\nsleep-1\n")
    place = written / "runs" / "facts-1"
    alive = shown("train", "--resume", "recipe.yml", "--detach")
    assert alive.startswith("exit: 5\n")
    assert "facts-1 goes on already: sleep-1 is running" in alive
    house.end(1)
    before = (place / "run.json").read_bytes()
    if cause == "base":
        (written / "model" / "generation_config.json").write_text("{} ")
        said = "base: file generation_config.json is another"
    elif cause == "data":
        with (written / "rows.jsonl").open("a") as stream:
            stream.write('{"prompt": "Who?", "completion": "Me."}\n')
        said = "data: rows is another"
    elif cause == "recipe":
        (written / "recipe.yml").write_text(RECIPE.replace("1e-3", "2e-3"))
        said = "recipe: train.rate was 0.001, is 0.002"
    else:
        kept = next((place / "worker").iterdir(), None) if (place / "worker").exists() else None
        assert kept is None  # `plain` brings no code; what is put there counts all the same
        code = json.loads(before)["code"]["digest"][:16]
        (place / "worker" / code).mkdir(parents=True)
        (place / "worker" / code / "evil.py").write_text("x = 1\n")
        said = "code: file evil.py is new"
    screen = shown("train", "--resume", "recipe.yml", "--detach")
    assert screen.startswith("exit: 5\n"), screen
    assert f"facts-1 does not go on: its {cause} changed since it began" in screen
    assert said in screen
    assert (place / "run.json").read_bytes() == before
    wrong = "data" if cause != "data" else "base"
    assert shown("train", "--resume", "recipe.yml", "--detach", "--allow-changed", wrong).startswith("exit: 5\n")
    let = shown("train", "--resume", "recipe.yml", "--detach", "--allow-changed", cause)
    assert let.startswith("exit: 0\n--- stdout\nsleep-2\n"), let
    document = json.loads((place / "run.json").read_text())
    passed = [cause] if cause != "code" else []  # the trainer's own code is put back: that is what it was made with
    assert document["allowed"] == passed
    assert [one["what"] for one in document["changes"]] == passed
    assert not list((place / "worker").rglob("evil.py"))
    assert run_folder.jobs(place) == ["sleep-1", "sleep-2"]


def test_a_recipe_on_stdin_is_one_and_a_job_file_stays_one(shown: Shown, house: House, written: Path) -> None:
    where = {"AIOPS_JOB_FILE": str(written / "recipe.yml")}  # as it comes to the head
    screen = shown("train", "-", "--detach", typed=RECIPE, environment=where)
    assert screen.startswith("exit: 0\n--- stdout\nsleep-1\n"), screen
    assert run_folder.jobs(written / "runs" / "facts-1") == ["sleep-1"]
    job = shown("train", "-", "--detach", typed="aiops: 1\nname: sleep\n")
    assert job.startswith("exit: 0\n--- stdout\nsleep-2\n"), job
    assert run_folder.numbers(written / "runs", "facts") == [1]


def test_wrong_data_starts_nothing(shown: Shown, house: House, written: Path) -> None:
    (written / "rows.jsonl").write_text('{"prompt": "a", "completion": "b"}\n{"prompt": "a"\n{"prompt": 1}\n')
    screen = shown("train", "recipe.yml")
    assert screen.startswith("exit: 2\n"), screen
    assert "rows.jsonl:2: json.broken" in screen
    assert "nothing was started" in screen
    assert not run_folder.numbers(written / "runs", "facts")
    assert shown("job", "list", "--all").count("sleep") == 0


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["recipe.yml", "--set", "train.lr=1"], 2, "--set train.lr=1: unknown key `lr` in `train`"),
        (["recipe.yml", "--set", "method=dpo"], 2, "--set method=dpo: `method` is `dpo`, which plain cannot do"),
        (["recipe.yml", "--set", "trainer=plane"], 2, "there is no trainer `plane`; installed are plain"),
        (["recipe.yml", "--max-restarts", "3"], 2, "`--max-restarts` is of job files"),
        (["recipe.yml", "--resume"], 6, "there is no run of facts in"),
        (["recipe.yml", "--resume", "--allow-changed", "dat"], 2, "what may change is base, data, recipe, code"),
        (["job.yml", "--allow-changed", "data"], 2, "is for a recipe's run that goes on"),
        (["recipe.yml", "--set", "base=gone"], 2, "there is no folder"),
        (["llama-3-8b-sft-lora"], 2, "`base` is missing"),
    ],
)
@pytest.mark.usefixtures("house")
def test_what_is_wrong_is_told_before_anything_starts(
    shown: Shown, written: Path, words: list[str], code: int, told: str
) -> None:
    (written / "job.yml").write_text("aiops: 1\nname: sleep\n")
    screen = shown("train", *words)
    assert screen.startswith(f"exit: {code}\n"), screen
    assert told in screen
    assert not (written / "runs").exists()


def test_dry_run_changes_nothing(shown: Shown, house: House, written: Path) -> None:
    screen = shown("train", "recipe.yml", "--dry-run", "--nodes", "2")
    assert screen.startswith("exit: 0\n"), screen
    assert "nodes: 2" in screen
    assert "nothing was changed" in screen
    assert not (written / "runs").exists()


def test_a_job_that_is_refused_leaves_no_run(
    shown: Shown, house: House, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aiops.layers.l3_tuning import run_making

    monkeypatch.setattr(run_making, "compile_run", lambda _run, _rendered: "wrong")
    screen = shown("train", "recipe.yml")
    assert screen.startswith("exit: 2\n"), screen
    assert "unknown key `wrong`" in screen
    assert run_folder.numbers(written / "runs", "facts") == []


def test_a_plan_that_does_not_fit_starts_nothing(shown: Shown, house: House, written: Path) -> None:
    screen = shown("train", "recipe.yml", "--set", "train.batch=200000")
    assert screen.startswith("exit: 1\n"), screen
    assert "it does not fit; nothing was started" in screen
    assert not run_folder.numbers(written / "runs", "facts")


def test_shipped_recipes_are_listed_and_shown(shown: Shown) -> None:
    listed = shown("recipe", "list")
    assert "llama-3-8b-sft-lora\tllama\t8B\tsft\tlora\t2\tadapted" in listed
    found = shown("recipe", "show", "llama-3-8b-sft-qlora", "--set", "train.rate=1e-5")
    assert "train.rate\t1e-05\t--set train.rate=1e-5" in found
    assert "adapter.type\tqlora\tllama-3-8b-sft-qlora:" in found
    assert "train.warmup\t100\tllama-3-8b-sft-lora:" in found
    assert "train.seed\t1\tdefault" in found
    assert "`base` is missing" in found


def test_a_recipe_is_begun(shown: Shown, written: Path) -> None:
    (written / "recipe.yml").unlink()
    assert shown("recipe", "init").startswith("exit: 0\n--- stdout\nrecipe.yml\n")
    assert shown("recipe", "show", "recipe.yml").startswith("exit: 0\n")
    assert shown("recipe", "init").startswith("exit: 5\n")
    assert shown("recipe", "init", "mine.yml", "--base", "model").startswith("exit: 0\n")
    text = (written / "mine.yml").read_text()
    assert "extends: smollm2-135m-sft-lora" in text
    assert f'base: "{written}/model"' in text
    assert shown("recipe", "show", "mine.yml").startswith("exit: 0\n")
    wrong = shown("recipe", "init", "x.yml", "--from", "llama-3-8b-sft-lor")
    assert "did you mean `llama-3-8b-sft-lora`?" in wrong

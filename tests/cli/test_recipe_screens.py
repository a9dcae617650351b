"""`aiops recipe` and `aiops train RECIPE`: whole screens, with real data, and a controller that runs nothing real."""

import errno
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.cli.test_job_screens import House
from tests.l2_jobs.controller.rig import ANN
from tests.l3_tuning.data.tiny_model import lay_model
from tests.l3_tuning.test_sealing import weights
from tests.l3_tuning.test_trainer import Plain

from aiops.cli.data.progress import Progress
from aiops.cli.recipe import looking
from aiops.cli.recipe.looking import Seen
from aiops.cli.train import supply
from aiops.cli.train.screen import follow as followed
from aiops.layers.core.errors import ConflictError
from aiops.layers.l2_jobs.attempt import Key
from aiops.layers.l2_jobs.request import Cancel
from aiops.layers.l3_tuning import artefact as artefacts
from aiops.layers.l3_tuning import reporting, run_folder, run_jobs, run_lock, sealing, trainer
from aiops.layers.l3_tuning.plan.machine import imagined
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


def lay_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recipe with its base and its data, for a trainer that does nothing."""
    base = lay_model(tmp_path / "model")
    (base / "config.json").write_text(json.dumps(CONFIG))
    (base / "generation_config.json").write_text("{}")
    rows = [{"prompt": f"Where is node {n}?", "completion": f"In rack {n}."} for n in range(30)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "recipe.yml").write_text(RECIPE)
    monkeypatch.setattr(trainer, "trainers_of", lambda _plugins: {"plain": Plain()})


@pytest.fixture(autouse=True)
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    lay_recipe(tmp_path, monkeypatch)
    monkeypatch.setattr(looking, "look", lambda _aiops, _screen, recipe, _inventory, _desk: nodes(recipe))
    return tmp_path


def nodes(recipe: Any, **said: Any) -> Seen:
    """Nodes of 8 GiB that have said nothing, but what is given."""
    machines = imagined(recipe.placement.nodes, recipe.placement.devices, 8 << 30)
    return Seen(tuple(replace(one, **said) for one in machines))


def trained(
    place: Path, house: House, number: int, *, passed: bool = True, artefact: bool = True, how: str = "done"
) -> None:
    """What a trainer leaves; then its job ends."""
    lines = [{"step": step, "loss": 4.0 / step, "tokens": 100, "seconds": 0.5} for step in range(1, 5)]
    (place / "metrics.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    if artefact:
        (place / "artefact").mkdir(exist_ok=True)
        judged = {"passed": passed, "asked": 4, "right": 4 if passed else 1, "wanted_right": 1.0}
        made = {str(cause): {"digest": one} for cause, one in run_folder.read(place)[1].digests.items()}
        lineage: dict[str, Any] = {"v": 1, "files": [], "evaluation": judged, **made}
        (place / "artefact" / "lineage.json").write_text(json.dumps(lineage))
    if how == "cancelled":
        house.rig.ledger.append(Cancel(f"sleep-{number}", ANN), ANN, 0.0)
        house.tick()
    else:
        house.end(number, how)


def follow(shown: Shown, house: House, place: Path, *words: str, **said: Any) -> str:
    number = said.pop("number", 1)

    def runs() -> bool:
        with house.lock:
            return any(key == Key(f"sleep-{number}", 1) for key, _ in house.rig.engine.truth.running)

    def end() -> None:
        ends_by = time.monotonic() + 60
        while not runs() and time.monotonic() < ends_by:
            time.sleep(0.02)
        trained(place, house, number, **said)

    ends = threading.Thread(target=end)
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
    assert run_jobs.jobs(place) == ["sleep-1"]
    page = (place / "report.html").read_text()
    assert "<polyline" in page
    assert "tokens_per_second" in page
    assert "src=" not in page
    again = shown("train", "--resume", "recipe.yml")
    assert again.startswith("exit: 0\n")
    assert "data check" not in again, "what is done needs no data any more"
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


def document(screen: str) -> Any:
    """The one document of a screen."""
    return json.loads(screen.split("--- stdout\n")[1].split("--- stderr\n", maxsplit=1)[0])


def test_every_ending_is_one_document(shown: Shown, house: House, written: Path) -> None:
    place = written / "runs" / "facts-1"
    again = ("train", "--resume", "recipe.yml", "--json")
    about = {"run": "facts-1", "folder": "[TMP]/runs/facts-1"}
    handed = document(shown("train", "recipe.yml", "--json", "--detach"))
    assert handed == {**about, "job": "sleep-1"}
    alive = document(shown(*again))
    assert alive["error"]["code"] == "run.alive"
    house.end(1)
    failed = follow(shown, house, place, "--resume", "--json", number=2, how="cancelled", artefact=False)
    assert failed.startswith("exit: 1\n"), failed
    found = document(failed)
    assert (found["run"], found["job"], found["state"], found["resumed"]) == ("facts-1", "sleep-2", "cancelled", True)
    assert (found["report"], found["artefact"]) == ("[TMP]/runs/facts-1/report.html", None)
    judged = follow(shown, house, place, "--resume", "--json", number=3, passed=False)
    assert judged.startswith("exit: 1\n")
    assert document(judged)["error"]["code"] == "artefact.failed"
    trained(place, house, 3)
    done = shown(*again)
    assert done.startswith("exit: 0\n")
    found = document(done)
    assert (found["job"], found["state"], found["step"], found["resumed"]) == ("sleep-3", "succeeded", 4, True)
    assert found["artefact"] == {"folder": "[TMP]/runs/facts-1/artefact", "passed": True}
    fresh = document(follow(shown, house, written / "runs" / "facts-2", "--json", number=4))
    assert (fresh["run"], fresh["step"]) == ("facts-2", 4)
    assert (fresh["job"], fresh["attempts"], fresh["resumed"], fresh["handed_on"]) == ("sleep-4", 1, False, [])
    assert document(shown("train", "recipe.yml", "--json", "--dry-run"))["plan"]["verdict"] == "fits"
    assert document(shown("train", "recipe.yml", "--json", "--set", "train.batch=200000"))["error"]


def test_what_is_hinted_at_names_the_recipe(shown: Shown, house: House, written: Path) -> None:
    place = written / "runs" / "facts-1"
    none = shown("train", "--resume", "recipe.yml")
    assert "hint: begin one: `aiops train recipe.yml`" in none
    assert "hint: begin one: `aiops train - --queue night`" in shown(
        "train", "--resume", "-", "--queue", "night", typed=RECIPE.replace("model", str(written / "model"))
    )
    again = "`aiops train --resume recipe.yml --set 'train.rate=1e-3 '`"
    words = ("recipe.yml", "--set", "train.rate=1e-3 ")
    handed = shown("train", *words, "--detach")
    assert f"hint: once it has ended, hand its model on: {again}" in handed, handed
    assert f"once it has ended: {again}" in shown("train", "--resume", *words)
    house.end(1)
    failed = follow(shown, house, place, "--resume", number=2, how="cancelled", artefact=False)
    assert "hint: once that is mended: `aiops train --resume recipe.yml`" in failed
    missing = follow(shown, house, place, "--resume", number=3, artefact=False)
    assert "hint: have it go on: `aiops train --resume recipe.yml`" in missing
    (place / "run.json").write_text("{")
    assert "hint: begin a new run: `aiops train recipe.yml`" in shown("train", "--resume", "recipe.yml")


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


def test_an_artefact_of_before_a_change_is_not_what_a_run_that_goes_on_hands_on(
    shown: Shown, house: House, written: Path
) -> None:
    place = written / "runs" / "facts-1"
    assert follow(shown, house, place).startswith("exit: 0\n")
    assert "sleep-2" not in shown("train", "--resume", "recipe.yml"), "all is done"
    words = ("--resume", "--set", "train.rate=1e-5", "--allow-changed", "recipe")
    failed = follow(shown, house, place, *words, number=2, how="cancelled", artefact=False)
    assert failed.startswith("exit: 1\n"), failed
    again = follow(shown, house, place, "--resume", "--set", "train.rate=1e-5", number=3)
    assert again.startswith("exit: 0\n"), again
    assert "sleep-3" in again, "the model there was tuned at another rate"


def test_what_another_tool_has_left_while_nobody_followed_needs_no_other_job(
    shown: Shown, house: House, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "trainers_of", lambda _plugins: {"plain": Leaving()})
    place = written / "runs" / "facts-1"
    assert shown("train", "recipe.yml", "--detach").startswith("exit: 0\n")
    (place / "checkpoints" / "adapter_config.json").write_text("{}")
    (place / "checkpoints" / "adapter_model.safetensors").write_bytes(weights("a"))
    house.end(1)
    screen = shown("train", "--resume", "recipe.yml")
    assert screen.startswith("exit: 0\n"), screen
    assert "tuned model: [TMP]/runs/facts-1/artefact" in screen
    assert run_jobs.jobs(place) == ["sleep-1"]


def test_what_is_done_is_handed_on_without_nodes_or_room(
    shown: Shown, house: House, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert follow(shown, house, written / "runs" / "facts-1").startswith("exit: 0\n")

    def nobody(*_words: Any) -> Seen:
        raise AssertionError("nodes were asked")

    def full(*_words: Any) -> Path:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(looking, "look", nobody)
    monkeypatch.setattr(reporting, "write_report", full)
    monkeypatch.setattr(run_jobs, "write_atomic", full)
    monkeypatch.setattr(os, "pwrite", full)
    shutil.rmtree(written / "runs" / "data")
    screen = shown("train", "--resume", "recipe.yml")
    assert screen.startswith("exit: 0\n"), screen
    assert "no report is written: No space left on device" in screen
    assert "tuned model: " in screen
    assert not (written / "runs" / "data").exists()


def test_what_a_run_has_written_already_is_no_room_that_it_needs(
    shown: Shown, house: House, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    total = document(shown("recipe", "plan", "recipe.yml", "--json"))["disk"]["total"]

    def has(free: int) -> None:
        said = {"imagined": False, "free": free}
        monkeypatch.setattr(looking, "look", lambda _aiops, _screen, recipe, _inventory, _desk: nodes(recipe, **said))

    has(total - 1)
    assert "facts would fail: disk: " in shown("train", "recipe.yml", "--detach")
    has(total)
    assert shown("train", "recipe.yml", "--detach").startswith("exit: 0\n")
    house.end(1, "crashed")
    has(total - 100)
    assert "facts would fail: disk: " in shown("train", "--resume", "recipe.yml", "--detach")
    step = written / "runs" / "facts-1" / "checkpoints" / "step-1"
    step.mkdir()
    (step / "part").write_bytes(b"x" * 100)
    assert shown("train", "--resume", "recipe.yml", "--detach").startswith("exit: 0\n")


@pytest.mark.parametrize("left", [True, False])
def test_a_broken_artefact_is_made_again(
    shown: Shown, house: House, written: Path, monkeypatch: pytest.MonkeyPatch, *, left: bool
) -> None:
    """Of what the tool has left; where that is gone too, by the tool."""
    monkeypatch.setattr(trainer, "trainers_of", lambda _plugins: {"plain": Leaving()})
    place = written / "runs" / "facts-1"
    assert shown("train", "recipe.yml", "--detach").startswith("exit: 0\n")
    (place / "checkpoints" / "adapter_config.json").write_text("{}")
    (place / "checkpoints" / "adapter_model.safetensors").write_bytes(weights("a"))
    house.end(1)
    assert shown("train", "--resume", "recipe.yml").startswith("exit: 0\n")
    file = place / "artefact" / "adapter" / "adapter_model.safetensors"
    file.write_bytes(b"cut")
    if left:
        assert shown("train", "--resume", "recipe.yml").startswith("exit: 0\n")
        assert file.read_bytes() == weights("a")
        assert run_jobs.jobs(place) == ["sleep-1"]
    else:
        (place / "checkpoints" / "adapter_model.safetensors").unlink()
        assert shown("train", "--resume", "recipe.yml", "--detach").startswith("exit: 0\n--- stdout\nsleep-2\n")


def test_a_broken_artefact_of_a_trainer_that_writes_its_own_needs_another_job(
    shown: Shown, house: House, written: Path
) -> None:
    place = written / "runs" / "facts-1"
    assert follow(shown, house, place).startswith("exit: 0\n")
    path = place / "artefact" / "lineage.json"
    files = [{"path": "adapter/gone.safetensors", "size": 4, "sha256": "x"}]
    path.write_text(json.dumps({**json.loads(path.read_text()), "files": files}))
    assert "gone.safetensors is missing" in shown("recipe", "show", "runs/facts-1")
    assert shown("train", "--resume", "recipe.yml", "--detach").startswith("exit: 0\n--- stdout\nsleep-2\n")


def test_the_run_is_locked_while_it_is_handed_on(
    shown: Shown, house: House, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, met = written / "runs" / "facts-1", []
    for module, name in ((sealing, "sealed"), (reporting, "write_report"), (artefacts, "hand_on")):
        real = getattr(module, name)

        def looked(*words: Any, real: Any = real, name: str = name) -> Any:
            with pytest.raises(ConflictError, match="facts-1 is being handed on by process"), run_lock.held(place):
                pass
            met.append(name)
            return real(*words)

        monkeypatch.setattr(module, name, looked)
    assert follow(shown, house, place).startswith("exit: 0\n")
    assert met == ["sealed", "write_report", "hand_on"]
    assert run_jobs.taken(place)[0].state == "succeeded"
    met.clear()
    with run_lock.held(place, "handed on"):
        screen = shown("train", "--resume", "recipe.yml")
    assert screen.startswith("exit: 5\n"), screen
    assert "facts-1 is being handed on by process" in screen
    assert met == []


@pytest.mark.parametrize(("how", "other"), [("done", "sleep-9"), ("done", "sleep-1"), ("cancelled", "sleep-9")])
def test_a_run_that_has_gone_on_since_is_not_handed_on(  # noqa: PLR0917
    shown: Shown, house: House, written: Path, monkeypatch: pytest.MonkeyPatch, how: str, other: str
) -> None:
    """Between the end of its job and the lock another may type `--resume`: what is there is that one's then."""
    monkeypatch.setattr(trainer, "trainers_of", lambda _plugins: {"plain": Leaving()})
    place = written / "runs" / "facts-1"

    def slow(*words: Any, **said: Any) -> Any:
        came = followed(*words, **said)
        (place / "checkpoints" / "adapter_config.json").write_text("{}")
        (place / "checkpoints" / "adapter_model.safetensors").write_bytes(weights("a"))
        run_jobs.record(place, other, "head:/s")
        return came

    monkeypatch.setattr("aiops.cli.train.running.follow", slow)
    screen = follow(shown, house, place, artefact=False, how=how)
    assert f"facts-1 has gone on since, as job {other}" in screen
    assert screen.startswith("exit: 5\n" if how == "done" else "exit: 1\n"), screen
    assert not (place / "artefact").exists()
    assert not (place / "report.html").exists()


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
    assert run_jobs.jobs(place) == ["sleep-1", "sleep-2"]


def test_a_run_knows_whether_its_nodes_are_simulated(
    shown: Shown, house: House, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they said when it was planned last; not a cause that a resume is refused for."""
    for number, said in enumerate((None, True, False), 1):
        told: dict[str, Any] = {} if said is None else {"imagined": False, "simulated": said}
        monkeypatch.setattr(
            looking, "look", lambda _aiops, _screen, recipe, _inventory, _desk, told=told: nodes(recipe, **told)
        )
        screen = shown("train", *(["--resume"] if number > 1 else []), "recipe.yml", "--detach")
        assert screen.startswith(f"exit: 0\n--- stdout\nsleep-{number}\n"), screen
        assert json.loads((written / "runs/facts-1/run.json").read_text())["simulated"] is said
        house.end(number)


def test_another_environment_is_refused_by_name(
    shown: Shown, house: House, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = written / "runs" / "facts-1"

    def has(**said: Any) -> None:
        monkeypatch.setattr(looking, "look", lambda _aiops, _screen, recipe, _inventory, _desk: nodes(recipe, **said))

    def ends(number: int) -> dict[str, Any]:
        house.end(number)
        document: dict[str, Any] = json.loads((place / "run.json").read_text())
        return document

    shown("train", "recipe.yml", "--detach")
    assert ends(1)["environment_digest"] is None  # no node has said
    has(environment="a" * 64, packages={"torch": "2.13.0", "peft": "0.18.0"})
    screen = shown("train", "--resume", "recipe.yml", "--detach")
    assert screen.startswith("exit: 0\n--- stdout\nsleep-2\n"), screen
    assert "whether its environment is still the same is not known: the run does not say what it was" in screen
    assert ends(2)["environment_digest"] == "a" * 64
    has(environment="b" * 64, packages={"torch": "2.14.0", "peft": "0.18.0", "trl": "1.0"})
    before = (place / "run.json").read_bytes()
    screen = shown("train", "--resume", "recipe.yml", "--detach")
    assert screen.startswith("exit: 5\n"), screen
    assert "facts-1 does not go on: its environment changed since it began" in screen
    assert "environment: torch was 2.13.0, is 2.14.0" in screen
    assert "environment: trl was not there, is 1.0" in screen
    assert "peft" not in screen
    assert "`aiops train --resume recipe.yml --allow-changed environment`" in screen
    assert (place / "run.json").read_bytes() == before
    has()
    screen = shown("train", "--resume", "recipe.yml", "--detach")
    assert "whether its environment is still the same is not known: no node has said which it is" in screen
    assert ends(3)["environment_digest"] == "a" * 64  # what it was made with
    has(environment="b" * 64, packages={"torch": "2.14.0"})
    assert shown("train", "--resume", "recipe.yml", "--detach", "--allow-changed", "environment").startswith(
        "exit: 0\n"
    )
    document = ends(4)
    assert (document["environment_digest"], document["packages"]) == ("b" * 64, {"torch": "2.14.0"})
    assert document["allowed"] == ["environment"]
    assert shown("train", "--resume", "recipe.yml", "--detach").startswith("exit: 0\n")


@pytest.mark.parametrize("able", [False, True])
def test_another_number_of_processes_is_refused_before_anything_is_rewritten(
    shown: Shown, house: House, written: Path, monkeypatch: pytest.MonkeyPatch, *, able: bool
) -> None:
    shown("train", "recipe.yml", "--detach")
    house.end(1)
    place = written / "runs" / "facts-1"
    before = {name: (place / name).read_bytes() for name in ("run.json", "job.yml", "recipe.yml")}
    monkeypatch.setattr(Plain, "abilities", replace(Plain.abilities, worlds=able))
    words = ("train", "--resume", "recipe.yml", "--nodes", "2", "--allow-changed", "recipe", "--detach")
    screen = shown(*words)
    if able:
        assert screen.startswith("exit: 0\n--- stdout\nsleep-2\n"), screen
        assert json.loads((place / "run.json").read_text())["world"] == 2
        return
    assert screen.startswith("exit: 5\n"), screen
    assert "facts-1 was begun by 1 process, and these would be 2: 2 nodes with 1; plain cannot go on with" in screen
    assert "`aiops train recipe.yml --nodes 2`" in screen
    assert {name: (place / name).read_bytes() for name in before} == before


def test_a_recipe_on_stdin_is_one_and_a_job_file_stays_one(shown: Shown, house: House, written: Path) -> None:
    where = {"AIOPS_JOB_FILE": str(written / "recipe.yml")}  # as it comes to the head
    screen = shown("train", "-", "--detach", typed=RECIPE, environment=where)
    assert screen.startswith("exit: 0\n--- stdout\nsleep-1\n"), screen
    assert "hand its model on: `aiops train --resume [TMP]/recipe.yml`" in screen, "which is what its user can type"
    assert run_jobs.jobs(written / "runs" / "facts-1") == ["sleep-1"]
    job = shown("train", "-", "--detach", typed="aiops: 1\nname: sleep\n")
    assert job.startswith("exit: 0\n--- stdout\nsleep-2\n"), job
    assert run_folder.numbers(written / "runs", "facts") == [1]


def test_nothing_is_prepared_for_what_could_not_start(shown: Shown, house: House, written: Path) -> None:
    screen = shown("train", "recipe.yml", "--set", "train.batch=200000")
    assert screen.startswith("exit: 4\n"), screen
    assert not (written / "runs").exists(), screen


def test_wrong_data_starts_nothing(shown: Shown, house: House, written: Path) -> None:
    (written / "rows.jsonl").write_text('{"prompt": "a", "completion": "b"}\n{"prompt": "a"\n{"prompt": 1}\n')
    screen = shown("train", "recipe.yml")
    assert screen.startswith("exit: 2\n"), screen
    assert "rows.jsonl:2: json.broken" in screen
    assert "rows cannot be prepared" in screen
    assert not (written / "runs").exists()
    assert shown("job", "list", "--all").count("sleep") == 0


def test_data_is_checked_once_by_one_rule(
    shown: Shown, house: House, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aiops.layers.l3_tuning.data import precheck
    from aiops.layers.l3_tuning.data.check import check

    calls = []

    def counted(*words: Any) -> Any:
        calls.append(words)
        return check(*words)

    monkeypatch.setattr(precheck, "check", counted)
    key = "AKIA" + "IOSFODNN7ABCDEFG"
    rows = [{"prompt": "Who?", "completion": "ann.lee@corp.io"}, {"prompt": "And what?", "completion": key}]
    (written / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    refused = shown("train", "recipe.yml", "--detach")
    assert refused.startswith("exit: 2\n"), refused
    assert "rows.jsonl:1: personal.email" in refused
    assert "rows.jsonl:2: personal.key" in refused
    assert "of a recipe `data.mask: [key]`" in refused
    assert "of a recipe `data.allow: [personal.email]`" in refused
    assert not (written / "runs").exists()
    base = ("--base", "model", "--length", "256")
    prepared = shown("data", "prepare", "rows.jsonl", *base, "--into", "p", "--allow", "personal.email")
    assert "personal.key" in prepared
    assert "personal.email" not in prepared
    checked = shown("data", "check", "rows.jsonl", *base, "--allow", "personal.email", "--allow", "personal.key")
    assert checked.startswith("exit: 0\n")
    calls.clear()
    let = shown("train", "recipe.yml", "--detach", "--set", "data.allow=[personal.email]", "--set", "data.mask=[key]")
    assert let.startswith("exit: 0\n"), let
    assert "2 rows of prompt, 2 remarks" in let
    assert len(calls) == 1
    (folder,) = (written / "runs" / "data").iterdir()
    assert json.loads((folder / "manifest.json").read_text())["lineage"]["masked"] == {"key": 1}


def test_what_one_has_allowed_is_not_allowed_for_the_next(shown: Shown, house: House, written: Path) -> None:
    rows = [{"prompt": "Who?", "completion": "ann.lee@corp.io"}]
    (written / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    allow = ("--set", "data.allow=[personal.email]")
    assert shown("train", "recipe.yml", "--detach", *allow).startswith("exit: 0\n")
    refused = shown("train", "recipe.yml", "--detach")
    assert refused.startswith("exit: 2\n"), refused
    assert "faults were allowed that are not allowed here: personal.email" in refused
    assert "of a recipe `data.allow: [personal.email]`" in refused
    assert run_folder.numbers(written / "runs", "facts") == [1]
    again = shown("train", "recipe.yml", "--detach", *allow)
    assert again.startswith("exit: 0\n"), again
    assert "1 rows of prompt, checked before" in again


def test_data_is_prepared_by_all_processors_and_rows_are_counted_meanwhile(
    shown: Shown, house: House, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aiops.layers.l3_tuning.data import data_engine, production, work

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(3)))
    monkeypatch.setattr(work, "CHUNK_ROWS", 7)
    shares, texts = [], []

    class Alone(data_engine.LocalEngine):
        def carry_out(self, folder: Path, step: Any, count: int, told: Any) -> None:
            shares.append(count)
            super().carry_out(folder, step, 1, told)

    class Heard(Progress):
        def listen(self, kind: str, message: str = "", /, **data: Any) -> None:
            super().listen(kind, message, **data)
            texts.append(self._step.summary if self._step else "")

    monkeypatch.setattr(production, "LocalEngine", Alone)
    monkeypatch.setattr(supply, "Progress", Heard)
    assert shown("train", "recipe.yml", "--detach").startswith("exit: 0\n")
    assert shares == [3, 1, 3, 1]
    assert {"read", "read, 30 rows", "duplicates", "tokens, 30 rows", "write, 30 rows"} <= {*texts}


@pytest.mark.parametrize(
    ("rows", "cores", "wanted"), [(0, 4, 1), (1, 4, 1), (4097, 4, 2), (10**6, 4, 4), (10**6, 64, 8)]
)
def test_no_more_processes_prepare_than_have_something_to_do(
    rows: int, cores: int, wanted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    assert supply.shares_of(rows) == wanted


def _prepared(shown: Shown, written: Path, *words: str) -> Path:
    assert shown("data", "prepare", "rows.jsonl", "--base", "model", "--into", "made", *words).startswith("exit: 0\n")
    (folder,) = (written / "made").iterdir()
    (written / "recipe.yml").write_text(RECIPE.replace("rows.jsonl", f"made/{folder.name}"))
    return folder


def test_prepared_data_is_taken_for_what_it_was_made_for(shown: Shown, house: House, written: Path) -> None:
    _prepared(shown, written, "--length", "256")
    screen = shown("train", "recipe.yml", "--detach")
    assert screen.startswith("exit: 0\n"), screen
    assert "✓ prepare       30 samples" in screen
    assert "data check" not in screen


def test_prepared_data_for_something_else_is_refused_with_all_that_differs(
    shown: Shown, house: House, written: Path
) -> None:
    _prepared(shown, written, "--length", "128", "--packing", "--loss", "all")
    lay_model(written / "model", vocabulary=390, template="{{ messages[0].content }}{{ messages[1].content }}")
    screen = shown("train", "recipe.yml", "--detach")
    assert screen.startswith("exit: 2\n"), screen
    assert "was not prepared for facts: 5 differences" in screen
    for told in (
        "recipe.yml:4: the tokenizer of `base` is ",
        "recipe.yml:4: the chat template of `base` is ",
        "recipe.yml:5: `data.length` is 256, it was prepared with 128",
        "recipe.yml:5: `data.packing` is false, it is packed",
        "recipe.yml:5: `data.loss` is `answer`, it was prepared with `all`",
    ):
        assert told in screen, (told, screen)
    assert not (written / "runs").exists()


@pytest.mark.parametrize("name", ["tokens.bin", "manifest.json", "evaluation/manifest.json", "evaluation/mask.bin"])
@pytest.mark.parametrize("how", ["gone", "other"])
def test_damaged_prepared_data_is_never_taken_for_rows(
    shown: Shown, house: House, written: Path, name: str, how: str
) -> None:
    folder = _prepared(shown, written, "--length", "256", "--held-out", "0.3")
    if how == "gone":
        (folder / name).unlink()
    else:
        content = bytearray((folder / name).read_bytes())
        content[:4] = bytes(255 - one for one in content[:4])
        (folder / name).write_bytes(content)
    screen = shown("train", "recipe.yml", "--detach")
    assert screen.startswith("exit: 1\n"), screen
    assert f"made/{folder.name}/{name} " in screen
    assert not (written / "runs").exists()


def test_prepared_data_is_read_again_only_where_it_changed(
    shown: Shown, house: House, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aiops.layers.l3_tuning import file_sums

    folder = _prepared(shown, written, "--length", "256")
    assert shown("train", "recipe.yml", "--detach").startswith("exit: 0\n")
    house.end(1)
    read: list[int] = []
    real = file_sums.sums_of

    def counted(files: Any, cache: Path, told: Any = None) -> list[str]:
        return real(files, cache, lambda done, _whole: read.append(done))

    monkeypatch.setattr("aiops.layers.l3_tuning.data.store.sums_of", counted)
    assert shown("train", "--resume", "recipe.yml", "--detach").startswith("exit: 0\n")
    house.end(2)
    assert read == []
    content = bytearray((folder / "tokens.bin").read_bytes())
    content[0] ^= 1
    (folder / "tokens.bin").write_bytes(content)
    screen = shown("train", "--resume", "recipe.yml", "--detach")
    assert screen.startswith("exit: 1\n"), screen
    assert "tokens.bin is not what was written" in screen
    assert read == [len(content)]


def test_questions_count_by_what_stands_in_them(
    shown: Shown, house: House, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "refusals", lambda *_: ())  # `plain` asks nothing
    exam = written / "exam.jsonl"
    exam.write_text('{"prompt": "Where?", "completion": "Here."}\n')
    sets = ("--detach", "--set", "evaluation.right=1")
    missing = shown("train", "recipe.yml", *sets, "--set", "evaluation.questions=nowhere.jsonl")
    assert missing.startswith("exit: 2\n")
    assert "nowhere.jsonl, which cannot be read" in missing
    assert not (written / "runs").exists()
    asked = (*sets, "--set", "evaluation.questions=exam.jsonl")
    assert shown("train", "recipe.yml", *asked).startswith("exit: 0\n")
    house.end(1)
    (written / "moved.jsonl").write_bytes(exam.read_bytes())
    moved = (*sets, "--set", "evaluation.questions=moved.jsonl")
    assert shown("train", "--resume", "recipe.yml", *moved).startswith("exit: 0\n")
    house.end(2)
    state = exam.stat()
    exam.write_text('{"prompt": "Where?", "completion": "Then."}\n')
    os.utime(exam, ns=(state.st_atime_ns, state.st_mtime_ns))
    screen = shown("train", "--resume", "recipe.yml", *asked)
    assert screen.startswith("exit: 5\n"), screen
    assert "recipe: file evaluation.questions is another" in screen
    let = shown("train", "--resume", "recipe.yml", *asked, "--allow-changed", "recipe")
    assert let.startswith("exit: 0\n"), let
    house.end(3)
    assert shown("train", "--resume", "recipe.yml", *asked).startswith("exit: 0\n")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["recipe.yml", "--set", "train.lr=1"], 2, "--set train.lr=1: unknown key `lr` in `train`"),
        (["recipe.yml", "--set", "method=dpo"], 2, "--set method=dpo: `method` is `dpo`, which plain cannot do"),
        (["recipe.yml", "--set", "rate"], 2, "hint: write it as KEY=VALUE: `--set train.rate=1e-5`"),
        (["recipe.yml", "--set", "trainer=plane"], 2, "there is no trainer `plane`; installed are plain"),
        (["recipe.yml", "--max-restarts", "3"], 2, "`--max-restarts` is of job files"),
        (["recipe.yml", "--resume"], 6, "there is no run of facts in"),
        (
            ["recipe.yml", "--resume", "--allow-changed", "dat"],
            2,
            "what may change is base, data, recipe, code, environment",
        ),
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


@pytest.mark.usefixtures("house")
@pytest.mark.parametrize("words", [(), ("--dry-run",)])
def test_layers_that_the_base_has_not_start_nothing(
    shown: Shown, written: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setattr(Plain, "abilities", replace(Plain.abilities, layers=True))
    screen = shown("train", "recipe.yml", "--set", "adapter.layers=99", *words)
    assert screen.startswith("exit: 2\n"), screen
    assert "`adapter.layers` is 99, and [TMP]/model has 2 layers" in screen
    assert not (written / "runs").exists()


def test_a_recipe_runs_by_either_command(shown: Shown, house: House, written: Path) -> None:
    screen = shown("recipe", "run", "recipe.yml", "--detach", "--set", "train.seed=7")
    assert screen.startswith("exit: 0\n--- stdout\nsleep-1\n"), screen
    assert json.loads((written / "runs/facts-1/run.json").read_text())["recipe"]["train"]["seed"] == 7
    house.end(1)
    assert "facts-1 does not go on: its recipe changed" in shown("recipe", "run", "recipe.yml", "--resume")
    again = shown("recipe", "run", "recipe.yml", "--resume", "--detach", "--allow-changed", "recipe")
    assert again.startswith("exit: 0\n--- stdout\nsleep-2\n"), again
    (written / "job.yml").write_text("aiops: 1\nname: sleep\n")
    wrong = shown("recipe", "run", "job.yml")
    assert wrong.startswith("exit: 2\n")
    assert "hint: a job file is started by `aiops train job.yml`" in wrong
    assert shown("recipe", "run", "recipe.yml", "--job", "sleep-1").startswith("exit: 2\n")
    assert shown("recipe", "run").startswith("exit: 2\n")
    assert shown("recipe", "run", "recipe.yml", "--allow-changed", "data").startswith("exit: 2\n")
    listed = shown("recipe", "--help")
    assert "run" in listed
    assert "the same as `aiops train RECIPE`" in listed


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


@pytest.mark.parametrize(
    ("words", "said", "code", "told"),
    [
        ([], {}, 0, ""),
        (["--set", "train.batch=200000"], {}, 4, "facts would fail: it does not fit: one process takes about "),
        ([], {"imagined": False, "free": 1000}, 4, "facts would fail: disk: "),
        ([], {"imagined": False, "silent": "no answer"}, 3, ""),
    ],
    ids=["fits", "does not fit", "no disk", "unknown"],
)
def test_plan_dry_run_and_start_judge_alike(  # noqa: PLR0917
    shown: Shown,
    house: House,
    written: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    said: dict[str, Any],
    code: int,
    told: str,
) -> None:
    monkeypatch.setattr(looking, "look", lambda _aiops, _screen, recipe, _inventory, _desk: nodes(recipe, **said))
    for command in (["recipe", "plan", "recipe.yml"], ["train", "recipe.yml", "--dry-run"]):
        screen = shown(*command, *words)
        assert screen.startswith(f"exit: {code}\n"), screen
        assert document(shown(*command, *words, "--json"))
    assert not (written / "runs").exists()
    screen = shown("train", "recipe.yml", *words, "--detach")
    # What is not known is let by where it is really started: nodes are asked again then, by the job.
    assert screen.startswith(f"exit: {4 if code == 4 else 0}\n"), screen
    assert told in screen
    if code == 4:
        hint = "recipe.yml" if not words else "recipe.yml --set train.batch=200000"
        assert f"`aiops recipe plan {hint}`" in screen
        assert not run_folder.numbers(written / "runs", "facts")
        assert shown("job", "list", "--all").count("sleep") == 0


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

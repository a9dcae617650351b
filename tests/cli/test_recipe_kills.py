"""`aiops train RECIPE` killed between any two of its writes, or cut off from the desk: no job twice, none lost."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cli.test_job_screens import House
from tests.cli.test_recipe_screens import house, written  # noqa: F401 - fixtures
from tests.l2_jobs.controller.rig import Killed

from aiops.cli.counter import AtDoor
from aiops.layers.core.errors import ConflictError, FailedError, UnreachableError
from aiops.layers.l3_tuning import run_folder, run_jobs, run_lock

Shown = Callable[..., str]
Cut = Callable[[str], None]


@pytest.fixture
def place(written: Path) -> Path:  # noqa: F811
    return written / "runs" / "facts-1"


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> Cut:
    """End the command line right behind one of its writes, once."""

    def at(seam: str) -> None:
        owner, name, before = {
            "made": (run_folder, "make", False),
            "remade": (run_folder, "remake", False),
            "intended": (run_jobs, "intend", False),
            "taken": (run_jobs, "record", True),
            "recorded": (run_jobs, "record", False),
        }[seam]
        real = getattr(owner, name)

        def once(*words: Any) -> Any:
            monkeypatch.setattr(owner, name, real)
            if not before:
                real(*words)
            raise Killed(seam)

        monkeypatch.setattr(owner, name, once)

    return at


def all_jobs(house: House) -> list[str]:  # noqa: F811
    return [row.id for row in house.rig.ledger.list(last=100)][::-1]


def contents(place: Path) -> dict[str, bytes]:
    return {str(one.relative_to(place)): one.read_bytes() for one in place.rglob("*") if one.is_file()}


@pytest.mark.parametrize(
    ("seam", "before", "after"),
    [
        ("made", [], ["sleep-1"]),
        ("intended", [], ["sleep-1"]),
        ("taken", ["sleep-1"], ["sleep-1"]),
        ("recorded", ["sleep-1"], ["sleep-1"]),
    ],
)
def test_a_new_run_that_was_killed_has_one_job_once_it_goes_on(  # noqa: PLR0917
    shown: Shown,
    house: House,  # noqa: F811
    place: Path,
    cut: Cut,
    seam: str,
    before: list[str],
    after: list[str],
) -> None:
    cut(seam)
    with pytest.raises(Killed):
        shown("train", "recipe.yml", "--detach")
    assert all_jobs(house) == before
    screen = shown("train", "--resume", "recipe.yml", "--detach")
    assert all_jobs(house) == after
    assert run_jobs.jobs(place) == ["sleep-1"]
    assert run_jobs.intended(place) is None
    if seam == "recorded":
        assert screen.startswith("exit: 5\n"), screen
        assert "facts-1 goes on already: sleep-1 is running" in screen
    else:
        assert screen.startswith("exit: 0\n--- stdout\nsleep-1\n"), screen
    assert ("sleep-1 was handed in before, and goes on" in screen) == (seam == "taken")


@pytest.mark.parametrize(
    ("seam", "before", "after"),
    [
        ("remade", ["sleep-1"], ["sleep-1", "sleep-2"]),
        ("intended", ["sleep-1"], ["sleep-1", "sleep-2"]),
        ("taken", ["sleep-1", "sleep-2"], ["sleep-1", "sleep-2"]),
        ("recorded", ["sleep-1", "sleep-2"], ["sleep-1", "sleep-2"]),
    ],
)
def test_a_resume_that_was_killed_has_one_job_more_once_it_goes_on(  # noqa: PLR0917
    shown: Shown,
    house: House,  # noqa: F811
    place: Path,
    cut: Cut,
    seam: str,
    before: list[str],
    after: list[str],
) -> None:
    shown("train", "recipe.yml", "--detach")
    house.end(1, "crashed")
    cut(seam)
    with pytest.raises(Killed):
        shown("train", "--resume", "recipe.yml", "--detach")
    assert all_jobs(house) == before
    screen = shown("train", "--resume", "recipe.yml", "--detach")
    assert all_jobs(house) == after
    assert run_jobs.jobs(place) == after
    assert run_jobs.intended(place) is None
    assert screen.startswith("exit: 5\n" if seam == "recorded" else "exit: 0\n--- stdout\nsleep-2\n"), screen


def test_a_job_that_was_taken_and_has_ended_is_the_runs_own(shown: Shown, house: House, place: Path, cut: Cut) -> None:  # noqa: F811
    cut("taken")
    with pytest.raises(Killed):
        shown("train", "recipe.yml", "--detach")
    house.end(1)
    (place / "artefact").mkdir()
    made = {cause: {"digest": one} for cause, one in run_folder.read(place)[1].digests.items()}
    (place / "artefact" / "lineage.json").write_text(json.dumps({"v": 1, "files": [], **made}))
    screen = shown("train", "--resume", "recipe.yml")
    assert screen.startswith("exit: 0\n"), screen
    assert "tuned model: " in screen
    assert (all_jobs(house), run_jobs.jobs(place)) == (["sleep-1"], ["sleep-1"])


@pytest.mark.parametrize("words", [["--allow-changed", "data"], ["--set", "train.rate=2e-3"]])
def test_a_job_that_was_taken_is_not_changed(
    shown: Shown,
    house: House,  # noqa: F811
    place: Path,
    cut: Cut,
    words: list[str],
) -> None:
    cut("taken")
    with pytest.raises(Killed):
        shown("train", "recipe.yml", "--detach")
    screen = shown("train", "--resume", "recipe.yml", "--detach", *words)
    assert screen.startswith("exit: 5\n"), screen
    assert "facts-1 goes on already: sleep-1 is running" in screen
    assert run_jobs.jobs(place) == ["sleep-1"]


@pytest.mark.parametrize("family", [UnreachableError, ConflictError, FailedError])
@pytest.mark.parametrize("answered", [True, False])
def test_a_connection_that_is_cut_keeps_the_run(
    shown: Shown,
    house: House,  # noqa: F811
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    family: type[UnreachableError],
    *,
    answered: bool,
) -> None:
    real = AtDoor.ask

    def ask(self: AtDoor, verb: str, **words: Any) -> Any:
        if verb == "submit":
            if answered:
                real(self, verb, **words)
            raise family("it has gone", code="controller.away", hints=["start it"])
        return real(self, verb, **words)

    monkeypatch.setattr(AtDoor, "ask", ask)
    screen = shown("train", "recipe.yml", "--set", "train.seed=7")
    assert "error: it has gone\n" in screen
    assert (
        "hint: start it\nhint: facts-1 is kept; go on with it: `aiops train --resume recipe.yml --set train.seed=7`"
        in screen
    )
    assert (place / "run.json").is_file()
    monkeypatch.setattr(AtDoor, "ask", real)
    again = shown("train", "--resume", "recipe.yml", "--set", "train.seed=7", "--detach")
    assert again.startswith("exit: 0\n--- stdout\nsleep-1\n"), again
    assert (all_jobs(house), run_jobs.jobs(place)) == (["sleep-1"], ["sleep-1"])


def test_what_the_desk_cannot_say_is_not_guessed(
    shown: Shown,
    house: House,  # noqa: F811
    place: Path,
    cut: Cut,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cut("taken")
    with pytest.raises(Killed):
        shown("train", "recipe.yml", "--detach")
    before = contents(place)
    real = AtDoor.ask

    def broken(self: AtDoor, verb: str, **words: Any) -> Any:
        if verb == "saving":
            raise UnreachableError("it has ended", code="controller.away")
        return real(self, verb, **words)

    def of_another(self: AtDoor, verb: str, **words: Any) -> Any:
        found = real(self, verb, **words)
        return [{**one, "text": None} for one in found] if verb == "saving" else found

    for ask, said in ((broken, "the controller cannot say: it has ended"), (of_another, "sleep-1 is another user's")):
        monkeypatch.setattr(AtDoor, "ask", ask)
        screen = shown("train", "--resume", "recipe.yml", "--detach")
        assert screen.startswith("exit: 5\n"), screen
        assert said in screen
        assert "`aiops train --resume recipe.yml`" in screen
    monkeypatch.setattr(AtDoor, "ask", real)
    jobs = json.loads((place / "jobs.json").read_text())
    jobs[-1]["intended"]["desk"] = "elsewhere:/root/.aiops/controller.sock"
    (place / "jobs.json").write_text(json.dumps(jobs))
    screen = shown("train", "--resume", "recipe.yml", "--detach")
    assert screen.startswith("exit: 5\n"), screen
    assert "that was to be at elsewhere:/root/.aiops/controller.sock, and this is " in screen
    assert {name for name, one in contents(place).items() if before.get(name) != one} <= {"jobs.json", ".lock"}
    assert all_jobs(house) == ["sleep-1"]


def test_a_job_that_another_desk_has_taken_is_not_taken_for_over(shown: Shown, house: House, place: Path) -> None:  # noqa: F811
    shown("train", "recipe.yml", "--detach")
    house.end(1, "crashed")
    path = place / "jobs.json"
    (taken,) = json.loads(path.read_text())
    assert (taken["job"], taken["state"]) == ("sleep-1", None)
    assert taken["desk"].endswith("/home/controller.sock")
    before = contents(place)
    for state in (None, "held"):
        path.write_text(json.dumps([{**taken, "desk": "elsewhere:/root/.aiops/controller.sock", "state": state}]))
        screen = shown("train", "--resume", "recipe.yml", "--detach")
        assert screen.startswith("exit: 5\n"), screen
        assert "whether sleep-1 of facts-1 goes on is not known: it was taken at elsewhere:/root/.aiops/" in screen
        assert "`aiops train --resume recipe.yml`" in screen
        assert '"state": "failed"' in screen
        assert {name for name, one in contents(place).items() if before.get(name) != one} <= {"jobs.json", ".lock"}
    path.write_text(json.dumps([{**taken, "desk": "elsewhere:/root/.aiops/controller.sock", "state": "failed"}]))
    assert shown("train", "--resume", "recipe.yml", "--detach").startswith("exit: 0\n--- stdout\nsleep-2\n")
    house.end(2)
    path.write_text('["sleep-2"]')  # as it was written before desks were
    assert shown("train", "--resume", "recipe.yml", "--detach").startswith("exit: 0\n--- stdout\nsleep-3\n")
    assert [one["job"] for one in json.loads(path.read_text())] == ["sleep-2", "sleep-3"]
    house.end(3)
    assert shown("train", "--resume", "recipe.yml", "--detach").startswith("exit: 0\n--- stdout\nsleep-4\n")
    # Nobody has followed it: its own desk has said how it has ended when it was asked.
    assert [one["state"] for one in json.loads(path.read_text())] == [None, "succeeded", None]


def test_a_resume_that_is_refused_changes_nothing_of_a_run_that_lives(shown: Shown, house: House, place: Path) -> None:  # noqa: F811
    shown("train", "recipe.yml", "--detach")
    before = contents(place)
    screen = shown("train", "--resume", "recipe.yml", "--detach", "--queue", "night")
    assert screen.startswith("exit: 5\n"), screen
    assert {name for name, one in contents(place).items() if before[name] != one} <= {".lock"}
    house.end(1)
    # Somebody has handed its job.yml in by hand: that one lives too, though the run knows nothing of it.
    assert shown("train", "runs/facts-1/job.yml", "--detach").startswith("exit: 0\n--- stdout\nsleep-2\n")
    screen = shown("train", "--resume", "recipe.yml", "--detach", "--queue", "night")
    assert "facts-1 goes on already: sleep-2 is running" in screen
    assert {name for name, one in contents(place).items() if before[name] != one} <= {".lock"}


def test_one_at_a_time(shown: Shown, house: House, place: Path) -> None:  # noqa: F811
    shown("train", "recipe.yml", "--detach")
    house.end(1)
    before = contents(place)
    with run_lock.held(place):
        screen = shown("train", "--resume", "recipe.yml", "--detach")
        said = json.loads((place / run_lock.LOCK).read_text())
    assert (place / run_lock.LOCK).read_text() == ""
    assert screen.startswith("exit: 5\n"), screen
    assert f"facts-1 is being started by process {said['pid']} of {said['user']} on {said['host']}, since " in screen
    assert {name for name, one in contents(place).items() if before[name] != one} <= {".lock"}
    assert shown("train", "--resume", "recipe.yml", "--detach").startswith("exit: 0\n--- stdout\nsleep-2\n")


@pytest.mark.parametrize("seam", ["intend", "record"])
def test_the_lock_is_held_until_the_job_is_known(
    shown: Shown,
    house: House,  # noqa: F811
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    seam: str,
) -> None:
    real, met = getattr(run_jobs, seam), []

    def looked(*words: Any) -> Any:
        with pytest.raises(ConflictError, match="facts-1 is being started by"), run_lock.held(place):
            pass
        met.append(seam)
        return real(*words)

    monkeypatch.setattr(run_jobs, seam, looked)
    assert shown("train", "recipe.yml", "--detach").startswith("exit: 0\n")
    house.end(1)
    assert shown("train", "--resume", "recipe.yml", "--detach").startswith("exit: 0\n")
    assert met == [seam] * 2
    with run_lock.held(place):
        pass

"""Power cuts: the model against what it promises, and the library against the model."""

import os
import random
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.l2_jobs.library.writing import is_whole, of_step, tree, writer
from tests.support.power_cut import Change, Name, Recording, Resize, Sync, Write, build, killed, states
from tests.support.system_calls import Recorder, UnreadableError
from tests.support.traced_child import recorded

from aiops import checkpoint

traced = pytest.mark.skipif(shutil.which("strace") is None, reason="there is no strace here")

STATES = 250
"""Of each sequence; `make bench-checkpoint_power_cut` looks at thousands."""


def of_one_file(*changes: Change) -> Recording:
    """Folder 1 is looked at; file 2 is in it from the start, with `old`."""
    return Recording(1, {1: {"f": 2}}, {2: b"old"}, changes)


def found(recording: Recording, done: int | None = None) -> list[dict[str, bytes | None]]:
    return [state for at, _, state in states(recording, 1, 400) if done is None or at == done]


def test_what_was_not_synced_may_be_there_in_pieces() -> None:
    contents = {state["f"] for state in found(of_one_file(Resize(2, 0), Write(2, 0, b"a" * 1200)))}
    assert {b"old", b"", b"a" * 1200, b"\0" * 1200} <= contents
    assert any(content and b"a" in content and b"\0" * 400 in content for content in contents)
    assert any(content and len(content) < 1200 and set(content) == {97} for content in contents)


def test_what_was_synced_is_there() -> None:
    recording = of_one_file(Write(2, 0, b"new"), Sync(2), Write(2, 3, b"!"))
    assert {state["f"] for state in found(recording, 2)} <= {b"new"}
    assert all(state["f"] and state["f"].startswith(b"new") for state in found(recording, 3))


def test_a_rename_may_come_before_what_it_renames() -> None:
    create, rename = Name(((1, "t", 3),)), Name(((1, "t", None), (1, "f", 3)))
    contents = [state.get("f") for state in found(of_one_file(create, Write(3, 0, b"new"), rename))]
    assert {b"old", b"new", b""} <= set(contents)
    synced = of_one_file(create, Write(3, 0, b"new"), Sync(3), rename)
    assert {state.get("f") for state in found(synced)} == {b"old", b"new"}
    kept = of_one_file(create, Write(3, 0, b"new"), Sync(3), rename, Sync(1))
    assert all(state == {"f": b"new"} for state in [killed(kept, 5), *found(kept, 5)])


def test_a_name_that_was_not_synced_may_be_lost_and_takes_what_is_below_it() -> None:
    made = of_one_file(Name(((1, "d", 3),)), Name(((3, "g", 4),)), Write(4, 0, b"x"), Sync(4), Sync(3))
    recording = Recording(1, {**made.folders, 3: {}}, made.contents, made.changes)
    assert {frozenset(state) for state in found(recording)} == {
        frozenset({"f"}),
        frozenset({"f", "d"}),
        frozenset({"f", "d", "d/g"}),
    }


def test_the_same_seed_gives_the_same_states() -> None:
    recording = of_one_file(Write(2, 0, b"a" * 3000), Name(((1, "g", 2), (1, "f", None))))
    assert list(states(recording, 7, 100)) == list(states(recording, 7, 100))


def scribble(folder: Path, seed: int) -> None:  # noqa: C901 - one way after another
    """Change files in many ways, the same ones for the same seed."""
    dice = random.Random(seed)  # noqa: S311 - no secret
    names = ["a", "b", "c c", "d é"]
    for _ in range(40):
        path, other = folder / dice.choice(names), folder / dice.choice(names)
        match dice.randrange(10):
            case 0:
                path.write_bytes(dice.randbytes(dice.randrange(3000)))
            case 1 if path.exists():
                with path.open("r+b") as stream:
                    stream.seek(dice.randrange(2000))
                    stream.write(dice.randbytes(50))
                    stream.flush()
                    stream.seek(0)
                    stream.read(10)
                    os.write(stream.fileno(), b"!")
            case 2 if path.exists():
                path.rename(other)
            case 3:
                path.unlink(missing_ok=True)
            case 4 if path.exists():
                os.truncate(path, dice.randrange(100))
            case 5 if path.exists() and path != other:
                shutil.copyfile(path, other)
            case 6:
                with path.open("ab") as stream:
                    stream.write(b"more")
                    os.fsync(stream.fileno())
            case 7:
                inner = folder / f"folder {dice.randrange(3)}"
                inner.mkdir(exist_ok=True)
                (inner / "e").write_bytes(b"e")
            case 8:
                shutil.rmtree(folder / f"folder {dice.randrange(3)}", ignore_errors=True)
            case 9 if path.exists():
                with path.open("r+b") as stream:
                    os.pwrite(stream.fileno(), b"here", dice.randrange(100))
                    copy = os.dup(stream.fileno())
                    os.lseek(copy, 3, os.SEEK_SET)
                    os.write(stream.fileno(), b"there")
                    os.close(copy)


@traced
@pytest.mark.parametrize("seed", range(3))
def test_what_is_recorded_is_what_was_done(seed: int, tmp_path: Path) -> None:
    folder = tmp_path.resolve() / "r"
    folder.mkdir()
    scribble(folder, seed + 100)
    before = tree(folder)
    recording = recorded(folder, lambda: scribble(folder, seed), tmp_path / "log")
    assert killed(recording, 0) == before
    assert killed(recording, len(recording.changes)) == tree(folder)


@traced
def test_what_cannot_be_recorded_is_told(tmp_path: Path) -> None:
    def through_memory() -> None:
        import mmap

        with (tmp_path / "r" / "f").open("w+b") as stream:
            stream.truncate(4096)
            mmap.mmap(stream.fileno(), 4096)[:3] = b"abc"

    (tmp_path / "r").mkdir()
    with pytest.raises(UnreadableError, match="through memory"):
        recorded(tmp_path.resolve() / "r", through_memory, tmp_path / "log")
    with pytest.raises(UnreadableError, match="ended with 1"):
        recorded(tmp_path.resolve() / "r", lambda: 1 // 0, tmp_path / "log")


@given(st.lists(st.text(max_size=80), max_size=20))
@settings(max_examples=50, deadline=None)
def test_a_log_of_rubbish_is_no_traceback(tmp_path_factory: pytest.TempPathFactory, log: list[str]) -> None:
    folder = tmp_path_factory.mktemp("r")
    try:
        Recorder(folder).recording(log)
    except UnreadableError:
        return


def wrong(folder: Path, work: Callable[[], object], tmp_path: Path) -> list[str]:
    """The states of a save of step 3, after steps 1 and 2, in which not the newest whole one is found."""
    recording = recorded(folder, work, tmp_path / "log")
    assert len(recording.changes) > 10
    places = tmp_path / "states"
    places.mkdir(exist_ok=True)
    told = []
    for number, (done, label, state) in enumerate(states(recording, 1, STATES)):
        place = places / f"{done}-{number}"
        place.mkdir()
        build(state, place)
        chosen = checkpoint.latest(place)
        good = sorted(path.name for path in place.glob("step-?") if is_whole(path))
        if chosen is None or not good or Path(chosen).name != good[-1]:
            told.append(f"after {done}, {label}: {chosen} of {good}: {sorted(state)}")
        shutil.rmtree(place)
    return told


def after_two(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "runs"
    for step in (1, 2):
        checkpoint.save(folder, step, of_step(step))
    return folder


def ranks(folder: Path, size: int) -> None:
    def save(rank: int) -> None:
        checkpoint.save(folder, 3, writer(**{f"r{rank}": b"%d" % rank * 900}), rank=rank, world_size=size, timeout=30)

    threads = [threading.Thread(target=save, args=(rank,)) for rank in range(size)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()


@traced
@pytest.mark.parametrize(
    "work",
    [
        lambda folder: checkpoint.save(folder, 3, of_step(3)),
        lambda folder: checkpoint.save(folder, 3, of_step(3), keep=2),
        lambda folder: checkpoint.save(folder, 2, of_step(8)),
        lambda folder: ranks(folder, 2),
    ],
    ids=["new", "pruned", "replaced", "two ranks"],
)
def test_after_a_power_cut_the_newest_whole_one_is_found(work: Callable[[Path], object], tmp_path: Path) -> None:
    folder = after_two(tmp_path)
    assert wrong(folder, lambda: work(folder), tmp_path) == []


@traced
def test_without_its_syncs_it_would_be_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = after_two(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    recording = recorded(folder, lambda: checkpoint.save(folder, 3, of_step(3)), tmp_path / "log")
    whole = {name: content for name, content in killed(recording, len(recording.changes)).items() if "step-3" in name}
    found = [state for _, _, state in states(recording, 1, STATES) if "step-3" in state]
    assert any(state.get(name) != content for state in found for name, content in whole.items()), "something is torn"
    last = [state for done, _, state in states(recording, 1, STATES) if done == len(recording.changes)]
    assert any("step-3" not in state for state in last), "it is lost though the save had ended"

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.l2_jobs.library.writing import is_whole, manifest, names, of_step, tree, writer
from tests.support.traced_child import Child

from aiops import checkpoint


def together(calls: list[Callable[[], Any]]) -> list[Any]:
    """What each has returned or raised; each in a thread."""
    results: list[Any] = [None] * len(calls)

    def run(number: int) -> None:
        try:
            results[number] = calls[number]()
        except Exception as error:  # noqa: BLE001 - it is compared
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(calls))]
    for one in threads:
        one.start()
    for one in threads:
        one.join(30)
    return results


def rank(
    folder: Path, number: int, size: int, write: Callable[[str], Any] | None = None, timeout: float = 10.0
) -> Callable[[], str]:
    own = writer(**{f"rank{number}": b"%d" % number * 100, "config": b"same"}) if write is None else write
    return lambda: checkpoint.save(folder, 4, own, rank=number, world_size=size, timeout=timeout)


def test_the_parts_of_all_ranks_become_one_checkpoint(tmp_path: Path) -> None:
    assert together([rank(tmp_path, number, 5) for number in reversed(range(5))]) == [str(tmp_path / "step-4")] * 5
    assert set(names(tmp_path / "step-4")) == {"config", "aiops-manifest.json", *(f"rank{n}" for n in range(5))}
    assert names(tmp_path) == ["step-4"]
    assert is_whole(tmp_path / "step-4")
    assert manifest(tmp_path / "step-4")["world_size"] == 5


def test_saved_again_at_once(tmp_path: Path) -> None:
    def twice(number: int) -> str:
        rank(tmp_path, number, 3)()
        return rank(tmp_path, number, 3, writer(**{f"again{number}": b"2"}))()

    results = together([partial(twice, number) for number in range(3)])
    assert results == [str(tmp_path / "step-4")] * 3
    assert set(names(tmp_path / "step-4")) == {"again0", "again1", "again2", "aiops-manifest.json"}
    assert is_whole(tmp_path / "step-4")


def test_a_rank_that_does_not_come_is_named(tmp_path: Path) -> None:
    results = together([rank(tmp_path, 0, 3, timeout=0.3), rank(tmp_path, 2, 3)])
    assert isinstance(results[0], checkpoint.IncompleteError)
    assert "no part of rank 1 came" in str(results[0])
    assert isinstance(results[1], checkpoint.IncompleteError)
    assert "gave up" in str(results[1])
    assert checkpoint.latest(tmp_path) is None
    assert not (tmp_path / "step-4").exists()


def test_a_first_rank_that_does_not_come(tmp_path: Path) -> None:
    with pytest.raises(checkpoint.IncompleteError, match="did not seal"):
        rank(tmp_path, 1, 2, timeout=0.2)()
    assert not (tmp_path / "step-4").exists()


@pytest.mark.parametrize("failing", [0, 1])
def test_a_rank_that_fails_fails_all(tmp_path: Path, failing: int) -> None:
    def broken(folder: str) -> None:
        for _ in range(200):  # the others are there by then
            if len(list(tmp_path.glob(".step-4.saving/rank-*"))) == 3:
                break
            threading.Event().wait(0.01)
        raise OSError(28, "No space left on device")

    calls = [rank(tmp_path, number, 3, broken if number == failing else None, timeout=3.0) for number in range(3)]
    results = together(calls)
    assert isinstance(results[failing], OSError)
    for number in {0, 1, 2} - {failing}:
        assert isinstance(results[number], checkpoint.IncompleteError)
    if failing:
        assert "rank 1 could not write its part: OSError: [Errno 28] No space left on device" in str(results[0])
    assert not (tmp_path / "step-4").exists()
    assert together([rank(tmp_path, number, 3) for number in range(3)]) == [str(tmp_path / "step-4")] * 3
    assert names(tmp_path) == ["step-4"]


def test_two_contents_of_one_name_are_refused(tmp_path: Path) -> None:
    results = together([rank(tmp_path, n, 2, writer(model=b"%d" % n)) for n in range(2)])
    assert "rank 1 has written another model" in str(results[0])
    assert "gave up" in str(results[1])
    assert not (tmp_path / "step-4").exists()


def test_parts_of_a_killed_attempt_are_never_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.save(tmp_path, 3, of_step(3))
    ready = tmp_path.with_name("ready")

    def hang(folder: str) -> None:
        writer(old=b"0")(folder)
        ready.touch()
        threading.Event().wait(60)

    old = writer(rank1=b"old", stale=b"1")
    with Child(rank(tmp_path, 0, 2, hang)) as first, Child(rank(tmp_path, 1, 2, old)) as second:
        first.go()
        second.go()
        for _ in range(3000):
            if ready.exists() and (tmp_path / ".step-4.saving/part-1.json").exists():
                break
            threading.Event().wait(0.01)
        assert (tmp_path / ".step-4.saving/part-1.json").exists()
    assert checkpoint.latest(tmp_path) == str(tmp_path / "step-3")
    monkeypatch.setattr(checkpoint, "_CLEARED", set())
    # The second rank comes first, and sees what the killed first rank had begun.
    results = together([rank(tmp_path, 1, 2), lambda: (threading.Event().wait(0.2), rank(tmp_path, 0, 2)())[1]])
    assert results == [str(tmp_path / "step-4")] * 2
    assert tree(tmp_path / "step-4").keys() == {"config", "rank0", "rank1", "aiops-manifest.json"}
    assert (tmp_path / "step-4/rank1").read_bytes() == b"1" * 100
    assert sorted(names(tmp_path)) == ["step-3", "step-4"]

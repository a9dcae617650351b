"""Lock files: what they may say, and what is told of one that says something else."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.core.errors import InputError
from aiops.layers.l1_cluster.bundle.lock import EnvironmentWish, Lock, Pin, chosen_locks, pins_for, read_lock
from aiops.layers.l1_cluster.bundle.target import Target

ONE, TWO = "a" * 64, "b" * 64


def a_lock(text: str, python: str = "") -> Lock:
    return Lock("trainer", text, "trainer.lock", ("wheelhouse",), python)


def test_packages_are_read_with_all_their_digests() -> None:
    text = (
        f"# made by hand\nTorch==2.13.0+cpu \\\n    --hash=sha256:{ONE} \\\n    --hash=sha256:{TWO}\n\n"
        f"numpy==2.4.6 --hash=sha256:{ONE}  # why\n"
    )
    first, second = read_lock(a_lock(text))
    assert (first.name, first.version, first.hashes, first.line) == ("Torch", "2.13.0+cpu", (ONE, TWO), 2)
    assert second.words == f"numpy==2.4.6 --hash=sha256:{ONE}"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("torch>=2 --hash=sha256:" + ONE, "no exact version"),
        ("torch==2.13.0", "has no `--hash"),
        ("torch==2.13.0 --hash=md5:abc", "is not a SHA-256 digest"),
        ("torch==2.13.0 --hash=sha256:abc", "is not a SHA-256 digest"),
        ("--index-url https://example.com", "is an option"),
        ("-e .", "is an option"),
        ("https://example.com/a.whl --hash=sha256:" + ONE, "no exact version"),
        ("torch @ file:///a.whl --hash=sha256:" + ONE, "no exact version"),
    ],
)
def test_anything_else_is_told_with_its_line(line: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        read_lock(a_lock(f"numpy==1 --hash=sha256:{ONE}\n{line}\n"))
    (problem,) = caught.value.problems
    assert (problem.file, problem.line) == ("trainer.lock", 2)
    assert words in problem.message


def test_a_package_stands_once() -> None:
    with pytest.raises(InputError) as caught:
        read_lock(a_lock(f"a_b==1 --hash=sha256:{ONE}\nA.b==2 --hash=sha256:{ONE}\n"))
    assert "line 1" in caught.value.problems[0].message


def test_an_empty_lock_is_a_mistake() -> None:
    with pytest.raises(InputError, match="mistake"):
        read_lock(a_lock("# nothing\n"))


def test_markers_are_judged_for_the_target_and_not_for_this_machine() -> None:
    lock = a_lock(
        f'a==1 ; python_version < "3.12" --hash=sha256:{ONE}\n'
        f'b==1 ; platform_machine == "aarch64" --hash=sha256:{ONE}\n'
    )
    assert [one.name for one in pins_for(lock, Target("bookworm", "amd64"))] == ["a"]
    assert [one.name for one in pins_for(lock, Target("trixie", "arm64"))] == ["b"]


def test_a_python_that_does_not_fit_is_refused() -> None:
    lock = a_lock(f"a==1 --hash=sha256:{ONE}", python=">=3.11,<3.13")
    assert pins_for(lock, Target("bookworm", "amd64"))
    with pytest.raises(InputError, match=r"trixie/amd64 has 3\.13"):
        pins_for(lock, Target("trixie", "amd64"))


def test_a_marker_that_is_none_is_told() -> None:
    with pytest.raises(InputError) as caught:
        pins_for(a_lock(f"a==1 ; python --hash=sha256:{ONE}"), Target("bookworm", "amd64"))
    assert caught.value.problems[0].line == 1


def test_an_unknown_environment_is_told_with_the_nearest_name() -> None:
    with pytest.raises(InputError) as caught:
        chosen_locks({"trainer": a_lock("")}, [EnvironmentWish("trainr", "aiops_environments of gpu[01-02]")], Path())
    assert caught.value.problems[0].hint == "did you mean `trainer`?"
    assert "gpu[01-02]" in caught.value.problems[0].message


# -- of the operator's own


def from_file(folder: Path, text: str | bytes, shipped: bool = True, name: str = "trainer") -> Lock:
    (folder / "cuda.lock").write_bytes(text if isinstance(text, bytes) else text.encode())
    locks = {"trainer": a_lock(f"a==1 --hash=sha256:{ONE}", python="==3.11.*")} if shipped else {}
    (found,) = chosen_locks(locks, [EnvironmentWish(name, "aiops_environments of gpu01", "cuda.lock")], folder)
    return found


def test_a_file_of_the_operators_takes_the_place_of_the_shipped_one_and_keeps_what_proves_it(tmp_path: Path) -> None:
    text = f"torch==2.13.0+cu130 --hash=sha256:{TWO}\n"
    assert from_file(tmp_path, text) == Lock("trainer", text, "cuda.lock", ("wheelhouse",), "", "cuda.lock")


def test_a_file_says_in_comments_what_proves_it_and_for_which_pythons(tmp_path: Path) -> None:
    text = f"# imports: torch, torch_npu\n# python: >=3.11,<3.12 \na==1 --hash=sha256:{ONE}\n"
    lock = from_file(tmp_path, text, shipped=False, name="mine")
    assert (lock.name, lock.imports, lock.python) == ("mine", ("torch", "torch_npu"), ">=3.11,<3.12")
    assert pins_for(lock, Target("bookworm", "amd64"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"a==1 --hash=sha256:{ONE}\n", "names no module"),
        (f"# imports: torch;rm\na==1 --hash=sha256:{ONE}\n", "names no module"),
        (f"# imports: torch\n# python: 3.11\na==1 --hash=sha256:{ONE}\n", "`3.11` says no Pythons"),
        (b"\xff\xfe", "cannot be read: it is no text"),
    ],
)
def test_a_file_that_will_not_do_is_told_by_its_name(tmp_path: Path, text: str | bytes, words: str) -> None:
    with pytest.raises(InputError) as caught:
        from_file(tmp_path, text, shipped=False)
    (problem,) = caught.value.problems
    assert (problem.file, words in problem.message, bool(problem.hint)) == ("cuda.lock", True, True)


def test_a_file_that_is_not_there_is_told_with_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        chosen_locks({}, [EnvironmentWish("trainer", "aiops_environments of gpu01", "locks/no.lock")], tmp_path)
    assert caught.value.problems[0].message == "cannot be read: No such file or directory"
    assert str(tmp_path) in (caught.value.problems[0].hint or "")


@given(st.text(max_size=200))
def test_no_text_does_anything_but_be_read_or_refused(text: str) -> None:
    told: InputError | None = None
    pins: tuple[Pin, ...] = ()
    try:
        pins = read_lock(a_lock(text))
    except InputError as error:
        told = error
    assert bool(pins) != bool(told is not None and told.problems)
    assert all(pin.hashes and pin.version for pin in pins)

"""Lock files: what they may say, and what is told of one that says something else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.core.errors import InputError
from aiops.layers.l1_cluster.bundle.lock import Lock, Pin, chosen_locks, pins_for, read_lock
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
        chosen_locks({"trainer": a_lock("")}, {"trainr": "aiops_environments of gpu[01-02]"})
    assert caught.value.problems[0].hint == "did you mean `trainer`?"
    assert "gpu[01-02]" in caught.value.problems[0].message


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

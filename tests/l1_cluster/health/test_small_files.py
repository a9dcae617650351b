"""Answers made of many small files."""

import pytest
from tests.l1_cluster.health.case import read

from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l1_cluster.health.small_files import is_absent, small_files

PATTERN, PATH = "/sys/x/*", "/sys/x/1"


def test_what_is_there_and_what_is_not() -> None:
    assert small_files(read("x", {PATH: "7"}, **{"/sys/y": "Permission denied"})) == {PATH: "7"}
    nothing = read("x", {}, **{PATTERN: "nothing matches"})
    assert small_files(nothing) == {}
    assert is_absent(nothing, PATTERN)
    assert not is_absent(nothing, PATH)


@pytest.mark.parametrize(
    ("answer", "every", "reason"),
    [
        (Answer("x"), False, "not answered"),
        (Answer("x", missing={"argv": "not asked"}), False, "not asked"),
        (read("x", {}, **{PATH: "Permission denied"}), False, f"{PATH}: Permission denied"),
        (read("x", {PATH: "7"}, **{"/sys/y": "Permission denied"}), True, "/sys/y: Permission denied"),
        (Answer("x", files={PATH: "7"}, truncated=True), False, "the answer was cut at its size limit"),
        (Answer("x", files={PATH: "7"}, timed_out=True), False, "not answered"),
    ],
)
def test_what_is_not_whole(answer: Answer, every: bool, reason: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        small_files(answer, every=every)
    assert str(caught.value) == reason

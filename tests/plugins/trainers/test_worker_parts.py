"""The worker's parts that need no torch: samples, traces, work, questions."""

import json
import math
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.plugins.trainers.transformers.worker.attempts import attempts, begin_attempt
from aiops.plugins.trainers.transformers.worker.questions import questions, same
from aiops.plugins.trainers.transformers.worker.samples import Share, held_out, order, seed_of
from aiops.plugins.trainers.transformers.worker.trace import Trace, read
from aiops.plugins.trainers.transformers.worker.verdict import refuse_diverged, verdict
from aiops.plugins.trainers.transformers.worker.work import RefusedError, Work, refuse_changed
from aiops.plugins.trainers.transformers.worker.work import read as read_work

SHARES = st.builds(
    Share, st.integers(0, 99), st.integers(1, 60), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3)
)


@given(st.integers(0, 1 << 40), st.integers(0, 1000), st.integers(1, 3000))
def test_an_order_has_each_sample_once(seed: int, epoch: int, count: int) -> None:
    assert sorted(order(seed, epoch, count).tolist()) == list(range(count))


def test_an_order_is_the_same_for_ever() -> None:
    """Written down once: a run that goes on after an upgrade of numpy must read what it would have read."""
    assert order(1, 0, 10).tolist() == ORDER
    assert order(1, 1, 10).tolist() != ORDER
    assert order(2, 0, 10).tolist() != ORDER


ORDER = [9, 8, 5, 6, 4, 3, 1, 7, 0, 2]


@given(SHARES, st.integers(0, 30))
def test_ranks_and_passes_of_a_step_read_its_part_of_the_order_and_nothing_twice(share: Share, step: int) -> None:
    read_ = [one for rank in range(share.world) for each in share.passes(step, rank) for one in each]
    whole = share.world * share.batch * share.accumulate
    assert Counter(read_) == Counter(share.sample(place) for place in range(step * whole, (step + 1) * whole))


@given(SHARES)
def test_an_epoch_reads_each_sample_once(share: Share) -> None:
    assert sorted(share.sample(place) for place in range(share.count, 2 * share.count)) == list(range(share.count))


def test_seeds_depend_on_every_part() -> None:
    assert len({seed_of(*parts) for parts in np.ndindex(8, 8, 8)}) == 512


def test_a_trace_goes_on_after_the_step_of_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    first = Trace(path, 0)
    for step in range(1, 8):
        first.add({"step": step, "loss": 1 / step})
    first.close()
    with path.open("a") as stream:
        stream.write('{"step": 8, "lo')  # killed there
    second = Trace(path, 5)
    second.add({"step": 6, "loss": 0.5})
    second.close()
    assert [one["step"] for one in read(path)] == [1, 2, 3, 4, 5, 6]
    assert read(path)[-1]["loss"] == 0.5


def test_a_part_without_rows_is_not_held_out(tmp_path: Path) -> None:
    assert not held_out(tmp_path)
    (tmp_path / "evaluation").mkdir()
    assert not held_out(tmp_path)
    np.array([], "<u8").tofile(tmp_path / "evaluation/samples.bin")
    assert not held_out(tmp_path)
    np.array([0, 3], "<u8").tofile(tmp_path / "evaluation/samples.bin")
    assert held_out(tmp_path)


@pytest.mark.parametrize("torn", ["", "{", '{"attempt": "2", "from', "\\0\\0\\0", "3", '{"attempt": "2"}\n{'])
def test_an_attempt_that_was_cut_off_takes_no_other_with_it(tmp_path: Path, torn: str) -> None:
    assert attempts(tmp_path) == []
    begin_attempt(tmp_path, 3)
    with (tmp_path / "attempts.jsonl").open("a") as stream:
        stream.write(torn)
    assert [one["from_step"] for one in attempts(tmp_path) if "from_step" in one] == [3]
    begin_attempt(tmp_path, 6)
    assert [one["from_step"] for one in attempts(tmp_path) if "from_step" in one] == [3, 6]


@pytest.mark.parametrize("text", ["", "{", '{"v": 2}', '{"v": 1, "nothing": 1}', '{"v": 1}', "[]"])
def test_work_of_another_version_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "trainer.json"
    path.write_text(text)
    with pytest.raises(RefusedError, match=r"trainer\.json"):
        read_work(path)


@pytest.mark.parametrize("text", ["", "{", "{}", '{"step": "x", "data": {}}', '{"step": 1, "data": null}'])
def test_a_checkpoint_of_another_program_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "aiops-manifest.json").write_text(text)
    with pytest.raises(RefusedError, match="manifest"):
        refuse_changed(None, tmp_path)  # type: ignore[arg-type]


def test_answers_are_compared_without_space_and_case() -> None:
    assert same(" Paris\n", "paris")
    assert not same("Paris.", "Paris")


def test_questions_are_prompts_with_completions(tmp_path: Path) -> None:
    path = tmp_path / "asked.jsonl"
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2 + 2?"}]
    rows = [
        {"prompt": "1 + 1?", "completion": "2"},
        {"prompt": turns, "completion": [{"role": "assistant", "content": "4"}]},
    ]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    assert questions(path) == [([{"role": "user", "content": "1 + 1?"}], "2"), (turns, "4")]


@pytest.mark.parametrize("line", ["{", "[]", '{"prompt": "x"}', '{"prompt": 1, "completion": "x"}'])
def test_what_is_no_question_is_told_with_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "asked.jsonl"
    path.write_text(f'{{"prompt": "x", "completion": "y"}}\n{line}\n')
    with pytest.raises(RefusedError, match=r"asked\.jsonl:2"):
        questions(path)


def test_an_empty_file_of_questions_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "asked.jsonl"
    path.write_text("\n")
    with pytest.raises(RefusedError, match="no questions"):
        questions(path)


@pytest.mark.parametrize(
    ("wanted", "said", "passed"),
    [
        ({}, {}, None),
        ({}, {"held_out_loss": 1.0}, None),
        ({"loss": 1.0}, {"held_out_loss": 1.0}, True),
        ({"loss": 1.0}, {"held_out_loss": 1.1}, False),
        ({"loss": 1.0}, {"held_out_loss": None}, False),
        ({"loss": 1.0}, {}, False),
        ({"questions": "asked.jsonl"}, {"asked": 2, "right": 1}, True),
        ({"questions": "asked.jsonl"}, {"asked": 2, "right": 0}, False),
        ({"questions": "asked.jsonl", "loss": 1.0}, {"asked": 2, "right": 2, "held_out_loss": 2.0}, False),
    ],
)
def test_only_what_was_asked_and_reached_has_passed(
    wanted: dict[str, Any], said: dict[str, Any], passed: bool | None
) -> None:
    work = cast("Work", SimpleNamespace(**{"loss": None, "questions": None, "right": 0.5, **wanted}))
    assert verdict(work, said)["passed"] is passed


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused_and_never_written_as_json(tmp_path: Path, value: float) -> None:
    trace = Trace(tmp_path / "metrics.jsonl", 0)
    with pytest.raises(ValueError, match="JSON"):
        trace.add({"step": 1, "loss": value})
    trace.close()
    with pytest.raises(RefusedError, match=r"step 3: the loss is .*diverged"):
        refuse_diverged("loss", value, "step 3")

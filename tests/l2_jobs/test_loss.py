"""The loss: no number, or far above its course; and ranks that are slow."""

import math
from random import Random

from aiops.layers.l2_jobs.attempt import Key
from aiops.layers.l2_jobs.loss import INFINITE, ROW, loss_fault
from aiops.layers.l2_jobs.pace import Pace
from aiops.layers.l2_jobs.report import Stepped
from aiops.layers.l2_jobs.straggler import straggler

KEY = Key("llama-1", 1)


def pace(losses: list[float]) -> Pace:
    made = Pace()
    for step, loss in enumerate(losses):
        made = made.after(Stepped(KEY, "a", float(step), 0, step, loss=loss))
    return made


def test_a_loss_that_is_no_number_again_and_again_is_a_fault_and_once_is_none() -> None:
    assert loss_fault(pace([1.0] * 10 + [math.nan] * (INFINITE - 1)), 1.0) is None
    fault = loss_fault(pace([1.0] * 10 + [math.nan] * INFINITE), 1.0)
    assert fault is not None
    assert fault.kind == "loss_nan"
    assert loss_fault(pace([1.0] * 10 + [math.inf] * (INFINITE - 1) + [1.0, math.inf]), 1.0) is None


def test_a_course_with_noise_is_none() -> None:
    for seed in range(200):
        random = Random(seed)  # noqa: S311 - drawn by a seed
        course = [8 * math.exp(-step / 40) + 1 + random.gauss(0, 0.15) for step in range(128)]
        assert loss_fault(pace(course), 1.0) is None, seed


def test_one_odd_batch_is_none_and_a_row_is_a_spike() -> None:
    course = [2.0 + 0.01 * (step % 7) for step in range(60)]
    assert loss_fault(pace([*course, *[30.0] * (ROW - 1)]), 1.0) is None
    fault = loss_fault(pace([*course, *[30.0] * ROW]), 1.0)
    assert fault is not None
    assert fault.kind == "loss_spike"


def ranks(seconds: list[float], count: int = 20) -> Pace:
    made = Pace()
    for step in range(count):
        for rank, each in enumerate(seconds):
            made = made.after(Stepped(KEY, f"n{rank}", step * each, rank, step))
    return made


def test_a_slow_rank_is_named() -> None:
    fault = straggler(ranks([1.0, 1.0, 1.6, 1.0]), 1.0)
    assert fault is not None
    assert fault.nodes == ("n2",)


def test_who_is_a_little_slow_or_one_of_two_or_new_is_not() -> None:
    assert straggler(ranks([1.0, 1.0, 1.4, 1.0]), 1.0) is None
    assert straggler(ranks([1.0, 3.0]), 1.0) is None
    assert straggler(ranks([1.0, 1.0, 1.6, 1.0], count=8), 1.0) is None
    assert straggler(ranks([1.0, 1.0, 3.0, 3.0]), 1.0) is None

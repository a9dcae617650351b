"""When what a BMC says proves a node off: only what was asked while it is silent, twice, and lately."""

from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.l2_jobs.power import (
    AGAIN,
    AGAIN_LATER,
    APART,
    FRESH,
    LATER,
    Power,
    PowerTold,
    after,
    begun,
    ended,
    unproved,
)
from aiops.layers.l2_jobs.report import Heard, Silent
from aiops.layers.l2_jobs.watch import Watch

SILENT = Watch().after([Heard("a", 90.0, "a1"), Silent("a", 100.0, "")])


def told(state: str, asked: float, took: float = 0.1) -> PowerTold:
    return PowerTold("a", asked, asked + took, state, f"Chassis Power is {state}")  # type: ignore[arg-type]


def off(*answers: PowerTold, now: float, watch: Watch = SILENT) -> float | None:
    known = begun({}, "a", 100.0)
    for one in answers:
        known = after(known, [one], watch)
    return known["a"].off(watch.node("a"), now)


def test_off_is_off_once_it_was_told_twice() -> None:
    assert off(told("off", 101.0), now=102.0) is None
    assert off(told("off", 101.0), told("off", 103.2), now=104.0) == 101.1


def test_twice_in_a_moment_is_once() -> None:
    assert off(told("off", 101.0), told("off", 103.0), now=104.0) is None  # 1.9 s after the first answer
    assert off(told("off", 101.0), told("off", 102.0), told("off", 103.2), now=104.0) == 101.1


def test_it_is_believed_for_as_long_as_it_is_told_again() -> None:
    answers = [told("off", 101.0), told("off", 103.2)]
    assert off(*answers, now=103.2 + FRESH) == 101.1
    assert off(*answers, now=103.3 + FRESH) is None
    assert off(*answers, told("unknown", 110.0), told("off", 125.0), now=150.0) == 101.1
    assert off(*answers, told("off", 104.0 + FRESH), now=104.2 + FRESH) is None, "it begins anew"


def test_on_ends_it() -> None:
    answers = [told("off", 101.0), told("off", 103.2), told("on", 106.0)]
    assert off(*answers, now=106.5) is None
    assert off(*answers, told("off", 107.0), now=107.5) is None
    assert off(*answers, told("off", 107.0), told("off", 109.5), now=110.0) == 107.1


def test_a_node_that_is_heard_has_power_whatever_its_bmc_says() -> None:
    answers = [told("off", 101.0), told("off", 103.2)]
    heard = SILENT.after([Heard("a", 104.0, "a1")])
    assert off(*answers, now=104.5, watch=heard) is None
    known = after(after({}, answers, SILENT), [told("off", 105.0)], heard)
    again = heard.after([Silent("a", 106.0, "")])
    assert known["a"].off(again.node("a"), 107.0) is None, "that was said of the silence before"
    known = after(known, [told("off", 106.5), told("off", 109.0)], again)
    assert known["a"].off(again.node("a"), 110.0) == 106.6


def test_on_is_of_the_node_itself_only_where_it_was_told_while_that_was_heard() -> None:
    def seen(*answers: PowerTold, watch: Watch = SILENT) -> bool:
        return after({}, answers, watch)["a"].seen

    heard = Watch().after([Heard("a", 90.0, "a1")])
    assert seen(told("on", 95.0), watch=heard)
    assert seen(told("on", 95.0)), "its answer came when that was over"
    assert not seen(told("on", 101.0))
    assert not seen(told("on", 95.0), watch=Watch())
    assert not seen(told("unknown", 95.0), watch=heard)
    assert not seen(told("on", 91.0), told("off", 95.0), watch=heard)
    assert seen(told("on", 95.0), told("off", 101.0), told("on", 107.0))


def test_what_was_asked_before_the_silence_proves_nothing() -> None:
    assert off(told("off", 99.9, took=5.0), told("off", 107.0), now=108.0) is None


def test_an_answer_that_comes_late_changes_nothing() -> None:
    assert off(told("on", 105.0), told("off", 101.0), told("off", 103.2), now=106.0) is None


def test_the_operator_is_told_which_bmcs_prove_nothing() -> None:
    watch = Watch().after([Heard(name, 100.0, "1") for name in ("gpu01", "gpu02", "gpu03", "gpu04")])
    why = "`ipmitool` ended with 127: ipmitool: No such file or directory"
    known = after(
        {},
        [PowerTold(name, 101.0, 101.5, "unknown", why) for name in ("gpu01", "gpu02")]
        + [PowerTold("gpu03", 101.0, 101.5, "on", "on"), PowerTold("gpu04", 101.0, 101.5, "off", "off")],
        watch,
    )
    assert unproved(known, watch) == (f"gpu[01-02]: {why}",)
    later = watch.after([Heard("gpu04", 102.0, "1")])
    assert unproved(known, later)[1] == "gpu04: the BMC says off of a node that answers, and is not believed"
    booted = watch.after([Heard("gpu04", 102.0, "2")])
    assert unproved(known, booted) == unproved(known, watch), "it had no power, and was switched on"


ANSWERS = st.lists(
    st.builds(told, st.sampled_from(["on", "off", "off", "unknown"]), st.floats(90, 200), st.floats(0, 12)), max_size=8
)


@given(ANSWERS, st.floats(100, 240))
def test_no_order_of_answers_proves_more_than_two_offs_of_one_silence(answers: list[PowerTold], now: float) -> None:
    since = off(*answers, now=now)
    if since is None:
        return
    offs = sorted((one for one in answers if one.state == "off" and one.asked >= 100.0), key=lambda one: one.asked)
    first = next(one for one in offs if one.at == since)
    last = offs[-1]
    assert last.asked - first.at >= APART
    assert now - last.asked <= FRESH
    newest = max(one.asked for one in answers)
    between = [one for one in answers if one.state == "on" and first.asked <= one.asked <= newest]
    taken = [one for index, one in enumerate(answers) if all(one.asked > b.asked for b in answers[:index])]
    assert not [one for one in between if one in taken]


def test_a_node_is_asked_again_after_a_while_and_less_often_later() -> None:
    silent = SILENT.node("a")
    known = begun({}, "a", 101.0)
    assert not known["a"].due(silent, 101.0 + AGAIN), "it is being asked"
    known = ended(known, ["a", "b"])
    assert set(known) == {"a"}
    assert not known["a"].due(silent, 100.9 + AGAIN)
    assert known["a"].due(silent, 101.0 + AGAIN)
    late = Power(100.0 + LATER, asking=False)
    assert not late.due(silent, 100.0 + LATER + AGAIN)
    assert late.due(silent, 100.0 + LATER + AGAIN_LATER)

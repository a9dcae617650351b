"""The outbox: every change is told once by everybody, however often a receiver is away and whenever we are killed."""

import threading
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from aiops.layers.core.clock import SystemClock
from aiops.layers.core.errors import FailedError, UnreachableError
from aiops.layers.l1_cluster.health.news import news
from aiops.layers.l1_cluster.health.notice import Change, Notice
from aiops.layers.l1_cluster.health.notifier import REJECTED
from aiops.layers.l1_cluster.health.outbox import (
    LEFT_OUT,
    MOST_CHANGES,
    MOST_NOTICES,
    Outbox,
    advance,
    deliver,
    read_outbox,
    write_outbox,
)

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOT = Change("came", "96 °C", "gpu07", "gpu.temp", "GPU 3", "critical", "service", "node")
FULL = Change("came", "84 % used", "gpu03", "disk.used", "/var", "warn", "none", "node")
DRAINED = Change("drained", "gpu.temp: 96 °C", "gpu07", "gpu.temp", run="r-1121-193005-4f2")


@dataclass
class Fake:
    """A notifier that keeps what it was given."""

    name: str = "fake"
    place: str = "here"
    away: bool = False
    unreached: str | None = None
    got: list[Notice] = field(default_factory=list)

    def send(self, notice: Notice, seconds: float) -> str | None:
        if self.away:
            raise UnreachableError("fake does not answer", code="notify.unreachable")
        self.got.append(notice)
        return self.unreached


_numbers = count()


def step(outbox: Outbox, now: dict[str, Change], *deeds: Change, names: tuple[str, ...] = ("fake",)) -> Outbox:
    def make(changes: tuple[Change, ...]) -> Notice:
        return Notice(f"id{next(_numbers)}", "lab-a", AT, changes)

    return advance(outbox, news(outbox.known, now), deeds=deeds, names=names, make=make, until=AT)


def turns(outbox: Outbox, name: str = "fake") -> list[list[tuple[str, str | None]]]:
    return [[(one.turn, one.check) for one in notice.changes] for notice in outbox.pending.get(name, ())]


def test_what_comes_is_told_once_and_what_is_over_too() -> None:
    one = step(Outbox(), {"a": HOT})
    assert turns(one) == [[("came", "gpu.temp")]]
    same = step(one, {"a": replace(HOT, message="97 °C")})
    assert turns(same) == turns(one), "a value that moves is no change"
    both = step(same, {"a": HOT, "b": FULL}, DRAINED)
    assert turns(both)[1:] == [[("came", "disk.used"), ("drained", "gpu.temp")]]
    over = step(both, {"b": FULL})
    assert turns(over)[2:] == [[("over", "gpu.temp")]]
    assert over.pending["fake"][-1].changes[0].line == "over: gpu07 critical: gpu.temp: 96 °C"
    assert step(over, {"b": FULL}).pending == over.pending


def test_what_was_for_a_notifier_that_is_gone_is_let_go() -> None:
    one = replace(step(Outbox(), {"a": HOT}), failing={"fake": "x"})
    other = step(one, {"a": HOT}, names=("other",))
    assert (dict(other.pending), dict(other.failing)) == ({"other": ()}, {})


def test_one_that_is_away_costs_no_other_and_is_told_of_once() -> None:
    here, gone = Fake("here"), Fake("gone", away=True)
    outbox = step(Outbox(), {"a": HOT}, names=("here", "gone"))
    left, warned = deliver(outbox, (here, gone), SystemClock())
    assert (len(here.got), left.pending["here"], len(left.pending["gone"])) == (1, (), 1)
    assert warned == ("notifier `gone` could not be told, and is tried again at each run: fake does not answer",)
    later, again = deliver(step(left, {}, names=("here", "gone")), (here, gone), SystemClock())
    assert again == ()
    gone.away = False
    last, _ = deliver(later, (here, gone), SystemClock())
    assert [len(one.changes) for one in gone.got] == [1, 1]
    assert [one.id for one in gone.got] == [one.id for one in here.got]
    assert dict(last.failing) == {}


def test_one_that_hangs_is_left_behind() -> None:
    released = threading.Event()

    class Hung(Fake):
        def send(self, notice: Notice, seconds: float) -> None:
            released.wait(30)

    outbox = step(Outbox(), {"a": HOT})
    left, warned = deliver(outbox, (Hung(),), SystemClock(), 0.05)
    released.set()
    assert left.pending == outbox.pending
    assert "within 0.05 s" in warned[0]


def test_a_strangers_defect_is_his_own() -> None:
    class Broken(Fake):
        def send(self, notice: Notice, seconds: float) -> None:
            raise RuntimeError("https://example.org/secret")

    _, warned = deliver(step(Outbox(), {"a": HOT}), (Broken(),), SystemClock())
    assert warned == ("notifier `fake` could not be told, and is tried again at each run: it failed: RuntimeError",)


def test_what_is_refused_for_good_is_let_go_and_blocks_nothing() -> None:
    class Picky(Fake):
        def send(self, notice: Notice, seconds: float) -> str | None:
            if notice.changes[0] == FULL:
                raise FailedError("fake answered with status 413", code=REJECTED)
            return super().send(notice, seconds)

    one = Picky()
    outbox = step(step(Outbox(), {"b": FULL}), {"b": FULL, "a": HOT})
    left, warned = deliver(outbox, (one,), SystemClock())
    assert [notice.changes for notice in one.got] == [(HOT,)]
    assert (left.pending, left.failing) == ({"fake": ()}, {})
    (words,) = warned
    assert "refuses `lab-a: 1 warn` for good, so it is not sent again: fake answered with status 413" in words


def test_whom_it_does_not_reach_is_warned_of_once_and_costs_the_others_nothing() -> None:
    one = Fake(unreached="night@example.org is not known")
    left, warned = deliver(step(Outbox(), {"a": HOT}), (one,), SystemClock())
    assert left.pending["fake"] == ()
    assert warned == ("notifier `fake` was told, but not everybody whom it tells: night@example.org is not known",)
    still, nothing = deliver(step(left, {"a": HOT}), (one,), SystemClock())
    assert nothing == ()
    _, again = deliver(step(still, {}), (one,), SystemClock())
    assert again == ()
    assert len(one.got) == 2


def test_what_waits_for_a_receiver_that_stays_away_is_bounded() -> None:
    outbox, told = Outbox(), 0
    for number in range(MOST_NOTICES + 30):
        now = {} if number % 2 else {"a": HOT, "b": FULL}
        outbox = step(outbox, now)
        told += 2
        assert len(outbox.pending["fake"]) <= MOST_NOTICES
        assert sum(len(notice.changes) for notice in outbox.pending["fake"]) == told, "nothing is left out yet"
    for number in range(2 * MOST_CHANGES):
        outbox = step(outbox, {f"x{number}": replace(HOT, check=f"x{number}")})
    first, *rest = outbox.pending["fake"]
    assert first.changes[0] == LEFT_OUT
    assert LEFT_OUT not in first.changes[1:]
    assert len(first.changes) == MOST_CHANGES + 1
    assert [one.check for one in rest[-1].changes] == [f"x{number}", f"x{number - 1}"], "the newest are as they were"


def test_it_is_written_and_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "outbox.json"
    assert read_outbox(path) == Outbox()
    outbox = replace(
        step(step(Outbox(), {"a": HOT}, DRAINED), {"a": HOT, "b": FULL}),
        failing={"fake": "away"},
        until=AT + timedelta(microseconds=7),
    )
    write_outbox(path, outbox)
    assert read_outbox(path) == outbox
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"known": 5}', '{"known": {"a": {}}, "until": 5}'])
def test_one_that_cannot_be_read_is_empty(tmp_path: Path, text: str) -> None:
    path = tmp_path / "outbox.json"
    path.write_text(text)
    assert read_outbox(path) == Outbox()


class Runs(RuleBasedStateMachine):
    """Runs from cron, each with what it finds, killed anywhere, before receivers that come and go."""

    @initialize()
    def begin(self) -> None:
        self.disk = Outbox()
        self.one, self.other = Fake("one"), Fake("other")
        self.ever: list[Change] = []
        self.now: dict[str, Change] = {}

    @rule(
        keys=st.sets(st.sampled_from("abcd")),
        away=st.sets(st.sampled_from(["one", "other"])),
        killed=st.sampled_from(["", "before", "written", "sent"]),
    )
    def run(self, keys: set[str], away: set[str], killed: str) -> None:
        if killed == "before":
            return
        now = {key: replace(HOT, check=key) for key in sorted(keys)}
        outbox = step(self.disk, now, names=("one", "other"))
        self.ever += [replace(HOT, check=key) for key in sorted(keys) if key not in self.now]
        self.ever += [replace(HOT, check=key, turn="over") for key in self.now if key not in keys]
        self.now, self.disk = now, outbox
        if killed == "written":
            return
        for notifier in (self.one, self.other):
            notifier.away = notifier.name in away
        left, _ = deliver(outbox, (self.one, self.other), SystemClock())
        if killed != "sent":
            self.disk = left

    @invariant()
    def nothing_is_lost_and_doubles_are_known_by_their_id(self) -> None:
        for notifier in (self.one, self.other) if hasattr(self, "one") else ():
            seen: dict[str, Notice] = {}
            for notice in (*notifier.got, *self.disk.pending.get(notifier.name, ())):
                assert seen.setdefault(notice.id, notice) == notice
            told = [change for notice in seen.values() for change in notice.changes]
            assert sorted(told, key=str) == sorted(self.ever, key=str)


TestRuns = Runs.TestCase
TestRuns.settings = settings(max_examples=40, stateful_step_count=12, deadline=None)

"""The next step of the ladder: what is repaired how, what is left alone, and when it is for service."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aiops.layers.l0_nodes.accelerator import Accelerator
from aiops.layers.l0_nodes.vendor import Reset
from aiops.layers.l1_cluster.draining import Standing
from aiops.layers.l1_cluster.health.attempt import CUT_OFF, PLAYED, REPAIRS, UNDONE, WINDOW, attempts
from aiops.layers.l1_cluster.health.episode import Episode
from aiops.layers.l1_cluster.health.hold_reason import OPERATOR, POLICY, REASON
from aiops.layers.l1_cluster.health.means import Means
from aiops.layers.l1_cluster.health.node_state import IN_SERVICE, STATES, UNDERWAY, NodeState, StateChange, allowed
from aiops.layers.l1_cluster.health.remedy import Case, Remedy, present, remedy_of
from aiops.layers.l1_cluster.health.repairable import holder_of, of_policy, refusal, way_to_drained
from aiops.layers.l1_cluster.health.verdict import ACTIONS, Action

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
OURS = Standing("drained", f"{REASON} gpu.ecc, run r-1: 2 errors")
BAD = Episode("n1", "gpu.ecc", "GPU 3", "critical", "2 errors", AT, AT, action="reset_device")
RESET = Reset((("tool", "--reset", "3"),), (Accelerator("acme", index=3, bus="0000:18:00.0"),), ("daemon.service",))
MEANS = Means({BAD.key: (RESET,)}, every=(RESET,))


def case(*episodes: Episode, **more: Any) -> Case:
    fresh: dict[str, Any] = {"state": "drained", "standing": OURS, "means": MEANS}
    return Case("n1", AT, episodes=episodes, **{**fresh, **more})


def change(after: NodeState, minutes: float = 60, cause: str = "", before: NodeState = "drained") -> StateChange:
    return StateChange("n1", AT - timedelta(minutes=minutes), before, after, cause, "gpu.ecc", POLICY, "r-1")


def tried(step: Action, minutes: float = 60) -> list[StateChange]:
    return [
        change("repairing", minutes, f"{step}: gpu.ecc"),
        change("drained", minutes - 1, f"{step} failed: in use", "repairing"),
    ]


def test_the_step_is_the_one_that_the_finding_asks_for() -> None:
    remedy = remedy_of(case(BAD))
    assert (remedy.step, remedy.finding, remedy.resets) == ("reset_device", "gpu.ecc", (RESET,))
    assert remedy.cause == "reset_device: gpu.ecc: GPU 3: 2 errors"


@pytest.mark.parametrize(
    ("actions", "step"),
    [
        (("reset_device", "restart_service"), "reset_device"),
        (("reset_device", "reboot"), "reboot"),
        (("restart_service", "restart_app"), "restart_service"),
        (("restart_app",), "restart_app"),
        (("reset_device", "service"), "service"),
    ],
)
def test_of_several_findings_the_step_that_does_for_most_comes_first(actions: Sequence[Action], step: Action) -> None:
    found = [replace(BAD, check=f"c.{one}", about="GPU 3", action=one) for one in actions]
    means = Means({one.key: (RESET,) for one in found}, {one.key: ("a.service",) for one in found})
    assert remedy_of(case(*found, means=means)).step == step


def test_what_did_not_help_is_followed_by_the_next_step() -> None:
    first = remedy_of(case(BAD, changes=tried("reset_device")))
    assert (first.step, first.passed) == ("reboot", ("reset_device: it was taken and did not help",))
    second = remedy_of(case(BAD, changes=[*tried("reset_device", 90), *tried("reboot")]))
    assert second.step == "service"


def test_a_fault_that_is_still_there_without_its_job_is_followed_by_a_reboot() -> None:
    bad = replace(BAD, action="restart_app")
    looked = [
        change("validating", 60, "restart_app: looked at afresh"),
        change("drained", 59, "after restart_app something is critical", "validating"),
    ]
    assert remedy_of(case(bad)).step == "restart_app"
    assert remedy_of(case(bad, changes=looked)).step == "reboot"
    cut = [looked[0], replace(looked[1], cause=f"{CUT_OFF}: run r-1 has ended")]
    assert remedy_of(case(bad, changes=cut)).step == "restart_app"
    often = [one for _ in range(REPAIRS + 1) for one in (*looked, change("ready", 58, before="drained"))]
    assert remedy_of(case(bad, changes=often)).step == "restart_app", "to look is no repair, and wears nothing out"


def test_a_node_that_served_again_begins_at_its_first_step() -> None:
    back = change("ready", 30, before="drained")
    assert remedy_of(case(BAD, changes=[*tried("reset_device"), back])).step == "reset_device"


def test_a_device_that_cannot_be_reset_is_rebooted() -> None:
    remedy = remedy_of(case(BAD, means=Means()))
    assert remedy.step == "reboot"
    assert remedy.passed == ("reset_device: no way is known to reset GPU 3 while the node runs",)


def test_the_machine_that_aiops_runs_on_is_never_rebooted() -> None:
    here = Means(here=True)
    for remedy in (remedy_of(case(BAD, means=here)), remedy_of(case(BAD, means=here), "reboot")):
        assert (remedy.step, remedy.why) == (None, "it needs a reboot, and aiops runs on it")


def test_five_repairs_within_a_week_are_for_service() -> None:
    served = [
        one
        for number in range(REPAIRS)
        for one in (
            change("repairing", 9000 - number * 1000, "reset_device: gpu.ecc"),
            change("ready", 8999 - number * 1000, before="validating"),
        )
    ]
    assert remedy_of(case(BAD, changes=served[2:])).step == "reset_device"
    last = remedy_of(case(BAD, changes=served))
    assert last.step == "service"
    assert last.why.startswith("5 repairs within 7 days did not last; gpu.ecc: GPU 3: 2 errors")
    old = [replace(one, at=one.at - WINDOW) for one in served[:2]]
    assert remedy_of(case(BAD, changes=[*old, *served[2:]])).step == "reset_device"
    back = change("drained", 1, before="rma")
    assert remedy_of(case(BAD, changes=[*served, back])).step == "reset_device", "it was serviced since"


def test_a_repair_that_was_cut_off_is_no_attempt() -> None:
    cut = [
        change("repairing", 9, "reset_device: gpu.ecc"),
        change("drained", 5, f"{CUT_OFF}: run r-1 has ended", "repairing"),
    ]
    assert attempts(cut, AT) == ()
    assert remedy_of(case(BAD, changes=cut)).step == "reset_device"


def test_a_look_that_was_cut_off_erases_no_attempt() -> None:
    cut = [
        change("repairing", 9, "reset_device: gpu.ecc"),
        change("validating", 7, "looked at afresh", "repairing"),
        change("drained", 5, f"{CUT_OFF}: run r-1 has ended", "validating"),
    ]
    assert [one.step for one in attempts(cut, AT)] == ["reset_device"]
    assert remedy_of(case(BAD, changes=cut)).step == "reboot"


@pytest.mark.parametrize("state", ["repairing", "validating"])
def test_a_repair_that_was_cut_off_is_taken_up(state: Any) -> None:
    begun = [change("repairing", 9, "reset_device: gpu.ecc: GPU 3: 2 errors")]
    remedy = remedy_of(case(BAD, state=state, changes=begun))
    assert remedy.resumed
    assert remedy.step == ("reset_device" if state == "repairing" else "restart_app")
    assert remedy.resets == ((RESET,) if state == "repairing" else ())
    gone = remedy_of(case(BAD, state=state, changes=begun, means=Means()))
    assert gone.step == "restart_app", "what cannot be reset any more is only looked at"


STANDINGS = {
    "in service": (Standing("in_service"), "first `aiops node drain n1 --reason TEXT`"),
    "still working": (Standing("draining", f"{REASON} x", ("job 1 of bob",)), "wait for that: `aiops node show n1`"),
    "unknown": (Standing("unknown", "no answer"), "once that is known: the same command again"),
    "somebody else's": (Standing("drained", "bob: disk"), "ask them; it is not ours to repair"),
    "a deploy's": (
        Standing("drained", "aiops: reboot in base, run r-1: x"),
        "let that end, or take it over: `aiops node drain n1 --reason TEXT`",
    ),
}


@pytest.mark.parametrize(("standing", "hint"), STANDINGS.values(), ids=STANDINGS)
@pytest.mark.parametrize("wish", [None, "reboot", "service"])
def test_who_is_not_ours_and_idle_is_not_touched(standing: Standing, hint: str, wish: Any) -> None:
    remedy = remedy_of(case(BAD, standing=standing), wish)
    assert (remedy.step, remedy.well, remedy.hint) == (None, False, hint)


def test_a_node_that_nobody_gives_work_is_repaired_once_it_is_out_of_service() -> None:
    assert remedy_of(case(BAD, standing=None, state="ready")).step is None
    assert remedy_of(case(BAD, standing=None)).step == "reset_device"
    assert refusal("n1", "ready", Standing("down", "Not responding")) is not None
    assert refusal("n1", "drained", Standing("down", f"{REASON} gpu.ecc")) is None


@pytest.mark.parametrize(
    ("episode", "well", "why"),
    [
        (replace(BAD, owner="fabric"), False, "what is found is not the node's own (fabric)"),
        (replace(BAD, counted=False), True, "nothing is to be repaired"),
        (replace(BAD, verdict="unknown"), False, "what cannot be read is not repaired on a guess"),
        (replace(BAD, action="none"), False, "no step of ours cures gpu.ecc"),
        (replace(BAD, verdict="warn", action="service"), True, "nothing is to be repaired"),
    ],
)
def test_what_is_no_reason_to_repair(episode: Episode, well: bool, why: str) -> None:
    remedy = remedy_of(case(episode))
    assert (remedy.step, remedy.well) == (None, well)
    assert remedy.why.startswith(why)


def test_a_warning_is_repaired_and_never_for_service() -> None:
    warn = replace(BAD, verdict="warn")
    assert remedy_of(case(warn)).step == "reset_device"
    last = remedy_of(case(warn, changes=[*tried("reset_device", 90), *tried("reboot")]))
    assert last.step is None
    assert last.hint.endswith("`aiops node repair n1 --action service`")


def test_a_person_may_want_another_step() -> None:
    assert remedy_of(case(BAD), "reboot").step == "reboot"
    assert remedy_of(case(), "reset_device").resets == (RESET,)
    assert remedy_of(case(means=Means()), "reset_device").step is None
    assert remedy_of(case(BAD), "restart_service").step is None
    assert remedy_of(case(BAD), "service").step == "service"
    assert remedy_of(case(BAD, state="rma"), "reboot").step is None


@pytest.mark.parametrize("reason", ["Not responding", "bob: board on order", "", "aiops: reboot in base, run r-1: x"])
def test_a_node_that_others_have_put_down_is_not_ours(reason: str) -> None:
    standing = Standing("down", reason)
    assert remedy_of(case(BAD, standing=standing)).step is None
    assert refusal("n1", "drained", standing) is not None
    assert not of_policy(standing, [change("draining")]), "whatever the register knows of an earlier drain"


@pytest.mark.parametrize(
    ("standing", "holder"),
    [
        (None, None),
        (Standing("in_service"), None),
        (Standing("unknown", f"{REASON} x"), None),
        (OURS, "health"),
        (Standing("draining", f"{OPERATOR} bob"), "operator"),
        (Standing("down", "aiops: reboot in base, run r-1: x"), "deploy"),
        (Standing("down", "Not responding"), "others"),
        (Standing("drained"), "others"),
    ],
)
def test_who_holds_a_node(standing: Standing | None, holder: str | None) -> None:
    assert holder_of(standing) == holder


def test_whom_a_person_has_drained_a_person_gives_back() -> None:
    assert of_policy(OURS, ())
    assert not of_policy(Standing("drained", f"{OPERATOR} bob, run r-1: x"), ())
    assert of_policy(None, [change("draining")])
    assert not of_policy(None, [replace(change("draining"), actor="bob on head")])
    assert not of_policy(None, ())


EPISODES = st.builds(
    Episode,
    node=st.just("n1"),
    check=st.sampled_from(["a.b", "c.d"]),
    about=st.sampled_from(["", "GPU 3"]),
    verdict=st.sampled_from(["warn", "critical", "unknown"]),
    message=st.just("x"),
    started=st.just(AT),
    seen=st.just(AT),
    action=st.sampled_from(ACTIONS),
    owner=st.sampled_from(["node", "fabric", "user", "controller"]),
    counted=st.booleans(),
)
REASONS = st.sampled_from(["", "bob", f"{REASON} x", f"{OPERATOR} y", "aiops: reboot in base, run r: z"])
ANY_STANDING = st.none() | st.builds(
    Standing, st.sampled_from(["in_service", "draining", "drained", "down", "unknown"]), REASONS
)
CHANGES = st.lists(
    st.builds(
        change,
        st.sampled_from(STATES),
        st.floats(0, 20000),
        st.sampled_from(["", "x", *(f"{one}: y" for one in ACTIONS), CUT_OFF, f"{UNDONE}: z"]),
        st.sampled_from(STATES),
    ),
    max_size=12,
)


@given(
    st.lists(EPISODES, max_size=6),
    ANY_STANDING,
    st.sampled_from(STATES),
    CHANGES,
    st.none() | st.sampled_from(ACTIONS[1:]),
    st.booleans(),
)
def test_whatever_is_known_nothing_forbidden_is_done(  # noqa: PLR0917 - one drawn value each
    episodes: list[Episode],
    standing: Standing | None,
    state: NodeState,
    changes: list[StateChange],
    wish: Action | None,
    here: bool,
) -> None:
    means = Means({one.key: (RESET,) for one in episodes[::2]}, {one.key: ("a.service",) for one in episodes}, (), here)
    remedy = remedy_of(Case("n1", AT, state, standing, episodes, sorted(changes, key=lambda one: one.at), means), wish)
    if remedy.step is None:
        assert remedy.hint
        return
    assert state != "rma"
    assert standing is None or standing.state in {"drained", "down"}
    assert standing is None or standing.reason.startswith((REASON, OPERATOR))
    assert state not in IN_SERVICE or standing is not None
    assert not (here and remedy.step == "reboot")
    assert remedy.step != "reset_device" or remedy.resets
    assert remedy.step != "restart_service" or remedy.units
    if wish is None and not remedy.resumed:
        assert any(one.counted and one.owner == "node" and one.verdict != "unknown" for one in episodes)
    path = (*way_to_drained(state), "drained") if state not in UNDERWAY else (state,)
    before: NodeState = state
    for after in dict.fromkeys(path):
        assert before == after or allowed(before, after)
        before = after


class Life(RuleBasedStateMachine):
    """A node with a fault that no step, or a certain one, cures: it is never repaired without end."""

    @initialize(
        cure=st.sampled_from(["reset_device", "reboot", None]),
        action=st.sampled_from(ACTIONS[1:5]),
    )
    def break_down(self, cure: Action | None, action: Action) -> None:
        self.cure, self.ill = cure, True
        self.state: NodeState = "drained"
        self.now = AT
        self.changes: list[StateChange] = []
        self.episode = replace(BAD, action=action)
        self.retired = 0

    def enter(self, after: NodeState, cause: str) -> None:
        assert allowed(self.state, after), (self.state, after)
        self.changes.append(StateChange("n1", self.now, self.state, after, cause, "gpu.ecc", POLICY, "r"))
        self.state = after

    def remedy(self) -> Remedy:
        found = [self.episode] if self.ill else []
        means = Means({self.episode.key: (RESET,)}, {self.episode.key: ("a.service",)})
        return remedy_of(Case("n1", self.now, self.state, OURS, found, self.changes, means))

    @precondition(lambda self: self.state in {"drained", *UNDERWAY})
    @rule(cut=st.sampled_from([None, "before", "after"]))
    def repair(self, cut: str | None) -> None:
        self.now += timedelta(minutes=10)
        remedy = self.remedy()
        if remedy.step is None:
            return
        if remedy.step == "service":
            self.retired += 1
            self.enter("rma", remedy.cause)
            return
        if remedy.step != "restart_app" and self.state != "repairing":
            self.enter("repairing", remedy.cause)
        if cut == "before":
            return
        if remedy.step == self.cure:
            self.ill = False
        if self.state != "validating":
            self.enter("validating", f"{remedy.step}: looked at afresh")
        if cut == "after":
            return
        self.enter("drained" if self.ill else "ready", "")

    @precondition(lambda self: self.state == "ready")
    @rule(hours=st.integers(1, 30))
    def break_again(self, hours: int) -> None:
        self.now += timedelta(hours=hours)
        self.ill = True
        self.enter("draining", "critical")
        self.enter("drained", "")

    @precondition(lambda self: self.state == "rma")
    @rule()
    def come_back(self) -> None:
        self.now += timedelta(days=3)
        self.enter("drained", "back")

    @invariant()
    def is_never_repaired_more_often_than_is_allowed(self) -> None:
        if hasattr(self, "changes"):
            made = [one for one in attempts(self.changes, self.now) if one.step in PLAYED]
            assert len(made) <= REPAIRS

    @invariant()
    def goes_on_or_is_well(self) -> None:
        if hasattr(self, "changes") and self.state in {"drained", *UNDERWAY}:
            remedy = self.remedy()
            assert remedy.step is not None or remedy.well


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=40, stateful_step_count=25)


def test_what_the_last_look_no_longer_saw_is_not_repaired() -> None:
    deep = replace(BAD, check="memory.test")
    for minutes, there in ((0.2, [BAD, deep]), (5, [deep])):
        looked = AT + timedelta(minutes=minutes)
        assert list(present([BAD, deep], looked, {"memory.test"})) == there
    assert present([BAD], None, ()) == (BAD,)

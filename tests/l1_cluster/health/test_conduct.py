"""What is done about what was found: only what the policy allows, and never more than that."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.l0_nodes.node import Node
from aiops.layers.l1_cluster.draining import Standing
from aiops.layers.l1_cluster.health.attempt import CUT_OFF, UNDONE
from aiops.layers.l1_cluster.health.conduct import Conduct, Ward, decide, limit, mere_workers
from aiops.layers.l1_cluster.health.episode import Episode
from aiops.layers.l1_cluster.health.finding import Finding
from aiops.layers.l1_cluster.health.hold_reason import OPERATOR, POLICY, REASON
from aiops.layers.l1_cluster.health.node_state import STATES, NodeState, StateChange, allowed
from aiops.layers.l1_cluster.health.site import Policy

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
SERVED = Standing("in_service")
BAD = Finding("gpu01", "gpu.ecc", "critical", "2 errors", "GPU 3", action="reset_device")
NAMES = [f"gpu{number:02d}" for number in range(1, 21)]


def ward(*findings: Finding, **more: Any) -> Ward:
    """Twenty nodes in service, ready and well but for `findings`."""
    worst = {one.node: one.verdict for one in findings if one.counts}
    fresh: dict[str, Any] = {
        "verdicts": {name: worst.get(name, "ok") for name in NAMES},
        "states": dict.fromkeys(NAMES, "ready"),
        "standings": dict.fromkeys(NAMES, SERVED),
        "clean": {},
        "total": len(NAMES),
        "workers": frozenset(NAMES),
    }
    return Ward(AT, findings, **{**fresh, **more})


def on(name: str, finding: Finding = BAD) -> Finding:
    return replace(finding, node=name)


def test_a_critical_node_is_drained_for_its_first_finding() -> None:
    done = decide(ward(BAD, replace(BAD, check="disk.used")), Policy())
    assert done.drain == {"gpu01": BAD}
    assert done.held == {}
    assert done.breaker is None


@pytest.mark.parametrize(
    "finding",
    [
        replace(BAD, verdict="warn"),
        replace(BAD, verdict="unknown"),
        replace(BAD, owner="fabric"),
        replace(BAD, owner="user"),
        replace(BAD, owner="controller"),
        replace(BAD, standing="once"),
        replace(BAD, standing="starting"),
        replace(BAD, standing="observed"),
        replace(BAD, standing="recovering"),
    ],
    ids=lambda one: f"{one.verdict}-{one.owner}-{one.standing}",
)
def test_nothing_else_drains(finding: Finding) -> None:
    done = decide(ward(finding), Policy())
    assert (done.drain, done.held, done.breaker) == ({}, {}, None)


@pytest.mark.parametrize("state", ["draining", "drained", "down", "unknown"])
def test_who_is_out_of_service_already_is_left_alone(state: Any) -> None:
    standings = {**dict.fromkeys(NAMES, SERVED), "gpu01": Standing(state, "bob: disk")}
    done = decide(ward(BAD, standings=standings), Policy())
    assert (done.drain, done.resume, done.breaker) == ({}, (), None)


def test_a_policy_that_drains_nothing() -> None:
    done = decide(ward(BAD), Policy(drain=False))
    assert done.drain == {}
    assert done.held == {"gpu01": "the policy drains nothing"}


def test_the_breaker_opens_when_more_are_critical_than_may_be_drained() -> None:
    several = [on(name) for name in NAMES[:6]]  # 30 %
    done = decide(ward(*several), Policy())
    assert list(done.drain) == NAMES[:2]
    assert set(done.held) == set(NAMES[2:6])
    assert done.breaker == "6 of 20 nodes were critical within 15 minutes, 2 may be drained"
    later = decide(ward(*several, breaker=done.breaker), Policy())
    assert later.drain == {}
    assert all("the breaker is open" in why for why in later.held.values())


def test_what_was_drained_a_while_ago_does_not_count() -> None:
    def drained(name: str, minutes: float, actor: str = POLICY) -> StateChange:
        return StateChange(name, AT - timedelta(minutes=minutes), "ready", "draining", "", actor=actor)

    out = {**dict.fromkeys(NAMES, SERVED), **dict.fromkeys(NAMES[:2], Standing("drained", f"{REASON} x"))}
    lately = [drained(name, 10) for name in NAMES[:2]]
    assert decide(ward(on("gpu05"), changes=lately, standings=out), Policy()).drain == {}
    before = [drained(name, 16) for name in NAMES[:2]]
    assert list(decide(ward(on("gpu05"), changes=before, standings=out), Policy()).drain) == ["gpu05"]
    by_hand = [drained(name, 1, "alice on head") for name in NAMES[:2]]
    assert list(decide(ward(on("gpu05"), changes=by_hand, standings=out), Policy()).drain) == ["gpu05"]


def test_a_small_cluster_may_lose_one_node() -> None:
    assert limit(Policy(), 3) == 1
    assert limit(Policy(), 20) == 2
    assert limit(Policy(most_percent=0), 20) == 1


def resumed(reason: str, clean: int = 2, state: Any = "drained", *findings: Finding) -> Conduct:
    standings = {**dict.fromkeys(NAMES, SERVED), "gpu01": Standing(state, reason)}
    states = {**dict.fromkeys(NAMES, "ready"), "gpu01": "drained"}
    return decide(ward(*findings, standings=standings, states=states, clean={"gpu01": clean}), Policy())


def test_who_was_drained_for_its_health_returns_after_two_clean_looks() -> None:
    assert resumed(f"{REASON} gpu.ecc: 2 errors").resume == ("gpu01",)
    assert resumed(f"{REASON} gpu.ecc: 2 errors", clean=1).resume == ()


@pytest.mark.parametrize(
    "reason", ["", "bob: disk", "Not responding", f"{OPERATOR} alice: mine", "aiops: reboot in base, run r-1: x"]
)
def test_nobody_else_s_node_is_given_back(reason: str) -> None:
    assert resumed(reason, clean=99).resume == ()


def test_what_only_just_recovered_is_waited_for() -> None:
    assert resumed(f"{REASON} x", 5, "drained", replace(BAD, standing="recovering")).resume == ()


@pytest.mark.parametrize(
    ("more", "back"),
    [
        ({}, False),
        ({"verdict": "warn"}, True),
        ({"counted": False}, True),
        ({"owner": "fabric"}, True),
        ({"ended": AT}, True),
    ],
    ids=str,
)
def test_a_deep_test_that_failed_holds_a_node_though_shallow_looks_are_clean(more: Any, back: bool) -> None:
    deep = Episode("gpu01", "gpu.memory_test", "GPU 3", "critical", "3 wrong words", AT, AT, action="service")
    given_ = out("gpu01", clean={"gpu01": 9}, findings=(), episodes={"gpu01": [replace(deep, **more)]})
    assert decide(given_, Policy()).resume == (("gpu01",) if back else ())
    shown = Finding("gpu01", deep.check, "critical", "3 wrong words", "GPU 3", standing="observed")
    assert decide(replace(given_, findings=(shown,)), Policy()).resume == ("gpu01",), "the site only observes it by now"


def test_states_follow_what_is_seen() -> None:
    states: dict[str, NodeState] = {"gpu01": "ready", "gpu02": "degraded", "gpu03": "draining", "gpu05": "drained"}
    standings = {
        **dict.fromkeys(NAMES, SERVED),
        "gpu03": Standing("drained", f"{REASON} x"),
        "gpu04": Standing("draining", "bob: mine"),
        "gpu06": Standing("unknown", "no answer"),
    }
    warn = replace(BAD, verdict="warn", check="gpu.temp")
    became = {
        one.node: (one.before, one.after)
        for one in decide(ward(warn, states=states, standings=standings), Policy()).became
    }
    assert became["gpu01"] == ("ready", "degraded")
    assert became["gpu02"] == ("degraded", "ready")
    assert became["gpu03"] == ("draining", "drained")
    assert became["gpu04"] == ("new", "draining")
    assert became["gpu05"] == ("drained", "ready"), "somebody has given it back"
    assert became["gpu06"] == ("new", "ready")


def test_a_node_that_could_not_be_looked_at_keeps_its_state() -> None:
    unknown = Finding("gpu01", "node.reachable", "unknown", "did not answer")
    assert [one.node for one in decide(ward(unknown), Policy()).became] == []


FINDINGS = st.builds(
    Finding,
    node=st.sampled_from(NAMES),
    check=st.sampled_from(["a.b", "c.d"]),
    verdict=st.sampled_from(["warn", "critical", "unknown"]),
    message=st.just("x"),
    owner=st.sampled_from(["node", "fabric", "user"]),
    standing=st.sampled_from(["counts", "once", "observed"]),
)
STANDINGS = st.builds(
    Standing,
    st.sampled_from(["in_service", "draining", "drained", "down", "unknown"]),
    st.sampled_from(["", "bob", f"{REASON} x", f"{OPERATOR} y", "aiops: reboot in base, run r: z"]),
)


@given(
    st.lists(FINDINGS, max_size=30),
    st.lists(STANDINGS, min_size=20, max_size=20),
    st.lists(st.sampled_from(STATES), min_size=20, max_size=20),
    st.lists(st.integers(0, 3), min_size=20, max_size=20),
    st.integers(0, 3),
    st.booleans(),
)
def test_whatever_is_seen_nothing_forbidden_is_done(  # noqa: PLR0917 - one drawn value each
    findings: list[Finding],
    standings: list[Standing],
    states: list[NodeState],
    clean: list[int],
    drained: int,
    is_open: bool,
) -> None:
    changes = [StateChange(name, AT, "ready", "draining", "", actor=POLICY) for name in NAMES[:drained]]
    given_ward = ward(
        *findings,
        standings=dict(zip(NAMES, standings, strict=True)),
        states=dict(zip(NAMES, states, strict=True)),
        clean=dict(zip(NAMES, clean, strict=True)),
        changes=changes,
        breaker="x" if is_open else None,
    )
    done = decide(given_ward, Policy())
    assert len(done.drain) + drained <= max(limit(Policy(), 20), drained)
    assert not (is_open and done.drain)
    for name, finding in done.drain.items():
        assert (finding.verdict, finding.owner, finding.standing) == ("critical", "node", "counts")
        assert given_ward.standings[name].state == "in_service"
        assert given_ward.states[name] != "rma"
    for name in done.resume:
        assert given_ward.standings[name].reason.startswith(REASON)
        assert given_ward.clean[name] >= Policy().clean_runs
    for one in done.became:
        assert allowed(one.before, one.after)
    assert not set(done.drain) & set(done.resume)


def test_no_state_leads_nowhere_and_rma_is_left_by_service_alone() -> None:
    assert all(any(allowed(before, after) for after in STATES) for before in STATES)
    assert [after for after in STATES if allowed("rma", after)] == ["drained"]
    assert all(allowed(before, "rma") for before in STATES if before != "rma")


ILL = Episode("gpu01", BAD.check, BAD.about, "critical", BAD.message, AT, AT, action="reset_device")
HELD = Standing("drained", f"{REASON} gpu.ecc, run r-1: 2 errors")
CURING = Policy(repair=("reset_device",))


SERVED_OTHERS = dict.fromkeys(NAMES[1:], SERVED)
DRAINED_BY_POLICY = [StateChange("gpu01", AT - timedelta(hours=1), "ready", "draining", "x", actor=POLICY)]


def out(*names: str, state: NodeState = "drained", standing: Standing = HELD, **more: Any) -> Ward:
    """Nodes that are out of service and still ill."""
    given_: dict[str, Any] = {
        "states": {**dict.fromkeys(NAMES, "ready"), **dict.fromkeys(names, state)},
        "standings": {**dict.fromkeys(NAMES, SERVED), **dict.fromkeys(names, standing)},
        "episodes": {name: [replace(ILL, node=name)] for name in names},
    }
    found = more.pop("findings", tuple(on(name) for name in names))
    return ward(*found, **{**given_, **more})


def test_the_policy_repairs_what_it_has_drained_by_the_steps_that_it_takes() -> None:
    assert decide(out("gpu01"), CURING).repair == ("gpu01",)
    assert decide(out("gpu01"), Policy()).repair == ()
    assert decide(out("gpu01"), Policy(repair=("reboot",))).repair == ()
    tried = [
        StateChange("gpu01", AT - timedelta(hours=1), "drained", "repairing", "reset_device: x", actor=POLICY),
        StateChange("gpu01", AT - timedelta(minutes=59), "repairing", "drained", "reset_device failed: x"),
    ]
    assert decide(out("gpu01", changes=tried), CURING).repair == (), "the next step is one that it does not take"
    assert decide(out("gpu01", changes=tried), Policy(repair=("reset_device", "reboot"))).repair == ("gpu01",)


@pytest.mark.parametrize(
    "ward_",
    [
        out("gpu01", standing=Standing("drained", f"{OPERATOR} bob, run r-1: cable")),
        out("gpu01", standing=Standing("drained", "bob: disk")),
        out("gpu01", standing=Standing("draining", HELD.reason, ("job 1",)), state="draining"),
        out("gpu01", state="rma"),
        out("gpu01", breaker="6 of 20 nodes were critical"),
        out("gpu01", episodes={}),
        out("gpu01", workers=frozenset(NAMES) - {"gpu01"}),
        out("gpu01", standings=SERVED_OTHERS, changes=DRAINED_BY_POLICY),
        ward(replace(BAD, verdict="unknown"), states={"gpu01": "drained"}, standings={"gpu01": HELD}),
    ],
)
def test_nothing_else_is_repaired(ward_: Ward) -> None:
    assert decide(ward_, CURING).repair == ()


def test_a_head_that_nobody_gives_work_is_not_drained_and_opens_no_breaker() -> None:
    served = {name: SERVED for name in NAMES if name != "gpu02"}
    alone = decide(ward(on("gpu02"), standings=served, workers=frozenset(NAMES) - {"gpu02"}), Policy())
    assert (dict(alone.drain), dict(alone.held), alone.breaker) == ({}, {}, None)
    given = decide(ward(on("gpu01"), standings=served, workers=frozenset()), Policy())
    assert list(given.drain) == ["gpu01"], "who gets work is drained, whatever else it does"


def test_who_serves_others_is_no_mere_worker() -> None:
    roles: tuple[set[str], ...] = ({"workers"}, {"head"}, {"workers", "head"}, {"storage"}, {"login", "workers"}, set())
    nodes = [Node(f"n{number}", roles=frozenset(own)) for number, own in enumerate(roles)]
    assert mere_workers(nodes) == {"n0"}


def test_no_more_are_repaired_within_the_policy_s_minutes_than_may_be_drained() -> None:
    assert decide(out(*NAMES[:6]), CURING).repair == tuple(NAMES[:2])
    lately = [StateChange("gpu09", AT - timedelta(minutes=5), "drained", "repairing", "reboot: x", actor=POLICY)]
    assert decide(out(*NAMES[:6], changes=lately), CURING).repair == tuple(NAMES[:1])
    for after in ("rma", "validating"):
        other = replace(lately[0], after=after, cause="service: x")
        assert decide(out(*NAMES[:6], changes=[other]), CURING).repair == tuple(NAMES[:1]), after
        assert decide(out(*NAMES[:6], changes=[replace(other, actor="bob")]), CURING).repair == tuple(NAMES[:2])


def test_what_no_step_reaches_is_left_to_a_person_and_told() -> None:
    tries = [
        change
        for minutes in (90, 60)
        for change in (
            StateChange("gpu01", AT - timedelta(minutes=minutes), "drained", "repairing", "reset_device: x"),
            StateChange("gpu01", AT - timedelta(minutes=minutes - 1), "repairing", "drained", f"{UNDONE}: no route"),
        )
    ]
    everything = Policy(repair=("reset_device", "reboot"))
    assert decide(out("gpu01", changes=tries[:2]), everything).repair == ("gpu01",)
    done = decide(out("gpu01", changes=tries), everything)
    assert done.repair == ()
    assert done.left == {
        "gpu01": "gpu01 is not repaired: 2 tries in a row were not done; last: no route; see why, then: "
        "`aiops node repair gpu01 --action reset_device`"
    }


def cut_off(state: NodeState, **more: Any) -> Ward:
    """A node whose repair was begun by a run."""
    begun = StateChange(
        "gpu01", AT - timedelta(minutes=9), "drained", "repairing", "reset_device: x", run="r-7", actor=POLICY
    )
    last = replace(begun, before="repairing", after="validating") if state == "validating" else begun
    return out("gpu01", state=state, changes=list(dict.fromkeys([begun, last])), last={"gpu01": last}, **more)


def test_a_look_whose_run_is_dead_is_put_back_and_one_that_lives_is_left_alone() -> None:
    dead = decide(cut_off("validating"), Policy(repair=("reboot",)))
    (became,) = [one for one in dead.became if one.node == "gpu01"]
    assert (became.before, became.after) == ("validating", "drained")
    assert became.cause == f"{CUT_OFF}: run r-7 has ended, and it had not"
    alive = decide(cut_off("validating", live=frozenset({"r-7"})), CURING)
    assert [one.node for one in alive.became] == []
    assert alive.repair == ()
    served = decide(cut_off("validating", standing=SERVED), CURING)
    assert [one.after for one in served.became if one.node == "gpu01"] == ["degraded"]


@pytest.mark.parametrize("well", [True, False])
def test_a_step_that_was_cut_off_is_taken_up_and_never_given_back_before(well: bool) -> None:
    found: dict[str, Any] = {"findings": (), "episodes": {}, "clean": {"gpu01": 99}} if well else {}
    told = {"gpu01": "gpu01 is in a repair that was cut off: `aiops node repair gpu01`"}
    by_person = decide(cut_off("repairing", **found), Policy())
    assert ([one.node for one in by_person.became], by_person.resume, by_person.repair) == ([], (), ())
    assert by_person.left == told
    by_policy = decide(cut_off("repairing", **found), replace(CURING, most_percent=0))
    assert ([one.node for one in by_policy.became], by_policy.resume, by_policy.repair) == ([], (), ("gpu01",))
    assert by_policy.left == {}
    stopped = decide(cut_off("repairing", breaker="6 of 20", **found), CURING)
    assert (stopped.resume, stopped.repair, stopped.left) == ((), (), told)
    alive = decide(cut_off("repairing", live=frozenset({"r-7"}), **found), CURING)
    assert (alive.resume, alive.repair, alive.left) == ((), (), {})

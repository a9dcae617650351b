"""Which jobs start where."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from tests.l2_jobs.simulated_stage import a_job

from aiops.layers.l2_jobs.action import Examine, Launch
from aiops.layers.l2_jobs.decide import decide
from aiops.layers.l2_jobs.job import Devices, Job, Span
from aiops.layers.l2_jobs.node import Place
from aiops.layers.l2_jobs.record import JobRecord
from aiops.layers.l2_jobs.report import Heard, Silent, Unavailable
from aiops.layers.l2_jobs.roster import Roster
from aiops.layers.l2_jobs.watch import Watch
from aiops.layers.l2_jobs.world import Settings, World


def places(count: int = 4, **changes: object) -> dict[str, Place]:
    base = Place("", "ssh", tuple(range(8)), "nvidia", verdict="ok", verdict_at=100.0)
    names = [f"gpu{number:02}" for number in range(1, count + 1)]
    return {name: replace(base, name=name, **changes) for name in names}  # type: ignore[arg-type]


def job(name: str, nodes: int = 1, devices: int = 8, *, age: int = 0, **changes: object) -> Job:
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=age)
    return replace(a_job(name, nodes), **{"devices": Devices(devices), "submitted": at, **changes})  # type: ignore[arg-type]


def started(
    jobs: Sequence[Job], where: dict[str, Place], *, watch: Watch | None = None, **changes: object
) -> dict[str, tuple[str, ...]]:
    roster = Roster.of(JobRecord(one, "queued", 0.0, "waits for its turn") for one in jobs)
    world = replace(World(roster, places=where, watch=watch or Watch()), **changes)  # type: ignore[arg-type]
    actions = decide(world, 110.0).actions
    return {a.attempt.key.job: a.attempt.allocation.nodes for a in actions if isinstance(a, Launch)}


def test_priority_then_age() -> None:
    jobs = [job("old", 4, age=1), job("new", 4, age=2, priority=90), job("oldest", 4)]
    assert set(started(jobs, places())) == {"new-1"}
    assert set(started([jobs[0], jobs[2]], places())) == {"oldest-1"}


def test_a_gang_is_placed_whole_or_not_at_all() -> None:
    assert not started([job("gang", 5)], places())
    assert started([job("gang", 4)], places()) == {"gang-1": ("gpu01", "gpu02", "gpu03", "gpu04")}


def test_others_do_not_delay_the_first_that_does_not_fit() -> None:
    busy = job("busy", 1)
    roster = Roster.of([JobRecord(busy, "queued", 0.0, "x")])
    world = World(roster, places=places())
    (begun,) = decide(world, 110.0).records
    jobs = [job("large", 4, age=1), job("small", 1, age=2)]
    roster = Roster.of([begun, *(JobRecord(one, "queued", 0.0, "x") for one in jobs)])
    actions = decide(replace(world, roster=roster), 111.0).actions
    assert not [one for one in actions if isinstance(one, Launch)]
    # With a fifth node the small one has room that the large one does not need.
    actions = decide(replace(world, roster=roster, places=places(6)), 111.0).actions
    assert {a.attempt.key.job for a in actions if isinstance(a, Launch)} == {"large-1", "small-1"}


def test_a_node_that_was_silent_a_short_while_ago_is_taken_last() -> None:
    watch = Watch().after([Heard("gpu01", 1.0, "b"), Silent("gpu01", 50.0, "x"), Heard("gpu01", 60.0, "b")])
    for one in (job("a"), job("a", 3)):
        assert "gpu01" not in started([one], places(), watch=watch)["a-1"]
    assert "gpu01" in started([job("a", 4)], places(), watch=watch)["a-1"]
    assert started([job("a")], places(1), watch=watch)["a-1"] == ("gpu01",)
    watch = Watch().after([Heard("gpu01", -900.0, "b"), Silent("gpu01", -800.0, "x"), Heard("gpu01", -700.0, "b")])
    assert started([job("a")], places(), watch=watch)["a-1"] == ("gpu01",)
    assert started([job("a")], places(), watch=Watch().after([Heard("gpu01", 100.0, "b")]))["a-1"] == ("gpu01",)


def test_a_job_that_can_never_fit_keeps_nothing_back() -> None:
    jobs = [job("huge", 9), job("small", 1, age=1)]
    assert set(started(jobs, places())) == {"small-1"}


def test_closed_silent_critical_and_unavailable_nodes_are_passed_over() -> None:
    assert not started([job("a")], places(1, closed="drained: fan"))
    assert not started([job("a")], places(1, verdict="critical"))
    assert not started([job("a")], places(1, verdict="unknown"))
    assert not started([job("a")], places(1, off=50.0))
    assert not started([job("a")], places(1), watch=Watch().after([Silent("gpu01", 100.0, "")]))
    assert not started([job("a")], places(1), watch=Watch().after([Unavailable("ssh", 100.0, "")]))
    assert not started([job("a")], places(1), settled=False)
    assert started([job("a")], places(1, verdict="warn"))


def test_a_start_waits_for_a_verdict_that_is_too_old_or_missing() -> None:
    for where in (places(2, verdict_at=49.0), places(2, verdict="unknown", verdict_at=None)):
        world = World(Roster.of([JobRecord(job("a", 2), "queued", 0.0, "x")]), places=where)
        decided = decide(world, 110.0)
        assert decided.actions == (Examine(("gpu01", "gpu02")),)
        looking = {name: replace(place, looking=True) for name, place in where.items()}
        assert not decide(replace(world, places=looking), 110.0).actions


def test_vendors_and_engines_do_not_mix() -> None:
    mixed = places(2) | {"npu01": replace(places(1)["gpu01"], name="npu01", vendor="ascend")}
    assert not started([job("a", 3)], mixed)
    slurm = places(2) | {"cn01": replace(places(1)["gpu01"], name="cn01", engine="slurm")}
    assert not started([job("a", 3)], slurm)
    assert started([job("a", 1, engine="slurm")], slurm) == {"a-1": ("cn01",)}
    assert started([replace(job("a"), devices=Devices(8, vendor="ascend"))], mixed) == {"a-1": ("npu01",)}


def test_only_chosen_nodes_are_used() -> None:
    chosen = replace(job("a"), nodes=Span(1, 1, ("gpu03",)))
    assert started([chosen], places()) == {"a-1": ("gpu03",)}


def test_shares_only_where_the_owner_allows_and_never_more_than_a_whole() -> None:
    shared = [replace(job(f"s{n}", age=n), devices=Devices(1, share=0.4)) for n in range(5)]
    assert not started(shared, places(1))
    one = places(1, shares=True, devices=(0, 1))
    assert set(started(shared, one)) == {"s0-1", "s1-1", "s2-1", "s3-1"}


def test_spares_are_left_for_restarts() -> None:
    jobs = [job(f"j{n}", age=n) for n in range(4)]
    assert len(started(jobs, places(), settings=Settings(spares=1))) == 3


def test_suspects_are_used_last_and_avoided_nodes_never() -> None:
    record = JobRecord(job("a", 2), "queued", 0.0, "x", suspects={"gpu01": "?"}, avoid={"gpu02": "!"})
    world = World(Roster.of([record]), places=places(3))
    (launch,) = [a for a in decide(world, 110.0).actions if isinstance(a, Launch)]
    assert launch.attempt.allocation.nodes == ("gpu01", "gpu03")
    world = World(Roster.of([record]), places=places(4))
    (launch,) = [a for a in decide(world, 110.0).actions if isinstance(a, Launch)]
    assert launch.attempt.allocation.nodes == ("gpu03", "gpu04")


@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.sampled_from([0, 1, 2, 4, 8]), st.booleans(), st.integers(0, 3)), max_size=25
    ),
    st.integers(1, 6),
)
def test_no_device_is_given_twice_whatever_is_asked(wants: list[tuple[int, int, bool, int]], count: int) -> None:
    jobs = [
        replace(
            job(f"j{number}", nodes, devices, age=number, priority=priority),
            devices=Devices(1, share=0.3) if share else Devices(devices),
        )
        for number, (nodes, devices, share, priority) in enumerate(wants)
    ]
    roster = Roster.of(JobRecord(one, "queued", 0.0, "x") for one in jobs)
    world = World(roster, places=places(count, shares=True))
    decided = decide(world, 110.0)
    assert decided == decide(world, 110.0)
    given: dict[tuple[str, int], float] = {}
    for action in decided.actions:
        if isinstance(action, Launch):
            slots = action.attempt.allocation.slots
            assert len({slot.node for slot in slots}) == len(slots)
            for slot in slots:
                for device in slot.devices:
                    given[slot.node, device] = given.get((slot.node, device), 0.0) + slot.share
    assert all(part <= 1.0 + 1e-9 for part in given.values())
    after = Roster.of(world.roster.after(decided.records).jobs.values())
    assert after == world.roster.after(decided.records)
    again = decide(replace(world, roster=after), 110.0)
    assert not again.records


def test_who_waits_for_nodes_is_told_why_they_get_no_work() -> None:
    roster = Roster.of([JobRecord(job("a", devices=0), "queued", 0.0, "waits for its turn")])
    where = places(2, closed="its accelerators could not be read")
    (record,) = decide(World(roster, places=where), 110.0).records
    assert record.reason == (
        "no node in service; waits for nodes to come back (gpu01, gpu02: its accelerators could not be read)"
    )

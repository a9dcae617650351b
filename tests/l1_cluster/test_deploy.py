"""The deploy's state machine against fake nodes: who is touched, who is left out, and what is written down."""

import hashlib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from aiops.layers.core.errors import ConflictError, InputError
from aiops.layers.l1_cluster.observation import REBOOT_MARKER

from .fake_cluster import BASE, DRIVER, KERNEL, SCHEDULER, World, outcomes


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_deploy_converges_and_the_second_touches_nothing(world: World) -> None:
    done = world.deploy(BASE, SCHEDULER)
    assert done.ledger.ok
    assert world.applied == [("base", ("head", "w1", "w2")), ("scheduler", ("head", "w1", "w2"))]
    assert outcomes(done)["scheduler"] == {"head": "changed", "w1": "changed", "w2": "changed"}
    assert outcomes(done)["verify"] == {"head": "ok", "w1": "ok", "w2": "ok"}
    before = {name: (dict(host.files), dict(host.units)) for name, host in world.hosts.items()}

    again = world.deploy(BASE, SCHEDULER)
    assert again.ledger.ok
    assert not again.plan.changed_phases
    assert len(world.applied) == 2
    assert len(world.plans) == 1
    assert {name: (host.files, host.units) for name, host in world.hosts.items()} == before


def test_only_nodes_that_differ_are_touched(world: World) -> None:
    world.deploy(BASE)
    world.hosts["w1"].files["/etc/hosts"] = ("0644", "f" * 64)
    done = world.deploy(BASE)
    assert world.applied[-1] == ("base", ("w1",))
    assert outcomes(done)["base"] == {"head": "ok", "w1": "changed", "w2": "ok"}


def test_events_tell_the_story(world: World) -> None:
    world.deploy(BASE)
    assert world.kinds("w1") == ["node_finished", "resource_changed", "node_finished", "node_finished"]
    kinds = [event.kind for event in world.events if event.node is None]
    assert kinds == [
        *("phase_started", "phase_finished", "preflight_finished", "plan_made"),
        *("phase_started", "phase_finished", "phase_started", "phase_finished"),
    ]
    finished = [event for event in world.events if event.kind == "phase_finished"][1]
    assert (finished.data["phase"], finished.data["changed"], finished.data["failed"]) == ("base", 3, 0)


def test_what_an_earlier_phase_brings_about_is_told_as_changed(world: World) -> None:
    def bring(moment: str) -> None:
        if moment == "apply base":
            world.hosts["w1"].units["slurmd.service"] = "active"

    world.on = bring
    world.deploy(BASE, SCHEDULER)
    changed = [event.data["key"] for event in world.events if (event.kind, event.node) == ("resource_changed", "w1")]
    assert sorted(changed) == ["file:/etc/hosts", "file:/etc/munge.key", "file:/etc/slurm.conf", "service:slurmd"]


def test_a_dead_node_stops_no_other(world: World) -> None:
    world.hosts["w1"].dead = True
    done = world.deploy(BASE, SCHEDULER)
    assert not done.ledger.ok
    assert world.applied == [("base", ("head", "w2")), ("scheduler", ("head", "w2"))]
    (failure,) = done.ledger.failures
    assert (failure.node, failure.phase) == ("w1", "connect")
    assert "did not answer" in failure.reason
    assert outcomes(done)["base"]["w1"] == "blocked"
    # The dead node is still in files that list all nodes.
    assert world.hosts["w2"].files["/etc/hosts"] == world.hosts["head"].files["/etc/hosts"]


def test_a_node_that_dies_midway_has_failed_there(world: World) -> None:
    def die(moment: str) -> None:
        if moment == "apply scheduler":
            world.hosts["w2"].dead = True

    world.on = die
    done = world.deploy(BASE, SCHEDULER)
    assert [(one.node, one.phase) for one in done.ledger.failures] == [("w2", "scheduler")]
    assert outcomes(done)["scheduler"]["w1"] == "changed"


def test_a_failing_task_is_told_and_blocks_its_node_later(world: World) -> None:
    world.failing["base", "w1"] = "Unable to locate package chrony"
    done = world.deploy(BASE, SCHEDULER)
    assert outcomes(done)["base"] == {"head": "changed", "w1": "failed", "w2": "changed"}
    assert outcomes(done)["scheduler"]["w1"] == "blocked"
    assert world.applied[-1] == ("scheduler", ("head", "w2"))
    (event,) = [event for event in world.events if event.kind == "task_failed"]
    assert (event.node, event.data["task"]) == ("w1", "Install packages")
    assert event.data["reason"] == "Unable to locate package chrony"
    assert event.data["tail"] == ["E: line"]


def test_a_failing_head_blocks_what_needs_it(world: World) -> None:
    world.failing["base", "head"] = "no space left on device"
    done = world.deploy(BASE, SCHEDULER)
    assert outcomes(done)["base"] == {"head": "failed", "w1": "changed", "w2": "changed"}
    assert outcomes(done)["scheduler"] == {"head": "blocked", "w1": "blocked", "w2": "blocked"}
    (entry,) = [entry for entry in done.ledger.held_up if entry.node == "w1"]
    assert entry.reason == "it needs head: head failed in phase `base`"
    # What was not tried is not said to be as wanted.
    assert outcomes(done)["verify"] == {"w1": "blocked", "w2": "blocked"}


def test_what_comes_after_a_phase_that_lacks_its_head_is_blocked_too(world: World) -> None:
    world.failing["repository", "head"] = "no space left on device"
    repository = "phase: repository\nneeds: [head]\nresources: [{file: /etc/apt, content: x}]\n"
    done = world.deploy(repository, BASE.replace("phase: base", "phase: base\nafter: [repository]"))
    assert outcomes(done)["repository"]["w1"] == "changed"
    assert outcomes(done)["base"] == {"head": "blocked", "w1": "blocked", "w2": "blocked"}


def test_ansible_saying_all_is_well_is_not_believed(world: World) -> None:
    world.doing_nothing.add(("base", "w1"))
    done = world.deploy(BASE)
    (failure,) = done.ledger.failures
    assert failure.node == "w1"
    assert failure.reason == "file:/etc/hosts is absent, not file"


def test_a_phase_that_is_undone_by_a_later_one_is_found(world: World) -> None:
    def undo(moment: str) -> None:
        if moment == "apply scheduler":
            world.hosts["w1"].files["/etc/hosts"] = ("0644", "f" * 64)

    world.on = undo
    done = world.deploy(BASE, SCHEDULER)
    (failure,) = done.ledger.failures
    assert (failure.node, failure.phase) == ("w1", "verify")
    assert "phase `base` is undone: file:/etc/hosts" in failure.reason


def test_services_on_their_way_are_waited_for(world: World) -> None:
    world.hosts["w1"].slow_starts = 3
    assert world.deploy(BASE, SCHEDULER).ledger.ok
    assert world.clock.seconds >= 2.0


def test_a_service_that_never_comes_up_fails_at_the_deadline(world: World) -> None:
    world.hosts["w1"].slow_starts = 10_000
    done = world.deploy(BASE, SCHEDULER)
    (failure,) = done.ledger.failures
    assert failure.reason == "service:slurmd is enabled, activating, not enabled, active"
    assert world.clock.seconds < 60


def test_one_reboot_serves_two_phases(world: World) -> None:
    done = world.deploy(KERNEL.replace("after: [base]\n", ""), DRIVER)
    assert done.ledger.ok
    assert {name: host.boots for name, host in world.hosts.items()} == {"head": 1, "w1": 1, "w2": 1}
    rebooted = [(event.node, event.data["phase"]) for event in world.events if event.kind == "reboot_finished"]
    assert sorted(rebooted) == [("head", "kernel"), ("w1", "driver"), ("w2", "driver")]
    assert not world.deploy().plan.changed_phases


def test_the_machine_aiops_runs_on_is_never_rebooted(world: World) -> None:
    done = world.deploy(KERNEL.replace("after: [base]\n", ""), here="boot-head-0")
    assert world.hosts["head"].boots == 0
    (failure,) = done.ledger.failures
    assert failure.node == "head"
    assert "reboot it yourself" in failure.reason


def test_a_reboot_left_over_is_done_by_the_next_run(world: World) -> None:
    world.hosts["w1"].files[REBOOT_MARKER] = ("0644", "")
    world.hosts["w1"].files["/etc/kernel"] = ("0644", "x")
    world.deploy(KERNEL.replace("after: [base]\n", ""))
    assert world.hosts["w1"].boots == 1


def test_a_dry_run_takes_no_lock_and_leaves_nothing(world: World) -> None:
    world.on = lambda moment: pytest.fail(moment) if moment != "probe" else None
    done = world.deploy(BASE, SCHEDULER, dry_run=True)
    assert [phase.phase for phase in done.plan.changed_phases] == ["base", "scheduler"]
    assert world.applied == []
    assert not (world.folder / "secrets").exists()


def test_declining_changes_nothing(world: World) -> None:
    world.confirmed = False
    done = world.deploy(BASE)
    assert done.declined
    assert world.applied == []


def test_chosen_nodes_only_but_files_list_all(world: World) -> None:
    world.deploy(BASE, on="w1")
    assert world.applied == [("base", ("w1",))]
    assert [event.node for event in world.events if event.kind == "node_finished"] == ["w1", "w1", "w1"]
    world.deploy(BASE)
    assert world.hosts["w1"].files["/etc/hosts"] == world.hosts["head"].files["/etc/hosts"]


def test_facts_are_asked_again_after_a_reboot(world: World) -> None:
    def learn(moment: str) -> None:
        if moment == "apply kernel":
            world.kernels["head"] = "6.12"

    world.on = learn
    kernel = KERNEL.replace("after: [base]\n", "")
    done = world.deploy(kernel, SCHEDULER.replace("after: [base]", "after: [kernel]"))
    assert done.ledger.ok
    assert world.hosts["w1"].files["/etc/slurm.conf"][1] == hashlib.sha256(b"boot 6.12").hexdigest()
    assert not world.deploy().plan.changed_phases


def test_facts_that_change_without_a_reboot_are_found_at_the_end(world: World) -> None:
    def learn(moment: str) -> None:
        if moment == "apply scheduler":
            world.kernels["head"] = "6.12"

    world.on = learn
    done = world.deploy(BASE, SCHEDULER)
    assert {one.phase for one in done.ledger.failures} == {"scheduler"}
    assert world.deploy().ledger.ok


def test_the_last_phase_and_the_look_at_everything_are_one_round_trip(world: World) -> None:
    def count(moment: str) -> None:
        looks.append(moment)

    looks: list[str] = []
    world.on = count
    done = world.deploy(BASE, SCHEDULER)
    assert done.ledger.ok
    assert {one.node for one in done.ledger if one.phase == "verify"} == {"head", "w1", "w2"}
    last = max(index for index, moment in enumerate(looks) if moment.startswith("apply"))
    assert looks[last:].count("probe") == 1


def test_a_phase_that_cannot_be_worked_out_stops_before_anything(world: World) -> None:
    broken = BASE.replace("{{ node.name }}", "{{ node.nam }}")
    with pytest.raises(InputError, match="cannot be worked out for head") as caught:
        world.deploy(broken)
    assert caught.value.problems[0].line == 4
    assert world.applied == []
    assert world.locked == 0


def test_a_role_that_a_phase_needs_is_missing(tmp_path: Path) -> None:
    world = World(tmp_path, names=("w1", "w2"))
    with pytest.raises(InputError):
        world.deploy(SCHEDULER.replace("after: [base]\n", ""))


def daemons_are_newest(world: World) -> bool:
    return all(
        {path: running.get(path) for path in ("/etc/slurm.conf", "/etc/munge.key")}
        == {path: host.files[path][1] for path in ("/etc/slurm.conf", "/etc/munge.key")}
        for host in world.hosts.values()
        for running in [host.running["slurmd.service"]]
    )


MOMENTS = ["probe", "confirm", "guard", "apply base", "apply scheduler", "services head", "services w1", "services w2"]


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("number", [1, 2, 3])
def test_an_interrupt_at_any_point_frees_the_lock_and_a_rerun_converges(world: World, moment: str, number: int) -> None:
    seen = 0

    def interrupt(now: str) -> None:
        nonlocal seen
        seen += now == moment
        if seen == number:
            seen += 1
            raise KeyboardInterrupt

    world.on = interrupt
    try:
        world.deploy(BASE, SCHEDULER)
    except KeyboardInterrupt:
        assert world.locked == 0
    world.on = lambda moment: None
    assert world.deploy().ledger.ok
    assert daemons_are_newest(world)
    assert not world.deploy().plan.changed_phases


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("moment", MOMENTS)
def test_no_daemon_keeps_an_older_file_after_an_interrupted_change(world: World, moment: str, number: int) -> None:
    world.deploy(BASE, SCHEDULER)
    seen = 0

    def interrupt(now: str) -> None:
        nonlocal seen
        seen += now == moment
        if seen == number:
            seen += 1
            raise KeyboardInterrupt

    world.on = interrupt
    newer = SCHEDULER.replace("boot ", "newer ")
    with suppress(KeyboardInterrupt):
        world.deploy(BASE, newer)
    world.on = lambda moment: None
    assert world.deploy().ledger.ok
    assert daemons_are_newest(world)
    assert not world.deploy().plan.changed_phases


def test_a_restart_that_a_failure_kept_from_happening_is_made_up_for(world: World) -> None:
    world.deploy(BASE, SCHEDULER)
    world.failing_midway.add(("scheduler", "w1"))
    assert not world.deploy(BASE, SCHEDULER.replace("boot ", "newer ")).ledger.ok
    assert not daemons_are_newest(world)
    world.failing_midway.clear()
    done = world.deploy()
    assert [(change.action, change.key, node) for _, node, change in done.plan.changes()] == [
        ("restart", "service:slurmd", "w1")
    ]
    assert done.ledger.ok
    assert daemons_are_newest(world)
    assert not world.deploy().plan.changed_phases


def test_a_lost_lock_stops_before_the_next_phase(world: World) -> None:
    def lose(moment: str) -> None:
        if moment == "guard" and world.applied:
            raise ConflictError("lost", code="lock.lost")

    world.on = lose
    done = world.deploy(BASE, SCHEDULER)
    assert [phase for phase, _ in world.applied] == ["base"]
    assert done.stop is not None
    assert isinstance(done.stop.error, ConflictError)
    assert str(done.stop) == "the rollout stopped in phase `scheduler`: lost"
    assert outcomes(done)["base"] == dict.fromkeys(world.hosts, "changed")
    assert outcomes(done)["scheduler"] == dict.fromkeys(world.hosts, "blocked")


def test_a_lock_lost_within_a_phase_ends_it(world: World) -> None:
    world.on = lambda moment: world.lost.set() if moment == "apply scheduler" else None
    done = world.deploy(BASE, SCHEDULER)
    assert [phase for phase, _ in world.applied] == ["base"]
    assert "/etc/slurm.conf" not in world.hosts["w1"].files
    assert done.stop is not None
    assert isinstance(done.stop.error, ConflictError)
    assert {entry.reason for entry in done.ledger.failures} == {"it was cut off in its work: lost"}
    assert {event.node for event in world.events if event.kind == "sight_lost"} == set(world.hosts)


def test_trouble_with_ansible_fails_only_nodes_that_still_differ(world: World) -> None:
    world.trouble["base"] = "Ansible said nothing for 2400 s and was ended"
    world.doing_nothing.add(("base", "w1"))
    done = world.deploy(BASE, SCHEDULER)
    assert outcomes(done)["base"] == {"head": "changed", "w1": "failed", "w2": "changed"}
    (failure,) = done.ledger.failures
    assert failure.reason == f"{world.trouble['base']}; file:/etc/hosts is absent, not file"


def test_what_changed_on_a_node_before_it_failed_is_told(world: World) -> None:
    world.failing["base", "w1"] = "it hangs"
    world.failing_late.add(("base", "w1"))
    done = world.deploy(BASE)
    assert [failure.reason for failure in done.ledger.failures] == ["it hangs"]
    changed = [event.data["key"] for event in world.events if (event.kind, event.node) == ("resource_changed", "w1")]
    assert changed == ["file:/etc/hosts"]


def test_a_failed_node_is_not_waited_for(world: World) -> None:
    world.failing["scheduler", "w1"] = "it hangs"
    world.failing_late.add(("scheduler", "w1"))
    world.hosts["w1"].slow_starts = 10_000
    world.deploy(BASE, SCHEDULER)
    assert world.clock.seconds == 0


def test_another_installer_is_waited_for(world: World) -> None:
    world.installing["w1"] = 60.0
    done = world.deploy(BASE)
    assert done.ledger.ok
    assert 60 <= world.clock.seconds < 70


def test_an_installer_that_never_ends_fails_its_node_at_the_deadline(world: World) -> None:
    world.installing["w1"] = 10_000.0
    done = world.deploy(BASE)
    (failure,) = done.ledger.failures
    assert (failure.node, failure.phase) == ("w1", "preflight")
    assert failure.reason == "another program is installing packages"
    assert 300 <= world.clock.seconds < 310


def test_a_plan_waits_for_no_installer_and_shows_the_node(world: World) -> None:
    world.installing["w1"] = 10_000.0
    done = world.deploy(BASE, dry_run=True)
    assert world.clock.seconds == 0
    assert done.ledger.ok
    assert "w1" in done.plan.changed_nodes


def test_a_plan_says_nothing_of_nodes_that_were_not_seen(world: World) -> None:
    world.hosts["w1"].dead = True
    plan = world.deploy(BASE, dry_run=True).plan
    assert plan.summary == "1 phase changes 2 nodes; 1 node is unknown"
    assert plan.document()["unknown"] == ["w1"]
    for host in world.hosts.values():
        host.dead = True
    assert world.deploy(dry_run=True).plan.summary == "nothing is known of 3 nodes"


def test_a_secret_reaches_no_event_and_no_inventory(world: World) -> None:
    world.deploy(BASE, SCHEDULER)
    key = (world.folder / "secrets" / "munge_key").read_bytes()
    assert len(key) == 1024
    assert (world.folder / "secrets" / "munge_key").stat().st_mode & 0o777 == 0o600
    told = repr([event.document() for event in world.events]).encode()
    written = (world.folder / "private" / "scheduler" / "hosts.yml").read_bytes()
    for text in (told, written):
        assert key.hex().encode() not in text
        assert repr(key)[2:40].encode() not in text


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_system_that_is_not_supported_refuses_the_whole_deploy(
    world: World, monkeypatch: pytest.MonkeyPatch, dry_run: bool
) -> None:
    facts = world.facts
    monkeypatch.setattr(
        world, "facts", lambda record: replace(facts(record), os_id="gentoo") if record.node == "w1" else facts(record)
    )
    with pytest.raises(InputError, match="1 of 3 nodes run an operating system that is not supported"):
        world.deploy(BASE, dry_run=dry_run)
    assert world.applied == []


def test_a_node_refused_by_preflight_is_left_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = world.facts
    monkeypatch.setattr(
        world,
        "facts",
        lambda record, _=None: replace(facts(record), memory_mib=64) if record.node == "w1" else facts(record),
    )
    done = world.deploy(BASE)
    assert [(one.node, one.phase) for one in done.ledger.failures] == [("w1", "preflight")]
    assert world.applied == [("base", ("head", "w2"))]


def test_a_node_whose_gate_stays_shut_fails_and_is_not_worked_on(world: World) -> None:
    world.shut["w1"] = "fence: epoch 7 is stale, this node has seen 9"
    done = world.deploy(BASE)
    assert [(one.node, one.phase, one.reason) for one in done.ledger.failures] == [
        ("w1", "base", "fence: epoch 7 is stale, this node has seen 9")
    ]
    assert world.applied == [("base", ("head", "w2"))]


def test_a_stale_gate_and_a_lock_of_another_end_the_deploy(world: World) -> None:
    world.shut["w1"] = "fence: epoch 7 is stale, this node has seen 8"
    world.taken_over = True
    done = world.deploy(BASE)
    assert done.stop is not None
    assert world.applied == []
    assert outcomes(done)["base"] == dict.fromkeys(world.hosts, "blocked")


def test_where_every_gate_stays_shut_nothing_is_applied(world: World) -> None:
    world.shut = dict.fromkeys(world.hosts, "fence: it cannot tell")
    assert not world.deploy(BASE).ledger.ok
    assert world.applied == []


def test_nodes_with_nothing_to_do_take_one_write_of_the_journal_per_phase(tmp_path: Path) -> None:
    """Each write waits for the disk; the work itself is written down before it is begun, as ever."""
    world = World(tmp_path, names=("head", *(f"w{number}" for number in range(1, 9))))
    world.deploy(BASE, KERNEL)
    world.events.clear()
    world.written.clear()
    world.deploy(BASE, KERNEL)
    told = [[(one.kind, one.data.get("phase")) for one in events] for events in world.written]
    for phase in ("base", "kernel"):
        assert [("node_finished", phase)] * 9 in told
    assert [one for events in world.written for one in events] == world.events


def test_a_reboot_is_written_down_before_it_is_begun(tmp_path: Path) -> None:
    world = World(tmp_path)
    at: list[int] = []
    world.on = lambda moment: at.append(sum(map(len, world.written))) if moment == "apply kernel" else None
    world.deploy(BASE, KERNEL)
    kinds = [one.kind for events in world.written for one in events]
    assert "reboot_started" in kinds[: at[0]]

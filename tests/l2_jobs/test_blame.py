"""The first cause wins over its echoes."""

from dataclasses import replace

import pytest

from aiops.layers.l2_jobs.allocation import Allocation, Slot
from aiops.layers.l2_jobs.attempt import Attempt, Key
from aiops.layers.l2_jobs.blame import blame, immediate_fault, node_lost
from aiops.layers.l2_jobs.fault.fault import Evidence, Fault, usual_fault
from aiops.layers.l2_jobs.node import Place
from aiops.layers.l2_jobs.report import Ended, Exited, NotStarted, Report, Scheduled, Signed
from aiops.layers.l2_jobs.watch import Watch

KEY = Key("llama-1", 1)
ATTEMPT = Attempt(KEY, "ssh", Allocation((Slot("a"), Slot("b"))), 20000)
PLACES = {name: Place(name, "ssh", verdict="ok", verdict_at=1.0) for name in ("a", "b", "c")}
EXIT = Exited(KEY, "a", 100.0, 0, 1)


def kernel(kind: str, at: float = 99.0, node: str = "b", *, immediate: bool = True) -> Signed:
    return Signed(None, node, at, kind, f"{kind} on {node}", immediate, source="kernel")


def log(kind: str) -> Fault:
    return usual_fault(kind, 100.0, evidence=[Evidence("log", kind)])


def told(*reports: Report, diagnosis: Fault | None = None, **changes: object) -> Fault:
    arguments = {"lost": {}, "now": 110.0, "places": PLACES, **changes}
    return blame(ATTEMPT, Watch().after(reports), diagnosis=diagnosis, **arguments)  # type: ignore[arg-type]


def test_the_kernel_wins_over_what_the_logs_tell() -> None:
    for said in ("nccl_timeout", "user_code", "process_exit"):
        fault = told(EXIT, kernel("gpu_lost"), diagnosis=log(said))
        assert (fault.kind, fault.nodes, fault.bad_node) == ("gpu_lost", ("b",), True)
        assert fault.evidence[0].source == "kernel"


def test_a_line_of_another_node_or_of_long_ago_or_that_says_little_is_nothing() -> None:
    for line in (kernel("gpu_lost", node="c"), kernel("gpu_lost", at=10.0), kernel("gpu_lost", immediate=False)):
        assert told(EXIT, line, diagnosis=log("user_code")).kind == "user_code"


def test_an_attempt_that_came_too_late_blames_no_node() -> None:
    fault = told(NotStarted(KEY, "a", 100.0, "attempt 2 of llama-1 has already begun to use /runs", "scheduler"))
    assert (fault.kind, fault.causer, fault.nodes) == ("slurm_infra", "scheduler", ())


def test_a_signal_has_a_name() -> None:
    assert "rank 0 on a was killed by SIGKILL" in told(Exited(KEY, "a", 100.0, 0, -9)).evidence[0].text
    assert "rank 0 on a was killed by signal 99" in told(Exited(KEY, "a", 100.0, 0, -99)).evidence[0].text


@pytest.mark.parametrize("oom", [None, False])
@pytest.mark.parametrize("said", ["nccl_network", "nccl_timeout", "rendezvous_failure", "process_exit"])
def test_a_rank_that_was_killed_is_the_cause_of_the_connections_that_others_lose(oom: bool | None, said: str) -> None:
    killed = Exited(KEY, "b", 100.4, 1, -9, oom)  # heard after the other, for it comes from another node
    fault = told(EXIT, killed, diagnosis=log(said))
    assert fault.kind == "process_exit"
    assert "rank 1 on b was killed by SIGKILL" in fault.evidence[0].text
    assert told(EXIT, replace(killed, at=102.0), diagnosis=log(said)).kind == said, "it was killed afterwards"
    seen = replace(log(said), at=100.2)  # a line of the other's log was read before its end was told
    assert told(EXIT, killed, seen=seen, asked_at=100.2, diagnosis=log(said)).kind == "process_exit"


def test_whether_a_killed_rank_had_no_memory_is_said_by_the_kernel_and_not_by_torchrun() -> None:
    killed = Exited(KEY, "a", 100.0, 0, -9)
    assert told(killed, diagnosis=log("host_oom")).kind == "host_oom", "nobody knows better"
    assert told(replace(killed, oom=False), diagnosis=log("host_oom")).kind == "process_exit"
    fault = told(replace(killed, oom=True), diagnosis=log("nccl_network"))
    assert (fault.kind, fault.evidence[0].source) == ("host_oom", "kernel")
    assert told(replace(killed, oom=False), diagnosis=log("user_code")).kind == "user_code"


def test_torchruns_report_says_no_more_than_the_status_that_was_seen() -> None:
    report = replace(log("user_code"), echo=True)
    assert told(EXIT, diagnosis=report).kind == "process_exit"
    assert told(EXIT, diagnosis=log("user_code")).kind == "user_code"
    unseen = Exited(KEY, "a", 100.0, 0, None)
    assert told(unseen, diagnosis=report).kind == "user_code"
    assert told(Ended(KEY, "a", 100.0, "failed", 1, ""), diagnosis=report).kind == "user_code"


def test_the_first_of_two_lines_is_the_cause() -> None:
    assert told(EXIT, kernel("pcie", at=99.5), kernel("gpu_lost", at=99.0)).kind == "gpu_lost"


def test_a_lost_node_wins_over_the_connections_that_others_lose() -> None:
    fault = told(EXIT, diagnosis=log("nccl_network"), lost={"b": "silent"})
    assert (fault.kind, fault.nodes, fault.bad_node) == ("node_lost", ("b",), False)


def test_who_is_still_there_when_another_has_done_its_work_may_tell_of_its_connection() -> None:
    signs = [Signed(KEY, "b", 101.0, kind, kind, immediate=True) for kind in ("nccl_network", "user_code")]
    done = Exited(KEY, "a", 100.0, 0, 0)
    found = immediate_fault(ATTEMPT, Watch().after(signs[:1]), 90.0, 110.0)
    assert found is not None
    assert found.kind == "nccl_network"
    assert immediate_fault(ATTEMPT, Watch().after([done, *signs[:1]]), 90.0, 110.0) is None
    found = immediate_fault(ATTEMPT, Watch().after([done, *signs]), 90.0, 110.0)
    assert found is not None
    assert found.kind == "user_code"


def test_a_hang_that_the_logs_explain_is_what_they_say_and_an_echo_explains_nothing() -> None:
    seen = usual_fault("hang", 105.0)
    assert told(seen=seen, diagnosis=log("data_error")).kind == "data_error"
    assert told(seen=seen, diagnosis=log("nccl_timeout")).kind == "hang"


def test_what_we_did_ourselves_is_no_cause() -> None:
    seen = usual_fault("loss_nan", 100.0)
    fault = told(Exited(KEY, "a", 103.0, 0, -9), Ended(KEY, "a", 103.0, "stopped"), seen=seen, asked_at=100.0)
    assert fault.kind == "loss_nan"


def test_a_critical_node_explains_what_nothing_else_does() -> None:
    critical = {**PLACES, "b": replace(PLACES["b"], verdict="critical")}
    fault = told(EXIT, places=critical)
    assert (fault.causer, fault.nodes, fault.bad_node) == ("node", ("b",), True)
    assert told(EXIT, diagnosis=log("user_code"), places=critical).kind == "user_code"
    both = {**critical, "a": replace(PLACES["a"], verdict="critical")}
    assert not told(EXIT, places=both).bad_node


def test_the_words_of_slurm() -> None:
    for state, kind in (("PREEMPTED", "preempted"), ("TIMEOUT", "preempted"), ("OUT_OF_MEMORY", "host_oom")):
        assert told(Scheduled(KEY, 100.0, state)).kind == kind


def test_who_could_not_start_it_is_told_by_causer() -> None:
    user = NotStarted(KEY, "a", 100.0, "there is no folder /data", "user")
    node = NotStarted(KEY, "b", 99.0, "no room on /var", "node")
    assert told(user, node).causer == "user"
    assert (told(node).causer, told(node).nodes) == ("node", ("b",))
    older = NotStarted(KEY, "b", 99.0, "attempt 9 of this job has begun", "scheduler")
    assert (told(older).causer, told(older).nodes, told(older).bad_node) == ("scheduler", (), False)


def test_a_lease_that_ran_out_is_the_networks() -> None:
    fault = told(Ended(KEY, "b", 100.0, "lease"))
    assert (fault.kind, fault.causer, fault.bad_node) == ("node_lost", "network", False)


def test_what_a_later_controller_took_over_while_it_waited_is_nobodys_fault_and_goes_again() -> None:
    reason = "a later controller of this cluster (term 4, not 3) looks after the jobs"
    ends = [Ended(KEY, node, 100.0, "superseded", None, reason) for node in ("a", "b")]
    fault = told(Scheduled(KEY, 99.0, "FAILED", "NonZeroExitCode", "41"), *ends)
    assert (fault.kind, fault.causer, fault.retryable, fault.nodes) == ("slurm_infra", "scheduler", True, ())
    assert fault.evidence[0].text == f"something newer has taken its place: {reason}"


def test_a_node_that_is_lost_is_not_called_bad() -> None:
    assert not node_lost({"a": "x"}, 1.0).bad_node

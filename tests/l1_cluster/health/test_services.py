"""Services: what systemd says in its several ways, and what need not run."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.l1_cluster.health.case import AT, BOOT_ID, Case, gone, said, subject
from tests.l1_cluster.health.cases.services import DEAD, FAILURE, LOOPING, failed, shown

from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.ask import Answer, Record
from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l1_cluster.health.examination import Examination, examine
from aiops.layers.l1_cluster.health.past import Past, Sample
from aiops.layers.l1_cluster.health.rules import Rules
from aiops.layers.l1_cluster.health.services import CHECKS
from aiops.layers.l1_cluster.health.unit_reading import FAILED, SHOWN, read_failed, read_units


def examined(*answers: Answer, past: Past | None = None, **variables: object) -> Examination:
    case = Case(
        "",
        "",
        "unknown",
        "none",
        answers={answer.name: answer for answer in answers},
        past=past or Past(),
        variables=variables,
    )
    return examine([subject(case)], CHECKS, Rules())


def record(answer: Answer) -> Record:
    return Record("gpu01", AT, {answer.name: answer})


def test_units_are_read_and_an_alias_is_its_unit() -> None:
    found = read_units(record(shown({"ssh.service": {"NRestarts": "2"}})))
    assert found["ssh.service"].restarts == 2
    assert "chrony.service" in found
    assert not {"chronyd.service", "sshd.service", "ssh.socket"} & set(found)
    old = {key: "" for key in ("NRestarts", "ConditionTimestampMonotonic")}  # noqa: C420
    assert read_units(record(shown({"ssh.service": old})))["ssh.service"].restarts is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Id=a.service\nLoadState=loaded\nActiveState=active\n",
        shown().stdout.replace("ActiveState=active", "ActiveState=act"),
    ],
)
def test_units_that_are_not_told(text: str) -> None:
    with pytest.raises(UnreadableError):
        read_units(record(said(SHOWN, text)))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("0 loaded units listed.\n", ()),
        ("UNIT LOAD ACTIVE SUB DESCRIPTION\n0 loaded units listed.\n", ()),  # as systemd 252 does
        (failed("a.service", "b.timer").stdout, ("a.service", "b.timer")),
        ("  UNIT LOAD ACTIVE SUB\n● a.service loaded failed failed A B\n\n1 loaded units listed.\n", ("a.service",)),
        ("a.service loaded failed failed A\n1 loaded units listed. Pass --all to see more.\n", ("a.service",)),
        ("a.service loaded failed failed\n1 loaded units listed.\n", ("a.service",)),
        (failed("gone.service", load="not-found").stdout, ()),  # its package was removed
    ],
)  # fmt: skip
def test_failed_units_are_read(text: str, names: tuple[str, ...]) -> None:
    assert read_failed(record(said(FAILED, text))) == names


@pytest.mark.parametrize("text", ["", "hello\n", "a.service loaded failed failed A\n", "2 loaded units listed.\n"])
def test_failed_units_that_are_not_told(text: str) -> None:
    with pytest.raises(UnreadableError):
        read_failed(record(said(FAILED, text)))


@pytest.mark.parametrize(
    "different",
    [
        {"munge.service": {**DEAD, "UnitFileState": "disabled"}},
        {"munge.service": {**FAILURE, "UnitFileState": "masked"}},
        {"munge.service": {**DEAD, "ConditionResult": "no"}},
        {"munge.service": {"ActiveState": "reloading", "SubState": "reload"}},
        {"munge.service": {"ActiveState": "activating", "SubState": "start"}},
        {"docker.service": DEAD},  # its socket starts it
    ],
)
def test_what_need_not_run(different: Mapping[str, Mapping[str, str]]) -> None:
    assert examined(shown(different)).findings == ()


def test_a_condition_that_was_never_looked_at_excuses_nothing() -> None:
    never = {**DEAD, "ConditionResult": "no", "ConditionTimestampMonotonic": "0"}
    assert [one.check for one in examined(shown({"munge.service": never})).findings] == ["svc.munge"]


def test_ssh_by_its_socket() -> None:
    """As Ubuntu 24.04 has it: the socket is enabled, and starts the service with the first connection."""
    by_socket = {
        "ssh.service": {**DEAD, "UnitFileState": "disabled"},
        "ssh.socket": {
            "LoadState": "loaded",
            "ActiveState": "active",
            "SubState": "listening",
            "UnitFileState": "enabled",
        },
    }
    assert examined(shown(by_socket)).findings == ()
    broken = {**by_socket, "ssh.service": {**FAILURE, "UnitFileState": "disabled"}}
    assert [one.check for one in examined(shown(broken)).findings] == ["svc.sshd"]


def test_a_worker_of_the_ssh_engine_needs_no_slurmd() -> None:
    dead = shown({"slurmd.service": DEAD})
    assert [one.check for one in examined(dead).findings] == ["svc.slurmd"]
    assert examined(dead, aiops_engine="ssh").findings == ()
    others = shown({"munge.service": DEAD})
    assert [one.check for one in examined(others, aiops_engine="ssh").findings] == ["svc.munge"]


def test_what_is_not_enabled_excuses_nothing() -> None:
    by_hand = {"LoadState": "loaded", "ActiveState": "active", "SubState": "listening", "UnitFileState": "disabled"}
    found = examined(shown({"docker.service": DEAD, "docker.socket": by_hand})).findings
    assert [one.check for one in found] == ["svc.docker"]


def test_the_unit_that_failed_is_named() -> None:
    [finding] = examined(shown({"docker.socket": FAILURE})).findings
    assert finding.message.startswith("docker.socket is enabled and failed")


def test_a_service_that_loops_is_down() -> None:
    found = examined(shown({"munge.service": LOOPING})).findings
    assert [one.message for one in found] == [
        "munge.service is enabled and started again and again (exit-code): Slurm trusts no message"
    ]


@pytest.mark.parametrize(
    "name",
    [
        "apt-daily-upgrade.service", "fwupd-refresh.service", "motd-news.service", "user@1000.service",
        "NetworkManager-wait-online.service", "run-u123.service", "session-4.scope", "systemd-coredump@3-12-0.service",
        "smartd.service", "systemd-networkd-wait-online.service", "snap-core22-1748.mount", "snapd.seeded.service",
        "cloud-init.service",
        "kdump-tools.service", "dnf-makecache.service", "logrotate.service", "chrony-wait.service", "ua-timer.service",
        "shared.mount", "plymouth-quit-wait.service", "openipmi.service", "e2scrub_reap.service",
    ],
)  # fmt: skip
def test_housekeeping_may_fail(name: str) -> None:
    assert examined(failed(name)).findings == ()


@pytest.mark.parametrize(
    ("name", "severity"),
    [
        ("nvidia-fabricmanager.service", "critical"),
        ("NetworkManager.service", "critical"),
        ("dbus.service", "critical"),
        ("nvidia-persistenced.service", "warn"),
        ("lustre-client.service", "warn"),
        ("systemd-modules-load.service", "warn"),
        ("swapfile.swap", "warn"),
    ],
)
def test_other_units_may_not(name: str, severity: str) -> None:
    [finding] = examined(failed(name)).findings
    assert (finding.check, finding.about, finding.verdict) == ("svc.failed", name, severity)


def test_what_has_a_check_of_its_own_is_told_there() -> None:
    both = examined(shown({"munge.service": FAILURE}), failed("munge.service")).findings
    assert [one.check for one in both] == ["svc.munge"]
    off = {"munge.service": {**FAILURE, "UnitFileState": "disabled"}}
    assert [one.check for one in examined(shown(off), failed("munge.service")).findings] == ["svc.failed"]


def restarted(*earlier: tuple[float, int], boot: str = BOOT_ID) -> Past:
    return Past(
        {"svc.restarts munge.service": tuple(Sample(AT - timedelta(minutes=ago), n, boot) for ago, n in earlier)}
    )


@pytest.mark.parametrize(
    ("past", "flaps"),
    [
        (Past(), False),
        (restarted((30, 9)), False),
        (restarted((10, 7)), False),
        (restarted((10, 6)), True),
        (restarted((60, 1), (12, 6), (5, 8)), True),
        (restarted((60, 1), (11, 7), (5, 8)), False),
    ],
)
def test_flapping(past: Past, flaps: bool) -> None:
    found = examined(shown({"munge.service": {"NRestarts": "9"}}), past=past)
    assert [one.check for one in found.findings] == (["svc.flapping"] if flaps else [])
    assert found.counters["gpu01"]["svc.restarts munge.service"] == 9


def test_a_container_with_systemd_is_judged() -> None:
    def lab_host(facts: Facts) -> Facts:
        return replace(facts, container=True, virtualization="systemd-nspawn")

    case = Case("", "", "unknown", "none", answers={SHOWN: shown({"munge.service": DEAD})}, facts=lab_host)
    found = examine([subject(case)], CHECKS, Rules())
    assert [one.check for one in found.findings] == ["svc.munge"]
    assert set(found.judged["gpu01"]) == {check.id for check in CHECKS}


@pytest.mark.parametrize(
    "answer",
    [
        gone(SHOWN, "systemctl"),
        said(SHOWN, "", 1, stderr="System has not been booted with systemd as init system (PID 1). Can't operate.\n"),
    ],
)
def test_a_container_without_systemd_is_not_judged(answer: Answer) -> None:
    def container(facts: Facts) -> Facts:
        return replace(facts, container=True, virtualization="docker")

    answers = {SHOWN: answer, FAILED: replace(answer, name=FAILED)}
    found = examine([subject(Case("", "", "unknown", "none", answers=answers, facts=container))], CHECKS, Rules())
    assert (found.findings, found.judged["gpu01"]) == ((), ())
    machine = examine([subject(Case("", "", "unknown", "none", answers=answers))], CHECKS, Rules())
    assert {one.verdict for one in machine.findings} == {"unknown"}

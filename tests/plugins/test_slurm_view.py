"""What a node says of Slurm and munge, read; and the asks themselves, run where programs in Slurm's words are."""

import os
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.l1_cluster.health.case import AT, hung, said
from tests.l1_cluster.health.cases.slurm import GOOD_CREDENTIAL, HEALTHY, failed, node, row

from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.ask import Answer, Record
from aiops.plugins.slurm.view import (
    ASKS,
    MUNGE,
    NODE,
    PARTITIONS,
    PING,
    Controller,
    Registration,
    device_count,
    read_controllers,
    read_munge,
    read_partitioned,
    read_registration,
)

LOW = "Low RealMemory (reported:24105 < 100.00% of configured:99999999)"
# As Slurm 22.05.8 wrote it, with a parameter set.
CAPTURED = f"""{row("unknown+drain+invalid_reg", 2, 99999999, "(null)", LOW)}
SlurmctldParameters     = (null)
SlurmdParameters        = config_overrides
"""


def record(*answers: Answer) -> Record:
    return Record("gpu01", AT, {one.name: one for one in answers})


def test_a_captured_answer() -> None:
    assert read_registration(record(said(NODE, CAPTURED))) == Registration(
        frozenset({"UNKNOWN", "DRAIN", "INVALID_REG"}),
        2,
        99999999,
        reason=LOW,
        parameters=frozenset({"config_overrides"}),
    )


def test_a_node_in_two_partitions_has_two_equal_lines() -> None:
    twice = node(f"{row()}\n{row()}", slurmctld="node_reg_mem_percent=75,idle_on_node_suspend")
    registration = read_registration(record(twice))
    assert registration is not None
    assert registration.states == {"IDLE"}
    assert registration.gres == "gpu:h100:8(S:0-1)"
    assert registration.reason == ""
    assert registration.parameters == frozenset({"node_reg_mem_percent=75", "idle_on_node_suspend"})


def test_a_node_in_no_partition_is_none() -> None:
    assert read_registration(record(node(""))) is None


@pytest.mark.parametrize(
    "answer",
    [
        said(NODE, "hello\n"),
        said(NODE, ""),
        said(NODE, row()[:125]),
        said(NODE, row("idle", cpus=192).replace("192", "lots")),
        node(row("down|idle")),
        said(NODE, f"{row()}\n", truncated=True),
        failed(NODE, "slurm_load_node: Zero Bytes were transmitted or received"),
        hung(NODE),
        Answer(NODE, missing={"argv": "not asked"}),
    ],
)
def test_what_slurm_does_not_say_is_unknown(answer: Answer) -> None:
    with pytest.raises(UnreadableError):
        read_registration(record(answer))


@given(st.text(), st.integers(0, 130), st.text())
def test_garbage_is_unreadable_and_nothing_else(text: str, status: int, error: str) -> None:
    answers = [Answer(name, status, stdout=text, stderr=error) for name in (NODE, PING, MUNGE)]
    answers.append(Answer(PARTITIONS, missing={text: error}))
    for read in (read_registration, read_controllers, read_munge, read_partitioned):
        try:
            read(record(*answers))
        except UnreadableError:
            continue


@given(st.lists(st.text(max_size=60), min_size=5, max_size=5))
def test_a_garbled_line_is_unreadable_and_nothing_else(fields: list[str]) -> None:
    line = "".join(field.ljust(width) for field, width in zip(fields, (120, 16, 20, 400, 240), strict=True))
    try:
        registration = read_registration(record(node(line)))
        if registration is not None:
            device_count(registration.gres)
    except UnreadableError:
        pass


@pytest.mark.parametrize(
    ("gres", "count"),
    [
        ("", 0),
        ("gpu", 1),
        ("gpu:8", 8),
        ("gpu:h100:8", 8),
        ("gpu:h100:8(S:0-1)", 8),
        ("gpu:h100:4(S:0,2),gpu:h100:4(S:1)", 8),
        ("gpu:nvidia_h100_80gb_hbm3:8(S:0-1),shard:64(S:0-1),mps:800", 8),
        ("gpu:tesla:no_consume:4", 4),
        ("gpu:a100", 1),
        ("npu:910b:16", 16),
        ("bandwidth:lustre:no_consume:4G,nic:2", 0),
        ("gpu:1g.10gb:56(S:0-1)", None),
        ("gpu:nvidia_a100_3g.20gb:2,gpu:nvidia_a100_1g.5gb:1", None),
    ],
)
def test_devices_in_gres(gres: str, count: int | None) -> None:
    assert device_count(gres) == count


@pytest.mark.parametrize("gres", ["gpu:8,,", "gpu:(", "gpu:8 shard:2", "(null)", "gpu:8)", "gpu:8(S:0-1"])
def test_what_is_no_gres(gres: str) -> None:
    with pytest.raises(UnreadableError, match="Gres is"):
        device_count(gres)


def test_controllers() -> None:
    text = "Slurmctld(primary) at a is UP\nSlurmctld(backup1) at b is DOWN\nSlurmctld(backup2) at c.example.org is UP\n"
    assert read_controllers(record(said(PING, text, 1))) == (
        Controller("primary", "a", up=True),
        Controller("backup1", "b", up=False),
        Controller("backup2", "c.example.org", up=True),
    )
    for wrong in (
        said(PING, "Slurmctld(primary) at a is"),
        hung(PING),
        said(PING, text, truncated=True, timed_out=True),
    ):
        with pytest.raises(UnreadableError):
            read_controllers(record(wrong))


def test_munge() -> None:
    assert read_munge(record(HEALTHY[MUNGE])) == ""
    expired = GOOD_CREDENTIAL.replace("Success (0)", "Expired credential (15)")
    assert read_munge(record(said(MUNGE, expired, 15))) == "Expired credential (15)"
    dead = "munge: Error: Failed to receive message header: Timed-out\nunmunge: Error: No credential specified\n"
    assert read_munge(record(failed(MUNGE, dead, 2))) == "Failed to receive message header: Timed-out"


@pytest.mark.parametrize(
    "answer",
    [
        said(MUNGE, GOOD_CREDENTIAL.replace("Success (0)", "Expired credential (15)")),  # with the status of a success
        said(MUNGE, "", 2),
        said(MUNGE, GOOD_CREDENTIAL, 137),
        said(MUNGE, ""),
        hung(MUNGE),
    ],
)
def test_what_munge_does_not_say_is_unknown(answer: Answer) -> None:
    with pytest.raises(UnreadableError):
        read_munge(record(answer))


SINFO = """#!/bin/sh
echo "$*" >> "$0.calls"
case "$*" in
  *--nodes=known*) printf '%s\\n' "$ROW" ;;
  *NodeHost*) printf '%-255s %s\\n%-255s %s\\n' other elsewhere "$HOST" known ;;
esac
"""
SCONTROL = """#!/bin/sh
case $1 in
  ping) echo "Slurmctld(primary) at head is $CONTROLLER" ;;
  show) printf 'SlurmUser = slurm(64030)\\nSlurmctldParameters     = (null)\\nSlurmdParameters        = (null)\\n' ;;
esac
"""


@pytest.fixture
def slurm(tmp_path: Path) -> Path:
    """A folder with a `sinfo` and a `scontrol`, in their own words, and a `uname` that tells a long name."""
    for name, text in (("sinfo", SINFO), ("scontrol", SCONTROL), ("uname", "#!/bin/sh\necho $HOST\n")):
        program = tmp_path / name
        program.write_text(text)
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return tmp_path


def run(name: str, folder: Path, **environment: str) -> Answer:
    """What the ask called `name` really says where the programs in `folder` are installed."""
    (ask,) = (one for one in ASKS if one.name == name)
    path = f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin"
    done = subprocess.run(
        ask.argv, env={"PATH": path, **environment}, capture_output=True, text=True, timeout=10, check=False
    )
    return Answer(name, done.returncode, stdout=done.stdout, stderr=done.stderr)


def test_a_node_asks_for_its_own_entry_alone(slurm: Path) -> None:
    answer = run(NODE, slurm, HOST="known.example.org", ROW=row("idle+drain", reason="bob: fans"), CONTROLLER="UP")
    registration = read_registration(record(answer))
    assert registration is not None
    assert (registration.states, registration.reason) == (frozenset({"IDLE", "DRAIN"}), "bob: fans")
    assert registration.parameters == frozenset()
    (call,) = (slurm / "sinfo.calls").read_text().splitlines()
    assert "--nodes=known " in call


def test_a_node_that_slurm_calls_otherwise_is_found_by_its_host_name(slurm: Path) -> None:
    for host in ("h7.example.org", "h7"):
        answer = run(NODE, slurm, HOST=host, ROW=row(), CONTROLLER="UP")
        registration = read_registration(record(answer))
        assert registration is not None
        assert registration.states == {"IDLE"}


def test_a_controller_that_is_gone_is_not_waited_for(slurm: Path) -> None:
    answer = run(NODE, slurm, HOST="known", ROW=row(), CONTROLLER="DOWN")
    assert not (slurm / "sinfo.calls").exists()
    with pytest.raises(UnreadableError, match=r"exit 1: Slurmctld\(primary\) at head is DOWN"):
        read_registration(record(answer))


def test_where_slurm_is_not_installed_the_asks_say_so(tmp_path: Path) -> None:
    for name in (NODE, PING):
        assert run(name, tmp_path).exit_status == 127

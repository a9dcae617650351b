"""Trials: what tools say in their several versions, rates beside what is expected, and who may be tested at all."""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.l1_cluster.health.case import Case, subject
from tests.l1_cluster.health.cases.trials import (
    copies,
    dcgm3,
    dcgm4,
    disks,
    fio,
    looped,
    memtested,
    reduced,
    stream,
    stressed,
)

from aiops.layers.core.errors import ConflictError
from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l1_cluster.draining import Standing
from aiops.layers.l1_cluster.health.admission import require_out_of_service
from aiops.layers.l1_cluster.health.check import Check, Subject
from aiops.layers.l1_cluster.health.collective import ALL_REDUCE, read_reduction
from aiops.layers.l1_cluster.health.collective import CHECKS as COLLECTIVE
from aiops.layers.l1_cluster.health.disk_trial import CHECKS as DISKS
from aiops.layers.l1_cluster.health.disk_trial import FIO, FIO_ASK, read_disks
from aiops.layers.l1_cluster.health.loopback import CHECKS as LOOPBACKS
from aiops.layers.l1_cluster.health.loopback import LOOPBACK, LOOPBACK_ASK, ROOT, read_loopbacks
from aiops.layers.l1_cluster.health.memory_trial import CHECKS as MEMORY
from aiops.layers.l1_cluster.health.memory_trial import PATTERNS, STREAM, read_patterns, read_stream
from aiops.layers.l1_cluster.health.normal import measured
from aiops.layers.l1_cluster.health.rate import Rate
from aiops.layers.l1_cluster.health.rates import shortfall
from aiops.plugins.nvidia.copying import CHECKS as COPYING
from aiops.plugins.nvidia.copying import COPY, read_copies
from aiops.plugins.nvidia.diagnosis import CHECKS as DIAGNOSIS
from aiops.plugins.nvidia.diagnosis import DIAG, read_diagnosis

HERE = Path(__file__).parent


def answered(answer: Answer) -> Subject:
    return subject(Case("", "", "unknown", "none", answers={answer.name: answer}))


def test_fio_3_33_as_it_answered() -> None:
    text = "tests disks\n== /scratch tested\n" + (HERE / "answers/fio-3.33.json").read_text("utf-8")
    told = read_disks(answered(Answer(FIO, 0, text)).record)
    assert told.untold == {}
    assert [(one.trait, one.value, one.unit) for one in told.rates["/scratch"]] == [
        ("disk./scratch.write_mbs", 2209.8, "MB/s"),
        ("disk./scratch.read_mbs", 1154.0, "MB/s"),
        ("disk./scratch.delay_us", 75.5, "µs"),
    ]


def test_several_file_systems() -> None:
    both = disks(scratch=fio(), data=fio(error=5))
    text = both.stdout + "== /var full 83\n== /small small\n"
    told = read_disks(answered(Answer(FIO, 0, text, "fio: no direct I/O\n")).record)
    assert set(told.rates) == {"/scratch"}
    assert told.untold == {
        "/data": "fio failed with error 5: fio: no direct I/O",
        "/var": "83 % used: it is not written to",
        "/small": "too little room to test",
    }


@pytest.mark.parametrize(
    ("lines", "rate"),
    [
        ((), None),
        (("stream: memory rate: 9000.50 MB/sec, 345.57 Mflop/sec (instance 0)",) * 2, 18.001),  # 0.13
        (("stream: memory rate: 3954.69 MB read/sec, 2636.46 MB write/sec, 3 Mflop/sec (instance 0)",) * 2, 13.1823),
        (
            (
                "stream: memory rate: 3954.69 MB read/sec, 2636.46 MB write/sec, 3 Mflop/sec (instance 0)",
                "metrc: [13649] stream              3909.78 memory read rate (MB per sec) (geometic mean)",
                "metrc: [13649] stream              2606.52 memory write rate (MB per sec) (geometic mean)",
                "metrc: [13649] stream               341.64 memory rate (Mflop per sec) (geometic mean)",
            ),
            13.0326,
        ),
        (
            (
                "metrc: [2779488] stream             15060.85 MB per sec memory read rate (harmonic mean)",
                "metrc: [2779488] stream             10040.57 MB per sec memory write rate (harmonic mean)",
                "metrc: [2779488] stream              1316.04 Mflop per sec (double precision) compute rate (harmonic",
            ),
            50.20284,
        ),
    ],
)
def test_versions_of_stress_ng(lines: Sequence[str], rate: float | None) -> None:
    record = answered(Answer(STREAM, 0, "moves in 2 processes\n" + "\n".join(lines) + "\n")).record
    if rate is None:
        with pytest.raises(UnreadableError):
            read_stream(record)
    else:
        assert read_stream(record) == pytest.approx(rate)


def test_nccl_tests_of_one_way_only() -> None:
    text = (
        "reduces over 8 devices\n#       size    count   type  redop  root   time   algbw   busbw  #wrong\n"
        "  34359738368 8589934592  float   sum    -1  875713  39.24   68.66       0\n# Avg bus bandwidth    : 68.6248\n"
    )
    found = read_reduction(answered(Answer(ALL_REDUCE, 0, text)).record)
    assert (found.size, found.gbs, found.wrong) == (34359738368, 68.66, 0)
    unchecked = text.replace("68.66       0", "68.66     N/A")
    assert read_reduction(answered(Answer(ALL_REDUCE, 0, unchecked)).record).wrong is None


def test_a_small_operation_is_held_against_no_limit_of_the_field() -> None:
    (check,) = COLLECTIVE
    assert check.judge is not None
    slow = {"other": "200.0", "rate": "200.0"}
    assert list(check.judge(answered(reduced(**slow, size=1024**3)), check.limits())) == []
    assert len(list(check.judge(answered(reduced(**slow)), check.limits()))) == 1  # type: ignore[arg-type]


def test_a_single_device_has_nobody_to_exchange_with() -> None:
    (check,) = COLLECTIVE
    assert not check.applies(answered(Answer(ALL_REDUCE, 0, "single\n")))


FIO_TOOL = """#!/bin/sh
stat -Lc '%h %s' /proc/self/fd/9 >{folder}/links
{then}
cat {answer}
"""


def disk_trial(folder: Path, then: str = "") -> "subprocess.Popen[str]":
    """The program itself, with an `fio` of ours, on a file system that is shown to be at `folder`/scratch."""
    (folder / "scratch").mkdir()
    (folder / "bin").mkdir()
    answer = HERE / "answers/fio-3.33.json"
    (folder / "bin/fio").write_text(FIO_TOOL.format(folder=folder, then=then, answer=answer))
    (folder / "bin/fio").chmod(0o755)
    lines = (
        f"30 1 259:2 / {folder}/scratch rw,relatime shared:1 - ext4 /dev/nvme0n1 rw",
        f"31 1 259:2 / {folder}/again rw,relatime shared:1 - ext4 /dev/nvme0n1 rw",
        f"32 1 259:3 / {folder}/fixed ro,relatime shared:1 - ext4 /dev/nvme1n1 ro",
        f"33 1 0:55 / {folder}/far rw,relatime shared:1 - nfs4 storage:/far rw",
    )
    (folder / "mounts").write_text("\n".join(lines) + "\n")
    program = FIO_ASK.argv[2].replace("/proc/self/mountinfo", str(folder / "mounts"))
    program = program.replace("count=512 oflag=direct", "count=1").replace("$((4 * 512))", "1")
    program = program.replace('"$percent" -gt 80', '"$percent" -gt 100')
    environment = {"PATH": f"{folder}/bin:/usr/bin:/bin"}
    return subprocess.Popen(
        ("sh", "-c", program), env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )


def test_a_file_system_is_tested_once_and_nothing_is_left_on_it(tmp_path: Path) -> None:
    process = disk_trial(tmp_path)
    text, _ = process.communicate(timeout=30)
    told = read_disks(answered(Answer(FIO, process.returncode, text)).record)
    assert (set(told.rates), told.untold) == ({f"{tmp_path}/scratch"}, {})
    assert (tmp_path / "links").read_text() == "0 1048576\n", "the file has no name while it is written"
    assert list((tmp_path / "scratch").iterdir()) == []


def test_nothing_is_left_when_the_test_is_killed(tmp_path: Path) -> None:
    process = disk_trial(tmp_path, "exec sleep 60")
    end = time.monotonic() + 20
    while not (tmp_path / "links").exists() or not (tmp_path / "links").read_text():
        assert time.monotonic() < end
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=10)
    assert list((tmp_path / "scratch").iterdir()) == []


FAKE = """#!/bin/sh
case $* in
  *"-d mlx5_1"*) echo " Failed to modify QP to RTR"; exit 1 ;;
  *localhost) [ -e {port} ] || exit 1 ;;
  *) echo "* Waiting for client to connect... *"; sleep 0.5; touch {port}; exec sleep 5 ;;
esac
echo " #bytes     #iterations    BW peak[Gb/sec]    BW average[Gb/sec]   MsgRate[Mpps]"
echo " 1048576    140123           0.00               391.50             0.046"
"""


def test_adapters_are_tested_one_after_the_other(tmp_path: Path) -> None:
    """The program itself: an adapter that works, one that does not, one without a cable and one of software."""
    for name, state in (("mlx5_0", "4: ACTIVE"), ("mlx5_1", "4: ACTIVE"), ("mlx5_2", "1: DOWN"), ("rxe0", "4: ACTIVE")):
        (tmp_path / f"sys/{name}/ports/1").mkdir(parents=True)
        (tmp_path / f"sys/{name}/ports/1/state").write_text(f"{state}\n")
        if name != "rxe0":
            (tmp_path / f"sys/{name}/device").mkdir()
            (tmp_path / f"sys/{name}/device/vendor").write_text("0x15b3\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/ib_write_bw").write_text(FAKE.format(port=tmp_path / "port"))
    (tmp_path / "bin/ib_write_bw").chmod(0o755)
    program = LOOPBACK_ASK.argv[2].replace(ROOT, str(tmp_path / "sys"))
    done = subprocess.run(
        ("sh", "-c", program),
        env={"PATH": f"{tmp_path}/bin:/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert read_loopbacks(answered(Answer(LOOPBACK, 0, done.stdout)).record) == {
        "mlx5_0": 391.5,
        "mlx5_1": "ib_write_bw says `Failed to modify QP to RTR`",
    }
    assert not (tmp_path / "client").exists()


READERS = {
    LOOPBACK: (read_loopbacks, (looped(),)),
    PATTERNS: (read_patterns, (stressed(), memtested("ok\n\nDone."))),
    STREAM: (read_stream, (stream(1000.0),)),
    FIO: (read_disks, (disks(scratch=fio()),)),
    ALL_REDUCE: (read_reduction, (reduced(),)),
    DIAG: (read_diagnosis, (dcgm4(), dcgm3("FAIL", "bad"))),
    COPY: (read_copies, (copies(),)),
}
CHECKS: tuple[Check, ...] = (*MEMORY, *DISKS, *COLLECTIVE, *DIAGNOSIS, *COPYING, *LOOPBACKS)


@settings(deadline=None)
@given(st.data())
def test_a_part_of_an_answer_is_no_answer_that_is_well(data: st.DataObject) -> None:
    """Cut anywhere and ended by force, no trial is read as well; nothing but `UnreadableError` comes out."""
    name = data.draw(st.sampled_from(sorted(READERS)))
    _, answers = READERS[name]
    whole = data.draw(st.sampled_from(answers))
    cut = data.draw(st.integers(0, len(whole.stdout)))
    junk = data.draw(st.text(max_size=9))
    broken = replace(whole, stdout=whole.stdout[:cut] + junk, stderr="", exit_status=137)
    for check in CHECKS:
        if name not in {ask.name for ask in check.asks}:
            continue
        about = answered(broken)
        try:
            seen = [] if check.lacks is not None and check.lacks(about) else _seen(check, about)
        except UnreadableError:
            continue
        if name in {PATTERNS, STREAM, FIO}:
            raise AssertionError(f"{check.id} took a trial that was ended by force for done: {seen}")


def _seen(check: Check, about: Subject) -> list[object]:
    assert check.judge is not None
    return list(check.judge(about, check.limits())) if check.applies(about) else []


@pytest.mark.parametrize(("delay", "value", "percent"), [(False, 90, 10), (False, 110, -10), (True, 150, 50)])
def test_by_how_much_a_rate_falls_short(delay: bool, value: float, percent: float) -> None:
    rate = Rate("x", "x", value, "GB/s", is_delay=delay)
    assert shortfall(rate, 100.0) == pytest.approx(percent)


def test_what_a_node_reaches_is_what_the_worst_of_its_devices_reaches() -> None:
    rates = measured(answered(copies("51.234", number=2)), CHECKS)
    assert rates["gpu.h2d_gbs"] == 51.2
    assert rates["gpu.d2h_gbs"] == 55.1
    assert rates["disk./scratch.delay_us"] == 88.0
    assert rates["memory_gbs"] == 612.0
    assert "gpu.h2d_gbs" not in measured(answered(Answer(COPY)), CHECKS)


def nodes(*names: str) -> list[Node]:
    return [Node(name) for name in names]


COMMAND = "aiops health --level deep"


def test_nodes_that_nobody_gives_work_to_and_those_out_of_service_may_be_tested() -> None:
    standings = {"gpu01": Standing("drained", "aiops: operator"), "gpu02": Standing("down", "dead")}
    require_out_of_service(nodes("gpu01", "gpu02", "gpu03"), standings, COMMAND)


def test_all_nodes_in_service_are_refused_at_once_with_what_to_type() -> None:
    standings = {
        "gpu01": Standing("in_service"),
        "gpu02": Standing("in_service"),
        "gpu03": Standing("draining", "x", ("job 42 of alice",)),
        "gpu04": Standing("unknown", "slurmctld does not answer"),
        "gpu05": Standing("drained"),
    }
    with pytest.raises(ConflictError) as refused:
        require_out_of_service(nodes("gpu01", "gpu02", "gpu03", "gpu04", "gpu05"), standings, COMMAND)
    error = refused.value
    assert error.code == "health.in_service"
    assert "gpu[01-04] are not; nothing was asked" in error.message
    assert [problem.message for problem in error.problems] == [
        "in service: gpu[01-02]",
        "gpu03: work still runs there: job 42 of alice",
        "gpu04: it is not known what runs there: slurmctld does not answer",
        "out of service: gpu05",
    ]
    assert list(error.hints) == [
        "take them out of service: `aiops node drain 'gpu[01-02]' --reason TEXT`",
        "wait for what runs there: `aiops node show gpu03`",
        "once whoever runs work there answers: the same command again",
        "test only those that are out of service: `aiops health --level deep --on gpu05`",
    ]


STATES = st.sampled_from(["in_service", "draining", "drained", "down", "unknown", None])


@given(st.lists(STATES, min_size=1, max_size=6))
def test_nobody_is_tested_beside_one_who_may_not_be(states: list[str | None]) -> None:
    names = [f"n{number}" for number in range(len(states))]
    standings = {
        name: Standing(state)  # type: ignore[arg-type]
        for name, state in zip(names, states, strict=True)
        if state is not None
    }
    busy = any(state in {"in_service", "draining", "unknown"} for state in states)
    try:
        require_out_of_service(nodes(*names), standings, COMMAND)
    except ConflictError:
        assert busy
    else:
        assert not busy

"""Processes: what the cases do not show."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.l1_cluster.health.case import said
from tests.l1_cluster.health.cases.processes import processes, room, seen, stuck
from tests.l1_cluster.health.host import container, judged, record, told

from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l1_cluster.health import processes as proc


@pytest.fixture
def vfork() -> Iterator[int]:
    """A process that waits in the kernel until its child ends, as one does that has called vfork."""
    program = (
        "import ctypes, signal\n"
        "libc = ctypes.CDLL(None)\n"
        "stack = ctypes.create_string_buffer(65536)\n"
        "top = (ctypes.addressof(stack) + 65536) & ~15\n"
        "libc.clone(ctypes.cast(libc.pause, ctypes.c_void_p), ctypes.c_void_p(top), 0x4000 | signal.SIGCHLD, None)\n"
    )
    process = subprocess.Popen([sys.executable, "-I", "-c", program], start_new_session=True)
    try:
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def ask() -> proc.Processes:
    done = subprocess.run(proc.PROCESSES_ASK.argv, capture_output=True, text=True, timeout=30, check=False)
    return proc.read_processes(record(Answer(proc.PROCESSES, done.returncode, done.stdout, done.stderr)))


@pytest.mark.skipif(not all(map(shutil.which, ("ps", "awk"))), reason="there is no ps or no awk here")
@pytest.mark.skipif(sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "clone"), reason="Linux alone has clone")
def test_the_question_about_processes_finds_one_that_waits(vfork: int) -> None:
    until = time.monotonic() + 30
    met: list[proc.Waiting] = []
    while len(met) < 2 or met[-1].switches != met[-2].switches:  # it also reads a disk before it comes to wait
        assert time.monotonic() < until
        answer = ask()
        met += [one for one in answer.waiting if one.pid == vfork]
    assert (met[-1].parent, answer.total >= 3) == (os.getpid(), True)
    assert met[-1].switches


@pytest.mark.skipif(shutil.which("awk") is None, reason="there is no awk here")
def test_the_question_about_processes_is_not_answered_without_ps(tmp_path: Path) -> None:
    (tmp_path / "awk").symlink_to(str(shutil.which("awk")))
    argv = ("/bin/sh", *proc.PROCESSES_ASK.argv[1:])
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False, env={"PATH": str(tmp_path)})
    assert told({proc.PROCESSES: Answer(proc.PROCESSES, done.returncode, done.stdout, done.stderr)}) == [
        ("proc.dstate", "unknown", ""),
        ("proc.zombie", "unknown", ""),
    ]


def waits(name: str = "python3", wchan: str = "rpc_wait_bit_killable", **more: int) -> dict[str, Answer]:
    return {proc.PROCESSES: processes(*stuck(name, wchan, **more), waiting=1)}


def test_a_process_that_moves_is_not_stuck() -> None:
    assert told(waits(), past=seen(123)) == [("proc.dstate", "warn", "process 4242 (python3)")]
    assert told(waits(), past=seen(122)) == []
    assert told(waits(), past=seen(122, boot="of-yesterday")) == [("proc.dstate", "warn", "process 4242 (python3)")]
    assert told(waits(), past=seen(123, pid=77)) == [("proc.dstate", "warn", "process 4242 (python3)")]
    assert told(waits(age=60)) == [("proc.dstate", "warn", "process 4242 (python3)")]
    assert judged(waits()).counters["gpu01"]["process.4242.switches"] == 123


def test_a_process_that_has_moved_a_moment_later_is_not_met_at_all() -> None:
    later = "later 4242 voluntary_ctxt_switches:\t{}"
    for voluntary, met in ((120, 1), (121, 0)):
        moments = (later.format(voluntary), "later 4242 nonvoluntary_ctxt_switches:\t3")
        answer = processes(*stuck("python3", "folio_wait_bit_common"), waiting=1, stacks=moments)
        assert len(proc.read_processes(record(answer)).waiting) == met


def test_a_limit_is_reached_when_it_is_met() -> None:
    assert told({proc.ROOM: room(files="79\t0\t100")}) == []
    assert told({proc.ROOM: room(files="80\t0\t100")}) == [("proc.limits", "warn", "file handles")]
    assert told({proc.ROOM: room(files="95\t0\t100")}) == [("proc.limits", "critical", "file handles")]


@pytest.mark.parametrize(
    "answers",
    [
        waits(age=59),
        waits(wchan="__refrigerator"),
        waits("kworker/3:1+events", pid=99, parent=2),
        waits("kthreadd", pid=2, parent=0),
        {proc.PROCESSES: processes("D    99    1    900 gone", waiting=1)},
    ],
)
def test_waiting_that_is_no_harm(answers: Mapping[str, Answer]) -> None:
    assert told(answers) == []


def test_what_a_container_numbers_2_is_no_thread_of_the_kernel() -> None:
    assert told(waits(pid=99, parent=2), container) == [("proc.dstate", "warn", "process 99 (python3)")]


@pytest.mark.parametrize(
    ("name", "module", "verdict"),
    [
        ("nv-fabricmanage", "", "critical"),
        ("npu-smi", "", "critical"),
        ("python3", "amdgpu", "critical"),
        ("python3", "mlx5_core", "critical"),
        ("python3", "drv_devmm_host", "critical"),
        ("python3", "xe", "critical"),
        ("python3", "nvme_core", "warn"),
        ("python3", "nfsv4", "warn"),
        ("nvim", "ext4", "warn"),
        ("", "xfs", "warn"),
    ],
)
def test_drivers_and_their_tools(name: str, module: str, verdict: str) -> None:
    stack = (f"stack 4242 [<0>] ioctl+0x1/0x2 [{module}]",) if module else ()
    answer = processes(*stuck(name, "io_schedule"), waiting=1, stacks=("stack 4242 [<0>] down+0x1/0x2", *stack))
    assert [one[1] for one in told({proc.PROCESSES: answer})] == [verdict]


def test_a_stack_that_cannot_be_read_costs_nothing_else() -> None:
    whole = processes(*stuck("python3", "0"), waiting=1)
    hung = Answer(proc.PROCESSES, None, whole.stdout, timed_out=True, seconds=5.0)
    assert told({proc.PROCESSES: hung}) == [("proc.dstate", "warn", "process 4242 (python3)")]


def test_of_very_many_the_drivers_come_first() -> None:
    lines = [line for pid in range(100, 140) for line in stuck("python3", "rpc_wait", pid=pid)]
    answer = processes(*lines, *stuck("nvidia-smi", "0", pid=900), waiting=41)
    found = told({proc.PROCESSES: answer})
    assert len(found) == 16
    assert ("proc.dstate", "critical", "process 900 (nvidia-smi)") in found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "total 0 waiting 0 dead 0\n",
        "total 9 waiting 1 dead 0\n",
        "hello\ntotal 9 waiting 0 dead 0\n",
        "  wchan: 0\ntotal 9 waiting 0 dead 0\n",
        "D x 1 900 python3\ntotal 9 waiting 1 dead 0\n",
    ],
)
def test_a_list_that_does_not_add_up(text: str) -> None:
    assert [one[1] for one in told({proc.PROCESSES: said(proc.PROCESSES, text)})] == ["unknown", "unknown"]

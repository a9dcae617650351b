"""What the tools of trials may say besides a plain result: partly, in another layout, of another unit, or nothing."""

import json
from collections.abc import Mapping
from typing import Any

from tests.l1_cluster.health.case import Case, gone, said
from tests.l1_cluster.health.cases.trials import (
    ILL,
    copies,
    dcgm4,
    disks,
    expects,
    fio,
    looped,
    memtested,
    reduced,
    result,
    stream,
    stressed,
)

from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l1_cluster.health.collective import ALL_REDUCE
from aiops.layers.l1_cluster.health.disk_trial import FIO
from aiops.layers.l1_cluster.health.expected import Expected
from aiops.layers.l1_cluster.health.loopback import LOOPBACK
from aiops.layers.l1_cluster.health.memory_trial import PATTERNS, STREAM
from aiops.plugins.nvidia.copying import COPY
from aiops.plugins.nvidia.diagnosis import DIAG

HEALTHY: Mapping[str, Answer] = {}


def _unreadable(name: str, check: str, answer: Answer, words: str, about: str = "") -> Case:
    """An answer that nobody may take for well."""
    return Case(name, check, "unknown", "none", about=about, words=words, answers={answer.name: answer})


def _well(name: str, check: str, answer: Answer) -> Case:
    """An answer that is strange and no fault of the node."""
    return Case(name, check, "ok", "none", answers={answer.name: answer})


_RATES = (
    Case(
        "a node that was learned to be slower than its equals",
        "memory.bandwidth",
        "ok",
        "none",
        answers={STREAM: stream(91_800.0)},
        expected=expects("memory_gbs", 310.0),
        unlike_peers=True,
    ),
    Case(
        "a device that is slower than all others and above the field's limit",
        "gpu.copy",
        "ok",
        "none",
        answers={COPY: copies("48.50")},
        unlike_peers=True,
    ),
    Case(
        "an all-reduce at the field's limit",
        "gpu.allreduce",
        "ok",
        "none",
        answers={ALL_REDUCE: reduced("460.00", other="459.00")},
    ),
    Case(
        "slow memory among four nodes",
        "memory.bandwidth",
        "warn",
        "service",
        words="the middle of 4 nodes like it",
        answers={STREAM: stream(91_800.0)},
        unlike_peers=True,
        peers=3,
    ),
    Case(
        "slow memory among three nodes",
        "memory.bandwidth",
        "ok",
        "none",
        answers={STREAM: stream(91_800.0)},
        unlike_peers=True,
        peers=2,
    ),
    Case(
        "slow memory of a node of another group",
        "memory.bandwidth",
        "ok",
        "none",
        answers={STREAM: stream(91_800.0)},
        groups=("workers", "old"),
        unlike_peers=True,
    ),
    Case(
        "memory slower than what is expected, nobody says by whom",
        "memory.bandwidth",
        "warn",
        "service",
        words="612 GB/s expected (learned)",
        answers={STREAM: stream(162_000.0)},
        expected=Expected({"memory_gbs": 612.0}),
    ),
)
_MEAN = (
    "stress-ng: metrc: [99] stream      {:.2f} MB per sec memory read rate (harmonic mean of 8 instances)\n"
    "stress-ng: metrc: [99] stream      {:.2f} MB per sec memory write rate (harmonic mean of 8 instances)\n"
)
_MEMORY = (
    _unreadable(
        "a test of memory that was cut off after it had begun",
        "memory.test",
        Answer(PATTERNS, stdout="tests 1536000 MiB by stress-ng\n", seconds=240.0, timed_out=True),
        "no answer within 240 s",
    ),
    _unreadable("a test of memory without an end", "memory.test", stressed(end=""), "stress-ng ended with 0"),
    _unreadable("a test of memory that failed at its end", "memory.test", stressed(status=2), "stress-ng ended with 2"),
    _unreadable(
        "a test of memory that got no memory",
        "memory.test",
        stressed("stress-ng: error: [9883] vm: out of memory\n", ILL, status=3),
        "stress-ng ended with 3: stress-ng: error: [9883] vm: out of memory",
    ),
    _unreadable(
        "a memtester that failed to lock memory",
        "memory.test",
        memtested("failed to lock memory", 1),
        "memtester ended with 1: Compare XOR         : failed to lock memory",
    ),
    _unreadable("a memtester that never came to its end", "memory.test", memtested("ok\n"), "memtester ended with 0"),
    _unreadable("a memtester that failed late", "memory.test", memtested("ok\n\nDone.", 1), "memtester ended with 1"),
    _well("memory that memtester finds well", "memory.test", memtested("ok\n\nDone.")),
    Case(
        "memory that memtester only tells by its status",
        "memory.test",
        "critical",
        "service",
        words="a test failed in 1024 MiB",
        answers={PATTERNS: memtested("ok\n\nDone.", 4)},
    ),
    _unreadable(
        "a test of memory's speed of which nobody knows how many made it",
        "memory.bandwidth",
        Answer(STREAM, 0, "", stream(183_600.0).stderr),
        "did not say what it does",
    ),
    Case(
        "memory's speed by the mean of many processes",
        "memory.bandwidth",
        "warn",
        "service",
        words="memory moved: 400 GB/s, 35 % slower",
        answers={STREAM: Answer(STREAM, 0, "moves in 8 processes\n", _MEAN.format(30_000.0, 20_000.0))},
        expected=expects("memory_gbs", 612.0),
    ),
)
_DISKS = (
    Case(
        "a disk half as fast as it was, nobody says by whom",
        "disk.speed",
        "critical",
        "service",
        about="/scratch",
        words="50 % slower; 6400 MB/s expected (learned)",
        answers={FIO: disks(scratch=fio(read=3200.0))},
        expected=Expected({"disk./scratch.read_mbs": 6400.0}),
    ),
    _unreadable(
        "a disk of which fio says nothing", "disk.speed", disks(scratch="fio: hm"), "did not answer", "/scratch"
    ),
    _unreadable(
        "a disk that nothing was written to", "disk.speed", disks(scratch=fio(write=0.0)), "nothing", "/scratch"
    ),
    _unreadable(
        "a small file system",
        "disk.speed",
        said(FIO, "tests disks\n== /scratch small\n"),
        "too little room",
        "/scratch",
    ),
    _unreadable(
        "a disk that fio complains of",
        "disk.speed",
        said(FIO, disks(scratch=fio(error=5)).stdout, stderr="fio: no direct I/O\n"),
        "fio failed with error 5: fio: no direct I/O",
        "/scratch",
    ),
)
_ONE_WAY = "  8589934592    2147483648     float     sum      -1    31440  273.2  {}  {}\n"
_NCCL_WARNS = "gpu01:4242:4250 [3] NCCL WARN Call to poll returned late\n"
_REDUCTIONS = (
    _well("a node of one device", "gpu.allreduce", said(ALL_REDUCE, "single\n")),
    _well("a node without nccl-tests", "gpu.allreduce", said(ALL_REDUCE, "lacks all_reduce_perf\n")),
    _well("the first way of reducing is slow", "gpu.allreduce", reduced("441.20")),
    _well(
        "a warning below the table",
        "gpu.allreduce",
        said(ALL_REDUCE, reduced().stdout + _NCCL_WARNS),
    ),
    _well(
        "results that were not looked at",
        "gpu.allreduce",
        said(ALL_REDUCE, "reduces over 8 devices\n" + _ONE_WAY.format("478.11", "N/A")),
    ),
    Case(
        "an all-reduce in one way",
        "gpu.allreduce",
        "warn",
        "reset_device",
        words="all-reduce over 8 devices: 441.2 GB/s",
        answers={ALL_REDUCE: said(ALL_REDUCE, "reduces over 8 devices\n" + _ONE_WAY.format("441.20", "0"))},
    ),
    Case(
        "wrong results of the second way alone",
        "gpu.allreduce",
        "critical",
        "reset_device",
        about="results",
        words="5 results",
        answers={ALL_REDUCE: said(ALL_REDUCE, reduced().stdout.replace("477.9  0", "477.9  5"))},
    ),
    _unreadable("an all-reduce that moved nothing", "gpu.allreduce", reduced(other="0.00"), "moved nothing"),
)
_MIB_HEAD = " #bytes     #iterations    BW peak[MiB/sec]    BW average[MiB/sec]   MsgRate[Mpps]\n"
_MIB_ROW = " 1048576    140123           0.00               46700.00             0.04\n"
_LOOPBACKS = (
    _well("a node without active adapters", "ib.loopback", said(LOOPBACK, "no adapters\n")),
    _unreadable("adapters of which nothing is said", "ib.loopback", said(LOOPBACK, "hello\n"), "what it does"),
    _unreadable("no adapter was tried", "ib.loopback", said(LOOPBACK, "writes to itself\n"), "no adapter was measured"),
    _unreadable(
        "an adapter in MiB/s", "ib.loopback", looped(mlx5_4=_MIB_HEAD + _MIB_ROW), "ib_write_bw says", "mlx5_4"
    ),
    _unreadable("an adapter that wrote nothing", "ib.loopback", looped("0.00"), "ib_write_bw says", "mlx5_2"),
    _unreadable("an adapter that says nothing", "ib.loopback", looped(mlx5_4=""), "says ``", "mlx5_4"),
    Case(
        "the first adapter is slow",
        "ib.loopback",
        "warn",
        "service",
        about="mlx5_0",
        answers={LOOPBACK: looped("310.00", 0)},
        expected=expects("ib.mlx5_0.loopback_gbit", 391.0),
    ),
)


def _no_copies() -> Answer:
    names = ("host_to_device_memcpy_ce", "device_to_host_memcpy_ce")
    cases = [{"name": name, "status": "Passed", "bandwidth_matrix": [["N/A"] * 8]} for name in names]
    return said(COPY, json.dumps({"nvbandwidth": {"testcases": cases}}))


_COPIES = (
    _well("a node without nvbandwidth", "gpu.copy", gone(COPY, "nvbandwidth")),
    _well("a device that no copy is made for", "gpu.copy", copies("N/A")),
    _unreadable("nvbandwidth measures no device", "gpu.copy", _no_copies(), "measured no device"),
    _unreadable("nvbandwidth says only words", "gpu.copy", said(COPY, "no kernel image\n"), "says `no kernel image`"),
)


def _diagnosis(name: str, **test: Any) -> Answer:
    """A diagnosis of DCGM 4 that is well, with one more test of the hardware."""
    document = json.loads(dcgm4().stdout)
    document["DCGM Diagnostic"]["test_categories"][1]["tests"].append({"name": name, **test})
    return said(DIAG, json.dumps(document), 226)


def _root(key: str = "DCGM Diagnostic", **body: Any) -> Answer:
    return said(DIAG, json.dumps({key: body}), 226)


_ISOLATE = {"error_severity": 2, "warning": "a row failed"}
_SETTING = {"error_severity": 5, "warning": "persistence is off"}
_RESET = {"error_severity": 6, "warning": "rows wait"}
_WATCH = {"error_severity": 1, "warning": "it is warm"}


def _warned(name: str, severity: Any, action: Any, *warnings: Any) -> Case:
    failed = {**result(3, "Fail"), "warnings": list(warnings)}
    return Case(name, "gpu.diag", severity, action, about="GPU 3", answers={DIAG: dcgm4(failed, exit_status=226)})


_SUMMARY = {"test_summary": {"status": "Fail", "warnings": [_ISOLATE]}}
_DIAGNOSES = (
    _well("a node without dcgmi", "gpu.diag", gone(DIAG, "dcgmi")),
    _warned("a device to be reset and watched", "critical", "reset_device", _WATCH, _RESET),
    _warned("a device to be reset and replaced", "critical", "service", _ISOLATE, _RESET),
    _warned("a device to be watched and set", "warn", "none", _SETTING, _WATCH),
    _warned("a device with one severity untold", "critical", "service", _WATCH, "a row failed"),
    _warned("a device whose severity is a word", "critical", "service", {**_WATCH, "error_severity": True}),
    Case(
        "a test that only its summary tells of",
        "gpu.diag",
        "critical",
        "service",
        words="nvlink: a row failed",
        answers={DIAG: _diagnosis("nvlink", **_SUMMARY)},
    ),
    Case(
        "a summary beside results that pass",
        "gpu.diag",
        "critical",
        "service",
        words="nvlink: a row failed",
        answers={DIAG: _diagnosis("nvlink", results=[result(0)], **_SUMMARY)},
    ),
    Case(
        "a switch that fails",
        "gpu.diag",
        "critical",
        "service",
        about="NvSwitch 2",
        answers={DIAG: _diagnosis("nvswitch", results=[{**result(2, "Fail", **_ISOLATE), "entity_group": "NvSwitch"}])},
    ),
    _unreadable(
        "a diagnosis of the installation alone",
        "gpu.diag",
        _root(test_categories=[{"category": "Deployment", "tests": [{"name": "software", "results": [result(0)]}]}]),
        "there were none beside those of the installation",
        "tests",
    ),
    _unreadable(
        "a status that nobody knows",
        "gpu.diag",
        _diagnosis("nvlink", results=[result(0, "Odd")]),
        "says `odd` of a test",
    ),
    _unreadable("a diagnosis of another kind", "gpu.diag", _root("Other"), "has no diagnosis in it"),
    _unreadable("a diagnosis that stopped", "gpu.diag", _root(runtime_error="no device"), "not diagnose: no device"),
    _unreadable("a diagnosis of nothing", "gpu.diag", _root(test_categories=[]), "names no test"),
)

CASES = (*_RATES, *_MEMORY, *_DISKS, *_REDUCTIONS, *_LOOPBACKS, *_COPIES, *_DIAGNOSES)

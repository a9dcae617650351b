"""Trials of nodes that are out of service. stress-ng, memtester and fio as they answered on a real machine; dcgmi,
nvbandwidth and nccl-tests in the layouts that their own tests and published logs show, with values made up.
"""

import json
from typing import Any

from tests.l1_cluster.health.case import Case, hung, said

from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l1_cluster.health.collective import ALL_REDUCE
from aiops.layers.l1_cluster.health.disk_trial import FIO
from aiops.layers.l1_cluster.health.expected import Expected
from aiops.layers.l1_cluster.health.loopback import LOOPBACK
from aiops.layers.l1_cluster.health.memory_trial import PATTERNS, STREAM
from aiops.plugins.nvidia.copying import COPY
from aiops.plugins.nvidia.diagnosis import DIAG

STRESSED = """\
stress-ng: info:  [9883] setting to a 4 second run per stressor
stress-ng: info:  [9883] dispatching hogs: 2 vm
{fail}stress-ng: metrc: [9883] stressor       bogo ops real time  usr time  sys time   bogo ops/s     bogo ops/s
stress-ng: metrc: [9883]                           (secs)    (secs)    (secs)   (real time) (usr+sys time)
stress-ng: metrc: [9883] vm               304668      4.04      1.84      0.12     75361.96      155189.01
{end}
"""
WELL = "stress-ng: info:  [9883] successful run completed in 4.05s"
ILL = "stress-ng: info:  [9883] unsuccessful run completed in 4.05s"
MEMTESTER = """\
memtester version 4.6.0 (64-bit)
pagesize is 4096
want 16MB (16777216 bytes)
got  16MB (16777216 bytes), trying mlock ...locked.
Loop 1/1:
  Stuck Address       : ok
  Random Value        : ok
  Compare XOR         : {end}
"""


def stressed(fail: str = "", end: str = WELL, status: int = 0) -> Answer:
    """stress-ng wrote and read; it speaks on its error stream."""
    text = STRESSED.format(fail=fail, end=end)
    return Answer(PATTERNS, status, "tests 1536000 MiB by stress-ng\n", text)


def memtested(end: str, status: int = 0) -> Answer:
    """memtester wrote and read."""
    return said(PATTERNS, "tests 1024 MiB by memtester\n" + MEMTESTER.format(end=end), status)


def stream(read: float, count: int = 2) -> Answer:
    """stress-ng moved memory in two processes."""
    lines = [
        f"stress-ng: info:  [{13655 + number}] stream: memory rate: {read:.2f} MB read/sec, {read / 1.5:.2f} MB"
        f" write/sec, 345.57 Mflop/sec (instance {number})"
        for number in range(count)
    ]
    text = "\n".join([*lines, "stress-ng: info:  [13649] successful run completed in 8.26s", ""])
    return Answer(STREAM, 0, f"moves in {count} processes\n", text)


def fio(write: float = 3900.0, read: float = 6400.0, delay: float = 88.0, error: int = 0) -> str:
    """fio's document, of each job the parts that are read: MB/s, MB/s, µs."""

    def job(name: str, side: str, rate: float, mean: float = 0.0) -> dict[str, Any]:
        told = {"bw_bytes": int(rate * 1e6), "clat_ns": {"mean": mean * 1000, "N": 5217}}
        nothing = {"bw_bytes": 0, "clat_ns": {"mean": 0.0, "N": 0}}
        return {"jobname": name, "groupid": 0, "error": error, "read": nothing, "write": nothing, side: told}

    jobs = [job("write", "write", write), job("read", "read", read), job("delay", "read", 45.0, delay)]
    return json.dumps({"fio version": "fio-3.33", "jobs": jobs}, indent=1)


def disks(**mounts: str) -> Answer:
    """What the program says of each mount, after the line that tells it was tested."""
    return said(FIO, "tests disks\n" + "".join(f"== /{name} tested\n{text}\n" for name, text in mounts.items()))


def result(number: int, status: str = "Pass", **warning: Any) -> dict[str, Any]:
    """What a test of DCGM 4 says of one device."""
    told = {"entity_group": "GPU", "entity_group_id": 1, "entity_id": number, "status": status}
    return {**told, "warnings": [warning]} if warning else told


def dcgm4(*memory: dict[str, Any], status: str = "Pass", exit_status: int = 0) -> Answer:
    """A diagnosis of DCGM 4; `memory` in place of what is well."""
    changed = {one["entity_id"]: one for one in memory}
    tests = {
        "Deployment": {"software": [result(number) for number in range(8)]},
        "Hardware": {"memory": [changed.get(number, result(number, status)) for number in range(8)]},
        "Integration": {"pcie": [result(number, status) for number in range(8)]},
    }
    categories = [
        {
            "category": category,
            "tests": [
                {
                    "name": name,
                    "results": results,
                    "test_summary": {"status": "Fail" if any(one["status"] == "Fail" for one in results) else status},
                }
                for name, results in several.items()
            ],
        }
        for category, several in tests.items()
    ]
    document = {
        "DCGM Diagnostic": {"test_categories": categories},
        "entity_groups": [],
        "metadata": {"version": "4.2.3", "Driver Version Detected": "580.95.05"},
    }
    return said(DIAG, json.dumps(document, indent=1), exit_status)


def dcgm3(status: str, *warnings: str) -> Answer:
    """A diagnosis of DCGM 3: numbers of devices as text, `null` between tests, a line before it all."""
    every = ",".join(str(number) for number in range(8))
    memory = [{"gpu_ids": str(number), "status": "PASS"} for number in range(8)]
    memory[3] = {"gpu_ids": "3", "status": status, **({"warnings": list(warnings)} if warnings else {})}  # type: ignore[dict-item]
    library = {"name": "NVML Library", "results": [{"gpu_ids": every, "status": "PASS"}]}
    document = {
        "DCGM GPU Diagnostic": {
            "test_categories": [
                {"category": "Deployment", "tests": [library, None]},
                {"category": "Hardware", "tests": [{"name": "GPU Memory", "results": memory}]},
            ],
            "version": "3.1.0",
        }
    }
    return said(DIAG, "WARNING: a library is old\n" + json.dumps(document), 226)


def copies(slow: str = "55.31", number: int = 3, status: str = "Passed") -> Answer:
    """nvbandwidth's document; one device may be slow."""
    cells = ["55.62"] * 8
    cells[number] = slow
    cases = [
        {"name": "host_to_device_memcpy_ce", "status": status, "bandwidth_matrix": [cells], "sum": "444.9"},
        {"name": "device_to_host_memcpy_ce", "status": status, "bandwidth_matrix": [["55.10"] * 8], "sum": "440.8"},
    ]
    return said(COPY, json.dumps({"nvbandwidth": {"version": "v0.8", "testcases": cases}}))


def reduced(rate: str = "478.11", wrong: str = "0", size: int = 8589934592, other: str = "477.9") -> Answer:
    """nccl-tests' table."""
    row = (
        f"  {size}    2147483648     float     sum      -1    31440  273.2  {rate}  {wrong}    31452  273.1  {other}  0"
    )
    return said(
        ALL_REDUCE,
        "reduces over 8 devices\n# nThread 1 nGpus 8 minBytes 8589934592\n#\n"
        "#       size         count      type   redop    root     time   algbw   busbw #wrong     time   algbw   busbw"
        f" #wrong\n{row}\n# Out of bounds values : 0 OK\n# Avg bus bandwidth    : {rate}\n#\n",
    )


def looped(slow: str = "391.95", number: int = 2, **more: str) -> Answer:
    """ib_write_bw's table for each adapter, as its client writes it."""
    head = " #bytes     #iterations    BW peak[Gb/sec]    BW average[Gb/sec]   MsgRate[Mpps]\n"
    noise = "Conflicting CPU frequency values detected: 1500.000000 != 3300.016000. CPU Frequency is not max.\n"
    text = "writes to itself\n"
    for adapter in range(8):
        row = (
            f" 1048576    140123           0.00               {slow if adapter == number else '392.04'}\t\t     0.04\n"
        )
        text += f"== mlx5_{adapter}\n{more.get(f'mlx5_{adapter}', head + noise + row.expandtabs())}"
    return said(LOOPBACK, text)


HEALTHY = {
    LOOPBACK: looped(),
    PATTERNS: stressed(),
    STREAM: stream(183_600.0),
    FIO: disks(scratch=fio()),
    DIAG: dcgm4(),
    COPY: copies(),
    ALL_REDUCE: reduced(),
}


def expects(trait: str, value: float) -> Expected:
    """A group's normal."""
    return Expected({trait: value}, "health.yml, group h100")


CASES = (
    Case(
        "memory that stress-ng reads back wrong",
        "memory.test",
        "critical",
        "service",
        words="12 bits read back wrong in 1536000 MiB (stress-ng)",
        answers={
            PATTERNS: stressed(
                "stress-ng: fail:  [9885] vm: detected 12 bit errors while stressing memory\n", ILL, status=2
            )
        },
    ),
    Case(
        "memory that memtester reads back wrong",
        "memory.test",
        "critical",
        "service",
        words="FAILURE: 0x7fffffffffffffff != 0xffffffffffffffff at offset 0x00012a40. in 1024 MiB (memtester)",
        answers={
            PATTERNS: memtested("FAILURE: 0x7fffffffffffffff != 0xffffffffffffffff at offset 0x00012a40.\n\nDone.", 4)
        },
    ),
    Case(
        "a test of memory that was ended",
        "memory.test",
        "unknown",
        "none",
        words="stress-ng ended with 137",
        answers={PATTERNS: stressed(end="", status=137)},
    ),
    Case(
        "a memtester that found no memory",
        "memory.test",
        "unknown",
        "none",
        words="memtester ended with 1",
        answers={PATTERNS: memtested("", 1)},
    ),
    Case("a test of memory that hangs", "memory.test", "unknown", "none", answers={PATTERNS: hung(PATTERNS, 240.0)}),
    Case(
        "memory that moves less than it did when it was learned",
        "memory.bandwidth",
        "warn",
        "service",
        words="memory moved: 540 GB/s, 12 % slower; 612 GB/s expected (health.yml, group h100)",
        answers={STREAM: stream(162_000.0)},
        expected=expects("memory_gbs", 612.0),
    ),
    Case(
        "memory that moves half of what it did when it was learned",
        "memory.bandwidth",
        "critical",
        "service",
        words="50 % slower",
        answers={STREAM: stream(91_800.0)},
        expected=expects("memory_gbs", 612.0),
    ),
    Case(
        "memory that moves less than its equals'",
        "memory.bandwidth",
        "warn",
        "service",
        words="540 GB/s, 12 % slower; 612 GB/s is the middle of 5 nodes like it",
        answers={STREAM: stream(162_000.0)},
        unlike_peers=True,
    ),
    Case(
        "a test of memory's speed that was too short",
        "memory.bandwidth",
        "unknown",
        "none",
        words="does not tell the rate",
        answers={STREAM: stream(1.0, count=0)},
    ),
    Case(
        "a disk that is slower than it was",
        "disk.speed",
        "warn",
        "service",
        about="/scratch",
        words="reading: 5000 MB/s, 22 % slower; 6400 MB/s expected",
        answers={FIO: disks(scratch=fio(read=5000.0))},
        expected=expects("disk./scratch.read_mbs", 6400.0),
    ),
    Case(
        "a disk that answers late",
        "disk.speed",
        "critical",
        "service",
        about="/scratch",
        words="reading 4 KiB: 140 µs, 59 % longer; 88 µs expected",
        answers={FIO: disks(scratch=fio(delay=140.0))},
        expected=expects("disk./scratch.delay_us", 88.0),
    ),
    Case(
        "a disk that writes slower than its equals",
        "disk.speed",
        "warn",
        "service",
        about="/scratch",
        words="writing: 2000 MB/s, 49 % slower; 3900 MB/s is the middle of 5 nodes like it",
        answers={FIO: disks(scratch=fio(write=2000.0))},
        unlike_peers=True,
    ),
    Case(
        "a file system that is too full to be tested",
        "disk.speed",
        "unknown",
        "none",
        about="/scratch",
        words="91 % used: it is not written to",
        answers={FIO: said(FIO, "tests disks\n== /scratch full 91\n")},
    ),
    Case(
        "a disk that fio cannot use",
        "disk.speed",
        "unknown",
        "none",
        about="/scratch",
        words="fio failed with error 22",
        answers={FIO: disks(scratch=fio(error=22))},
    ),
    Case("fio answers nonsense", "disk.speed", "unknown", "none", answers={FIO: said(FIO, "hello\n")}),
    Case("a disk that hangs", "disk.speed", "unknown", "none", answers={FIO: hung(FIO, 180.0)}),
    Case(
        "results of an all-reduce that are wrong",
        "gpu.allreduce",
        "critical",
        "reset_device",
        about="results",
        words="3 results",
        answers={ALL_REDUCE: reduced(wrong="3")},
    ),
    Case(
        "an all-reduce slower than the field's limit",
        "gpu.allreduce",
        "warn",
        "reset_device",
        words="all-reduce over 8 devices: 441.2 GB/s, 4 % slower; 460 GB/s expected (azurehpc-health-checks)",
        answers={ALL_REDUCE: reduced("441.20", other="440.00")},
    ),
    Case(
        "nccl-tests that end without a table",
        "gpu.allreduce",
        "unknown",
        "none",
        words="exit 3",
        answers={ALL_REDUCE: said(ALL_REDUCE, "reduces over 8 devices\n# Using devices\n", 3)},
    ),
    Case(
        "a device that fails the test of its memory, by DCGM 4",
        "gpu.diag",
        "critical",
        "service",
        about="GPU 3",
        words="memory: GPU 3 had uncorrectable memory errors",
        answers={
            DIAG: dcgm4(
                result(3, "Fail", error_id=20, error_severity=2, warning="GPU 3 had uncorrectable memory errors"),
                exit_status=226,
            )
        },
    ),
    Case(
        "a device that DCGM 4 wants to be reset",
        "gpu.diag",
        "critical",
        "reset_device",
        about="GPU 5",
        answers={DIAG: dcgm4(result(5, "Fail", error_id=95, error_severity=6, warning="rows wait"), exit_status=226)},
    ),
    Case(
        "a setting that DCGM 4 does not like",
        "gpu.diag",
        "warn",
        "none",
        about="GPU 0",
        answers={DIAG: dcgm4(result(0, "Fail", error_id=29, error_severity=5, warning="persistence is off"))},
    ),
    Case(
        "a device that fails a test, by DCGM 3, which tells no severity",
        "gpu.diag",
        "critical",
        "service",
        about="GPU 3",
        words="GPU Memory: an error was found",
        answers={DIAG: dcgm3("FAIL", "an error was found")},
    ),
    Case(
        "a device that DCGM 3 warns of",
        "gpu.diag",
        "warn",
        "none",
        about="GPU 3",
        answers={DIAG: dcgm3("WARN", "clocks were low")},
    ),
    Case(
        "a diagnosis that skipped all tests of the hardware",
        "gpu.diag",
        "unknown",
        "none",
        about="tests",
        words="all were skipped: memory, pcie",
        answers={DIAG: dcgm4(status="Skip")},
    ),
    Case(
        "a diagnosis for which its engine does not run",
        "gpu.diag",
        "unknown",
        "none",
        words="unable to establish a connection",
        answers={DIAG: said(DIAG, "Error: unable to establish a connection to the specified host: localhost\n", 234)},
    ),
    Case("a diagnosis that hangs", "gpu.diag", "unknown", "none", answers={DIAG: hung(DIAG, 900.0)}),
    Case(
        "a device that data reaches slowly",
        "gpu.copy",
        "warn",
        "reboot",
        about="GPU 3",
        words="host to device: 26.4 GB/s, 45 % slower; 48 GB/s expected (azurehpc-health-checks)",
        answers={COPY: copies("26.40")},
    ),
    Case(
        "a device that data reaches slower than it did",
        "gpu.copy",
        "critical",
        "reboot",
        about="GPU 3",
        answers={COPY: copies("12.40")},
        expected=expects("gpu.h2d_gbs", 55.6),
    ),
    Case(
        "nvbandwidth that could not measure",
        "gpu.copy",
        "unknown",
        "none",
        words="did not measure host to device: Error",
        answers={COPY: copies(status="Error")},
    ),
    Case(
        "an adapter that writes to itself slower than it did",
        "ib.loopback",
        "warn",
        "service",
        about="mlx5_2",
        words="writing to itself: 310 Gbit/s, 21 % slower; 391 Gbit/s expected",
        answers={LOOPBACK: looped("310.00")},
        expected=expects("ib.mlx5_2.loopback_gbit", 391.0),
    ),
    Case(
        "an adapter that writes to itself slower than its equals",
        "ib.loopback",
        "warn",
        "service",
        about="mlx5_2",
        answers={LOOPBACK: looped("310.00")},
        unlike_peers=True,
    ),
    Case(
        "an adapter that cannot write to itself",
        "ib.loopback",
        "unknown",
        "none",
        about="mlx5_4",
        words="Unable to Connect",
        answers={
            LOOPBACK: looped(mlx5_4=" Failed to modify QP 140 to RTR\n Unable to Connect the HCA's through the link\n")
        },
    ),
    Case("adapters that are never done", "ib.loopback", "unknown", "none", answers={LOOPBACK: hung(LOOPBACK, 240.0)}),
)

"""Nodes that are not as their equals: one that differs beside four that are alike."""

from collections.abc import Callable
from dataclasses import replace

from tests.l1_cluster.health.case import Case, gone, hung, read, said
from tests.l1_cluster.health.cases.slurm import node, row

from aiops.layers.l0_nodes.accelerator import Accelerator
from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l0_nodes.facts import BusAccelerators, Facts
from aiops.layers.l1_cluster.trait_reading import BOARD, CHIPS, CPU, OFED
from aiops.plugins.slurm.view import NODE

_DMI = "/sys/class/dmi/id"


def _board(bios: str = "2.3.4", maker: str = "Supermicro") -> Answer:
    values = {"sys_vendor": maker, "product_name": "SYS-821GE-TNHR", "bios_version": bios, "bios_date": "04/10/2026"}
    return read(BOARD, {f"{_DMI}/{name}": f"{value}\n" for name, value in values.items()})


def _chips(firmware: str = "28.43.2026", count: int = 8) -> Answer:
    files = {}
    for number in range(8):
        folder = f"/sys/class/infiniband/mlx5_{number}"
        files[f"{folder}/board_id"] = "MT_0000000838\n"
        files[f"{folder}/fw_ver"] = f"{firmware if number < count else '28.43.2026'}\n"
    for number in range(4):
        files[f"/sys/class/nvme/nvme{number}/model"] = "SAMSUNG MZQL23T8HCLS-00A07              \n"
        files[f"/sys/class/nvme/nvme{number}/firmware_rev"] = "GDC5602Q\n"
    missing = {"/sys/bus/platform/devices/ipmi_bmc*/firmware_revision": "nothing matches"}
    return Answer(CHIPS, files=files, missing=missing)


def _cpu(microcode: str = "0xa101144") -> Answer:
    text = f"processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC 9554\nmicrocode\t: {microcode}\n"
    return read(CPU, {"/proc/cpuinfo": text})


HEALTHY = {
    BOARD: _board(),
    CHIPS: _chips(),
    CPU: _cpu(),
    OFED: said(OFED, "MLNX_OFED_LINUX-24.10-2.1.8.0:\n"),
}


def _with(**changes: object) -> Callable[[Facts], Facts]:
    return lambda facts: replace(facts, **changes)  # type: ignore[arg-type]


def _devices(change: Callable[[Accelerator], Accelerator], count: int = 8) -> Callable[[Facts], Facts]:
    def changed(facts: Facts) -> Facts:
        devices = facts.accelerators or ()
        return replace(facts, accelerators=tuple(change(one) if one.index == 3 else one for one in devices[:count]))

    return changed


def _left(count: int) -> Callable[[Facts], Facts]:
    """Devices are gone from the bus too, so that nothing on the node itself can tell that there were more."""

    def changed(facts: Facts) -> Facts:
        buses = tuple(one.bus or "" for one in (facts.accelerators or ())[:count])
        bus = (BusAccelerators("nvidia", count, buses, 4),) if count else ()
        return replace(facts, accelerators=(facts.accelerators or ())[:count], bus_accelerators=bus)

    return changed


CASES = (
    Case(
        "an older release of the system",
        "os.skew",
        "warn",
        "none",
        words="debian 11, most like it have debian 12",
        facts=_with(os_version="11", os_name="Debian GNU/Linux 11 (bullseye)"),
        unlike_peers=True,
    ),
    Case(
        "another kernel runs",
        "kernel.skew",
        "warn",
        "none",
        words="6.1.0-31-amd64, most like it have 6.1.0-28-amd64",
        facts=_with(kernel="6.1.0-31-amd64"),
        unlike_peers=True,
    ),
    Case(
        "the kernel is not told",
        "kernel.skew",
        "unknown",
        "none",
        words="exit 1",
        facts=lambda facts: replace(facts, kernel=None, unknown={"kernel": "exit 1"}),
        unlike_peers=True,
    ),
    Case(
        "another driver on all devices",
        "driver.skew",
        "warn",
        "none",
        about="nvidia",
        words="570.172.08, most like it have 580.95.05",
        facts=lambda facts: replace(
            facts,
            accelerators=tuple(replace(one, driver="570.172.08") for one in facts.accelerators or ()),
            bus_accelerators=tuple(replace(one, switches=0) for one in facts.bus_accelerators or ()),
        ),
        unlike_peers=True,
    ),
    Case(
        "other firmware on one device",
        "firmware.skew",
        "warn",
        "none",
        about="NVIDIA H100 80GB HBM3",
        words="1 × 96.00.99.00.01, 7 × 96.00.A5.00.01, most like it have 96.00.A5.00.01",
        facts=_devices(lambda one: replace(one, firmware="96.00.99.00.01")),
        unlike_peers=True,
        also=("gpu.firmware_uniform",),
    ),
    Case(
        "other firmware on all devices",
        "firmware.skew",
        "warn",
        "none",
        about="NVIDIA H100 80GB HBM3",
        words="most like it have 96.00.A5.00.01",
        facts=lambda facts: replace(
            facts, accelerators=tuple(replace(one, firmware="96.00.99.00.01") for one in facts.accelerators or ())
        ),
        unlike_peers=True,
    ),
    Case(
        "one adapter with older firmware",
        "ib.firmware_skew",
        "warn",
        "none",
        about="MT_0000000838",
        words="1 × 28.39.1002, 7 × 28.43.2026, most like it have 28.43.2026",
        answers={CHIPS: _chips("28.39.1002", 1)},
        unlike_peers=True,
    ),
    Case(
        "firmware of adapters cannot be read",
        "ib.firmware_skew",
        "unknown",
        "none",
        words="Input/output error",
        answers={
            CHIPS: replace(_chips(), missing={"/sys/class/infiniband/mlx5_3/fw_ver": "Input/output error"}),
        },
        unlike_peers=True,
    ),
    Case(
        "an older BIOS",
        "bios.skew",
        "warn",
        "none",
        words="2.1 of 04/10/2026, most like it have 2.3.4 of 04/10/2026",
        answers={BOARD: _board("2.1")},
        unlike_peers=True,
    ),
    Case(
        "older microcode",
        "microcode.skew",
        "warn",
        "none",
        words="0xa10113e, most like it have 0xa101144",
        answers={CPU: _cpu("0xa10113e")},
        unlike_peers=True,
    ),
    Case(
        "OFED is missing",
        "ofed.skew",
        "warn",
        "none",
        words="not installed, most like it have MLNX_OFED_LINUX-24.10-2.1.8.0",
        answers={OFED: gone(OFED, "ofed_info")},
        unlike_peers=True,
    ),
    Case(
        "ofed_info hangs",
        "ofed.skew",
        "unknown",
        "none",
        words="no answer within 10 s",
        answers={OFED: hung(OFED, 10.0)},
        unlike_peers=True,
    ),
    Case(
        "another model of processor",
        "cpu.skew",
        "warn",
        "none",
        about="model",
        words="2 × AMD EPYC 9454, most like it have 2 × AMD EPYC 9554",
        facts=_with(cpu_model="AMD EPYC 9454"),
        unlike_peers=True,
    ),
    Case(
        "more processors than its equals",
        "cpu.skew",
        "warn",
        "none",
        about="threads",
        words="256, most like it have 192",
        facts=_with(threads=256),
        unlike_peers=True,
    ),
    Case(
        "some processors are offline",
        "cpu.skew",
        "warn",
        "service",
        about="threads",
        words="184, most like it have 192",
        facts=_with(threads=184),
        also=("slurm.memory_cpus_match",),
        unlike_peers=True,
    ),
    Case(
        "more memory than its equals",
        "mem.skew",
        "warn",
        "none",
        words="3095904 MiB, most like it have 2063937 MiB (limit 5 % apart)",
        facts=_with(memory_mib=3_095_904),
        unlike_peers=True,
    ),
    Case(
        "a memory module is gone",
        "mem.skew",
        "warn",
        "service",
        words="1934941 MiB, most like it have 2063937 MiB",
        facts=_with(memory_mib=1_934_941),
        also=("slurm.memory_cpus_match",),
        unlike_peers=True,
    ),
    Case(
        "a device is gone without a trace",
        "gpu.count_skew",
        "warn",
        "service",
        about="NVIDIA H100 80GB HBM3",
        words="7, most like it have 8",
        facts=_left(7),
        answers={NODE: node(row(gres="gpu:h100:7(S:0-1)"))},  # Slurm has got used to it
        unlike_peers=True,
    ),
    Case(
        "all devices are gone without a trace",
        "gpu.count_skew",
        "warn",
        "service",
        words="no accelerator, most like it have some",
        facts=_left(0),
        answers={NODE: node(row(gres="(null)"))},
        unlike_peers=True,
    ),
)

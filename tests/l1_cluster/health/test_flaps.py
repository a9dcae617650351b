"""Links that go up and down by the kernel's log, as many drivers tell it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.l1_cluster.health.case import read
from tests.l1_cluster.health.cases.kernel_log import log
from tests.l1_cluster.health.network import found, node

from aiops.layers.l1_cluster.health import flaps
from aiops.layers.l1_cluster.health.kernel_log import KERNEL_LOG, UPTIME


@settings(deadline=None)
@given(text=st.text(max_size=200))
def test_lines_of_the_log_that_are_something_else_are_no_flaps(text: str) -> None:
    told = list(flaps.flaps(node({KERNEL_LOG: log((60.0, text.replace("\n", " ")))})))
    assert told == []


@pytest.mark.parametrize(
    "line",
    [
        "mlx5_core 0000:53:00.0 ens2np0: Link up",
        "pcieport 0000:00:1c.0: pciehp: Slot(5): Link Down",
        "ata1: SATA link down (SStatus 0 SControl 300)",
        "bond0: (slave ens2np0): link status definitely down, disabling slave",
        "docker0: port 1(veth12ab) entered disabled state",
        "IPv6: ADDRCONF(NETDEV_CHANGE): eth0: link becomes ready",
        "NVRM: GPU 0000:18:00.0: NVLink: Link down",
    ],
)
def test_benign_lines_are_no_flaps(line: str) -> None:
    answer = log(*((60.0 * number, line) for number in range(9, 0, -1)))
    assert list(flaps.flaps(node({KERNEL_LOG: answer}))) == []


@pytest.mark.parametrize(
    ("line", "about", "rdma"),
    [
        ("igb 0000:01:00.0 eth0: igb: eth0 NIC Link is Down", "eth0", False),
        ("bnxt_en 0000:41:00.0 ens1f0: NIC Link is Down", "ens1f0", False),
        ("tg3 0000:01:00.0 eth0: Link is down", "eth0", False),
        ("r8169 0000:01:00.0 eth0: Link is Down", "eth0", False),
        ("ixgbe 0000:41:00.1 ens1f1: NIC Link is Down", "ens1f1", False),
        ("mlx4_en: eth0: Link Down", "eth0", False),
        ("e1000e: eth0 NIC Link is Down", "eth0", False),
        ("mlx5_core 0000:53:00.0 mlx5_8: Port: 1 Link DOWN", "ens2np0", True),
        ("mlx5_core 0000:93:00.0 ib3: Link down", "mlx5_3/1", True),
        ("mlx5_core 0000:93:00.0 mlx5_3: Port: 2 Link DOWN", "mlx5_3/2", True),
        ("mlx5_core 0000:ee:00.0 gone0: Link down", "gone0", False),
    ],
)
def test_flaps_of_many_drivers(line: str, about: str, rdma: bool) -> None:
    answer = log((12_000.0, line), (3_000.0, line), (60.0, line))
    (told,) = flaps.flaps(node({KERNEL_LOG: answer}))
    assert (told.about, told.rdma, told.downs) == (about, rdma, 2), "what was four hours ago is over"


def test_one_event_that_several_drivers_tell_is_one() -> None:
    lines = [
        (ago, text)
        for ago in (900.0, 600.0)
        for text in ("mlx5_core 0000:93:00.0 ib3: Link down", "mlx5_core 0000:93:00.0 mlx5_3: Port: 1 Link DOWN")
    ]
    (told,) = flaps.flaps(node({KERNEL_LOG: log(*lines)}))
    assert (told.about, told.downs, told.fabric) == ("mlx5_3/1", 2, "InfiniBand")


def test_links_that_go_down_while_a_node_starts_are_no_flaps() -> None:
    young = read(UPTIME, {"/proc/uptime": "2000.0 1.0\n"})
    lines = [f"3,{n},{(300 + 60 * n) * 1_000_000},-;mlx5_core 0000:53:00.0 ens2np0: Link down\n" for n in range(9)]
    answers = {UPTIME: young, KERNEL_LOG: read(KERNEL_LOG, {"/dev/kmsg": "".join(lines)})}
    assert list(flaps.flaps(node(answers))) == []


def test_a_log_that_cannot_be_read_is_unknown() -> None:
    for answer in (read(KERNEL_LOG, {"/dev/kmsg": "\x00garbage"}), read(KERNEL_LOG, {}, argv="not asked")):
        findings = found(node({KERNEL_LOG: answer}))
        assert [(one.check, one.verdict) for one in findings] == [("net.link_flaps", "unknown")]

"""What ports, bonds and logs of several kernels and vendors are read as."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.l1_cluster.health.case import read
from tests.l1_cluster.health.cases import ethernet as eth_cases
from tests.l1_cluster.health.cases import link_errors as error_cases
from tests.l1_cluster.health.cases import rdma as rdma_cases
from tests.l1_cluster.health.network import NOTHING, record, sysfs

from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.ask import Answer, Record
from aiops.layers.l1_cluster.health import names, verbs
from aiops.layers.l1_cluster.health.ethernet_reading import (
    BONDS,
    CARDS,
    MTU,
    Bond,
    read_bonds,
    read_cards,
    read_mtus,
    read_verbs,
)
from aiops.layers.l1_cluster.health.rdma_reading import (
    COUNTERS,
    PORTS,
    PortCounters,
    read_counters,
    read_downs,
    read_ports,
)
from aiops.layers.l1_cluster.health.sysfs import counter


def port_files(device: str, **values: str) -> dict[str, str]:
    return {f"/sys/class/infiniband/{device}/ports/1/{name}": f"{text}\n" for name, text in values.items()}


@pytest.mark.parametrize(
    ("rate", "gbit", "lanes"),
    [
        ("400 Gb/sec (4X NDR)", 400, 4),
        ("100 Gb/sec (2X HDR)", 100, 2),
        ("40 Gb/sec (4X FDR10)", 40, 4),
        ("2.5 Gb/sec (1X SDR)", 2.5, 1),
        ("56 Gb/sec (4X FDR)", 56, 4),
        ("10 Gb/sec (4X)", 10, 4),
        ("800 Gb/sec (4X XDR)", 800, 4),
        ("fast", None, None),
        ("", None, None),
    ],
)
def test_rates_of_ports(rate: str, gbit: float | None, lanes: int | None) -> None:
    files = port_files("mlx5_0", link_layer="InfiniBand", state="4: ACTIVE", phys_state="5: LinkUp", rate=rate)
    (port,) = read_ports(record(sysfs(PORTS, files)))
    assert (port.gbit, port.lanes, port.state, port.physical) == (gbit, lanes, "active", "LinkUp")
    assert (port.guid, port.hardware, port.about, port.name) == (None, False, "mlx5_0/1", "mlx5_0")


def test_ports_of_several_kinds() -> None:
    files = {
        **port_files(
            "mlx5_10", link_layer="Ethernet", state="1: DOWN", phys_state="3: Disabled", rate="40 Gb/sec (4X QDR)"
        ),
        **port_files("rdmap0s6", link_layer="Unknown", state="5: ACTIVE_DEFER", phys_state="5: LinkUp"),
        "/sys/class/infiniband/rdmap0s6/node_guid": "0000:0000:0000:0000\n",
        "/sys/class/infiniband/mlx5_10/node_guid": "B859:9F03:0012:3456\n",
        "/sys/class/infiniband/mlx5_10/ports/2/state": "4: ACTIVE\n",
        "/sys/class/infiniband/mlx5_10/ports/2/link_layer": "Unknown\n",
        **port_files("mlx5_11", link_layer="InfiniBand", state="1: DOWN"),
        "/sys/class/infiniband/mlx5_11/device/physfn/vendor": "0x15b3\n",
    }
    ports = read_ports(record(sysfs(PORTS, files)))
    assert [(one.about, one.name, one.kind, one.state, one.active) for one in ports] == [
        ("mlx5_10/1", "mlx5_10", "roce", "down", False),
        ("mlx5_10/2", "mlx5_10/2", "other", "active", True),
        ("rdmap0s6/1", "rdmap0s6", "other", "active_defer", True),
    ], "the port of a virtual function is a guest's"
    assert [one.guid for one in ports] == ["b859:9f03:0012:3456", "b859:9f03:0012:3456", None]


def test_no_adapters_are_none_and_cut_answers_are_unknown() -> None:
    assert read_ports(record(sysfs(PORTS, {}))) == ()
    whole = rdma_cases.ports()
    for answer in (
        Answer(PORTS),
        Answer(PORTS, missing={"argv": "not asked"}),
        replace(whole, timed_out=True),
        replace(whole, truncated=True),
        Answer(PORTS, missing={"/sys/class/infiniband/mlx5_0/ports/1/state": "Input/output error"}),
    ):
        with pytest.raises(UnreadableError):
            read_ports(record(answer))


@pytest.mark.parametrize(
    ("text", "full", "value"),
    [
        ("0\n", None, 0),
        ("18446744073709551615\n", None, None),
        ("18446744073709551614", None, 2**64 - 2),
        ("4294967295", None, None),
        ("65535", None, None),
        ("255", 255, None),
        ("255", None, 255),
        ("15", 15, None),
        ("N/A (no PMA)\n", None, None),
        ("-1", None, None),
        ("²", None, None),
        ("", None, None),
        ("99999999999999999999999", None, None),
    ],
)
def test_a_counter_that_tells_nothing_is_not_known(text: str, full: int | None, value: int | None) -> None:
    assert counter(text, full) == value


def test_counters_of_ports() -> None:
    root = "/sys/class/infiniband/mlx5_0/ports/1"
    answer = Answer(
        COUNTERS,
        files={f"{root}/counters/symbol_error": "12\n", f"{root}/counters/link_error_recovery": "255\n"},
        missing={
            f"{root}/counters/port_rcv_errors": "Connection timed out",
            f"{root}/counters/port_xmit_discards": "Invalid argument",
            "/sys/class/infiniband/*/ports/*/hw_counters/out_of_sequence": NOTHING,
        },
    )
    assert read_counters(record(answer)) == {
        "mlx5_0/1": PortCounters({"symbol_error": 12}, {"port_rcv_errors": "Connection timed out"})
    }
    assert read_downs(record(rdma_cases.ports()))["mlx5_3/1"].values == {"link_downed": 1}


def test_only_ports_of_cards_on_the_bus_are_read() -> None:
    pci = "/sys/bus/pci/devices"
    files = {
        f"{pci}/0000:01:00.0/net/eth0/type": "1\n",
        f"{pci}/0000:01:00.0/net/eth0/operstate": "up\n",
        f"{pci}/0000:01:00.0/net/eth0/speed": "25000\n",
        f"{pci}/0000:01:00.0/net/eth0/carrier_changes": "2\n",
        f"{pci}/0000:01:00.0/net/eth0/statistics/rx_errors": "18446744073709551615\n",
        f"{pci}/0000:01:00.0/infiniband/mlx5_9/node_guid": "0002:c903:00ab:0009\n",
        f"{pci}/0000:01:00.0/net/eth0_0/type": "1\n",
        f"{pci}/0000:01:00.0/net/eth0_0/phys_port_name": "pf0vf3\n",
        f"{pci}/0000:01:00.1/net/eth1/type": "1\n",
        f"{pci}/0000:01:00.1/net/eth1/speed": "-1\n",
        f"{pci}/0000:01:00.1/net/eth1/phys_port_name": "p1\n",
        f"{pci}/0000:01:02.0/net/eth2/type": "1\n",
        f"{pci}/0000:01:02.0/physfn/vendor": "0x15b3\n",
        f"{pci}/0000:02:00.0/net/wlan0/type": "1\n",
        f"{pci}/0000:02:00.0/net/wlan0/phy80211/index": "0\n",
        f"{pci}/0000:03:00.0/net/ib0/type": "32\n",
        f"{pci}/0000:04:00.0/net/old0/type": "1\n",
        f"{pci}/0000:04:00.0/net/old0/speed": "65535\n",
        f"{pci}/0000:05:00.0/net/idle0/type": "1\n",
        f"{pci}/0000:05:00.0/net/idle0/speed": "0\n",
    }
    answer = sysfs(CARDS, files)
    cards = {one.name: one for one in read_cards(record(answer))}
    assert set(cards) == {"eth0", "eth1", "old0", "idle0"}
    assert cards["idle0"].mbit is None
    eth0 = cards["eth0"]
    assert (eth0.state, eth0.mbit, eth0.changes, eth0.errors, eth0.rdma) == ("up", 25000, 2, {}, "mlx5_9")
    assert (cards["eth1"].mbit, cards["eth1"].state, cards["old0"].mbit) == (None, None, None)
    assert eth0.chip == cards["eth1"].chip == "0000:01:00"
    assert read_verbs(record(answer)) == {"0000:01:00.0": "mlx5_9"}


def test_bonds_of_several_drivers() -> None:
    old = """Ethernet Channel Bonding Driver: v3.7.1 (April 27, 2011)

Bonding Mode: fault-tolerance (active-backup)
Primary Slave: None
Currently Active Slave: eno1
MII Status: up
MII Polling Interval (ms): 100

Slave Interface: eno1
MII Status: up
Link Failure Count: 0

Slave Interface: eno2
MII Status: going back
Link Failure Count: 3
"""
    empty = "Ethernet Channel Bonding Driver: v6.8.0\n\nBonding Mode: load balancing (round-robin)\nMII Status: down\n"
    answer = read(BONDS, {"/proc/net/bonding/bond0": old, "/proc/net/bonding/bond1": empty})
    assert read_bonds(record(answer)) == (
        Bond("bond0", "fault-tolerance (active-backup)", {"eno1": "up", "eno2": "going back"}),
        Bond("bond1", "load balancing (round-robin)", {}),
    )
    assert read_bonds(record(sysfs(BONDS, {}))) == ()


READERS: Mapping[Callable[[Record], object], tuple[str, tuple[str, ...]]] = {
    read_ports: (PORTS, tuple(rdma_cases.ports().files)),
    read_downs: (PORTS, tuple(rdma_cases.ports().files)),
    read_counters: (COUNTERS, tuple(rdma_cases.HEALTHY[COUNTERS].files)),
    verbs.read_devices: (verbs.DEVICES, tuple(error_cases.HEALTHY[verbs.DEVICES].files)),
    read_cards: (CARDS, tuple(eth_cases.CARD_FILES)),
    read_verbs: (CARDS, tuple(eth_cases.CARD_FILES)),
    read_mtus: (MTU, ("/sys/class/net/eth0/mtu", "/sys/class/net/lo/mtu")),
    read_bonds: (BONDS, ("/proc/net/bonding/bond0",)),
    names.read_lookup: (names.LOOKUP, ("",)),
}
GARBAGE = st.text(max_size=60) | st.sampled_from(
    [
        "4: ACTIVE",
        "400 Gb/sec (4X NDR)",
        "InfiniBand",
        "9" * 30,
        "1",
        "²",
        "Bonding Mode: x",
        "Slave Interface: ",
        "MII Status: up",
    ]
)


@pytest.mark.parametrize("reader", READERS, ids=lambda one: one.__name__)
@settings(deadline=None)
@given(data=st.data())
def test_garbage_is_unreadable_and_nothing_else(reader: Callable[[Record], object], data: st.DataObject) -> None:
    name, paths = READERS[reader]
    files = data.draw(st.dictionaries(st.sampled_from(paths) | st.text(max_size=30), GARBAGE, max_size=6))
    missing = data.draw(st.dictionaries(st.sampled_from(paths), st.sampled_from([NOTHING, "Input/output error"])))
    answer = Answer(
        name,
        data.draw(st.sampled_from([None, 0, 1, 2, 127, 137])),
        data.draw(GARBAGE),
        data.draw(GARBAGE),
        files,
        missing,
        timed_out=data.draw(st.booleans()),
        truncated=data.draw(st.booleans()),
    )
    with suppress(UnreadableError):
        reader(record(answer))

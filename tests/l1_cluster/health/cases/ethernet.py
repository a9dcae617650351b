"""Ethernet: a port for management, two in a bond, one for storage that speaks RoCE; the kernel's log; many at once."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from tests.l1_cluster.health.case import AT, BOOT_ID, Case, read
from tests.l1_cluster.health.cases.rdma import RAILS, remembered

from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l0_nodes.facts import Facts, Interface
from aiops.layers.l1_cluster.health.ethernet_reading import BONDS, CARDS, MTU
from aiops.layers.l1_cluster.health.expected import Expected
from aiops.layers.l1_cluster.health.past import Past, Sample

ROOT = "/sys/bus/pci/devices"
PLACES = {"eth0": "0000:01:00.0", "ens1f0": "0000:41:00.0", "ens1f1": "0000:41:00.1", "ens2np0": "0000:53:00.0"}
_SPEEDS = {"eth0": 25_000, "ens1f0": 25_000, "ens1f1": 25_000, "ens2np0": 200_000}


def _card(name: str) -> dict[str, str]:
    values = {
        "type": "1\n",
        "operstate": "up\n",
        "speed": f"{_SPEEDS[name]}\n",
        "carrier_changes": "2\n",
        "statistics/rx_errors": "3\n",
        "statistics/tx_errors": "0\n",
        "statistics/rx_crc_errors": "3\n",
    }
    return {f"{ROOT}/{PLACES[name]}/net/{name}/{key}": text for key, text in values.items()}


CARD_FILES: dict[str, str] = {f"{ROOT}/0000:53:00.0/infiniband/mlx5_8/node_guid": "0002:c903:00ab:0008\n"}
for _name in PLACES:
    CARD_FILES |= _card(_name)
for _number, _device in enumerate(RAILS):
    CARD_FILES[f"{ROOT}/0000:{0x90 + _number:02x}:00.0/infiniband/{_device}/node_guid"] = "0002:c903:00ab:0000\n"
    CARD_FILES[f"{ROOT}/0000:{0x90 + _number:02x}:00.0/net/ib{_number}/type"] = "32\n"


def cards(changes: Mapping[str, str] | None = None, missing: Mapping[str, str] | None = None) -> Answer:
    """The ports; changes by `eth0/speed`."""

    def at(path: str) -> str:
        name, _, key = path.partition("/")
        return f"{ROOT}/{PLACES[name]}/net/{name}/{key}"

    files = {**CARD_FILES, **{at(path): text for path, text in (changes or {}).items()}}
    gone = {at(path): reason for path, reason in (missing or {}).items()}
    return Answer(CARDS, files={path: text for path, text in files.items() if path not in gone}, missing=gone)


def down(*names: str) -> dict[str, str]:
    """What is different where ports are down."""
    return {f"{name}/{key}": text for name in names for key, text in (("operstate", "down\n"), ("speed", "-1\n"))}


def mtus(**sizes: int) -> Answer:
    """The packet sizes, some of them different."""
    usual = {"lo": 65_536, "eth0": 9000, "ens1f0": 1500, "ens1f1": 1500, "bond0": 1500, "ens2np0": 9000}
    return read(MTU, {f"/sys/class/net/{name}/mtu": f"{size}\n" for name, size in {**usual, **sizes}.items()})


def bond(first: str = "up", second: str = "up", name: str = "bond0") -> Answer:
    """A bond of two ports."""
    text = f"""Ethernet Channel Bonding Driver: v6.1.0-28-amd64

Bonding Mode: IEEE 802.3ad Dynamic link aggregation
Transmit Hash Policy: layer3+4 (1)
MII Status: {"up" if "up" in (first, second) else "down"}
MII Polling Interval (ms): 100
Up Delay (ms): 0
Down Delay (ms): 0
Peer Notification Delay (ms): 0

802.3ad info
LACP active: on
LACP rate: fast
Min links: 0
Aggregator selection policy (ad_select): stable

Slave Interface: ens1f0
MII Status: {first}
Speed: 25000 Mbps
Duplex: full
Link Failure Count: 0
Permanent HW addr: 02:00:00:00:00:02
Slave queue ID: 0
Aggregator ID: 1

Slave Interface: ens1f1
MII Status: {second}
Speed: 25000 Mbps
Duplex: full
Link Failure Count: 1
Permanent HW addr: 02:00:00:00:00:03
Slave queue ID: 0
Aggregator ID: 1
"""
    return read(BONDS, {f"/proc/net/bonding/{name}": text})


HEALTHY = {CARDS: cards(), MTU: mtus(), BONDS: bond()}


def _two_in_one_network(facts: Facts) -> Facts:
    more = Interface("ens1f0", "02:00:00:00:00:02", ("10.0.0.211/24",), 25000, "up")
    return replace(facts, interfaces=(*(facts.interfaces or ()), more))


def _garbled_address(facts: Facts) -> Facts:
    return replace(facts, interfaces=(Interface("eth0", None, ("ten/24",), 25000, "up"),))


def _eth0_down(facts: Facts) -> Facts:
    return replace(facts, interfaces=(Interface("eth0", None, (), None, "down"),))


_ONE = {"aiops_expect": {"nics": [{"count": 1, "name": "eth*"}]}}
_FAST = {"aiops_expect": {"nics": [{"count": 1, "name": "eth*", "speed_gbit": 100}]}}
_PORTS = (
    Case(
        "an Ethernet port that is learned to be up is down",
        "eth.link",
        "critical",
        "service",
        about="eth0",
        words="is down, 25 Gbit/s expected (health.yml)",
        answers={CARDS: cards(down("eth0"))},
        expected=Expected({"eth.eth0.mbit": 25000}, "health.yml"),
    ),
    Case(
        "fewer Ethernet ports are up than the inventory expects",
        "eth.link",
        "critical",
        "service",
        about="eth0",
        words="0 active Ethernet ports `eth*`, 1 expected in the inventory",
        answers={CARDS: cards(down("eth0"))},
        facts=_eth0_down,
        variables=_ONE,
    ),
    Case(
        "an Ethernet port was up since the boot",
        "eth.link",
        "warn",
        "service",
        about="eth0",
        words="is down, 25 Gbit/s expected (which it had before)",
        answers={CARDS: cards(down("eth0"))},
        past=remembered("eth.eth0.best_mbit", 25_000),
    ),
    Case(
        "an Ethernet port is slower than before",
        "eth.speed",
        "warn",
        "service",
        about="eth0",
        words="10 Gbit/s, 25 expected (which it had before)",
        answers={CARDS: cards({"eth0/speed": "10000\n"})},
        past=remembered("eth.eth0.best_mbit", 25_000),
    ),
    Case(
        "an Ethernet port is slower than the inventory says",
        "eth.speed",
        "warn",
        "service",
        about="eth0",
        words="25 Gbit/s, 100 expected (the inventory)",
        variables=_FAST,
    ),
    Case(
        "a port is slower than the other of its card in the same bond",
        "eth.speed",
        "warn",
        "service",
        about="ens1f1",
        words="10 Gbit/s, 25 by another port of its card in bond0",
        answers={CARDS: cards({"ens1f1/speed": "10000\n"})},
    ),
    Case(
        "one port of a bond is down",
        "eth.bond",
        "warn",
        "service",
        about="ens1f1",
        words="is down in bond0, which has 2 ports",
        answers={BONDS: bond(second="down")},
    ),
    Case(
        "no port of a bond is up",
        "eth.bond",
        "critical",
        "service",
        about="bond0",
        words="none of its 2 ports is up",
        answers={BONDS: bond("down", "going back")},
        past=remembered("eth.ens1f0.best_mbit", 25_000),
    ),
    Case(
        "a bond says nothing",
        "eth.bond",
        "unknown",
        "none",
        words="does not say its mode",
        answers={BONDS: read(BONDS, {"/proc/net/bonding/bond0": "\x00\x00"})},
        also=("eth.speed",),
    ),
    Case(
        "a port whose link comes and goes",
        "eth.carrier",
        "warn",
        "service",
        about="ens1f1",
        words="its link went down or up 4 times within 1 h, limit 2",
        answers={CARDS: cards({"ens1f1/carrier_changes": "6\n"})},
        past=remembered("eth.ens1f1.carrier_changes", 2),
    ),
    Case(
        "a port that receives garbage",
        "eth.errors",
        "warn",
        "service",
        about="eth0",
        words="errors per hour: rx_errors 200, rx_crc_errors 200, limit 120",
        answers={CARDS: cards({"eth0/statistics/rx_errors": "203\n", "eth0/statistics/rx_crc_errors": "203\n"})},
        past=Past(
            {
                f"eth.eth0.{name}": (Sample(AT - timedelta(hours=1), 3, BOOT_ID),)
                for name in ("rx_errors", "rx_crc_errors")
            }
        ),
    ),
    Case(
        "the errors of a port cannot be read",
        "eth.errors",
        "unknown",
        "none",
        about="eth0",
        words="tx_errors: Input/output error",
        answers={CARDS: cards(missing={"eth0/statistics/tx_errors": "Input/output error"})},
    ),
)

_UNREAD = (
    Case(
        "a port that does not say whether it is up",
        "eth.link",
        "unknown",
        "none",
        about="eth0",
        answers={CARDS: cards({"eth0/operstate": "?\n"})},
    ),
    Case(
        "a bond that says garbage of a port",
        "eth.bond",
        "unknown",
        "none",
        words="says that ens1f1 is `?`",
        answers={BONDS: bond(second="?")},
        also=("eth.speed",),
    ),
)

_SIZES = (
    Case(
        "an interface that takes smaller packets than the other nodes' in its network",
        "eth.mtu",
        "warn",
        "none",
        about="eth0",
        words="packets of 1500 bytes in 10.0.0.0/24, 9000 on 4 of 5 nodes",
        answers={MTU: mtus(eth0=1500)},
        unlike_peers=True,
    ),
    Case(
        "two interfaces of one node in one network that differ",
        "eth.mtu",
        "warn",
        "none",
        about="10.0.0.0/24",
        words="its interfaces differ in packet size: ens1f0 1500, eth0 9000",
        facts=_two_in_one_network,
    ),
    Case(
        "an address that is none",
        "eth.mtu",
        "unknown",
        "none",
        words="eth0 has the address `ten/24`",
        facts=_garbled_address,
    ),
)

CASES = (*_PORTS, *_UNREAD, *_SIZES)

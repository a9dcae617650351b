"""Ports of InfiniBand and RoCE adapters: eight rails of 400 Gbit/s, and one RoCE port for storage."""

from collections.abc import Mapping
from datetime import timedelta

from tests.l1_cluster.health.case import AT, BOOT_ID, Case

from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l1_cluster.health.expected import Expected
from aiops.layers.l1_cluster.health.past import Past, Sample
from aiops.layers.l1_cluster.health.rdma_reading import COUNTERS, PORTS

ROOT = "/sys/class/infiniband"
RAILS = tuple(f"mlx5_{number}" for number in range(8))
ROCE = "mlx5_8"
IB_COUNTERS = (
    "symbol_error",
    "link_error_recovery",
    "port_rcv_errors",
    "port_xmit_discards",
    "excessive_buffer_overrun_errors",
)
HW_COUNTERS = ("local_ack_timeout_err", "rnr_nak_retry_err", "roce_slow_restart", "out_of_sequence")
SPEED = 400_000


def guid(device: str) -> str:
    """The adapter's own name."""
    return f"0002:c903:00ab:{int(device.rpartition('_')[2]):04x}"


def memory(device: str) -> str:
    """Under which its best speed is remembered."""
    return f"rdma.{guid(device)}/1.best_mbit"


def _port(device: str) -> dict[str, str]:
    infiniband = device != ROCE
    files = {
        "link_layer": "InfiniBand\n" if infiniband else "Ethernet\n",
        "state": "4: ACTIVE\n",
        "phys_state": "5: LinkUp\n",
        "rate": "400 Gb/sec (4X NDR)\n" if infiniband else "200 Gb/sec (4X HDR)\n",
        "counters/link_downed": "1\n",
    }
    return {f"{ROOT}/{device}/ports/1/{name}": text for name, text in files.items()}


def answer(
    name: str, files: Mapping[str, str], changes: Mapping[str, str | None], missing: Mapping[str, str]
) -> Answer:
    """The answer with `changes` (None: the file is not there), and what could not be read; both below the root."""
    changed = {**files, **{f"{ROOT}/{path}": text for path, text in changes.items()}}
    kept = {path: text for path, text in changed.items() if text is not None and path not in missing}
    return Answer(name, files=kept, missing={f"{ROOT}/{path}": reason for path, reason in missing.items()})


PORT_FILES: dict[str, str] = {}
for _device in (*RAILS, ROCE):
    PORT_FILES |= _port(_device)
    PORT_FILES[f"{ROOT}/{_device}/node_guid"] = f"{guid(_device)}\n"
    PORT_FILES[f"{ROOT}/{_device}/device/vendor"] = "0x15b3\n"
_COUNTERS = {
    f"{ROOT}/{device}/ports/1/{folder}/{name}": "7\n"
    for device in (*RAILS, ROCE)
    for folder, names in (("counters", IB_COUNTERS), ("hw_counters", HW_COUNTERS))
    for name in names
}


def ports(changes: Mapping[str, str | None] | None = None, **missing: str) -> Answer:
    """The ports; changes by `mlx5_3/ports/1/state`."""
    return answer(PORTS, PORT_FILES, changes or {}, {f"{ROOT}/*/device/physfn/vendor": "nothing matches", **missing})


def unreadable_ports(**reasons: str) -> Answer:
    """The ports, the state of some of which cannot be read."""
    paths = {f"{device}/ports/1/state": reason for device, reason in reasons.items()}
    return answer(PORTS, PORT_FILES, dict.fromkeys(paths), paths)


def counters(device: str, name: str, value: str | None, reason: str = "") -> Answer:
    """The counters, one of which is different."""
    folder = "hw_counters" if name in HW_COUNTERS else "counters"
    path = f"{device}/ports/1/{folder}/{name}"
    return answer(COUNTERS, _COUNTERS, {path: value}, {path: reason} if reason else {})


def without(device: str) -> Answer:
    """The ports of all adapters but one."""
    return answer(PORTS, {path: text for path, text in PORT_FILES.items() if f"/{device}/" not in path}, {}, {})


def down(*devices: str, state: str = "1: DOWN\n", physical: str = "2: Polling\n") -> dict[str, str | None]:
    """What is different where ports are down."""
    rate = "10 Gb/sec (4X SDR)\n"
    return {
        f"{device}/ports/1/{name}": text
        for device in devices
        for name, text in (("state", state), ("phys_state", physical), ("rate", rate))
    }


def waiting(*devices: str) -> dict[str, str | None]:
    """What is different where ports wait for a subnet manager."""
    return down(*devices, state="2: INIT\n", physical="5: LinkUp\n")


def remembered(name: str, value: int, hours: float = 1.0) -> Past:
    """One counter as it was an hour ago."""
    return Past({name: (Sample(AT - timedelta(hours=hours), value, BOOT_ID),)})


HEALTHY = {
    PORTS: ports(),
    COUNTERS: answer(COUNTERS, _COUNTERS, {}, {}),
}


def _expect(count: int, gbit: int | None = None) -> dict[str, object]:
    nics: dict[str, object] = {"count": count, "kind": "infiniband"}
    return {"aiops_expect": {"nics": [nics if gbit is None else {**nics, "speed_gbit": gbit}]}}


_LEARNED = Expected({"ib.mlx5_3.gbit": 400}, "health.yml, group h100")
_HALF = "200 Gb/sec (2X NDR)\n"

_STATES = (
    Case(
        "a port that was active is down",
        "ib.port_state",
        "critical",
        "service",
        about="mlx5_3/1",
        words="is down (Polling), 400 Gbit/s expected (which it had before)",
        answers={PORTS: ports(down("mlx5_3"))},
        past=Past({memory("mlx5_3"): (Sample(AT - timedelta(days=9), SPEED, "another boot"),)}),
    ),
    Case(
        "a port that is learned to be active is down",
        "ib.port_state",
        "critical",
        "service",
        about="mlx5_3/1",
        words="health.yml, group h100",
        answers={PORTS: ports(down("mlx5_3", physical="3: Disabled\n"))},
        expected=_LEARNED,
    ),
    Case(
        "fewer ports are active than the inventory expects",
        "ib.port_state",
        "critical",
        "service",
        about="mlx5_6/1",
        words="7 active InfiniBand ports, 8 expected in the inventory",
        answers={PORTS: ports(down("mlx5_6"))},
        variables=_expect(8),
    ),
    Case(
        "more ports are expected than there are",
        "ib.port_state",
        "critical",
        "service",
        about="InfiniBand ports",
        words="8 active InfiniBand ports, 9 expected",
        variables=_expect(9),
    ),
    Case(
        "a RoCE port that was active is down",
        "ib.port_state",
        "critical",
        "service",
        about="mlx5_8/1",
        answers={PORTS: ports(down("mlx5_8", physical="3: Disabled\n"))},
        past=remembered(memory("mlx5_8"), 200_000),
    ),
    Case(
        "a port that is active on all nodes alike is down on one",
        "ib.port_state",
        "warn",
        "service",
        about="mlx5_3/1",
        words="up on 4 of 4 nodes alike",
        answers={PORTS: ports(down("mlx5_3"))},
        unlike_peers=True,
    ),
    Case(
        "a port that only two nodes have in use",
        "ib.port_state",
        "ok",
        "none",
        answers={PORTS: ports(down("mlx5_3"))},
        unlike_peers=True,
        peers=2,
    ),
    Case(
        "a port that several nodes leave empty",
        "ib.port_state",
        "ok",
        "none",
        answers={PORTS: ports(down("mlx5_3"))},
        unlike_peers=True,
        peers=5,
        sharing=2,
    ),
    Case(
        "a port that most nodes alike have in use is down on two",
        "ib.port_state",
        "warn",
        "service",
        about="mlx5_3/1",
        words="up on 8 of 9 nodes alike",
        answers={PORTS: ports(down("mlx5_3"))},
        unlike_peers=True,
        peers=9,
        sharing=1,
    ),
    Case(
        "an adapter is gone since the boot",
        "ib.port_state",
        "critical",
        "reboot",
        about="RDMA ports",
        words="8 ports of RDMA adapters, 9 since it has booted",
        answers={PORTS: without("mlx5_7")},
        past=remembered("rdma.ports", 9),
    ),
    Case(
        "the subnet manager does not configure one port",
        "ib.port_state",
        "critical",
        "reset_device",
        about="mlx5_3/1",
        words="no subnet manager has configured it",
        answers={PORTS: ports(waiting("mlx5_3"))},
        past=remembered(memory("mlx5_3"), SPEED),
    ),
    Case(
        "there is no subnet manager",
        "ib.port_state",
        "critical",
        "none",
        owner="fabric",
        about="mlx5_3/1",
        words="no subnet manager has configured it",
        answers={PORTS: ports(waiting(*RAILS))},
        variables=_expect(8),
    ),
    Case(
        "the state of a port cannot be read",
        "ib.port_state",
        "unknown",
        "none",
        about="mlx5_3/1",
        words="Input/output error",
        answers={PORTS: unreadable_ports(mlx5_3="Input/output error")},
    ),
    Case(
        "the state of a port is garbage",
        "ib.port_state",
        "unknown",
        "none",
        about="mlx5_3/1",
        words="its state is `4`",
        answers={PORTS: ports({"mlx5_3/ports/1/state": "4\n"})},
    ),
)

_RATES = (
    Case(
        "a port that has lost half of its lanes",
        "ib.rate",
        "critical",
        "service",
        about="mlx5_3/1",
        words="200 Gbit/s by 2 lanes, 400 expected (health.yml, group h100)",
        answers={PORTS: ports({"mlx5_3/ports/1/rate": _HALF})},
        expected=_LEARNED,
    ),
    Case(
        "a port that is slower than before",
        "ib.rate",
        "warn",
        "service",
        about="mlx5_3/1",
        words="200 Gbit/s by 4 lanes, 400 expected (which it had before)",
        answers={PORTS: ports({"mlx5_3/ports/1/rate": "200 Gb/sec (4X HDR)\n"})},
        past=remembered(memory("mlx5_3"), SPEED),
    ),
    Case(
        "a port that is slower than the inventory says",
        "ib.rate",
        "critical",
        "service",
        about="mlx5_3/1",
        words="400 expected (the inventory)",
        answers={PORTS: ports({"mlx5_3/ports/1/rate": _HALF})},
        variables=_expect(8, 400),
    ),
    Case(
        "a port that is slower than on nodes alike",
        "ib.rate",
        "warn",
        "service",
        about="mlx5_3/1",
        words="200 Gbit/s by 2 lanes, more on 4 of 4 nodes alike",
        answers={PORTS: ports({"mlx5_3/ports/1/rate": _HALF})},
        unlike_peers=True,
    ),
    Case(
        "a port that is faster on two nodes only",
        "ib.rate",
        "ok",
        "none",
        answers={PORTS: ports({"mlx5_3/ports/1/rate": _HALF})},
        unlike_peers=True,
        peers=2,
    ),
    Case(
        "a port that several nodes have on a slower switch",
        "ib.rate",
        "ok",
        "none",
        answers={PORTS: ports({"mlx5_3/ports/1/rate": _HALF})},
        unlike_peers=True,
        peers=5,
        sharing=2,
    ),
    Case(
        "a port that is slower on two nodes than on most alike",
        "ib.rate",
        "warn",
        "service",
        about="mlx5_3/1",
        words="more on 8 of 9 nodes alike",
        answers={PORTS: ports({"mlx5_3/ports/1/rate": _HALF})},
        unlike_peers=True,
        peers=9,
        sharing=1,
    ),
    Case(
        "a port by a single lane",
        "ib.rate",
        "warn",
        "service",
        about="mlx5_3/1",
        words="100 Gbit/s by one lane",
        answers={PORTS: ports({"mlx5_3/ports/1/rate": "100 Gb/sec (1X NDR)\n"})},
    ),
    Case(
        "a port that does not say how fast it is",
        "ib.rate",
        "unknown",
        "none",
        about="mlx5_3/1",
        answers={PORTS: ports({"mlx5_3/ports/1/rate": "fast\n"})},
    ),
)


CASES = (*_STATES, *_RATES)

"""Links that go up and down by the kernel's log, and those of many hosts at once."""

from tests.l1_cluster.health.case import Case
from tests.l1_cluster.health.cases.ethernet import cards
from tests.l1_cluster.health.cases.kernel_log import log
from tests.l1_cluster.health.cases.rdma import down, memory, ports, remembered

from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l1_cluster.health.ethernet_reading import CARDS
from aiops.layers.l1_cluster.health.kernel_log import KERNEL_LOG
from aiops.layers.l1_cluster.health.rdma_reading import PORTS

HEALTHY: dict[str, Answer] = {}

_FLAP = "mlx5_core 0000:53:00.0 ens2np0: Link down"
_RAIL = "mlx5_core 0000:93:00.0 mlx5_3: Port: 1 Link DOWN"
_OTHER = "ice 0000:41:00.1 ens1f1: NIC Link is Down"


def _times(text: str, count: int = 3, first: float = 600.0) -> Answer:
    return log(*((first + 900 * number, text) for number in reversed(range(count))))


_FLAPS = (
    Case(
        "the log tells that the link of an InfiniBand port went down often",
        "net.link_flaps",
        "critical",
        "service",
        about="mlx5_3/1",
        words="its link went down 3 times within 3 h by the kernel's log, limit 3",
        answers={KERNEL_LOG: _times(_RAIL)},
    ),
    Case(
        "the log tells that the link of a RoCE port went down often",
        "net.link_flaps",
        "critical",
        "service",
        about="ens2np0",
        answers={KERNEL_LOG: _times(_FLAP)},
    ),
    Case(
        "the log tells that the link of an Ethernet port went down often",
        "net.link_flaps",
        "warn",
        "service",
        about="ens1f1",
        answers={KERNEL_LOG: _times(_OTHER, 4)},
    ),
)

_FABRIC = (
    Case(
        "links of all hosts went down twice",
        "fabric.links",
        "warn",
        "none",
        owner="fabric",
        about="InfiniBand",
        words="links of 5 of 5 hosts went down 2 times or more within 3 h: look at the switch, drain no host",
        answers={PORTS: ports({"mlx5_3/ports/1/counters/link_downed": "3\n"})},
        past=remembered("rdma.mlx5_3/1.link_downed", 1),
        everywhere=True,
    ),
    Case(
        "Ethernet links of all hosts went down twice",
        "fabric.links",
        "warn",
        "none",
        owner="fabric",
        about="Ethernet",
        answers={CARDS: cards({"eth0/carrier_changes": "6\n"})},
        past=remembered("eth.eth0.carrier_changes", 2),
        everywhere=True,
        also=("eth.carrier",),
    ),
    Case(
        "links of all hosts are down",
        "fabric.links",
        "critical",
        "none",
        owner="fabric",
        about="InfiniBand",
        words="links of 5 of 5 hosts are down",
        answers={PORTS: ports(down("mlx5_3"))},
        past=remembered(memory("mlx5_3"), 400_000),
        everywhere=True,
        also=("ib.port_state",),
    ),
    Case(
        "links of two hosts of five are down",
        "ib.port_state",
        "critical",
        "service",
        about="mlx5_3/1",
        answers={PORTS: ports(down("mlx5_3"))},
        past=remembered(memory("mlx5_3"), 400_000),
        unlike_peers=True,
        sharing=1,
    ),
    Case(
        "links of three hosts of sixteen are down",
        "ib.port_state",
        "critical",
        "service",
        about="mlx5_3/1",
        answers={PORTS: ports(down("mlx5_3"))},
        past=remembered(memory("mlx5_3"), 400_000),
        unlike_peers=True,
        peers=15,
        sharing=2,
    ),
    Case(
        "links of four hosts of five are down",
        "fabric.links",
        "critical",
        "none",
        owner="fabric",
        about="InfiniBand",
        words="links of 4 of 5 hosts are down",
        answers={PORTS: ports(down("mlx5_3"))},
        past=remembered(memory("mlx5_3"), 400_000),
        unlike_peers=True,
        sharing=3,
        also=("ib.port_state",),
    ),
)

CASES = (*_FLAPS, *_FABRIC)

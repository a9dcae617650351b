"""Counters of links: what counts as growth, and what is remembered."""

from datetime import timedelta

from tests.l1_cluster.health.case import AT, BOOT_ID, read
from tests.l1_cluster.health.cases import ethernet as eth_cases
from tests.l1_cluster.health.cases import rdma as rdma_cases
from tests.l1_cluster.health.cases.kernel_log import UP
from tests.l1_cluster.health.network import CHECKS, HOUR, checks, found, node, samples

from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l1_cluster.health.ethernet_reading import CARDS
from aiops.layers.l1_cluster.health.examination import examine
from aiops.layers.l1_cluster.health.growth import SETTLING, grown
from aiops.layers.l1_cluster.health.kernel_log import UPTIME
from aiops.layers.l1_cluster.health.past import Growth, Past, Sample
from aiops.layers.l1_cluster.health.rdma_reading import COUNTERS, PORTS
from aiops.layers.l1_cluster.health.rules import Rules


def growth_of(past: tuple[Sample, ...], value: int, uptime: float = UP, window: timedelta = 3 * HOUR) -> Growth | None:
    one = node({UPTIME: read(UPTIME, {"/proc/uptime": f"{uptime} 1.0\n"})}, past=Past({"x": past}))
    return grown(one, "x", value, window)


def test_growth_counts_within_this_boot_alone() -> None:
    assert growth_of((), 9) is None
    assert growth_of(samples((1, 4)), 9) == Growth(5, 3600)
    assert growth_of(samples((1, 4), boot="another"), 9) is None
    assert growth_of(samples((30, 4)), 9, uptime=20 * 3600) is None, "older than the boot, though no boot is named"
    assert growth_of(samples((5, 4), (1, 6)), 9) == Growth(5, 3 * 3600)


def test_what_grows_while_a_node_starts_does_not_count() -> None:
    settling = SETTLING.total_seconds()
    uptime = settling + 600
    start = (uptime - 60) / 3600
    assert growth_of(samples((start, 0), (0.5 * start, 4)), 4, uptime) == Growth(0, 600.0)
    assert growth_of(samples((start, 4)), 9, uptime) == Growth(5, 600.0), "it stood at 4 until it had settled"
    assert growth_of(samples((0.05, 4)), 9, settling - 1) is None


def test_a_reboot_makes_no_flap_of_what_survived_or_began_anew() -> None:
    young = {UPTIME: read(UPTIME, {"/proc/uptime": "1200.0 1.0\n"})}
    ports = rdma_cases.ports({"mlx5_3/ports/1/counters/link_downed": "9\n"})
    cards = eth_cases.cards({"eth0/carrier_changes": "12\n", "eth0/statistics/rx_errors": "5000\n"})
    past = Past(
        {
            "rdma.mlx5_3/1.link_downed": samples((1, 9), boot="before"),
            "eth.eth0.carrier_changes": samples((1, 3), boot="before"),
            "eth.eth0.rx_errors": samples((1, 3), boot="before"),
        }
    )
    assert found(node({PORTS: ports, CARDS: cards, **young}, past=past)) == ()


def test_saturated_counters_alarm_nobody() -> None:
    ends = {"link_error_recovery": 255, "symbol_error": 65_535, "port_rcv_errors": 65_535, "out_of_sequence": 2**32 - 1}
    for name, value in ends.items():
        past = Past({f"rdma.mlx5_3/1.{name}": samples((1, 0))})
        assert found(node({COUNTERS: rdma_cases.counters("mlx5_3", name, f"{value}\n")}, past=past)) == ()
    past = Past({"rdma.mlx5_3/1.link_downed": samples((1, 0))})
    full = rdma_cases.ports({"mlx5_3/ports/1/counters/link_downed": "255\n"})
    assert found(node({PORTS: full}, past=past)) == ()


def test_two_errors_that_come_together_are_no_rate() -> None:
    past = Past({"rdma.mlx5_3/1.symbol_error": (Sample(AT - timedelta(minutes=1), 7, BOOT_ID),)})
    assert found(node({COUNTERS: rdma_cases.counters("mlx5_3", "symbol_error", "20\n")}, past=past)) == ()


def test_counters_that_an_adapter_does_not_have_are_not_judged() -> None:
    for reason in ("Invalid argument", "Operation not supported"):
        answer = rdma_cases.counters("mlx5_3", "symbol_error", None, reason)
        assert found(node({COUNTERS: answer})) == ()
    assert found(node({COUNTERS: rdma_cases.counters("mlx5_3", "symbol_error", "N/A (no PMA)\n")})) == ()


def test_what_is_remembered_next_time() -> None:
    counters = examine([node()], CHECKS, Rules()).counters["gpu01"]
    assert counters[rdma_cases.memory("mlx5_0")] == 400_000
    assert counters["eth.ens2np0.best_mbit"] == 200_000
    assert counters["rdma.ports"] == 9
    assert counters["rdma.mlx5_7/1.symbol_error"] == 7
    assert counters["eth.eth0.carrier_changes"] == 2
    past = Past({"eth.eth0.best_mbit": samples((1, 100_000)), rdma_cases.memory("mlx5_0"): samples((1, 800_000))})
    again = examine([node(past=past)], CHECKS, Rules()).counters["gpu01"]
    assert (again["eth.eth0.best_mbit"], again[rdma_cases.memory("mlx5_0")]) == (100_000, 800_000)
    young = {UPTIME: read(UPTIME, {"/proc/uptime": "100.0 1.0\n"})}
    early = examine([node(young)], CHECKS, Rules()).counters["gpu01"]
    assert "rdma.ports" not in early
    assert "eth.eth0.best_mbit" not in early, "what was up while it started may be down on purpose"


def test_without_the_time_since_the_boot_growth_is_unknown() -> None:
    findings = found(node({UPTIME: Answer(UPTIME)}))
    assert {one.verdict for one in findings} == {"unknown"}
    assert {"ib.port_state", "ib.link_downed", "ib.symbol_error", "eth.carrier", "eth.errors"} <= checks(findings)


def test_what_stands_at_its_limit_does_not_pass_it() -> None:
    symbols = Past({"rdma.mlx5_3/1.symbol_error": samples((1, 7))})
    assert found(node({COUNTERS: rdma_cases.counters("mlx5_3", "symbol_error", "127\n")}, past=symbols)) == ()
    changes = Past({"eth.eth0.carrier_changes": samples((1, 2))})
    assert found(node({CARDS: eth_cases.cards({"eth0/carrier_changes": "4\n"})}, past=changes)) == ()
    errors = Past({"eth.eth0.rx_errors": samples((1, 3))})
    assert found(node({CARDS: eth_cases.cards({"eth0/statistics/rx_errors": "123\n"})}, past=errors)) == ()
    downs = Past({"rdma.mlx5_3/1.link_downed": samples((1, 1))})
    assert found(node({PORTS: rdma_cases.ports({"mlx5_3/ports/1/counters/link_downed": "3\n"})}, past=downs)) == ()


def test_downs_are_counted_over_three_hours_and_errors_over_one() -> None:
    downs = Past({"rdma.mlx5_3/1.link_downed": samples((2.5, 1), (2, 3))})
    answer = rdma_cases.ports({"mlx5_3/ports/1/counters/link_downed": "4\n"})
    assert checks(found(node({PORTS: answer}, past=downs))) == {"ib.link_downed"}
    errors = Past({"rdma.mlx5_3/1.symbol_error": samples((2.5, 7), (2, 500))})
    assert found(node({COUNTERS: rdma_cases.counters("mlx5_3", "symbol_error", "520\n")}, past=errors)) == ()


def test_a_port_that_is_down_still_counts_its_downs_and_nothing_else() -> None:
    changes = {**rdma_cases.down("mlx5_3"), "mlx5_3/ports/1/counters/link_downed": "9\n"}
    past = Past({"rdma.mlx5_3/1.link_downed": samples((1, 1)), "rdma.mlx5_3/1.symbol_error": samples((1, 7))})
    answers = {PORTS: rdma_cases.ports(changes), COUNTERS: rdma_cases.counters("mlx5_3", "symbol_error", "9000\n")}
    assert checks(found(node(answers, past=past))) == {"ib.link_downed"}

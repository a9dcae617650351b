"""Networks of healthy nodes of many kinds, which alarm nobody."""

from collections.abc import Sequence
from dataclasses import replace

from tests.l1_cluster.health.case import FACTS, said
from tests.l1_cluster.health.cases import ethernet as eth_cases
from tests.l1_cluster.health.cases import link_errors as error_cases
from tests.l1_cluster.health.cases import rdma as rdma_cases
from tests.l1_cluster.health.cases.kernel_log import log
from tests.l1_cluster.health.network import CHECKS, NO_NETWORK, checks, examined, found, node, samples

from aiops.layers.l0_nodes.facts import Facts, Interface
from aiops.layers.l1_cluster.health import names, verbs
from aiops.layers.l1_cluster.health.ethernet_reading import BONDS, CARDS, MTU
from aiops.layers.l1_cluster.health.examination import examine
from aiops.layers.l1_cluster.health.expected import Expected
from aiops.layers.l1_cluster.health.finding import Finding
from aiops.layers.l1_cluster.health.kernel_log import KERNEL_LOG
from aiops.layers.l1_cluster.health.past import Past
from aiops.layers.l1_cluster.health.rdma_reading import COUNTERS, PORTS
from aiops.layers.l1_cluster.health.rules import Rules


def only_loopback(facts: Facts) -> Facts:
    return replace(facts, interfaces=(Interface("lo", None, ("127.0.0.1/8",), None, "unknown"),), rdma_ports=())


def in_container(facts: Facts) -> Facts:
    return replace(facts, container=True, virtualization="systemd-nspawn")


def test_a_node_with_no_network_alarms_nobody_and_is_hardly_judged() -> None:
    examination = examine([node(NO_NETWORK, facts=only_loopback)], CHECKS, Rules())
    assert examination.findings == ()
    assert examination.judged["gpu01"] == ("net.dns",)


def test_a_node_with_ethernet_alone() -> None:
    answers = {key: NO_NETWORK[key] for key in (PORTS, COUNTERS, verbs.DEVICES)}
    examination = examine([node(answers)], CHECKS, Rules())
    assert examination.findings == ()
    assert not any(id_.startswith(("ib.", "rdma.")) for id_ in examination.judged["gpu01"])
    assert {"eth.carrier", "net.link_flaps"} <= set(examination.judged["gpu01"])


def test_virtual_interfaces_alarm_nobody() -> None:
    more = tuple(
        Interface(name, None, addresses, None, "down")
        for name, addresses in (
            ("docker0", ("172.17.0.1/16",)),
            ("br-0a1b2c", ("172.18.0.1/16",)),
            ("veth12ab", ()),
            ("virbr0", ("192.168.122.1/24",)),
            ("cni0", ("10.244.0.1/24",)),
        )
    )
    more = (
        *more,
        Interface("bond0.100", None, ("10.1.0.11/24",), 50_000, "up"),
        Interface("wg0", None, (), None, "unknown"),
    )
    sizes = {
        "docker0": 1500,
        "br-0a1b2c": 1500,
        "veth12ab": 1450,
        "virbr0": 1500,
        "cni0": 1450,
        "bond0.100": 1500,
        "wg0": 1420,
    }
    changed = sizes | {"docker0": 9000, "veth12ab": 9000}
    several = [
        node(
            {MTU: eth_cases.mtus(**(changed if number == 1 else sizes))},
            f"gpu0{number}",
            facts=lambda facts: replace(facts, interfaces=(*(facts.interfaces or ()), *more)),
        )
        for number in range(1, 6)
    ]
    assert found(*several) == ()


def test_ports_without_a_cable_alarm_nobody() -> None:
    empty = rdma_cases.ports(rdma_cases.down("mlx5_6", "mlx5_7"))
    spare = eth_cases.cards(eth_cases.down("ens2np0"))
    enough = {"aiops_expect": {"nics": [{"count": 6, "kind": "infiniband"}, {"count": 1}]}}
    assert found(node({PORTS: empty, CARDS: spare}, variables=enough)) == ()
    fleet = [node({PORTS: empty, CARDS: spare}, f"gpu0{number}") for number in range(1, 6)]
    assert found(*fleet) == (), "they are empty on all nodes"
    unused = Expected({"ib.mlx5_6.gbit": 0, "ib.mlx5_7.gbit": 0, "eth.ens2np0.mbit": 0})
    remembered = Past(
        {rdma_cases.memory("mlx5_6"): samples((1, 400_000)), "eth.ens2np0.best_mbit": samples((1, 200_000))}
    )
    assert found(node({PORTS: empty, CARDS: spare}, expected=unused, past=remembered)) == ()


def test_a_slower_port_alarms_nobody_where_that_is_learned() -> None:
    half = rdma_cases.ports({"mlx5_3/ports/1/rate": "100 Gb/sec (1X NDR)\n"})
    past = Past({rdma_cases.memory("mlx5_3"): samples((1, 400_000))})
    peers = [node(name=f"gpu0{number}") for number in range(2, 7)]
    learned = Expected({"ib.mlx5_3.gbit": 100})
    assert found(node({PORTS: half}, past=past, expected=learned), *peers) == ()


def test_rails_and_storage_ports_of_different_speed_alarm_nobody() -> None:
    slower = rdma_cases.ports(
        {"mlx5_7/ports/1/rate": "200 Gb/sec (4X HDR)\n", "mlx5_6/ports/1/rate": "100 Gb/sec (2X HDR)\n"}
    )
    assert found(*(node({PORTS: slower}, f"gpu0{number}") for number in range(1, 6))) == ()


def test_a_peer_that_differs_says_nothing_where_few_agree() -> None:
    down = rdma_cases.ports(rdma_cases.down("mlx5_3"))
    assert found(node({PORTS: down}), node(name="gpu02"), node(name="gpu03")) == ()
    other = rdma_cases.without("mlx5_7")
    fleet = [node({PORTS: other}, f"gpu0{number}") for number in range(2, 7)]
    assert found(node({PORTS: down}), *fleet) == (), "they have other adapters"


def test_a_container_sees_hardware_that_is_not_its_own() -> None:
    broken = {
        PORTS: rdma_cases.ports(rdma_cases.down(*rdma_cases.RAILS)),
        CARDS: eth_cases.cards(eth_cases.down("eth0")),
        BONDS: eth_cases.bond("up", "down"),
        KERNEL_LOG: log(*((60.0 * n, "mlx5_core 0000:53:00.0 ens2np0: Link down") for n in range(9, 0, -1))),
    }
    examination = examine(
        [node(broken, facts=in_container, past=Past({rdma_cases.memory("mlx5_0"): samples((1, 400_000))}))],
        CHECKS,
        Rules(),
    )
    assert examination.findings == ()
    assert set(examination.judged["gpu01"]) == {"eth.mtu", "net.dns"}


def test_nodes_whose_ethernet_ports_are_virtual_meet_what_the_inventory_expects() -> None:
    expect = {"aiops_expect": {"nics": [{"count": 1, "name": "eth*", "speed_gbit": 10}]}}
    examination = examined(node(NO_NETWORK, variables=expect))
    assert examination.findings == (), "a virtio port is none of a card, and up all the same"
    assert {"eth.link", "eth.speed"} <= set(examination.judged["gpu01"])
    assert "ib.port_state" not in examination.judged["gpu01"]
    unread = found(node(NO_NETWORK, variables=expect, facts=lambda facts: replace(facts, interfaces=None)))
    assert [(one.check, one.verdict) for one in unread if one.check == "eth.link"] == [("eth.link", "unknown")]
    assert found(node(NO_NETWORK, variables={"aiops_expect": {"nics": [{"count": 1, "kind": "infiniband"}]}})) != ()


def test_adapters_without_management_devices_are_well_where_none_has_any() -> None:
    listing = "".join(f"uverbs{number}\n" for number in range(9))
    answer = error_cases.devices(listing, *(f"umad{number}" for number in range(9)))
    assert found(node({verbs.DEVICES: answer})) == ()


def test_a_busy_node_is_not_taken_for_a_slow_name_server() -> None:
    slow = said(names.LOOKUP, "10.0.0.11 STREAM gpu01\n", seconds=3.0)
    busy = said("os.kernel", "6.1.0-28-amd64 x86_64\n", seconds=0.4)
    assert found(node({names.LOOKUP: slow, "os.kernel": busy})) == ()
    assert checks(found(node({names.LOOKUP: slow, "os.kernel": replace(busy, seconds=0.01)}))) == {"net.dns"}


def test_packet_sizes_without_a_majority_alarm_nobody() -> None:
    def halves(*sizes: int) -> Sequence[Finding]:
        return found(*(node({MTU: eth_cases.mtus(eth0=size)}, f"gpu0{n}") for n, size in enumerate(sizes)))

    assert halves(1500, 9000) == ()
    assert halves(1500, 1500, 9000, 9000) == ()
    assert halves(1500, 1500, 9000) == ()
    assert halves(1500, 1500, 1500, 9000, 9000, 9000) == ()
    assert [one.node for one in halves(1500, 1500, 1500, 9000)] == ["gpu03"]


def test_points_between_two_nodes_have_no_majority() -> None:
    def rails(facts: Facts) -> Facts:
        return replace(facts, interfaces=(Interface("eth0", None, ("10.0.0.11/31", "10.9.9.9/32"), 25_000, "up"),))

    fleet = [node({MTU: eth_cases.mtus(eth0=9000)}, f"gpu0{number}", facts=rails) for number in range(2, 6)]
    assert found(node({MTU: eth_cases.mtus(eth0=1500)}, facts=rails), *fleet) == ()


def test_a_roce_adapter_needs_no_device_for_management() -> None:
    assert found(node({verbs.DEVICES: error_cases.devices(None, "umad8")})) == ()


def test_a_bond_that_was_never_used_alarms_nobody() -> None:
    assert found(node({BONDS: eth_cases.bond("down", "down")})) == ()
    unused = Expected({"eth.ens1f1.mbit": 0})
    assert found(node({BONDS: eth_cases.bond("up", "down")}, expected=unused)) == ()
    assert found(node({BONDS: eth_cases.bond("up", "unknown")})) == ()


def test_spare_ports_may_be_slow() -> None:
    slower = rdma_cases.ports({"mlx5_7/ports/1/rate": "100 Gb/sec (2X HDR)\n"})
    spare = {"aiops_expect": {"nics": [{"count": 7, "kind": "infiniband", "speed_gbit": 400}]}}
    assert found(node({PORTS: slower}, variables=spare)) == ()


def test_one_slow_port_of_eight_is_one_finding() -> None:
    slower = rdma_cases.ports({"mlx5_7/ports/1/rate": "100 Gb/sec (2X HDR)\n"})
    eight = {"aiops_expect": {"nics": [{"count": 8, "kind": "infiniband", "speed_gbit": 400}]}}
    assert [one.about for one in found(node({PORTS: slower}, variables=eight))] == ["mlx5_7/1"]


def test_so_many_peers_are_enough() -> None:
    down = rdma_cases.ports(rdma_cases.down("mlx5_3"))
    three = [node(name=f"gpu0{number}") for number in (2, 3, 4)]
    assert checks(found(node({PORTS: down}), *three)) == {"ib.port_state"}
    assert {one.node for one in found(node({PORTS: down}), node({PORTS: down}, "gpu05"), *three)} == {"gpu01", "gpu05"}
    more = [node({PORTS: down}, f"gpu1{number}") for number in range(2)]
    assert found(node({PORTS: down}), *more, *three) == (), "3 of 5 are not nearly all"


def test_as_many_ports_as_before_are_all() -> None:
    assert found(node(past=Past({"rdma.ports": samples((1, 9))}))) == ()
    assert found(node(past=Past({"rdma.ports": samples((1, 17), boot="before")}))) == (), "it may have been rebuilt"


def test_facts_of_the_suite_fit_its_network() -> None:
    assert len([one for one in FACTS.rdma_ports or () if one.kind == "infiniband"]) == len(rdma_cases.RAILS)

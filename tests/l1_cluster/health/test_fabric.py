"""Many hosts whose links go down together: the switch is found, and no host is blamed."""

from collections.abc import Mapping
from typing import Any

from tests.l1_cluster.health.cases import ethernet as eth_cases
from tests.l1_cluster.health.cases import rdma as rdma_cases
from tests.l1_cluster.health.cases.kernel_log import log
from tests.l1_cluster.health.network import CHECKS, NO_NETWORK, examined, node, samples

from aiops.layers.l1_cluster.health.check import Subject
from aiops.layers.l1_cluster.health.ethernet_reading import CARDS
from aiops.layers.l1_cluster.health.expected import Expected
from aiops.layers.l1_cluster.health.fabric import CHECK, attribute
from aiops.layers.l1_cluster.health.finding import Finding
from aiops.layers.l1_cluster.health.kernel_log import KERNEL_LOG
from aiops.layers.l1_cluster.health.past import Past
from aiops.layers.l1_cluster.health.rdma_reading import COUNTERS, PORTS
from aiops.layers.l1_cluster.health.rules import Rules
from aiops.layers.l1_cluster.health.verbs import DEVICES

PORT_DOWN: Mapping[str, Any] = {
    "answers": {PORTS: rdma_cases.ports(rdma_cases.down("mlx5_3"))},
    "past": Past({rdma_cases.memory("mlx5_3"): samples((1, 400_000))}),
}
FLAPPING: Mapping[str, Any] = {
    "answers": {PORTS: rdma_cases.ports({"mlx5_5/ports/1/counters/link_downed": "9\n"})},
    "past": Past({"rdma.mlx5_5/1.link_downed": samples((1, 1))}),
}
IN_LOG: Mapping[str, Any] = {
    "answers": {KERNEL_LOG: log(*((60.0 * n, "mlx5_core 0000:93:00.0 mlx5_3: Port: 1 Link DOWN") for n in (3, 2, 1)))},
}


def fleet(bad: Mapping[str, Any], ill: int, well: int) -> list[Subject]:
    sick = [node(name=f"gpu{number:03d}", **bad) for number in range(ill)]
    return [*sick, *(node(name=f"gpu{number:03d}") for number in range(ill, ill + well))]


def judged(*subjects: Subject, rules: Rules | None = None) -> tuple[Finding, ...]:
    """What is found, with what the switch has done given to the fabric."""
    rules = rules or Rules()
    examination = examined(*subjects, rules=rules)
    return attribute(examination.findings, examination.judged, CHECKS, rules)


def blamed(findings: tuple[Finding, ...]) -> list[str]:
    """The nodes that are to be drained: something critical is theirs."""
    return sorted({one.node for one in findings if one.verdict == "critical" and one.owner == "node"})


def test_one_host_is_its_own_cable() -> None:
    for bad in (PORT_DOWN, FLAPPING, IN_LOG):
        findings = judged(*fleet(bad, 1, 15))
        assert blamed(findings) == ["gpu000"]
        assert CHECK not in {one.check for one in findings}


def test_two_hosts_are_two_cables_and_so_are_a_few_of_many() -> None:
    assert blamed(judged(*fleet(PORT_DOWN, 2, 0))) == ["gpu000", "gpu001"]
    assert len(blamed(judged(*fleet(PORT_DOWN, 3, 10)))) == 3


def test_many_hosts_are_the_switch_and_none_is_blamed() -> None:
    for bad in (PORT_DOWN, FLAPPING, IN_LOG):
        findings = judged(*fleet(bad, 4, 12))
        assert findings
        assert blamed(findings) == []
        assert {(one.owner, one.action) for one in findings} == {("fabric", "none")}


def test_the_switch_is_one_finding_in_the_same_words() -> None:
    findings = [one for one in judged(*fleet(PORT_DOWN, 4, 12)) if one.check == CHECK]
    assert {one.node for one in findings} == {"gpu000", "gpu001", "gpu002", "gpu003"}
    (words,) = {one.words for one in findings}
    assert words == "InfiniBand: links of 4 of 16 hosts are down: look at the switch, drain no host"
    assert {one.verdict for one in findings} == {"critical"}
    assert findings[0].evidence["links"] == ["mlx5_3/1"]


def test_hosts_in_other_fabrics_do_not_count() -> None:
    others = [node(NO_NETWORK, f"cpu{number:03d}") for number in range(60)]
    assert blamed(judged(*fleet(PORT_DOWN, 3, 3), *others)) == []


def test_what_else_is_wrong_with_a_host_stays_its_own() -> None:
    broken = node(
        {
            PORTS: rdma_cases.ports({**rdma_cases.down("mlx5_3"), "mlx5_6/ports/1/counters/link_downed": "9\n"}),
        },
        "gpu900",
        past=Past({rdma_cases.memory("mlx5_3"): samples((1, 400_000)), "rdma.mlx5_6/1.link_downed": samples((1, 1))}),
    )
    one_of_all = [
        node(
            {PORTS: rdma_cases.ports({**rdma_cases.down("mlx5_3")})},
            f"gpu{number:03d}",
            past=Past({rdma_cases.memory("mlx5_3"): samples((1, 400_000))}),
        )
        for number in range(6)
    ]
    findings = judged(*one_of_all, broken)
    state = [one for one in findings if one.node == "gpu900" and one.check == "ib.port_state"]
    assert [(one.about, one.owner) for one in state] == [("mlx5_3/1", "fabric")]
    flap = [one for one in findings if one.check == "ib.link_downed"]
    assert [(one.node, one.about, one.owner, one.action) for one in flap] == [("gpu900", "mlx5_6/1", "node", "service")]
    own = node(
        {PORTS: rdma_cases.ports(rdma_cases.down("mlx5_3")), CARDS: eth_cases.cards({"eth0/speed": "10000\n"})},
        "gpu901",
        past=Past({rdma_cases.memory("mlx5_3"): samples((1, 400_000)), "eth.eth0.best_mbit": samples((1, 25_000))}),
    )
    speed = [one for one in judged(*one_of_all, own) if one.check == "eth.speed"]
    assert [(one.node, one.owner, one.action) for one in speed] == [("gpu901", "node", "service")]


def test_ethernet_is_judged_by_its_own_hosts() -> None:
    flapping: Mapping[str, Any] = {
        "answers": {CARDS: eth_cases.cards({"ens2np0/carrier_changes": "8\n"})},
        "past": Past({"eth.ens2np0.carrier_changes": samples((1, 2))}),
    }
    findings = judged(*fleet(flapping, 4, 4))
    assert {one.check for one in findings} == {CHECK, "eth.carrier"}
    assert {(one.owner, one.action) for one in findings} == {("fabric", "none")}
    assert {one.about for one in findings if one.check == CHECK} == {"Ethernet"}


def test_no_subnet_manager_is_the_fabric_s() -> None:
    waiting: Mapping[str, Any] = {
        "answers": {PORTS: rdma_cases.ports(rdma_cases.waiting(*rdma_cases.RAILS))},
        "past": Past({rdma_cases.memory(rail): samples((1, 400_000)) for rail in rdma_cases.RAILS}),
    }
    assert blamed(judged(*fleet(waiting, 1, 0))) == []
    everywhere = judged(*fleet(waiting, 8, 0))
    assert blamed(everywhere) == []
    assert {one.check for one in everywhere} == {CHECK, "ib.port_state"}
    assert blamed(judged(*fleet(waiting, 1, 7))) == ["gpu000"], "it is there for the others"


def test_a_site_sets_its_own_numbers_or_leaves_it_out() -> None:
    strict = Rules(thresholds={CHECK: {"hosts": 2, "share": 10}})
    assert blamed(judged(*fleet(PORT_DOWN, 2, 14), rules=strict)) == []
    observed = Rules(observe=frozenset({CHECK}))
    assert len(blamed(judged(*fleet(PORT_DOWN, 8, 0), rules=observed))) == 8
    examination = examined(*fleet(PORT_DOWN, 8, 0))
    others = tuple(check for check in CHECKS if check.id != CHECK)
    left = tuple(one for one in examination.findings if one.check != CHECK)
    assert attribute(left, examination.judged, others, Rules()) == left


def test_what_could_not_be_read_is_not_given_away() -> None:
    unread: Mapping[str, Any] = {"answers": {PORTS: rdma_cases.unreadable_ports(mlx5_3="Input/output error")}}
    findings = judged(*fleet(unread, 8, 0))
    assert {one.verdict for one in findings} == {"unknown"}
    assert {one.owner for one in findings} == {"node"}


def test_some_down_and_some_flapping_are_one_switch() -> None:
    down = [node(name=f"down{number}", **PORT_DOWN) for number in range(2)]
    findings = judged(*down, *fleet(FLAPPING, 2, 8))
    assert blamed(findings) == []
    assert {one.verdict for one in findings if one.check == CHECK} == {"warn"}
    assert len({one.node for one in findings if one.check == CHECK}) == 4


def test_ethernet_ports_that_are_down_everywhere() -> None:
    down: Mapping[str, Any] = {
        "answers": {CARDS: eth_cases.cards(eth_cases.down("eth0"))},
        "expected": Expected({"eth.eth0.mbit": 25000}),
    }
    findings = judged(*fleet(down, 4, 4))
    assert blamed(findings) == []
    assert {(one.check, one.about) for one in findings} == {(CHECK, "Ethernet"), ("eth.link", "eth0")}
    assert {one.verdict for one in findings} == {"critical"}


def test_roce_ports_are_in_the_ethernet() -> None:
    down: Mapping[str, Any] = {
        "answers": {PORTS: rdma_cases.ports(rdma_cases.down("mlx5_8"))},
        "past": Past({rdma_cases.memory("mlx5_8"): samples((1, 200_000))}),
    }
    findings = judged(*fleet(down, 4, 4))
    assert {(one.check, one.about) for one in findings} == {(CHECK, "Ethernet"), ("ib.port_state", "mlx5_8/1")}


def test_hosts_that_have_ethernet_alone_are_not_in_infiniband() -> None:
    plain = [node({key: NO_NETWORK[key] for key in (PORTS, COUNTERS, DEVICES)}, f"cpu{n:03d}") for n in range(60)]
    assert blamed(judged(*fleet(PORT_DOWN, 4, 4), *plain)) == []
    (words,) = {one.words for one in judged(*fleet(PORT_DOWN, 4, 4), *plain) if one.check == CHECK}
    assert "4 of 8 hosts" in words

"""What is learned of healthy nodes: what they have in common, and it is read back as it was."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from tests.l1_cluster.health.case import AT, FACTS, said
from tests.l1_cluster.health.cases.skew import HEALTHY

from aiops.layers.l0_nodes.accelerator import Accelerator
from aiops.layers.l0_nodes.ask import Answer, Record
from aiops.layers.l0_nodes.facts import Facts, Interface, RdmaPort
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l1_cluster.health.normal import ASKS, Specimen, learned, traits_of
from aiops.layers.l1_cluster.health.normal_file import Normals, parse_normals
from aiops.layers.l1_cluster.trait_reading import CHIPS

HERE = Path("health.yml")
Change = Callable[[Facts], Facts]


def network(*links: tuple[str, int]) -> Answer:
    return said("network", json.dumps([{"ifname": name, "mtu": mtu} for name, mtu in links]))


def specimen(
    name: str, groups: tuple[str, ...] = ("workers",), *, facts: Facts = FACTS, answers: tuple[Answer, ...] = ()
) -> Specimen:
    told = {one.name: one for one in (HEALTHY[CHIPS], network(("lo", 65536), ("eth0", 9000)), *answers)}
    return Specimen(Node(name, groups=groups), replace(facts, node=name), Record(name, AT, told))


def many(count: int, *changes: Change) -> list[Specimen]:
    """So many nodes; the last ones changed, each by one of `changes`."""
    nodes = [specimen(f"gpu{number:02d}") for number in range(count)]
    for place, change in enumerate(changes, count - len(changes)):
        nodes[place] = replace(nodes[place], facts=change(nodes[place].facts))
    return nodes


def test_what_equal_nodes_have_is_learned_with_how_many_say_so() -> None:
    text = learned(many(16))
    assert "    memory_mib: 2063937  # 16 of 16\n" in text
    assert '      driver: "580.95.05"  # 16 of 16\n' in text
    assert "      mlx5_0:\n        gbit: 400  # 16 of 16\n" in text
    assert "  workers:  # 16 nodes\n" in text
    assert "  workers:  # 1 node\n" in learned(many(1))
    assert "differs" not in text
    expected = parse_normals(text, HERE).expected(Node("gpu99", groups=("workers",)))
    assert expected.source == "health.yml, group workers"
    assert expected.values == traits_of(many(1)[0])
    assert expected.values == {
        "memory_mib": 2063937,
        "threads": 192,
        "kernel": "6.1.0-28-amd64",
        "cgroup": "v2",
        "gpu.count": 8,
        "gpu.model": "NVIDIA H100 80GB HBM3",
        "gpu.driver": "580.95.05",
        "gpu.firmware": "96.00.A5.00.01",
        "gpu.ecc": "on",
        "gpu.links": 18,
        "nvme.count": 4,
        **{f"ib.mlx5_{number}.gbit": 400.0 for number in range(8)},
        "eth.eth0.mbit": 25000,
        "eth.eth0.mtu": 9000,
    }


def test_rates_are_learned_from_deep_tests_and_kept_until_the_next() -> None:
    rates = ({"memory_gbs": 612.0}, {"memory_gbs": 598.0}, {"memory_gbs": 640.0}, {"memory_gbs": 301.0})
    deep = [replace(one, rates=own) for one, own in zip(many(4), rates, strict=True)]
    text = learned(deep)
    assert "    memory_gbs: 598  # 3 of 4\n" in text  # a tenth apart is the same; a half is another node's trouble
    known = parse_normals(text, HERE).groups
    again = learned(many(4), before=known)
    assert "    memory_gbs: 598  # as it was, not measured this time\n" in again
    assert parse_normals(again, HERE).groups == known
    disk = {"disk./scratch.v2.read_mbs": 6400.0, "ib.mlx5_0.loopback_gbit": 391.0, "gpu.h2d_gbs": 55.2}
    found = parse_normals(learned([replace(one, rates=disk) for one in many(2)]), HERE).groups["workers"]
    assert disk.items() <= found.items()
    kept = learned(many(4), before={"elsewhere": {"memory_gbs": 5.0, "memory_mib": 64_000}})
    assert parse_normals(kept, HERE).groups["elsewhere"] == {"memory_gbs": 5, "memory_mib": 64_000}, (
        "a group of which no node was asked stays"
    )


def test_what_differs_is_told_and_not_learned() -> None:
    def older(facts: Facts) -> Facts:
        return replace(facts, kernel="6.1.0-27-amd64", memory_mib=facts.memory_mib and facts.memory_mib - 12)

    halves = learned(many(4, older, older))
    assert "    # kernel differs: 6.1.0-27-amd64 (2), 6.1.0-28-amd64 (2)\n" in halves
    assert "kernel" not in parse_normals(halves, HERE).groups["workers"]
    assert "    memory_mib: 2063925  # 4 of 4\n" in halves  # a few MiB are the kernel's own
    clear = learned(many(6, older, older))
    assert '    kernel: "6.1.0-28-amd64"  # 4 of 6\n' in clear


def test_memory_of_two_sizes_is_not_learned() -> None:
    def half(facts: Facts) -> Facts:
        return replace(facts, memory_mib=1031968)

    text = learned(many(4, half, half))
    assert "    # memory_mib differs: 1031968 (2), 2063937 (2)\n" in text


def test_many_values_are_counted_and_not_all_named() -> None:
    changes = [lambda facts, number=number: replace(facts, kernel=f"6.1.{number}") for number in range(6)]
    assert "kernel differs: 6.1.0 (1), 6.1.1 (1), 6.1.2 (1), 6.1.3 (1), and 2 more\n" in learned(many(6, *changes))


def test_who_does_not_tell_is_told() -> None:
    def silent(facts: Facts) -> Facts:
        return replace(facts, threads=None, cgroup=None)

    text = learned(many(6, silent, silent))
    assert "    threads: 192  # 4 of 4, 2 did not say\n" in text
    assert "threads: 192  # 2 of 2, 2 did not say" in learned(many(4, silent, silent))
    assert "threads:" not in learned(many(4, silent, silent, silent))  # one of four is not half of them


def test_larger_groups_come_first_and_the_same_nodes_once() -> None:
    nodes = [specimen(f"n{number}", ("all-of-them", "h100", "workers")) for number in range(2)]
    nodes.append(specimen("n2", ("workers",), facts=replace(FACTS, threads=64)))
    text = learned(nodes)
    assert text.index("  workers:") < text.index("  all-of-them:")
    assert "  # h100: the same nodes as all-of-them\n" in text
    normals = parse_normals(text, HERE, ["workers", "all-of-them"])
    assert normals.expected(nodes[0].node).number("threads") == 192
    assert list(parse_normals(learned(nodes, ["h100"]), HERE).groups) == ["h100"]
    assert parse_normals(learned([]), HERE) == Normals()


def test_what_comes_and_goes_is_not_learned() -> None:
    facts = replace(
        FACTS,
        interfaces=(
            Interface("eth0", speed=25000, state="up"),
            Interface("eth1", speed=10000, state="down"),
            Interface("veth12ab", speed=10000, state="up"),
            Interface("docker0", speed=10000, state="up"),
            Interface("ib0", state="up"),
        ),
        rdma_ports=(
            RdmaPort("mlx5_0", 1, "infiniband", "active", 400.0),
            RdmaPort("mlx5_1", 1, "infiniband", "down", 10.0),
            RdmaPort("mlx4_0", 1, "infiniband", "active", 56.0),
            RdmaPort("mlx4_0", 2, "roce", "active", 40.0),
        ),
    )
    links = network(("eth0", 1500), ("eth1", 1500), ("veth12ab", 1500), ("docker0", 1500), ("ib0", 4092))
    found = traits_of(specimen("n1", facts=facts, answers=(links,)))
    assert {trait: value for trait, value in found.items() if trait.startswith(("eth", "ib"))} == {
        "eth.eth0.mbit": 25000,
        "eth.eth0.mtu": 1500,
        "eth.ib0.mtu": 4092,
        "ib.mlx5_0.gbit": 400.0,
    }


def test_devices_that_cannot_be_read_are_not_taken_for_none() -> None:
    def gpus(facts: Facts, answers: tuple[Answer, ...] = ()) -> set[str]:
        return {trait for trait in traits_of(specimen("n1", facts=facts, answers=answers)) if trait.startswith("gpu")}

    assert gpus(replace(FACTS, accelerators=None)) == set()
    assert gpus(replace(FACTS, accelerators=())) == set()  # the bus shows eight
    assert gpus(replace(FACTS, accelerators=(), bus_accelerators=())) == {"gpu.count"}
    mixed = (Accelerator("nvidia", model="A", driver="1"), Accelerator("nvidia", model="B", driver="1"))
    assert gpus(replace(FACTS, accelerators=mixed)) == {"gpu.count", "gpu.driver"}
    silent = Answer(CHIPS, timed_out=True)
    assert "nvme.count" not in traits_of(specimen("n1", answers=(silent,)))
    none = Answer(CHIPS, missing={"/sys/class/nvme/*/model": "nothing matches"})
    assert traits_of(specimen("n1", answers=(none,)))["nvme.count"] == 0


def test_what_is_asked_for_it_is_asked_once() -> None:
    assert [ask.name for ask in ASKS] == [CHIPS]


WORDS = st.text(min_size=1, max_size=24)


@given(
    kernel=WORDS,
    model=WORDS,
    group=WORDS,
    device=WORDS.filter(lambda word: "." not in word),
    rate=st.floats(0.001, 1e9),
    link=WORDS,
    mtu=st.integers(),
    garbage=st.text(),
)
def test_whatever_nodes_say_is_read_back(
    *, kernel: str, model: str, group: str, device: str, rate: float, link: str, mtu: int, garbage: str
) -> None:
    """Names and versions of any letters, and two nodes that differ in all of them."""
    facts = replace(
        FACTS,
        kernel=kernel,
        accelerators=(Accelerator("acme", model=model),),
        rdma_ports=(RdmaPort(device, 1, "roce", "active", rate),),
        interfaces=(Interface(link, speed=1000, state="up"),),
    )
    one = specimen("n1", (group,), facts=facts, answers=(network((link, mtu)),))
    expected = parse_normals(learned([one]), HERE).expected(one.node)
    assert expected.values == traits_of(one)
    other = specimen("n2", (group,), facts=replace(FACTS, kernel=f"{kernel}x"), answers=(said("network", garbage),))
    parse_normals(learned([one, other]), HERE)


def test_names_that_yaml_takes_for_something_else_are_quoted() -> None:
    one = specimen("n1", ("on",), facts=replace(FACTS, rdma_ports=(RdmaPort("0x1", 1, "roce", "active", 100.0),)))
    text = learned([one])
    assert '  "on":  # 1 node\n' in text
    assert '      "0x1":\n        gbit: 100  # 1 of 1\n' in text
    assert parse_normals(text, HERE, ["on"]).expected(one.node).number("ib.0x1.gbit") == 100.0

"""What a node that has never answered is taken to be."""

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.l0_nodes.facts import BusAccelerators, Facts
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l1_cluster.hosts_file import full_name
from aiops.layers.l1_cluster.likeness import in_words, likenesses

NOW = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)


def facts(name: str, memory: int = 64000, devices: int = 8, **others: object) -> Facts:
    one = Facts(
        name,
        NOW,
        hostname=name,
        os_id="debian",
        os_version="12",
        boot_id=f"boot-{name}",
        machine_id=name,
        sockets=2,
        cores=16,
        threads=32,
        memory_mib=memory,
        hosts="127.0.0.1 localhost\n",
        bus_accelerators=(BusAccelerators("nvidia", devices, ("0000:01:00.0",)),),
    )
    return replace(one, **others)  # type: ignore[arg-type]


def nodes(*names: str, groups: tuple[str, ...] = ("workers",)) -> list[Node]:
    return [Node(name, groups=groups) for name in names]


def test_most_nodes_of_its_groups_say_what_it_is() -> None:
    known = {"n1": facts("n1", 64000), "n2": facts("n2", 64003), "n4": facts("n4", 63990), "n5": facts("n5", devices=4)}
    (one,) = likenesses(nodes("n1", "n2", "n3", "n4", "n5"), known)
    assert (one.node, one.like) == ("n3", ("n1", "n2", "n4"))
    assert one.facts.memory_mib == 64000
    assert one.facts.bus_accelerators is not None
    assert one.facts.bus_accelerators[0].count == 8
    assert (one.facts.sockets, one.facts.cores, one.facts.threads) == (2, 16, 32)
    assert (one.facts.hostname, one.facts.boot_id, one.facts.machine_id) == ("n3", None, None)
    assert in_words([one]) == ("n3 has never answered: files that list all nodes take it to be like n[1-2,4]",)


def test_half_is_no_majority_and_other_groups_say_nothing() -> None:
    known = {"n1": facts("n1"), "n2": facts("n2", devices=4), "big": facts("big")}
    assert likenesses([*nodes("n1", "n2", "n3"), *nodes("big", groups=("storage",))], known) == ()
    assert likenesses([*nodes("n1"), *nodes("big", groups=("storage",))], {"big": facts("big")}) == ()
    assert likenesses(nodes("n1"), {"n1": facts("n1")}) == ()


def test_its_full_name_is_of_its_neighbours_domain() -> None:
    known = {name: facts(name, hosts=f"127.0.1.1 {name}.example.org {name}\n") for name in ("n1", "n2")}
    (one,) = likenesses(nodes("n1", "n2", "n3"), known)
    assert full_name(one.facts.hostname or "", one.facts.hosts or "") == "n3.example.org"
    (one,) = likenesses(nodes("n1", "n2", "n3.example.net"), known)
    assert full_name(one.facts.hostname or "", one.facts.hosts or "") == "n3.example.org"


def test_several_are_told_together() -> None:
    found = likenesses(nodes("n1", "n2", "n3"), {"n2": facts("n2")})
    assert in_words(found) == ("n[1,3] have never answered: files that list all nodes take them to be like n2",)


@given(st.lists(st.sampled_from([2, 4, 8, None]), max_size=9))
def test_only_a_strict_majority_counts(counts: list[int | None]) -> None:
    names = [f"n{number}" for number in range(len(counts))]
    known = {name: facts(name, devices=count) for name, count in zip(names, counts, strict=True) if count is not None}
    found = likenesses(nodes(*names), known)
    told = [count for count in counts if count is not None]
    best = max(told, key=told.count, default=0)
    if told and told.count(best) * 2 > len(told):
        assert {one.node for one in found} == set(names) - set(known)
        assert all(one.facts.bus_accelerators[0].count == best for one in found if one.facts.bus_accelerators)
    else:
        assert found == ()

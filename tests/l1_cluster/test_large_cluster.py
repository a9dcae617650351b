"""What a phase wants of many nodes: worked out in time that grows with what is written, no faster."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.l1_cluster.golden_nodes import MACHINE, PHASES, FixedSecrets, a_cluster, a_node, wanted
from tests.l1_cluster.golden_nodes import text as text_of

from aiops.layers.l1_cluster.context import ClusterContext
from aiops.layers.l1_cluster.desired import Desired
from aiops.layers.l1_cluster.hosts_file import BEGIN, END, foreign_lines, full_name
from aiops.layers.l1_cluster.resource import File
from aiops.layers.l1_cluster.template import Templates

NODES = 500
MOST_CPU_SECONDS = 8.0  # of one pass; measured: below 1 s


def deployed(count: int) -> ClusterContext:
    """A cluster of which every node has the hosts file that aiops gave it."""
    workers = [
        a_node(f"gpu{index:04}", "workers", MACHINE, f"10.1.{index // 250}.{index % 250 + 1}")
        for index in range(count - 3)
    ]
    fresh = a_cluster(MACHINE, *workers)
    hosts = f"127.0.0.1 localhost\n{BEGIN}\n{fresh.hosts_lines}{END}\n"
    nodes = [replace(node, facts=replace(node.facts, hosts=hosts)) for node in fresh.nodes if node.facts]
    return replace(fresh, nodes=tuple(nodes))


@pytest.mark.parametrize("phase", ["base", "time", "scheduler", "monitoring"])
def test_a_pass_over_many_deployed_nodes_is_quick(phase: str) -> None:
    cluster, desired = deployed(NODES), Desired(PHASES[phase], FixedSecrets())
    since = time.process_time()
    for node in cluster.nodes:
        assert desired.of(node, cluster)
    assert time.process_time() - since < MOST_CPU_SECONDS


def test_a_file_that_is_the_same_on_all_nodes_is_kept_once() -> None:
    cluster, desired = deployed(12), Desired(PHASES["scheduler"], FixedSecrets())
    contents = {
        id(one.content)
        for node in cluster.nodes
        for one in desired.of(node, cluster)
        if isinstance(one, File) and one.path == "/etc/slurm/slurm.conf"
    }
    assert len(contents) == 1


def test_another_cluster_gets_files_of_its_own() -> None:
    desired = Desired(PHASES["scheduler"], FixedSecrets())
    for cluster in (deployed(4), deployed(6), deployed(4)):
        shown = {one.key: one for one in desired.of(cluster.nodes[1], cluster)}
        assert shown == wanted("scheduler", cluster, cluster.nodes[1].name)
        assert text_of(shown, "/etc/slurm/slurm.conf").count("NodeName=") == len(cluster.role("workers"))


@pytest.mark.parametrize(
    ("body", "sees"),
    [
        ("{{ cluster.name }}", False),
        ("{% from 'other.j2' import word %}{{ word(cluster.name) }}", False),
        ("{% for node in cluster.nodes %}{{ node.name }}{% endfor %}", False),
        ("{{ node.name }}", True),
        ("{% if cluster.name %}{{ item }}{% endif %}", True),
        ("{% include 'other.j2' %}", True),
        ("{% extends 'other.j2' %}", True),
        ("{% import 'other.j2' as other with context %}{{ other.word(1) }}", True),
        ("{% from 'other.j2' import word with context %}{{ word(1) }}", True),
    ],
)
def test_a_template_that_may_see_the_node_is_told(body: str, sees: bool, tmp_path: Path) -> None:
    (tmp_path / "one.j2").write_text(body)
    (tmp_path / "other.j2").write_text("{% macro word(it) %}{{ it }}{{ node.name }}{% endmacro %}")
    assert Templates(tmp_path).sees("one.j2", {"node", "item"}) is sees


def test_names_of_a_hosts_file() -> None:
    found = "127.0.1.1 gpu01.example.org gpu01\n10.0.0.9 gpu01.other.org # gpu01.third.org\n"
    assert full_name("gpu01", found) == "gpu01.example.org"
    assert full_name("gpu01.lan", found) == "gpu01.example.org"
    assert full_name("gpu0", found) == "gpu0"
    assert full_name("gpu02", "# gpu02.example.org\ngpu02.example.org x\n") == "gpu02"


@given(st.lists(st.sampled_from(["127.0.0.1 localhost", "10.0.0.1 a b", "10.0.0.2 c # a", "# a", "", "a"])))
def test_lines_of_others_stay_whatever_is_between_the_marks(lines: list[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    kept = foreign_lines(text, {"a"})
    assert list(kept) == [line for line in lines if line != "10.0.0.1 a b"]
    assert foreign_lines(f"{text}{BEGIN}\n{text}{END}\n", {"a"}) == kept
    assert foreign_lines(f"{BEGIN}\n{text}{END}\n{text}", {"a"}) == kept

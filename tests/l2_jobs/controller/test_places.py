"""Nodes as places for work, and who may have them."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.l1_cluster.health.case import FACTS

from aiops.cli.controller.compiling import require_permitted
from aiops.layers.core.errors import InputError
from aiops.layers.l0_nodes.accelerator import Accelerator
from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l2_jobs.controller.places import place_of
from aiops.layers.l2_jobs.job import Account
from aiops.layers.l2_jobs.node import Place


def node(name: str = "n1", **own: Any) -> Node:
    return Node(name, aiops=own)


def looked(count: int | None, before: Place | None = None, **own: Any) -> Place:
    found = None if count is None else tuple(Accelerator(index=one, vendor="nvidia") for one in range(count))
    facts = Facts("n1", datetime(2026, 11, 28, tzinfo=UTC), accelerators=found)
    return place_of(node(**own), "ssh", facts=facts, state="ready", before=before)


def test_an_accelerator_that_is_not_found_any_more_is_ill_and_not_gone() -> None:
    whole = looked(8)
    assert (whole.has, whole.missing) == (8, 0)
    less = looked(7, whole)
    assert (less.devices, less.has, less.vendor) == (tuple(range(7)), 8, "nvidia")
    unread = looked(None, less)
    assert (unread.devices, unread.has, unread.vendor) == ((), 8, "nvidia")
    assert looked(8, unread).missing == 0
    bought = looked(6, aiops_accelerators={"vendor": "nvidia", "count": 8})
    assert (bought.has, len(bought.devices)) == (8, 6)
    assert looked(0).has == 0


def test_a_job_of_root_is_refused_where_it_could_come_to_a_node_that_runs_none() -> None:
    root, ann = Account("root", 0, 0), Account("ann", 1001, 1001)
    no, yes = node("n1"), node("n2", aiops_jobs_as_root=True)
    require_permitted(ann, [no, yes])
    require_permitted(root, [yes])
    require_permitted(root, [no, yes], some=True)
    for nodes, some, hints in (([no, yes], False, 2), ([no], False, 1), ([no], True, 1)):
        with pytest.raises(InputError, match="jobs do not run as root on n1") as caught:
            require_permitted(root, nodes, some=some)
        assert (caught.value.code, len(caught.value.hints)) == ("job.root", hints)


NODE = Node("gpu01", aiops={"aiops_accelerators": {"vendor": "nvidia", "count": 4}})


def test_what_a_node_says_of_its_accelerators_counts() -> None:
    found = place_of(NODE, "ssh", facts=FACTS, state="ready")
    assert (found.devices, found.vendor) == (tuple(range(8)), "nvidia")
    assert place_of(NODE, "ssh", facts=replace(FACTS, accelerators=()), state="ready").devices == ()


def test_one_whose_accelerators_could_not_be_read_has_those_that_were_bought() -> None:
    for facts in (None, replace(FACTS, accelerators=None)):
        found = place_of(NODE, "ssh", facts=facts, state="ready")
        assert (found.devices, found.vendor) == ((0, 1, 2, 3), "nvidia")

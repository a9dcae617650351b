"""A stranger's check that misbehaves costs itself only."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.l1_cluster.health.case import subject
from tests.l1_cluster.health.suite import ALL

from aiops.layers.l1_cluster.health.check import Check
from aiops.layers.l1_cluster.health.examination import examine
from aiops.layers.l1_cluster.health.rules import Rules

WELL = ALL[0]


def _raises(*_: Any) -> Iterator[Any]:
    raise KeyError("gone")


def _words(*_: Any) -> Iterator[Any]:
    yield "it is broken"


def _nothing(*_: Any) -> Any:
    return None


@pytest.mark.parametrize("judge", [_raises, _words, _nothing])
@pytest.mark.parametrize("kind", ["judge", "compare"])
def test_a_judge_that_fails_or_yields_what_is_no_sighting_is_unknown_under_its_plugin_s_name(
    judge: Any, kind: str
) -> None:
    strange = replace(WELL, id="strange.check", plugin="stranger", **{"judge": None, "compare": None, kind: judge})
    found = examine([subject()], (strange, WELL), Rules())
    assert [(one.check, one.verdict, one.owner) for one in found.findings] == [
        ("strange.check", "unknown", "controller")
    ]
    assert "of stranger, failed" in found.findings[0].message
    assert found.judged["gpu01"] == ("strange.check", WELL.id)


@pytest.mark.parametrize("counters", [_nothing, _raises])
def test_counters_that_are_none_cost_no_other_check(counters: Any) -> None:
    strange: Check = replace(WELL, id="strange.check", counters=counters)
    counted = replace(WELL, counters=lambda _: {"one": 1})
    found = examine([subject()], (strange, counted), Rules())
    assert found.findings == ()
    assert found.counters == {"gpu01": {"one": 1}}

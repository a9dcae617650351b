"""What networks are judged by is what is asked for: no more, and under the paths that the kernel has."""

from collections.abc import Iterator
from fnmatch import fnmatchcase

import pytest
from tests.l1_cluster.health.case import Case
from tests.l1_cluster.health.cases import ethernet, fabric, link_errors, names, rdma
from tests.l1_cluster.health.network import CHECKS
from tests.l1_cluster.health.suite import subjects

from aiops.layers.l0_nodes.ask import Ask
from aiops.layers.l1_cluster.health.examination import asks_of, examine
from aiops.layers.l1_cluster.health.rules import Rules

MODULES = (rdma, link_errors, ethernet, fabric, names)
ASKS = {ask.name: ask for ask in asks_of(CHECKS, ())}
RARE = ("physfn", "phy80211", "phys_port_name")
"""What only virtual functions, radios and switches inside cards have."""


def files() -> Iterator[tuple[Ask, set[str]]]:
    for module in MODULES:
        for name, answer in module.HEALTHY.items():
            yield ASKS[name], set(answer.files)


def test_each_file_of_a_healthy_node_is_asked_for_and_each_pattern_finds_some() -> None:
    for ask, paths in files():
        asked = {path for path in paths if any(fnmatchcase(path, pattern) for pattern in ask.paths)}
        assert asked == paths, ask.name
        idle = {pattern for pattern in ask.paths if not any(fnmatchcase(path, pattern) for path in paths)}
        assert not {pattern for pattern in idle if not any(word in pattern for word in RARE)}, ask.name


def test_a_pattern_of_another_folder_finds_nothing() -> None:
    """`*` of the node does not cross a folder, unlike that of `fnmatch`: each pattern is as deep as what it finds."""
    for ask, paths in files():
        for pattern in ask.paths:
            assert all(path.count("/") == pattern.count("/") for path in paths if fnmatchcase(path, pattern)), pattern


@pytest.mark.parametrize("case", [case for module in MODULES for case in module.CASES], ids=lambda case: case.name)
def test_a_check_sees_what_it_sees_by_its_own_asks(case: Case) -> None:
    check = next(check for check in CHECKS if check.id == case.check)
    own = {ask.name for ask in check.asks}
    several = subjects(case)
    for one in several:
        for name in [name for name in one.record.answers if name not in own]:
            del one.record.answers[name]  # type: ignore[attr-defined]
    findings = [one for one in examine(several, (check,), Rules()).findings if one.node == "gpu01"]
    if case.severity == "ok":
        assert findings == []
    else:
        assert (case.severity, case.about) in [(one.verdict, one.about) for one in findings]

"""Every case is found by its check and by no other; healthy nodes alarm nobody; no check is without a case."""

import pytest
from tests.l1_cluster.health.case import Case, subject
from tests.l1_cluster.health.suite import ALL, CASES, NODE, examined, unanswered, wrong

from aiops.layers.l0_nodes.ask import Answer, Ask
from aiops.layers.l0_nodes.fact_reading import FACT_ASKS
from aiops.layers.l1_cluster.health.check import Check
from aiops.layers.l1_cluster.health.examination import asks_of, examine
from aiops.layers.l1_cluster.health.rules import Rules


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_is_found_by_its_check_and_alarms_no_other(case: Case) -> None:
    assert list(wrong(case, examined(case).findings)) == []


def test_each_case_has_a_name_of_its_own() -> None:
    names = [case.name for case in CASES]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_healthy_nodes_alarm_nobody() -> None:
    found = examined(None)
    assert found.findings == ()
    assert set(found.judged[NODE]) == {check.id for check in ALL}, "every check must have something to judge here"


@pytest.mark.parametrize("check", ALL, ids=lambda check: check.id)
def test_each_check_has_a_case_that_only_it_finds(check: Check) -> None:
    own = [
        case for case in CASES if case.check == check.id and case.severity not in {"unknown", "ok"} and not case.also
    ]
    assert own, "no case is found by this check alone"


@pytest.mark.parametrize("check", ALL, ids=lambda check: check.id)
def test_what_was_not_answered_is_unknown_and_never_well(check: Check) -> None:
    """Without any answer to what it asks, a check says `unknown`, unless it judges facts alone."""
    case = unanswered(check)
    if case is None:
        pytest.skip("it judges facts, or nodes together")
    findings = examine([subject(case)], (check,), Rules()).findings
    assert [one.verdict for one in findings] == ["unknown"] * len(findings) != []


@pytest.mark.parametrize("check", [one for one in ALL if one.lacks is not None], ids=lambda check: check.id)
def test_what_a_tool_is_missing_for_is_told_and_not_judged(check: Check) -> None:
    def without(ask: Ask) -> Answer:
        if ask.argv[0] == "sh":
            return Answer(ask.name, 0, "lacks the-tool\n")
        return Answer(ask.name, missing={"argv": "the-tool: not found"})

    case = Case("", check.id, "unknown", "none", answers={ask.name: without(ask) for ask in check.asks})
    examination = examine([subject(case)], (check,), Rules())
    assert examination.findings == ()
    assert examination.judged == {"gpu01": ()}
    assert examination.untested["gpu01"][check.id].split()[0] == "the-tool"
    assert examine([subject()], (check,), Rules()).untested == {}


def test_asks_are_unique_and_bounded() -> None:
    shared = {ask.name for check in ALL if check.level != "deep" for ask in check.asks}
    for ask in asks_of(ALL, ()):
        assert ask.timeout <= (900 if ask.alone else 10)
        assert not (ask.alone and ask.name in shared), "what takes minutes is asked at the level `deep` alone"
        assert ask in FACT_ASKS or ask.name.count(".") >= 1


@pytest.mark.parametrize("check", ALL, ids=lambda check: check.id)
def test_words_of_a_check(check: Check) -> None:
    assert check.title[:1].islower() or not check.title[:1].isalpha() or check.title.split()[0].isupper()
    assert not check.title.endswith(".")
    assert check.judges.endswith(".")
    assert check.remedy.endswith((".", "`", ")"))
    assert check.source
    for threshold in check.thresholds:
        assert threshold.source
        assert threshold.least <= threshold.default <= threshold.most

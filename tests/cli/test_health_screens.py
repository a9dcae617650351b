"""`aiops health`: whole screens, formats and exit codes; this machine as a node, and one where nobody listens."""

import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aiops.cli.exit import Exit
from aiops.cli.health import acting, formats, table
from aiops.cli.health.schedule import entry, entry_name, expression
from aiops.layers.core.errors import InputError
from aiops.layers.l1_cluster.health.conduct import Conduct, Ward
from aiops.layers.l1_cluster.health.finding import Finding
from aiops.layers.l1_cluster.health.news import news, ongoing
from aiops.layers.l1_cluster.health.round import Report
from aiops.layers.l1_cluster.health.settling import verdicts

Shown = Callable[..., str]
AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
INVENTORY = """
workers:
  vars: {{aiops_cluster: lab-a}}
  hosts:
    n1: {{ansible_connection: local}}
away:
  vars: {{aiops_cluster: lab-a}}
  hosts:
    gone: {{ansible_host: 127.0.0.1, ansible_port: {port}, ansible_user: root}}
"""


@pytest.fixture(autouse=True)
def inventory(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "inventory.yml").write_text(INVENTORY.format(port=port))


def finding(node: str, verdict: Any, **more: Any) -> Finding:
    return Finding(node, "x.y", verdict, "bad, limit 1", **more)


def report(*findings: Finding, simulated: bool = False) -> Report:
    nodes = ("gpu01", "gpu02", "gpu03")
    return Report(AT, "standard", 3.1, nodes, findings, verdicts(findings, nodes), 43, simulated=simulated)


MIXTURES: dict[tuple[str, ...], tuple[int, int, int]] = {
    (): (0, 0, 0),
    ("warn",): (0, 4, 1),
    ("critical",): (4, 4, 2),
    ("unknown",): (3, 3, 3),
    ("warn", "unknown"): (3, 4, 3),
    ("warn", "critical"): (4, 4, 2),
    ("unknown", "critical"): (4, 4, 2),
    ("warn", "unknown", "critical"): (4, 4, 2),
}
"""By the verdicts in a report: the exit code, with `--fail-on warn`, and Nagios' own."""


@pytest.mark.parametrize("together", [False, True], ids=["apart", "on-one-node"])
@pytest.mark.parametrize("mixture", MIXTURES, ids=lambda one: "+".join(one) or "ok")
def test_exit_codes_of_every_mixture(mixture: tuple[str, ...], together: bool) -> None:
    found = [
        finding("gpu01" if together else f"gpu{number:02d}", verdict, about=str(number))
        for number, verdict in enumerate(mixture, 1)
    ]
    code, strict, nagios = MIXTURES[mixture]
    assert formats.exit_code(report(*found), fail_on="critical") == code
    assert formats.exit_code(report(*found), fail_on="warn") == strict
    assert formats.nagios_code(report(*found)) == nagios


@pytest.mark.parametrize("standing", ["once", "starting", "observed", "recovering"])
def test_what_does_not_count_changes_no_exit_code(standing: Any) -> None:
    one = report(finding("gpu01", "critical", standing=standing))
    assert formats.exit_code(one, fail_on="warn") == Exit.DONE
    assert formats.nagios_code(one) == 0
    assert "critical=0" in formats.nagios(one)
    assert "aiops_health_finding{" not in formats.prometheus("lab-a", one)


def test_a_line_for_nagios() -> None:
    line = formats.nagios(report(finding("gpu02", "warn"), finding("gpu01", "critical", about="GPU 3"), simulated=True))
    assert line == (
        "CRITICAL (simulated) - 1 critical, 1 warn, 1 ok: gpu01 x.y GPU 3: bad, limit 1; gpu02 x.y bad, limit 1"
        " | ok=1;;;0;3 warn=1;;;0;3 critical=1;;;0;3 unknown=0;;;0;3"
    )
    evil = formats.nagios(report(Finding("gpu01", "x.y", "warn", "a|b\nc")))
    assert evil.count("|") == 1
    assert "\n" not in evil


def test_text_for_prometheus() -> None:
    text = formats.prometheus("lab-a", report(Finding("gpu01", "x.y", "warn", "m", 'a"b\\')))
    assert 'aiops_health_node{cluster="lab-a",node="gpu01",verdict="warn"} 1\n' in text
    assert 'aiops_health_node{cluster="lab-a",node="gpu01",verdict="ok"} 0\n' in text
    assert 'about="a\\"b\\\\"' in text
    assert text.endswith("\n")
    names = [line.partition("{")[0] for line in text.splitlines() if not line.startswith("#")]
    assert set(names) == {
        "aiops_health_node",
        "aiops_health_finding",
        "aiops_health_seconds",
        "aiops_health_time_seconds",
    }


def test_equal_findings_are_one_row_and_what_counts_comes_first() -> None:
    found = [
        finding("gpu03", "critical", standing="once"),
        finding("gpu01", "warn"),
        finding("gpu02", "warn"),
        Finding("gpu03", "a.b", "critical", "worse"),
    ]
    rows = [(nodes, one.check, one.standing) for nodes, one in table.folded(found)]
    assert rows == [("gpu03", "a.b", "counts"), ("gpu[01-02]", "x.y", "counts"), ("gpu03", "x.y", "once")]


def test_hints_name_who_is_to_be_drained_and_only_those() -> None:
    found = [finding("gpu01", "critical"), finding("gpu02", "critical", owner="fabric"), finding("gpu03", "unknown")]
    assert table.hints(report(*found))[0] == "take gpu01 out of service with `aiops node drain gpu01 --reason x.y`"
    assert table.hints(report()) == []
    drained = table.hints(report(*found), {"gpu01"})
    assert drained[0] == "repair gpu01: `aiops node repair gpu01`"
    assert not any("node drain" in one for one in drained)
    assert not any("node" in one for one in table.hints(report(*found), heads={"gpu01"}))


def test_a_node_that_does_not_answer_is_unknown_and_hides_no_other(shown: Shown) -> None:
    screen = shown("health", "--tag", "time", "--json")
    assert screen.startswith("exit: ")
    told = json.loads(screen.partition("--- stdout\n")[2].partition("--- stderr\n")[0])
    verdict = {one["node"]: one["verdict"] for one in told["nodes"]}
    assert verdict["gone"] == "unknown"
    (reach,) = [one for one in told["findings"] if one["node"] == "gone"]
    assert reach["check"] == "node.reachable"
    assert "Connection refused" in reach["message"] or "did not answer" in reach["message"]


def test_only_nodes_that_do_not_answer(shown: Shown) -> None:
    screen = shown("health", "--on", "gone", terminal=True)
    assert screen.startswith("exit: 3\n")
    assert "1 node · 0 checks · standard" in screen
    assert "  gone   unknown" in screen
    assert "\n1 unknown\n" in screen


@pytest.mark.parametrize(
    ("words", "told", "near"),
    [
        (("--check", "time.sink"), "there is no check `time.sink`", "did you mean `time.sync`?"),
        (("--tag", "tyme"), "there is no tag `tyme`", "did you mean `time`?"),
        (("--on", "gpu99"), "gpu99", ""),
        (("--on", "n1,!n1"), "select", ""),
        (("--watch", "--format", "nagios"), "`--watch` does not go with `--format nagios`", "leave one of them out"),
        (("--cron", "--json"), "`--cron` does not go with `--format json`", "leave one of them out"),
        (("--level", "deepest"), "deepest", ""),
        (("--level", "deep", "--watch"), "`--watch` does not go with `--level deep`", "aiops health --level deep"),
        (("--level", "deep", "--cron"), "`--cron` does not go with `--level deep`", "aiops health --cron"),
        (("--level", "deep", "--act"), "`--act` does not go with `--level deep`", "aiops health --act"),
    ],
)
def test_wrong_words_change_nothing(shown: Shown, words: tuple[str, ...], told: str, near: str) -> None:
    screen = shown("health", *words)
    assert screen.startswith("exit: 2\n")
    assert told in screen
    assert near in screen


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ('[health.thresholds]\n"time.sync" = {warm = 5}', 2, "`time.sync` has no threshold `warm`"),
        ('[health.thresholds]\n"time.sync" = {warn = "5"}', 2, "`warn` must be a number of ms"),
        ('[health.thresholds]\n"time.sync" = {warn = -5}', 2, "`warn` must lie between"),
        ('[health.thresholds]\n"time.sink" = {warn = 5}', 2, "there is no check `time.sink`"),
        ('[health]\noff = ["time.sink"]', 2, "there is no check `time.sink`"),
        ('[health]\nobserve = "time.sync"', 2, "must be a list of checks"),
        ("[health.act]\nmost_percent = 200", 2, "must be a number between 0 and 100"),
        ('[health.act]\nrepair = ["magic"]', 2, "must be a list of"),
        ("[health]\nthreshold = 5", 2, "unknown key `threshold`"),
        ('[health.groups.h1000.thresholds]\n"time.sync" = {warn = 5}', None, "the inventory has no group `h1000`"),
    ],
)
def test_wrong_settings_are_told_with_their_place(
    shown: Shown, tmp_path: Path, text: str, line: int | None, told: str
) -> None:
    (tmp_path / "aiops.toml").write_text(text + "\n")
    screen = shown("health", "--on", "n1")
    assert screen.startswith("exit: 2\n")
    assert told in screen
    assert line is None or f"aiops.toml:{line}: " in screen


def test_a_look_that_would_make_no_check_is_refused(shown: Shown, tmp_path: Path) -> None:
    """It would call every node well."""
    deep = shown("health", "--on", "n1", "--check", "memory.test")
    assert deep.startswith("exit: 2")
    assert "none of these checks is made at the level `standard`" in deep
    assert "`aiops health --level deep`" in deep
    (tmp_path / "aiops.toml").write_text('aiops = 1\n[health]\noff = ["time.sync"]\n')
    off = shown("health", "--on", "n1", "--check", "time.sync")
    assert off.startswith("exit: 2")
    assert "aiops.toml has them under `health.off`" in off


def test_what_several_checks_or_devices_tell_alike_is_one_row() -> None:
    hung = [Finding("gpu01", f"gpu.{name}", "unknown", "nvidia-smi did not answer in 10 s") for name in ("a", "b", "c")]
    lanes = [Finding("gpu02", "gpu.links", "warn", "1 of 18 links is down", f"GPU {number}") for number in range(8)]
    other = [Finding("gpu02", "gpu.links", "warn", "2 of 18 links are down", "GPU 9")]
    rows = [(nodes, one.check, one.about) for nodes, one in table.folded([*hung, *lanes, *other])]
    assert rows == [
        ("gpu02", "gpu.links", "GPU 0 and 7 more"),
        ("gpu02", "gpu.links", "GPU 9"),
        ("gpu01", "gpu.a and 2 more", ""),
    ]
    line = formats.nagios(report(*hung, finding("gpu03", "critical")))
    assert "gpu03 x.y bad, limit 1; gpu01 gpu.a and 2 more nvidia-smi did not answer in 10 s |" in line


def test_a_drain_needs_a_reason(shown: Shown) -> None:
    screen = shown("node", "drain", "n1", "--reason", " ")
    assert screen.startswith("exit: 2")
    assert "a drain needs a reason" in screen


def test_what_could_not_be_tested_is_told_once_for_all_that_lack_the_same() -> None:
    lacking = {"memory.test": "stress-ng", "memory.bandwidth": "stress-ng", "disk.speed": "fio"}
    told = replace(report(), untested={"gpu01": lacking, "gpu02": lacking, "gpu03": {"gpu.diag": "dcgmi"}})
    assert table.untested(told) == [
        "not tested, for the tool is not there: fio, stress-ng on gpu[01-02]",
        "not tested, for the tool is not there: dcgmi on gpu03",
    ]
    assert {"node": "gpu03", "check": "gpu.diag", "tool": "dcgmi"} in formats.document("lab-a", told)["untested"]
    assert formats.document("lab-a", report())["untested"] == []


def test_deep_tests_of_nodes_that_nobody_gives_work_to(shown: Shown) -> None:
    """The workers where nobody is named; this machine has no GPU to measure, and none is missed."""
    screen = shown("health", "--level", "deep", "--check", "gpu.allreduce")
    assert screen.startswith("exit: 0\n")
    assert "deep tests take up to 4m20s of each node\n" in screen
    assert "\n1 ok\n" in screen, "the one that does not answer is no worker"


def test_checks_are_listed_and_explained(shown: Shown) -> None:
    listed = shown("health", "checks")
    assert listed.startswith("exit: 0\n")
    assert "time.sync\tthe clock is set by somebody, and right\tcritical\trestart_service\tstandard\taiops\n" in listed
    told = shown("health", "explain", "time.sync")
    for words in ("asks\n  `chronyc -c tracking`", "thresholds\n  warn = 10 ms:", "what to do\n", "source\n"):
        assert words in told
    wrong = shown("health", "explain", "time.sink")
    assert wrong.startswith("exit: 6\n")
    assert "did you mean `time.sync`?" in wrong


def test_why_a_node_could_not_be_asked_is_explained_as_checks_are(shown: Shown) -> None:
    told = shown("health", "explain", "node.reachable")
    assert told.startswith("exit: 0\n--- stdout\nnode.reachable: it can be asked\n")
    assert "aiops node trust NODE --replace" in told
    document = json.loads(
        shown("health", "explain", "node.reachable", "--json").partition("--- stdout\n")[2].partition("---")[0]
    )
    assert document["source"]


def test_history_of_what_was_never_looked_at(shown: Shown) -> None:
    screen = shown("health", "history", terminal=True)
    assert screen.startswith("exit: 0\n")
    assert "lab-a was not looked at in the last 7d" in screen


def test_history_tells_what_was_found(shown: Shown) -> None:
    shown("health", "--on", "gone")
    told = json.loads(shown("health", "history", "--json").partition("--- stdout\n")[2].partition("--- stderr\n")[0])
    (episode,) = told["episodes"]
    assert (episode["node"], episode["check"], episode["verdict"]) == ("gone", "node.reachable", "unknown")
    assert [one["node"] for one in told["nodes"]] == ["gone"]


def lines(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What is told of what waits now, after what has waited before."""
    found = news(ongoing((), before), ongoing((), now))
    return [one.line for one in (*found.came, *found.over)]


def test_what_waits_is_told_once_while_it_lasts() -> None:
    quiet = Ward(AT, (), {}, {}, {}, {})
    opening = acting.held(quiet, Conduct(breaker="3 of 10 nodes were critical", held={"gpu02": "x", "gpu03": "x"}))
    open_ = acting.held(replace(quiet, breaker="3 of 10 nodes were critical"), Conduct(held={"gpu04": "y"}))
    assert lines({}, opening) == [
        (
            "the breaker is open: 3 of 10 nodes were critical; not drained: gpu[02-03]; close it with "
            "`aiops health rearm` once that is understood"
        )
    ]
    assert lines(opening, open_) == []
    assert acting.held(replace(quiet, breaker="3 of 10 nodes were critical"), Conduct()).keys() == opening.keys()
    (over,) = lines(open_, {})
    assert over.startswith("over: the breaker is open")
    left = {"gpu07": "gpu07 is in a repair that was cut off: `aiops node repair gpu07`"}
    assert list(acting.held(quiet, Conduct(left=left)).values()) == list(left.values())
    refused = acting.held(quiet, Conduct(held={"gpu01": "the policy drains nothing"}))
    assert lines(refused, acting.held(quiet, Conduct(held={"gpu02": "the policy drains nothing"}))) == []


@pytest.mark.parametrize(
    ("span", "times"),
    [
        ("1m", "* * * * *"),
        ("5m", "*/5 * * * *"),
        ("60m", "0 * * * *"),
        ("6h", "0 */6 * * *"),
        ("1d", "0 0 * * *"),
    ],
)
def test_spans_of_cron(span: str, times: str) -> None:
    assert expression(span) == times


@pytest.mark.parametrize("span", ["7m", "90s", "5h", "2d", "90m"])
def test_spans_that_cron_cannot_do(span: str) -> None:
    with pytest.raises(InputError, match="cron cannot"):
        expression(span)


def test_an_entry_of_cron() -> None:
    text = entry("lab a", "*/5 * * * *", ["/usr/bin/aiops", "health", "-i", "/a b%/i.yml"], {"AIOPS_HOME": "/var/x"})
    assert text.splitlines()[1:] == [
        "AIOPS_HOME=/var/x",
        "*/5 * * * * root /usr/bin/aiops health -i '/a b\\%/i.yml'",
    ]
    assert text.endswith("\n")
    assert entry_name("lab a/ü") == "aiops-health-lab_a__"

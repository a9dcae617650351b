"""The catalogue: what it says of real logs and of lines written from the tools' formats, and mistakes in its files."""

import json
import re
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from tests.l2_jobs.fault.cases import CASES

from aiops.layers.core.errors import FailedError, NotFoundError
from aiops.layers.core.plugin import Plugins
from aiops.layers.l2_jobs.fault.bare import bare
from aiops.layers.l2_jobs.fault.catalogue import read_signatures, shipped_signatures, signatures_of
from aiops.layers.l2_jobs.fault.diagnosis import Diagnosis, diagnose
from aiops.layers.l2_jobs.fault.fault_class import CAUSERS, FAULT_CLASSES, fault_class
from aiops.layers.l2_jobs.fault.index import PROGRAM, Index
from aiops.layers.l2_jobs.fault.literals import literals
from aiops.layers.l2_jobs.fault.signature import compiled

HERE = Path(__file__).parent
LOGS = [json.loads(line) for line in (HERE / "logs.jsonl").read_text("utf-8").splitlines()]
INDEX = Index(shipped_signatures())


def judged(lines: list[str]) -> tuple[str, bool, bool]:
    found = diagnose(lines, index=INDEX)
    return found.kind, found.retryable, found.bad_node


@pytest.mark.parametrize("log", LOGS, ids=lambda log: f"{log['id']}-{log['class']}")
def test_a_real_log(log: dict[str, str | bool]) -> None:
    assert judged(str(log["log"]).splitlines()) == (log["class"], log["retryable"], log["bad_node"])


@pytest.mark.parametrize("kind", sorted({case.kind for case in CASES}))
def test_lines_from_the_formats_of_the_tools(kind: str) -> None:
    wrong = [
        (case.lines, found)
        for case in CASES
        if case.kind == kind and (found := judged(list(case.lines))) != (case.kind, case.retryable, case.bad_node)
    ]
    assert wrong == []


def test_there_are_cases_of_every_class_that_logs_tell() -> None:
    observed = {"process_exit", "hang", "node_lost", "straggler", "loss_spike"}
    assert {case.kind for case in CASES} == {one.name for one in FAULT_CLASSES} - observed
    assert len(CASES) >= 500


def test_every_class_is_whole() -> None:
    assert len({one.name for one in FAULT_CLASSES}) == len(FAULT_CLASSES)
    for one in FAULT_CLASSES:
        assert one.causer in CAUSERS
        assert one.title
        assert one.action
        assert not one.action.endswith(".")


def test_an_unknown_class_is_told_with_its_neighbours() -> None:
    with pytest.raises(NotFoundError) as caught:
        fault_class("gpu_los")
    assert "`gpu_lost`" in caught.value.hints[0]


@pytest.mark.parametrize("one", shipped_signatures(), ids=lambda one: one.id)
def test_every_pattern_compiles_is_lower_case_and_has_words(one: object) -> None:
    from aiops.layers.l2_jobs.fault.signature import Signature

    assert isinstance(one, Signature)
    for pattern in (one.pattern, one.unless):
        compiled(pattern)
        bare = re.sub(r"\\[A-Za-z]|\(\?P", "", pattern)
        assert bare == bare.lower(), pattern
        assert "<<" not in pattern, "a macro that is not there"
    assert one.words


def test_no_pattern_takes_long_on_any_line() -> None:
    # Repetitions of what patterns begin with are the worst: each is a start that leads nowhere.
    import time

    worst = 0.0
    for piece in ("error ", "nccl warn ", "a", "loss ", "0" * 10, "failed to ", "/data/", "[1] ", "gpu ", "::", "nan "):
        line = (piece * 4096)[:4096]
        begun = time.process_time()
        diagnose([line], index=Index(shipped_signatures()))
        worst = max(worst, time.process_time() - begun)
    assert worst < 2.0


def test_what_lacks_a_bare_pattern_lacks_the_pattern() -> None:
    lines = {line.lower() for case in CASES for line in case.lines}
    lines |= {line.lower() for log in LOGS for line in str(log["log"]).splitlines()}
    shapes = {line: line.translate(str.maketrans("", "", "0123456789")) for line in lines}
    for one in shipped_signatures():
        pattern, without = compiled(one.pattern), compiled(bare(one.pattern))
        assert not [line for line, shape in shapes.items() if pattern.search(line) and not without.search(shape)], (
            one.id
        )


def test_no_line_is_missed_for_want_of_a_word() -> None:
    lines = [line for case in CASES for line in case.lines]
    lines += [line for log in LOGS for line in str(log["log"]).splitlines()]
    for line in lines:
        low = line.lower()
        wanted = {one.id for one in shipped_signatures() if one.found(low)}
        assert wanted <= {one.id for one in INDEX.candidates(low)} | {PROGRAM.id}, line


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("abcd", {"abcd"}),
        (r"one (?:two|three)?four", {"four"}),
        (r"(?:alpha|beta) +x", {"alpha", "beta"}),
        (r"\berrno \d+: full", {"errno : full"}),
        (r"a|bcdefg", set()),
        (r"exit(?:ed)? code[ :]+137", {"exit"}),
        (r"x?yyyy(?!zzz)w+", {"yyyyw"}),
        (r"[0-9]{3} client", {" client"}),
        (r"\w+", set()),
    ],
)
def test_pieces_that_a_pattern_cannot_do_without(pattern: str, expected: set[str]) -> None:
    found = literals(pattern)
    assert found == expected or (expected and found and min(map(len, found)) >= min(map(len, expected)))


FILE = """
macros: {{unit: 'frobnicator \\d+'}}
signatures:
  - id: site.frobnicator
    class: {kind}
    level: hardware
    pattern: '<<unit>> (?:jammed|stuck)'
    retryable: true
"""


def test_a_plugin_adds_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site.yml").write_text(FILE.format(kind="thermal_power"))
    (tmp_path / "site_faults.py").write_text(
        "from pathlib import Path\n"
        "from aiops.layers.core.plugin import hookimpl\n"
        "@hookimpl\n"
        "def fault_signatures():\n"
        f"    return [Path({str(tmp_path)!r}) / 'site.yml']\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    plugins = Plugins([EntryPoint("faults.site", "site_faults", "aiops")])
    signatures = signatures_of(plugins)
    assert signatures[0].id == "site.frobnicator"
    found = diagnose(["n3: Frobnicator 7 jammed"], signatures)
    assert (found.kind, found.signature) == ("thermal_power", "site.frobnicator")
    assert diagnose(["n3: Frobnicator 7 jammed"]).healthy


def test_mistakes_are_told_together_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "bad.yml"
    path.write_text(
        "signatures:\n"
        "  - {id: a.one, class: gpu_lots, level: hardware, pattern: 'abcd'}\n"
        "  - {id: a.two, class: gpu_lost, level: hardwear, pattern: 'abcd'}\n"
        "  - {id: a.three, class: gpu_lost, level: cause, patern: 'abcd'}\n"
        "  - {id: a.four, class: gpu_lost, level: cause, pattern: '(abcd'}\n"
        "  - {id: a.five, class: gpu_lost, level: cause, pattern: '\\w+'}\n"
        "  - {id: a.six, class: gpu_lost, level: cause, pattern: 'abcd', at_least: none, live: perhaps}\n"
        "  - {id: a.seven, class: gpu_lost, level: cause, pattern: 'abcd', needs: [a.nine]}\n"
        "  - {id: a.seven, class: gpu_lost, level: cause, pattern: 'abcd'}\n"
    )
    with pytest.raises(FailedError) as caught:
        read_signatures([path])
    told = {(one.line, one.message.split("`")[1]) for one in caught.value.problems}
    assert {(2, "class"), (3, "level"), (4, "patern"), (4, "pattern"), (5, "(abcd"), (6, "\\w+")} <= told
    assert {(7, "at_least"), (7, "live"), (8, "a.seven"), (9, "a.seven")} <= told
    assert any(one.hint and "`gpu_lost`" in one.hint for one in caught.value.problems)


@pytest.mark.parametrize("text", ["", "[1, 2]", "signatures: {a: b}", "a: [", "signatures:\n  - nothing", "\x00"])
def test_a_file_that_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yml"
    path.write_text(text)
    with pytest.raises(FailedError):
        read_signatures([path])


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FailedError, match="mistakes"):
        read_signatures([tmp_path / "none.yml"])


def test_a_diagnosis_is_a_fault_at_a_time() -> None:
    found: Diagnosis = diagnose(["NVRM: Xid (PCI:0000:86:00): 79, GPU has fallen off the bus."])
    fault = found.fault(12.5)
    assert fault is not None
    assert (fault.kind, fault.bad_node, fault.at) == ("gpu_lost", True, 12.5)
    assert fault.evidence[0].line == 1
    assert diagnose(["step 1 loss 2.0"]).fault(1.0) is None

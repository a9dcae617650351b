"""NVIDIA's own diagnosis of its devices, `dcgmi diag`, as DCGM 3 and DCGM 4 tell it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from aiops.layers.l0_nodes.answer_reading import UnreadableError, said
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l1_cluster.health.check import Check, Limits, Sighting, Subject
from aiops.layers.l1_cluster.health.trial import absent
from aiops.layers.l1_cluster.health.verdict import Action

from .presence import has_nvidia

DIAG = "nvidia.trial.diag"
DIAG_ASK = Ask(DIAG, ("dcgmi", "diag", "-r", "2", "-j"), timeout=900.0, makers=("10de",), alone=True)
"""Level 2 takes 2 to 10 minutes for eight devices."""

_ROOTS = ("DCGM Diagnostic", "DCGM GPU Diagnostic")  # of DCGM 4; of DCGM 3 and before
_STATUSES: Mapping[str, "Status"] = {
    "pass": "pass",
    "passed": "pass",
    "fail": "fail",
    "failed": "fail",
    "warn": "warn",
    "skip": "skip",
    "skipped": "skip",
    "not run": "skip",
    "notrun": "skip",
}
_MONITOR, _ISOLATE, _CONFIG, _RESET = 1, 2, 5, 6  # of dcgmErrorSeverity_t
_ACTIONS: Mapping[int, tuple[Literal["warn", "critical"], Action]] = {
    _MONITOR: ("warn", "none"),
    _ISOLATE: ("critical", "service"),
    _CONFIG: ("warn", "none"),
    _RESET: ("critical", "reset_device"),
}
_GENTLEST = (_CONFIG, _MONITOR, _RESET)
_DEPLOYMENT = "deployment"

Status = Literal["pass", "fail", "warn", "skip"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one test of the diagnosis says of one device, or of several together.

    Attributes:
        category: `Deployment`, `Hardware`, ...
        about: `GPU 3`, `GPU 0,1,2,3`; empty where the test does not say.
        message: Why, in DCGM's words.
        severity: dcgmErrorSeverity_t of what went wrong; None where this DCGM does not tell.
    """

    category: str
    test: str
    status: Status
    about: str = ""
    message: str = ""
    severity: int | None = None


def read_diagnosis(record: Record) -> tuple[Outcome, ...]:
    """All that the diagnosis says. DCGM ends with an error when a test fails, and tells all the same.

    Raises:
        UnreadableError: It was not made.
    """
    answer = record.answer(DIAG)
    start = answer.stdout.find("{")
    if answer.timed_out or answer.truncated or start < 0:
        said(answer)
        raise UnreadableError(f"dcgmi says `{answer.stdout.strip()[:120]}`")
    document, _ = json.JSONDecoder().raw_decode(answer.stdout[start:])
    root = next((document[name] for name in _ROOTS if name in document), None)
    if root is None:
        raise UnreadableError("dcgmi's answer has no diagnosis in it")
    if root.get("runtime_error"):
        raise UnreadableError(f"dcgmi could not diagnose: {str(root['runtime_error'])[:200]}")
    found = [
        outcome
        for category in root.get("test_categories") or ()
        for test in category.get("tests") or ()
        if test  # DCGM 3 writes `null` between tests
        for outcome in _outcomes(str(category.get("category", "")), test)
    ]
    if not found:
        raise UnreadableError("dcgmi's diagnosis names no test")
    return tuple(found)


def _outcomes(category: str, test: Mapping[str, Any]) -> Iterator[Outcome]:
    results = [*(test.get("results") or ())]
    summary = test.get("test_summary")
    if summary and _status(summary) not in {_status(result) for result in results}:
        results.append(summary)  # what is of no single device stands there
    for result in results:
        message, severity = _warnings(result)
        yield Outcome(category, str(test["name"]), _status(result), _about(result), message, severity)


def _status(result: Mapping[str, Any]) -> Status:
    word = str(result["status"]).strip().lower()
    if word not in _STATUSES:
        raise UnreadableError(f"dcgmi's diagnosis says `{word[:40]}` of a test")
    return _STATUSES[word]


def _about(result: Mapping[str, Any]) -> str:
    if "entity_id" in result:
        return f"{result.get('entity_group') or 'GPU'} {result['entity_id']}"
    number = str(result.get("gpu_ids", result.get("gpu_id", ""))).strip()
    return f"GPU {number}" if number else ""


def _warnings(result: Mapping[str, Any]) -> tuple[str, int | None]:
    """The messages, and of their severities the one that asks for most; None where one has none."""
    told = result.get("warnings") or ()
    several = [told] if isinstance(told, str | Mapping) else list(told)
    words = [str(one.get("warning", "")) if isinstance(one, Mapping) else str(one) for one in several]
    severities = [one.get("error_severity") if isinstance(one, Mapping) else None for one in several]
    known = [one for one in severities if isinstance(one, int) and not isinstance(one, bool)]
    hardest = None
    if known and len(known) == len(severities):
        hardest = max(known, key=lambda one: _GENTLEST.index(one) if one in _GENTLEST else len(_GENTLEST))
    return "; ".join(word.strip() for word in words if word.strip())[:400], hardest


def _diag(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    outcomes = subject.read(read_diagnosis)
    for one in outcomes:
        if one.status not in {"fail", "warn"}:
            continue
        severity, action = _ACTIONS.get(one.severity or 0, ("critical", "service"))
        if one.status == "warn":
            severity, action = "warn", "none"
        yield Sighting(
            severity,
            f"{one.test}: {one.message or 'it failed, and no reason is told'}",
            one.about,
            {"category": one.category, "test": one.test, "status": one.status, "severity": one.severity},
            action=action,
        )
    hardware = [one for one in outcomes if one.category.lower() != _DEPLOYMENT]
    if all(one.status == "skip" for one in hardware):
        tests = ", ".join(dict.fromkeys(one.test for one in hardware))
        words = f"all were skipped: {tests}" if tests else "there were none beside those of the installation"
        yield Sighting("unknown", f"no test of the hardware was made; {words}", "tests")


def _lacks(subject: Subject) -> str:
    return absent(subject.record.answer(DIAG)) if has_nvidia(subject) else ""


CHECKS = (
    Check(
        id="gpu.diag",
        title="the devices pass NVIDIA's own diagnosis, level 2",
        severity="critical",
        action="service",
        owner="node",
        judges="Critical when a test fails, with the action by DCGM's severity: isolate is service, reset is a reset of"
        " the device; warn when DCGM calls it a setting or something to watch, or the test only warns; unknown when"
        " every test of the hardware was skipped.",
        remedy="Read all of it: `dcgmi diag -r 3 -v`. When dcgmi finds nobody to talk to, start its engine: `systemctl"
        " start nvidia-dcgm`.",
        source="DCGM's user guide, with dcgmErrorSeverity_t of its dcgm_errors.h for what is to be done",
        asks=(DIAG_ASK,),
        judge=_diag,
        applies=has_nvidia,
        lacks=_lacks,
        tags=("hardware", "trial"),
        level="deep",
    ),
)

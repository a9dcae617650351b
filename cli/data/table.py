"""A report of data as a table and as a document."""

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aiops.cli.cell import Cell
from aiops.cli.screen import Screen
from aiops.layers.core.count import counted
from aiops.layers.l3_tuning.data.fault import CATALOGUE

if TYPE_CHECKING:
    from aiops.layers.l3_tuning.data.report import Report

NOT_CHECKED = ("template", "tokens", "lengths", "personal data", "leaks")
"""What the level `structure` does not look at."""

_PARTS = {"half": 0.5, "90%": 0.9, "99%": 0.99, "longest": 1.0}


def show(screen: Screen, report: "Report", paths: Sequence[str]) -> None:
    """All that was found in `paths`."""
    if screen.json:
        screen.document(document(report))
        return
    rows: list[tuple[Cell, ...]] = []
    for kind in report.kinds:
        shown = report.shown[kind]
        for number, fault in enumerate(shown):
            told = number == 0 or not screen.terminal
            rows.append((kind if told else "", report.counts[kind] if told else "", str(fault.place), fault.reason))
        left = report.counts[kind] - len(shown)
        if left and screen.terminal:
            rows.append(("" if shown else kind, "" if shown else report.counts[kind], f"and {left:,} more", ""))
        elif not shown:
            rows.append((kind, report.counts[kind], "", ""))
    if rows:
        screen.table(("kind", "count", "where", "reason"), rows)
    _notes(screen, report, paths)


def _notes(screen: Screen, report: "Report", paths: Sequence[str]) -> None:
    if report.kinds:
        screen.note("")
    for kind in report.kinds:
        known = CATALOGUE[kind]
        allowed = "" if report.failing(kind) else " (allowed)" if known.fails else " (only told)"
        screen.note(f"{kind}{allowed}: {known.meaning}; {known.advice}")
    screen.note("")
    form = report.form or "no known format"
    screen.note(f"{counted(report.rows, 'row')} of {form}, {report.faulty:,} with faults; level {report.level}")
    if report.level == "structure":
        screen.note(f"not checked: {', '.join(NOT_CHECKED)}")
        screen.hint(
            f"name the model that is to learn, to check these too: `aiops data check {shlex.join(paths)} --base DIR`"
        )
    elif report.lengths:
        lengths = ", ".join(f"{name} {report.quantile(part):,}" for name, part in _PARTS.items())
        screen.note(f"{report.tokens:,} tokens; of a row: {lengths}")


def document(report: "Report") -> dict[str, Any]:
    """All of it for programs."""
    measured = {name: report.quantile(part) for name, part in _PARTS.items()}
    return {
        "level": report.level,
        "form": report.form,
        "rows": report.rows,
        "faulty": report.faulty,
        "failed": report.failed,
        "files": [{"name": name, "rows": rows} for name, rows in report.files.items()],
        "faults": [
            {
                "kind": kind,
                "count": report.counts[kind],
                "fails": report.failing(kind),
                "meaning": CATALOGUE[kind].meaning,
                "advice": CATALOGUE[kind].advice,
                "shown": [
                    {"file": one.place.file, "line": one.place.line, "reason": one.reason} for one in report.shown[kind]
                ],
            }
            for kind in report.kinds
        ],
        "not_checked": list(NOT_CHECKED) if report.level == "structure" else [],
        "tokens": {"total": report.tokens, "limit": report.length, "rows": measured} if report.lengths else None,
        "copies": {str(times): rows for times, rows in report.multiplicity.items()},
        "tokenizer": report.tokenizer,
        "template": report.template,
        "questions": report.questions,
        "allowed": sorted(report.allowed),
    }

"""The gate before a run: its data is checked as its base reads it, so that none begins upon rows it cannot learn."""

from collections.abc import Callable
from pathlib import Path

from aiops.layers.core.errors import InputError, Problem

from .data.check import Wish, check
from .data.evaluation_set import evaluation_of
from .data.fault import CATALOGUE
from .data.lesson import Reader
from .data.report import Report
from .data.source import sources
from .data.taking import named_form
from .data.template import read_template
from .data.tokenizer import read_tokenizer
from .recipe import DataPlan, Method

FORMS: dict[Method, tuple[str, ...]] = {"sft": ("chat", "prompt"), "pretrain": ("text",), "dpo": ("preference",)}
"""What each method learns."""

_MOST = 20
"""Faults that are told with their places; more only say how many."""


def tolerated(plan: DataPlan) -> frozenset[str]:
    """Kinds of faults that preparing takes care of as the recipe says, or that it says are to be kept. Pure."""
    areas = {"duplicate", "personal"}  # told, and masked where the recipe says so: some models are to know addresses
    if plan.long != "error":
        areas.add("length")
    if plan.decontaminate:
        areas.add("leak")
    return frozenset(kind for kind in CATALOGUE if kind.partition(".")[0] in areas)


def checked(plan: DataPlan, base: str, told: Callable[[int, int], None] = lambda _rows, _bytes: None) -> Report:
    """All rows that are learnt from, read, rendered and tokenised as the base does.

    Raises:
        InputError: A file is missing, or rows are wrong: with file and line of the first ones (`data.faults`).
    """
    tokenizer = read_tokenizer(Path(base))
    template = read_template(tokenizer, None if plan.template is None else Path(plan.template))
    wish = Wish(
        form=None if plan.form == "auto" else named_form(plan.form),
        reader=Reader(tokenizer, template, plan.length),
        evaluation=evaluation_of([Path(one) for one in plan.decontaminate]) if plan.decontaminate else None,
        most=_MOST,
        allowed=tolerated(plan),
    )
    found = check(sources(plan.train), wish, told)
    if found.failed:
        raise faulty(found)
    return found


def faulty(found: Report) -> InputError:
    """The error that tells what is wrong with data."""
    failing = [kind for kind in found.kinds if found.failing(kind)]
    faults = [fault for kind in failing for fault in found.shown.get(kind, ())][:_MOST]
    total = sum(found.counts[kind] for kind in failing)
    problems = [Problem(f"{one.kind}: {one.reason}", one.place.file, one.place.line) for one in faults]
    counts = ", ".join(f"{found.counts[kind]} {kind}" for kind in failing)
    advice = [f"{kind}: {CATALOGUE[kind].advice}" for kind in failing[:3]]
    return InputError(
        f"{total:,} fault{'s' * (total != 1)} in the data, and nothing was started: {counts}",
        code="data.faults",
        problems=problems,
        hints=advice,
    )


def require_fitting(method: Method, form: str) -> None:
    """Refuse data that a method cannot learn.

    Raises:
        InputError: Its rows are of another form (`data.form`).
    """
    if form not in FORMS[method]:
        fits = next(name for name, forms in FORMS.items() if form in forms)
        raise InputError(
            f"the rows are of the form {form}, and `method: {method}` learns {' or '.join(FORMS[method])}",
            code="data.form",
            hints=[f"`method: {fits}` learns them; or name other files in `data.train`"],
        )

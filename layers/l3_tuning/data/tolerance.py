"""Tolerance: which kinds of faults fail nothing; one rule of checks, preparations and the gate of a run. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from aiops.layers.l3_tuning.recipe import DataPlan

from .dataset import TOLERATED, Manifest
from .fault import CATALOGUE
from .report import Report


def tolerated(plan: DataPlan | None, allow: Iterable[str] = ()) -> frozenset[str]:
    """Kinds that are told and fail nothing: those that are allowed, and those that preparing itself deals with.

    All else fails, also personal data that is not masked: whoever wants it learnt says so.

    Args:
        plan: What is done to the rows, and what it allows; None for a check, which does nothing to them.
        allow: Kinds that are allowed beside.
    """
    kinds = set(allow)
    if plan is None:
        return frozenset(kinds)
    kinds |= {*plan.allow, *(f"personal.{kind}" for kind in plan.mask), "duplicate.exact"}
    if plan.long != "error":
        kinds |= {"length.over", "length.answer_cut_off"}
    if plan.decontaminate:
        kinds.add("leak.evaluation")
    return frozenset(kinds)


def only_allowed(reports: Iterable[Report], plan: DataPlan) -> dict[str, int]:
    """Kinds that were met and would have refused a preparation, had its plan not allowed them; with how many.

    What else a plan allows does not count, so the same comes of the same rows whatever was allowed beside.
    """
    dealt_with = tolerated(replace(plan, allow=()))
    counts: Counter[str] = Counter()
    for report in reports:
        counts.update(
            {kind: report.counts[kind] for kind in report.kinds if CATALOGUE[kind].fails and kind not in dealt_with}
        )
    return dict(sorted(counts.items()))


def not_allowed(manifest: Manifest, plan: DataPlan) -> Mapping[str, int] | None:
    """Kinds that prepared data was made in spite of and that a plan does not allow; None where it does not say.

    Whether something comes of rows is no part of their digest: so whoever takes what another has made is asked anew.
    """
    met = manifest.lineage.get(TOLERATED)
    if not isinstance(met, Mapping):
        return None
    known = tolerated(plan)
    return {kind: count for kind, count in met.items() if kind not in known}

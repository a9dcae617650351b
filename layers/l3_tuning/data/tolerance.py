"""Tolerance: which kinds of faults fail nothing; one rule of checks, preparations and the gate of a run. Pure."""

from collections.abc import Iterable

from aiops.layers.l3_tuning.recipe import DataPlan


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

"""A plan on the screen: terms as bars, the verdict, what to change, and what nodes have said."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiops.cli.screen import Screen
    from aiops.layers.l3_tuning.plan.agreement import Remark
    from aiops.layers.l3_tuning.plan.fixes import Fix
    from aiops.layers.l3_tuning.plan.plan import Plan

_BAR = 32
_EIGHTHS = " ▏▎▍▌▋▊▉"
_SIGNS = {"ok": "✓", "warn": "!", "bad": "✗", "unknown": "?"}
_VERDICTS = {"fits": "✓", "tight": "!", "does not fit": "✗", "unknown": "?"}


def show(screen: "Screen", plan: "Plan", named: str) -> None:
    """The plan for people, or as rows for a pipe: what, state, figures or words."""
    if not screen.terminal:
        screen.table((), _rows(plan))
    else:
        for line in (*_head(plan), "", *_memory(plan), "", *_verdict(plan), *_changes(plan)):
            screen.line(screen.wrapped(line, 18).rstrip())
        for line in (*_remarks(plan.remarks), *_layout(plan), *_notes(plan)):
            screen.line(screen.wrapped(line, 18).rstrip())
    enough = None if plan.remedy is None else plan.remedy.together
    if enough is not None:
        sets = " ".join(f"--set {words}" for words in enough.sets)
        screen.hint(f"it fits with `aiops recipe plan {named} {sets}`")
    elif plan.remedy is not None:
        screen.hint("nothing of that makes it fit: it takes a smaller base, or larger devices")


def _rows(plan: "Plan") -> Iterator[tuple[str | int | None, ...]]:
    total = plan.estimate.total
    for name, one in plan.estimate.terms.items():
        yield ("memory", name, one.likely, one.low, one.high)
    yield ("memory", "total", total.likely, total.low, total.high)
    end = plan.ending.ending
    yield ("ending", end.moment, end.total.likely, end.total.low, end.total.high)
    yield ("limit", plan.room.least, plan.room.limit)
    yield ("verdict", plan.verdict)
    for fix in plan.remedy.single if plan.remedy else ():
        yield ("change", " ".join(fix.sets), fix.verdict, fix.saves, fix.estimate.total.high)
    for remark in plan.remarks:
        yield (remark.subject, remark.state, remark.words)


def _head(plan: "Plan") -> Iterator[str]:
    model, layout = plan.model, plan.layout
    used = f", {count(model.used)} of them for a token" if model.used != model.total else ""
    each = f" × {layout.devices}" if layout.devices else ", processors"
    words = [
        plan.recipe.name,
        f"{model.kind}, {count(model.total)} parameters{used}, {count(plan.estimate.trained)} trained",
        f"{layout.nodes} node{'s' * (layout.nodes != 1)}{each}",
        *([layout.sharding] if layout.world > 1 else []),
        *(["imagined"] if any(one.imagined for one in plan.machines) else []),
    ]
    yield " · ".join(words)


def _memory(plan: "Plan") -> Iterator[str]:
    from aiops.layers.l3_tuning.plan.agreement import gib

    total = plan.estimate.total
    largest = max(total.likely, 1)
    for name, one in plan.estimate.terms.items():
        yield f"  {name:<12} {gib(one.likely):>10}  {bar(one.likely / largest)}"
    span = f"{gib(total.low)} to {gib(total.high)}, {plan.estimate.moment}"
    yield f"  {'one process':<12} {gib(total.likely):>10}  {span}"


def _verdict(plan: "Plan") -> Iterator[str]:
    from aiops.layers.l0_nodes.nodeset import fold
    from aiops.layers.l3_tuning.plan.agreement import gib

    sign, room = _VERDICTS[plan.verdict], plan.room
    if room.limit is None:
        silent = f" of {fold(room.unknown)}" if room.unknown else ""
        yield f"  {sign} memory        unknown whether it fits: what one process may have{silent} is not known"
        return
    least = "" if any(one.imagined for one in plan.machines) else f" on {room.least}"
    where, high = f"{gib(room.limit)}{least}", gib(plan.estimate.total.high)
    words = {
        "fits": f"fits: {high} at most of {where}",
        "tight": f"tight: likely {gib(plan.estimate.total.likely)}, at most {high}, of {where}",
        "does not fit": f"does not fit: likely {gib(plan.estimate.total.likely)} of {where}",
        "unknown": "unknown",
    }
    yield f"  {sign} memory        {words[plan.verdict]}"
    if plan.verdict != "fits" and room.short:
        yield f"                  it would fit on other nodes than {fold(room.short)}: name them in `placement.only`"
    if room.unknown:
        yield f"                  memory of {fold(room.unknown)} is not known"


def _changes(plan: "Plan") -> Iterator[str]:
    from aiops.layers.l3_tuning.plan.agreement import gib

    if plan.remedy is None:
        return

    def line(fix: "Fix") -> str:
        sets = " ".join(fix.sets)
        return f"    {sets:<44} {gib(fix.estimate.total.high):>10}  {fix.verdict}; costs {', '.join(fix.costs)}"

    yield ""
    yield "  What can be changed, the cheapest first, and what it would take at most"
    for fix in plan.remedy.single:
        yield line(fix)
    together = plan.remedy.together
    if together is not None and together not in plan.remedy.single:
        yield "  Together"
        yield line(together)
    yield ""


def _remarks(remarks: "Sequence[Remark]") -> Iterator[str]:
    for one in remarks:
        hint = f"; {one.hint}" if one.hint else ""
        yield f"  {_SIGNS[one.state]} {one.subject:<13} {one.words}{hint}"


def _layout(plan: "Plan") -> Iterator[str]:
    from aiops.layers.l3_tuning.plan.agreement import gib

    layout, disk = plan.layout, plan.disk
    each = f"{layout.nodes} × {layout.processes} processes" if layout.world > 1 else "1 process"
    yield (
        f"  · step          {each}, each {layout.accumulate} × {layout.batch} samples: {layout.step:,} samples, "
        f"at most {layout.most_tokens:,} tokens"
    )
    if layout.steps is not None:
        tokens = f", {count(layout.total_tokens)} tokens" if layout.total_tokens is not None else ""
        epochs = f" ({layout.epochs:g} epochs)" if layout.epochs is not None else ""
        yield f"  · run           {layout.steps:,} steps{epochs}{tokens}"
    else:
        yield "  · run           steps are known once the data is prepared: `aiops data prepare`"
    yield f"  · writes        {disk.kept} + 1 checkpoints of {gib(disk.checkpoint)}, the model {gib(disk.artefact)}"
    if plan.ending.limit is None:  # else it is a remark
        total = plan.ending.ending.total
        yield (
            f"  · at the end    {gib(total.likely)}, at most {gib(total.high)}, of the first node's own memory, "
            f"{plan.ending.ending.moment}"
        )


def _notes(plan: "Plan") -> Iterator[str]:
    from aiops.layers.l0_nodes.nodeset import fold

    for note in plan.model.notes:
        yield f"  ! model         {note}"
    simulated = [one.name for one in plan.machines if one.simulated]
    if simulated:
        yield f"  ! nodes         {fold(simulated)} are hosts of the lab: their accelerators are not real"


def bar(part: float, width: int = _BAR) -> str:
    """A part of 1 as a bar, to an eighth of a column."""
    eighths = round(max(0.0, min(part, 1.0)) * width * 8)
    whole, left = divmod(eighths, 8)
    return "█" * whole + (_EIGHTHS[left] if left else "")


def count(number: int | None) -> str:
    """`8.03 B`, `20.97 M`, `134.5 M`, as parameters and tokens are spoken of."""
    if number is None:
        return "?"
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.4g} {unit}"
    return str(number)

"""The plan of a recipe: all that can be said before it starts, in one value. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from aiops.layers.core.errors import CriticalError, InputError
from aiops.layers.l0_nodes.nodeset import fold
from aiops.layers.l3_tuning.data.dataset import Manifest
from aiops.layers.l3_tuning.recipe import Recipe

from .agreement import Remark, gib, remarks
from .disk import DiskNeed, disk_need
from .ending import EndingPlan, plan_ending
from .fixes import Aim, Fix, Remedy, remedy
from .layout import Layout, layout_of
from .machine import Machine, able
from .memory import Estimate, Range, estimate
from .model import Model
from .verdict import Room, Verdict, judge, room_of
from .work import work_of


@dataclass(frozen=True, slots=True)
class Plan:
    """What a recipe would do to a cluster.

    Attributes:
        verdict: On the memory of a step alone; `remarks` are on all else.
        remedy: What to change; None where it fits, or where it is not known what there is.
        machines: What it was judged against.
    """

    recipe: Recipe
    model: Model
    layout: Layout
    estimate: Estimate
    room: Room
    verdict: Verdict
    remedy: Remedy | None
    disk: DiskNeed
    ending: EndingPlan
    remarks: tuple[Remark, ...]
    machines: tuple[Machine, ...]

    @property
    def bad(self) -> tuple[Remark, ...]:
        """What beside memory speaks against a start."""
        return tuple(one for one in self.remarks if one.state == "bad")

    @property
    def unknown(self) -> bool:
        """Whether something that matters is not known."""
        return self.verdict == "unknown" or any(one.state == "unknown" for one in self.remarks)

    def document(self) -> dict[str, Any]:
        """All of it, JSON-ready; sizes in bytes."""
        return {
            "recipe": self.recipe.name,
            "digest": self.recipe.digest,
            "verdict": self.verdict,
            "model": {
                "kind": self.model.kind,
                "known": self.model.known,
                "parameters": self.model.total,
                "used": self.model.used,
                "counted_from": self.model.source,
                "trained": self.estimate.trained,
                "notes": list(self.model.notes),
            },
            "memory": {
                "terms": {name: _range(one) for name, one in self.estimate.terms.items()},
                "total": _range(self.estimate.total),
                "runtime": _range(self.estimate.runtime),
                "moment": self.estimate.moment,
                "limit": self.room.limit,
                "least": self.room.least,
                "short": list(self.room.short),
                "unknown": list(self.room.unknown),
            },
            "changes": [] if self.remedy is None else [_fix(one) for one in self.remedy.single],
            "enough": None if self.remedy is None or self.remedy.together is None else _fix(self.remedy.together),
            "layout": {**asdict(self.layout), "total_tokens": self.layout.total_tokens},
            "disk": {**asdict(self.disk), "total": self.disk.total},
            "ending": {**asdict(self.ending.ending), **_beside(self.ending)},
            "remarks": [asdict(one) for one in self.remarks],
            "nodes": [one.name for one in self.machines],
            "simulated": sorted(one.name for one in self.machines if one.simulated),
            "imagined": any(one.imagined for one in self.machines),
        }


def plan_of(
    recipe: Recipe, model: Model, machines: Sequence[Machine], manifest: Manifest | None = None, *, there: int = 0
) -> Plan:
    """The plan of a recipe. It never waits, and asks nobody.

    Args:
        recipe: Resolved.
        model: Its base (`read_model`).
        machines: The nodes, as they were last seen, or imagined ones.
        manifest: Of the prepared data; None before it is.
        there: Bytes of the checkpoints of a run that goes on.

    Raises:
        InputError: What it names does not go together with the model, or with the nodes (`plan.wrong`).
    """
    _require_sense(recipe, model, machines)
    longest = None if manifest is None else manifest.longest
    found = estimate(model, work_of(recipe, longest))
    room = room_of(recipe, machines, found)
    verdict = judge(found, room.limit)
    wrong = verdict in {"tight", "does not fit"}
    usable = able(recipe, machines)
    need = disk_need(recipe, model, manifest, there)
    ending = plan_ending(recipe, model, machines)
    return Plan(
        recipe=recipe,
        model=model,
        layout=layout_of(recipe, manifest),
        estimate=found,
        room=room,
        verdict=verdict,
        remedy=remedy(recipe, Aim(model, room.limit, longest, len(usable)))
        if wrong and room.limit is not None
        else None,
        disk=need,
        ending=ending,
        remarks=remarks(recipe, need, ending, _looked_at(recipe, machines)),
        machines=tuple(machines),
    )


def refusal(plan: Plan, named: str) -> CriticalError | None:
    """Why a recipe may not start: memory that is not there, disk, /dev/shm, nodes that differ. None where it may.

    What is not known is let by. Whoever plans, tries or starts a recipe asks this and nothing else.

    Args:
        plan: Of the recipe.
        named: The recipe as a command line names it, for words about what to type.

    Returns:
        All reasons together, and what to change (`plan.refused`).
    """
    reasons, hints = [], []
    if plan.verdict == "does not fit" and plan.room.limit is not None:
        total = plan.estimate.total
        reasons.append(
            f"it does not fit: one process takes about {gib(total.likely)} ({gib(total.low)} to {gib(total.high)}), "
            f"and {plan.room.least} has {gib(plan.room.limit)} for it"
        )
        enough = None if plan.remedy is None else plan.remedy.together
        if enough is not None:
            hints.append("make it fit: " + " ".join(f"--set {words}" for words in enough.sets))
    for one in plan.bad:
        reasons.append(f"{one.subject}: {one.words}")
        hints += [one.hint] if one.hint else []
    if not reasons:
        return None
    return CriticalError(
        f"{plan.recipe.name} would fail: {'; '.join(reasons)}",
        code="plan.refused",
        hints=[*hints, f"all of it: `aiops recipe plan {named}`"],
    )


def _looked_at(recipe: Recipe, machines: Sequence[Machine]) -> tuple[Machine, ...]:
    """Nodes that may be chosen, and those that have not said whether they may."""
    usable = able(recipe, machines)
    return tuple(one for one in machines if one in usable or (one.silent and (_chosen(recipe, one))))


def _chosen(recipe: Recipe, machine: Machine) -> bool:
    return not recipe.placement.only or machine.name in recipe.placement.only


def require_parts(recipe: Recipe, model: Model) -> None:
    """Refuse a recipe that names layers which its base has not. Pure.

    Raises:
        InputError: It does (`plan.wrong`).
    """
    targets = recipe.adapter.targets
    missing = [name for name in targets if name not in model.linears]
    if recipe.adapter.kind != "none" and targets and len(missing) == len(targets):
        known = ", ".join(sorted(model.linears))
        raise InputError(
            f"`adapter.targets` names {', '.join(missing)}, and {recipe.base} has no such layers",
            code="plan.wrong",
            hints=[f"its layers are {known}"],
        )
    layers = recipe.adapter.layers
    if recipe.adapter.kind != "none" and layers is not None and layers > model.layers:
        raise InputError(
            f"`adapter.layers` is {layers:,}, and {recipe.base} has {model.layers:,} layers",
            code="plan.wrong",
            hints=[f"`--set adapter.layers={model.layers}`, or leave it out: then all layers get one"],
        )


def _require_sense(recipe: Recipe, model: Model, machines: Sequence[Machine]) -> None:
    require_parts(recipe, model)
    place = recipe.placement
    usable, silent = able(recipe, machines), [one for one in machines if one.devices is None or one.silent]
    if machines and not silent and len(usable) < place.nodes:
        each = f" with {place.devices} accelerators" if place.devices else ""
        are = f": {fold(one.name for one in usable)}" if usable else ""
        raise InputError(
            f"the recipe asks for {place.nodes} nodes{each}, and there are {len(usable)}{are}",
            code="plan.wrong",
            hints=[f"`--set placement.nodes={len(usable)}`" if usable else "`aiops node list` shows all nodes"],
        )


def _range(one: Range) -> dict[str, int]:
    return {"low": one.low, "likely": one.likely, "high": one.high}


def _beside(one: EndingPlan) -> Mapping[str, Any]:
    return {
        "limit": one.limit,
        "least": one.least,
        "unknown": list(one.unknown),
        "verdict": one.verdict,
        "set": list(one.sets),
    }


def _fix(one: Fix) -> Mapping[str, Any]:
    return {
        "set": list(one.sets),
        "costs": list(one.costs),
        "saves": one.saves,
        "total": _range(one.estimate.total),
        "verdict": one.verdict,
    }

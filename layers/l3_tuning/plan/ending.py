"""The end: what the first rank takes of its node's own memory once the last step is made. Pure.

By then the others have left, and gradients and states are let go. What is there at each moment is what the shipped
trainer holds (`plugins/trainers/transformers/worker`): a tuned model as it is written, a tensor that an adapter is
merged into, a tensor that becomes one of a GGUF file. docs/memory.md has the formulas.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from aiops.layers.l3_tuning.recipe import Handing, Recipe

from .calibration import GIB, MIB
from .machine import Machine, able, own_memory
from .memory import Range, trained_parameters
from .model import Model, adapted
from .verdict import Verdict
from .work import FULL, HALF, Work, work_of

_PROCESS = (300 * MIB, 500 * MIB, 1200 * MIB)
"""Bytes of the process without a model, at least, likely, at most: as of one that has trained on processors."""

_DRIVEN = (0, GIB, 4 * GIB)
"""Besides, where accelerators were used: what driver and runtime keep on the node's side. No figure of ours."""

_CONVERTER = (150 * MIB, 250 * MIB, 800 * MIB)
"""Bytes of the process that writes GGUF, beside its tensor."""

_COPY = 128 * MIB
"""Bytes of two blocks, the one that is written and the one that is read next."""

_MERGED = (FULL + FULL + HALF, 3 * FULL, 4 * FULL)
"""Bytes for each number of the tensor that is merged into: as it was read, what is added to it, as it is written."""

_CONVERTED = (FULL + 1, 3 * FULL, 4 * FULL)
"""For each number of the largest tensor, which the converter has in fp32 and in the file's type."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What the end takes.

    Attributes:
        moment: When it is most, in words.
        total: Bytes of the node's own memory.
    """

    moment: str
    total: Range


@dataclass(frozen=True, slots=True)
class EndingPlan:
    """What the end takes beside what there is.

    Attributes:
        limit: Bytes at the node that has least, the system's part taken off; None where none is known.
        least: That node.
        unknown: Nodes that may be chosen, whose memory is not known.
        sets: What to change, as `--set` takes it, so that it is `fits`; empty where it is, or nothing helps.
    """

    ending: Ending
    limit: int | None
    least: str | None
    unknown: tuple[str, ...]
    verdict: Verdict
    sets: tuple[str, ...]


def ending_of(recipe: Recipe, model: Model) -> Ending:
    """What the first rank takes at the end."""
    work = work_of(recipe)
    moments = {"when the tuned weights are written": _written(model, work)}
    adapted_ = recipe.adapter.kind != "none"
    if adapted_ and (recipe.handing.merge or recipe.handing.gguf):
        largest = max((one.parameters for one in adapted(model, work.targets).values()), default=0)
        moments["when the adapter is merged"] = _range(work, [max(largest * each, _COPY) for each in _MERGED])
    if recipe.handing.gguf:
        sizes = (model.embedding * each + own for each, own in zip(_CONVERTED, _CONVERTER, strict=True))
        moments["when GGUF is written"] = _range(work, list(sizes))
    moment = max(moments, key=lambda name: moments[name].high)
    return Ending(moment, moments[moment])


def _written(model: Model, work: Work) -> Range:
    """An adapter in fp32; a whole model in the type of its base, beside the one that was trained on processors."""
    trained = trained_parameters(model, work)
    if work.adapter != "none":
        held = work.frozen * model.total if work.processors else 0
        return _range(work, [held + FULL * trained] * 3)
    held = FULL * model.total if work.processors else 0
    return _range(work, [held + HALF * trained, held + HALF * trained, held + FULL * trained])


def _range(work: Work, sizes: Sequence[int]) -> Range:
    driven = (0, 0, 0) if work.processors else _DRIVEN
    return Range(*(size + own + more for size, own, more in zip(sizes, _PROCESS, driven, strict=True)))


def judged(ending: Ending, limit: int | None) -> Verdict:
    """As of a step: the upper bound decides."""
    if limit is None:
        return "unknown"
    if ending.total.high <= limit:
        return "fits"
    return "tight" if ending.total.likely <= limit else "does not fit"


def plan_ending(recipe: Recipe, model: Model, machines: Sequence[Machine]) -> EndingPlan:
    """What the end takes beside what there is: any node may be the first one's."""
    ending = ending_of(recipe, model)
    usable = able(recipe, machines)
    limits = {one.name: own_memory(one) for one in usable}
    known = {name: size for name, size in limits.items() if size is not None}
    unknown = tuple(sorted(name for name, size in limits.items() if size is None))
    least = min(known, key=lambda name: (known[name], name), default=None)
    limit = None if least is None else known[least]
    verdict = judged(ending, limit)
    sets = () if verdict in {"fits", "unknown"} else _enough(recipe, model, limit)
    return EndingPlan(ending, limit, least, unknown, verdict, sets)


def _enough(recipe: Recipe, model: Model, limit: int | None) -> tuple[str, ...]:
    """As few of what is handed on besides are left out as it takes: it can be made elsewhere, of the adapter."""
    handing = recipe.handing
    without = replace(handing, gguf=())
    tries: list[tuple[tuple[str, ...], Handing]] = [(("register.gguf=[]",), without)] if handing.gguf else []
    if handing.merge:
        sets = ("register.merge=false", *(words for some, _ in tries for words in some))
        tries.append((sets, replace(without, merge=False)))
    for sets, changed in tries:
        if judged(ending_of(replace(recipe, handing=changed), model), limit) == "fits":
            return sets
    return ()

"""Fixes: what to change where a recipe does not fit, each estimated again, in the order of what it costs. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from aiops.layers.l3_tuning.recipe import Recipe

from .memory import Estimate, estimate
from .model import Model
from .verdict import Verdict, judge
from .work import work_of

_SHORTEST = 256


@dataclass(frozen=True, slots=True)
class Change:
    """One thing to change.

    Attributes:
        sets: As `--set` takes them, `train.batch=1`.
        costs: What is lost by it, in words.
        recipe: With it.
    """

    sets: tuple[str, ...]
    costs: str
    recipe: Recipe


@dataclass(frozen=True, slots=True)
class Fix:
    """A change, or several together, and what comes of it.

    Attributes:
        saves: Bytes of the upper bound; less than nothing where it takes more.
        verdict: With it.
    """

    sets: tuple[str, ...]
    costs: tuple[str, ...]
    estimate: Estimate
    saves: int
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Aim:
    """What a change is made for.

    Attributes:
        limit: Bytes of one process.
        longest: As `work_of` takes it.
        nodes: How many could be used.
    """

    model: Model
    limit: int
    longest: int | None
    nodes: int

    def estimate(self, recipe: Recipe) -> Estimate:
        """What a recipe takes."""
        return estimate(self.model, work_of(recipe, self.longest))

    def reached(self, recipe: Recipe) -> bool:
        """Whether a recipe fits."""
        return judge(self.estimate(recipe), self.limit) == "fits"


@dataclass(frozen=True, slots=True)
class Remedy:
    """What can be changed.

    Attributes:
        single: Each change alone, that saves anything, in the order of what it costs.
        together: The cheapest that makes it fit: one alone, or as few as it takes; None where nothing does.
    """

    single: tuple[Fix, ...]
    together: Fix | None


def remedy(recipe: Recipe, aim: Aim) -> Remedy:
    """What would make `recipe` fit."""
    before = aim.estimate(recipe)
    single = []
    for kind in _KINDS:
        change = kind(recipe, aim)
        if change is not None:
            made = _fix(recipe, [change], aim, before)
            single += [made] if made.saves > 0 else []
    first = next((fix for fix in single if fix.verdict == "fits"), None)
    return Remedy(tuple(single), first or _together(recipe, aim, before))


def _together(recipe: Recipe, aim: Aim, before: Estimate) -> Fix | None:
    """One change after the other until it fits; then those are taken back that were not needed, the dearest first."""
    made: list[Change] = []
    current = recipe
    for kind in _KINDS:
        change = kind(current, aim)
        if change is None or aim.estimate(change.recipe).total.high >= aim.estimate(current).total.high:
            continue
        made.append(change)
        current = change.recipe
        if not aim.reached(current):
            continue
        for one in reversed(made[:-1]):
            fewer = [other for other in made if other is not one]
            if aim.reached(_again(recipe, fewer)):
                made = fewer
        return _fix(recipe, made, aim, before)
    return None


def _again(recipe: Recipe, changes: Sequence[Change]) -> Recipe:
    for change in changes:
        for words in change.sets:
            recipe = with_set(recipe, words, change.recipe)
    return recipe


def with_set(recipe: Recipe, words: str, changed: Recipe) -> Recipe:
    """`recipe` with what `words` names as it is in `changed`."""
    section, _, name = words.partition("=")[0].partition(".")
    name = "kind" if (section, name) == ("adapter", "type") else name
    part = replace(getattr(recipe, section), **{name: getattr(getattr(changed, section), name)})
    return replace(recipe, **{section: part})


def _fix(recipe: Recipe, changes: Sequence[Change], aim: Aim, before: Estimate) -> Fix:
    found = aim.estimate(_again(recipe, changes))
    return Fix(
        tuple(words for one in changes for words in one.sets),
        tuple(one.costs for one in changes),
        found,
        before.total.high - found.total.high,
        judge(found, aim.limit),
    )


# Each gives one change, or none where it does not apply.


def _attention(recipe: Recipe, _: Aim) -> Change | None:
    if recipe.train.attention == "eager":
        changed = replace(recipe, train=replace(recipe.train, attention="sdpa"))
        return Change(("train.attention=sdpa",), "nothing: the same result, faster", changed)
    return None


def _sharded(recipe: Recipe, _: Aim) -> Change | None:
    work = work_of(recipe)
    if work.world > 1 and work.sharding != "fsdp" and not work.processors:
        changed = replace(recipe, placement=replace(recipe.placement, sharding="fsdp"))
        return Change(("placement.sharding=fsdp",), "more is sent between devices", changed)
    return None


def _batch(recipe: Recipe, aim: Aim) -> Change | None:
    """The largest batch that fits, or 1; as many samples to a step as before."""
    train = recipe.train
    found: Change | None = None
    for batch in (size for size in range(train.batch - 1, 0, -1) if train.batch % size == 0):
        accumulate = train.accumulate * train.batch // batch
        changed = replace(recipe, train=replace(train, batch=batch, accumulate=accumulate))
        found = Change((f"train.batch={batch}", f"train.accumulate={accumulate}"), "some speed; same steps", changed)
        if aim.reached(changed):
            break
    return found


def _recompute(recipe: Recipe, _: Aim) -> Change | None:
    if not recipe.train.recompute:
        changed = replace(recipe, train=replace(recipe.train, recompute=True))
        return Change(("train.recompute=true",), "about a third more time", changed)
    return None


def _precision(recipe: Recipe, _: Aim) -> Change | None:
    if recipe.train.precision == "fp32" and recipe.placement.devices:
        changed = replace(recipe, train=replace(recipe.train, precision="bf16"))
        return Change(("train.precision=bf16",), "some precision; faster", changed)
    return None


def _optimizer(recipe: Recipe, _: Aim) -> Change | None:
    if recipe.train.optimizer == "adamw" and recipe.placement.devices:
        changed = replace(recipe, train=replace(recipe.train, optimizer="adamw-8bit"))
        return Change(("train.optimizer=adamw-8bit",), "some precision of the steps", changed)
    return None


def _processes(recipe: Recipe, _: Aim) -> Change | None:
    place = recipe.placement
    if not place.devices and (place.processes or 1) > 1:
        count = (place.processes or 1) // 2
        changed = replace(recipe, placement=replace(place, processes=count))
        return Change((f"placement.processes={count}",), "fewer samples to a step", changed)
    return None


def _nodes(recipe: Recipe, aim: Aim) -> Change | None:
    """As few more nodes as are enough, or all there are."""
    place = recipe.placement
    if place.sharding != "fsdp" or not place.devices or aim.nodes <= place.nodes:
        return None
    for count in range(place.nodes + 1, aim.nodes + 1):
        changed = replace(recipe, placement=replace(place, nodes=count))
        if count == aim.nodes or aim.reached(changed):
            return Change((f"placement.nodes={count}",), "more nodes, more samples to a step", changed)
    return None


def _qlora(recipe: Recipe, _: Aim) -> Change | None:
    if recipe.adapter.kind == "lora":
        changed = replace(recipe, adapter=replace(recipe.adapter, kind="qlora"))
        return Change(("adapter.type=qlora",), "slower steps, a little quality", changed)
    return None


def _length(recipe: Recipe, aim: Aim) -> Change | None:
    length = work_of(recipe, aim.longest).length
    found: Change | None = None
    while length >= 2 * _SHORTEST:
        length //= 2
        changed = replace(recipe, data=replace(recipe.data, length=length))
        found = Change((f"data.length={length}",), "longer rows are refused, cut or dropped (`data.long`)", changed)
        if aim.reached(changed):
            break
    return found


def _lora(recipe: Recipe, _: Aim) -> Change | None:
    if recipe.adapter.kind == "none":
        changed = replace(recipe, adapter=replace(recipe.adapter, kind="lora"))
        return Change(("adapter.type=lora",), "another method: only adapters are trained", changed)
    return None


_KINDS = (
    _attention,
    _sharded,
    _batch,
    _recompute,
    _precision,
    _optimizer,
    _processes,
    _nodes,
    _qlora,
    _length,
    _lora,
)
"""In the order of what they cost whoever tunes: first what changes nothing but speed, then what rounds, then what takes
more of the cluster, then what changes the result."""

"""Fixes: what to change where a recipe does not fit, each estimated again, in the order of what it costs. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ..recipe import Recipe
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
class Remedy:
    """What can be changed.

    Attributes:
        single: Each change alone, that saves anything, in the order of what it costs.
        together: The cheapest that makes it fit: one alone, or as few as it takes; None where nothing does.
    """

    single: tuple[Fix, ...]
    together: Fix | None


def remedy(recipe: Recipe, model: Model, limit: int, longest: int | None, nodes: int) -> Remedy:
    """What would make `recipe` fit into `limit` bytes.

    Args:
        recipe: As it is.
        model: Its base.
        limit: Bytes for one process.
        longest: As `work_of` takes it.
        nodes: How many there are that could be used.
    """
    before = estimate(model, work_of(recipe, longest))
    tried: list[tuple[Change, Fix]] = []
    for change in _changes(recipe, model, limit, longest, nodes):
        made = _fix([change], model, limit, longest, before)
        if made.saves > 0:
            tried.append((change, made))
    single = tuple(fix for _, fix in tried)
    first = next((fix for fix in single if fix.verdict == "fits"), None)
    return Remedy(single, first or _together(recipe, model, limit, longest, nodes, before))


def _together(
    recipe: Recipe, model: Model, limit: int, longest: int | None, nodes: int, before: Estimate
) -> Fix | None:
    """One change after the other until it fits; then those are taken back that were not needed."""
    made: list[Change] = []
    current = recipe
    step = 0
    while step < len(_KINDS):
        change = next(_KINDS[step](current, model, limit, longest, nodes), None)
        step += 1
        if change is None:
            continue
        old = estimate(model, work_of(current, longest)).total.high
        new = estimate(model, work_of(change.recipe, longest))
        if new.total.high >= old:
            continue
        made.append(change)
        current = change.recipe
        if judge(new, limit) == "fits":
            return _fewest(recipe, made, model, limit, longest, before)
    return None


def _fewest(
    recipe: Recipe, made: list[Change], model: Model, limit: int, longest: int | None, before: Estimate
) -> Fix:
    kept = list(made)
    for change in reversed(made[:-1]):  # the dearest go first
        fewer = [one for one in kept if one is not change]
        again = _again(recipe, fewer)
        if judge(estimate(model, work_of(again, longest)), limit) == "fits":
            kept = fewer
    last = _again(recipe, kept)
    found = estimate(model, work_of(last, longest))
    return Fix(
        tuple(words for one in kept for words in one.sets),
        tuple(one.costs for one in kept),
        found,
        before.total.high - found.total.high,
        judge(found, limit),
    )


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


def _fix(changes: Sequence[Change], model: Model, limit: int, longest: int | None, before: Estimate) -> Fix:
    found = estimate(model, work_of(changes[-1].recipe, longest))
    return Fix(
        tuple(words for one in changes for words in one.sets),
        tuple(one.costs for one in changes),
        found,
        before.total.high - found.total.high,
        judge(found, limit),
    )


def _changes(recipe: Recipe, model: Model, limit: int, longest: int | None, nodes: int) -> Iterator[Change]:
    for kind in _KINDS:
        change = next(kind(recipe, model, limit, longest, nodes), None)
        if change is not None:
            yield change


# Each yields one change, or none where it does not apply; all are called alike.


def _attention(recipe: Recipe, *_: object) -> Iterator[Change]:
    if recipe.train.attention == "eager":
        changed = replace(recipe, train=replace(recipe.train, attention="sdpa"))
        yield Change(("train.attention=sdpa",), "nothing: the same result, faster", changed)


def _sharded(recipe: Recipe, *_: object) -> Iterator[Change]:
    work = work_of(recipe)
    if work.world > 1 and work.sharding != "fsdp" and not work.processors:
        changed = replace(recipe, placement=replace(recipe.placement, sharding="fsdp"))
        yield Change(("placement.sharding=fsdp",), "more is sent between devices", changed)


def _batch(recipe: Recipe, model: Model, limit: int, longest: int | None, _: int) -> Iterator[Change]:
    """The largest batch that fits, or 1; as many samples to a step as before."""
    train = recipe.train
    found: Change | None = None
    for batch in (size for size in range(train.batch - 1, 0, -1) if train.batch % size == 0):
        accumulate = train.accumulate * train.batch // batch
        changed = replace(recipe, train=replace(train, batch=batch, accumulate=accumulate))
        found = Change((f"train.batch={batch}", f"train.accumulate={accumulate}"), "some speed; same steps", changed)
        if estimate(model, work_of(changed, longest)).total.high <= limit:
            break
    if found is not None:
        yield found


def _recompute(recipe: Recipe, *_: object) -> Iterator[Change]:
    if not recipe.train.recompute:
        changed = replace(recipe, train=replace(recipe.train, recompute=True))
        yield Change(("train.recompute=true",), "about a third more time", changed)


def _precision(recipe: Recipe, *_: object) -> Iterator[Change]:
    if recipe.train.precision == "fp32" and recipe.placement.devices:
        changed = replace(recipe, train=replace(recipe.train, precision="bf16"))
        yield Change(("train.precision=bf16",), "some precision; faster", changed)


def _optimizer(recipe: Recipe, *_: object) -> Iterator[Change]:
    if recipe.train.optimizer == "adamw" and recipe.placement.devices:
        changed = replace(recipe, train=replace(recipe.train, optimizer="adamw-8bit"))
        yield Change(("train.optimizer=adamw-8bit",), "some precision of the steps", changed)


def _processes(recipe: Recipe, *_: object) -> Iterator[Change]:
    place = recipe.placement
    if not place.devices and (place.processes or 1) > 1:
        count = (place.processes or 1) // 2
        changed = replace(recipe, placement=replace(place, processes=count))
        yield Change((f"placement.processes={count}",), "fewer samples to a step", changed)


def _nodes(recipe: Recipe, model: Model, limit: int, longest: int | None, nodes: int) -> Iterator[Change]:
    """As few more nodes as are enough, or all there are."""
    place = recipe.placement
    if place.sharding != "fsdp" or not place.devices or nodes <= place.nodes:
        return
    for count in range(place.nodes + 1, nodes + 1):
        changed = replace(recipe, placement=replace(place, nodes=count))
        if count == nodes or estimate(model, work_of(changed, longest)).total.high <= limit:
            yield Change((f"placement.nodes={count}",), "more nodes, more samples to a step", changed)
            return


def _qlora(recipe: Recipe, *_: object) -> Iterator[Change]:
    if recipe.adapter.kind == "lora":
        changed = replace(recipe, adapter=replace(recipe.adapter, kind="qlora"))
        yield Change(("adapter.type=qlora",), "slower steps, a little quality", changed)


def _length(recipe: Recipe, model: Model, limit: int, longest: int | None, _: int) -> Iterator[Change]:
    length = work_of(recipe, longest).length
    found: Change | None = None
    while length >= 2 * _SHORTEST:
        length //= 2
        changed = replace(recipe, data=replace(recipe.data, length=length))
        found = Change((f"data.length={length}",), "longer rows are refused, cut or dropped (`data.long`)", changed)
        if estimate(model, work_of(changed, longest)).total.high <= limit:
            break
    if found is not None:
        yield found


def _lora(recipe: Recipe, *_: object) -> Iterator[Change]:
    if recipe.adapter.kind == "none":
        changed = replace(recipe, adapter=replace(recipe.adapter, kind="lora"))
        yield Change(("adapter.type=lora",), "another method: only adapters are trained", changed)


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

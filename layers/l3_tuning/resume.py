"""Resume: whether a run may go on upon what is there now. Each cause that changed is named, with what of it. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from aiops.layers.core.errors import ConflictError, Problem

from .recipe import Recipe
from .recipe_text import QUESTIONS, differences
from .run import CAUSES, Cause, processes_of, world_of
from .run_document import Making

_MOST = 8
"""So many names of files and keys are told of each cause; more say no more."""


@dataclass(frozen=True, slots=True)
class Change:
    """One cause that is another than the run was made with.

    Attributes:
        details: What of it, a line each.
    """

    cause: Cause
    old: str
    new: str
    details: tuple[str, ...]


def changes(old: Making, new: Making) -> tuple[Change, ...]:
    """What differs, in the order of `CAUSES`; what is not known of one of them differs from nothing."""
    details: dict[Cause, Iterable[str]] = {
        "base": _named(old.base_files, new.base_files, "file"),
        "data": _named(old.data_inputs, new.data_inputs, ""),
        "recipe": [
            *(f"{key} was {_shown(was)}, is {_shown(now)}" for key, was, now in differences(old.recipe, new.recipe)),
            *_named(_asked(old), _asked(new), "file"),
        ],
        "code": _named(old.code_files, new.code_files, "file"),
        "environment": _versions(old.packages, new.packages),
    }
    return tuple(
        Change(cause, old.digests[cause], new.digests[cause], _few(details[cause]))
        for cause in CAUSES
        if cause in old.digests and cause in new.digests and old.digests[cause] != new.digests[cause]
    )


def not_compared(old: Making, new: Making) -> str | None:
    """What a resume could not compare, in words; None where it has compared all."""
    if "environment" in old.digests and "environment" in new.digests:
        return None
    why = "no node has said which it is" if "environment" in old.digests else "the run does not say what it was"
    return f"whether its environment is still the same is not known: {why}"


def refused(
    found: Collection[Change], allowed: Collection[Cause], name: str, named: str = "RECIPE"
) -> ConflictError | None:
    """The error that names all that changed and was not allowed to; None where the run may go on.

    Args:
        found: What differs.
        allowed: What may.
        name: The run's.
        named: Its recipe as a command line names it, for words about what to type.
    """
    wrong = [one for one in found if one.cause not in allowed]
    if not wrong:
        return None
    words = " and ".join(filter(None, [", ".join(one.cause for one in wrong[:-1]), wrong[-1].cause]))
    problems = [
        Problem(f"{one.cause}: {detail}")
        for one in wrong
        for detail in (one.details or (f"its digest was {one.old[:12]}, is {one.new[:12]}",))
    ]
    options = " ".join(f"--allow-changed {one.cause}" for one in found)
    return ConflictError(
        f"{name} does not go on: its {words} changed since it began",
        code="run.changed",
        problems=problems,
        hints=[
            f"put back what it was made with, or begin a new run: `aiops train {named}`",
            f"go on all the same, and have it written into the run: `aiops train --resume {named} {options}`",
        ],
    )


def other_world(was: Any, recipe: Recipe, name: str, named: str) -> ConflictError | None:
    """The error that a run was begun by another number of processes; None where it was not.

    Args:
        was: What its run.json says; None where it says nothing.
        recipe: As it is now.
        name: The run's.
        named: Its recipe as a command line names it, for words about what to type.
    """
    now = world_of(recipe)
    if was is None or was == now:
        return None
    nodes = recipe.placement.nodes
    each = processes_of(recipe)
    return ConflictError(
        f"{name} was begun by {was} process{'es' * (was != 1)}, and these would be {now}: {nodes} node"
        f"{'s' * (nodes != 1)} with {each}; {recipe.trainer} cannot go on with another number",
        code="run.world",
        hints=[
            "put back `placement.nodes`, `placement.devices` and `placement.processes`",
            f"or begin a new run: `aiops train {named}`",
        ],
    )


def going_on(old: Making, new: Making, found: Iterable[Change], allowed: Collection[Cause], at: str) -> Making:
    """What the run is made of from now on, with what was let pass written down.

    Args:
        old: As it was made.
        new: As it is now.
        found: What changed.
        allowed: What was let pass.
        at: The time, as it is written down.
    """
    passed = [one for one in found if one.cause in allowed]
    digests = {**new.digests, **old.digests, **{one.cause: one.new for one in passed}}
    names = {one.cause for one in passed}
    stays = "environment" in old.digests and "environment" not in names
    written = [
        {"at": at, "what": one.cause, "old": one.old, "new": one.new, "details": list(one.details)} for one in passed
    ]
    return replace(
        old,
        digests=digests,
        # What only says where it runs may always differ; `differences` has told what else does.
        recipe=replace(new.recipe, digest=digests["recipe"]),
        base_files=new.base_files if "base" in names else old.base_files,
        data_inputs=new.data_inputs if "data" in names else old.data_inputs,
        code_files=new.code_files if "code" in names else old.code_files,
        allowed=tuple(one for one in CAUSES if one in {*old.allowed, *names}),
        changes=(*old.changes, *written),
        origins=new.origins or old.origins,
        questions=new.questions if "recipe" in names else old.questions,
        packages=old.packages if stays else new.packages,
    )


def _asked(making: Making) -> dict[str, str]:
    """The sum of the evaluation's questions by their key."""
    return {} if making.questions is None else {QUESTIONS: making.questions}


def _named(old: Mapping[str, str], new: Mapping[str, str], noun: str) -> list[str]:
    """What of several named things differs: `file model.safetensors is another`."""
    found = []
    for name in sorted({*old, *new}):
        if old.get(name) == new.get(name):
            continue
        word = "is new" if name not in old else "is gone" if name not in new else "is another"
        short = f" ({old[name][:12]}, now {new[name][:12]})" if word == "is another" else ""
        found.append(f"{noun} {name} {word}{short}".strip())
    return found


def _versions(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """What of the packages of an environment differs: `torch was 2.13.0, is 2.14.0`."""
    return [
        f"{name} was {_shown(old.get(name))}, is {_shown(new.get(name))}".replace(_shown(None), "not there")
        for name in sorted({*old, *new})
        if old and new and old.get(name) != new.get(name)
    ]


def _few(details: Iterable[str]) -> tuple[str, ...]:
    whole = tuple(details)
    return whole if len(whole) <= _MOST else (*whole[:_MOST], f"and {len(whole) - _MOST} more")


def _shown(value: Any) -> str:
    return "not said" if value is None else f"{value}"

"""What a run stands on: the data of its recipe, checked and prepared, and the plan that lets it start."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from aiops.cli.app import App
from aiops.cli.data.checking import needed
from aiops.cli.data.progress import Progress

if TYPE_CHECKING:
    from aiops.cli.counter import Counter
    from aiops.cli.recipe.looking import Seen
    from aiops.cli.screen import Screen
    from aiops.layers.l3_tuning.data.preparation import Preparation
    from aiops.layers.l3_tuning.data.report import Report
    from aiops.layers.l3_tuning.plan.plan import Plan
    from aiops.layers.l3_tuning.recipe import Recipe
    from aiops.layers.l3_tuning.recipe_file import RecipeFile
    from aiops.layers.l3_tuning.run import Base
    from aiops.layers.l3_tuning.run_document import Making

SUMS = "sums.json"
"""Below AIOPS_HOME: sums of files of bases and of prepared data, while they look as they did."""

_SHARES = 8
"""Each has the tokenizer and a chunk of rows in memory, on a machine that others work on too."""


@dataclass(frozen=True)
class Source:
    """The data that a recipe asks for, before it is prepared.

    Attributes:
        preparation: What is to be made; None where `data.train` names a folder that `aiops data prepare` made.
        inputs: By name the digest of each thing that it is made of.
    """

    folder: Path
    digest: str
    inputs: "Mapping[str, str]"
    preparation: "Preparation | None"


def base_of(aiops: App, screen: "Screen", recipe: "Recipe") -> "tuple[Base, Mapping[str, str]]":
    """The base, its files hashed, and their digests.

    Raises:
        InputError: There is none.
    """
    from aiops.layers.l3_tuning.base_digest import read_base

    with screen.step("base") as step:

        def told(done: int, whole: int) -> None:
            step.summary = f"{done / 2**30:.1f}/{whole / 2**30:.1f} GiB"

        base, files = read_base(recipe.base, aiops.home / SUMS, told)
        step.summary = f"{base.config.get('model_type', 'a model')}, {base.digest[:12]}"
    return base, files


def source_of(recipe: "Recipe") -> Source:
    """The data of a recipe; its files are read to be hashed, and nothing is written.

    Raises:
        InputError: A file is missing or is no data, or the base has no tokenizer or template.
        FailedError: It names prepared data that is damaged.
    """
    needed()
    from aiops.layers.l3_tuning.data.preparation import preparation_of
    from aiops.layers.l3_tuning.data.store import load, named

    folder = named(recipe.data.train)
    if folder is not None:
        manifest = load(folder)
        return Source(folder, manifest.digest, manifest.inputs, None)
    preparation = preparation_of(recipe.data, recipe.base)
    folder = Path(recipe.folder) / "data" / preparation.digest
    return Source(folder, preparation.digest, preparation.inputs, preparation)


def require_fitting(file: "RecipeFile", recipe: "Recipe", source: Source) -> None:
    """Refuse data that the recipe and its base are not for.

    Raises:
        InputError: All that differs together.
    """
    from aiops.layers.l3_tuning import data_gate
    from aiops.layers.l3_tuning.data.store import load

    if source.preparation is None:
        data_gate.require_prepared_for(file, recipe, source.folder, load(source.folder))
    else:
        data_gate.require_fitting(recipe.method, source.preparation.form)


def prepared(aiops: App, screen: "Screen", source: Source) -> Path:
    """The folder of prepared data: checked and made where it is not there yet, and every file of it what it says."""
    from aiops.layers.l3_tuning.data import store
    from aiops.layers.l3_tuning.data.precheck import precheck
    from aiops.layers.l3_tuning.data.production import made_before, produce

    preparation, into = source.preparation, source.folder.parent
    reports: tuple[Report, ...] | None = None
    if preparation is not None:
        there = made_before(preparation, into)
        with screen.step("data check") as step:
            rows = 0

            def more(count: int) -> None:
                nonlocal rows
                rows += count
                step.summary = f"{rows:,} rows"

            if there is None:
                reports = precheck(preparation, more)
                noted = sum(report.counts[kind] for report in reports for kind in report.kinds)
                rows = sum(report.rows for report in reports)
                step.summary = f"{rows:,} rows of {preparation.form}" + (f", {noted:,} remarks" if noted else "")
            else:
                step.summary = f"{there.rows:,} rows of {there.form}, checked before"
    with screen.step("prepare") as step:
        if preparation is not None and reports is not None:
            shares = shares_of(sum(report.rows for report in reports))
            listen = Progress(screen, step).listen
            produce(preparation, into, shares=shares, checked=reports, emit=listen)

        def told(done: int, whole: int) -> None:
            step.summary = f"{done / 2**30:.1f}/{whole / 2**30:.1f} GiB verified"

        manifest = store.verify(source.folder, aiops.home / SUMS, told)
        step.summary = f"{manifest.samples:,} samples, {manifest.tokens:,} tokens, {source.digest[:12]}"
    return source.folder


def shares_of(rows: int) -> int:
    """Processes that prepare so many rows: one for each processor and chunk of rows, at most `_SHARES`."""
    from aiops.layers.l3_tuning.data.work import CHUNK_ROWS

    return max(1, min(_SHARES, len(os.sched_getaffinity(0)), -(-rows // CHUNK_ROWS)))


def require_fit(screen: "Screen", recipe: "Recipe", data: str, seen: "Seen", named: str, *, there: int = 0) -> None:
    """Judge whether it fits the nodes that were seen; nothing starts that surely does not.

    Args:
        screen: Where it is shown.
        recipe: Resolved.
        data: The folder of its prepared data.
        seen: The nodes.
        named: The recipe as a command line names it.
        there: Bytes of the checkpoints of a run that goes on.

    Raises:
        CriticalError: It does not fit, or nodes do not agree (`plan.refused`).
    """
    from aiops.cli.recipe.planning import plan_upon

    plan = plan_upon(replace(recipe, data=replace(recipe.data, train=(data,))), seen, there=there)
    with screen.step("plan") as step:
        limit = "" if plan.room.limit is None else f" of {plan.room.limit / 2**30:.1f}"
        step.summary = f"{plan.verdict}: {plan.estimate.total.likely / 2**30:.1f}{limit} GiB each"
    _require(plan, named)


def require_start(recipe: "Recipe", seen: "Seen", named: str) -> None:
    """Refuse what could not start whatever becomes of its data: too few nodes, memory that is not there.

    Raises:
        InputError: It cannot be placed.
        CriticalError: It does not fit, or nodes do not agree (`plan.refused`).
    """
    from aiops.cli.recipe.planning import plan_upon

    _require(plan_upon(recipe, seen), named)


def _require(plan: "Plan", named: str) -> None:
    from aiops.layers.l3_tuning.plan.plan import refusal

    wrong = refusal(plan, named)
    if wrong is not None:
        raise wrong


def seen_for(
    aiops: App, screen: "Screen", recipe: "Recipe", data: Path, inventory: Path | None, *, desk: "Counter"
) -> "Seen":
    """The nodes that a run may be placed on, asked once each by who takes its job, also whether they see its data.

    Raises:
        InputError: None of the nodes may be used.
    """
    from aiops.cli.recipe import looking

    recipe = replace(recipe, data=replace(recipe.data, train=(str(data),)))
    return looking.look(aiops, screen, recipe, inventory, desk)


def with_environment(making: "Making", seen: "Seen") -> "Making":
    """What a run is made of, with the environment that its nodes have, where they have said it."""
    from aiops.layers.l3_tuning.plan.machine import environment_upon

    found = environment_upon(making.recipe, seen.machines)
    if found is None or found.environment is None:
        return making
    digests = {**making.digests, "environment": found.environment}
    return replace(making, digests=digests, packages=dict(found.packages))

"""What a run stands on: the data of its recipe, checked and prepared, and the plan that lets it start."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aiops.cli.app import App
from aiops.layers.core.errors import FailedError

if TYPE_CHECKING:
    from aiops.cli.screen import Screen
    from aiops.layers.l3_tuning.data.preparation import Preparation
    from aiops.layers.l3_tuning.recipe import Recipe
    from aiops.layers.l3_tuning.run import Base

BASES = "bases.json"
"""Below AIOPS_HOME: digests of files of bases."""


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

        base, files = read_base(recipe.base, aiops.home / BASES, told)
        step.summary = f"{base.config.get('model_type', 'a model')}, {base.digest[:12]}"
    return base, files


def source_of(recipe: "Recipe") -> Source:
    """The data of a recipe; its files are read to be hashed, and nothing is written."""
    from aiops.layers.l3_tuning.data.preparation import preparation_of
    from aiops.layers.l3_tuning.plan.data_folder import prepared

    whole = prepared(recipe.data.train)
    if whole is not None:
        return Source(Path(recipe.data.train[0]), whole.digest, whole.inputs, None)
    preparation = preparation_of(recipe.data, recipe.base)
    folder = Path(recipe.folder) / "data" / preparation.digest
    return Source(folder, preparation.digest, preparation.inputs, preparation)


def prepared(screen: "Screen", recipe: "Recipe", source: Source) -> Path:
    """The folder of prepared data, checked and made where it is not there yet."""
    from aiops.layers.l3_tuning.data.production import produce
    from aiops.layers.l3_tuning.data.store import prepared
    from aiops.layers.l3_tuning.data_gate import checked

    if source.preparation is None:
        return source.folder
    with screen.step("data check") as step:

        def told(rows: int, _bytes: int) -> None:
            step.summary = f"{rows:,} rows"

        there = prepared(source.folder.parent, source.digest)
        if there is None:
            report = checked(recipe.data, recipe.base, told)
            noted = sum(report.counts[kind] for kind in report.kinds)
            step.summary = f"{report.rows:,} rows of {report.form}" + (f", {noted:,} remarks" if noted else "")
        else:
            step.summary = f"{there.rows:,} rows of {there.form}, checked before"
    with screen.step("prepare") as step:
        manifest = there or produce(source.preparation, source.folder.parent)
        step.summary = f"{manifest.samples:,} samples, {manifest.tokens:,} tokens, {source.digest[:12]}"
    return source.folder


def require_fit(aiops: App, screen: "Screen", recipe: "Recipe", data: str, inventory: Path | None) -> None:
    """Judge whether it fits; nothing starts that surely does not.

    Raises:
        FailedError: It does not fit, or nodes do not agree (`plan.refused`).
    """
    from dataclasses import replace

    from aiops.cli.recipe.planning import planned

    seen = replace(recipe, data=replace(recipe.data, train=(data,)))
    plan = planned(aiops, screen, seen, None, inventory)
    with screen.step("plan") as step:
        limit = "" if plan.room.limit is None else f" of {plan.room.limit / 2**30:.1f}"
        step.summary = f"{plan.verdict}: {plan.estimate.total.likely / 2**30:.1f}{limit} GiB each"
    wrong = [f"{one.subject}: {one.words}" for one in plan.bad]
    if plan.verdict == "does not fit" or wrong:
        raise FailedError(
            "; ".join(["it does not fit"] * (plan.verdict == "does not fit") + wrong) + "; nothing was started",
            code="plan.refused",
            hints=["see why, and what to change: `aiops recipe plan` with the same recipe and options"],
        )

"""Verdict: whether what a process needs fits where it would run. The upper bound decides. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from aiops.layers.l3_tuning.recipe import Recipe

from .machine import Machine, able, limit_of
from .memory import Estimate

Verdict = Literal["fits", "tight", "does not fit", "unknown"]
"""`fits`: even the upper bound does. `tight`: the likely figure does, the upper bound does not. `does not fit`: the
likely figure does not. `unknown`: it is not known what there is."""


@dataclass(frozen=True, slots=True)
class Room:
    """What there is for one process.

    Attributes:
        limit: Bytes at the node that has least; None where that of no node is known.
        least: That node.
        short: Nodes where it would not be `fits`, while it is at others.
        unknown: Nodes that may be used, for all that is known, and whose memory is not known.
    """

    limit: int | None
    least: str | None = None
    short: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def judge(estimate: Estimate, limit: int | None) -> Verdict:
    """What is to be said of an estimate."""
    if limit is None:
        return "unknown"
    if estimate.total.high <= limit:
        return "fits"
    return "tight" if estimate.total.likely <= limit else "does not fit"


def room_of(recipe: Recipe, machines: Sequence[Machine], estimate: Estimate) -> Room:
    """What there is for one process, on the nodes that may be chosen: placement may take any of them."""
    usable = able(recipe, machines)
    limits: Mapping[str, int | None] = {one.name: limit_of(recipe, one) for one in usable}
    known = {name: limit for name, limit in limits.items() if limit is not None}
    unknown = [name for name, limit in limits.items() if limit is None]
    chosen = recipe.placement.only
    unknown += [one.name for one in machines if one not in usable and one.devices is None and _named(one, chosen)]
    if not known or len(known) < recipe.placement.nodes:
        return Room(None, unknown=tuple(sorted(unknown)))
    least = min(known, key=lambda name: (known[name], name))
    short = tuple(name for name, limit in known.items() if estimate.total.high > limit)
    fitting = len(known) - len(short)
    return Room(
        known[least],
        least,
        short if fitting >= recipe.placement.nodes else (),
        tuple(sorted(unknown)),
    )


def _named(machine: Machine, only: Sequence[str]) -> bool:
    return not only or machine.name in only

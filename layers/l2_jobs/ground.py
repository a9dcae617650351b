"""Ground: the nodes as placement sees them within one tick: what is free of each, and which may be given."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .allocation import Slot
from .job import EngineName
from .node import Place
from .roster import SEAT, Roster, Taken
from .shape import Shape
from .watch import Watch
from .world import Settings

Kind = tuple[EngineName, str | None]
"""Nodes of one engine and one vendor: an attempt never has two kinds."""

SHAKY = 600.0
"""Seconds after a node was not heard in which others are taken first."""

_NONE: Taken = {}


@dataclass(slots=True)
class Ground:
    """What is free, while a tick gives it away. It belongs to one tick and is thrown away after it.

    Attributes:
        places: All nodes.
        taken: By node, as given away so far.
        free: Names of nodes that may be given, in order, by kind and by how many whole devices are free.
        stale: Those of them whose verdict of health is too old or missing: they must be looked at first.
        shaky: Those that were silent a short while ago: they are given where others will not do, for what has failed
            once may do so again, and Slurm may not have heard yet that its daemon there is back.
        whole: How many of each engine's nodes are free altogether, without what is stale.
        blocked: Nodes that are kept for the first job that does not fit, or wait for their verdict.
    """

    places: Mapping[str, Place]
    taken: dict[str, Taken]
    free: dict[Kind, dict[int, dict[str, None]]] = field(default_factory=dict)
    stale: set[str] = field(default_factory=set)
    shaky: set[str] = field(default_factory=set)
    whole: dict[str, int] = field(default_factory=dict)
    blocked: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, places: Mapping[str, Place], roster: Roster, watch: Watch, settings: Settings, now: float) -> "Ground":
        """The ground of a tick."""
        ground = cls(places, dict(roster.taken))
        oldest = now - settings.verdict_age
        nodes = watch.nodes
        for name in sorted(places):
            place = places[name]
            if place.closed or place.off is not None or place.engine in watch.engines:
                continue
            hearing = nodes.get(name)
            if hearing is not None and hearing.silent is not None:
                continue
            if hearing is not None and hearing.back is not None and now - hearing.back < SHAKY:
                ground.shaky.add(name)
            if place.verdict_at is None or place.verdict_at < oldest:
                ground.stale.add(name)
            elif place.verdict not in {"ok", "warn"}:
                continue
            ground._enter(place)
        return ground

    def _enter(self, place: Place) -> None:
        taken = self.taken.get(place.name, _NONE)
        count = _free(place, taken)
        self.free.setdefault((place.engine, place.vendor), {}).setdefault(count, {})[place.name] = None
        if not taken and place.name not in self.stale:
            self.whole[place.engine] = self.whole.get(place.engine, 0) + 1

    @property
    def empty(self) -> bool:
        """Whether no node may be given anything at all."""
        return not any(names for buckets in self.free.values() for names in buckets.values())

    def slot(self, name: str, shape: Shape) -> Slot | None:
        """What a node would give; None where it has no room."""
        place, taken = self.places[name], self.taken.get(name, _NONE)
        if shape.count == 0:
            return None if SEAT in taken else Slot(name)
        if shape.share is not None:
            if not place.shares:
                return None
            parts = {device: taken.get(device, 0.0) for device in place.devices}
            parts = {device: part for device, part in parts.items() if part + shape.share <= 1.0 + 1e-9}
            # The fullest that has room: whole devices are kept for those who need whole ones.
            device = max(parts, key=lambda one: (parts[one], -one), default=None)
            return None if device is None else Slot(name, (device,), shape.share)
        free = [device for device in place.devices if device not in taken]
        return Slot(name, tuple(free[: shape.count])) if len(free) >= shape.count else None

    def names(self, kind: Kind, shape: Shape) -> Iterable[str]:
        """Nodes of a kind with room for a shape, the fullest first, so that large jobs find whole nodes."""
        buckets = self.free.get(kind, {})
        chosen = frozenset(shape.chosen)
        least = 0 if shape.count == 0 or shape.share is not None else shape.count
        for count in sorted(buckets):
            if count < least:
                continue
            for name in buckets[count]:
                if name in self.blocked or name in shape.avoid or (chosen and name not in chosen):
                    continue
                # One that is whole and free needs no closer look.
                if (least and name not in self.taken) or self.slot(name, shape) is not None:
                    yield name

    def give(self, slots: Iterable[Slot]) -> None:
        """Take `slots` away from what is free."""
        for slot in slots:
            place, before = self.places[slot.node], self.taken.get(slot.node, _NONE)
            kind = (place.engine, place.vendor)
            count = _free(place, before)
            if not before and slot.node not in self.stale:
                self.whole[place.engine] -= 1
            taken = dict(before)
            for device in slot.devices or (SEAT,):
                taken[device] = round(taken.get(device, 0.0) + slot.share, 9)
            self.taken[slot.node] = taken
            self.free[kind][count].pop(slot.node, None)
            count = _free(place, taken)
            self.free[kind].setdefault(count, {})[slot.node] = None


def _free(place: Place, taken: Taken) -> int:
    """How many whole devices of a node are free."""
    return len(place.devices) - sum(map(taken.__contains__, place.devices)) if taken else len(place.devices)

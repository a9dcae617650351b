"""Pair test: which of several suspects is the bad one, told by who fails with whom. Pure.

Two nodes that pass are both well. Of two that fail nobody knows which it was: each is paired with nodes that have
passed, and whoever fails with two of those is bad. So a node is never blamed on the word of one other, and where
nothing passes nobody is: that is the network.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from .allocation import Slot

WITNESSES = 2
"""So many different nodes, each of which passes with another one, must a node fail with to be called bad."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two nodes that are tested with each other; the first listens."""

    first: str
    second: str

    @property
    def nodes(self) -> tuple[str, str]:
        """Both."""
        return self.first, self.second


@dataclass(frozen=True, slots=True)
class PairResult:
    """What came of a pair.

    Attributes:
        passed: None where it could not be tested.
        why: What went wrong, in words.
        silent: Those of both that could not be asked, or could not run the test: unknown, and no fault of the other's.
        seconds: That the test took.
        rate: The slower direction, in MB/s.
        latency: Seconds from one to the other and back, the median.
        own: Whether it is the site's own test that failed: it runs as the job's owner, who may make it fail.
    """

    pair: Pair
    passed: bool | None
    why: str = ""
    silent: tuple[str, ...] = ()
    seconds: float | None = None
    rate: float | None = None
    latency: float | None = None
    own: bool = False


@dataclass(frozen=True, slots=True)
class Paired:
    """What came of a round; `attempt` and `number` say of which."""

    attempt: int
    number: int
    results: tuple[PairResult, ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """A pair test of a job's nodes, while it is under way.

    Attributes:
        began: By the steady clock.
        suspects: The nodes that it is to tell apart.
        slots: What of nodes is kept for it: what the attempt had of them, and the spares.
        spares: Other nodes that serve as partners.
        number: Of the round that is under way, from 1.
        pairs: That round's.
        asked_at: When it was asked for last.
        results: Of the rounds before.
        shared: Those of its nodes on which another job ran meanwhile: it may have taken what the test has failed for.
    """

    began: float
    suspects: tuple[str, ...]
    slots: tuple[Slot, ...]
    spares: tuple[str, ...] = ()
    number: int = 0
    pairs: tuple[Pair, ...] = ()
    asked_at: float = 0.0
    results: tuple[PairResult, ...] = ()
    shared: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PairVerdict:
    """What all rounds together have come to.

    Attributes:
        bad: Each with the nodes that it failed with, which pass with others.
        proved: Those of them that failed so by our own test alone.
        well: Those that passed with another.
        unknown: Suspects that are neither.
        network: Whether no pair of three nodes or more has passed, so that it is no single node.
    """

    bad: dict[str, tuple[str, ...]]
    proved: frozenset[str]
    well: tuple[str, ...]
    unknown: tuple[str, ...]
    network: bool


def next_round(suspects: Sequence[str], spares: Sequence[str], results: Sequence[PairResult]) -> tuple[Pair, ...]:
    """Who is tested next, each node in one pair at most; nothing where all is told, or more tests would tell no more.

    Args:
        suspects: Who is to be told apart.
        spares: Other nodes, of which nothing is known either.
        results: Of the rounds before.
    """
    if not results:
        return tuple(Pair(one, other) for one, other in zip(suspects[::2], suspects[1::2], strict=False))
    seen = _Seen(results)
    if seen.well:
        return tuple(seen.with_the_well(suspects))
    return tuple(seen.with_others([*suspects, *spares]))


def judge(suspects: Sequence[str], results: Sequence[PairResult]) -> PairVerdict:
    """What `results` have come to."""
    seen = _Seen(results)
    bad = {node: seen.witnesses(node) for node in sorted(seen.failed) if seen.bad(node)}
    proved = frozenset(node for node in bad if len(seen.witnesses(node, own=False)) >= WITNESSES)
    well = tuple(sorted(seen.well - seen.silent))
    unknown = tuple(node for node in suspects if node not in well and node not in bad)
    network = not seen.well and len(seen.failed) > WITNESSES
    return PairVerdict(bad, proved, well, unknown, network)


class _Seen:
    """What results say of nodes."""

    def __init__(self, results: Iterable[PairResult]) -> None:
        self._failures: list[PairResult] = []
        self.well: set[str] = set()
        self.failed: dict[str, list[PairResult]] = {}
        self.silent: set[str] = set()
        self._met: set[frozenset[str]] = set()
        for one in results:
            self._met.add(frozenset(one.pair.nodes))
            self.silent.update(one.silent)
            if one.passed:
                self.well.update(one.pair.nodes)
            elif one.passed is not None:
                self._failures.append(one)
                for node in one.pair.nodes:
                    self.failed.setdefault(node, []).append(one)

    def witnesses(self, node: str, *, own: bool = True) -> tuple[str, ...]:
        """The well nodes that a node failed with; without the word of the site's own test, where that is not `own`."""
        if node in self.well:
            return ()
        failures = [one for one in self.failed.get(node, ()) if own or not one.own]
        return tuple(sorted({name for one in failures for name in one.pair.nodes if name in self.well}))

    def bad(self, node: str) -> bool:
        return len(self.witnesses(node)) >= WITNESSES

    def with_the_well(self, suspects: Sequence[str]) -> Iterator[Pair]:
        """Each that is not told yet with a node that is known to be well and that it has not met."""
        free = [node for node in sorted(self.well) if node not in self.silent]
        for node in suspects:
            if node in self.well or node in self.silent or self.bad(node):
                continue
            partner = next((one for one in free if frozenset({node, one}) not in self._met), None)
            if partner is not None:
                free.remove(partner)
                yield Pair(node, partner)

    def with_others(self, nodes: Sequence[str]) -> Iterator[Pair]:
        """Nothing has passed yet: whoever was in no pair that failed meets the one, then the other of such a pair.

        Where less than half of the suspects are bad and all pairs have failed, there is one bad node in each, and the
        one that was left over is well: it passes with one of both.
        """
        couples: list[Pair] = []
        for one in self._failures:
            if not any(set(one.pair.nodes) & set(other.nodes) for other in couples):
                couples.append(one.pair)
        coupled = {node for pair in couples for node in pair.nodes}
        extras = [node for node in nodes if node not in coupled and node not in self.silent]
        used: set[str] = set()
        for number, extra in enumerate(extras):
            if extra in used or len(self.failed.get(extra, ())) >= WITNESSES:
                continue
            turned = couples[number % len(couples) :] + couples[: number % len(couples)] if couples else []
            others = [node for pair in turned for node in pair.nodes] + extras[number + 1 :]
            able = (node for node in others if node not in used and node not in self.silent)
            partner = next((node for node in able if frozenset({extra, node}) not in self._met), None)
            if partner is not None:
                used |= {extra, partner}
                yield Pair(partner, extra)

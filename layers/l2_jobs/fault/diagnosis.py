"""What a log says went wrong: of all signs in it the one nearest to the cause, as a pure decision."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, TypeVar

from .fault import Evidence, Fault
from .fault_class import HEALTHY, Causer, FaultClass, fault_class
from .index import Index
from .reader import Reader, Seen
from .signature import Level, Signature
from .traceback import Traceback

_MORE = 3
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What went wrong, by a log alone.

    Attributes:
        kind: The name of the class; `healthy` where there is no sign of a fault.
        causer: Who has to act first.
        retryable: Whether the same job may be started again unchanged.
        bad_node: Whether the node is to be taken out.
        signature: The identity of the sign that decided; None where there was none.
        nodes: The nodes that the log names, sorted.
        evidence: The lines it rests on: those of the sign, then the first one of each other sign of a cause.
        traceback: The first traceback of the rank that failed first, where there is one.
        lines: How many lines were read.
        echo: Nothing is nearer to the cause than how a process has ended, told by who had started it.
    """

    kind: str
    causer: Causer
    retryable: bool
    bad_node: bool
    signature: str | None
    nodes: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    traceback: Traceback | None
    lines: int
    echo: bool = False

    @property
    def healthy(self) -> bool:
        """Whether the log has no sign of a fault."""
        return self.kind == HEALTHY

    @property
    def usual(self) -> FaultClass:
        """Its class."""
        return fault_class(self.kind)

    def fault(self, at: float) -> Fault | None:
        """It as a fault, noticed at `at` (seconds since the epoch); None where it is none."""
        if self.healthy:
            return None
        return Fault(self.kind, self.causer, self.retryable, self.bad_node, self.nodes, self.evidence, at, self.echo)


def diagnose(
    lines: Iterable[str], signatures: Sequence[Signature] | None = None, index: Index | None = None
) -> Diagnosis:
    """What the lines of a log say went wrong. Pure; never fails, whatever the lines are.

    Args:
        lines: Of one log, or of several ranks' interleaved, in their order.
        signatures: The catalogue; aiops' own by default.
        index: An index of a catalogue in its place, where many logs are read.
    """
    reader = Reader(signatures, index)
    for number, line in enumerate(lines, 1):
        reader.feed(number, line)
    return decide(reader)


def diagnose_stream(stream: BinaryIO, signatures: Sequence[Signature] | None = None) -> Diagnosis:
    """As `diagnose`, of bytes: quick, in bounded memory, whatever is in them.

    Raises:
        OSError: The stream cannot be read.
    """
    reader = Reader(signatures)
    reader.read(stream)
    return decide(reader)


def decide(reader: Reader) -> Diagnosis:
    """The diagnosis of what a reader has seen so far."""
    counting = _counting(reader.seen, reader.silenced)
    ranked = sorted(counting, key=lambda seen: _rank(seen, reader.index))
    tracebacks = _traceback(reader)
    if not ranked:
        usual = fault_class(HEALTHY)
        return Diagnosis(HEALTHY, usual.causer, usual.retryable, usual.bad_node, None, (), (), None, reader.lines)
    first = ranked[0]
    sign = first.signature
    usual = fault_class(sign.kind)
    same = [one for one in ranked if one.signature.kind == sign.kind and one.signature.level >= sign.level]
    return Diagnosis(
        sign.kind,
        _first((one.signature.causer for one in same), usual.causer),
        _first((one.signature.retryable for one in same), usual.retryable),
        _first((one.signature.bad_node for one in same), usual.bad_node),
        sign.id,
        tuple(sorted({node for one in same for node in one.nodes})),
        _evidence(first, ranked[1:]),
        tracebacks,
        reader.lines,
        sign.level == Level.ECHO,
    )


def _traceback(reader: Reader) -> Traceback | None:
    """The traceback that tells the cause."""
    found = reader.tracebacks.end()
    return next((one for one in found if not one.echo), found[0] if found else None)


def _counting(seen: Mapping[str, Seen], silenced: int | None) -> list[Seen]:
    """The signs that count: seen often enough, with what they need, without what they exclude, not taken back."""
    standing = {name: one for name, one in seen.items() if _enough(one) and not _cleared(one, seen)}
    return [
        one
        for one in standing.values()
        if one.signature.counts
        and (not one.signature.needs or any(name in standing for name in one.signature.needs))
        and not any(name in seen for name in one.signature.without)
        and not (
            silenced is not None
            and one.signature.level == Level.PROGRAM
            and not one.signature.silences
            and one.line > silenced
        )
    ]


def _enough(one: Seen) -> bool:
    return one.count >= one.signature.at_least


def _cleared(one: Seen, seen: Mapping[str, Seen]) -> bool:
    return any(name in seen and seen[name].last > one.last for name in one.signature.cleared_by)


def _rank(seen: Seen, index: Index) -> tuple[int, int, int]:
    return -seen.signature.level, seen.line, index.order.get(seen.signature.id, len(index.order))


def _first(values: Iterable[_Value | None], usual: _Value) -> _Value:
    """The first value that a sign sets over the usual one of its class."""
    return next((value for value in values if value is not None), usual)


def _evidence(first: Seen, others: Sequence[Seen]) -> tuple[Evidence, ...]:
    found = [Evidence("log", text, rank=first.rank, line=line) for line, text in first.texts[:_MORE]]
    lines = {one.line for one in found}
    for one in others:
        line, text = one.texts[0]
        if line not in lines and len(found) < 2 * _MORE:
            found.append(Evidence("log", text, rank=one.rank, line=line))
            lines.add(line)
    return tuple(found)

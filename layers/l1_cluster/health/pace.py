"""Pace: a node that takes far longer than its equals for the same few cheap questions is overloaded, or throttled.

The questions are some of those that the facts ask anyway, each a small program that touches no disk worth the name, no
device and no network. What hangs is told by the checks of what hangs, so one slow answer among them is not enough.
"""

from collections.abc import Iterator, Sequence
from statistics import median

from aiops.layers.l0_nodes.ask import Record
from aiops.layers.l0_nodes.fact_reading import FACT_ASKS

from .check import Check, Limits, Sighting, Subject, Threshold

_NAMES = ("os.kernel", "os.virtualization", "cpu.topology", "packages.lock")
ASKS = tuple(ask for ask in FACT_ASKS if ask.name in _NAMES)
_LEAST = 3
_SHORTEST = 0.001
"""Seconds: the probe tells no less."""


def seconds_of(record: Record) -> dict[str, float] | None:
    """How long each question took; None unless all of them were answered."""
    answers = [record.answer(name) for name in _NAMES]
    if any(one.exit_status is None or one.timed_out for one in answers):
        return None
    return {one.name: max(float(one.seconds), _SHORTEST) for one in answers}


def _slow(subjects: Sequence[Subject], limits: Limits) -> Iterator[tuple[str, Sighting]]:
    groups: dict[tuple[str, ...], dict[str, dict[str, float]]] = {}
    for subject in subjects:
        seconds = seconds_of(subject.record)
        if seconds is not None:
            groups.setdefault(subject.node.groups, {})[subject.node.name] = seconds
    for nodes in groups.values():
        if len(nodes) < _LEAST:
            continue
        usual = {name: median(seconds[name] for seconds in nodes.values()) for name in _NAMES}
        usual_in_all = median(sum(seconds.values()) for seconds in nodes.values())
        for node, seconds in nodes.items():
            total = sum(seconds.values())
            late = [name for name in _NAMES if seconds[name] >= limits["times"] * usual[name]]
            if total <= limits["seconds"] or total < limits["times"] * usual_in_all or 2 * len(late) <= len(_NAMES):
                continue
            message = f"it takes {total:.1f} s for what nodes like it do in {usual_in_all:.2f} s"
            evidence = {"seconds": seconds, "usual_seconds": usual, "compared": len(nodes)}
            yield node, Sighting("warn", f"{message}, limit {limits['times']:g} times as long", evidence=evidence)


def _has_a_pace(subject: Subject) -> bool:
    """Whether its processors are its own: containers have the pace of the machine that they share."""
    return not subject.facts.container


CHECKS = (
    Check(
        id="node.slow",
        title="it is as fast as its equals",
        severity="warn",
        action="none",
        owner="node",
        judges="Warn when the same few cheap questions take 5 times as long as on the middle one of the nodes in the "
        "same groups, and more than 2 s, and most of the questions are that slow.",
        remedy="See what keeps it busy: `aiops node exec --on NODE -- top -bn1`. When it is idle it is throttled: look "
        "at clocks, temperatures and power supplies.",
        source="aiops' own: a slow node holds up every job that runs on many",
        asks=ASKS,
        compare=_slow,
        applies=_has_a_pace,
        thresholds=(
            Threshold("times", 5.0, "times", "aiops' own: busy and idle nodes differ by less", least=1.5),
            Threshold("seconds", 2.0, "s", "aiops' own: a healthy node takes a tenth of it", least=0.1, most=40.0),
        ),
        sightings=2,
        grace=True,
    ),
)

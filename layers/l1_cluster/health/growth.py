"""What is remembered of a node's links: how its counters have grown, and how fast they once were.

A link trains while its node boots, and a counter may survive a reboot or begin anew with it: so only what has grown
within this boot counts, and not in its first minutes.
"""

from datetime import datetime, timedelta

from .check import Subject
from .kernel_log import KERNEL_ASKS, read_uptime
from .past import Growth, Past, Sample

UPTIME_ASK = KERNEL_ASKS[1]
SETTLING = timedelta(minutes=15)
"""After a boot: drivers, bonds and subnet managers take a link down and up while they start."""


FLAPS_WITHIN = timedelta(hours=3)
"""Over what links that go down are counted."""

RATED_OVER = timedelta(hours=1)
"""Over what a rate is taken."""

_SHORTEST = timedelta(minutes=15)


def rate(growth: Growth) -> float:
    """Events per hour, taken over a quarter of one at least: two that come together are no rate."""
    return growth.amount * 3600.0 / max(growth.seconds, _SHORTEST.total_seconds())


def span(growth: Growth) -> str:
    """How long it was watched, in words: `3 h`, `25 min`."""
    minutes = max(1, round(growth.seconds / 60))
    return f"{minutes // 60} h" if minutes % 60 == 0 else f"{minutes} min"


def grown(subject: Subject, name: str, value: int, window: timedelta) -> Growth | None:
    """How much a counter has grown within `window`, and since this boot has settled; None where that is not known.

    Raises:
        UnreadableError: The node does not say when it booted.
    """
    settled = _settled(subject)
    own = _of_this_boot(subject, name)
    early = [one for one in own if one.at <= settled]
    samples = [
        *(Sample(settled, one.value, one.boot_id) for one in early[-1:]),  # it stood there then: it is kept on change
        *(one for one in own if one.at > settled),
    ]
    now = Sample(subject.at, value, subject.facts.boot_id)
    past = Past({name: tuple(samples)}, subject.past.looked)
    return past.growth(name, now, window) if subject.at > settled else None


def best(subject: Subject, name: str, *, this_boot: bool) -> int | None:
    """The largest value that is remembered of a counter.

    Raises:
        UnreadableError: The node does not say when it booted.
    """
    samples = _of_this_boot(subject, name) if this_boot else subject.past.samples.get(name, ())
    return max((one.value for one in samples), default=None)


def is_settled(subject: Subject) -> bool:
    """Whether the first minutes after the boot are over.

    Raises:
        UnreadableError: The node does not say when it booted.
    """
    return subject.at > _settled(subject)


def _settled(subject: Subject) -> datetime:
    return _booted(subject) + SETTLING


def _booted(subject: Subject) -> datetime:
    return subject.at - timedelta(seconds=subject.read(read_uptime))


def _of_this_boot(subject: Subject, name: str) -> list[Sample]:
    booted, boot = _booted(subject), subject.facts.boot_id
    return [
        one
        for one in subject.past.samples.get(name, ())
        if booted <= one.at < subject.at and (boot is None or one.boot_id in (None, boot))
    ]

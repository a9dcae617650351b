"""What the counters of Ethernet ports tell: how often a link went down, and how many packets were broken."""

from collections.abc import Iterator, Mapping

from .check import Check, Limits, Sighting, Subject, Threshold
from .ethernet import has_cards
from .ethernet_reading import CARDS_ASK, ERRORS, Card, read_cards
from .growth import FLAPS_WITHIN, RATED_OVER, UPTIME_ASK, grown, rate, span
from .past import Growth


def carrier_changes(subject: Subject) -> Iterator[tuple[Card, Growth]]:
    """How often the link of each port changed lately, where that is known.

    Raises:
        UnreadableError: The ports, or the time since the boot, cannot be read.
    """
    for card in subject.read(read_cards):
        growth = None if card.changes is None else grown(subject, _changes(card), card.changes, FLAPS_WITHIN)
        if growth is not None:
            yield card, growth


def _changes(card: Card) -> str:
    return f"eth.{card.name}.carrier_changes"


def _carriers(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    for card, growth in carrier_changes(subject):
        if growth.amount > limits["changes"]:
            said = f"its link went down or up {growth.amount} times within {span(growth)}, limit {limits['changes']:g}"
            yield Sighting("warn", said, card.name, {"changes": growth.amount, "seconds": round(growth.seconds)})


def _count_changes(subject: Subject) -> Mapping[str, int]:
    return {_changes(card): card.changes for card in subject.read(read_cards) if card.changes is not None}


def _errors(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    for card in subject.read(read_cards):
        for name, reason in card.unread.items():
            yield Sighting("unknown", f"{name}: {reason}", card.name)
        growths = {
            name: grown(subject, f"eth.{card.name}.{name}", card.errors[name], RATED_OVER) for name in card.errors
        }
        rates = {name: rate(growth) for name, growth in growths.items() if growth is not None}
        many = {name: found for name, found in rates.items() if found > limits["per_hour"]}
        if many:
            told = ", ".join(f"{name} {many[name]:.3g}" for name in ERRORS if name in many)
            yield Sighting("warn", f"errors per hour: {told}, limit {limits['per_hour']:g}", card.name, many)


def _count_errors(subject: Subject) -> Mapping[str, int]:
    cards = subject.read(read_cards)
    return {f"eth.{card.name}.{name}": value for card in cards for name, value in card.errors.items()}


CHECKS = (
    Check(
        id="eth.carrier",
        title="links of Ethernet ports stay up",
        severity="warn",
        action="service",
        owner="node",
        judges="Warn when the link of a port went down or up more than 2 times within 3 hours, not counting the first"
        " 15 minutes after a boot.",
        remedy="Look at both ends: `ethtool INTERFACE`, and the log of the switch; then reseat or replace the cable.",
        source="NVIDIA's NVSentinel: more than 2 changes; the window is that of Azure's healthagent",
        asks=(CARDS_ASK, UPTIME_ASK),
        judge=_carriers,
        applies=has_cards,
        thresholds=(Threshold("changes", 2, "within 3 h", "NVIDIA's NVSentinel; one flap is two changes", least=1),),
        tags=("link", "network"),
        counters=_count_changes,
    ),
    Check(
        id="eth.errors",
        title="packets pass Ethernet ports whole",
        severity="warn",
        action="service",
        owner="node",
        judges="Warn when rx_errors, tx_errors or rx_crc_errors of a port grow by more than 120 per hour.",
        remedy="Look which errors they are: `ethtool -S INTERFACE`; then clean, reseat or replace the cable.",
        source="aiops' own, in likeness of the symbol errors of InfiniBand",
        asks=(CARDS_ASK, UPTIME_ASK),
        judge=_errors,
        applies=has_cards,
        thresholds=(Threshold("per_hour", 120, "1/h", "that of InfiniBand's symbol errors"),),
        tags=("link", "network"),
        counters=_count_errors,
    ),
)

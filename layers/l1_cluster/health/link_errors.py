"""What the counters of RDMA ports tell of a link: that it goes down, that it garbles, that packets are sent again."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

from aiops.layers.l0_nodes.ask import Record

from .check import Check, Limits, Sighting, Subject, Threshold
from .growth import FLAPS_WITHIN, RATED_OVER, UPTIME_ASK, grown, rate, span
from .infiniband import is_bare
from .past import Growth
from .rdma_reading import COUNTERS_ASK, PORTS_ASK, Port, PortCounters, read_counters, read_downs, read_ports
from .verdict import Action, Severity

_SECONDS: Mapping[str, float] = {"hour": 3600.0, "minute": 60.0, "second": 1.0}
_SENTINEL = "NVIDIA's NVSentinel"


@dataclass(frozen=True, slots=True)
class _Rule:
    """How one counter is judged.

    Attributes:
        what: What it counts, in words that a number stands before.
        limit: So many in the window are too many, or more than so many per hour, minute or second.
        idle: Whether it counts while the port is not active, too.
        read: Finds the counter in a record.
    """

    id: str
    title: str
    counter: str
    what: str
    limit: float
    per: Literal["window", "hour", "minute", "second"]
    source: str
    remedy: str
    severity: Severity = "warn"
    action: Action = "service"
    kinds: Collection[str] = ("infiniband",)
    idle: bool = False
    read: Callable[[Record], Mapping[str, PortCounters]] = read_counters


_LINK = "Look at the link with `mlxlink -d DEVICE -c`; clean, reseat or replace cable and transceiver."
_FABRIC = (
    "Look for the congested or broken link on the way: `perfquery`, `ibqueryerrors`, and the switch's own counters."
)
_RETRY = (
    "Look which peers do not answer and at the switches between them (PFC, ECN, buffers): `rdma statistic`,"
    " `ethtool -S INTERFACE`."
)
_RULES = (
    _Rule(
        "ib.link_downed",
        "links of InfiniBand ports stay up",
        "link_downed",
        "times down",
        3,
        "window",
        "Azure's healthagent: 3 in 3 hours; gpud: 3 downs are flapping",
        _LINK,
        severity="critical",
        idle=True,
        read=read_downs,
    ),
    _Rule(
        "ib.link_recovery",
        "links of InfiniBand ports need no recovery",
        "link_error_recovery",
        "recoveries of the link",
        5,
        "minute",
        f"{_SENTINEL}: 5 per minute",
        _LINK,
    ),
    _Rule(
        "ib.symbol_error",
        "links of InfiniBand ports carry what was sent",
        "symbol_error",
        "symbol errors",
        120,
        "hour",
        f"{_SENTINEL}: 120 per hour",
        _LINK,
    ),
    _Rule(
        "ib.excessive_overrun",
        "buffers of InfiniBand ports do not overrun",
        "excessive_buffer_overrun_errors",
        "overruns of a buffer",
        1,
        "window",
        f"{_SENTINEL} alarms on each; the window is aiops' own",
        _LINK,
    ),
    _Rule(
        "ib.rcv_errors",
        "packets reach InfiniBand ports whole",
        "port_rcv_errors",
        "broken packets received",
        10,
        "second",
        f"{_SENTINEL}: 10 per second",
        _LINK,
    ),
    _Rule(
        "ib.xmit_discards",
        "nothing is discarded that InfiniBand ports have to send",
        "port_xmit_discards",
        "packets discarded before sending",
        100,
        "second",
        f"{_SENTINEL}: 100 per second",
        _FABRIC,
        action="none",
    ),
    _Rule(
        "rdma.ack_timeout",
        "peers acknowledge what is sent by RDMA",
        "local_ack_timeout_err",
        "acknowledgements missed",
        1,
        "second",
        f"{_SENTINEL}: 1 per second",
        _RETRY,
        action="none",
        kinds=("infiniband", "roce"),
    ),
    _Rule(
        "rdma.rnr_retry",
        "peers are ready to receive by RDMA",
        "rnr_nak_retry_err",
        "refusals of peers that were not ready",
        10,
        "second",
        f"aiops' own: {_SENTINEL} alarms on each, but programs that post late cause single ones",
        _RETRY,
        action="none",
        kinds=("infiniband", "roce"),
    ),
    _Rule(
        "rdma.slow_restart",
        "traffic by RoCE need not start again slowly",
        "roce_slow_restart",
        "slow restarts",
        10,
        "second",
        f"{_SENTINEL}: 10 per second",
        _RETRY,
        action="none",
        kinds=("roce",),
    ),
    _Rule(
        "rdma.out_of_sequence",
        "packets of RDMA arrive in their order",
        "out_of_sequence",
        "packets out of sequence",
        100,
        "second",
        "aiops' own: a lossless network has hardly any, one with adaptive routing some",
        _RETRY,
        action="none",
        kinds=("infiniband", "roce"),
    ),
)


def link_downs(subject: Subject) -> Iterator[tuple[str, Growth]]:
    """How often the link of each InfiniBand port went down lately, where that is known.

    Raises:
        UnreadableError: Ports, counters or the time since the boot cannot be read.
    """
    rule = _RULES[0]
    for port, counters in _ports(rule, subject):
        if rule.counter in counters.values:
            growth = grown(subject, _name(rule, port), counters.values[rule.counter], FLAPS_WITHIN)
            if growth is not None:
                yield port.about, growth


def _ports(rule: _Rule, subject: Subject) -> Iterator[tuple[Port, PortCounters]]:
    counters = subject.read(rule.read)
    for port in subject.read(read_ports):
        if port.kind in rule.kinds and (port.active or rule.idle):
            yield port, counters.get(port.about, PortCounters())


def _name(rule: _Rule, port: Port) -> str:
    return f"rdma.{port.about}.{rule.counter}"


def _judge(rule: _Rule, subject: Subject, limits: Limits) -> Iterator[Sighting]:
    window = FLAPS_WITHIN if rule.per == "window" else RATED_OVER
    for port, counters in _ports(rule, subject):
        if rule.counter in counters.unread:
            yield Sighting("unknown", f"{rule.counter}: {counters.unread[rule.counter]}", port.about)
        value = counters.values.get(rule.counter)
        growth = None if value is None else grown(subject, _name(rule, port), value, window)
        if growth is None or growth.amount == 0:
            continue
        evidence = {"counter": rule.counter, "value": value, "grown": growth.amount, "seconds": round(growth.seconds)}
        if rule.per == "window":
            limit = limits["times"]
            if growth.amount >= limit:
                said = f"{growth.amount} {rule.what} within {span(growth)}, limit {limit:g}"
                yield Sighting(rule.severity, said, port.about, evidence)
            continue
        limit = limits[f"per_{rule.per}"]
        found = rate(growth) * _SECONDS[rule.per] / _SECONDS["hour"]
        if found > limit:
            said = f"{found:.3g} {rule.what} per {rule.per} over {span(growth)}, limit {limit:g}"
            yield Sighting(rule.severity, said, port.about, evidence)


def _counters(rule: _Rule, subject: Subject) -> Mapping[str, int]:
    known = ((port, counters.values.get(rule.counter)) for port, counters in _ports(rule, subject))
    return {_name(rule, port): value for port, value in known if value is not None}


def _applies(rule: _Rule, subject: Subject) -> bool:
    return is_bare(subject) and any(port.kind in rule.kinds for port in subject.read(read_ports))


def _check(rule: _Rule) -> Check:
    windowed = rule.per == "window"
    hours = round(FLAPS_WITHIN.total_seconds() / _SECONDS["hour"])
    line = f"{rule.limit:g} or more within {hours} hours" if windowed else f"more than {rule.limit:g} per {rule.per}"
    return Check(
        id=rule.id,
        title=rule.title,
        severity=rule.severity,
        action=rule.action,
        owner="node",
        judges=f"{rule.severity.capitalize()} when `{rule.counter}` of a port has grown by {line}, not counting what"
        " grew in the first 15 minutes after a boot or stands at the counter's end.",
        remedy=rule.remedy,
        source=rule.source,
        asks=(PORTS_ASK, UPTIME_ASK) if rule.read is read_downs else (PORTS_ASK, COUNTERS_ASK, UPTIME_ASK),
        judge=partial(_judge, rule),
        applies=partial(_applies, rule),
        thresholds=(
            Threshold(
                "times" if windowed else f"per_{rule.per}",
                rule.limit,
                f"within {hours} h" if windowed else f"1/{rule.per}",
                rule.source,
                least=1 if windowed else 0,
            ),
        ),
        tags=("link", "rdma"),
        counters=partial(_counters, rule),
    )


CHECKS = tuple(_check(rule) for rule in _RULES)

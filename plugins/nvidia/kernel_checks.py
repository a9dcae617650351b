"""Checks of what the driver logs: Xids of devices, SXids of switches."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from aiops.layers.l1_cluster.health.check import Check, Limits, Sighting, Subject, Threshold
from aiops.layers.l1_cluster.health.devices import at_bus
from aiops.layers.l1_cluster.health.kernel_log import KERNEL_ASKS, read_kernel_log
from aiops.layers.l1_cluster.health.verdict import ACTIONS

from .kernel_events import KernelEvent, kernel_events, since_mended
from .presence import VENDOR, has_nvidia, has_switches
from .xid import CATALOGUE, RECOVERY, Rule, recovery, rule

_HOUR = 3600.0
_BURST = 180.0  # seconds: Xids without a process that come within are of one program
_PROGRAMS_FAULT = (13, 31)
_MOST_TOLD = 3
_SOURCE_OF_REPEATS = "NVSentinel: repeated within 24 hours on one GPU, and on no other of the node"


@dataclass(frozen=True, slots=True)
class _Told:
    """An Xid of one device and what it asks for."""

    number: int
    count: int
    rule: Rule
    text: str
    seconds: float

    @property
    def rank(self) -> tuple[bool, bool, int, float]:
        """The worst has the highest."""
        severity, action = self.rule.severity, self.rule.action
        return (severity == "critical", severity == "warn", ACTIONS.index(action), self.seconds)


def _logs_its_own(subject: Subject) -> bool:
    """Whether the kernel's log is this node's: a container reads that of its host, but for one of our lab."""
    return not subject.facts.container or subject.facts.simulated


def _has_xids(subject: Subject) -> bool:
    return _logs_its_own(subject) and has_nvidia(subject)


def _has_sxids(subject: Subject) -> bool:
    return _logs_its_own(subject) and has_switches(subject)


def _standing(subject: Subject, kind: str, hours: float) -> dict[str, list[KernelEvent]]:
    """By address, what was logged lately and is not over."""
    found: dict[str, list[KernelEvent]] = {}
    for event in since_mended(kernel_events(subject.read(read_kernel_log))):
        if event.kind == kind and event.ago <= hours * _HOUR:
            found.setdefault(event.bus, []).append(event)
    return dict(sorted(found.items()))


def _xid(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    by_bus = _standing(subject, "xid", limits["hours"])
    indexes = {one.bus: one.index for one in subject.facts.accelerators or () if one.vendor == VENDOR}
    for bus, events in by_bus.items():
        told = _told(events)
        told += _repeated(bus, by_bus, int(limits["programs"]))
        told = sorted((one for one in told if one.rule.severity is not None), key=lambda one: one.rank, reverse=True)
        if not told:
            continue
        worst = told[0].rule
        more = f" and {len(told) - _MOST_TOLD} more" if len(told) > _MOST_TOLD else ""
        yield Sighting(
            worst.severity or "warn",
            "; ".join(_words(one) for one in told[:_MOST_TOLD]) + more,
            at_bus(bus),
            {
                "index": indexes.get(bus),
                "xids": [
                    {
                        "number": one.number,
                        "count": one.count,
                        "text": one.text[:200],
                        "seconds_after_boot": round(one.seconds, 3),
                        "rule": one.rule.source,
                    }
                    for one in told
                ],
            },
            worst.action,
            worst.owner,
        )


def _told(events: Sequence[KernelEvent]) -> list[_Told]:
    """The Xids of one device; what the driver itself asks for last counts before the catalogue's action."""
    standing: dict[int, list[KernelEvent]] = {}
    asked: _Told | None = None
    for event in events:
        wish = recovery(event.text) if event.number == RECOVERY else None
        if event.number != RECOVERY:
            standing.setdefault(event.number, []).append(event)
        elif wish is None:
            continue
        elif wish.severity is None:
            standing, asked = {}, None
        else:
            asked = _Told(RECOVERY, 1, wish, event.text, event.seconds)
    found = []
    for number, ones in standing.items():
        meant = max((rule(number, one.text) for one in ones), key=lambda one: one.severity == "critical")
        if asked is not None and meant.severity is not None:
            meant = Rule(meant.severity, asked.rule.action, "node", meant.words, asked.rule.source)
        found.append(_Told(number, len(ones), meant, ones[-1].text, ones[-1].seconds))
    return [*found, asked] if asked is not None else found


def _repeated(bus: str, by_bus: Mapping[str, Sequence[KernelEvent]], least: int) -> Iterator[_Told]:
    """Faults of programs that come again and again on this device, and on no other: then it may be the device's."""
    for number in _PROGRAMS_FAULT:
        elsewhere = any(one.number == number for other, ones in by_bus.items() if other != bus for one in ones)
        mine = [one for one in by_bus[bus] if one.number == number]
        programs = _programs(mine)
        if programs >= least and not elsewhere:
            words = f"of {programs} programs, on this GPU alone"
            suspect = Rule("warn", "none", "node", words, _SOURCE_OF_REPEATS)
            yield _Told(number, len(mine), suspect, mine[-1].text, mine[-1].seconds)


def _programs(events: Sequence[KernelEvent]) -> int:
    """How many processes they are of; those that name none are told apart by the time between them."""
    pids = {one.pid for one in events if one.pid is not None}
    bursts, last = 0, float("-inf")
    for one in events:
        if one.pid is None:
            bursts += one.seconds - last > _BURST
            last = one.seconds
    return len(pids) + bursts


def _words(one: _Told) -> str:
    times = f" ({one.count} times)" if one.count > 1 else ""
    return f"Xid {one.number}" + (f": {one.rule.words}" if one.rule.words else "") + times


def _sxid(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    for bus, events in _standing(subject, "sxid", limits["hours"]).items():
        fatal = [one for one in events if one.fatal]
        if not fatal and len(events) < limits["nonfatal"]:
            continue
        shown = fatal or events
        numbers = ", ".join(str(number) for number in sorted({one.number for one in shown}))
        yield Sighting(
            "critical" if fatal else "warn",
            f"{'fatal' if fatal else f'{len(events)} non-fatal'} SXid {numbers}: {shown[-1].text[:80]}",
            f"NVSwitch at {bus}",
            {
                "fatal": len(fatal),
                "nonfatal": len(events) - len(fatal),
                "numbers": sorted({one.number for one in events}),
                "text": shown[-1].text[:200],
            },
        )


_LOOK_BACK = Threshold("hours", 24.0, "h", "how far gpud and NVSentinel look back", least=0.1)
CHECKS = (
    Check(
        id="gpu.xid",
        title="the driver logs no error of a GPU that asks for something",
        severity="critical",
        action="reset_device",
        owner="node",
        judges="By NVIDIA's catalogue, for each Xid of the last day that no reset, no new driver and no Xid 154 has"
        " ended; what Xid 154 asks for goes before it. Single faults of programs are no finding.",
        remedy="Drain the node, then as the action says: `nvidia-smi --gpu-reset -i N`, or"
        " `aiops node exec --on NODE --root -- systemctl reboot`."
        " After a reset by hand tell the log, so that what was before is over:"
        " `echo 'aiops: GPU 0000:18:00.0 was reset' | sudo tee /dev/kmsg`.",
        source=f"{CATALOGUE}; where it is read otherwise, the evidence of the finding says so",
        asks=KERNEL_ASKS,
        judge=_xid,
        applies=_has_xids,
        thresholds=(
            _LOOK_BACK,
            Threshold("programs", 2.0, "programs", "NVSentinel: Xid 13 or 31 twice on one GPU", least=1.0),
        ),
        tags=("kernel", "hardware"),
        level="quick",
    ),
    Check(
        id="gpu.sxid",
        title="the driver logs no error of an NVSwitch",
        severity="critical",
        action="reset_device",
        owner="node",
        judges="Critical for a fatal SXid of the last day, warn when a switch has several that are not.",
        remedy="Fatal ones need a reset of all GPUs and switches together, with no program on them: `nvidia-smi"
        " --gpu-reset`. When they come back, the board needs service.",
        source="NVIDIA's fabric manager guide: the log itself says which are fatal; NVSentinel acts on these alone",
        asks=KERNEL_ASKS,
        judge=_sxid,
        applies=_has_sxids,
        thresholds=(
            _LOOK_BACK,
            Threshold("nonfatal", 5.0, "errors", "aiops' own: a program that crashes leaves a few", least=1.0),
        ),
        tags=("kernel", "hardware"),
        level="quick",
    ),
)

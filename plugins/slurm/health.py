"""Checks of Slurm: how it sees each node, whether what it was told of a node is there, its controller, and munge.

A node that drains is not told: whoever drained it knows, and a health check that drains must not be alarmed by itself.
Nothing is judged on nodes of another engine, and where Slurm was never set up.
"""

from collections import Counter
from collections.abc import Callable, Iterator

from aiops.layers.core.plugin import hookimpl
from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l1_cluster.draining import PREFIX
from aiops.layers.l1_cluster.health.check import Check, Limits, Sighting, Subject

from .view import (
    MUNGE,
    NODE,
    PARTITIONS,
    PING,
    Registration,
    absent,
    ask,
    device_count,
    read_controllers,
    read_munge,
    read_partitioned,
    read_registration,
)

_AILING = ("DOWN", "ERROR", "FAIL", "INVALID_REG", "NOT_RESPONDING")
_EXPECTED = ("MAINT", "POWER", "REBOOT")
"""How flags begin of nodes that somebody, or Slurm itself, has announced to be away."""

_CLOUD_PERCENT = 90.0
_KERNELS_DIFFER_BY = 0.01


def _served(name: str, *roles: str) -> Callable[[Subject], bool]:
    """Whether a node plays one of `roles` in Slurm, and what `name` asks for is installed there."""

    def applies(subject: Subject) -> bool:
        ours = subject.variables.aiops_engine == "slurm" and not subject.node.roles.isdisjoint(roles)
        return ours and not absent(subject.record.answer(name))

    return applies


_in_slurm = _served(NODE, "workers")


def _registered(subject: Subject) -> bool:
    """Whether Slurm gives the node work."""
    return _in_slurm(subject) and subject.read(read_registration) is not None


def _registration(subject: Subject) -> Registration:
    found = subject.read(read_registration)
    if found is None:
        raise UnreadableError("Slurm has it in no partition")
    return found


def _node_state(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    found = _registration(subject)
    if any(part.startswith(_EXPECTED) for part in found.states):
        return
    ailing = [part for part in _AILING if part in found.states]
    ours = found.reason.startswith(PREFIX)
    if "DRAIN" in found.states and not ours and "INVALID_REG" not in ailing:  # whoever drained it has taken it over
        return
    if ailing:
        why = f": {found.reason}" if found.reason else ""
        evidence = {"states": sorted(found.states), "reason": found.reason or None}
        yield Sighting("critical", f"Slurm has it as {'+'.join(ailing)}{why}", evidence=evidence)
    elif found.states == {"UNKNOWN"}:
        raise UnreadableError("Slurm has not heard of it since its controller has started")


def _counts_devices(subject: Subject) -> bool:
    """Whether Slurm counts whole devices of the node; none at all may be meant so."""
    if not _registered(subject) or any(one.partitioned for one in subject.facts.accelerators or ()):
        return False
    return bool(device_count(_registration(subject).gres)) and not subject.read(read_partitioned)


def _gres(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    """Devices are those that the vendors' tools show, and the bus for vendors whose tool shows none."""
    gres = _registration(subject).gres
    configured = device_count(gres)
    shown, bus = subject.facts.accelerators, subject.facts.bus_accelerators
    on_bus = {one.vendor: one.count for one in (subject.fact("bus_accelerators") if shown is None else bus or ())}
    there = {**on_bus, **Counter(one.vendor for one in shown or ())}
    evidence = {"configured": configured, "there": there, "gres": gres}
    total = sum(there.values())
    if configured is None or not (total or _known_to_have_some(subject)):
        return
    if configured > total:
        yield Sighting("critical", f"Slurm counts on {configured} devices, there are {total}", evidence=evidence)
    elif configured not in (total, *there.values(), *on_bus.values()):  # one vendor's may be for the screen
        message = f"Slurm gives jobs {configured} of its {total} devices"
        yield Sighting("warn", message, evidence=evidence, action="none")


def _known_to_have_some(subject: Subject) -> bool:
    """Whether its inventory or its group tells of accelerators: none that are seen may be of a vendor unknown here."""
    return subject.variables.aiops_accelerators is not None or bool(subject.expected.number("gpu.count"))


def _must_have_it_all(subject: Subject) -> bool:
    """Whether Slurm holds the node to its configuration; with `config_overrides` it takes the configuration for true.

    Raises:
        UnreadableError: Slurm does not tell how it is set.
    """
    if not _registered(subject):
        return False
    parameters = _registration(subject).parameters
    if parameters is None:
        raise UnreadableError("Slurm does not tell its SlurmdParameters and SlurmctldParameters")
    return "config_overrides" not in parameters


def _memory_and_processors(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    found = _registration(subject)
    share = _least_share(found)
    memory, threads = subject.fact("memory_mib"), subject.fact("threads")
    if memory < found.memory_mib * share:
        missing = 1 - memory / found.memory_mib
        yield Sighting(
            "critical",
            f"Slurm counts on {found.memory_mib} MiB, there are {memory}",
            "memory",
            {"configured_mib": found.memory_mib, "there_mib": memory, "least_share": share},
            action="none" if missing < _KERNELS_DIFFER_BY else None,
        )
    if threads < found.cpus:
        evidence = {"configured": found.cpus, "there": threads}
        yield Sighting("critical", f"Slurm counts on {found.cpus}, there are {threads}", "processors", evidence)


def _least_share(found: Registration) -> float:
    """The part of the configured memory that a node must have for Slurm to take it.

    Raises:
        UnreadableError: Slurm's setting is no number.
    """
    for word in found.parameters or ():
        if word.startswith("node_reg_mem_percent="):
            try:
                return float(word.partition("=")[2]) / 100
            except ValueError as error:
                raise UnreadableError(f"Slurm is set to `{word[:80]}`") from error
    return (_CLOUD_PERCENT if "CLOUD" in found.states else 100.0) / 100


def _ctld(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    controllers = subject.read(read_controllers)
    served = any(one.up for one in controllers)
    for one in controllers:
        if not one.up:
            message = f"it does not answer{', another one does' if served else ''}"
            yield Sighting(
                "warn" if served else "critical", message, f"{one.role} slurmctld at {one.host}", {"answers": False}
            )


def _munge(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    reason = subject.read(read_munge)
    if reason:
        message = f"a credential that is made on it cannot be read on it: {reason[:200]}"
        yield Sighting("critical", message, evidence={"munge": reason})


CHECKS = (
    Check(
        id="slurm.node_state",
        title="it can be given work by Slurm",
        severity="critical",
        action="restart_service",
        owner="node",
        judges="Critical while Slurm has it down, failing, invalid or not responding. A node that somebody has drained "
        "is not told, nor one that Slurm reboots or powers off itself.",
        remedy="Slurm says why: `scontrol show node NODE` on the head. A slurmd that does not answer: "
        "`aiops node exec --on NODE --root -- systemctl restart slurmd`. Give it back with `scontrol update "
        "NodeName=NODE State=RESUME`.",
        source="the states of nodes in Slurm's manual, sinfo(1)",
        asks=ask(NODE),
        judge=_node_state,
        applies=_registered,
        sightings=2,
        grace=True,
        units=("slurmd.service",),
    ),
    Check(
        id="slurm.gres_match",
        title="the accelerators that Slurm counts on are there",
        severity="critical",
        action="reboot",
        owner="node",
        judges="Critical when there are fewer devices than Slurm's Gres says, warn when there are more. "
        "Nothing is judged where Slurm counts none, or parts of devices.",
        remedy="Fewer: see what its other GPU checks say, and reboot it. More, or when the configuration is wrong: "
        "`aiops cluster deploy --only scheduler`.",
        source="Slurm's manual, gres.conf(5): a job is given devices by this count",
        asks=ask(NODE, PARTITIONS),
        judge=_gres,
        applies=_counts_devices,
    ),
    Check(
        id="slurm.memory_cpus_match",
        title="the memory and the processors that Slurm counts on are there",
        severity="critical",
        action="service",
        owner="node",
        judges="Critical when there is less than RealMemory or CPUs of slurm.conf say, by Slurm's own measure: "
        "`node_reg_mem_percent` and `config_overrides` count.",
        remedy="When a module or a socket is gone, have it replaced. A new kernel may leave a few MiB less: "
        "`aiops cluster deploy --only scheduler` writes down what is there.",
        source="Slurm's manual, slurm.conf(5): a node that registers with less is made invalid and gets no work",
        asks=ask(NODE),
        judge=_memory_and_processors,
        applies=_must_have_it_all,
    ),
    Check(
        id="slurm.ctld",
        title="the controller of Slurm answers",
        severity="critical",
        action="restart_service",
        owner="node",
        judges="Critical when no slurmctld answers `scontrol ping` on its own host, warn when one of several does not.",
        remedy="On its host: `systemctl restart slurmctld`, and read `journalctl -u slurmctld -n 50`. It also seems "
        "down where munge does not work.",
        source="Slurm's manual, scontrol(1)",
        asks=ask(PING),
        judge=_ctld,
        applies=_served(PING, "workers", "head"),
        grace=True,
        units=("slurmctld.service",),
    ),
    Check(
        id="munge.roundtrip",
        title="munge works",
        severity="critical",
        action="restart_service",
        owner="node",
        judges="Critical when `munge -n | unmunge` fails on the node.",
        remedy="`aiops node exec --on NODE --root -- systemctl restart munge`. When its key is another than that of "
        "the head: `aiops cluster deploy --only scheduler`.",
        source="munge(7): without it no message of Slurm is believed",
        asks=ask(MUNGE),
        judge=_munge,
        applies=_served(MUNGE, "workers", "head"),
        tags=("slurm",),
        grace=True,
        units=("munge.service",),
    ),
)


@hookimpl
def health_checks() -> tuple[Check, ...]:
    """The checks of this plugin."""
    return CHECKS

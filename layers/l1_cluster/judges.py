"""The judges of preflight: each a pure function from the situation to what it finds."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from statistics import median

from aiops.layers.core.errors import UnreachableError
from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.nodeset import fold
from aiops.layers.l0_nodes.variables import variables_of

from .expectation import VIRTUAL_CARDS, origin, shortfalls
from .finding import Finding, Severity, Situation
from .slurm_release import reach, understood

OLDEST_PYTHON = (3, 9)
Values = Callable[[Facts], Iterable[str | None]]
Judge = Callable[[Situation], Iterator[Finding]]


def _reached(situation: Situation) -> Iterator[Finding]:
    for node in situation.nodes:
        error = situation.errors.get(node.name)
        if error is not None:
            check = "reachable" if isinstance(error, UnreachableError) else "probe"
            if error.code.startswith(("become", "sudo")):
                check = "root"
            yield _error(check, node, error.message, next(iter(error.hints), None))
        elif node.name not in situation.facts:
            yield _error("reachable", node, "was not probed")


def _system(situation: Situation) -> Iterator[Finding]:
    for node, facts in situation.known():
        if facts.os_id is None or facts.os_version is None:  # one that is known is judged by `require_supported`
            yield _error("os", node, f"its operating system is unknown: {_why(facts, 'os_id')}")
        if facts.python is None:
            yield _error("python", node, f"the version of python3 is unknown: {_why(facts, 'python')}")
        elif _version(facts.python) < OLDEST_PYTHON:
            wanted = ".".join(map(str, OLDEST_PYTHON))
            yield _error(
                "python",
                node,
                f"python {facts.python} is older than {wanted}",
                f"set ansible_python_interpreter to a python >= {wanted}",
            )


def _room(situation: Situation) -> Iterator[Finding]:
    limits = situation.limits
    for node, facts in situation.known():
        free = {disk.path: disk.free_mib for disk in facts.disks or () if disk.path in ("/", "/var")}
        if "/" not in free:
            yield _warning("disk", node, f"its free disk space is unknown: {_why(facts, 'disks')}")
        for path, left in free.items():
            if left < limits.disk_mib:
                yield _error("disk", node, f"{left} MiB free on {path}", f"free {limits.disk_mib} MiB: `apt-get clean`")
            elif left < limits.disk_warn_mib:
                yield _warning("disk", node, f"less than {limits.disk_warn_mib} MiB free on {path}")
        if facts.memory_mib is None:
            yield _warning("memory", node, f"its memory is unknown: {_why(facts, 'memory_mib')}")
        elif facts.memory_mib < limits.memory_mib:
            yield _error("memory", node, f"{facts.memory_mib} MiB of memory, less than {limits.memory_mib}")


def _clocks(situation: Situation) -> Iterator[Finding]:
    """Clocks against the median of all, this machine's among them, so that one wrong clock blames nobody else."""
    limits = situation.limits
    offsets = {name: facts.clock.offset for name, facts in situation.facts.items() if facts.clock is not None}
    middle = median([0.0, *offsets.values()]) if len(offsets) > 1 else 0.0
    for node, facts in situation.known():
        if facts.clock is None:
            yield _warning("clock", node, f"its clock is unknown: {_why(facts, 'clock')}")
            continue
        offset = facts.clock.offset - middle
        if abs(offset) <= limits.offset:
            continue
        message = f"its clock is {_span(offset)} the others'"
        hint = "deploy the phase that sets clocks too: `aiops cluster deploy`"
        if situation.clock_phase is not None:
            yield _warning("clock", node, f"{message}; phase `{situation.clock_phase}` sets it")
        elif abs(offset) > limits.offset_error:
            yield _error("clock", node, message, hint)
        else:
            yield _warning("clock", node, message, hint)


def _machines(situation: Situation) -> Iterator[Finding]:
    """The same machine under two names, and machines cloned from one another."""
    for names in _groups(situation, _machine).values():
        boots = {situation.facts[name].boot_id for name in names}
        if len(boots) == 1 and None not in boots:
            finding = Finding("machine", "error", names, "are one and the same machine", "list it once")
        else:
            hint = "on the clones: `rm /etc/machine-id && systemd-machine-id-setup`, then reboot"
            finding = Finding("machine", "warning", names, "have one machine-id (cloned?)", hint)
        yield from _chosen(situation, finding)


def _twins(situation: Situation) -> Iterator[Finding]:
    """Host names, addresses and network cards that more than one machine has.

    Network cards are warnings only: service processors of some makers bring the same address into every machine.
    """
    kinds: tuple[tuple[str, Values, Severity, str], ...] = (
        ("host name", _hostname, "error", "give each its own: `hostnamectl hostname NAME`"),
        ("address", _addresses(situation), "error", "give each its own address"),
        ("network card", _cards, "warning", "if they are clones: give each card its own MAC address"),
    )
    same = set(_groups(situation, _boot).values())
    for words, values, severity, hint in kinds:
        for value, names in _groups(situation, values).items():
            if names not in same:  # one machine under two names has everything twice
                finding = Finding("twins", severity, names, f"have the same {words}, {value}", hint)
                yield from _chosen(situation, finding)


def _names(situation: Situation) -> Iterator[Finding]:
    for node, facts in situation.known():
        if facts.hostname is None:
            yield _warning("hostname", node, f"its host name is unknown: {_why(facts, 'hostname')}")
        elif _short(facts.hostname) != _short(node.name) and not _is_address(node.name):
            yield _warning(
                "hostname",
                node,
                f"calls itself `{facts.hostname}`",
                f"on it: `hostnamectl hostname {node.name}`, or call it so in the inventory",
            )


def _expected(situation: Situation) -> Iterator[Finding]:
    for node, facts in situation.known():
        for short in shortfalls(variables_of(node), facts):
            message = short.found
            if short.expected is not None:
                whose = origin(node, short.variable, situation.everyone or situation.nodes)
                message = f"{short.found}, {short.expected} expected{whose}"
            yield Finding(short.check, short.severity, (node.name,), message, short.hint)
        if situation.pair_mismatch is not None:
            reason = situation.pair_mismatch(facts)
            if reason is not None:
                yield _error("accelerators", node, reason)


def _schedulers(situation: Situation) -> Iterator[Finding]:
    """Workers and login nodes whose Slurm the head's does not understand."""
    if situation.slurm is None:
        return
    head = next((node for node in situation.everyone or situation.nodes if "head" in node.roles), None)
    controller = situation.slurm(head.name) if head is not None else None
    for node, _ in situation.known():
        works = "workers" in node.roles and variables_of(node).aiops_engine == "slurm"
        if controller is None or node is head or not (works or "login" in node.roles):
            continue
        own = situation.slurm(node.name)
        fits = None if own is None else understood(controller, own)
        if fits is None:
            yield _warning("slurm", node, f"whether the head's Slurm {controller} understands its own is unknown")
        elif not fits:
            yield (_error if works else _warning)(
                "slurm",
                node,
                f"the head's Slurm {controller} does not understand its Slurm {own}, only its own release and the"
                f" {reach(controller)} before",
                "set `aiops_engine: ssh` for it, or give head and workers releases that fit: docs/groups.md",
            )


def _free(situation: Situation) -> Iterator[Finding]:
    for node, facts in situation.known():
        if facts.package_lock_held:
            judge = _error if situation.installs else _warning
            yield judge(
                "packages",
                node,
                "another program is installing packages",
                "wait for its end; who it is: `lsof /var/lib/dpkg/lock-frontend`",
            )
        elif facts.package_lock_held is None:
            yield _warning(
                "packages", node, f"whether packages are being installed is unknown: {_why(facts, 'package_lock_held')}"
            )
        if situation.here is not None and situation.here == (facts.machine_id, facts.boot_id):
            yield _warning("controller", node, "is the machine aiops runs on: it is never rebooted by a deploy")


JUDGES: tuple[Judge, ...] = (
    _reached,
    _system,
    _room,
    _clocks,
    _machines,
    _twins,
    _names,
    _expected,
    _schedulers,
    _free,
)


def _error(check: str, node: Node, message: str, hint: str | None = None) -> Finding:
    return Finding(check, "error", (node.name,), message, hint)


def _warning(check: str, node: Node, message: str, hint: str | None = None) -> Finding:
    return Finding(check, "warning", (node.name,), message, hint)


def _chosen(situation: Situation, finding: Finding) -> Iterator[Finding]:
    """The finding on those of its nodes that are chosen, naming the others; nothing when none of them is."""
    chosen = tuple(node.name for node in situation.nodes if node.name in finding.nodes)
    others = sorted(set(finding.nodes) - set(chosen))
    if chosen:
        message = finding.message + (f" (with {fold(others)})" if others else "")
        yield replace(finding, nodes=chosen, message=message)


def _why(facts: Facts, subject: str) -> str:
    return (facts.unknown or {}).get(subject, "the node did not say")


def _groups(situation: Situation, values: Values) -> dict[str, tuple[str, ...]]:
    """Values that more than one node has, with the nodes' names."""
    seen: dict[str, list[str]] = defaultdict(list)
    for name, facts in sorted(situation.facts.items()):
        for value in {value for value in values(facts) if value}:
            seen[value].append(name)
    return {value: tuple(names) for value, names in sorted(seen.items()) if len(names) > 1}


def _machine(facts: Facts) -> Iterable[str | None]:
    return [facts.machine_id]


def _boot(facts: Facts) -> Iterable[str | None]:
    return [f"{facts.machine_id} {facts.boot_id}" if facts.machine_id and facts.boot_id else None]


def _hostname(facts: Facts) -> Iterable[str | None]:
    return [_short(facts.hostname)]


def _addresses(situation: Situation) -> Values:
    """Only addresses by which a node is reached can clash: bridges of containers have the same everywhere."""
    used = {node.connection.address for node in situation.nodes}
    used |= {address for node in situation.nodes if (address := variables_of(node).aiops_address)}

    def addresses(facts: Facts) -> Iterable[str | None]:
        cards = [card for card in facts.interfaces or () if card.name != "lo"]
        return {address.partition("/")[0] for card in cards for address in card.addresses} & used

    return addresses


def _cards(facts: Facts) -> Iterable[str | None]:
    return [
        card.mac.lower()
        for card in facts.interfaces or ()
        if card.mac and card.mac.strip("0:") and not card.name.startswith(VIRTUAL_CARDS)
    ]


def _short(name: str | None) -> str:
    return (name or "").partition(".")[0].lower()


def _is_address(name: str) -> bool:
    return ":" in name or name.replace(".", "").isdigit()


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())


def _span(offset: float) -> str:
    size = abs(offset)
    words = f"{size:.0f} s" if size < 120 else f"{size / 60:.0f} min" if size < 7200 else f"{size / 3600:.0f} h"  # noqa: PLR2004
    return f"{words} {'ahead of' if offset > 0 else 'behind'}"

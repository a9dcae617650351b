"""Preflight: what stands in a deploy's way, found on all nodes before anything is touched.

Pure judges over one probe of every node. A finding of severity `error` keeps its nodes out of the deploy and leaves
the others in; a `warning` keeps nobody out. What could not be read is a finding too: unknown is never fine. Mistakes
of the whole (no head, two heads) are not findings: `require` raises them before any node is asked.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any, Literal

from aiops.layers.core.errors import AiopsError, InputError, Problem, UnreachableError
from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l0_nodes.inventory import Inventory
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.nodeset import fold
from aiops.layers.l0_nodes.variables import variables_of

SUPPORTED = {("debian", "12"): "Debian 12", ("ubuntu", "22.04"): "Ubuntu 22.04", ("ubuntu", "24.04"): "Ubuntu 24.04"}
OLDEST_PYTHON = (3, 9)
Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a judge draws its line.

    Attributes:
        disk_mib: Free MiB on `/` and `/var` below which packages do not fit; `disk_warn_mib` below which they may not.
        memory_mib: Memory in all below which a node is not worth deploying.
        offset: Seconds a clock may differ from the others; munge refuses at 300 what `offset_error` does not let
            through.
    """

    disk_mib: int = 512
    disk_warn_mib: int = 2048
    memory_mib: int = 480
    offset: float = 2.0
    offset_error: float = 240.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found, on all the nodes where it is the same.

    Attributes:
        check: Which judge found it (`disk`, `clock`, ...).
        hint: A command or step that mends it.
    """

    check: str
    severity: Severity
    nodes: tuple[str, ...]
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        return f"{fold(self.nodes)}: {self.message}"

    def document(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "check": self.check,
            "severity": self.severity,
            "nodes": list(self.nodes),
            "message": self.message,
            "hint": self.hint,
        }


@dataclass(frozen=True, slots=True)
class Survey:
    """All that preflight judges.

    Attributes:
        nodes: The nodes the deploy is for.
        facts: By node, for those that answered (nodes beside the chosen ones may be in it: they help to compare).
        errors: By node, for those that did not.
        here: `(machine_id, boot_id)` of the controller, to know its own host; None where it has none.
        mends_clock: Whether the deploy sets the clocks (phase `time` is among the chosen ones).
        pair_mismatch: The accelerator judge: reason for which a node's driver pair does not fit together, or None.
    """

    nodes: Sequence[Node]
    facts: Mapping[str, Facts]
    errors: Mapping[str, AiopsError]
    here: tuple[str, str] | None = None
    mends_clock: bool = False
    pair_mismatch: Callable[[Facts], str | None] | None = None
    limits: Limits = field(default_factory=Limits)

    def known(self) -> Iterator[tuple[Node, Facts]]:
        """The chosen nodes that answered."""
        for node in self.nodes:
            if node.name in self.facts:
                yield node, self.facts[node.name]


def require(inventory: Inventory, needs: Mapping[str, Iterable[str]]) -> None:
    """Refuse an inventory that the chosen phases cannot be run on.

    Args:
        inventory: The inventory.
        needs: By phase, the role groups that must not be empty.

    Raises:
        InputError: All that is wrong, as problems: a role that a phase needs is empty, there are two heads.
    """
    problems = []
    heads = inventory.role("head")
    if len(heads) > 1:
        problems.append(
            Problem(
                f"there are {len(heads)} heads ({fold(node.name for node in heads)}), a cluster has one",
                file=str(inventory.path),
                hint="leave one host in the group that plays `head`",
            )
        )
    wanting = defaultdict(list)
    for phase, roles in needs.items():
        for role in roles:
            if not inventory.role(role):
                wanting[role].append(phase)
    for role, phases in wanting.items():
        problems.append(
            Problem(
                f"no host plays the role `{role}`, which phase{'s' * (len(phases) > 1)} {', '.join(phases)} need"
                f"{'s' * (len(phases) == 1)}",
                file=str(inventory.path),
                hint=f"put a host into a group `{role}`, or map yours in aiops.toml (`[roles] {role} = \"GROUP\"`)",
            )
        )
    if problems:
        raise InputError(
            f"{inventory.path} does not fit what is to be deployed",
            code="preflight.roles",
            hints=["check it with `aiops cluster validate`", "choose phases with `--only PHASE`"],
            problems=problems,
        )


def preflight(survey: Survey) -> tuple[Finding, ...]:
    """All findings, errors first, equal ones folded, in the order of the checks."""
    found = [finding for judge in _JUDGES for finding in judge(survey)]
    return tuple(sorted(_folded(found, survey.nodes), key=lambda finding: finding.severity != "error"))


def excluded(findings: Iterable[Finding]) -> frozenset[str]:
    """The nodes that an error keeps out of the deploy."""
    return frozenset(name for finding in findings if finding.severity == "error" for name in finding.nodes)


def _reached(survey: Survey) -> Iterator[Finding]:
    for node in survey.nodes:
        error = survey.errors.get(node.name)
        if error is not None:
            check = "reachable" if isinstance(error, UnreachableError) else "probe"
            if error.code.startswith(("become", "sudo")):
                check = "root"
            yield _error(check, node, error.message, next(iter(error.hints), None))
        elif node.name not in survey.facts:
            yield _error("reachable", node, "was not probed")


def _system(survey: Survey) -> Iterator[Finding]:
    for node, facts in survey.known():
        release = (facts.os_id, facts.os_version)
        if None in release:
            yield _error("os", node, f"its operating system is unknown: {_why(facts, 'os_id')}")
        elif release not in SUPPORTED:
            name = facts.os_name or f"{facts.os_id} {facts.os_version}"
            yield _error(
                "os", node, f"{name} is not supported", f"install one of: {', '.join(sorted(SUPPORTED.values()))}"
            )
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


def _room(survey: Survey) -> Iterator[Finding]:
    limits = survey.limits
    for node, facts in survey.known():
        free = {disk.path: disk.free_mib for disk in facts.disks or ()}
        for path in ("/", "/var"):
            left = free.get(path, free.get("/") if path == "/var" and facts.disks else None)
            if left is None:
                yield _warning("disk", node, f"free space on {path} is unknown: {_why(facts, 'disks')}")
            elif path not in free and path != "/":
                continue  # /var is on /, which was judged
            elif left < limits.disk_mib:
                yield _error("disk", node, f"{left} MiB free on {path}", f"free {limits.disk_mib} MiB: `apt-get clean`")
            elif left < limits.disk_warn_mib:
                yield _warning("disk", node, f"less than {limits.disk_warn_mib} MiB free on {path}")
        if facts.memory_mib is None:
            yield _warning("memory", node, f"its memory is unknown: {_why(facts, 'memory_mib')}")
        elif facts.memory_mib < limits.memory_mib:
            yield _error("memory", node, f"{facts.memory_mib} MiB of memory, less than {limits.memory_mib}")


def _clocks(survey: Survey) -> Iterator[Finding]:
    """Clocks against the median of all, so that one wrong clock (be it this machine's) blames nobody else."""
    limits = survey.limits
    offsets = {name: facts.clock.offset for name, facts in survey.facts.items() if facts.clock is not None}
    for node, facts in survey.known():
        if facts.clock is None:
            yield _warning("clock", node, f"its clock is unknown: {_why(facts, 'clock')}")
    if len(offsets) < 2:  # noqa: PLR2004 - one clock alone is never wrong
        return
    middle = median(offsets.values())
    for node, _ in survey.known():
        offset = offsets.get(node.name, middle) - middle
        if abs(offset) <= limits.offset:
            continue
        message = f"its clock is {_span(offset)} the others'"
        if survey.mends_clock:
            yield _warning("clock", node, f"{message}; phase `time` sets it")
        elif abs(offset) > limits.offset_error:
            yield _error("clock", node, message, "set it: `aiops cluster deploy --only time`")
        else:
            yield _warning("clock", node, message, "set it: `aiops cluster deploy --only time`")


def _twins(survey: Survey) -> Iterator[Finding]:
    """The same machine under two names, cloned machines, and addresses that two nodes claim."""
    chosen = {node.name: node for node in survey.nodes}
    by_machine = _groups(survey, lambda facts: [facts.machine_id])
    for names in by_machine.values():
        boots = {survey.facts[name].boot_id for name in names}
        for name in names:
            others = fold(other for other in names if other != name)
            if name not in chosen:
                continue
            if len(boots) == 1:
                yield _error("machine", chosen[name], f"is the same machine as {others}", "list each machine once")
            else:
                yield _warning(
                    "machine",
                    chosen[name],
                    f"has the machine-id of {others}: one was cloned from the other",
                    "on the clone: `rm /etc/machine-id && systemd-machine-id-setup`, then reboot",
                )
    one_machine = {frozenset(names) for names in by_machine.values()}
    hostnames = _groups(survey, lambda facts: [_short(facts.hostname)])
    for word, groups, hint in (
        ("host name", hostnames, "give each its own: `hostnamectl hostname NAME`"),
        ("address", _groups(survey, _reached_by(survey)), "give each its own address"),
    ):
        for value, names in groups.items():
            if frozenset(names) in one_machine:
                continue
            for name in names:
                if name in chosen:
                    others = fold(other for other in names if other != name)
                    yield _error("twins", chosen[name], f"has the {word} {value}, as {others} has", hint)
    # Warnings only: the service processors of some makers bring the same address into every machine.
    for value, names in _groups(survey, _cards).items():
        if frozenset(names) not in one_machine:
            for name in names:
                if name in chosen:
                    others = fold(other for other in names if other != name)
                    yield _warning("twins", chosen[name], f"has the network card {value}, as {others} has")


def _names(survey: Survey) -> Iterator[Finding]:
    for node, facts in survey.known():
        if facts.hostname is None:
            yield _warning("hostname", node, f"its host name is unknown: {_why(facts, 'hostname')}")
        elif _short(facts.hostname) != _short(node.name) and not _is_address(node.name):
            yield _warning(
                "hostname",
                node,
                f"calls itself `{facts.hostname}`",
                f"on it: `hostnamectl hostname {node.name}`, or call it so in the inventory",
            )


def _devices(survey: Survey) -> Iterator[Finding]:
    for node, facts in survey.known():
        expected = variables_of(node).aiops_accelerators
        if expected is not None:
            if facts.bus_accelerators is None:
                yield _error("accelerators", node, f"its bus could not be read: {_why(facts, 'bus_accelerators')}")
                continue
            count = sum(one.count for one in facts.bus_accelerators if one.vendor == expected.vendor)
            if count != expected.count:
                yield _error(
                    "accelerators",
                    node,
                    f"{count} {expected.vendor} devices on the bus, {expected.count} expected",
                    "look: `lspci -nn`; what is expected is `aiops_accelerators` in the inventory",
                )
            models = {one.model for one in facts.accelerators or () if one.model and one.vendor == expected.vendor}
            wrong = sorted(model for model in models if expected.model and expected.model not in model)
            if wrong:
                yield _warning("accelerators", node, f"{', '.join(wrong)} where {expected.model} is expected")
        if survey.pair_mismatch is not None:
            reason = survey.pair_mismatch(facts)
            if reason is not None:
                yield _error("accelerators", node, reason)


def _free(survey: Survey) -> Iterator[Finding]:
    for node, facts in survey.known():
        if facts.package_lock_held:
            yield _error(
                "packages",
                node,
                "another program is installing packages",
                "wait for its end; who it is: `lsof /var/lib/dpkg/lock-frontend`",
            )
        elif facts.package_lock_held is None:
            yield _warning(
                "packages", node, f"whether packages are being installed is unknown: {_why(facts, 'package_lock_held')}"
            )
        if survey.here is not None and survey.here == (facts.machine_id, facts.boot_id):
            yield _warning("controller", node, "is the machine aiops runs on: it is never rebooted by a deploy")


_JUDGES: tuple[Callable[[Survey], Iterator[Finding]], ...] = (
    _reached,
    _system,
    _room,
    _clocks,
    _twins,
    _names,
    _devices,
    _free,
)


def _folded(found: Iterable[Finding], nodes: Sequence[Node]) -> Iterator[Finding]:
    """Findings that say the same, their node's name and address aside, as one."""
    order = {node.name: place for place, node in enumerate(nodes)}
    addresses = {node.name: node.connection.address for node in nodes}
    groups: dict[tuple[str, str, str, str | None], list[Finding]] = defaultdict(list)
    for finding in found:
        name = finding.nodes[0]
        said = _neutral(finding.message, name, addresses[name])
        hint = None if finding.hint is None else _neutral(finding.hint, name, addresses[name])
        groups[finding.check, finding.severity, said, hint].append(finding)
    for (_, _, said, hint), members in groups.items():
        if len(members) == 1:
            yield members[0]
            continue
        names = sorted({finding.nodes[0] for finding in members}, key=order.__getitem__)
        plain = [None if text is None else text.replace(_NAME, "NODE").replace(_ADDRESS, "ADDRESS") for text in (hint,)]
        message = said.replace(f"`{_NAME}`", "it").replace(_NAME, "it").replace(_ADDRESS, "its address")
        yield replace(members[0], nodes=tuple(names), message=message, hint=plain[0])


_NAME, _ADDRESS = "\0name\0", "\0address\0"


def _neutral(text: str, name: str, address: str) -> str:
    text = text.replace(f"`{name}`", f"`{_NAME}`")
    text = text.removeprefix(f"{name}: ").replace(f" {name} ", f" {_NAME} ")
    return text.replace(address, _ADDRESS) if address and address != name else text


def _error(check: str, node: Node, message: str, hint: str | None = None) -> Finding:
    return Finding(check, "error", (node.name,), message, hint)


def _warning(check: str, node: Node, message: str, hint: str | None = None) -> Finding:
    return Finding(check, "warning", (node.name,), message, hint)


def _why(facts: Facts, subject: str) -> str:
    return (facts.unknown or {}).get(subject, "the node did not say")


def _groups(survey: Survey, values: Callable[[Facts], Iterable[str | None]]) -> dict[str, list[str]]:
    """Values that more than one node has, with the nodes' names."""
    seen: dict[str, list[str]] = defaultdict(list)
    for name, facts in survey.facts.items():
        for value in {value for value in values(facts) if value}:
            seen[value].append(name)
    return {value: names for value, names in sorted(seen.items()) if len(names) > 1}


def _reached_by(survey: Survey) -> Callable[[Facts], Iterable[str]]:
    """Only addresses by which a node is reached can clash: bridges of containers have the same everywhere."""
    used = {node.connection.address for node in survey.nodes}
    used |= {address for node in survey.nodes if (address := variables_of(node).aiops_address)}

    def addresses(facts: Facts) -> Iterable[str]:
        found = {str(address).partition("/")[0] for card in facts.interfaces or () for address in card.addresses}
        return found & used

    return addresses


_VIRTUAL = ("docker", "virbr", "veth", "br-", "cni", "flannel", "cali", "kube", "tun", "tap", "lo", "dummy", "vxlan")


def _cards(facts: Facts) -> Iterable[str]:
    return [
        card.mac.lower()
        for card in facts.interfaces or ()
        if card.mac and card.mac.strip("0:") and not card.name.startswith(_VIRTUAL)
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

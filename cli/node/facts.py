"""`aiops node facts`: what one probe says of nodes."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from aiops.cli.app import App
from aiops.cli.exit import Exit, exit_of, worst
from aiops.cli.options import InventoryOption, JsonOption, QuietOption
from aiops.cli.screen import Screen
from aiops.layers.core.errors import AiopsError

from . import failures

if TYPE_CHECKING:
    from aiops.layers.l0_nodes.facts import Facts, RdmaPort


def facts(
    context: typer.Context,
    nodes: Annotated[str, typer.Argument(metavar="NODE", help="A node, or a node set such as `gpu[01-04],@workers`.")],
    *,
    inventory: InventoryOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Ask nodes what is in them: system, processors, memory, network, accelerators."""
    from aiops.layers.l0_nodes.fact_reading import fact_asks, facts_of
    from aiops.layers.l0_nodes.probe import probe
    from aiops.layers.l0_nodes.vendor import vendors_of

    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    read = aiops.inventory(inventory)
    chosen = read.select(nodes)
    vendors = vendors_of(aiops.plugins)
    found: dict[str, Facts] = {}
    errors: dict[str, AiopsError] = {}
    with (
        aiops.fleet(read, chosen) as fleet,
        screen.step("facts", nodes=[node.name for node in chosen]) as step,
    ):
        for outcome in probe(fleet, chosen, lambda _: fact_asks(vendors), aiops.clock):
            if outcome.value is not None:
                found[outcome.node.name] = facts_of(outcome.value, vendors)
            elif outcome.error is not None:
                errors[outcome.node.name] = outcome.error
            step.done(outcome.node.name, failed=outcome.error is not None)
    found = {node.name: found[node.name] for node in chosen if node.name in found}
    if json:
        screen.document(
            {
                "nodes": [one.document() for one in found.values()],
                "errors": [failures.document(screen, name, error) for name, error in errors.items()],
            }
        )
    else:
        rows = [(name, fact, value) for name, one in found.items() for fact, value in _rows(one)]
        if len(chosen) == 1:
            screen.table(("fact", "value"), [row[1:] for row in rows])
        else:
            screen.table(("node", "fact", "value"), rows)
        _complain(screen, found)
    failures.tell(screen, errors)
    return worst(exit_of(error) for error in errors.values()) if errors else Exit.DONE


def _rows(one: "Facts") -> list[tuple[str, Any]]:
    """The facts as a person looks for them; what is unknown is missing here and explained below."""
    rows: list[tuple[str, Any]] = [
        ("simulated", "yes: a host of the lab, its accelerators are not real" if one.simulated else None),
        ("hostname", one.hostname),
        ("system", one.os_name),
        ("kernel", f"{one.kernel} {one.architecture or ''}".strip() if one.kernel else None),
        ("virtualization", one.virtualization),
        ("cgroup", one.cgroup),
        ("python", one.python),
        ("processors", _processors(one)),
        ("memory", f"{one.memory_mib} MiB" if one.memory_mib is not None else None),
        ("swap", f"{one.swap_mib} MiB" if one.swap_mib else None),
        *((f"disk {disk.path}", f"{disk.free_mib} of {disk.total_mib} MiB free") for disk in one.disks or ()),
        *(
            (f"network {card.name}", " ".join(filter(None, (*card.addresses, card.mac, _speed(card.speed)))))
            for card in one.interfaces or ()
            if card.name != "lo"
        ),
        *((f"network {port.device}/{port.port}", _rdma(port)) for port in one.rdma_ports or ()),
        *(
            (f"on the bus: {each.vendor}", f"{each.count}: {' '.join(each.buses)}")
            for each in one.bus_accelerators or ()
        ),
        *((f"accelerator {each.index}", _accelerator(each)) for each in one.accelerators or ()),
        ("clock", f"{one.clock.offset:+.3f} s from ours" if one.clock is not None else None),
        ("package lock", "held" if one.package_lock_held else None),
        ("machine-id", one.machine_id),
        ("boot-id", one.boot_id),
    ]
    return [(name, value) for name, value in rows if value is not None]


def _processors(one: "Facts") -> str | None:
    if one.threads is None:
        return None
    return f"{one.threads} ({one.sockets} sockets, {one.cores} cores) {one.cpu_model or ''}".strip()


def _speed(speed: int | None) -> str:
    return f"{speed} Mbit/s" if speed else ""


def _rdma(port: "RdmaPort") -> str:
    speed = f"{port.speed_gbit:g} Gbit/s" if port.speed_gbit is not None else None
    return " ".join(filter(None, (port.kind, speed, port.state)))


def _accelerator(each: Any) -> str:
    parts = (
        "simulated" if each.simulated else None,
        each.model,
        f"driver {each.driver}" if each.driver else None,
        f"{each.memory_used_mib}/{each.memory_total_mib} MiB" if each.memory_total_mib is not None else None,
        f"{each.temperature_c:g} °C" if each.temperature_c is not None else None,
        f"{each.power_w:g} W" if each.power_w is not None else None,
        each.bus,
        each.uuid,
    )
    return ", ".join(filter(None, parts))


def _complain(screen: Screen, found: "dict[str, Facts]") -> None:
    """What could not be read, equal reasons of several nodes once."""
    from aiops.layers.l0_nodes.nodeset import fold

    reasons: dict[tuple[str, str], list[str]] = {}
    for name, one in found.items():
        for fact, reason in one.unknown.items():
            if one.unknown.get(fact.partition(".")[0]) == reason and "." in fact:
                continue  # said of the whole already
            reasons.setdefault((fact, reason), []).append(name)
    for (fact, reason), names in reasons.items():
        screen.note(f"{fold(names)}: {fact} is unknown: {reason}")

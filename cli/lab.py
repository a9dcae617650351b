"""`aiops lab`: a cluster of booted hosts on this machine."""

from typing import TYPE_CHECKING, Annotated

import typer

from aiops.layers.core.errors import InputError, NotFoundError
from aiops.layers.core.event import Event, EventStream
from aiops.layers.core.identifier import run_id

from .app import App
from .lab_order import bound, mebibytes, simulated, worker_group
from .options import JsonOption, QuietOption
from .screen import Screen
from .step import layout

if TYPE_CHECKING:
    from aiops.layers.l0_nodes.lab import HostStatus, Lab, Simulated
    from aiops.layers.l0_nodes.vendor import Vendor

app = typer.Typer(no_args_is_help=True, help="A real cluster of booted hosts on this machine, faults on demand.")

NameOption = Annotated[
    str | None, typer.Option("--name", metavar="NAME", help="Which lab; several stand side by side. [the only one]")
]
NodeArgument = Annotated[
    str, typer.Argument(metavar="NODE", help="The host, or some: `gpu[01-02]`, `@workers`, `@all`.")
]
_DEFAULT_NAME = "lab"
_WORKERS = 2


@app.command()
def up(
    context: typer.Context,
    *,
    nodes: Annotated[
        int | None, typer.Option("--nodes", metavar="N", help="Workers; the head comes on top, 0 is a head alone. [2]")
    ] = None,
    accelerator: Annotated[
        str | None,
        typer.Option(
            "--accelerator", metavar="VENDOR:N[:MODEL]", help="Simulated devices of each worker, e.g. `nvidia:8`."
        ),
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option(
            "--group",
            metavar="NAME=N[,VENDOR:N[:MODEL]][,RELEASE]",
            help="Instead of `--nodes`: N workers in a group NAME, e.g. `l40s=2,nvidia:4:L40S`; repeatable.",
        ),
    ] = None,
    release: Annotated[
        str, typer.Option("--release", metavar="RELEASE", help="The hosts' Debian: `bookworm` (12) or `trixie` (13).")
    ] = "bookworm",
    driver: Annotated[
        str | None,
        typer.Option("--driver", metavar="VERSION", help="The vendor's driver is there already; bare otherwise."),
    ] = None,
    disk: Annotated[str, typer.Option("--disk", metavar="SIZE", help="Each host's disk (sparse), e.g. `20G`.")] = "8G",
    memory: Annotated[
        str | None, typer.Option("--memory", metavar="SIZE", help="Most that the whole lab may use, e.g. `4G`.")
    ] = None,
    bind: Annotated[
        list[str] | None,
        typer.Option("--bind", metavar="HERE:THERE", help="A folder that every host sees, read-only; repeatable."),
    ] = None,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="The lab's name.")] = _DEFAULT_NAME,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Boot a head and N workers; print the path of their inventory."""
    from aiops.layers.l0_nodes.lab import Lab, LabSpec

    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    if group and (nodes is not None or accelerator is not None):
        raise InputError(
            "`--group` says what `--nodes` and `--accelerator` say: give either",
            code="usage.group",
            hints=["for example `--group h200=2,nvidia:8:H200 --group cpu=1`"],
        )
    spec = LabSpec(
        name=name,
        nodes=_WORKERS if nodes is None else nodes,
        accelerator=simulated(accelerator) if accelerator else None,
        driver=driver,
        disk_mib=mebibytes(disk, "--disk"),
        memory_mib=mebibytes(memory, "--memory") if memory else None,
        release=release,
        groups=tuple(worker_group(text) for text in group or ()),
        binds=tuple(bound(text) for text in bind or ()),
    )
    lab = Lab.up(spec, home=aiops.home, vendors=_vendors(aiops), events=_events(aiops, screen))
    if json:
        screen.document(_document(lab))
        return
    screen.line(str(lab.inventory_path))
    screen.hint(f"look around with `aiops node list -i {lab.inventory_path}`")
    screen.hint(f"remove it with `aiops lab down{_name_words(name)}`")


@app.command()
def down(
    context: typer.Context,
    *,
    name: NameOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Remove a lab: its processes, mounts, disks, network; nothing is left, whatever was killed when."""
    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    try:
        lab = _open(aiops, screen, name)
        lab.down()
        _forget(aiops, lab)
    except NotFoundError as gone:
        screen.note(f"{gone.message}: nothing to remove")
        if json:
            screen.document({"lab": name or _DEFAULT_NAME, "removed": False})
        return
    if json:
        screen.document({"lab": lab.state.name, "removed": True})


@app.command()
def status(
    context: typer.Context,
    *,
    name: NameOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show the labs, or one lab's hosts: running, reachable, memory, faults that are on."""
    from aiops.layers.l0_nodes.lab import lab_names

    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    names = (name,) if name else lab_names(aiops.home)
    labs = [_open(aiops, screen, each) for each in names]
    if json:
        screen.document([_document(lab) for lab in labs] if name is None else _document(labs[0]))
        return
    if not labs:
        screen.note("there is no lab")
        screen.hint("make one with `aiops lab up --nodes 2`")
        return
    rows = [
        (
            lab.state.name,
            host.name,
            host.group or host.role,
            host.address,
            host.release,
            _devices(host),
            "up" if host.reachable else "not answering" if host.running else "off",
            host.memory_mib,
            ", ".join(host.faults) or None,
        )
        for lab in labs
        for host in lab.status()
    ]
    screen.table(("lab", "host", "group", "address", "release", "devices", "state", "MiB", "faults"), rows)
    for lab in labs:
        if lab.state.stage != "up":
            screen.hint(f"lab `{lab.state.name}` is not whole: `aiops lab down --name {lab.state.name}`")


@app.command()
def inventory(
    context: typer.Context, *, name: NameOption = None, json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Print the path of a lab's inventory."""
    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    lab = _open(aiops, screen, name)
    if json:
        screen.document({"lab": lab.state.name, "inventory": str(lab.inventory_path)})
        return
    screen.line(str(lab.inventory_path))


@app.command()
def fault(
    context: typer.Context,
    node: NodeArgument,
    kind: Annotated[str, typer.Argument(metavar="KIND", help="One of `aiops lab kinds`.")],
    value: Annotated[str | None, typer.Argument(metavar="[VALUE]", help="What the kind takes, e.g. an Xid.")] = None,
    *,
    device: Annotated[int, typer.Option("--device", metavar="N", min=0, help="Which accelerator.")] = 0,
    name: NameOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make something go wrong on a host (or a set of hosts, `gpu[01-02]`); returns when it has."""
    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    lab = _open(aiops, screen, name)
    nodes = _hosts(lab, node)
    for each in nodes:
        lab.fault(each, kind, device=device, value=value)
    if json:
        screen.document({"lab": lab.state.name, "nodes": list(nodes), "fault": kind, "device": device, "value": value})
        return
    screen.note(f"{node}: {kind}")
    if kind != "reboot":
        screen.hint(f"undo it with `aiops lab heal {node} {kind}{_name_words(lab.state.name)}`")


@app.command()
def heal(
    context: typer.Context,
    node: NodeArgument,
    kind: Annotated[str | None, typer.Argument(metavar="[KIND]", help="Only this fault; all by default.")] = None,
    *,
    name: NameOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Undo the faults of a host or a set of hosts."""
    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    lab = _open(aiops, screen, name)
    healed = {each: list(lab.heal(each, kind)) for each in _hosts(lab, node)}
    if json:
        screen.document({"lab": lab.state.name, "healed": healed})
        return
    for each, names in healed.items():
        screen.note(f"{each}: {', '.join(names) + ' healed' if names else 'no fault is on'}")


@app.command()
def kinds(context: typer.Context, *, json: JsonOption = False, quiet: QuietOption = False) -> None:
    """List the faults there are."""
    from aiops.layers.l0_nodes.lab import kinds as all_kinds

    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    if json:
        screen.document([{"kind": kind.name, "effect": kind.sentence} for kind in all_kinds()])
        return
    screen.table(("kind", "effect"), [(kind.name, kind.sentence) for kind in all_kinds()])


def _forget(aiops: App, lab: "Lab") -> None:
    """Forget what was deployed on a lab's hosts: the next lab of that name is another cluster."""
    from aiops.layers.l1_cluster.identity import forget

    head = lab.hosts[0]
    forget(aiops.home / "clusters" / lab.state.name, head.name, head.address)


def _open(aiops: App, screen: Screen, name: str | None) -> "Lab":
    """The lab called `name`, or the only one there is."""
    from aiops.layers.l0_nodes.lab import Lab, lab_names

    names = lab_names(aiops.home)
    if name is None and len(names) > 1:
        raise InputError(
            f"there are several labs: {', '.join(names)}", code="lab.which", hints=[f"say which: `--name {names[0]}`"]
        )
    chosen = name or (names[0] if names else _DEFAULT_NAME)
    return Lab.open(chosen, home=aiops.home, vendors=_vendors(aiops), events=_events(aiops, screen))


def _hosts(lab: "Lab", text: str) -> tuple[str, ...]:
    """The hosts that `text` names, by names or by the lab's groups; all are known before anything is done to one."""
    from aiops.layers.l0_nodes.nodeset import expand, select

    if "@" in text or text.startswith("!"):
        names = [host.name for host in lab.hosts]
        groups: dict[str, list[str]] = {"all": names}
        for host in lab.hosts:
            for group in filter(None, (host.role, host.group)):
                groups.setdefault(group, []).append(host.name)
        return select(text, names, groups)
    chosen = expand(text)
    if not chosen:
        raise InputError("no host is named", code="nodeset.empty", hints=["`aiops lab status` shows all hosts"])
    return tuple(lab.state.host(name).name for name in chosen)


def _vendors(aiops: App) -> "list[Vendor]":
    from aiops.layers.l0_nodes.vendor import AcceleratorHooks

    vendors: list[Vendor] = aiops.plugins.hooks("accelerator", AcceleratorHooks).accelerator_vendor()
    return vendors


def _events(aiops: App, screen: Screen) -> EventStream:
    """A stream shown as one line per step; single hosts are only told of when something is slow."""
    stream = EventStream(run_id(aiops.clock.now()), aiops.clock)

    def show(event: Event) -> None:
        seconds = event.data.get("seconds")
        if event.node is not None:
            return
        if event.kind in {"image_started", "remains_found"}:
            screen.note(f"  {event.message}")
        elif isinstance(seconds, float):
            title = event.kind.split("_")[-1]
            screen.note(layout("✓", title, event.message, seconds))

    stream.subscribe(show)
    return stream


def _document(lab: "Lab") -> dict[str, object]:
    return {
        "lab": lab.state.name,
        "stage": lab.state.stage,
        "inventory": str(lab.inventory_path),
        "subnet": lab.state.subnet,
        "created": lab.state.created,
        "snapshots": list(lab.state.snapshots),
        "accelerator": _accelerator(lab.state.spec.accelerator),
        "hosts": [
            {
                "name": host.name,
                "role": host.role,
                "group": host.group or None,
                "address": host.address,
                "release": host.release,
                "accelerator": _accelerator(host.accelerator),
                "running": host.running,
                "reachable": host.reachable,
                "memory_mib": host.memory_mib,
                "faults": list(host.faults),
            }
            for host in lab.status()
        ],
    }


def _accelerator(one: "Simulated | None") -> dict[str, object] | None:
    if one is None:
        return None
    return {"vendor": one.vendor, "count": one.count, "model": one.model, "simulated": True}


def _devices(host: "HostStatus") -> str | None:
    one = host.accelerator
    return None if one is None else " ".join([f"{one.count} ×", one.vendor, *([one.model] if one.model else [])])


def _name_words(name: str) -> str:
    return "" if name == _DEFAULT_NAME else f" --name {name}"

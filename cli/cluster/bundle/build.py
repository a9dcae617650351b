"""`aiops cluster bundle build`: the one step that needs the internet."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aiops.cli.app import App
from aiops.cli.options import InventoryArgument, InventoryOption, JsonOption, QuietOption, chosen_inventory
from aiops.layers.core.errors import InputError

from .order import DEFAULT, order_of
from .progress import Progress

if TYPE_CHECKING:
    from aiops.cli.screen import Screen
    from aiops.layers.core.plugin import Plugins
    from aiops.layers.l0_nodes.simulated_package import SimulatedPackage
    from aiops.layers.l1_cluster.bundle.build import Built
    from aiops.layers.l1_cluster.bundle.lock import Lock
    from aiops.layers.l1_cluster.bundle.manifest import Artefact
    from aiops.layers.l1_cluster.bundle.target import Target

    from .order import Order

_MIB = 2**20


def build(
    context: typer.Context,
    *,
    file: InventoryArgument = None,
    inventory: InventoryOption = None,
    targets: Annotated[
        list[str] | None,
        typer.Option(
            "--for",
            metavar="RELEASE[/ARCH]",
            help="E.g. `bookworm`, `noble/arm64`; repeatable. [those of the nodes, else bookworm/amd64]",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FOLDER", help="The bundle. [AIOPS_HOME/bundle]")
    ] = None,
    package: Annotated[
        list[str] | None, typer.Option("--package", metavar="NAME", help="One package more; repeatable.")
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option("--source", metavar="LINE", help="One apt source more, e.g. a vendor's; repeatable."),
    ] = None,
    driver: Annotated[
        str | None,
        typer.Option("--driver", metavar="VERSION", help="The vendor's driver at this exact version, from `--source`."),
    ] = None,
    mirror: Annotated[
        str | None, typer.Option("--mirror", metavar="URL", help="Your mirror of the distribution.")
    ] = None,
    simulated: Annotated[
        list[str] | None,
        typer.Option(
            "--simulated",
            metavar="VENDOR[:DRIVER]",
            help="Dummy driver packages for the lab, e.g. `nvidia` or `nvidia:580.95.05`; repeatable.",
        ),
    ] = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Collect every package and wheel that a deploy needs; this alone needs the internet."""
    from aiops.layers.core.event import EventStream
    from aiops.layers.core.home import ensure_folder
    from aiops.layers.core.identifier import run_id
    from aiops.layers.l1_cluster.bundle.build import Request, build_bundle
    from aiops.layers.l1_cluster.bundle.names import packages_of_playbooks
    from aiops.layers.l1_cluster.bundle.target import parse_source, parse_targets
    from aiops.layers.l1_cluster.bundle.workspace import Wanted

    world: App = context.obj
    screen = world.screen(json=json, quiet=quiet)
    sources = tuple(parse_source(line) for line in source or ())
    chosen = parse_targets(targets or ())
    dummies = list(simulated or ())
    order = order_of(world, screen, chosen_inventory(file, inventory), chosen, vendor=bool(sources))
    if order is None:
        wanted = {target: packages_of_playbooks(target, vendor=bool(sources)) for target in chosen or DEFAULT}
    else:
        wanted = dict(order.wanted)
        dummies += order.dummies
    more = tuple(Wanted(name, "--package") for name in package or ())
    for target, named in wanted.items():
        drivers = packages_of_playbooks(target, vendor=True, driver=driver) if driver is not None else ()
        wanted[target] = (*named, *(one for one in drivers if one.version), *more)
    request = Request(
        wanted,
        simulated=_dummies(world.plugins, dummies),
        environments=_environments(world.plugins, order),
        extra_sources=sources,
        mirror=mirror,
    )
    usual = order.output if order is not None else world.home / "bundle"
    folder = (world.working_folder / output) if output else usual
    ensure_folder(world.home)
    events = EventStream(run_id(world.clock.now()), world.clock)
    with Progress(screen, several=len(request.wanted) > 1) as progress:
        events.subscribe(progress)
        built = build_bundle(world.home, folder, request, events, world.clock)
    if json:
        screen.document(_document(built))
    else:
        _summary(screen, built)
    return 0


def _dummies(plugins: "Plugins", words: "Sequence[str]") -> "tuple[SimulatedPackage, ...]":
    """The simulated packages of `VENDOR[:DRIVER]`; two drivers of one vendor may be had together."""
    from aiops.layers.l0_nodes.vendor import AcceleratorHooks

    found: dict[tuple[str, str], SimulatedPackage] = {}
    for word in words:
        vendor, _, driver = word.partition(":")
        hooks = plugins.hooks("accelerator", AcceleratorHooks)
        answers = hooks.simulated_packages(vendor=vendor, driver_version=driver or None)
        if not answers:
            names = ", ".join(one.name for one in plugins.names("accelerator"))
            raise InputError(
                f"there are no simulated packages of `{vendor}`",
                code="bundle.unknown_vendor",
                hints=[f"accelerator plugins: {names}"],
            )
        found.update({(one.name, one.version): one for answer in answers for one in answer})
    return tuple(found.values())


def _environments(plugins: "Plugins", order: "Order | None") -> "dict[Target, tuple[Lock, ...]]":
    """The locks that the inventory's nodes want, by target; no plugin is asked where none is wanted."""
    from aiops.layers.l1_cluster.bundle.lock import chosen_locks, locks_of

    if order is None or not any(order.environments.values()):
        return {}
    locks = locks_of(plugins)
    return {target: chosen_locks(locks, wishes, order.folder) for target, wishes in order.environments.items()}


def _summary(screen: "Screen", built: "Built") -> None:
    bundle = built.bundle
    debs, wheels = bundle.artefacts("deb"), bundle.artefacts("wheel")
    dummies = [one for one in debs if one.simulated]
    size = bundle.size // _MIB
    state = "has not changed" if built.unchanged else "is ready"
    screen.line(f"{bundle.path} {state}: {len(debs)} packages, {len(wheels)} wheels, {size} MiB")
    screen.line(
        f"  fetched    {built.fetched or 'nothing'}{f' files, {_size(built.fetched_bytes)}' * bool(built.fetched)}"
    )
    screen.line(f"  for        {', '.join(bundle.manifest.targets)}")
    screen.line(f"  signed by  {bundle.key.fingerprint}")
    if dummies:
        screen.line(f"  simulated  {', '.join(sorted({one.name for one in dummies}))}")
    screen.line(f"  licences   {_licences((*debs, *wheels))}")
    screen.hint("check a copy of it anywhere with `aiops cluster bundle verify FOLDER`")


def _size(count: int) -> str:
    return f"{count / _MIB:.1f} MiB" if count < 10 * _MIB else f"{count // _MIB} MiB"


def _licences(artefacts: "tuple[Artefact, ...]") -> str:
    known = sum(one.licence is not None for one in artefacts)
    return f"read for {known} of {len(artefacts)}, in manifest.json"


def _document(built: "Built") -> dict[str, Any]:
    bundle = built.bundle
    return {
        "path": str(bundle.path),
        "unchanged": built.unchanged,
        "fetched": built.fetched,
        "fetched_bytes": built.fetched_bytes,
        "seconds": round(built.seconds, 1),
        "bytes": bundle.size,
        "key": bundle.key.fingerprint,
        "targets": list(bundle.manifest.targets),
        "packages": len(bundle.artefacts("deb")),
        "wheels": len(bundle.artefacts("wheel")),
        "simulated": sorted({one.name for one in bundle.manifest.artefacts if one.simulated}),
    }

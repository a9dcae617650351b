"""`aiops cluster bundle serve`: the bundle over HTTP, for nodes that are set up by hand or before there is a head."""

import contextlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aiops.cli.app import App
from aiops.cli.options import JsonOption, QuietOption
from aiops.cli.signals import TerminatedError

if TYPE_CHECKING:
    from aiops.cli.screen import Screen
    from aiops.layers.l1_cluster.bundle.bundle import Bundle
    from aiops.layers.l1_cluster.bundle.serving import Listen, Serving


def serve(
    context: typer.Context,
    *,
    folder: Annotated[Path | None, typer.Argument(metavar="FOLDER", help="The bundle. [AIOPS_HOME/bundle]")] = None,
    listen: Annotated[
        str | None, typer.Option("--listen", metavar="ADDRESS:PORT", help="Where to listen. [0.0.0.0:8990]")
    ] = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Verify a bundle, then serve it read only from this machine until Ctrl-C."""
    from aiops.layers.l1_cluster.bundle.bundle import Bundle
    from aiops.layers.l1_cluster.bundle.serving import Listen, Serving
    from aiops.layers.l1_cluster.bundle.signing import trusted_keys

    world: App = context.obj
    screen = world.screen(json=json, quiet=quiet)
    path = (world.working_folder / folder) if folder else world.home / "bundle"
    place = Listen.parse(listen) if listen is not None else Listen()
    place.require()  # before all bytes of the bundle are read
    with screen.step("verify") as step:
        bundle = Bundle.read(path, trusted_keys(world.home))
        bundle.require_whole()
        step.summary = f"{len(bundle.manifest.artefacts)} files, {bundle.size // 2**20} MiB"
    serving = Serving(bundle, place, lambda: screen.live(_count(serving)))
    with serving, contextlib.suppress(KeyboardInterrupt, TerminatedError):  # the one way this ends: no failure
        _tell(screen, bundle, place)
        threading.Event().wait()
    screen.note(f"ended; {_count(serving)}")
    return 0


def _tell(screen: "Screen", bundle: "Bundle", place: "Listen") -> None:
    from aiops.layers.l1_cluster.bundle.serving import EVERYWHERE, Listen, instructions, own_addresses

    addresses = own_addresses() if place.address == EVERYWHERE else (place.address,)
    places = [str(Listen(address, place.port)) for address in addresses] or [str(place)]
    told = instructions(bundle, places[0])
    if screen.json:
        screen.document(
            {
                "path": str(bundle.path),
                "addresses": [f"http://{one}" for one in places],
                "key": bundle.key.fingerprint,
                "nodes": {one.target: list(one.lines) for one in told},
            }
        )
        return
    screen.line(f"serving {bundle.path} at http://{places[0]}, read only; Ctrl-C ends it")
    for one in told:
        screen.line(f"\non a node with {one.target}, as root:")
        for line in one.lines:
            screen.line(f"  {line}")
    if places[1:]:
        screen.note(f"\nthis machine's other addresses: {', '.join(places[1:])}")


def _count(serving: "Serving") -> str:
    clients = len(serving.clients)
    refused = f", {serving.refused} refused" if serving.refused else ""
    return f"{serving.files} file{'s' * (serving.files != 1)} served to {clients} node{'s' * (clients != 1)}{refused}"

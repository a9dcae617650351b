"""`aiops health rearm`: a person says that draining by policy may go on."""

import typer

from aiops.cli.app import App
from aiops.cli.options import InventoryOption, JsonOption, QuietOption


def rearm(
    context: typer.Context, *, inventory: InventoryOption = None, json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Close the breaker, which opens when more nodes are critical than may be drained; until then none is drained."""
    from aiops.layers.l1_cluster.health.register import Register
    from aiops.layers.l1_cluster.owner import Owner

    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    read = aiops.inventory(inventory)
    owner = Owner.here("")
    with aiops.store() as store:
        register = Register(store, read.cluster)
        breaker = register.breaker
        register.close_breaker(aiops.clock.now(), f"{owner.user} on {owner.host}")
    if json:
        was = None if breaker is None else {"opened": breaker.opened.isoformat(), "why": breaker.why}
        screen.document({"cluster": read.cluster, "was_open": was})
    elif breaker is None:
        screen.note(f"the breaker of {read.cluster} was not open")
    else:
        screen.note(
            f"the breaker of {read.cluster} is closed; it had opened {screen.time(breaker.opened)}: {breaker.why}"
        )
        screen.note(
            "what was drained in the last minutes still counts: it opens again while more are critical than may be"
        )

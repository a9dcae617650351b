"""`aiops node`: one module per verb."""

import typer

from . import execution, facts, listing, login, repair, service, trust

app = typer.Typer(no_args_is_help=True, help="The nodes: who they are, what is in them, commands on them.")
app.command("list")(listing.list_)
app.command("show")(listing.show)
app.command("facts")(facts.facts)
app.command("exec")(execution.execute)
app.command("ssh")(login.ssh)
app.command("trust")(trust.trust)
app.command("drain")(service.drain)
app.command("resume")(service.resume)
app.command("repair")(repair.repair)

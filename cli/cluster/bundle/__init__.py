"""`aiops cluster bundle`: all that a deploy needs, for a site with no internet. One module per verb."""

import typer

from . import build, serve, verify

app = typer.Typer(no_args_is_help=True, help="All that a deploy needs, for a site with no internet.")
app.command("build")(build.build)
app.command("verify")(verify.verify)
app.command("serve")(serve.serve)

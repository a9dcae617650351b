"""`aiops cluster`: one module per verb."""

import typer

from . import audit, bundle, deploy, drift, init, lock, plan, reset, status, validate

app = typer.Typer(no_args_is_help=True, help="Deploy and keep the cluster.")
app.command("init")(init.init)
app.command("validate")(validate.validate)
app.command("plan")(plan.plan)
app.command("deploy")(deploy.deploy)
app.command("status")(status.status)
app.command("drift")(drift.drift)
app.command("reset")(reset.reset)
app.command("audit")(audit.audit)
app.add_typer(bundle.app, name="bundle")
app.add_typer(lock.app, name="lock")


@app.callback()
def _group() -> None:
    """Placeholder until the first verb is built."""

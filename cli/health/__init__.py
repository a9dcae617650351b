"""`aiops health`: whether the nodes are well. Without a verb it is `run`."""

import typer

from . import checks, history, learn, notify, rearm, run, schedule

app = typer.Typer(invoke_without_command=True, help="Whether the nodes are well: `aiops health` asks and judges.")
app.callback()(run.run)
app.command("run")(run.run)
app.command("checks")(checks.list_)
app.command("explain")(checks.explain)
app.command("history")(history.history)
app.command("learn")(learn.learn)
app.command("schedule")(schedule.schedule)
app.command("unschedule")(schedule.unschedule)
app.command("notify")(notify.notify)
app.command("rearm")(rearm.rearm)

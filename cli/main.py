"""`main` runs one command line and gives its exit code; the only place that turns errors into words and codes."""

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Annotated

import typer

from aiops import __version__
from aiops.layers.core.errors import AiopsError

from . import cluster, lab, node, run
from .app import App
from .exit import Exit, exit_of

root = typer.Typer(
    name="aiops",
    help="Run a private AI compute cluster over SSH, from bare nodes to served models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
root.add_typer(lab.app, name="lab")
root.add_typer(cluster.app, name="cluster")
root.add_typer(node.app, name="node")
root.add_typer(run.app, name="run")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"aiops {__version__}")
        raise typer.Exit


@root.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options before the noun."""


class Terminated(BaseException):
    """SIGTERM arrived; unwinds like KeyboardInterrupt so that locks and journals are closed."""


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise Terminated


def main(arguments: Sequence[str] | None = None, app: App | None = None) -> int:
    """Run `aiops ARGUMENTS` and return its exit code.

    Args:
        arguments: The words after `aiops`; those of this process by default.
        app: The outside world; this process's by default.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    app = app or App(os.environ)
    as_json = "--json" in words
    if app.environment is os.environ:
        signal.signal(signal.SIGTERM, _terminate)
    try:
        code = root(words, prog_name="aiops", standalone_mode=False, obj=app)
    except AiopsError as error:
        app.screen(json=as_json).error(error)
        return exit_of(error)
    except typer._click.exceptions.ClickException:  # type: ignore[attr-defined]
        return Exit.USAGE
    except (KeyboardInterrupt, typer.Abort):
        return Exit.INTERRUPTED
    except Terminated:
        return Exit.TERMINATED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE
    return int(code or 0)

"""`main` runs one command line and gives its exit code; the only place that turns errors into words and codes."""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from typing import Annotated

import typer

# typer's own copy of click, see usage.py
from typer._click.core import Command, Context
from typer._click.exceptions import ClickException, NoArgsIsHelpError
from typer.core import TyperGroup

from aiops import __version__
from aiops.layers.core.errors import AiopsError, FailedError

from . import (
    checkpoint,
    cluster,
    config,
    controller,
    data,
    doctor,
    health,
    job,
    lab,
    node,
    plugin,
    recipe,
    run,
    train,
)
from .app import App
from .exit import Exit, exit_of
from .screen import PipeClosedError, Screen
from .signals import TerminatedError, unwind_on_termination
from .usage import told

HELP_OPTIONS = ["-h", "--help"]


def listed(commands: Mapping[str, Command]) -> list[str]:
    """The names of commands in the order of `--help`: nouns first, then what stands alone."""
    return sorted(commands, key=lambda name: not hasattr(commands[name], "commands"))


class _Nouns(TyperGroup):
    def list_commands(self, ctx: Context) -> list[str]:  # noqa: ARG002 - click's signature
        return listed(self.commands)


root = typer.Typer(
    name="aiops",
    cls=_Nouns,
    help="Run a private AI compute cluster over SSH, from bare nodes to Slurm and monitoring.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": HELP_OPTIONS, "max_content_width": 100},
)
root.add_typer(lab.app, name="lab")
root.add_typer(cluster.app, name="cluster")
root.add_typer(node.app, name="node")
root.add_typer(health.app, name="health")
root.add_typer(checkpoint.app, name="checkpoint")
root.add_typer(job.app, name="job")
root.add_typer(data.app, name="data")
root.add_typer(recipe.app, name="recipe")
root.add_typer(controller.app, name="controller")
root.add_typer(run.app, name="run")
root.add_typer(plugin.app, name="plugin")
root.add_typer(config.app, name="config")
root.command("train")(train.train)
recipe.app.command("run")(train.run)  # here, for the command that trains uses those of recipes
root.command("doctor")(doctor.doctor)


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


def main(arguments: Sequence[str] | None = None, app: App | None = None) -> int:
    """Run `aiops ARGUMENTS` and return its exit code.

    Args:
        arguments: The words after `aiops`; those of this process by default.
        app: The outside world; this process's by default.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if app is None:
        try:
            app = App(os.environ)
        except FileNotFoundError:  # nothing relative means anything, for Ansible and ssh neither
            sys.stderr.write("error: the folder you are in was deleted\n\nhint: go to another one: `cd`\n")
            return Exit.USAGE
        unwind_on_termination()
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # a process's own are text wrappers
    app.words = tuple(words)
    ours = words[: words.index("--")] if "--" in words else words
    screen = app.screen(json="--json" in ours, quiet="-q" in ours or "--quiet" in ours)
    try:
        return _run(words, app, screen)
    except (KeyboardInterrupt, typer.Abort) as cut:
        return _cut_off(screen, "interrupted", cut, Exit.INTERRUPTED)
    except TerminatedError as cut:
        return _cut_off(screen, "terminated", cut, Exit.TERMINATED)
    except PipeClosedError:
        _let_go_of_stdout()
        return Exit.DONE


def _cut_off(screen: Screen, word: str, cut: BaseException, code: Exit) -> int:
    try:
        screen.error(FailedError(word, code=word, hints=getattr(cut, "__notes__", ())))
    except PipeClosedError:  # who read our stdout was cut off with us
        _let_go_of_stdout()
    return code


def _let_go_of_stdout() -> None:
    """Python flushes stdout once more when it ends, and would complain of a closed pipe."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(words: list[str], app: App, screen: Screen) -> int:
    try:
        return _invoke(words, app)
    except NoArgsIsHelpError as error:
        screen.note(error.message)
        return Exit.USAGE
    except (PipeClosedError, typer.Abort):
        raise
    except Exception as error:  # noqa: BLE001 - the one place where anything may arrive
        trouble = _trouble(error, words, app)
        screen.error(trouble)
        return exit_of(trouble)


def _trouble(error: Exception, words: list[str], app: App) -> AiopsError:
    if isinstance(error, AiopsError):
        return error
    if isinstance(error, ClickException):
        return told(error, typer.main.get_command(root), words)
    if isinstance(error, OSError) and error.filename is not None:
        # The machine's trouble, not ours: a file that cannot be read, a disk that is full.
        return FailedError(f"{error.filename}: {error.strerror}", code="machine.file")
    from .defect import reported

    command = " ".join(["aiops", *(word for word in words[:2] if word.isalpha())])
    return reported(error, command=command, home=app.home, at=app.clock.now())


def _invoke(words: list[str], app: App) -> int:
    """Parse and do. click's own `main` is not used: it turns interrupts and closed pipes into exits of its own."""
    command = typer.main.get_command(root)
    _lighten_help(command)
    try:
        with redirect_stdout(app.stdout), command.make_context("aiops", words, obj=app) as context:
            return int(command.invoke(context) or Exit.DONE)
    except typer.Exit as end:
        return end.exit_code
    except BrokenPipeError as error:
        if error.filename is None and app.stdout is sys.stdout:
            raise PipeClosedError from error
        raise


def _lighten_help(command: Command) -> None:
    """Give every `--help` a value, since for an option without one typer loads pydantic to make a validator."""
    option = command.get_help_option(Context(command, help_option_names=HELP_OPTIONS))
    if option is not None:
        option.default = False
    for inner in getattr(command, "commands", {}).values():
        _lighten_help(inner)

"""The command reference, docs/reference/cli.md, written from the commands themselves by `make docs`."""

import inspect
import sys
from collections.abc import Iterator
from typing import Any

import typer
from typer._click.core import Command, Context  # typer's own copy of click, see usage.py

from .main import HELP_OPTIONS, listed, root

_HEADER = """\
# Commands

Written from the code by `make docs`; a test fails when it is not current.
Options that mean one thing everywhere are explained under [options](#options-that-mean-one-thing-everywhere),
exit codes on [their own page](exit-codes.md).
"""

_FOOTER = """\
## Options that mean one thing everywhere

| option | means |
|---|---|
| `-i FILE`, `--inventory FILE` | the inventory; else `AIOPS_INVENTORY`, `./inventory.yml`, then the head's own |
| `--json` | one JSON document on stdout; a failure too: `{"error": {"code": ..., "message": ..., "hint": ...}}` |
| `-q`, `--quiet` | no progress, no hints |
| `-v`, `-vv` | more detail |
| `--on NODES` | a node set: `gpu[01-04],@workers,!gpu03`; `--limit` and `--node` are aliases |
| `--since 2h` | a span of time: `90s`, `2h`, `7d` |
| `--dry-run` | show what would change, change nothing |
| `--yes` | do not ask; needed where nobody can be asked |
| `--timeout S` | give up after S seconds, exit 8 |

Environment: `AIOPS_HOME` (state of this machine), `AIOPS_INVENTORY`, `AIOPS_DB` (a PostgreSQL URL instead of SQLite),
`NO_COLOR`. An option wins over the environment, the environment over `aiops.toml` beside the inventory, that over the
default.

A terminal gets aligned tables, relative times and live progress; a pipe gets tab-separated, untruncated rows without
a header and times in RFC 3339. stdout is the answer and nothing else; progress, prompts, hints and errors go to stderr.
"""


def commands(command: Command, path: str = "aiops") -> Iterator[tuple[str, Command]]:
    """Every command there is with its words, groups before their verbs."""
    yield path, command
    inner_commands = getattr(command, "commands", {})
    for name in listed(inner_commands):
        inner = inner_commands[name]
        if not inner.hidden:
            yield from commands(inner, f"{path} {name}")


def markdown() -> str:
    """The whole page."""
    tree = list(commands(typer.main.get_command(root)))
    parts = [_HEADER, *(_section(path, command) for path, command in tree[1:]), _FOOTER]
    return "\n".join(parts)


def _section(path: str, command: Command) -> str:
    level = "##" if hasattr(command, "commands") else "###"
    lines = [f"{level} {path}", "", inspect.cleandoc(command.help or ""), ""]
    if level == "###":
        context = Context(command, info_name=path, help_option_names=HELP_OPTIONS)
        lines += ["```", " ".join([path, *command.collect_usage_pieces(context)]), "```", ""]
        rows = [_row(parameter) for parameter in command.params if not getattr(parameter, "hidden", False)]
        if rows:
            lines += ["| | |", "|---|---|", *rows, ""]
    return "\n".join(lines)


def _row(parameter: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    if parameter.param_type_name == "argument":
        names = f"`{parameter.metavar or parameter.name.upper()}`"
    elif parameter.metavar:
        names += f" `{parameter.metavar}`"
    text = " ".join((parameter.help or "").split()).replace("|", "\\|")
    return f"| {names} | {text} |"


if __name__ == "__main__":
    sys.stdout.write(markdown())

"""Mistakes on the command line, told in our words with the nearest thing that exists."""

import re
from collections.abc import Sequence
from difflib import get_close_matches

# typer carries its own copy of click and raises click's exceptions from it; there is no public name for them.
from typer._click.core import Command, Context
from typer._click.exceptions import (
    BadOptionUsage,
    BadParameter,
    ClickException,
    MissingParameter,
    NoSuchOption,
    UsageError,
)

from aiops.layers.core.errors import InputError

_UNKNOWN_COMMAND = re.compile(r"No such command '(.*?)'")
_QUOTED = re.compile("`([^`]*)`")
_EXTRA = re.compile(r"Got unexpected extra argument\(?s?\)? \((.*)\)")


def told(error: ClickException, command: Command, words: Sequence[str]) -> InputError:  # noqa: PLR0911 - one per kind
    """The error as an `InputError` with a hint that can be pasted.

    Args:
        error: What click raised.
        command: The root of all commands.
        words: The command line, for the errors that do not know where they arose.
    """
    context = error.ctx if isinstance(error, UsageError) else None
    path = context.command_path if context is not None else _path(command, words)
    help_hint = f"see `{path} --help`"
    unknown = _UNKNOWN_COMMAND.search(error.message)
    extra = _EXTRA.search(error.message)
    if unknown:
        return _unknown_command(unknown[1], path, context)
    if isinstance(error, NoSuchOption):
        near = _nearest(error.option_name, _options(context))
        hint = f"did you mean `{near}`?" if near else help_hint
        return InputError(f"`{path}` has no option `{error.option_name}`", code="usage.unknown_option", hints=[hint])
    if isinstance(error, MissingParameter):
        name = error.param.get_error_hint().strip("'[]").split("' / '")[0] if error.param is not None else "something"
        kind = error.param.param_type_name if error.param is not None else "argument"
        return InputError(f"`{path}` needs the {kind} `{name}`", code="usage.missing", hints=[help_hint])
    if isinstance(error, BadParameter):
        name = error.param.get_error_hint().split(" / ")[-1].strip("'[]") if error.param is not None else path
        said = _sentence(error.message).removeprefix("value error, ")
        word, *known = _QUOTED.findall(said) if " is not one of " in said else [""]
        near = _nearest(word, known)
        hint = f"did you mean `{name} {near}`?" if near and name.startswith("-") else help_hint
        return InputError(f"`{name}`: {said}", code="usage.value", hints=[hint])
    if isinstance(error, BadOptionUsage):
        return InputError(f"`{path}`: {_sentence(error.message)}", code="usage.value", hints=[help_hint])
    if extra:
        behind = words[words.index("--") + 1 :] if "--" in words else []
        dashes = ["options stand before `--`"] if any(word.startswith("--") for word in behind) else []
        return InputError(f"`{path}` does not take `{extra[1]}`", code="usage.extra", hints=[*dashes, help_hint])
    return InputError(f"`{path}`: {_sentence(error.format_message())}", code="usage", hints=[help_hint])


def _path(command: Command, words: Sequence[str]) -> str:
    path = ["aiops"]
    for word in words:
        inner: Command | None = getattr(command, "commands", {}).get(word)
        if inner is None:
            break
        command = inner
        path.append(word)
    return " ".join(path)


def _unknown_command(word: str, path: str, context: Context | None) -> InputError:
    names = sorted(getattr(context.command, "commands", {})) if context is not None else []
    near = _nearest(word, names)
    hint = f"did you mean `{path} {near}`?" if near else f"see `{path} --help`"
    return InputError(f"`{path}` has no command `{word}`", code="usage.unknown_command", hints=[hint])


def _options(context: Context | None) -> list[str]:
    if context is None:
        return []
    return [option for parameter in context.command.get_params(context) for option in parameter.opts if "-" in option]


def _nearest(word: str, known: Sequence[str]) -> str | None:
    return next(iter(get_close_matches(word, known, n=1)), None)


def _sentence(text: str) -> str:
    text = " ".join(text.split()).rstrip(".").replace("'", "`")
    return text[:1].lower() + text[1:]

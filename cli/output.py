"""Outputs that options name: whether one can be written is said before the work that is to end in it."""

import os
from pathlib import Path
from shlex import quote

from aiops.layers.core.errors import InputError


def output_file(folder: Path, given: Path, option: str) -> Path:
    """Where the file is that an option names.

    Args:
        folder: What a path is meant from.
        given: As typed.
        option: As in `--html`.

    Raises:
        InputError: It cannot be written there (`usage.output`).
    """
    path = folder / given.expanduser()
    other = f"name a file in a folder that you may write to: `{option} FILE`"
    if path.is_dir():
        raise _wrong(option, given, "is a folder", f"name a file in it: `{option} {quote(str(given / 'FILE'))}`")
    if path.parent.exists() and not path.parent.is_dir():
        raise _wrong(option, given, f"{given.parent} is no folder", other)
    if not path.parent.exists():
        make = f"make it, `mkdir -p {quote(str(given.parent))}`, or name another file"
        raise _wrong(option, given, f"there is no folder {given.parent}", make)
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise _wrong(option, given, f"you may not write to {given.parent}", other)
    return path


def output_folder(folder: Path, given: Path, option: str) -> Path:
    """Where the folder is that an option names; it need not be there, and is not made.

    Args:
        folder: What a path is meant from.
        given: As typed.
        option: As in `--into`.

    Raises:
        InputError: It cannot be made or written to (`usage.output`).
    """
    path = folder / given.expanduser()
    there = next(one for one in (path, *path.parents) if one.exists())
    other = f"name a folder that you may write to: `{option} FOLDER`"
    if not there.is_dir():
        raise _wrong(option, given, "is no folder" if there == path else f"{there} is no folder", other)
    if not os.access(there, os.W_OK | os.X_OK):
        raise _wrong(option, given, f"you may not write to {there}", other)
    return path


def unwritten(given: Path, option: str, error: OSError) -> InputError:
    """The error for an output that could not be written after all."""
    return _wrong(option, given, error.strerror or str(error), f"name another place: `{option}`")


def _wrong(option: str, given: Path, words: str, hint: str) -> InputError:
    return InputError(f"`{option} {given}` cannot be written: {words}", code="usage.output", hints=[hint])

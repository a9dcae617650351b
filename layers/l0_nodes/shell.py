"""The one place where a command becomes words for a node, and words become a shell line.

`timeout` (coreutils) runs the command in a process group of its own on the node and ends all of it when the time
has passed, so it ends there even if we, or the connection, are gone by then.
"""

import re
import shlex
from collections.abc import Sequence

from aiops.layers.core.command import Command
from aiops.layers.core.errors import InputError

from .become import Sudo

KILL_AFTER = 2.0
"""Seconds between the polite and the forced end of a command whose time has passed."""

_TIMED_OUT = (124, 137)  # what `timeout` reports: ended by TERM, ended by KILL
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_NOT_STARTED = re.compile(
    rb"^timeout: failed to run command (?:\xe2\x80\x98|')(.*)(?:\xe2\x80\x99|'): (.*)$", re.MULTILINE
)
_LEAST_SECONDS = 0.01  # to `timeout`, 0 means for ever

_PUT = """
set -eu
path=$1 mode=$2 size=$3
umask 077
temporary=$(mktemp "${path%/*}/.aiops.XXXXXXXX")
trap 'rm -f "$temporary"' EXIT
cat >"$temporary"
if [ "$(wc -c <"$temporary")" -ne "$size" ]; then echo "the content was cut off on its way" >&2; exit 1; fi
chmod "$mode" "$temporary"
sync "$temporary"
mv -fT "$temporary" "$path"
trap - EXIT
sync "${path%/*}/"
"""


def words(command: Command, sudo: Sudo | None = None, *, limited: bool = True) -> tuple[str, ...]:
    """The argument vector that runs `command` on its node.

    Args:
        command: What to run.
        sudo: How root is reached, or None to run as the login user.
        limited: Whether it is ended there after its timeout; what is talked with has none.

    Raises:
        InputError: A word holds a NUL byte, or an environment variable's name is none.
    """
    found: list[str] = []
    if command.environment:
        for name in command.environment:
            if not _VARIABLE.fullmatch(name):
                raise InputError(f"`{name}` is not the name of an environment variable", code="command.environment")
        found += ["env", *(f"{name}={value}" for name, value in command.environment.items())]
    if limited:
        seconds = max(command.timeout, _LEAST_SECONDS)
        found += ["timeout", "-k", f"{KILL_AFTER:g}", f"{seconds:.3f}"]
    found += command.argv
    if any("\0" in word for word in found):
        raise InputError("a command's words cannot hold a NUL byte", code="command.nul")
    return tuple(found) if sudo is None else sudo.words(found)


def line(argv: Sequence[str]) -> str:
    """The words as one line for the login shell of a node; the only quoting there is."""
    return shlex.join(argv)


def has_timed_out(command: Command, exit_status: int, seconds: float) -> bool:
    """Whether this end was `timeout`'s doing, told by its status and the time it took."""
    return exit_status in _TIMED_OUT and seconds >= command.timeout


def without_wrapper(stderr: bytes) -> bytes:
    """What a command that could not be started left on stderr, as a shell would say it: `timeout` is our own."""
    return _NOT_STARTED.sub(rb"\1: \2", stderr)


def put(content: bytes, path: str, mode: int, *, root: bool, timeout: float = 60.0) -> Command:
    """The command that writes `content`, from its stdin, to `path`: whole and synced, or not at all.

    Raises:
        InputError: The path is not absolute, or names a folder.
    """
    if not path.startswith("/") or path.endswith("/"):
        raise InputError(f"`{path}` is not the absolute path of a file", code="put.path")
    argv = ("sh", "-c", _PUT, "sh", path, f"{mode:04o}", str(len(content)))
    return Command(argv, stdin=content, root=root, timeout=timeout)

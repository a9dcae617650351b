"""The same words on the head: a command about jobs is run where the controller is, and what it says passed through."""

import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aiops.layers.core.errors import FailedError, InputError, UnreachableError

from .exit import Exit

if TYPE_CHECKING:
    from aiops.layers.l0_nodes.inventory import Inventory
    from aiops.layers.l0_nodes.node import Node

    from .app import App

JOB_FILE = "AIOPS_JOB_FILE"
"""Tells aiops on the head what the job file is called here, for words about mistakes and for relative folders."""

SERVICE = "aiops-controller"
_AWAY = 7
_PROBE_SECONDS = 15.0
_SSH_FAILED = 255
_SIGNALLED = 128


def probe(socket: Path, unit: Path) -> str:
    """What a shell on a head says of it by its status: 0 there is a controller, 7 it is away, 1 none was deployed."""
    place = shlex.quote(str(socket))
    return f"test -S {place} || {{ test -e {shlex.quote(str(unit))} && exit {_AWAY}; exit 1; }}"


def on_head(aiops: "App", inventory: Path | None, *, text: str | None = None, file: Path | None = None) -> int | None:
    """Run this command line on the head, and pass through what it says; its exit code.

    Args:
        aiops: The outside world.
        inventory: As the option says.
        text: What travels on stdin, in the place of `file`.
        file: The job file that the command line names.

    Returns:
        None where it is to be done here: there is no head elsewhere, or no controller was deployed there.

    Raises:
        UnreachableError: The head does not answer, or its controller is away, as while it starts.
        InputError: The inventory is wrong.
    """
    from .counter import knock

    read = cluster_of(aiops, inventory)
    if read is None or read.head is None or read.head.connection.kind == "local":
        return None
    door = knock(aiops)
    if door is not None:
        try:
            if door.ask("status").get("cluster") == read.cluster:
                return None
        finally:
            door.close()
    if not _has_controller(aiops, read, read.head):
        return None
    return _passed(aiops, read.head, _words(aiops.words, file), text, file)


def cluster_of(aiops: "App", option: Path | None) -> "Inventory | None":
    """The inventory that is meant; None where there is none and none was named, or where it is a head's own."""
    from aiops.layers.l0_nodes.inventory import SYSTEM_PATH

    try:
        path = aiops.locate(option)
    except InputError:
        if option is not None or aiops.environment.get("AIOPS_INVENTORY"):
            raise
        return None
    # This machine is the head then; its users need not be able to read the keys that the inventory names.
    return None if path == SYSTEM_PATH else aiops.inventory(option)


def _has_controller(aiops: "App", inventory: "Inventory", head: "Node") -> bool:
    from aiops.layers.core.command import Command
    from aiops.layers.l2_jobs.controller.visitor import SYSTEM_SOCKET, UNIT

    with aiops.fleet(inventory, [head], root=False) as fleet:
        probed = fleet.transport(head).run(Command(("sh", "-c", probe(SYSTEM_SOCKET, UNIT)), timeout=_PROBE_SECONDS))
    if probed.timed_out:
        raise UnreachableError(
            f"the head {head.name} did not answer within {_PROBE_SECONDS:.0f} s",
            code="head.timeout",
            hints=[f"look at it: `aiops node ssh {head.name}`"],
        )
    if probed.exit_status == _AWAY:
        raise UnreachableError(
            f"the controller on {head.name} does not answer yet, or has been stopped",
            code="controller.away",
            hints=[
                "jobs go on meanwhile; try again in a few seconds",
                f"look at it: `aiops node exec --on {head.name} -- systemctl status {SERVICE}`",
            ],
        )
    return probed.ok


def _words(words: Sequence[str], file: Path | None) -> list[str]:
    """The command line for the head: its own inventory, and the job on stdin. Pure."""
    kept: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word in ("-i", "--inventory"):
            skip = True
        elif word.startswith("--inventory="):
            continue
        elif file is not None and Path(word) == file:  # `./job.yml` is `job.yml` once it is a path
            kept.append("-")
            file = None
        else:
            kept.append(word)
    return kept


def _passed(aiops: "App", head: "Node", words: Sequence[str], text: str | None, file: Path | None) -> int:
    """Run `aiops WORDS` on the head by the system's ssh, which has our terminal meanwhile."""
    from aiops.layers.l0_nodes.ssh_config import ssh_words

    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    to = [*ssh_words(head.connection), "--", head.connection.address or head.name]
    place = None
    if terminal and text is not None:
        # Only a terminal there hears Ctrl-C and shows what goes on, and it has no room for a file on stdin.
        place, text = _laid(aiops, head, to, text), None
    argv = ["ssh", *(["-t", "-q"] if terminal else []), *to, remote_line(words, file, place)]
    aiops.stdout.flush()
    kept = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for what runs there
    try:
        with subprocess.Popen(
            argv, env=dict(aiops.environment), stdin=subprocess.PIPE if text is not None else None, text=True
        ) as process:
            signal.signal(signal.SIGINT, kept)
            try:
                process.communicate(text)
            except BaseException:
                process.terminate()
                raise
    except OSError as error:
        raise _no_ssh(error) from error
    finally:
        signal.signal(signal.SIGINT, kept)
    status = process.returncode
    if status == _SSH_FAILED:
        raise _broken(head)
    return Exit(status) if status in set(Exit) else _SIGNALLED - status if status < 0 else status


def remote_line(words: Sequence[str], file: Path | None, place: str | None) -> str:
    """What a shell of the head is given. Pure.

    Args:
        words: Of the command line.
        file: The job file that the command line names here.
        place: Where the head has it, to be read as stdin and gone before anything else happens; None: it is stdin.
    """
    named = [f"{JOB_FILE}={file.absolute()}"] if file is not None else []
    line = shlex.join(["env", *named, "aiops", *words])
    if place is None:
        return line
    there = shlex.quote(place)
    return shlex.join(["sh", "-c", f"exec 3< {there} && rm -f {there} && exec {line} <&3"])


def _laid(aiops: "App", head: "Node", to: Sequence[str], text: str) -> str:
    """Lay a job file on the head, for its user alone; where it is.

    Raises:
        UnreachableError: The head does not answer, or has no room.
    """
    lay = shlex.join(["sh", "-c", 'umask 077 && f=$(mktemp) && cat > "$f" && echo "$f"'])
    argv = ["ssh", *to, lay]
    try:
        done = subprocess.run(
            argv, env=dict(aiops.environment), input=text, stdout=subprocess.PIPE, text=True, check=False
        )
    except OSError as error:
        raise _no_ssh(error) from error
    place = done.stdout.strip().rpartition("\n")[2]
    if done.returncode or not place.startswith("/"):
        raise _broken(head)
    return place


def _broken(head: "Node") -> UnreachableError:
    return UnreachableError(
        f"the head {head.name} does not answer, or its connection broke",
        code="head.unreachable",
        hints=[f"look at it: `aiops node ssh {head.name}`", "jobs go on meanwhile"],
    )


def _no_ssh(error: OSError) -> FailedError:
    return FailedError(
        f"cannot start ssh: {error.strerror}",
        code="ssh.missing",
        hints=["install it: `apt-get install openssh-client`"],
    )

"""`aiops job diagnose`: what went wrong in any log, asked of nobody."""

import io
import os
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aiops.cli.app import App
from aiops.cli.cell import clean
from aiops.cli.options import JsonOption, QuietOption
from aiops.cli.screen import Screen
from aiops.layers.core.errors import InputError

if TYPE_CHECKING:
    from aiops.layers.l2_jobs.fault.diagnosis import Diagnosis

FileArgument = Annotated[str, typer.Argument(metavar="FILE|-", help="A log of any program or kernel; - reads stdin.")]

_STDIN = "-"
_HEAD = 4096
_TEXT = 0.7
"""So much of a log's beginning is text at least: programs write a few other characters, archives mostly such."""

_PACKED = {b"\x1f\x8b": "zcat", b"\x28\xb5\x2f\xfd": "zstdcat", b"\xfd7zXZ": "xzcat", b"BZh": "bzcat"}


def diagnose(
    context: typer.Context, file: FileArgument, *, json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Say what went wrong in a log: the class of fault, who has to act, whether to try again, and the evidence.

    The first cause counts, not its echoes. A fault that was found is an answer: the exit code is 0.
    """
    from aiops.layers.l2_jobs.fault.catalogue import signatures_of
    from aiops.layers.l2_jobs.fault.diagnosis import diagnose_stream

    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    signatures = signatures_of(aiops.plugins)
    name = "stdin" if file == _STDIN else file
    try:
        with _opened(aiops, file) as stream:
            head = stream.peek(_HEAD)[:_HEAD]
            _require_text(name, head)
            found = diagnose_stream(stream, signatures)
    except OSError as error:
        raise InputError(
            f"{file}: {error.strerror or error}",
            code="job.log_unreadable",
            hints=[
                "name a log that you may read, or pipe it: `aiops job diagnose -`",
                "of a job: `aiops job logs JOB | aiops job diagnose -`",
            ],
        ) from error
    if not found.lines or (found.lines == 1 and not head.strip(b"\0\r\n\t ")):
        raise InputError(
            f"{name} is empty{' but for zeros' * bool(found.lines)}: nothing can be said of it",
            code="job.log_empty",
            hints=["name the log of the job, or pipe the kernel's: `dmesg | aiops job diagnose -`"],
        )
    if json:
        screen.document(document(found))
        return
    _show(screen, found)


def _require_text(name: str, head: bytes) -> None:
    """Refuse what is no log: nothing is found in it, and that would read as good news.

    Raises:
        InputError: It begins with an archive's mark, or mostly with what is no text.
    """
    packed = next((tool for mark, tool in _PACKED.items() if head.startswith(mark)), None)
    text = head.replace(b"\0", b"").decode("utf-8", "replace")  # zeros: what a power cut or a rotation leaves in a log
    plain = sum(one != "\ufffd" and (one.isprintable() or one in "\r\n\t\b\x1b") for one in text)
    if packed is None and plain >= _TEXT * len(text):
        return
    hint = f"`{packed} {name} | aiops job diagnose -`" if packed else "name a log: lines of text that a program wrote"
    raise InputError(
        f"{name} is {'packed' if packed else 'no text'}: nothing can be said of it", code="job.log_binary", hints=[hint]
    )


def _opened(aiops: App, file: str) -> AbstractContextManager[io.BufferedReader]:
    if file != _STDIN:
        return (aiops.working_folder / os.path.expanduser(file)).open("rb")  # noqa: PTH111 - `~` of a quoted word
    buffer: io.BufferedReader | None = getattr(aiops.stdin, "buffer", None)
    return nullcontext(buffer or io.BufferedReader(io.BytesIO(aiops.stdin.read().encode())))


def document(found: "Diagnosis") -> dict[str, Any]:
    """A diagnosis as `--json` has it."""
    return {
        "class": found.kind,
        "causer": found.causer,
        "retryable": found.retryable,
        "bad_node": found.bad_node,
        "evidence": [{"line": one.line, "rank": one.rank, "text": clean(one.text)} for one in found.evidence],
    }


def _show(screen: Screen, found: "Diagnosis") -> None:
    usual = found.usual
    screen.table(
        ("what", "is"),
        [
            ("class", found.kind),
            ("what happened", usual.title),
            ("who acts", "nobody" if found.causer == "none" else found.causer),
            ("try again", _again(found)),
            ("bad node", _node(found)),
            ("what to do", usual.action),
        ],
    )
    if found.evidence:
        _part(screen, "evidence")
        screen.table(("line", "rank", "text"), [(one.line, one.rank, one.text) for one in found.evidence])
    if found.traceback is not None and not found.healthy:
        rank = "" if found.traceback.rank is None else f" of rank {found.traceback.rank}"
        _part(screen, f"first traceback{rank}, line {found.traceback.line}")
        screen.text("".join(f"{clean(line)}\n" for line in found.traceback.lines))
    if found.healthy:
        screen.hint("nothing known is wrong in it; other logs of the job, or `dmesg`, may say more")


def _part(screen: Screen, title: str) -> None:
    """The head of a part of the answer, where a person reads it."""
    if screen.terminal:
        screen.text(f"\n{title}\n")


def _again(found: "Diagnosis") -> str:
    if found.healthy:
        return "not needed"
    if not found.retryable:
        return "no: it would fail again"
    return "yes, on another node" if found.bad_node else "yes"


def _node(found: "Diagnosis") -> str:
    named = f": {', '.join(found.nodes)}" if found.nodes else ""
    return f"yes{named}" if found.bad_node else "no"

"""Answers that are made of many small files, as sysfs and procfs have them."""

from collections.abc import Mapping

from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.ask import Answer

_NOTHING = "nothing matches"


def small_files(answer: Answer, *, every: bool = False) -> Mapping[str, str]:
    """Content by path; empty where the node has none of them.

    Args:
        answer: To an ask for files.
        every: Whether all that are there must have been read.

    Raises:
        UnreadableError: There is no answer, none can be read, or one was cut, which would leave another number.
    """
    if answer.truncated:
        raise UnreadableError("the answer was cut at its size limit")
    unread = {path: reason for path, reason in answer.missing.items() if reason != _NOTHING}
    answered = bool(answer.files) or (bool(answer.missing) and not unread)
    if answer.timed_out or not answered or (every and unread):
        path, reason = next(iter(unread.items()), ("", "not answered"))
        raise UnreadableError(f"{path}: {reason}" if path.startswith("/") else reason)
    return answer.files


def is_absent(answer: Answer, pattern: str) -> bool:
    """Whether the node was asked for a pattern of files and has none."""
    return answer.missing.get(pattern) == _NOTHING

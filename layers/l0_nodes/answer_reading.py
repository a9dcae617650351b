"""Taking from one answer what must be in it, or the reason why it is not."""

from collections.abc import Callable
from typing import TypeVar

from .ask import Answer, Record

T = TypeVar("T")

GARBLED = (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError, OverflowError)
"""What reading an answer may raise that is not what it should be."""


class UnreadableError(ValueError):
    """An answer does not tell what it was asked for."""


def once(record: Record, reader: Callable[[Record], T]) -> T:
    """What `reader` makes of the record; it is run once, however many share what it makes.

    Raises:
        UnreadableError: The reader's own; also for whatever else goes wrong in it, for that is garbage of the node.
    """
    if reader not in record.made:
        try:
            record.made[reader] = (reader(record), "")
        except UnreadableError as error:
            record.made[reader] = (None, str(error) or "it could not be read")
        except GARBLED as error:
            record.made[reader] = (None, f"the answer is garbled: {type(error).__name__}")
    value, reason = record.made[reader]
    if reason:
        raise UnreadableError(reason)
    found: T = value
    return found


def said(answer: Answer) -> str:
    """What the command wrote, when it ended well."""
    if answer.timed_out:
        raise UnreadableError(f"no answer within {answer.seconds:.0f} s")
    if answer.exit_status is None:
        raise UnreadableError(answer.missing.get("argv", "it was not run"))
    if answer.exit_status != 0:
        said = (answer.stderr or answer.stdout).strip().splitlines()
        raise UnreadableError(f"exit {answer.exit_status}" + (f": {said[0][:200]}" if said else ""))
    if answer.truncated:
        raise UnreadableError("the answer was cut at its size limit")
    return answer.stdout


def file(answer: Answer, path: str) -> str:
    """A file that must be there."""
    if path not in answer.files:
        raise UnreadableError(f"{path}: {answer.missing.get(path) or answer.missing.get('files') or 'not asked'}")
    return answer.files[path]


def word(text: str, subject: str) -> str:
    """A text that is one word."""
    words = text.split()
    if len(words) != 1:
        raise UnreadableError(f"{subject} is `{text.strip()[:80]}`")
    return words[0]

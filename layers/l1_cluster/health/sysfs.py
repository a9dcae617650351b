"""Files of /sys and /proc as an ask of patterns brings them, and the counters in them."""

from collections.abc import Mapping

from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.ask import Answer

NOT_OFFERED = frozenset({"Invalid argument", "Operation not supported", "Function not implemented"})
"""How the kernel says that a device has no such value; any other reason is a failure to read it."""

_NO_MATCH = "nothing matches"
_FULL = frozenset({2**16 - 1, 2**32 - 1, 2**64 - 1})
_MAX_DIGITS = 20


def found(answer: Answer) -> Mapping[str, str]:
    """All files that match the patterns of an ask, by path; empty where nothing matches.

    Raises:
        UnreadableError: It was not asked, or cut short: what is missing then proves nothing.
    """
    if answer.timed_out:
        raise UnreadableError(f"no answer within {answer.seconds:.0f} s")
    if answer.truncated:
        raise UnreadableError("the answer was cut at its size limit")
    if "argv" in answer.missing:
        raise UnreadableError(answer.missing["argv"])
    if not answer.files and not answer.missing:
        raise UnreadableError("not asked")
    failed = set(answer.missing.values()) - NOT_OFFERED - {_NO_MATCH}
    if not answer.files and failed:
        raise UnreadableError(min(failed))
    return answer.files


def counter(text: str, full: int | None = None) -> int | None:
    """The value of a counter; None where it is no number, or one that tells nothing.

    A counter that has only ones in it stands at its end, or was read of a device that is gone: that it has grown to
    there says nothing about how many events there were.

    Args:
        text: The file.
        full: Where this one ends, beside 16, 32 and 64 bits.
    """
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS):
        return None
    value = int(digits)
    return None if value in _FULL or value == full else value


def exists(answer: Answer, path: str) -> bool:
    """Whether a file is there, be it that it could not be read."""
    return path in answer.files or path in answer.missing


def failure(answer: Answer, path: str) -> str | None:
    """Why a file could not be read; None where it was, and where the device has no such value."""
    reason = answer.missing.get(path)
    return None if reason in NOT_OFFERED else reason

"""Why a vendor's tool has no good answer, in one line."""

from collections.abc import Mapping

from .ask import Answer

_NO_MEANINGS: Mapping[int, str] = {}


def trouble(
    answer: Answer,
    tool: str,
    meanings: Mapping[int, str] = _NO_MEANINGS,
    absent: str = "the vendor's tools are not installed",
) -> str | None:
    """Why `tool` has no good answer here; None when it has one.

    Args:
        answer: What its command brought.
        tool: Its name.
        meanings: What its exit statuses stand for.
        absent: What it means when there is no such program.
    """
    if answer.timed_out:
        return f"{tool} did not answer in {answer.seconds:.0f} s"
    if "argv" in answer.missing:
        reason = answer.missing["argv"]
        return f"{reason} ({absent})" if reason.endswith(": not found") else reason
    if answer.exit_status is None:
        return f"{tool} did not run"
    if answer.exit_status == 0:
        return None
    said = _first_line(answer.stderr) or _first_line(answer.stdout)
    parts = [f"{tool} exit {answer.exit_status}", *filter(None, (meanings.get(answer.exit_status), said))]
    return ": ".join(parts)


def _first_line(text: str) -> str:
    return next((line.strip()[:300] for line in text.splitlines() if line.strip()), "")

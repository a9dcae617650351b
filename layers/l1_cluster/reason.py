"""What the result of a failed task says: the one line that matters, and the last lines of its output. Pure."""

from collections.abc import Mapping
from itertools import takewhile
from typing import Any

_TAIL_LINES = 5
_LINE_LENGTH = 400
_NO_REASON = "no reason was given"


def reason_of(result: Mapping[str, Any]) -> str:
    """The real reason in a failed task's result, in one line."""
    if "censored" in result:
        return "it failed, and its output is hidden because it may hold a secret"
    message = str(result.get("msg") or "").removeprefix("Task failed: ").strip()
    output = f"{result.get('stderr') or result.get('module_stderr') or ''}\n{result.get('stdout') or ''}\n{message}"
    told = [line.strip() for line in output.splitlines() if line.strip().startswith("E: ")]
    packaging = _of_packaging(output)
    if packaging and all(line.startswith("E: Sub-process ") for line in told):
        reason = packaging
    elif told:
        reason = told[0].removeprefix("E: ")
    elif not message or message.startswith(("non-zero return code", "MODULE FAILURE", "Module result deser")):
        lines = [line.strip() for line in output.splitlines() if _tells(line)]
        reason = next((line for line in reversed(lines) if line not in message), message) or _NO_REASON
    else:
        reason = next((line.strip() for line in message.splitlines() if line.strip()), _NO_REASON)
    item = result.get("item")
    name = item.get("path") or item.get("name") if isinstance(item, Mapping) else None
    return short(f"{name}: {reason}" if name and str(name) not in reason else reason)


def _of_packaging(output: str) -> str:
    """What dpkg says of the first package that it could not do; apt only says that dpkg failed."""
    lines = output.splitlines()
    for index, line in enumerate(lines):
        if line.startswith("dpkg: error processing ") and line.rstrip().endswith(":"):
            causes = [one.strip() for one in takewhile(lambda one: one.startswith(" "), lines[index + 1 :])]
            return " ".join([line.removeprefix("dpkg: ").strip(), *causes])
    return ""


def tail_of(result: Mapping[str, Any]) -> tuple[str, ...]:
    """The last lines of a failed task's output."""
    if "censored" in result:
        return ()
    parts = [str(result.get(key) or "") for key in ("stdout", "module_stdout", "stderr", "module_stderr")]
    if not any(map(_tells, parts)):
        parts = [str(result.get("msg") or "").removeprefix("Task failed: ")]  # elsewhere it repeats them
    lines = [line.rstrip() for part in parts for line in part.splitlines() if _tells(line)]
    return tuple(short(line) for line in lines[-_TAIL_LINES:])


def _tells(line: str) -> bool:
    """Whether a line says something; ssh and Ansible have words that come with every failure."""
    return bool(line.strip()) and not line.startswith("Shared connection to ") and line != "non-zero return code"


def short(line: str) -> str:
    """A line of bearable length."""
    return line if len(line) <= _LINE_LENGTH else f"{line[: _LINE_LENGTH - 1]}…"

"""Defects of ours: what was not foreseen ends in a report file and one line, not in a traceback."""

import platform
import sys
import traceback
from datetime import datetime
from pathlib import Path

from aiops import __version__
from aiops.layers.core.errors import AiopsError
from aiops.layers.core.file import write_atomic
from aiops.layers.core.home import ensure_folder


class DefectError(AiopsError):
    """aiops did what it should not; of no family, so that it has an exit code of its own."""


def reported(error: BaseException, *, command: str, home: Path, at: datetime) -> DefectError:
    """Write a report under `home` and say where it is.

    The report has the traceback without local variables, and of the command line only its noun and verb: values
    can be secret.
    """
    summary = f"{type(error).__name__}: {error}".splitlines()[0]
    report = "\n".join(
        [
            f"aiops {__version__}, Python {platform.python_version()}, {platform.platform()}",
            f"at {at:%Y-%m-%dT%H:%M:%SZ}",
            f"command: {command}",
            "",
            *traceback.format_exception(error),
        ]
    )
    try:
        folder = ensure_folder(home / "reports")
        path = folder / f"{at:%Y%m%dT%H%M%S}-{type(error).__name__}.txt"
        write_atomic(path, report.encode())
    except OSError:
        sys.stderr.write(report)
        where = "the report stands above, since it could not be written to a file"
    else:
        where = f"read the report: `less {path}`"
    return DefectError(
        f"aiops has a defect: {summary}",
        code="aiops.defect",
        hints=[where, "please send it to the maintainers; run `aiops doctor` to see whether this machine is sound"],
    )

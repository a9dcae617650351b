"""A program of the controller's own machine, run with a limit and a clear error when it is not there."""

import os
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiops.layers.core.errors import FailedError

_PACKAGES = {
    "apt-get": "apt",
    "apt-cache": "apt",
    "dpkg-deb": "dpkg",
    "gpg": "gnupg",
    "gpgconf": "gnupg",
    "gpgv": "gpgv",
}


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a program."""

    exit_status: int
    stdout: bytes
    stderr: str


def run_program(
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    timeout: float = 60.0,
    on_line: Callable[[str], None] | None = None,
) -> Ended:
    """Run `argv` to its end.

    Args:
        argv: The words; no shell.
        stdin: Bytes fed to it, the only way for what must not be seen in a process list.
        environment: Added to this process's own; messages are always in English.
        folder: Working folder.
        timeout: Seconds until it is killed.
        on_line: Called with each line of stdout as it comes (stdout is then not kept).

    Raises:
        FailedError: The program is not installed (`program.missing`) or ran out of time (`program.timeout`).
    """
    full = {**os.environ, "LC_ALL": "C.UTF-8", **(environment or {})}
    try:
        process = subprocess.Popen(
            list(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=full, cwd=folder
        )
    except FileNotFoundError as error:
        package = _PACKAGES.get(argv[0], argv[0])
        raise FailedError(
            f"`{argv[0]}` is not installed on this machine",
            code="program.missing",
            hints=[f"install it with `apt-get install {package}` (Debian or Ubuntu) and run this again"],
        ) from error
    with process:
        if on_line is None:
            try:
                stdout, stderr = process.communicate(stdin, timeout=timeout)
            except subprocess.TimeoutExpired as error:
                process.kill()
                process.communicate()
                raise _late(argv, timeout) from error
            except BaseException:
                process.kill()
                raise
            return Ended(process.returncode, stdout, stderr.decode("utf-8", "replace"))
        return _follow(process, argv, timeout, on_line)


def _follow(
    process: subprocess.Popen[bytes], argv: Sequence[str], timeout: float, on_line: Callable[[str], None]
) -> Ended:
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None  # noqa: S101, PT018
    process.stdin.close()
    late = threading.Event()

    def kill() -> None:
        late.set()
        process.kill()

    errors: list[bytes] = []
    drain = threading.Thread(target=lambda stream: errors.append(stream.read()), args=(process.stderr,), daemon=True)
    watch = threading.Timer(timeout, kill)
    drain.start()
    watch.start()
    try:
        for line in process.stdout:
            on_line(line.decode("utf-8", "replace").rstrip())
        process.wait()
    except BaseException:
        process.kill()
        raise
    finally:
        watch.cancel()
        drain.join(timeout=5)
    if late.is_set():
        raise _late(argv, timeout)
    return Ended(process.returncode, b"", b"".join(errors).decode("utf-8", "replace"))


def _late(argv: Sequence[str], timeout: float) -> FailedError:
    return FailedError(
        f"`{argv[0]}` did not end within {timeout:g} s and was stopped",
        code="program.timeout",
        hints=["run this again: what was fetched so far is kept"],
    )

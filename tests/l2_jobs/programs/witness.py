"""Runs stepper.py beside a thread that says ten times a second that this process can write: the truth about attempts.

    witness.py NAME FOLDER [STEPPER OPTIONS]

Lines of FOLDER/NAME.log, appended whole: `TIME KIND EPOCH RANK NODE PID REST`. KIND is `began` (REST: devices, and
whether the checkpoint that it was given to go on from is whole, by its own look), `beat` or `ended`. It steps for ever
until FOLDER/NAME.last is there: the number of its last step. Standard library only.
"""

import hashlib
import json
import os
import platform
import sys
import threading
import time
from pathlib import Path

import stepper  # type: ignore[import-not-found]  # beside it on the hosts

EVERY = 0.1


class Log:
    """One line at a time, whole also where several write."""

    def __init__(self, path: Path) -> None:
        world = os.environ
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        rank = world.get("RANK", world.get("AIOPS_NODE_RANK", "0"))
        self._who = f"{world.get('AIOPS_EPOCH', '0')} {rank} {platform.node()} {os.getpid()}"

    def __call__(self, kind: str, rest: str = "") -> None:
        os.write(self._file, f"{time.time():.3f} {kind} {self._who} {rest}\n".encode())


def whole(folder: str) -> str:
    """Whether a checkpoint is what its manifest says: `none`, `good`, or `bad` with a word."""
    if not folder:
        return "none"
    try:
        said = json.loads(Path(folder, stepper.MANIFEST).read_text())
        for one in said["files"]:
            content = Path(folder, one["path"]).read_bytes()
            if hashlib.sha256(content).hexdigest() != one["sha256"]:
                return f"bad:{one['path']}"
    except (OSError, ValueError, KeyError) as error:
        return f"bad:{type(error).__name__}"
    return "good"


def main() -> int:
    """Step, and say so."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    program = stepper.Stepper(stepper.options_of(sys.argv[3:]))
    log, last = Log(folder / f"{name}.log"), folder / f"{name}.last"
    devices = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    log("began", f"{devices or '-'} {whole(os.environ.get('AIOPS_RESUME', ''))}")

    def beat() -> None:
        while True:
            log("beat")
            if not program.options.steps and last.exists():
                program.options.steps = int(last.read_text() or 0)
            time.sleep(EVERY)

    threading.Thread(target=beat, daemon=True).start()
    status: int = program.run()
    log("ended", str(status))
    return status


if __name__ == "__main__":
    sys.exit(main())

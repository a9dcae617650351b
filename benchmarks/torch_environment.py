"""An environment with torch for CPUs, made once below AIOPS_HOME; lab hosts see it at /opt/aiops/env/torch.

    python -m benchmarks.torch_environment          prints what `aiops lab up --bind` is to be given

It is made by the machine's own /usr/bin/python3, which must be the hosts' release (Debian 12's in a bookworm lab).
"""

import os
import subprocess
import sys
from pathlib import Path

from aiops.cli.app import App

from .measurement import BrokenError

TORCH = "torch==2.13.0"
THERE = "/opt/aiops/env/torch"
"""Where hosts see it."""

_PYTHON = "/usr/bin/python3"


def torch_environment(home: Path) -> str:
    """The environment below `home`, made unless it is there, as `--bind` takes it.

    Raises:
        BrokenError: It cannot be made.
    """
    folder = home / "cache" / "torch"
    made = folder / "made"
    if not made.exists():
        _run(_PYTHON, "-m", "venv", "--clear", str(folder))
        _run(str(folder / "bin/python"), "-m", "pip", "install", "-q", TORCH, "numpy")
        for script in (folder / "bin").iterdir():
            _settle(script, folder)
        # Folders of users on hosts are not root's: all may read it.
        _run("chmod", "-R", "a+rX", str(folder))
        made.touch()
    return f"{folder}:{THERE}"


def _settle(script: Path, folder: Path) -> None:
    """Have a script begin with the Python of the place where hosts see it."""
    if script.is_symlink() or not script.is_file():
        return
    content = script.read_bytes()
    if content.startswith(f"#!{folder}/bin/".encode()):
        script.write_bytes(content.replace(f"#!{folder}/bin/".encode(), f"#!{THERE}/bin/".encode(), 1))


def _run(*words: str) -> None:
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False, timeout=1800)
    if done.returncode:
        raise BrokenError(f"`{' '.join(words)}` ended with {done.returncode}")


if __name__ == "__main__":
    print(torch_environment(App(os.environ).home))

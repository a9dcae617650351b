"""The environment of the trainer `aiops`, made once below AIOPS_HOME of its lock file; lab hosts see it read-only.

    python -m benchmarks.tuning_environment             makes it, and prints what `aiops lab up --bind` is to be given
    python -m benchmarks.tuning_environment --lock      writes the lock file anew: newest that fit requirements.in

Torch is the one for CPUs. It is made by the machine's own /usr/bin/python3, which must be the hosts' release (Debian
12's in a bookworm lab). AIOPS_TRAINER names one that is there already.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from aiops.cli.app import App

from .measurement import BrokenError

THERE = "/opt/aiops/env/trainer"
"""Where hosts see it: the trainer's own environment."""

HERE = "AIOPS_TRAINER"
"""The variable that names an environment that is there."""

_PYTHON = "/usr/bin/python3"
_FOLDER = Path(__file__).parents[1] / "plugins/trainers/transformers"
LOCK = _FOLDER / "requirements.lock"
_WANTED = _FOLDER / "requirements.in"


def tuning_environment(home: Path) -> str:
    """The environment below `home`, made unless it is there, as `--bind` takes it.

    Raises:
        BrokenError: It cannot be made.
    """
    return f"{made_environment(home)}:{THERE}"


def made_environment(home: Path) -> Path:
    """Its folder; its Python is `bin/python`.

    Raises:
        BrokenError: It cannot be made.
    """
    told = os.environ.get(HERE)
    folder = Path(told) if told else home / "cache" / "trainer"
    made = folder / "made"
    if not made.exists():
        _run(_PYTHON, "-m", "venv", "--clear", str(folder))
        python = str(folder / "bin/python")
        _run(python, "-m", "pip", "install", "-q", "--no-deps", "--require-hashes", "-r", str(LOCK))
        _run("chmod", "-R", "a+rX", str(folder))
        made.touch()
    settle(folder)
    return folder


def settle(folder: Path) -> None:
    """Have its scripts begin with the Python of the place where hosts see it."""
    for script in (folder / "bin").iterdir():
        if script.is_symlink() or not script.is_file():
            continue
        content = script.read_bytes()
        if content.startswith(f"#!{folder}/bin/".encode()):
            script.write_bytes(content.replace(f"#!{folder}/bin/".encode(), f"#!{THERE}/bin/".encode(), 1))


def locked() -> str:
    """The text of the lock file: what pip chooses now, each with the digest of its wheel for this machine.

    Raises:
        BrokenError: There is no choice that fits.
    """
    with tempfile.TemporaryDirectory() as place:
        report = Path(place) / "report.json"
        words = ("install", "--dry-run", "--ignore-installed", "--only-binary", ":all:", "--quiet")
        _run(_PYTHON, "-m", "venv", f"{place}/venv")
        _run(f"{place}/venv/bin/python", "-m", "pip", *words, "--report", str(report), "-r", str(_WANTED))
        chosen = json.loads(report.read_text())["install"]
    maker = "python -m benchmarks.tuning_environment --lock"
    lines = [f"# Written by `{maker}` from requirements.in, for Python 3.11 on x86_64."]
    for one in sorted(chosen, key=lambda each: str(each["metadata"]["name"]).lower()):
        digest = _digest(one["download_info"])
        lines.append(f"{one['metadata']['name'].lower()}=={one['metadata']['version']} --hash=sha256:{digest}")
    return "\n".join(lines) + "\n"


def _digest(told: dict[str, Any]) -> str:
    """The digest of a file: as the index tells it, else of a file that pip has found on this machine."""
    hashes: dict[str, str] = told["archive_info"].get("hashes", {})
    if "sha256" in hashes:
        return hashes["sha256"]
    with Path(unquote(urlsplit(told["url"]).path)).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _run(*words: str) -> None:
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False, timeout=1800)
    if done.returncode:
        raise BrokenError(f"`{' '.join(words)}` ended with {done.returncode}")


if __name__ == "__main__":
    if sys.argv[1:] == ["--lock"]:
        LOCK.write_text(locked())
    else:
        print(tuning_environment(App(os.environ).home))

"""`aiops doctor`: is this machine sound, as a controller and as the home of a lab?"""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import typer

from aiops.layers.core.errors import AiopsError
from aiops.layers.core.plugin import PluginError

from .app import App
from .exit import Exit
from .options import JsonOption, QuietOption

Verdict = Literal["ok", "warn", "critical"]

_PRIVATE = 0o077
_ROOM_MIB = 1024
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one thing, and what to do about it."""

    subject: str
    verdict: Verdict
    words: str
    action: str | None = None


def doctor(context: typer.Context, json: JsonOption = False, quiet: QuietOption = False) -> int:
    """Check this machine: Python, ssh, Ansible, home, database, plugins, lab. Exit 4 when something is critical."""
    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    findings = list(examine(aiops))
    if json:
        screen.document(
            [
                {"subject": one.subject, "verdict": one.verdict, "finding": one.words, "action": one.action}
                for one in findings
            ]
        )
    else:
        screen.table(("subject", "verdict", "finding"), [(one.subject, one.verdict, one.words) for one in findings])
    for one in findings:
        if one.action:
            screen.hint(f"{one.subject}: {one.action}")
    return Exit.CRITICAL if any(one.verdict == "critical" for one in findings) else Exit.DONE


def examine(app: App) -> Iterator[Finding]:
    """Look at one thing after the other; nothing is changed."""
    yield Finding("python", "ok", f"{sys.version.split()[0]} at {sys.executable}")
    yield _ssh()
    yield _ansible()
    yield _home(app.home)
    yield _database(app)
    yield from _plugins(app)
    yield _lab()


def _ssh() -> Finding:
    program = shutil.which("ssh")
    if program is None:
        return Finding("ssh", "critical", "not found", "install it: `apt-get install openssh-client`")
    try:
        said = subprocess.run([program, "-V"], capture_output=True, text=True, timeout=10, check=True).stderr
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("ssh", "critical", f"{program} does not run: {error}", "reinstall openssh-client")
    return Finding("ssh", "ok", f"{said.split(',')[0].strip()} at {program}")


def _ansible() -> Finding:
    program = Path(sys.executable).with_name("ansible-playbook")
    try:
        number = version("ansible-core")
    except PackageNotFoundError:
        number = None
    if number is None or not program.exists():
        return Finding(
            "ansible", "critical", "ansible-core is not beside aiops", f"`{sys.executable} -m pip install ansible-core`"
        )
    return Finding("ansible", "ok", f"ansible-core {number} at {program}")


def _home(home: Path) -> Finding:
    elsewhere = "set AIOPS_HOME to a folder of your own"
    nearest = next(path for path in (home, *home.parents) if path.exists())
    mine = nearest != home or home.stat().st_uid == os.geteuid()
    if not nearest.is_dir() or not mine or not os.access(nearest, os.W_OK | os.X_OK):
        words = "not yours to write" if nearest.is_dir() else "not a folder"
        return Finding("home", "critical", f"{nearest} is {words}", elsewhere)
    if nearest != home:
        return Finding("home", "ok", f"{home} will be made when it is needed")
    if stat.S_IMODE(home.stat().st_mode) & _PRIVATE:
        return Finding("home", "warn", f"{home} can be read by others", f"`chmod 0700 {home}`")
    free = shutil.disk_usage(home).free // _MIB
    if free < _ROOM_MIB:
        return Finding("home", "warn", f"{home} has {free} MiB left", "make room, or set AIOPS_HOME elsewhere")
    return Finding("home", "ok", f"{home}, {free // 1024} GiB free")


def _database(app: App) -> Finding:
    if not app.environment.get("AIOPS_DB") and not (app.home / "aiops.db").exists():
        return Finding("database", "ok", "will be made when it is needed")
    try:
        with app.store() as store:
            return Finding("database", "ok", store.place)
    except AiopsError as error:
        return Finding("database", "critical", error.message, error.hints[0] if error.hints else None)


def _plugins(app: App) -> Iterator[Finding]:
    for one in app.plugins.names():
        name = f"{one.kind}.{one.name}"
        try:
            app.plugins.check(name)
        except PluginError as error:
            yield Finding(name, "critical", error.message, error.hints[0])
        else:
            yield Finding(name, "ok", f"from {one.distribution}")


def _lab() -> Finding:
    from aiops.layers.l0_nodes.lab.machine import unfit

    problem = unfit(building=True)
    if problem is not None:
        return Finding("lab", "warn", problem.message, problem.hint)
    return Finding("lab", "ok", "this machine can carry one: `aiops lab up`")

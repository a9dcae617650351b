"""`aiops doctor`: is this machine sound, as a controller and as the home of a lab?"""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import typer

from aiops.layers.core.errors import AiopsError
from aiops.layers.core.plugin import PluginError
from aiops.layers.l2_jobs.examination import DoctorHooks, Examination, Remark

from .app import App
from .exit import Exit
from .options import JsonOption, QuietOption

_PRIVATE = 0o077
_ROOM_MIB = 1024
_MIB = 2**20


def doctor(context: typer.Context, json: JsonOption = False, quiet: QuietOption = False) -> int:
    """Check this machine: Python, ssh, Ansible, home, database, plugins, jobs, environments, lab. Exit 4: critical."""
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


def examine(app: App) -> Iterator[Remark]:
    """Look at one thing after the other; nothing is changed."""
    yield Remark("python", "ok", f"{sys.version.split()[0]} at {sys.executable}")
    yield _ssh()
    yield _ansible()
    yield _home(app.home)
    yield _database(app)
    yield from _plugins(app)
    yield _jobs()
    yield from _examinations(app)
    yield from _environments()
    yield _lab()


def _ssh() -> Remark:
    program = shutil.which("ssh")
    if program is None:
        return Remark("ssh", "critical", "not found", "install it: `apt-get install openssh-client`")
    try:
        said = subprocess.run([program, "-V"], capture_output=True, text=True, timeout=10, check=True).stderr
    except (OSError, subprocess.SubprocessError) as error:
        return Remark("ssh", "critical", f"{program} does not run: {error}", "reinstall openssh-client")
    return Remark("ssh", "ok", f"{said.split(',')[0].strip()} at {program}")


def _ansible() -> Remark:
    program = Path(sys.executable).with_name("ansible-playbook")
    try:
        number = version("ansible-core")
    except PackageNotFoundError:
        number = None
    if number is None or not program.exists():
        return Remark(
            "ansible", "critical", "ansible-core is not beside aiops", f"`{sys.executable} -m pip install ansible-core`"
        )
    return Remark("ansible", "ok", f"ansible-core {number} at {program}")


def _home(home: Path) -> Remark:
    elsewhere = "set AIOPS_HOME to a folder of your own"
    nearest = next(path for path in (home, *home.parents) if path.exists())
    mine = nearest != home or home.stat().st_uid == os.geteuid()
    if not nearest.is_dir() or not mine or not os.access(nearest, os.W_OK | os.X_OK):
        words = "not yours to write" if nearest.is_dir() else "not a folder"
        return Remark("home", "critical", f"{nearest} is {words}", elsewhere)
    if nearest != home:
        return Remark("home", "ok", f"{home} will be made when it is needed")
    if stat.S_IMODE(home.stat().st_mode) & _PRIVATE:
        return Remark("home", "warn", f"{home} can be read by others", f"`chmod 0700 {home}`")
    free = shutil.disk_usage(home).free // _MIB
    if free < _ROOM_MIB:
        return Remark("home", "warn", f"{home} has {free} MiB left", "make room, or set AIOPS_HOME elsewhere")
    return Remark("home", "ok", f"{home}, {free // 1024} GiB free")


def _database(app: App) -> Remark:
    if not app.environment.get("AIOPS_DB") and not (app.home / "aiops.db").exists():
        return Remark("database", "ok", "will be made when it is needed")
    try:
        with app.store() as store:
            return Remark("database", "ok", store.place)
    except AiopsError as error:
        return Remark("database", "critical", error.message, error.hints[0] if error.hints else None)


def _plugins(app: App) -> Iterator[Remark]:
    for one in app.plugins.names():
        name = f"{one.kind}.{one.name}"
        try:
            app.plugins.check(name)
        except PluginError as error:
            yield Remark(name, "critical", error.message, error.hints[0])
        else:
            yield Remark(name, "ok", f"from {one.distribution}")


def _jobs() -> Remark:
    kinds = [name for name in ("podman", "apptainer", "enroot") if shutil.which(name)]
    containers = f"containers by {' and '.join(kinds)}" if kinds else "no kind of container is installed"
    if not Path("/run/systemd/system").is_dir() or shutil.which("systemd-run") is None:
        words = f"systemd does not run here: it can run no jobs itself; {containers}"
        return Remark("jobs", "warn", words, "run jobs on nodes of an inventory, or on a machine with systemd")
    return Remark("jobs", "ok", f"units of systemd can hold them; {containers}")


def _examinations(app: App) -> Iterator[Remark]:
    try:
        asked = [one for found in app.plugins.hooks("doctor", DoctorHooks).examinations() for one in found]
    except PluginError:
        return  # told above, with the other plugins
    for one in asked:
        yield from _examined(one)


def _examined(one: Examination) -> Iterator[Remark]:
    from aiops.layers.core.command import Completed

    command = one.command
    try:
        done = subprocess.run(command.argv, capture_output=True, timeout=command.timeout, check=False)
    except subprocess.TimeoutExpired:
        yield from one.judge(Completed(command, 124, b"", b"", command.timeout, timed_out=True))
    except OSError as error:
        yield Remark(one.subject, "unknown", f"cannot be asked: {error}")
    else:
        yield from one.judge(Completed(command, done.returncode, done.stdout, done.stderr, 0.0))


def _environments() -> Iterator[Remark]:
    """Of a node: which it has, and whether each is whole. That nodes have the same is asked when a job begins."""
    from aiops.layers.l1_cluster.bundle.environment import PLACE
    from aiops.layers.l1_cluster.environment_folder import laid_environments

    try:
        for one in laid_environments(Path(PLACE)):
            mend = "`aiops cluster deploy --only environments` lays it anew" if one.wrong else None
            yield Remark(f"environment.{one.name}", "warn" if one.wrong else "ok", one.words, mend)
    except OSError as error:
        yield Remark("environments", "unknown", f"{error.filename}: {error.strerror}")


def _lab() -> Remark:
    from aiops.layers.l0_nodes.lab.machine import unfit

    problem = unfit(building=True)
    if problem is not None:
        return Remark("lab", "warn", problem.message, problem.hint)
    return Remark("lab", "ok", "this machine can carry one: `aiops lab up`")

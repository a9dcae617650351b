"""systemd's units on their way back to what they were.

Standard library only, Python 3.6, imports nothing of ours; it travels with the modules that use it.
"""

import os
from typing import Any, Dict, Iterator, List

from .paths import RESTARTS, Step, delete
from .sight import TroubleError, run, unit_state

STOP_SECONDS = 180
_RUNNING = ("active", "activating", "reloading", "deactivating")
_ENABLED = ("enabled", "enabled-runtime", "linked", "linked-runtime")


def stop(seen: Dict[str, Any]) -> Iterator[Any]:
    """Steps that stop and disable the units that were not there before; mounts are among them."""
    for unit, state in _units(seen):
        if state.get("load") not in ("not-found", "", None):
            continue
        now = unit_state(unit)
        running, enabled = now["active"] in _RUNNING, now["file"] in _ENABLED
        if now["load"] != "not-found" and (running or enabled):
            found = "%s, %s" % (now["file"] or "no unit file", now["active"])
            stopped = lambda unit=unit, enabled=enabled: end(unit, enabled)  # noqa: E731
            yield Step("service:" + unit, "stop", found, "absent", stopped)


def end(unit: str, enabled: bool) -> None:
    """Stop a unit, and keep it from coming again."""
    run(["systemctl", "stop", "--", unit], STOP_SECONDS)
    if enabled:
        run(["systemctl", "disable", "--", unit])
    forget_failure(unit)


def bring_back(seen: Dict[str, Any], dry: bool) -> Iterator[Any]:
    """Steps that bring the units that were there before to the state that they had."""
    if not dry:
        run(["systemctl", "daemon-reload"])
    restarts = set(os.listdir(RESTARTS)) if os.path.isdir(RESTARTS) else set()
    for unit, state in _units(seen):
        if state.get("load") in ("not-found", "", None):
            if not dry:
                forget_failure(unit)
            continue
        now = unit_state(unit)
        verbs = verbs_to(state, now, unit in restarts)
        if verbs:
            found = "%s, %s" % (now["file"] or "no unit file", now["active"])
            expected = "%s, %s" % (state["file"] or "no unit file", state["active"])
            yield Step("service:" + unit, verbs[-1], found, expected, lambda unit=unit, verbs=verbs: do(unit, verbs))
    known = {unit for unit, _ in _units(seen)}
    for unit in sorted(restarts - known):
        if unit_state(unit)["active"] in _RUNNING:
            again = lambda unit=unit: do(unit, ["restart"])  # noqa: E731
            yield Step("service:" + unit, "restart", "with our file", "without it", again)


def verbs_to(state: Dict[str, str], now: Dict[str, str], stale: bool) -> List[str]:
    """What systemctl is to do so that a unit is as it was. Pure."""
    verbs = []
    if now["file"] == "masked" != state["file"]:
        verbs.append("unmask")
    if state["file"] in _ENABLED and now["file"] not in _ENABLED:
        verbs.append("enable")
    if state["file"] == "disabled" and now["file"] in _ENABLED:
        verbs.append("disable")
    if state["file"] == "masked" != now["file"]:
        verbs.append("mask")
    was, runs = state["active"] in _RUNNING, now["active"] in _RUNNING
    if was and not runs:
        verbs.append("start")
    elif runs and not was:
        verbs.append("stop")
    elif runs and stale:
        verbs.append("restart")
    return verbs


def do(unit: str, verbs: List[str]) -> None:
    """Have systemctl do `verbs`, and forget that the unit was to be restarted."""
    for verb in verbs:
        run(["systemctl", verb, "--", unit], STOP_SECONDS)
    delete(os.path.join(RESTARTS, unit))


def forget_failure(unit: str) -> None:
    """Have systemd forget that a unit has failed; it does not know one that is gone for good."""
    try:
        run(["systemctl", "reset-failed", "--", unit])
    except TroubleError:
        pass


def _units(seen: Dict[str, Any]) -> Iterator[Any]:
    for key, state in sorted(seen.items()):
        if key.startswith("service:"):
            yield key[len("service:") :], state

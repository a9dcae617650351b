"""Writes down what a node was like before aiops first changes it: what a reset goes by.

Standard library only, Python 3.6, imports nothing of ours: it is sent to `python3 -` behind the fence, with the modules
that it uses and one call of `main` behind it, at the start of every step that changes something and after packages.

Originals are on the disk before memory.json names them, and that is on the disk before anything is changed; a kill at
any point leaves the old memory or the new one.
"""

import hashlib
import itertools
import json
import os
import stat
import sys
import tarfile
import zlib
from typing import Any, Callable, Dict, Iterator

from .notebook import FOLDER, Memory, guard, keep, read, unpack, write
from .repack import repack
from .sight import (
    ACCOUNT_FILES,
    TroubleError,
    account,
    automatic,
    digest,
    installed,
    is_there,
    missing,
    mounted,
    names,
    setting,
    unit_state,
    walk,
)

ROOTS = {"/etc": 12, "/var": 4, "/opt": 2, "/srv": 2, "/usr/local": 3, "/root": 2}
"""The folders whose paths are written down, with how deep below /."""

MOST_PLACES = 200000
_WROTE = 20


def remember(request: Dict[str, Any], folder: str) -> None:
    """Write down what `request` is about to change and was not written down before.

    Args:
        request: `{token, install, remove, hold, files, sysctls, units, mounts, users, reboot}`, see `undo.request_of`.
        folder: Where it is kept.

    Raises:
        TroubleError: What is there cannot be made out.
        OSError: It cannot be read or written.
    """
    memory = read(folder)
    before = json.dumps(memory, sort_keys=True)
    if "accounts" not in memory:
        keep(folder, memory)  # so that copies without a memory are one that was lost, not one that was just begun
        first_sight(memory, folder)
    memory.pop("leaving", None)  # a reset that was cut off is not gone on with: what comes now is kept by apt's marks
    window = memory["window"]
    touches_packages = request["install"] or request["remove"] or request["hold"]
    packages = installed() if window or touches_packages else {}
    if window:
        close_window(memory, packages)
    if request["install"]:
        memory["wanted"] = sorted(set(memory["wanted"]).union(request["install"]))
        if not (window and window["token"] == request["token"] != ""):  # else this is the look after the packages
            versions = {name: one["Version"] for name, one in packages.items() if is_there(one)}
            memory["window"] = {"token": request["token"], "packages": versions}
    see(memory["seen"], request, packages, folder)
    memory["reboot"] = memory["reboot"] or request["reboot"]
    if json.dumps(memory, sort_keys=True) != before:
        keep(folder, memory)


def first_sight(memory: Memory, folder: str) -> None:
    """The accounts and the paths of a node that we see for the first time."""
    memory["accounts"] = {path: sorted(names(path)) for path in ("/etc/passwd", "/etc/group")}
    memory["backups"] = {}
    for path in ACCOUNT_FILES:  # tools leave the state before their last change behind, as /etc/passwd-
        memory["backups"][path] = {"digest": digest(path), "backup": look(path + "-", folder)}
    places = dict(itertools.islice(walk(ROOTS), MOST_PLACES))
    text = json.dumps({"whole": len(places) < MOST_PLACES, "places": places}, sort_keys=True)
    write(folder, "places.json", zlib.compress(text.encode("ascii"), 6))


def close_window(memory: Memory, packages: Dict[str, Dict[str, str]]) -> None:
    """Note what has come and what has changed since the window was opened.

    What is neither asked for by name nor brought for something else came from somebody else meanwhile.
    """
    before = memory["window"]["packages"]
    ours = set(automatic()).union(memory["wanted"])
    there = {name: one["Version"] for name, one in packages.items() if is_there(one)}
    memory["brought"] = sorted(set(memory["brought"]).union(n for n in there if n not in before and n in ours))
    for name, version in before.items():
        if there.get(name, version) != version:
            memory["upgraded"].setdefault(name, version)
    memory["window"] = None


def see(seen: Memory, request: Dict[str, Any], packages: Dict[str, Dict[str, str]], folder: str) -> None:
    """Add how each resource of `request` is that is not in `seen` yet; of files, what is written every time."""

    def once(key: str, look_at: Callable[[], Dict[str, Any]]) -> Dict[str, Any]:
        if key not in seen:
            seen[key] = look_at()
        return dict(seen[key])

    for name in request["install"] + request["hold"] + request["remove"]:
        leaving = name in request["remove"]
        once("package:" + name, lambda: package_state(name, packages, leaving, folder))  # noqa: B023 - called at once
    for one in request["files"]:
        entry = once("file:" + one["path"], lambda: file_state(one, folder, seen))  # noqa: B023
        seen["file:" + one["path"]] = follow(entry, one, folder)
    for path in request["mounts"]:
        once("mount:" + path, lambda: {"was": path in mounted(), "made": missing(path)})  # noqa: B023
    for path in request["sysctls"].values():
        once("sysctl:" + path, lambda: {"was": setting(path)})  # noqa: B023
    for unit in request["units"]:
        once("service:" + unit, lambda: unit_state(unit))  # noqa: B023
    for one in request["users"]:
        once("user:" + one["name"], lambda: user_state(one))  # noqa: B023


def file_state(change: Dict[str, Any], folder: str, seen: Memory) -> Dict[str, Any]:
    """What is at a path, and which folders on the way to it are not there.

    `late`: it lies in a folder that was deleted for us, so that what was at the path is in the copy of that.
    """
    path = change["path"]
    late = any(seen.get("file:" + place, {}).get("whole") for place in above(path))
    nothing = {"made": missing(os.path.dirname(path)), "late": late, "put": False, "fill": False, "wrote": []}
    if change["ours"]:  # it goes in a reset whatever was in it, and may be as large as a bundle
        return dict({"was": "ours" if os.path.lexists(path) else "absent"}, **nothing)
    return dict(look(path, folder, change["whole"]), **nothing)


def follow(entry: Dict[str, Any], change: Dict[str, Any], folder: str) -> Dict[str, Any]:
    """What is known of a path, with what is changed there this time."""
    if change["whole"] and entry["was"] == "folder" and not entry.get("whole") and os.path.isdir(change["path"]):
        copy = look(change["path"], folder, True)
        entry.update(kept=copy["kept"], whole=True)
    entry.update(restarts=change["restarts"], put=entry["put"] or change["put"], fill=entry["fill"] or change["fill"])
    if change["digest"]:
        entry["wrote"] = [*(one for one in entry["wrote"] if one != change["digest"]), change["digest"]][-_WROTE:]
    return entry


def above(path: str) -> Iterator[str]:
    """The folders that a path lies in, the innermost first."""
    while path != "/":
        path = os.path.dirname(path)
        yield path


def user_state(user: Dict[str, str]) -> Dict[str, Any]:
    """How an account and its group are; None for what is not there."""
    return {
        "was": account("/etc/passwd", user["name"]),
        "group": user["group"],
        "group_was": account("/etc/group", user["group"]),
        "home": user["home"],
        "home_was": os.path.lexists(user["home"]),
    }


def package_state(name: str, packages: Dict[str, Dict[str, str]], leaving: bool, folder: str) -> Dict[str, Any]:
    """How a package is; of one that is to leave, a copy is kept, since nobody may offer it any more later."""
    found = packages.get(name)
    if found is None:
        return {"was": "absent"}
    words = found["Status"].split()
    state = {"was": words[-1], "held": words[0] == "hold", "version": found["Version"]}
    if leaving and is_there(found):
        state.update(automatic=name in automatic(), copy=repack(name, found, folder))
    return state


def look(path: str, folder: str, whole: bool = False) -> Dict[str, Any]:
    """What is at `path`, its content kept in `folder`; `whole`: that of a folder too, since it is to be deleted."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return {"was": "absent"}
    state = {"mode": stat.S_IMODE(found.st_mode), "uid": found.st_uid, "gid": found.st_gid}  # type: Dict[str, Any]
    name = "files/" + hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    if stat.S_ISLNK(found.st_mode):
        state.update(was="link", target=os.readlink(path))
    elif stat.S_ISDIR(found.st_mode):
        state["was"] = "folder"
        if whole:
            with tarfile.open(os.path.join(folder, name + ".new"), "w") as archive:
                archive.add(path, arcname=".")
            settle(folder, name)
            state.update(kept=name, whole=True)
    elif stat.S_ISREG(found.st_mode):
        with open(path, "rb") as stream:
            write(folder, name, stream.read())
        state.update(was="file", kept=name, mtime=int(found.st_mtime))
    else:
        state["was"] = "other"
    return state


def settle(folder: str, name: str) -> None:
    """Have a file that something else wrote as `NAME.new` on the disk, under its name."""
    path = os.path.join(folder, name)
    handle = os.open(path + ".new", os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    os.rename(path + ".new", path)


def main(packed: str, folder: str = FOLDER) -> None:
    """Remember what `packed` (see `pack`) is about to change; say why on stdout and end with 1 where that fails."""
    try:
        descriptor = guard(folder)
        try:
            remember(unpack(packed), folder)
        finally:
            os.close(descriptor)
    except OSError as error:
        reason = "%s: %s" % (error.filename, os.strerror(error.errno)) if error.errno else str(error)
    except TroubleError as error:
        reason = str(error)
    except Exception as error:  # a traceback would quote what was read
        reason = type(error).__name__
    else:
        return
    sys.stdout.write("what is there now cannot be written down, so nothing is changed: %s\n" % reason)
    sys.exit(1)

"""What packages and files of ours have made besides themselves: accounts, and folders in /etc and /var.

Standard library only, Python 3.6, imports nothing of ours; it travels with the modules that use it. Something counts
as ours only where it was not there before we came *and* a package or file that we brought names it.
"""

import json
import os
import re
import zlib
from typing import Any, Dict, Iterable, List, Set, Tuple

from .repack import info, listed
from .sight import DPKG, account

SCRIPTS = ("preinst", "postinst", "prerm", "postrm", "config")
LEAST_DEPTH = {"/etc": 2, "/var/lib": 3, "/var/log": 3, "/var/spool": 3, "/var/cache": 3}
"""What may be removed lies in one of these, at least so deep: /etc/slurm, /var/lib/slurm."""

_PATH = re.compile(r"/(?:etc|var)/[A-Za-z0-9._/+@-]+")
_SHARES = re.compile(r"(/etc/exports.*|.*\.mount)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_FOLDERS = re.compile(r"^(State|Cache|Logs|Configuration)Directory=(.+)$", re.MULTILINE)
_PARENTS = {"State": "/var/lib/", "Cache": "/var/cache/", "Logs": "/var/log/", "Configuration": "/etc/"}
_FIRST_USER = 1000
_NOBODY = 65534
_TEXT_BYTES = 1000000


def gather(memory: Dict[str, Any], leaving: Iterable[str], packages: Dict[str, Dict[str, str]]) -> Dict[str, List[str]]:
    """Add what is found now to the evidence in `memory`, for once packages are gone it cannot be found any more.

    Returns:
        `{users, groups, numbers, places}`; `numbers` are those of the users that nobody logs in as.
    """
    texts, paths = [], set()  # type: List[str], Set[str]
    for name in leaving:
        architecture = packages[name].get("Architecture", "")
        files = listed(name, architecture)
        paths.update(files)
        texts += [text(info(name, architecture, part)) for part in SCRIPTS]
        texts += [text(path) for path in files if re.search(r"/(systemd/system|sysusers\.d|tmpfiles\.d)/[^/]+$", path)]
    said = "\n".join(texts)
    for key in memory["seen"]:
        # what is mounted or exported is data of users, wherever it lies
        if key.startswith("file:") and not _SHARES.fullmatch(key[len("file:") :]):
            said += "\n" + text(key[len("file:") :])
    paths.update(_PATH.findall(said))
    for kind, folders in _FOLDERS.findall(said):
        paths.update(_PARENTS[kind] + folder for folder in folders.split())
    named = set(_NAME.findall("\n".join(texts)))
    found = {
        "users": [name for name in fresh(memory, "/etc/passwd") if name in named and system("/etc/passwd", name)],
        "groups": [name for name in fresh(memory, "/etc/group") if name in named and system("/etc/group", name)],
    }
    paths.update(account("/etc/passwd", name).split(":")[5] for name in found["users"])
    made = [
        key[len("user:") :] for key, state in memory["seen"].items() if key.startswith("user:") and not state["was"]
    ]
    lines = [account("/etc/passwd", name) for name in [*found["users"], *made]]
    found["numbers"] = [line.split(":")[2] for line in lines if line and line.endswith(("/nologin", "/false"))]
    found["places"] = sorted(path.rstrip("/.") for path in paths)
    known = memory.get("evidence", {})
    return {kind: sorted(set(names).union(known.get(kind, ()))) for kind, names in found.items()}


def text(path: str) -> str:
    """The content of a file; nothing where it cannot be read or is no text of ordinary size."""
    try:
        if not os.path.isfile(path) or os.path.getsize(path) > _TEXT_BYTES:
            return ""
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def fresh(memory: Dict[str, Any], path: str) -> List[str]:
    """The accounts in `path` that were not there when we came."""
    before = set(memory["accounts"][path])
    with open(path, encoding="utf-8", errors="surrogateescape") as stream:
        return [line.partition(":")[0] for line in stream if ":" in line and line.partition(":")[0] not in before]


def system(path: str, name: str) -> bool:
    """Whether an account is no person's: a low number, and for a user no way to log in."""
    fields = account(path, name).split(":")
    return int(fields[2]) < _FIRST_USER and (path != "/etc/passwd" or fields[6].endswith(("/nologin", "/false")))


def leftovers(memory: Dict[str, Any], folder: str, mounts: Iterable[str]) -> List[str]:
    """The outermost paths that are ours by the evidence, belong to no package, and have none of `mounts` in them."""
    known = places(folder)
    if not known["whole"]:
        return []
    before = set(known["places"])
    found = set()
    for path in memory.get("evidence", {}).get("places", ()):
        outermost = outermost_new(path, before)
        if outermost and os.path.lexists(outermost):
            found.add(outermost)
    for place in mounts:
        found = {path for path in found if not within(place, path)}
    for key in memory["seen"]:  # folders of ours are looked at one by one
        kind, _, place = key.partition(":")
        if kind == "mount" or (kind == "file" and os.path.isdir(place)):
            found = {path for path in found if not (within(place, path) or within(path, place))}
    return sorted(found - owned(found))


def within(inner: str, outer: str) -> bool:
    """Whether a path is another one, or lies in it."""
    return (inner + "/").startswith(outer + "/")


def person(path: str, memory: Dict[str, Any]) -> str:
    """The number of a person who has something at `path` or in it; empty where nobody has."""
    ours = set(memory["evidence"]["numbers"])
    for folder, folders, names in os.walk(path):
        for name in [".", *folders, *names]:
            number = os.lstat(os.path.join(folder, name)).st_uid
            if number >= _FIRST_USER and number != _NOBODY and str(number) not in ours:
                return str(number)
    return ""


def places(folder: str) -> Dict[str, Any]:
    """The paths there were at our first sight, as `memory` keeps them: `{whole, places}`."""
    with open(os.path.join(folder, "places.json"), "rb") as stream:
        return dict(json.loads(zlib.decompress(stream.read()).decode("ascii")))


def lost(memory: Dict[str, Any], folder: str) -> List[Tuple[str, List[int]]]:
    """Folders that were there, empty, and that went with a package of ours that has them too; with their rights."""
    before = places(folder)["places"]
    named = set()
    for path in memory.get("evidence", {}).get("places", ()):
        place = path
        while place not in named and place not in ("", "/"):
            named.add(place)
            place = os.path.dirname(place)
    return [(path, before[path]) for path in sorted(named) if before.get(path) and not os.path.lexists(path)]


def outermost_new(path: str, before: Set[str]) -> str:
    """The outermost part of `path` that was not there before; empty where all was, or it lies where none may go."""
    parts = path.split("/")[1:]
    root = next((root for root in LEAST_DEPTH if path.startswith(root + "/")), None)
    if root is None or ".." in parts:
        return ""
    for depth in range(LEAST_DEPTH[root], len(parts) + 1):
        place = "/" + "/".join(parts[:depth])
        if place not in before:
            # what lies below something that was there is only known where that was looked into
            return place if depth == LEAST_DEPTH[root] or os.path.dirname(place) in before else ""
    return ""


def owned(paths: Set[str]) -> Set[str]:
    """Those of `paths` that a package still has."""
    left = set(paths)
    found = set()  # type: Set[str]
    for name in os.listdir(os.path.join(DPKG, "info")):
        if name.endswith(".list") and left:
            with open(os.path.join(DPKG, "info", name), encoding="utf-8", errors="surrogateescape") as stream:
                found |= left.intersection(stream.read().split("\n"))
    return found

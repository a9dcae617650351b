"""What is on a node: paths, packages, accounts, units. It only looks, and asks the programs that know.

Standard library only, Python 3.6, imports nothing of ours; it travels with the modules that use it.
"""

import hashlib
import os
import stat
import subprocess
from typing import Any, Dict, Iterator, List, Tuple

DPKG = "/var/lib/dpkg"
EXTENDED_STATES = "/var/lib/apt/extended_states"
COMMAND_SECONDS = 60
ACCOUNT_FILES = ("/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/subuid", "/etc/subgid")


class TroubleError(Exception):
    """What is there cannot be made out, or a program did not do its work."""


def names(path: str) -> List[str]:
    """The first words of the lines of an account file."""
    with open(path, encoding="utf-8", errors="surrogateescape") as stream:
        return [line.partition(":")[0] for line in stream if ":" in line]


def walk(roots: Dict[str, int]) -> Iterator[Tuple[str, Any]]:
    """All paths in `roots` down to their depths, without what is mounted there; of folders, mode and numbers."""
    for root, depth in roots.items():
        if not os.path.isdir(root):
            continue
        device = os.lstat(root).st_dev
        for folder, folders, files in os.walk(root):
            found = os.lstat(folder)
            yield folder, [stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid]
            for name in files:
                yield os.path.join(folder, name), None
            deepest = folder.count("/") >= depth
            within = []
            for name in folders:
                path = os.path.join(folder, name)
                if deepest or os.path.islink(path) or os.lstat(path).st_dev != device:
                    yield path, None
                else:
                    within.append(name)
            folders[:] = within


def installed() -> Dict[str, Dict[str, str]]:
    """What dpkg knows of every package, by name (`NAME:ARCH` where it is of another architecture)."""
    native = run(["dpkg", "--print-architecture"]).strip()
    found = {}
    with open(os.path.join(DPKG, "status"), encoding="utf-8", errors="surrogateescape") as stream:
        for stanza in stream.read().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in stanza.split("\n") if ": " in line and line[0] not in " \t")
            if "Package" in fields and "Status" in fields:
                other = fields.get("Architecture", "all") not in (native, "all")
                name = fields["Package"] + (":" + fields["Architecture"] if other else "")
                found[name] = dict(fields, Version=fields.get("Version", ""))
    return found


def is_there(package: Dict[str, str]) -> bool:
    """Whether a package is installed, or half so."""
    return package["Status"].split()[-1] not in ("not-installed", "config-files")


def automatic() -> List[str]:
    """The packages that apt has brought for others; `NAME` and `NAME:ARCH` of each."""
    try:
        with open(EXTENDED_STATES, encoding="utf-8", errors="surrogateescape") as stream:
            stanzas = stream.read().split("\n\n")
    except FileNotFoundError:
        return []
    found = []
    for stanza in stanzas:
        fields = dict(line.split(": ", 1) for line in stanza.split("\n") if ": " in line)
        if fields.get("Auto-Installed") == "1":
            found += [fields["Package"], "%s:%s" % (fields["Package"], fields.get("Architecture", ""))]
    return found


def missing(path: str) -> List[str]:
    """Which folders on the way to `path` are not there, itself included, the outermost first."""
    found = []  # type: List[str]
    while path not in ("", "/") and not os.path.lexists(path):
        found.insert(0, path)
        path = os.path.dirname(path)
    return found


def mounted() -> List[str]:
    """Where something is mounted, in the order it came."""
    found = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as stream:
        for line in stream:
            parts = line.split(" ")[4].split("\\")
            found.append(parts[0] + "".join(chr(int(part[:3], 8)) + part[3:] for part in parts[1:]))
    return found


def digest(path: str) -> str:
    """SHA-256 of a file in hex; empty where there is none."""
    try:
        with open(path, "rb") as stream:
            return hashlib.sha256(stream.read()).hexdigest()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return ""


def setting(path: str) -> Any:
    """The value of a kernel setting; None where there is no such one."""
    try:
        with open(path) as stream:
            return " ".join(stream.read().split())
    except OSError:
        return None


def account(path: str, name: str) -> Any:
    """The line of an account; None where there is none."""
    with open(path, encoding="utf-8", errors="surrogateescape") as stream:
        return next((line.rstrip("\n") for line in stream if line.startswith(name + ":")), None)


def unit_state(unit: str) -> Dict[str, str]:
    """How systemd has a unit: `load`, `active`, `file`."""
    properties = {"LoadState": "load", "ActiveState": "active", "UnitFileState": "file"}
    text = run(["systemctl", "show", "--property=" + ",".join(properties), "--", unit])
    pairs = (line.partition("=") for line in text.splitlines())
    return {properties[name]: value for name, _, value in pairs if name in properties}


def run(words: List[str], seconds: float = COMMAND_SECONDS) -> str:
    """What a command prints.

    Raises:
        TroubleError: It failed, or did not end in time.
    """
    path = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"
    environment = dict(os.environ, PATH=path.lstrip(":"), LC_ALL="C", DEBIAN_FRONTEND="noninteractive")
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=seconds,
            env=environment,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TroubleError("`%s`: %s" % (words[0], error)) from None
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
        raise TroubleError("`%s`: %s" % (" ".join(words[:2]), lines[-1] if lines else "status %d" % done.returncode))
    return done.stdout.decode("utf-8", "surrogateescape")

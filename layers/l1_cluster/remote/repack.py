"""Makes a package of what an installed one has put on the node, before it is removed: nobody may offer it later.

Standard library only, Python 3.6, imports nothing of ours; it travels with the modules that use it.
"""

import os
import shutil
import stat
import tempfile
from typing import Dict, List

from .sight import DPKG, TroubleError, run

BUILD_SECONDS = 300
_SCRIPTS = ("preinst", "postinst", "prerm", "postrm", "config")
_PARTS = (*_SCRIPTS, "conffiles", "md5sums", "shlibs", "symbols", "templates", "triggers")
_OURS = ("Status", "Conffiles", "Config-Version")


def repack(name: str, fields: Dict[str, str], folder: str) -> str:
    """Write the package `name` to `folder` as a .deb; return its name there.

    Args:
        name: The package, `NAME` or `NAME:ARCH`.
        fields: Its one-line fields in dpkg's status.
        folder: The undo folder.

    Raises:
        TroubleError: dpkg does not know all of it, or cannot build it.
        OSError: A file of it cannot be read, or the copy cannot be written.
    """
    target = "files/%s.deb" % name.replace(":", "_")
    tree = tempfile.mkdtemp(prefix=".repack-", dir=folder)
    try:
        control = os.path.join(tree, "DEBIAN")
        os.mkdir(control, 0o755)
        os.chmod(tree, 0o755)  # noqa: S103 - what dpkg-deb takes; it lies in a folder that is root's only
        with open(os.path.join(control, "control"), "w", encoding="utf-8", errors="surrogateescape") as stream:
            stream.write(stanza(fields["Package"], fields.get("Architecture", "all")))
        for part in _PARTS:
            source = info(name, fields.get("Architecture", ""), part)
            if os.path.isfile(source):
                shutil.copyfile(source, os.path.join(control, part))
                os.chmod(os.path.join(control, part), 0o755 if part in _SCRIPTS else 0o644)
        for path in listed(name, fields.get("Architecture", "")):
            copy(path, tree + path)
        run(["dpkg-deb", "-Zgzip", "-z1", "--build", tree, os.path.join(folder, target + ".new")], BUILD_SECONDS)
        os.rename(os.path.join(folder, target + ".new"), os.path.join(folder, target))
    finally:
        shutil.rmtree(tree, ignore_errors=True)
    return target


def info(name: str, architecture: str, part: str) -> str:
    """Where dpkg keeps a part of a package; packages that are there for several architectures have it in the name."""
    plain = name.partition(":")[0]
    path = os.path.join(DPKG, "info", "%s:%s.%s" % (plain, architecture, part))
    return path if os.path.exists(path) else os.path.join(DPKG, "info", "%s.%s" % (plain, part))


def listed(name: str, architecture: str) -> List[str]:
    """The paths of an installed package; none where dpkg has no list of it."""
    try:
        with open(info(name, architecture, "list"), encoding="utf-8", errors="surrogateescape") as stream:
            return [line for line in stream.read().split("\n") if line not in ("", "/.")]
    except FileNotFoundError:
        return []


def stanza(package: str, architecture: str) -> str:
    """A package's control fields, from dpkg's status."""
    with open(os.path.join(DPKG, "status"), encoding="utf-8", errors="surrogateescape") as stream:
        for text in stream.read().split("\n\n"):
            lines = text.strip("\n").split("\n")
            if "Package: %s" % package in lines and "Architecture: %s" % architecture in lines:
                kept = []
                skipping = False
                for line in lines:
                    skipping = line.partition(":")[0] in _OURS or (skipping and line[:1] in " \t")
                    kept += [] if skipping else [line]
                return "\n".join(kept) + "\n"
    raise TroubleError("dpkg does not know `%s`" % package)


def copy(source: str, target: str) -> None:
    """Copy one path of a package, with owner and mode; what is missing is left out, as dpkg leaves it."""
    try:
        found = os.lstat(source)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(found.st_mode):
        os.makedirs(target, exist_ok=True)
    elif stat.S_ISLNK(found.st_mode):
        os.symlink(os.readlink(source), target)
        return
    elif stat.S_ISREG(found.st_mode):
        shutil.copyfile(source, target)
    else:
        return
    os.chown(target, found.st_uid, found.st_gid)
    os.chmod(target, stat.S_IMODE(found.st_mode))

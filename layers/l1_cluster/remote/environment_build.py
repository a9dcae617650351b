"""Builds environments of Python from wheels, once, on the head: one compressed file of each, that nodes take.

Standard library only, Python 3.6, imports nothing of ours but `environment_files` and `environment_lock`. The text of
all is sent to `python3 -` with one call of `build` behind it. What is known of a file is written down last: without
that it is built anew. Nothing of a package is run but its compilation, so that the head may build for releases other
than its own.
"""

import configparser
import gzip
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile
from typing import Any, Dict, List

from .environment_files import (
    BLOCK,
    READABLE,
    WRITABLE,
    RefusedError,
    Spec,
    forget,
    keep,
    need_space,
    sha256_of,
    size_of,
    told,
)
from .environment_lock import once, own_folder

BUILDING = ".building-"
_COMPILE_SECONDS = 1800
_SCRIPT = '#!%s/bin/python\nimport sys\n\nfrom %s import %s\n\nif __name__ == "__main__":\n    sys.exit(%s())\n'


def build(environments: List[Spec], bundle: str, archives: str) -> None:
    """Have a compressed file of each environment; print their digests and sizes as JSON.

    Args:
        environments: See `Spec`.
        bundle: Where the bundle is.
        archives: Where the files are kept.
    """

    def work() -> None:
        os.makedirs(archives, mode=0o755, exist_ok=True)
        found = {}
        for one in environments:
            found[one["label"]] = have(one, bundle, archives)
        sys.stdout.write(json.dumps(found, sort_keys=True))

    told(work)


def have(environment: Spec, bundle: str, archives: str) -> Dict[str, Any]:
    """Have one built, by us or by who is at it: a deploy that was killed leaves its build running on the head."""
    label = environment["label"]
    known = archive_of(archives, label)
    if known is None:
        once(
            archives,
            label,
            lambda: archive_of(archives, label) is not None,
            lambda: pack(environment, bundle, archives),
        )
        known = archive_of(archives, label)
    if known is None:
        raise RefusedError("what was built of %s is not there any more" % label)
    return dict(known)


def archive_of(archives: str, label: str) -> Any:
    """What is known of a file that was built: `{sha256, size, unpacked}`; None where it is not whole.

    All of it is read: one of which a disk has turned a bit would be refused by every node, at every deploy.
    """
    path = os.path.join(archives, label + ".tar.gz")
    try:
        with open(os.path.join(archives, label + ".json")) as stream:
            known = json.load(stream)
        if os.path.getsize(path) == known["size"] and sha256_of(path) == known["sha256"]:
            return known
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def pack(environment: Spec, bundle: str, archives: str) -> None:
    """Build one and put it into a file; what is known of that is written down last.

    All of it is made in a folder of our own: whoever has lost the lock and goes on all the same breaks nothing.
    """
    label = environment["label"]
    own = own_folder(archives, BUILDING + label)
    try:
        folder, packed, notes = (os.path.join(own, name) for name in ("new", label + ".tar.gz", label + ".json"))
        lay_out(environment, bundle, folder)
        unpacked = size_of(folder)
        compress(folder, packed)
        known = {"sha256": sha256_of(packed), "size": os.path.getsize(packed), "unpacked": unpacked}
        keep(packed, os.path.join(archives, label + ".tar.gz"))
        with open(notes, "w") as stream:
            json.dump(known, stream)
        keep(notes, os.path.join(archives, label + ".json"))
    finally:
        forget(own)


def lay_out(environment: Spec, bundle: str, folder: str) -> None:
    """Unpack the wheels of an environment into a folder, as `python -m venv` and an installer would have it there.

    Raises:
        RefusedError: A wheel is missing, or is not the one that was locked, or is no wheel.
    """
    python, home = environment["python"], environment["path"]
    packages = os.path.join(folder, "lib", "python" + python, "site-packages")
    programs = os.path.join(folder, "bin")
    need_space(os.path.dirname(folder), sum(_size(bundle, path) for path, _ in environment["wheels"]) * 4)
    for one in (packages, programs):
        os.makedirs(one, mode=0o755)
    with open(os.path.join(folder, "pyvenv.cfg"), "w") as stream:
        stream.write("home = /usr/bin\ninclude-system-site-packages = false\nversion = %s\n" % python)
    os.symlink("/usr/bin/python" + python, os.path.join(programs, "python"))
    for name in ("python3", "python" + python):
        os.symlink("python", os.path.join(programs, name))
    for path, sha256 in environment["wheels"]:
        whole = os.path.join(bundle, path)
        try:
            found = sha256_of(whole)
        except FileNotFoundError:
            raise RefusedError("the bundle on the head lacks %s" % path) from None
        if found != sha256:
            raise RefusedError("%s is not the wheel that was locked" % path)
        try:
            unpack_wheel(whole, packages, folder, home)
        except (zipfile.BadZipFile, KeyError, UnicodeDecodeError, configparser.Error) as error:
            raise RefusedError("%s is no wheel: %s" % (path, error)) from None
    scripts(packages, programs, home)
    compile_all(packages, python)
    close(folder, programs)


def close(folder: str, programs: str) -> None:
    """Take the right to write from everybody; programs may be run."""
    for place, folders, names in os.walk(folder):
        for name in folders:
            os.chmod(os.path.join(place, name), READABLE)
        for name in names:
            whole = os.path.join(place, name)
            if not os.path.islink(whole):
                runs = os.path.dirname(whole) == programs or os.stat(whole).st_mode & stat.S_IXUSR
                os.chmod(whole, READABLE if runs else READABLE & ~0o111)


def unpack_wheel(wheel: str, packages: str, folder: str, home: str) -> None:
    """Unpack one wheel: what is in its `.data` goes where that says, programs get the environment's Python."""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            parts = member.filename.split("/")
            if member.filename.endswith("/"):
                continue
            if ".." in parts or member.filename.startswith("/") or "\\" in member.filename:
                raise RefusedError("%s would leave its folder: %s" % (os.path.basename(wheel), member.filename))
            content = None
            if parts[0].endswith(".data") and parts[2:]:
                places = {"purelib": packages, "platlib": packages, "data": folder}
                places["scripts"] = os.path.join(folder, "bin")
                if parts[1] not in places:
                    continue  # headers are needed by nobody who runs it
                target = os.path.join(places[parts[1]], *parts[2:])
                if parts[1] == "scripts":
                    content = _own_python(archive.read(member), home)
            else:
                target = os.path.join(packages, *parts)
            os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
            with open(target, "wb") as stream:
                if content is not None:
                    stream.write(content)
                else:
                    with archive.open(member) as source:
                        shutil.copyfileobj(source, stream, BLOCK)
            if (member.external_attr >> 16) & 0o111:
                os.chmod(target, WRITABLE)


def _own_python(content: bytes, home: str) -> bytes:
    """A program whose first line says `#!python`, as wheels have it, with that of the environment."""
    first, newline, rest = content.partition(b"\n")
    if not first.startswith(b"#!python"):
        return content
    return b"#!" + os.fsencode(home) + b"/bin/python" + newline + rest


def scripts(packages: str, programs: str, home: str) -> None:
    """Write the programs that packages declare."""
    for name in sorted(os.listdir(packages)):
        path = os.path.join(packages, name, "entry_points.txt")
        if not (name.endswith(".dist-info") and os.path.isfile(path)):
            continue
        parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        with open(path, encoding="utf-8") as stream:
            parser.read_string(stream.read())
        for program, target in parser.items("console_scripts") if parser.has_section("console_scripts") else ():
            module, _, attribute = target.split("[")[0].strip().partition(":")
            if "/" in program or not attribute:
                raise RefusedError("%s declares a program that cannot be: %s" % (name, program))
            with open(os.path.join(programs, program), "w") as out:
                out.write(_SCRIPT % (home, module, attribute.split(".")[0], attribute))


def compile_all(packages: str, python: str) -> None:
    """Compile it by the Python that it is for, where the head has that: nodes cannot, they may not write there.

    The result counts whatever the files' times are, so that a copy has it too.
    """
    interpreter = "/usr/bin/python" + python
    if not os.path.exists(interpreter):
        return
    words = [interpreter, "-I", "-S", "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash"]
    # A package may carry files for other Pythons, which cannot be compiled; its import tells whether that matters.
    subprocess.call([*words, packages], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=_COMPILE_SECONDS)


def compress(folder: str, path: str) -> None:
    """Put a folder into a compressed file; equal folders give equal files."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        member.mtime = 0
        return member

    with open(path, "wb") as out:  # noqa: SIM117 - Python 3.6 has no brackets around several
        # The time in a gzip's head would make each file another one.
        with gzip.GzipFile("", "wb", 6, out, 0) as packed:
            with tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive:
                for name in sorted(os.listdir(folder)):
                    archive.add(os.path.join(folder, name), name, filter=plain)


def _size(bundle: str, path: str) -> int:
    try:
        return os.path.getsize(os.path.join(bundle, path))
    except OSError:
        return 0

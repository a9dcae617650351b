"""Files and folders on their way back to what they were.

Standard library only, Python 3.6, imports nothing of ours; it travels with the modules that use it.
"""

import os
import shutil
import stat
import tarfile
import tempfile
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Sequence, Tuple

from .sight import digest, mounted

BACKUPS = "/var/backups/aiops"
"""Where what somebody has changed since goes, before the original takes its place."""

TEMPORARY = ".aiops-"
"""How the names of files begin that are to take another's place, see `files`; a kill leaves them behind."""

RESTARTS = "/run/aiops/restart"
FOLDER = "folder"
KILO = 1000
UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
WAS, NOW = "as it was", "as aiops made it"

Step = NamedTuple("Step", [("key", str), ("action", str), ("found", str), ("expected", str), ("do", Callable[[], Any])])
"""One thing that is undone: the resource, what is done about it, how it is, how it will be, and the doing."""


def files(work: Any, own: Tuple[str, ...]) -> Iterator[Any]:
    """Steps that put back files and links, and take away those that were not there. Folders wait for `folders`."""
    for path, state in reversed(list(_states(work, own))):
        if state["late"] and kind(path) != "absent":  # it stands where a folder was that was deleted for us
            remove = lambda path=path, state=state: take_late_away(work, path, state)  # noqa: E731
            yield Step("file:" + path, "delete", weight(path, kind(path)), "absent", remove)
    for path, state in _states(work, own):
        now = kind(path)
        if state["late"]:
            continue
        if state["was"] == "absent" and state["put"] and now != "absent" and (now != "folder" or state["fill"]):
            remove = lambda path=path, state=state: take_away(work, path, state)  # noqa: E731
            yield Step("file:" + path, "delete", weight(path, now), "absent", remove)
        elif state["was"] in ("file", "link") and not same(path, state, work.folder):
            restore = lambda path=path, state=state: put_back(work, path, state)  # noqa: E731
            yield Step("file:" + path, "restore", NOW, WAS, restore)
        elif state.get("whole") and lacking(path, state, work.folder):
            restore = lambda path=path, state=state: put_folder_back(path, state, work.folder)  # noqa: E731
            yield Step("file:" + path, "restore", now, WAS, restore)
        elif state["was"] == "other" and now != "other":
            work.keep(path, "it was neither file, folder nor link before")


def unfinished(work: Any) -> Iterator[Any]:
    """Steps that remove what was being written beside our files when somebody was killed."""
    beside = {os.path.dirname(key[len("file:") :]) for key in work.memory["seen"] if key.startswith("file:")}
    for folder in sorted(beside):
        for name in sorted(os.listdir(folder)) if kind(folder) == "folder" else ():
            path = os.path.join(folder, name)
            if name.startswith(TEMPORARY) and kind(path) in ("file", "link"):
                yield Step("file:" + path, "delete", "unfinished", "absent", lambda path=path: delete(path))


def folders(work: Any, own: Tuple[str, ...]) -> Iterator[Any]:
    """Steps that give folders their rights back, and take away those that we made and that are empty now."""
    for path, state in _states(work, own):
        if state["was"] == "folder" and not state["late"] and not same(path, state, work.folder):
            restore = lambda path=path, state=state: give_rights(path, state)  # noqa: E731
            yield Step("file:" + path, "restore", NOW, WAS, restore)
    for path in made(work, own):
        if kind(path) != "folder" or path in mounted():
            continue
        if not os.listdir(path):
            yield Step("file:" + path, "delete", "empty", "absent", lambda path=path: prune(path))
        elif not work.dry:
            work.keep(path, "there are files in it")


def made(work: Any, own: Tuple[str, ...]) -> List[str]:
    """The folders that came with a deploy, the innermost first."""
    found = set()
    for path, state in _states(work, own):
        if not state["late"]:
            found.update(state["made"])
            found.update([path] if state["was"] == "absent" and state["put"] else [])
    for key, state in work.memory["seen"].items():
        if key.startswith("mount:"):
            found.update(state["made"])
    return sorted((path for path in found if not _within(path, own)), key=lambda path: (-path.count("/"), path))


def _states(work: Any, own: Tuple[str, ...]) -> Iterator[Tuple[str, Dict[str, Any]]]:
    for key, state in sorted(work.memory["seen"].items()):
        path = key[len("file:") :]
        if key.startswith("file:") and not _within(path, own):
            yield path, state


def _within(path: str, own: Tuple[str, ...]) -> bool:
    return any((path + "/").startswith(one + "/") for one in own)


def kind(path: str) -> str:
    """`absent`, `file`, `folder`, `link` or `other`."""
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "absent"
    if stat.S_ISDIR(mode):
        return "folder"
    return "file" if stat.S_ISREG(mode) else "link" if stat.S_ISLNK(mode) else "other"


def weight(path: str, words: str) -> str:
    """Of a folder that has something in it, how much that is, and `words` of anything else."""
    count = size = 0
    for folder, folders, names in os.walk(path) if kind(path) == "folder" else ():
        found = names + [name for name in folders if os.path.islink(os.path.join(folder, name))]
        count += len(found)
        for name in found:
            try:
                size += os.lstat(os.path.join(folder, name)).st_size
            except FileNotFoundError:  # it went meanwhile
                pass
    if not count:
        return words
    number, unit = float(size), 0
    while number >= KILO and unit < len(UNITS) - 1:
        number, unit = number / KILO, unit + 1
    return "%s of %.*f %s in %d file%s" % (FOLDER, bool(unit), number, UNITS[unit], count, "s" * (count != 1))


def same(path: str, state: Dict[str, Any], folder: str) -> bool:
    """Whether what is at `path` is what was there."""
    if kind(path) != state["was"]:
        return False
    found = os.lstat(path)
    if state["was"] == "link":
        return os.readlink(path) == str(state["target"])
    if (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) != (state["mode"], state["uid"], state["gid"]):
        return False
    return state["was"] != "file" or digest(path) == digest(os.path.join(folder, state["kept"]))


def take_away(work: Any, path: str, state: Dict[str, Any]) -> None:
    """Remove what was not there before."""
    save(work, path, state)
    mark(state)
    delete(path)


def take_late_away(work: Any, path: str, state: Dict[str, Any]) -> None:
    """Remove what was put into a place that is to be what it was; of folders, those that are empty then."""
    if kind(path) == "folder" and not state["fill"]:
        prune(path)
    else:
        take_away(work, path, state)
    for place in reversed(state["made"]):
        prune(place)


def put_back(work: Any, path: str, state: Dict[str, Any]) -> None:
    """Put a file or link in place as it was, whole or not at all."""
    save(work, path, state)
    mark(state)
    if kind(path) == "folder":
        delete(path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if state["was"] == "link":
        temporary = os.path.join(os.path.dirname(path), TEMPORARY + "link")
        delete(temporary)
        os.symlink(state["target"], temporary)
    else:
        descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=TEMPORARY)
        with os.fdopen(descriptor, "wb") as stream, open(os.path.join(work.folder, state["kept"]), "rb") as original:
            shutil.copyfileobj(original, stream)
            os.fchown(stream.fileno(), state["uid"], state["gid"])
            os.fchmod(stream.fileno(), state["mode"])
            stream.flush()
            os.fsync(stream.fileno())
        os.utime(temporary, (state["mtime"], state["mtime"]))
    os.rename(temporary, path)
    sync(os.path.dirname(path))


def lacking(path: str, state: Dict[str, Any], folder: str) -> List[str]:
    """What of a folder that was to be deleted is not there; all of it where somebody was killed putting it back."""
    with tarfile.open(os.path.join(folder, state["kept"])) as archive:
        names = archive.getnames()
    if os.path.exists(os.path.join(folder, state["kept"] + ".unpacking")) or kind(path) != "folder":
        return names
    return [name for name in names if not os.path.lexists(os.path.join(path, name))]


def put_folder_back(path: str, state: Dict[str, Any], folder: str) -> None:
    """Put back a folder that was deleted, with what was in it."""
    names = set(lacking(path, state, folder))
    note = os.path.join(folder, state["kept"] + ".unpacking")
    os.close(os.open(note, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    if kind(path) not in ("folder", "absent"):
        delete(path)
    os.makedirs(path, exist_ok=True)
    with tarfile.open(os.path.join(folder, state["kept"])) as archive:
        archive.extraction_filter = lambda member, _: member  # owners too: it is of our own making
        archive.extractall(path, [one for one in archive if one.name in names])  # noqa: S202 - likewise
    give_rights(path, state)
    os.unlink(note)


def give_rights(path: str, state: Dict[str, Any]) -> None:
    """Have a folder, with its mode and numbers."""
    if kind(path) not in ("folder", "absent"):
        delete(path)
    os.makedirs(path, exist_ok=True)
    os.chown(path, state["uid"], state["gid"])
    os.chmod(path, state["mode"])


def save(work: Any, path: str, state: Dict[str, Any]) -> None:
    """Keep a copy of a file that is neither what we wrote nor what was there: somebody has changed it since."""
    if kind(path) != "file" or not state["wrote"]:
        return
    now = digest(path)
    if now in state["wrote"] or (state.get("kept") and now == digest(os.path.join(work.folder, state["kept"]))):
        return
    os.makedirs(BACKUPS, mode=0o700, exist_ok=True)
    target = os.path.join(BACKUPS, path.strip("/").replace("/", "_"))
    shutil.copyfile(path, target + ".new")
    shutil.copystat(path, target + ".new")
    os.rename(target + ".new", target)
    work.keep(target, "somebody had changed %s since" % path)


def mark(state: Dict[str, Any]) -> None:
    """Remember which units run with a file before it changes."""
    for unit in state.get("restarts", ()):
        os.makedirs(RESTARTS, mode=0o755, exist_ok=True)
        os.close(os.open(os.path.join(RESTARTS, unit), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))


def delete(path: str) -> None:
    """Remove whatever is at `path`, nothing being there included; never what is mounted in it.

    Raises:
        OSError: It cannot be removed, or something is mounted in it.
    """
    if kind(path) == "absent":
        return
    if kind(path) != "folder":
        os.unlink(path)
        return
    for place in mounted():
        if (place + "/").startswith(path + "/"):
            raise OSError(16, "busy", place)
    shutil.rmtree(path)


def make(path: str, rights: Sequence[int]) -> None:
    """Make a folder with a mode, an owner and a group."""
    os.mkdir(path)
    os.chown(path, rights[1], rights[2])
    os.chmod(path, rights[0])


def prune(path: str) -> None:
    """Remove a folder if it is empty."""
    try:
        os.rmdir(path)
    except OSError:
        pass


def sync(folder: str) -> None:
    """Have the disk know what is in a folder."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def set_value(path: str, value: str) -> None:
    """Give a kernel setting a value."""
    with open(path, "w") as stream:
        stream.write(value + "\n")

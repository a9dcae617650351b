"""Looks at checkpoints where they lie, and prints or returns facts as JSON-ready values. Judges nothing.

Run in process for a path of this machine, else sent with `opcodes`, `archive` and the others here on the stdin
of `python3 -`. Standard library, Python 3.6. It opens only ordinary files, and never to write.
"""

import errno
import hashlib
import json
import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor

from .archive import DamageError, ForeignError, torch_file
from .distributed import check_items, needs, read_metadata
from .tensors import safetensors_file

CHUNK = 1 << 22
DEPTH = 5
MOST = 200 * 1000  # files of a listing
LARGEST_TEXT = 1 << 16
LARGEST_JSON = 1 << 28
MANIFEST = "aiops-manifest.json"
NOT_THE_FILE = (errno.EINVAL, errno.EOVERFLOW)  # of a seek to where a damaged file leads
WIDTH = 4  # threads for each processor: network file systems answer late
MOST_THREADS = 32


def listing(path):
    """All ordinary files below `path`, which may be one file.

    Returns:
        `{"root", "at", "entries": [[path, size, modified, link]], "unread": {folder: reason}}`; or `{"error",
        "missing"}` where there is nothing that can be listed.
    """
    path = os.path.abspath(path)
    try:
        found = os.stat(path)
        entries, unread = [], {}
        if stat.S_ISDIR(found.st_mode):
            root = path
            os.listdir(path)  # whether it can be read at all
            walk(root, "", DEPTH, entries, unread)
        else:
            root = os.path.dirname(path)
            is_link = os.path.islink(path)
            entries.append([os.path.basename(path), found.st_size, found.st_mtime, is_link])
    except OSError as error:
        return {"error": error.strerror or str(error), "missing": error.errno in (errno.ENOENT, errno.ENOTDIR)}
    return {"root": root, "at": time.time(), "entries": sorted(entries), "unread": unread}


def walk(root, folder, depth, entries, unread):
    """Add what is in one folder and in those below it."""
    try:
        with_types = sorted(os.scandir(os.path.join(root, folder)), key=lambda one: one.name)
    except OSError as error:
        unread[folder] = error.strerror or str(error)
        return
    for one in with_types:
        if len(entries) >= MOST:
            raise OSError(errno.E2BIG, "there are more than %d files: name the folder of its checkpoints" % MOST)
        path = folder + "/" + one.name if folder else one.name
        try:
            is_folder = one.is_dir(follow_symlinks=False)
            found = None if is_folder else one.stat()
        except OSError:
            continue  # gone in the meantime, or a link that leads nowhere: then it is missing
        if is_folder:
            if depth > 1 and not is_passed_over(one.name):
                walk(root, path, depth - 1, entries, unread)
        elif stat.S_ISREG(found.st_mode) and not is_ours(one.name):
            entries.append([path, found.st_size, found.st_mtime, one.is_symlink()])


def is_passed_over(name):
    """Whether a folder is hidden, or was set aside."""
    return name.startswith(".") or ".bad-" in name


def is_ours(name):
    """Whether a file was set aside, or is one that we have not ended to write or to delete."""
    return ".bad-" in name or name.startswith(".aiops-")


def contents(root, question, progress=None):
    """What is asked of one place.

    Args:
        root: Absolute path.
        question: `{"base", "readings": [{"path", "how", "keys"}], "digests": [path], "checksums": bool}`.
        progress: Called with a number of bytes whenever so many were read for digests.

    Returns:
        `{"found": [{"path", "how", "flaw": null | [message, kind], ...}], "manifest": text | null,
        "digests": {path: hex | [message, kind]}}`.
    """
    base = os.path.join(root, question["base"]) if question["base"] else root
    checksums = question["checksums"]
    width = min(MOST_THREADS, WIDTH * (os.cpu_count() or 1))
    with ThreadPoolExecutor(width) as pool:
        # The longest first: else the last one is waited for alone.
        digests = pool.map(lambda path: digest(base, path, progress), question["digests"])
        asked = []
        for one in question["readings"]:
            if one["how"] == "dcp":
                asked += distributed(base, one["path"], checksums, pool)
            else:
                asked.append(pool.submit(read, base, one, checksums))
        found = [one.result() if hasattr(one, "result") else one for one in asked]
        sums = {path: next(digests) for path in question["digests"]}
    manifest = told(base, {"path": MANIFEST, "how": "text"}, manifest_text)
    if manifest["flaw"] and manifest["flaw"][1] != "missing":
        found.append(manifest)
    return {"found": found, "manifest": manifest.get("text"), "digests": sums}


def manifest_text(stream, size):
    """A manifest as it is: whether it is whole JSON is judged with it."""
    return {"text": text_of(stream, size, LARGEST_JSON)}


def opened(path):
    """An ordinary file, open for reading, and its size.

    Raises:
        DamageError: It is something else.
        OSError: It cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise DamageError("is no ordinary file")
    return os.fdopen(descriptor, "rb", 1 << 16), found.st_size


def told(base, reading, look):
    """What `look(stream, size)` finds in a file, or its flaw."""
    facts = {"path": reading["path"], "how": reading["how"], "flaw": None}
    try:
        stream, size = opened(os.path.join(base, reading["path"]))
        with stream:
            facts.update(look(stream, size))
    except (DamageError, ForeignError, OSError, MemoryError) as error:
        facts["flaw"] = flaw_of(error)
    return facts


def flaw_of(error):
    """Words and kind of what went wrong with a file."""
    if isinstance(error, DamageError):
        return [str(error), "damaged"]
    if isinstance(error, ForeignError):
        return [str(error), "foreign"]
    if isinstance(error, MemoryError):
        return ["needs more memory than there is", "unreadable"]
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return ["is missing", "missing"]
    if error.errno in NOT_THE_FILE:
        return ["is damaged: it refers beyond its end", "damaged"]
    return ["cannot be read: %s" % (error.strerror or error), "unreadable"]


def read(base, reading, checksums):
    """What one reading asks."""
    how, keys = reading["how"], reading.get("keys", ())

    def look(stream, size):
        if how == "torch":
            return torch_file(stream, size, keys, checksums)
        if how == "safetensors":
            return safetensors_file(stream, size)
        if how == "json":
            return json_file(stream, size, keys)
        if how == "text":
            return {"text": text_of(stream, size, LARGEST_TEXT)}
        if size == 0:
            raise DamageError("is 0 bytes")
        return {}

    return told(base, reading, look)


def json_file(stream, size, keys):
    """The wanted values at the top of a JSON document."""
    text = text_of(stream, size, LARGEST_JSON)
    if not text.strip():
        raise DamageError("is empty" if size else "is 0 bytes")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise DamageError("is no whole JSON document") from None
    if not isinstance(document, dict):
        return {"keys": {}}
    return {"keys": {key: document[key] for key in keys if key in document}}


def text_of(stream, size, most):
    """A file as text."""
    if size > most:
        raise DamageError("has %d bytes, more than such a file can have" % size)
    try:
        return stream.read(most).decode("utf-8")
    except ValueError:
        raise DamageError("is no text") from None


def distributed(base, path, checksums, pool):
    """What is asked of a `.metadata` and of all files that it refers to: facts, or futures of them."""
    held = []

    def look(stream, size):
        files, tensors = read_metadata(stream, size)
        held.append(files)
        return {"files": needs(files), "count": tensors}

    facts = told(base, {"path": path, "how": "dcp"}, look)
    if not held:
        return [facts]
    folder = os.path.dirname(path)

    def check(name, items):
        inner = os.path.join(folder, name)
        return told(
            base,
            {"path": inner, "how": "there"},
            lambda stream, size: check_items(stream, size, items, checksums) or {},
        )

    return [facts] + [pool.submit(check, name, items) for name, items in sorted(held[0].items())]


def digest(base, path, progress):
    """The SHA-256 of a file, or its flaw."""
    try:
        stream, _ = opened(os.path.join(base, path))
        with stream:
            found, room = hashlib.sha256(), memoryview(bytearray(CHUNK))
            while True:
                size = stream.raw.readinto(room)
                if not size:
                    return found.hexdigest()
                found.update(room[:size])
                if progress is not None:
                    progress(size)
    except (DamageError, OSError, MemoryError) as error:
        return flaw_of(error)


def main(function, *arguments):
    """Print what one of these functions finds."""
    found = {"listing": listing, "contents": contents}[function](*arguments)
    print(json.dumps(found))

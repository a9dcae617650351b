"""Says what is in a folder on a node: the digest of each file, as `sha256sum` writes it.

Standard library only, Python 3.6, imports nothing of ours. Reading a bundle of 20 GB takes a minute or more, so what
filled the folder leaves a record: the size, the time of change and the digest of each file. A file that is as recorded
is not read again, unless a thorough look is asked for.
"""

import hashlib
import json
import os
import sys
from typing import Dict, Iterator, List, Tuple

RECORDS = "/var/cache/aiops/trees"
"""Where the records are; without one everything is read."""
THOROUGH = "thorough"

_BLOCK = 1 << 20
_ESCAPES = (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r"))

Record = Dict[str, Tuple[int, int, str]]
"""By path, relative to the folder: bytes, nanoseconds of the last change, SHA-256 in hex."""


def sha256_of(path: str) -> str:
    """The digest of a file, in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for block in iter(lambda: stream.read(_BLOCK), b""):
            digest.update(block)
    return digest.hexdigest()


def files_under(folder: str) -> Iterator[str]:
    """All plain files under a folder; links are not followed."""
    return (path for path, plain in things_under(folder) if plain)


def things_under(folder: str) -> Iterator[Tuple[str, bool]]:
    """All that is under a folder but folders, and whether it is a plain file; links are not followed."""
    if os.path.islink(folder):
        yield folder, False
        return
    for root, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(root, name))]
        for name in sorted(links + names):
            path = os.path.join(root, name)
            yield path, os.path.isfile(path) and not os.path.islink(path)


def record_of(folder: str, records: str) -> str:
    """Where the record of a folder is."""
    return os.path.join(records, hashlib.sha256(os.fsencode(folder)).hexdigest()[:32] + ".json")


def record(folder: str, digests: Dict[str, str], records: str) -> None:
    """Write down that each file of `folder` has the digest that is listed: it was compared just now."""
    found = {}  # type: Record
    for path, digest in digests.items():
        seen = os.stat(os.path.join(folder, path))
        found[path] = (seen.st_size, seen.st_mtime_ns, digest)
    os.makedirs(records, mode=0o755, exist_ok=True)
    target = record_of(folder, records)
    with open(target + ".new", "w") as stream:
        json.dump(found, stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.rename(target + ".new", target)


def recorded(folder: str, records: str) -> Record:
    """What was written down of a folder; nothing where that is not there or cannot be read."""
    try:
        with open(record_of(folder, records)) as stream:
            return {path: (int(size), int(at), str(digest)) for path, (size, at, digest) in json.load(stream).items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def digests_of(folder: str, known: Record) -> Iterator[Tuple[str, str]]:
    """The path and the digest of each file under a folder; the digest is empty for what is no plain file.

    A file that cannot be read is left out, as if it were not there.
    """
    for path, plain in things_under(folder):
        if not plain:
            yield path, ""
            continue
        try:
            yield path, as_recorded(path, folder, known) or sha256_of(path)
        except OSError as error:
            sys.stderr.write("%s: %s\n" % (path, error.strerror))


def as_recorded(path: str, folder: str, known: Record) -> str:
    """The digest that was written down of a file; empty where its size or its time is another one now."""
    size, at, digest = known.get(os.path.relpath(path, folder), (-1, -1, ""))
    seen = os.stat(path)
    return digest if (size, at) == (seen.st_size, seen.st_mtime_ns) else ""


def wrong(path: str, digest: str, folder: str, known: Record) -> bool:
    """Whether a file that has this digest is recorded with another one."""
    try:
        return as_recorded(path, folder, known) not in (digest, "")
    except OSError:
        return False  # it is no longer there


def forget(folder: str, records: str) -> None:
    """Remove the record of a folder."""
    try:
        os.unlink(record_of(folder, records))
    except OSError as error:
        sys.stderr.write("%s: %s\n" % (error.filename, error.strerror))


def line_of(path: str, digest: str) -> str:
    """A line of `sha256sum`; for what has no digest its path behind a `!`."""
    if not digest:
        return "!%s\n" % path
    escaped = path
    for letter, written in _ESCAPES:
        escaped = escaped.replace(letter, written)
    return "%s%s  %s\n" % ("\\" if escaped != path else "", digest, escaped)


def main(words: List[str], records: str = RECORDS) -> None:
    """Tell of the folder that is the first of `words`; where `THOROUGH` is the second, by reading every byte.

    Where a byte has changed although size and time have not, the record is wrong: it goes, so that no later look says
    that all is well.
    """
    folder, thorough = words[0], THOROUGH in words[1:]
    known = recorded(folder, records)
    for path, digest in digests_of(folder, {} if thorough else known):
        sys.stdout.buffer.write(os.fsencode(line_of(path, digest)))
        if thorough and digest and known and wrong(path, digest, folder, known):
            forget(folder, records)
            known = {}
    sys.stdout.flush()

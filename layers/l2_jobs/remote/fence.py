"""The fence in a checkpoint folder: of each job that has used it, the epoch of the newest attempt that may write there.

Attempts of one job are numbered, so only they can be told older from newer: each job has a file of its own. Between
the look at it and its rename a newer attempt may come. So each attempt first leaves a file of its own, `JOB.N`, and
looks for those of others after the rename: of two that come at once the older sees the newer. Locks would not do: some
cluster file systems have none (Lustre without `-o flock`), others hold those of a dead node for long.

Standard library only, Python 3.6, imports nothing of ours.
"""

import os
import re
import tempfile
from typing import List, Tuple

NAME = ".aiops-epoch"
"""What the names of these files begin with; a dot and the job's id follow."""


class StaleError(Exception):
    """A newer attempt has been here: this one may not write."""


def epoch(folder: str, job: str) -> int:
    """The newest that is written there for `job`, or has left its own file; 0 where none is.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no number.
    """
    return max([_written(folder, job)] + [number for number, _ in claims(folder, job)])


def _written(folder: str, job: str) -> int:
    try:
        with open(os.path.join(folder, "%s.%s" % (NAME, job))) as file:
            return int(file.read(64).strip() or "0")
    except FileNotFoundError:
        return 0


def claims(folder: str, job: str) -> List[Tuple[int, str]]:
    """The attempts of `job` that have left a file of their own, and its path; the newest stays.

    Raises:
        OSError: The folder is missing, or cannot be read.
    """
    own = re.compile(re.escape("%s.%s." % (NAME, job)) + "([0-9]{1,9})$")
    found = [(own.match(name), os.path.join(folder, name)) for name in os.listdir(folder)]
    return sorted((int(match.group(1)), path) for match, path in found if match is not None)


def raise_to(folder: str, job: str, number: int) -> None:
    """Write `number` where an older one of `job` stands; all of a gang may do it at once.

    Raises:
        StaleError: A newer one stands there.
        OSError: The folder is missing, or cannot be written.
    """
    known = epoch(folder, job)
    if known > number:
        raise StaleError("attempt %d of %s has already begun to use %s" % (known, job, folder))
    if _written(folder, job) == number:
        return
    os.close(os.open(os.path.join(folder, "%s.%s.%d" % (NAME, job, number)), os.O_WRONLY | os.O_CREAT, 0o644))
    _write(folder, job, number)
    newest = epoch(folder, job)
    if newest > number:  # one newer than we came between: what we have written over its number is mended
        _write(folder, job, newest)
        raise StaleError("attempt %d of %s has begun to use %s" % (newest, job, folder))
    for older, path in claims(folder, job):
        if older < number:
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass  # another of our gang


def _write(folder: str, job: str, number: int) -> None:
    file, path = tempfile.mkstemp(prefix=NAME + ".", dir=folder)
    try:
        try:
            os.write(file, b"%d\n" % number)
            os.fchmod(file, 0o644)
            os.fsync(file)
        finally:
            os.close(file)
        os.rename(path, os.path.join(folder, "%s.%s" % (NAME, job)))
    except BaseException:
        try:
            os.unlink(path)
        except OSError:
            pass
        raise
    where = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(where)
    finally:
        os.close(where)

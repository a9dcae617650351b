"""Removes what the head has kept for a cluster that is no more: its lock.

Standard library only, Python 3.6, imports nothing of ours; it is sent to `python3 -` with the module that it uses.
"""

import os
import shutil
import sys

from .lock import BusyError, UnreadableError, _lock, parse


def main(folder: str) -> None:
    """Remove the lock's folder, and the one it is in when that is empty then, unless somebody holds the lock."""
    try:
        guard = os.open(os.path.join(folder, "flock"), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        _lock(guard)
        try:
            with open(os.path.join(folder, "state.json")) as stream:
                held = parse(stream.read())["holder"] is not None
        except (FileNotFoundError, UnreadableError):
            held = False
        if not held:
            shutil.rmtree(folder)
            os.rmdir(os.path.dirname(folder))
    except BusyError:
        sys.exit("forget: the lock is in use")
    except OSError as error:  # a controller's own state is beside it
        if os.path.exists(folder):
            sys.exit("forget: %s: %s" % (error.filename, error.strerror))
    finally:
        os.close(guard)

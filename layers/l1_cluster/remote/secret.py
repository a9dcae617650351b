"""The secrets of one cluster, as they are kept on the head (or in a folder of the controller where there is no head).

Standard library only, Python 3.6, imports nothing of ours: the text of this file is sent to `python3 -` with one
call of `main` behind it. A secret is written once and never replaced, so that two controllers never differ.
"""

import base64
import json
import os
import sys
import tempfile
from typing import Optional


def read(folder: str, name: str) -> Optional[bytes]:
    """The secret, or None where it is not kept yet.

    Raises:
        OSError: It is there and cannot be read.
    """
    try:
        with open(os.path.join(folder, name), "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def keep(folder: str, name: str, content: bytes) -> bytes:
    """Write the secret where none is kept, whole or not at all; return the one that is kept then.

    Raises:
        OSError: It cannot be written.
    """
    os.makedirs(folder, mode=0o700, exist_ok=True)
    os.chmod(folder, 0o700)
    descriptor, temporary = tempfile.mkstemp(prefix=".%s." % name, dir=folder)  # 0600 from its first moment
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(temporary, os.path.join(folder, name))
        except FileExistsError:
            pass
    finally:
        os.unlink(temporary)
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    kept = read(folder, name)
    return content if kept is None else kept


def main(folder: str, name: str, content: Optional[str] = None) -> None:
    """Print the secret as JSON, base64 in it; with `content` (base64), keep that one first where there is none."""
    try:
        kept = read(folder, name) if content is None else keep(folder, name, base64.b64decode(content))
    except OSError as error:
        sys.exit("secret: %s: %s" % (os.path.join(folder, name), error.strerror))
    except Exception as error:  # a traceback could quote the call, and the secret with it
        sys.exit("secret: %s" % type(error).__name__)
    print(json.dumps(None if kept is None else base64.b64encode(kept).decode("ascii")))

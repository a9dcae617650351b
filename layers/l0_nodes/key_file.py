"""Private key files, judged as ssh judges them."""

import os
import stat
from pathlib import Path


def key_trouble(key: str) -> tuple[str, str] | None:
    """Why ssh would not use a private key, and what to do; None where it would."""
    try:
        with Path(key).open("rb") as stream:
            stream.read(1)
            status = os.fstat(stream.fileno())
    except OSError as error:
        reason = "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
        return reason, "correct `ansible_ssh_private_key_file`, or leave it out to use the agent's keys"
    if status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) & 0o077:
        return "can be read by others, so ssh refuses it", f"`chmod 600 {key}`"
    return None

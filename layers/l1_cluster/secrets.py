"""Secrets that aiops makes itself, once per cluster: a munge key, say. Random bytes, readable by their owner only."""

import re
import secrets
from pathlib import Path

from aiops.layers.core.errors import FailedError
from aiops.layers.core.file import write_atomic
from aiops.layers.core.home import ensure_folder

SIZE = 1024
_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,63}")


class Secrets:
    """The secrets of one cluster, in `AIOPS_HOME/clusters/NAME/secrets` (0700, each file 0600).

    A secret is drawn when it is first asked for and written down by `keep`, so that a dry run leaves nothing behind.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._drawn: dict[str, bytes] = {}

    def __repr__(self) -> str:
        return f"Secrets({str(self._folder)!r})"

    def get(self, name: str) -> bytes:
        """The secret `name`: `SIZE` random bytes, the same ever after.

        Raises:
            ValueError: The name is not one.
            FailedError: It is there and cannot be read.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"not a name for a secret: {name!r}")
        if name not in self._drawn:
            path = self._folder / name
            try:
                self._drawn[name] = path.read_bytes()
            except FileNotFoundError:
                self._drawn[name] = secrets.token_bytes(SIZE)
            except OSError as error:
                raise FailedError(f"{path} cannot be read: {error.strerror}", code="secret.unreadable") from error
        return self._drawn[name]

    def keep(self) -> None:
        """Write down what was drawn since.

        Raises:
            FailedError: The folder cannot be written.
        """
        try:
            for name, content in self._drawn.items():
                path = self._folder / name
                if not path.exists():
                    ensure_folder(self._folder)
                    write_atomic(path, content, 0o600)
        except OSError as error:
            raise FailedError(
                f"secrets cannot be kept in {self._folder}: {error.strerror}", code="secret.unwritable"
            ) from error

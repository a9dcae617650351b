"""The highest epoch that this machine has held the lock of a cluster with: no later one is granted below it.

The head gives epochs by its state and its clock. Both may be those of a new machine; this is one more memory.
"""

from contextlib import suppress
from pathlib import Path

from aiops.layers.core.file import write_atomic
from aiops.layers.core.home import ensure_folder

FILE = "epoch"

HIGHEST = 2**53
"""No clock gives a higher epoch, and the gate's shell could not compare it: what says so is broken, not ahead."""


class Floor:
    """What is remembered in a folder (AIOPS_HOME/clusters/NAME); it need not exist."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    @property
    def epoch(self) -> int:
        """The highest; 0 where nothing, or nothing sensible, is remembered."""
        with suppress(OSError, ValueError):
            found = int(self._path.read_text("ascii"))
            return found if 0 <= found < HIGHEST else 0
        return 0

    def keep(self, epoch: int) -> None:
        """Remember `epoch` if it is higher; where that cannot be written, the nodes tell what they have seen."""
        if epoch > self.epoch:
            with suppress(OSError):
                ensure_folder(self._path.parent)
                write_atomic(self._path, f"{epoch:d}\n".encode())

"""A controller that ends itself by SIGKILL at a failpoint: `python -m benchmarks.killed_controller INVENTORY PLACE N`.

It is `aiops controller run` in all else. PLACE is the name of a failpoint, N the time it is passed at which it is over.
"""

import os
import signal
import sys
from pathlib import Path

from aiops.cli.app import App
from aiops.cli.controller.assembly import assembled


class Fuse:
    """Ends this process, as `kill -9` from outside does, when a place is passed for the n-th time."""

    def __init__(self, place: str, left: int) -> None:
        self._place = place
        self._left = left

    def __call__(self, place: str) -> None:
        """A place is passed."""
        self._left -= place == self._place
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> int:
    """Run until the fuse is at its end."""
    path, place, left = sys.argv[1:]
    app = App(os.environ)
    fuse = Fuse(place, int(left))
    with assembled(app, app.screen(json=False, quiet=False), app.inventory(Path(path)), failpoint=fuse) as running:
        running.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The controller of jobs as it runs on a head, on this machine: what is measured is then not the head's lab host too.

It is put together by the same code as `aiops controller run`, which would refuse to decide beside a head.
"""

import os
import sys

from aiops.cli.app import App
from aiops.cli.controller.assembly import assembled


def main() -> int:
    """Decide about jobs until a signal ends it."""
    app = App(os.environ)
    with assembled(app, app.screen(json=False, quiet=False), app.inventory(None)) as running:
        running.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m aiops` is the same program as `aiops`."""

import sys

from aiops.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

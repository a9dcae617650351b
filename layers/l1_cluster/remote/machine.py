"""Says which machine this is: its machine-id, and the boot that it is in.

Standard library only, Python 3.6, imports nothing of ours: the text of this file is sent to `python3 -` with one call
of `main` behind it, or travels with the modules that use it.
"""

import json
from typing import Dict

PATHS = {"machine": "/etc/machine-id", "boot": "/proc/sys/kernel/random/boot_id"}


def identity() -> Dict[str, str]:
    """`machine` and `boot`; empty what cannot be read."""
    found = {}
    for name, path in PATHS.items():
        try:
            with open(path) as stream:
                found[name] = stream.read().strip()
        except OSError:
            found[name] = ""
    return found


def main() -> None:
    """Print it, as JSON."""
    print(json.dumps(identity()))

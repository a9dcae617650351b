"""Which attempts run on a node, and what each was given: for a controller that comes with an old store.

Every node is asked before anything is decided, so each learns here whose word counts from now on, also those that the
new controller has nothing to do with: what the lost one has left in Slurm's queue may begin there.

Standard library only, Python 3.6, imports nothing of ours but its sisters.
"""

import json
import os
import subprocess

from .terms import Terms

_BASE = "/var/lib/aiops-jobs"
_UNIT = "aiops-job-"
_LARGEST = 1 << 20


def main(lineage, number):
    # type: (str, int) -> None
    """Print, as JSON, the specs of attempts whose units run here, and the keys of those that have ended.

    Args:
        lineage: Of the controller's store.
        number: Of its term, which is remembered.
    """
    Terms(_BASE, lineage, number).claim()
    print(json.dumps({"specs": specs(units(), _BASE), "ended": ended(_BASE)}))


def ended(base):
    # type: (str) -> List[str]
    """The keys of attempts of which the agent has kept how they ended."""
    folder = os.path.join(base, ".ended")
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return sorted(name for name in names if os.lstat(os.path.join(folder, name)).st_size and "." in name)


def units():
    # type: () -> List[str]
    """The keys of attempts whose units run."""
    words = ["systemctl", "list-units", _UNIT + "*", "--state=active,activating", "--no-legend", "--plain"]
    shown = subprocess.run(words, stdout=subprocess.PIPE, check=True, timeout=20).stdout.decode("utf-8", "replace")
    names = [line.split()[0] for line in shown.splitlines() if line.strip()]
    return [name[len(_UNIT) : -len(".service")] for name in names if name.endswith(".service")]


def specs(keys, base):
    # type: (List[str], str) -> List[Dict[str, Any]]
    """What the attempts called `keys` were given; of one that cannot be read its key alone."""
    found = []
    for key in keys:
        path = os.path.join(base, key, "spec.json")
        try:
            # The folder is a user's: no link is followed, and nothing but a plain file is read.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                spec = json.loads(file.read(_LARGEST).decode("utf-8"))
        except (OSError, ValueError, RecursionError):
            spec = None
        # Its user may have removed or changed it: that it runs is known all the same.
        found.append(spec if isinstance(spec, dict) and spec.get("key") == key else {"key": key})
    return found

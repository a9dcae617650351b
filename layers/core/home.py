"""AIOPS_HOME: where this machine keeps aiops' own state.

```
AIOPS_HOME/            0700   default ~/.local/share/aiops, /var/lib/aiops for root
  aiops.db                    the store
  cache/                      what can be made again: inventories, lab images, bundles
  clusters/NAME/              per cluster: logs/, records/, members.json (how nodes are reached), identity.json (which
                              cluster the name stands for); secrets/ (0700) and lock/ of one that has no head
  labs/NAME/                  per lab
  reports/                    reports of our own defects
```
"""

import os
from collections.abc import Mapping
from pathlib import Path


def home_path(environment: Mapping[str, str]) -> Path:
    """The folder, from `AIOPS_HOME` or the default for this user; not created here."""
    given = environment.get("AIOPS_HOME")
    if given:
        return Path(given).expanduser().absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/aiops")
    data = environment.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local/share") / "aiops"


def ensure_folder(path: Path) -> Path:
    """Make `path` and its missing parents, readable by their owner only; return it.

    Raises:
        OSError: Something else is in the way, or may not be written.
    """
    # mkdir(parents=True) would leave the parents readable by others.
    if not path.is_dir():
        if path.parent != path:
            ensure_folder(path.parent)
        path.mkdir(exist_ok=True, mode=0o700)
    return path

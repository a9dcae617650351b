"""One setting of the machine that labs share: how many inotify instances root may have.

Every systemd needs five of them, its companions some more, and Linux grants 128 to all of root's processes together:
a dozen hosts and the next one dies at boot. So the limit is raised while there are labs, the old value is written
down before, and whoever removes the last lab puts it back.
"""

import json
from pathlib import Path

from aiops.layers.core.file import write_atomic

from .cgroup import Hierarchies

PER_HOST = 12
SETTING = Path("/proc/sys/fs/inotify/max_user_instances")
_RECORD = "inotify.json"


def raise_limit(folder: Path, where: Hierarchies, parent: str, hosts: int, setting: Path = SETTING) -> int | None:
    """Have room for `hosts` more hosts; the caller holds the machine's lock.

    Args:
        folder: Where the machine's labs keep what they share, /run/aiops-lab.
        where: The control groups.
        parent: The group that holds all labs, which tells how many hosts there are.
        hosts: How many are coming.
        setting: The kernel's file.

    Returns:
        The new limit, or None where the old one suffices.
    """
    present = sum(1 for _ in (where.unified / parent).glob("*/*/cgroup.procs"))
    record = folder / _RECORD
    now = int(setting.read_text("ascii"))
    before = int(json.loads(record.read_text("ascii"))["before"]) if record.exists() else now
    needed = before + PER_HOST * (present + hosts)
    if now >= needed:
        return None
    write_atomic(record, json.dumps({"before": before, "set": needed}).encode())
    setting.write_text(str(needed), encoding="ascii")
    return needed


def restore_limit(folder: Path, where: Hierarchies, parent: str, setting: Path = SETTING) -> None:
    """Put the old limit back once no lab is left, unless someone else has set it since; the caller holds the lock."""
    record = folder / _RECORD
    if (where.unified / parent).exists() or not record.exists():
        return
    noted = json.loads(record.read_text("ascii"))
    if int(setting.read_text("ascii")) == noted["set"]:
        setting.write_text(str(noted["before"]), encoding="ascii")
    record.unlink()

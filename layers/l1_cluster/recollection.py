"""What nodes said when they last answered, so that a node that does not answer now is not forgotten.

Files that list all nodes (slurm.conf) would otherwise lose a node with each cable that is pulled, and the daemons that
read them would be restarted for it.
"""

import json
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from aiops.layers.core.file import write_atomic
from aiops.layers.core.home import ensure_folder
from aiops.layers.l0_nodes.ask import Answer, Record


class Recollection:
    """The last record of each node of a cluster, in a folder of its own, one file per node.

    Losing it costs no more than that: what cannot be read or written is as if the node had never answered.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, record: Record) -> None:
        """Remember `record` in place of an older one."""
        text = json.dumps({**asdict(record), "at": record.at.isoformat()})
        with suppress(OSError):
            write_atomic(self._path(record.node, ensure_folder(self._folder)), text.encode())

    def of(self, node: str) -> Record | None:
        """The last record of `node`, or None."""
        try:
            values = json.loads(self._path(node, self._folder).read_text("utf-8"))
            answers = {name: Answer(**answer) for name, answer in values["answers"].items()}
            return Record(values["node"], datetime.fromisoformat(values["at"]), answers)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    @staticmethod
    def _path(node: str, folder: Path) -> Path:
        return folder / f"{quote(node, safe='')}.json"

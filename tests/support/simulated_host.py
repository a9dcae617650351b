"""A host with a vendor's simulated tool, below a folder: its programs are run for real, by the remote probe."""

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

from aiops.layers.l0_nodes.ask import Record, answer_of
from aiops.layers.l0_nodes.remote import probe as remote
from aiops.layers.l0_nodes.vendor import Reading, SimulatedTool, Vendor

AT = datetime(2026, 11, 21, tzinfo=UTC)
COUNT = 8
DRIVERS = {"nvidia": "580.95.05"}
"""The driver that comes with a host, of vendors whose tool comes with packages alone."""


class SimulatedHost:
    """A host with `count` devices."""

    def __init__(self, folder: Path, vendor: Vendor, count: int = COUNT, model: str | None = None) -> None:
        self.vendor = vendor
        self.folder = folder
        tool = vendor.simulate(count, model)
        assert tool is not None, f"{vendor.name} has no simulation"
        self.tool: SimulatedTool = tool
        for path, content in tool.files.items():
            self._put(path, content)
        for path, target in tool.links.items():
            link = folder / "bin" / Path(path).name
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(self._at(target))
        self.write(tool.state)

    def _at(self, path: str) -> Path:
        return self.folder / path.lstrip("/")

    def _put(self, path: str, content: str) -> None:
        for root in ("/usr/lib/aiops-lab", "/run/"):
            content = content.replace(root, f"{self.folder}{root}")
        place = self._at(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)
        place.chmod(0o755)

    def write(self, state: Mapping[str, Any]) -> None:
        """Set the state that the tool reads."""
        own = {**state, "devices": {}, "driver": state.get("driver") or DRIVERS.get(self.vendor.name)}
        place = self._at(self.tool.state_path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(own))

    @contextmanager
    def in_path(self) -> Iterator[None]:
        """While its programs, and no others of their names, are found."""
        path = f"{self.folder}/bin:/usr/bin:/bin"
        with (
            mock.patch.object(remote, "FOLDERS", tuple(path.split(":"))),
            mock.patch.dict(os.environ, {"PATH": path}),
        ):
            yield

    def asked(self, seconds: float = 20.0) -> Record:
        """The record of the vendor's asks, asked as the probe does."""
        asks = [
            {
                "name": ask.name,
                "argv": list(ask.argv),
                "paths": list(ask.paths),
                "timeout": min(ask.timeout, seconds),
                "max_bytes": ask.max_bytes,
                "scratch": ask.scratch,
                "environment": dict(ask.environment),
            }
            for ask in self.vendor.asks()
        ]
        end = time.monotonic() + 2 * seconds
        with self.in_path():
            answers = remote.answered({"asks": asks, "max_bytes": 1 << 23}, end)  # type: ignore[no-untyped-call]
        return Record("n1", AT, {one["name"]: answer_of(one) for one in answers})

    def read(self, seconds: float = 20.0) -> Reading:
        """What the vendor makes of it."""
        return self.vendor.read(self.asked(seconds))

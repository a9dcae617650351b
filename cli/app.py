"""What commands are given: lazy makers of what they may need, so that nothing is built until it is asked for."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from aiops.layers.core.clock import Clock, SystemClock
from aiops.layers.core.home import home_path
from aiops.layers.core.plugin import Plugins

if TYPE_CHECKING:
    from aiops.layers.core.store import Store
    from aiops.layers.l0_nodes.inventory import Inventory

    from .screen import Screen


@dataclass
class App:
    """The outside world of one invocation. Tests pass their own."""

    environment: Mapping[str, str]
    stdin: TextIO = field(default_factory=lambda: sys.stdin)
    stdout: TextIO = field(default_factory=lambda: sys.stdout)
    stderr: TextIO = field(default_factory=lambda: sys.stderr)
    clock: Clock = field(default_factory=SystemClock)
    plugins: Plugins = field(default_factory=Plugins)
    working_folder: Path = field(default_factory=Path.cwd)

    @property
    def home(self) -> Path:
        """AIOPS_HOME; not created."""
        return home_path(self.environment)

    def screen(self, *, json: bool = False, quiet: bool = False, verbose: int = 0) -> "Screen":
        """The screen of this invocation: the answer on stdout, all else on stderr."""
        from .screen import Screen

        return Screen(
            self.stdout,
            self.stderr,
            stdin=self.stdin,
            environment=self.environment,
            clock=self.clock,
            json=json,
            quiet=quiet,
            verbose=verbose,
        )

    def store(self) -> "Store":
        """The database of what happened; made when absent. The caller closes it."""
        from aiops.layers.core.store import Store

        return Store.open(self.home, self.environment)

    def locate(self, option: Path | None) -> Path:
        """The inventory to read: the option, AIOPS_INVENTORY, ./inventory.yml, or the head's own.

        Raises:
            InputError: None of them is there.
        """
        from aiops.layers.l0_nodes.inventory import locate

        return locate(option, self.environment, self.working_folder)

    def inventory(self, option: Path | None = None) -> "Inventory":
        """The inventory, read as Ansible reads it.

        Raises:
            InputError: There is none, or it has mistakes; all of them together.
        """
        from aiops.layers.l0_nodes.inventory import read_inventory

        path = self.locate(option)
        return read_inventory(path, self.environment, self.home / "cache", folder=self.working_folder)

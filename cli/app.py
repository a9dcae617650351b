"""What commands are given: lazy makers of what they may need, so that nothing is built until it is asked for."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from aiops.layers.core.clock import Clock, SystemClock
from aiops.layers.core.home import home_path
from aiops.layers.core.plugin import Plugins

if TYPE_CHECKING:
    from aiops.layers.core.store import Store
    from aiops.layers.l0_nodes.fleet import Fleet
    from aiops.layers.l0_nodes.inventory import Inventory
    from aiops.layers.l0_nodes.node import Node
    from aiops.layers.l0_nodes.vendor import Vendor

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
    words: tuple[str, ...] = field(default=(), init=False)
    """The command line, without `aiops`."""
    _named: Path | None = field(default=None, init=False)

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
            pasteable=self._pasteable,
        )

    def _pasteable(self, hint: str) -> str:
        """A hint whose commands find the inventory that this command line named."""
        from .pasteable import with_inventory

        return with_inventory(hint, self._named)

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

        self._named = option
        return locate(option, self.environment, self.working_folder)

    def inventory(self, option: Path | None = None) -> "Inventory":
        """The inventory, read as Ansible reads it.

        Raises:
            InputError: There is none, or it has mistakes; all of them together.
        """
        from aiops.layers.l0_nodes.inventory import read_inventory

        path = self.locate(option)
        return read_inventory(path, self.environment, self.home / "cache", folder=self.working_folder)

    def nickname(self, path: str) -> str:
        """`path` as it is called from the working folder, if it lies there; other words as they are."""
        return path.removeprefix(f"{self.working_folder}/")

    def fleet(
        self,
        inventory: "Inventory",
        nodes: "Sequence[Node] | None" = None,
        *,
        width: int | None = None,
        root: bool = True,
    ) -> "Fleet":
        """Connections to the nodes of `inventory`, opened when first needed. The caller closes it.

        Args:
            inventory: Where the nodes are from; its aiops.toml says how long each step of connecting may take.
            nodes: All that may be reached; every node by default.
            width: How many nodes are worked on at once; `forks` of aiops.toml by default.
            root: Whether root is needed there: passwords for it are asked of Ansible at once.

        Raises:
            InputError: Root is needed, and a node's password cannot be read; with its place.
            FailedError: Root is needed, and ansible-core is missing or does not answer.
        """
        from aiops.layers.l0_nodes.connector import Connector
        from aiops.layers.l0_nodes.fleet import Fleet
        from aiops.layers.l0_nodes.password import BecomePasswords

        settings = inventory.settings
        passwords = BecomePasswords(
            inventory, inventory.nodes if nodes is None else nodes, self.environment, self.working_folder
        )
        if root:
            passwords.prepare()
        connector = Connector(self.environment, become_password=passwords, seconds=settings.timeout)
        return Fleet(connector, width=width or settings.forks)

    def vendors(self) -> "tuple[Vendor, ...]":
        """The makers of accelerators that are plugged in; imports their plugins.

        Raises:
            PluginError: One of them cannot be used.
        """
        from aiops.layers.l0_nodes.vendor import AcceleratorHooks

        return tuple(self.plugins.hooks("accelerator", AcceleratorHooks).accelerator_vendor())

"""What a phase wants of a node, as data. A desired state is a tuple of these.

Every resource has a `key` that is unique within one node and phase and stable between runs: plan, drift, the
journal and the screens all name it by that.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Package:
    """A package is installed (or absent), at an exact version when one is given, and held when asked.

    Attributes:
        version: `*` in it stands for anything, as apt has it (`580.95.05-*`).
    """

    name: str
    version: str | None = None
    held: bool = False
    absent: bool = False

    @property
    def key(self) -> str:
        """`package:NAME`."""
        return f"package:{self.name}"


@dataclass(frozen=True, slots=True)
class File:
    """A file has this content, owner and mode; or a folder exists; or the path is absent.

    Attributes:
        content: The whole content; None for a folder or an absent path. Never shown when `secret`.
        restarts: Services to restart when this file changes.
        validate: A command with `%s` for the new file, which must pass before it is put in place.
        reboots: Whether a change takes effect only after a reboot.
    """

    path: str
    content: bytes | None = field(default=None, repr=False)
    mode: str = "0644"
    owner: str = "root"
    group: str = "root"
    folder: bool = False
    absent: bool = False
    secret: bool = False
    restarts: tuple[str, ...] = ()
    validate: str | None = None
    reboots: bool = False

    @property
    def key(self) -> str:
        """`file:PATH`."""
        return f"file:{self.path}"


@dataclass(frozen=True, slots=True)
class Tree:
    """A folder holds exactly these files, byte by byte; the phase's own tasks put them there.

    Attributes:
        digests: SHA-256 in hex by path, relative to the folder.
        bytes: What all files hold together: how long reading them may take depends on it.
    """

    path: str
    digests: Mapping[str, str] = field(repr=False, hash=False)
    bytes: int = 0

    @property
    def key(self) -> str:
        """`tree:PATH`."""
        return f"tree:{self.path}"


@dataclass(frozen=True, slots=True)
class Service:
    """A systemd unit is enabled and running, or neither."""

    name: str
    enabled: bool = True
    running: bool = True

    @property
    def key(self) -> str:
        """`service:NAME`."""
        return f"service:{self.name}"


@dataclass(frozen=True, slots=True)
class Sysctl:
    """A kernel setting has this value, now and after a reboot."""

    name: str
    value: str

    @property
    def key(self) -> str:
        """`sysctl:NAME`."""
        return f"sysctl:{self.name}"


@dataclass(frozen=True, slots=True)
class Mount:
    """Something is mounted at `path`, now and after a reboot (a systemd mount unit)."""

    path: str
    source: str
    kind: str
    options: str = "defaults"

    @property
    def key(self) -> str:
        """`mount:PATH`."""
        return f"mount:{self.path}"


@dataclass(frozen=True, slots=True)
class User:
    """An account and its group exist with these numbers."""

    name: str
    uid: int
    gid: int
    group: str
    home: str
    shell: str = "/usr/sbin/nologin"

    @property
    def key(self) -> str:
        """`user:NAME`."""
        return f"user:{self.name}"


@dataclass(frozen=True, slots=True)
class Reboot:
    """The node is rebooted once, when anything before it in this deploy changed what needs a reboot.

    Attributes:
        when_changed: Keys of the resources whose change needs it; `*` in one stands for anything.
    """

    reason: str
    when_changed: tuple[str, ...]

    @property
    def key(self) -> str:
        """`reboot`."""
        return "reboot"


Resource = Package | File | Tree | Service | Sysctl | Mount | User | Reboot

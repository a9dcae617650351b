"""Serving a bundle from this machine, for nodes that are set up by hand or before there is a head."""

import errno
import fcntl
import re
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from aiops.layers.core.errors import AiopsError, ConflictError, FailedError, InputError
from aiops.layers.l1_cluster.remote.repository import Server, open_server

from .bundle import KEY, Bundle
from .target import Target

PORT = 8990
EVERYWHERE = "0.0.0.0"  # noqa: S104 - it is what serving to a network means; read only, and only what was verified
_GET_ADDRESS = 0x8915  # Linux: SIOCGIFADDR
_PORTS = range(1, 65536)
_FOUND, _REFUSED = 200, 400
_LIST = "/etc/apt/sources.list.d/aiops-bundle.list"
_KEYRING = "/etc/apt/keyrings/aiops-bundle.asc"


@dataclass(frozen=True, slots=True)
class Listen:
    """Where to listen; written `ADDRESS:PORT`, `[::1]:PORT`, `:PORT` or `ADDRESS`."""

    address: str = EVERYWHERE
    port: int = PORT

    @classmethod
    def parse(cls, text: str) -> "Listen":
        """Read it.

        Raises:
            InputError: `bundle.listen`: it is none.
        """
        match = re.fullmatch(r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<four>[^\[\]:/\s]*))(?::(?P<port>[0-9]{1,5}))?", text)
        port = int(match["port"] or PORT) if match else 0
        if match is None or not text or port not in _PORTS:
            raise InputError(
                f"`{text}` is no place to listen on",
                code="bundle.listen",
                hints=["for example `--listen 10.0.0.5:8990`, `--listen [fd00::5]:8990` or `--listen :8080`"],
            )
        return cls(match["six"] or match["four"] or EVERYWHERE, port)

    def require(self) -> None:
        """See that it is an address of this machine; whether the port is free is seen when it is listened on.

        Raises:
            InputError: `bundle.listen`: it is none.
        """
        try:
            family, _, _, _, place = socket.getaddrinfo(self.address, 0, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.bind(place)
        except OSError as error:
            raise InputError(
                f"`{self.address}` is no address of this machine: {error.strerror or error}",
                code="bundle.listen",
                hints=["see this machine's addresses: `ip -brief address`", "or leave it out: `--listen :8080`"],
            ) from error

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class Instruction:
    """What is typed on a node of one target, as root, to install from a served bundle."""

    target: str
    lines: tuple[str, ...]


def instructions(bundle: Bundle, place: str) -> tuple[Instruction, ...]:
    """For each target of `bundle`, when it is served at `place` (`10.0.0.5:8990`).

    The key is fetched with what every apt has, and taken only with the digest that is shown here: what comes over
    plain HTTP is checked with what the operator carries over on the screen.
    """
    found = []
    for written in bundle.manifest.targets:
        target = Target(*written.split("/"))
        source = f"deb [arch={target.architecture} signed-by={_KEYRING}] http://{place}/apt {target.codename} main"
        fetch = f"/usr/lib/apt/apt-helper download-file http://{place}/{KEY} {_KEYRING} SHA256:{bundle.digests[KEY]}"
        lines = ("mkdir -p /etc/apt/keyrings", fetch, f"echo '{source}' > {_LIST}", "apt-get update")
        found.append(Instruction(written, lines))
    return tuple(found)


class Serving:
    """A bundle being served until the end of the block; only its own plain files, to whoever asks."""

    def __init__(self, bundle: Bundle, listen: Listen, on_answer: Callable[[], None] = lambda: None) -> None:
        """Nothing is listened on yet.

        Args:
            bundle: It was verified.
            listen: Where.
            on_answer: Called, in another thread, after each answer.
        """
        self._bundle = bundle
        self._listen = listen
        self._on_answer = on_answer
        self._lock = threading.Lock()
        self._server: Server | None = None
        self._thread: threading.Thread | None = None
        self.files = 0
        self.refused = 0
        self.clients: set[str] = set()

    def __enter__(self) -> Self:
        """Listen.

        Raises:
            ConflictError: `bundle.in_use`: another program listens there.
            FailedError: `bundle.listen`: this machine has no such address, or it may not be used.
        """
        try:
            address, port = self._listen.address, self._listen.port
            self._server = open_server(str(self._bundle.path), address, port, self._watch, free=False)
        except OSError as error:
            raise self._refusal(error) from error
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    @property
    def place(self) -> Listen:
        """Where it listens."""
        return self._listen

    def _watch(self, client: str, path: str, status: int) -> None:
        del path
        with self._lock:
            self.files += status == _FOUND
            self.refused += status >= _REFUSED
            self.clients.add(client)
        self._on_answer()

    def _refusal(self, error: OSError) -> AiopsError:
        if error.errno == errno.EADDRINUSE:
            return ConflictError(
                f"another program listens on {self._listen} already",
                code="bundle.in_use",
                hints=[f"see which: `ss -ltnp sport = :{self._listen.port}`", "or take another port with `--listen`"],
            )
        return FailedError(
            f"{self._listen} cannot be listened on: {error.strerror or error}",
            code="bundle.listen",
            hints=["see this machine's addresses: `ip -brief address`"],
        )


def own_addresses() -> tuple[str, ...]:
    """The IPv4 addresses of this machine's network cards, without the loopback's."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(asking.fileno(), _GET_ADDRESS, struct.pack("256s", name[:15].encode()))
            except OSError:
                continue  # a card without an address
            address = socket.inet_ntoa(answer[20:24])
            if not address.startswith("127."):
                found.append(address)
    return tuple(dict.fromkeys(found))

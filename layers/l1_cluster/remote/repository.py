"""Serve a bundle's packages over HTTP, read only. Runs on the head; standard library only.

    repository --folder FOLDER [--built FOLDER] --address ADDRESS --port PORT

Only GET and HEAD of plain files that lie in the folder, or as /built/NAME in the other one; no
listings, and no link leads out of it. What goes wrong is told on stderr, what goes well is not.
`aiops cluster bundle serve` serves with the same code.
"""

import argparse
import functools
import http.server
import os
import socket
import socketserver
import sys
from typing import Any, BinaryIO, Callable, Optional, Union

BUILT = "/built/"
IP_FREEBIND = 15  # Linux: bind before the address is there, as early in a boot

Watch = Callable[[str, str, int], None]
"""Told of each answer: who asked, for which path, and the status."""


class Handler(http.server.SimpleHTTPRequestHandler):
    """One connection; kept open between requests, as apt likes it."""

    protocol_version = "HTTP/1.1"
    timeout = 60

    def __init__(self, *args: Any, watch: Optional[Watch] = None, built: str = "", **kwargs: Any) -> None:
        """See the class above; `watch` is a `Watch` or None, `built` the folder behind /built/, empty for none."""
        self.watch = watch
        self.built = built
        super().__init__(*args, **kwargs)

    def version_string(self) -> str:
        """Who answers; not which Python."""
        return "aiops"

    def translate_path(self, path: str) -> str:
        """Where a file lies; a connection may ask for files of both folders in turn."""
        if not self._is_built(path):
            return super().translate_path(path)
        folder, self.directory = self.directory, self.built
        try:
            return super().translate_path(path[len(BUILT) - 1 :])
        finally:
            self.directory = folder

    def _is_built(self, path: str) -> bool:
        return bool(self.built) and path.startswith(BUILT)

    def send_head(self) -> Optional[BinaryIO]:
        """The file that is asked for, opened; nothing but a plain file in its folder is one."""
        root = os.path.realpath(self.built if self._is_built(self.path) else self.directory)
        asked = self.translate_path(self.path)
        path = "" if "\0" in asked else os.path.realpath(asked)
        if not path.startswith(root + os.sep) or not os.path.isfile(path):
            self.send_error(404, "there is no such file")
            return None
        return super().send_head()

    def log_request(self, code: Union[int, str] = "-", size: Union[int, str] = "-") -> None:
        """Say nothing of what was served, but to who watches."""
        del size
        if self.watch is not None:
            self.watch(self.client_address[0], self.path, int(code))

    def log_error(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the class above
        """What was refused is told by its status alone where somebody watches."""
        if self.watch is None:
            super().log_error(format, *args)


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """One thread per connection."""

    daemon_threads = True
    request_queue_size = 256
    free = True
    """Whether an address may be bound that this machine does not have yet."""

    def server_bind(self) -> None:
        """Bind although the address may not be there yet."""
        if self.free and self.address_family == socket.AF_INET:
            self.socket.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""
        kind = sys.exc_info()[0]
        if kind is None or not issubclass(kind, (ConnectionError, socket.timeout)):
            http.server.HTTPServer.handle_error(self, request, client_address)


def open_server(
    folder: str, address: str, port: int, watch: Optional[Watch] = None, *, free: bool = True, built: str = ""
) -> Server:
    """Listen on `address` (a name or a number); the caller calls `serve_forever`.

    Raises OSError where it cannot be listened on.
    """
    family, _, _, _, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]

    class Bound(Server):
        address_family = family

    Bound.free = free
    handler = functools.partial(Handler, directory=folder, watch=watch, built=built)
    return Bound((str(place[0]), int(place[1])), handler)


def tell_systemd() -> None:
    """Say that we listen now."""
    path = os.environ.get("NOTIFY_SOCKET")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.connect("\0" + path[1:] if path.startswith("@") else path)
            channel.send(b"READY=1")


def main() -> None:
    """Serve until told to end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--built", default="")
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    server = open_server(options.folder, options.address, options.port, built=options.built)
    tell_systemd()
    server.serve_forever()


if __name__ == "__main__":
    main()

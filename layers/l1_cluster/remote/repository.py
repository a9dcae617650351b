"""Serve a bundle's packages over HTTP, read only. Runs on the head; standard library only.

    repository --folder FOLDER --address ADDRESS --port PORT

Only GET and HEAD of files; no listings. What goes wrong is told on stderr, what goes well is not.
"""

import argparse
import functools
import http.server
import os
import socket
import socketserver
import sys

IP_FREEBIND = 15  # Linux: bind before the address is there, as early in a boot


class Handler(http.server.SimpleHTTPRequestHandler):
    """One connection; kept open between requests, as apt likes it."""

    protocol_version = "HTTP/1.1"
    timeout = 60

    def list_directory(self, path):
        """A folder is nothing to get."""
        self.send_error(404, os.path.basename(path) + " is no file")

    def log_request(self, code="-", size="-"):
        """Say nothing of what was served."""


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """One thread per connection."""

    daemon_threads = True
    request_queue_size = 256

    def server_bind(self):
        """Bind although the address may not be there yet."""
        if self.address_family == socket.AF_INET:
            self.socket.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]

    def handle_error(self, request, client_address):
        """A client that went away is no news."""
        kind = sys.exc_info()[0]
        if kind is None or not issubclass(kind, (ConnectionError, socket.timeout)):
            http.server.HTTPServer.handle_error(self, request, client_address)


def open_server(folder, address, port):
    """Listen on `address` (a name or a number); the caller calls `serve_forever`."""
    family, _, _, _, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]

    class Bound(Server):
        address_family = family

    return Bound(place[:2] if family == socket.AF_INET else place, functools.partial(Handler, directory=folder))


def tell_systemd():
    """Say that we listen now."""
    path = os.environ.get("NOTIFY_SOCKET")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.connect("\0" + path[1:] if path.startswith("@") else path)
            channel.send(b"READY=1")


def main():
    """Serve until told to end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    server = open_server(options.folder, options.address, options.port)
    tell_systemd()
    server.serve_forever()


if __name__ == "__main__":
    main()

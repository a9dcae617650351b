"""A service that listens only on a node, made reachable here for the time of a block.

Prometheus often listens where the controller has no route (behind a jump host, on localhost). The relay listens on
127.0.0.1 and answers each GET with what the node's own loopback answered, fetched over the transport we have.
"""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from aiops.layers.core.errors import AiopsError
from aiops.layers.l0_nodes.transport import Transport

from .script import script_command


@contextmanager
def relayed(transport: Transport, port: int, *, timeout: float = 10.0) -> Iterator[str]:
    """The URL under which `127.0.0.1:PORT` of the node can be read here, until the block ends.

    The URL holds a random word, so that other users of this machine cannot use it. Only GET is passed on. A node that
    does not answer is status 502 with the reason.

    Args:
        transport: The node.
        port: TCP port of the service on the node's loopback.
        timeout: Seconds for one document.
    """
    prefix = f"/{secrets.token_urlsafe(16)}"

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.startswith(f"{prefix}/"):
                self.send_error(404)
                return
            status, body = _fetch(transport, port, self.path.removeprefix(prefix), timeout)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
            """Nothing: stderr is for people."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="relay", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}{prefix}"
        finally:
            server.shutdown()
            thread.join(timeout)


def _fetch(transport: Transport, port: int, path: str, timeout: float) -> tuple[int, bytes]:
    call = f"main({port:d}, {path!r}, {timeout!r})"
    try:
        completed = transport.run(script_command(transport.node, "fetch", call, timeout=timeout + 5))
    except AiopsError as error:
        return 502, error.message.encode()
    if not completed.ok:
        return 502, completed.error_text.encode() or b"no answer in time"
    status, _, body = completed.stdout.partition(b"\n")
    return int(status), body

"""A service without a model: it answers HTTP on the port that aiops gave, ready after a while, and fails as it is told.

service.py --ready-after 3 --unready-after 60 --end-after 90 --status 1
"""

import argparse
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BEGAN = time.monotonic()


def main() -> int:
    """Serve until asked to leave, or for as long as it is told."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=int(os.environ.get("AIOPS_PORT_HTTP", "0")))
    parser.add_argument("--ready-after", type=float, default=0.0, help="seconds")
    parser.add_argument("--unready-after", type=float, help="seconds after which it answers 503 again")
    parser.add_argument("--end-after", type=float, help="seconds after which it ends by itself")
    parser.add_argument("--status", type=int, default=1, help="its exit status then")
    options = parser.parse_args()

    class Handler(BaseHTTPRequestHandler):
        """200 while it is ready, 503 otherwise."""

        def do_GET(self) -> None:
            age = time.monotonic() - BEGAN
            ready = age >= options.ready_after and not (options.unready_after and age >= options.unready_after)
            self.send_response(200 if ready else 503)
            self.end_headers()
            self.wfile.write(f"attempt {os.environ.get('AIOPS_ATTEMPT', '1')}\n".encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the parent's
            """Say nothing."""

    server = ThreadingHTTPServer(("", options.port), Handler)
    print(f"listening on {server.server_port}", flush=True)
    left = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: left.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return 0 if left.wait(options.end_after) else int(options.status)


if __name__ == "__main__":
    sys.exit(main())

"""Read one document from a service that listens on this node, and pass it on.

Standard library only, Python 3.6, imports nothing of ours: the text of this file is sent to `python3 -` with one
call of `main` behind it. Only GET, only 127.0.0.1.
"""

import sys
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, build_opener

LIMIT = 32 * 1024 * 1024


def main(port: int, path: str, timeout: float) -> None:
    """Write the HTTP status on a line of its own and the body behind it; end with 1 when nothing answers."""
    opener = build_opener(ProxyHandler({}))
    try:
        response = opener.open("http://127.0.0.1:%d%s" % (port, path), timeout=timeout)
    except HTTPError as error:
        response = error
    except (URLError, OSError) as error:
        sys.exit("127.0.0.1:%d: %s" % (port, getattr(error, "reason", error)))
    out = sys.stdout.buffer
    out.write(b"%d\n" % response.getcode())
    out.write(response.read(LIMIT))

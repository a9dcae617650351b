"""The launcher's socket: JSON lines both ways with those who follow it.

It lies in a folder that only the job's user may enter. Nothing waits for whoever does not read: he is let go, and finds
all in the spool when he comes again.

Standard library only, Python 3.6, imports nothing of ours.
"""

import json
import os
import selectors
import socket
from typing import Any, Callable, Dict

_CHUNK = 65536
_MOST_IN = 65536
_MOST_OUT = 1048576


class Client(object):
    """One who follows."""

    def __init__(self, sock: Any) -> None:
        self.socket = sock
        self.incoming = b""
        self.outgoing = b""


class Control(object):
    """All who follow."""

    def __init__(self, selector: selectors.BaseSelector, asks: Callable[[Dict[str, Any]], None]) -> None:
        """Listen in the current folder, at `control`.

        Args:
            selector: Calls `data(file, now)` of what is ready.
            asks: Told what somebody wants.
        """
        self._selector = selector
        self._asks = asks
        self._clients: Any = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # Relative: the path of a socket may only be a hundred letters long. Under another name until it listens, so
        # that whoever finds it is answered.
        self._socket.bind("control.new")
        self._socket.listen(8)
        os.rename("control.new", "control")
        self._socket.setblocking(False)
        selector.register(self._socket, selectors.EVENT_READ, self._accept)

    def send(self, words: Dict[str, Any]) -> None:
        """Tell all."""
        line = (json.dumps(words) + "\n").encode("utf-8")
        for client in list(self._clients):
            client.outgoing += line
            self._push(client)

    def close(self) -> None:
        """Let go of all."""
        for client in list(self._clients):
            try:
                while client.socket.recv(_CHUNK):
                    pass  # what is unread when we close would take our last words with it
            except OSError:
                pass
            self._drop(client)
        self._socket.close()

    def _accept(self, sock: Any, now: float) -> None:
        del now
        try:
            found, _ = sock.accept()
        except OSError:
            return
        found.setblocking(False)
        client = Client(found)
        self._clients.append(client)
        self._selector.register(found, selectors.EVENT_READ, lambda *_: self._serve(client))

    def _serve(self, client: Client) -> None:
        try:
            data = client.socket.recv(_CHUNK)
        except BlockingIOError:
            data = None
        except OSError:
            data = b""
        if data == b"" or len(client.incoming) > _MOST_IN:
            self._drop(client)
            return
        if data:
            lines = (client.incoming + data).split(b"\n")
            client.incoming = lines.pop()
            for line in lines:
                try:
                    words = json.loads(line.decode("utf-8"))
                except (ValueError, RecursionError):
                    continue
                if isinstance(words, dict):
                    self._asks(words)
        if client in self._clients:
            self._push(client)

    def _push(self, client: Client) -> None:
        try:
            while client.outgoing:
                client.outgoing = client.outgoing[client.socket.send(client.outgoing) :]
        except BlockingIOError:
            if len(client.outgoing) > _MOST_OUT:
                self._drop(client)
        except OSError:
            self._drop(client)

    def _drop(self, client: Client) -> None:
        if client in self._clients:
            self._clients.remove(client)
            self._selector.unregister(client.socket)
            client.socket.close()

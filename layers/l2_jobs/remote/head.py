"""The agent's end of the line: JSON lines from the head, and to it.

Standard library only, Python 3.6, imports nothing of ours.
"""

import json
import os
import selectors
from typing import Any, Callable, Dict, Optional

_ENOUGH = 1 << 20
"""Bytes that wait for the head; then nothing more is taken from those who have something to say."""

_READ = 1 << 18
_WRITTEN = 1 << 16


class Head(object):
    """The head, at the other end."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        out: int,
        heard: Callable[[Optional[Dict[str, Any]]], None],
        take: Callable[[bool], None],
    ) -> None:
        """Prepare.

        Args:
            selector: Calls `data(file)` of what is ready.
            out: Where the head reads.
            heard: Told what the head says, and None when it is gone.
            take: Told whether more is to be said to it.
        """
        self._selector = selector
        self._out = out
        self._heard = heard
        self._take = take
        self._taking = True
        self._incoming = b""
        self._outgoing = bytearray()
        self.files = [0, 1, out]
        """What no child of ours may hold open: the head would not see our end."""
        os.set_blocking(out, False)

    def listen(self, source: int) -> None:
        """Hear what it says."""
        os.set_blocking(source, False)
        self._selector.register(source, selectors.EVENT_READ, self._read)

    def send(self, words: Dict[str, Any]) -> None:
        """Say something, now or as soon as it reads."""
        self._outgoing += json.dumps(words).encode("utf-8") + b"\n"
        self._push(self._out)

    def _read(self, source: int) -> None:
        try:
            data = os.read(source, _READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._heard(None)
            return
        lines = (self._incoming + data).split(b"\n")
        self._incoming = lines.pop()
        for line in lines:
            try:
                words = json.loads(line.decode("utf-8"))
            except ValueError:
                continue
            if isinstance(words, dict):
                self._heard(words)

    def _push(self, out: int) -> None:
        while self._outgoing:
            try:
                sent = os.write(out, bytes(self._outgoing[:_WRITTEN]))
            except BlockingIOError:
                break
            except OSError:
                self._heard(None)
                return
            del self._outgoing[:sent]
        waiting = bool(self._outgoing)
        registered = out in self._selector.get_map()
        if waiting and not registered:
            self._selector.register(out, selectors.EVENT_WRITE, self._push)
        elif registered and not waiting:
            self._selector.unregister(out)
        taking = len(self._outgoing) < _ENOUGH
        if taking != self._taking:
            self._taking = taking
            self._take(taking)

"""A rank group, as the agent of its node knows it, and the follower that reads its folder.

Standard library only, Python 3.6, imports nothing of ours but its sisters.
"""

import errno
import json
import os
import selectors
import signal
import socket
from typing import Any, Callable, Dict, Iterable, List, Optional

from .errands import as_user, forked
from .folders import owner_of
from .follower import Follower, document

_PIECE = 1 << 18
_LONGEST = 1 << 21
"""Bytes of a line of a follower, which its user may have made up; it ends no line of others."""
_LETTERS = 4000


class Group(object):
    """One on this node."""

    def __init__(self, key: str, owner: int, folder: str) -> None:
        """Know of it.

        Args:
            key: The attempt.
            owner: Its user's number; -1 where nobody knows.
            folder: The attempt's here.
        """
        self.key = key
        self.owner = owner
        self.folder = folder
        self.gone = False
        """Nothing of it runs."""
        self.told = False
        self.released = False
        """It is to be forgotten once it is gone."""
        self.starting = False
        self.asking = False
        self.doubtful = False
        """Its launcher does not answer."""
        self.awaited = False
        """Its launcher is started by somebody else, perhaps later: until it has been here, none is missed."""
        self.killed_at: Optional[float] = None
        self.last: Optional[Dict[str, Any]] = None
        """How it has ended, in its launcher's words."""
        self.looked = 0.0
        self.socket: Any = None
        self._pid = 0
        self._incoming = b""
        self._after = 0
        self._log = 0

    def know(self, words: Dict[str, Any]) -> None:
        """The head knows its events and output as far as `words` say."""
        self._after = max(self._after, int(words.get("after", 0)))
        self._log = max(self._log, int(words.get("log", 0)))

    def begin(self, closing: Iterable[int]) -> None:
        """Begin to follow it.

        Args:
            closing: Files of ours that the follower must not hold open.
        """
        if self.owner < 0 or owner_of(self.folder) != self.owner:
            self.doubtful = True  # there is nothing to read, or it is somebody else's
            return
        ours, theirs = socket.socketpair()
        gid = os.lstat(self.folder).st_gid
        files = [*closing, ours.fileno()]

        def follow() -> int:
            for one in files:
                os.close(one)
            as_user(self.owner, gid, None)
            os.chdir(self.folder)
            if os.stat(".").st_uid == self.owner:
                Follower(theirs, self._after, self._log).run()
            return 0

        self._pid = forked(follow)
        theirs.close()
        ours.setblocking(False)
        self.socket = ours
        self._incoming = b""

    def listen(self, selector: selectors.BaseSelector, hear: Callable[["Group"], None]) -> None:
        """Have `hear` called when its follower says something."""
        if self.socket is not None:
            selector.register(self.socket, selectors.EVENT_READ, lambda _: hear(self))

    def heard(self) -> Optional[List[Dict[str, Any]]]:
        """What its follower says, which its user may have made up; None when that has ended."""
        try:
            data = self.socket.recv(_PIECE)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            return None
        lines = (self._incoming + data).split(b"\n")
        self._incoming = lines.pop()
        if len(self._incoming) > _LONGEST:
            self._incoming = b""
        documents = [document(line) for line in lines]
        return [words for words in documents if words]

    def passed_on(self, words: Dict[str, Any]) -> List[Dict[str, Any]]:
        """What the head is told of what its follower says; it concerns no other group, whoever made it up."""
        event, log = words.get("event"), words.get("log")
        if isinstance(event, dict):
            event = dict((name, value) for name, value in event.items() if _plain(name) and _plain(value))
            if isinstance(event.get("n"), int):
                self._after = max(self._after, event["n"])
            if event.get("kind") == "ended":
                self.last = {"kind": "ended", "end": event.get("end"), "status": event.get("status")}
            return [{"key": self.key, "event": event}]
        if isinstance(log, dict) and isinstance(log.get("offset"), int) and isinstance(log.get("data"), str):
            log = {"offset": log["offset"], "data": log["data"]}
            self._log = log["offset"] + len(log["data"]) * 3 // 4 - log["data"][-2:].count("=")
            return [{"key": self.key, "log": log}]
        return []

    def send(self, words: Dict[str, Any]) -> None:
        """Say something to its launcher, through its follower; nothing where there is none."""
        if self.socket is None:
            return
        try:
            self.socket.send((json.dumps(words) + "\n").encode("utf-8"))
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EPIPE, errno.ECONNRESET):
                raise

    def end(self) -> None:
        """Its follower has ended."""
        self.socket.close()
        self.socket = None
        for step in (lambda: os.kill(self._pid, signal.SIGKILL), lambda: os.waitpid(self._pid, 0)):
            try:
                step()
            except OSError:
                pass


def _plain(value: Any) -> bool:
    """Whether a value of an event is one that a launcher tells: the rest goes no further, however deep it is nested."""
    if isinstance(value, str):
        return len(value) <= _LETTERS
    return value is None or isinstance(value, (bool, int, float))

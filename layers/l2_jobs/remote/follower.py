"""The follower: a child of the agent, as the job's user, that reads what a launcher has spooled and passes words on.

Only it opens anything in the job's folder, so that root never follows a link that a user has put there. What is spooled
is read from the files alone, from an offset; the launcher's socket says when there is more, and carries commands.

Standard library only, Python 3.6, imports nothing of ours but its sisters.
"""

import base64
import json
import os
import select
import socket
import time
from typing import Any, Dict, Optional

from .spool import EVENTS, segments

_CHUNK = 131072
_LINES = 1 << 20
_DIGITS = 18
_RETRY = 0.05
_LONG_RETRY = 1.0
_AWAY_FOR = 3.0


class Follower(object):
    """Between an agent and a launcher."""

    def __init__(self, agent: Any, after: int, offset: int) -> None:
        """Begin.

        Args:
            agent: The socket to the agent.
            after: Number of the last event that is known.
            offset: Of the first byte of output that is not known.
        """
        self._agent = agent
        self._after = after
        self._offset = offset
        self._read_events = 0
        self._partial = b""
        self._launcher: Any = None
        self._from_agent = b""
        self._from_launcher = b""
        self._to_launcher = b""
        self._away: Optional[float] = None
        self._told_away = False
        self._ending = False

    def run(self) -> None:
        """Until the agent says that the unit is gone, or goes itself."""
        try:
            self._follow()
        except (BrokenPipeError, ConnectionResetError):  # the agent went in the middle of a word
            pass

    def _follow(self) -> None:
        while True:
            if self._launcher is None and not self._ending:
                self._connect()
            more = self._news()
            if self._ending and not more:
                return
            wait = 0.0 if more else self._patience()
            files = [self._agent] + ([self._launcher] if self._launcher is not None else [])
            ready, _, _ = select.select(files, [], [], wait)
            if self._launcher in ready:
                self._hear_launcher()
            if self._agent in ready and not self._hear_agent():
                return

    def _patience(self) -> float:
        if self._launcher is not None:
            return 5.0
        return _RETRY if self._away is None or time.monotonic() - self._away < _AWAY_FOR else _LONG_RETRY

    def _connect(self) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(1.0)
        try:
            sock.connect("control")
            sock.sendall(b'{"do": "follow"}\n')
        except OSError as error:
            sock.close()
            if self._away is None:
                self._away = time.monotonic()
            if not self._told_away and not isinstance(error, socket.timeout):
                self._told_away = True
                self._say({"launcher": "away"})
            return
        self._launcher = sock
        self._away = None
        self._told_away = False
        self._from_launcher = b""
        self._say({"launcher": "here"})
        if self._to_launcher:
            self._pass(b"")

    def _hear_launcher(self) -> None:
        try:
            data = self._launcher.recv(65536)
        except OSError:
            data = b""
        if not data:
            self._launcher.close()
            self._launcher = None
            return
        lines = (self._from_launcher + data).split(b"\n")
        self._from_launcher = lines.pop()[:_LINES]
        for line in lines:
            words = document(line)
            if words.get("stepped"):
                self._say({"event": words["stepped"]})
            elif words.get("last"):
                while self._news():  # why it ended was written before
                    pass
                self._say({"event": words["last"]})

    def _hear_agent(self) -> bool:
        data = self._agent.recv(65536)
        if not data:
            return False
        lines = (self._from_agent + data).split(b"\n")
        self._from_agent = lines.pop()
        for line in lines:
            words = document(line)
            if words.get("do") == "end":
                self._ending = True
            else:
                # A beat is of now: one that waits for a launcher would be heard too late.
                self._pass(line + b"\n", keep=words.get("do") != "beat")
        return True

    def _pass(self, line: bytes, keep: bool = True) -> None:
        """Pass a command on, once there is a launcher."""
        if self._launcher is None:
            self._to_launcher += line if keep else b""
            return
        try:
            self._launcher.sendall(self._to_launcher + line)
            self._to_launcher = b""
        except OSError:
            if keep:
                self._to_launcher += line

    def _news(self) -> bool:
        """Send on what is spooled and not yet sent; whether there may be more."""
        return self._events() or self._output()

    def _events(self) -> bool:
        try:
            file = os.open(EVENTS, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            data = os.pread(file, _CHUNK, self._read_events)
        finally:
            os.close(file)
        self._read_events += len(data)
        lines = (self._partial + data).split(b"\n")
        self._partial = lines.pop()[:_LINES]
        for line in lines:
            event = document(line)
            if isinstance(event.get("n"), int) and event["n"] > self._after:
                self._after = event["n"]
                if event.get("kind") in ("exited", "ended", "ending"):
                    # Its output was written before: whoever hears of an end has read why.
                    while self._output():
                        pass
                self._say({"event": event})
        return bool(data)

    def _output(self) -> bool:
        known = segments(".")
        chosen = [one for one in known if one[0] <= self._offset]
        begin, path = chosen[-1] if chosen else (0, "")
        following = [one for one in known if one[0] > self._offset]
        data = b""
        if path:
            try:
                file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except OSError:
                return True  # it was let go just now
            try:
                data = os.pread(file, _CHUNK, self._offset - begin)
            finally:
                os.close(file)
        if not data:
            if following:  # what lay between was let go
                self._offset = following[0][0]
                return True
            return False
        self._say({"log": {"offset": self._offset, "data": base64.b64encode(data).decode("ascii")}})
        self._offset += len(data)
        return True

    def _say(self, words: Dict[str, Any]) -> None:
        self._agent.sendall((json.dumps(words) + "\n").encode("utf-8"))


def document(line: bytes) -> Dict[str, Any]:
    """The document in a line; empty where it is none, is nested without end, or has a number without end."""
    try:
        found = json.loads(line.decode("utf-8"), parse_int=_whole)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _whole(digits: str) -> int:
    """A whole number; a million digits would take longer than others can wait.

    Raises:
        ValueError: It has too many digits.
    """
    if len(digits) > _DIGITS:
        raise ValueError("a number of %d digits" % len(digits))
    return int(digits)

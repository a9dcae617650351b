"""The other rank groups of an attempt: beats to them, and from them, over UDP.

Standard library only, Python 3.6, imports nothing of ours but its sisters.
"""

import fcntl
import socket
import struct
from typing import Any, Callable, Dict, List, Optional, Tuple

from . import beat

_SIOCGIFADDR = 0x8915
_MANY = 64
"""Datagrams that are read at once: whoever floods the port does not keep the launcher from its lease."""


class Peers(object):
    """Beats, both ways."""

    def __init__(self, spec: Dict[str, Any], heard: Callable[[Dict[str, Any]], None]) -> None:
        """Listen.

        Args:
            spec: What the launcher was given.
            heard: Told what a beat says.

        Raises:
            OSError: The port is taken, or a peer's address is none.
        """
        self._secret = spec["secret"].encode("ascii")
        self._job, _, epoch = spec["key"].rpartition(".")
        self._epoch = int(epoch)
        self._node = spec["node"]
        self._every = spec["lease"]["beat"]
        self._heard = heard
        self._number = 0
        self._beaten = 0.0
        self._newest: Dict[Tuple[int, str], int] = {}
        self._over: Any = set()
        self._last: Dict[str, float] = {}
        self._places: List[Any] = []
        family = socket.AF_INET
        for peer in spec["peers"]:
            found = socket.getaddrinfo(peer["address"], peer["port"], 0, socket.SOCK_DGRAM)[0]
            family = found[0]
            self._places.append((peer["node"], found[4]))
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind(("", spec["beat_port"]))
        self.socket.setblocking(False)

    def read(self, sock: Any, now: float) -> None:
        """Take what has come."""
        for _ in range(_MANY):
            try:
                datagram = sock.recv(beat.MOST)
            except OSError:  # nothing more; or a peer's machine says that nobody listens there
                return
            said = beat.read(self._secret, datagram)
            if said is None or said["job"] != self._job or said["node"] == self._node:
                continue
            known = (said["epoch"], said["node"])
            if said["n"] <= self._newest.get(known, 0):
                continue
            self._newest[known] = said["n"]
            if said["epoch"] == self._epoch:
                self._last[said["node"]] = now
                if said["over"]:
                    self._over.add(said["node"])
            self._heard(said)

    def beat(self, now: float, over: bool, force: bool = False) -> None:
        """Send a beat to each, when it is time."""
        if not force and now - self._beaten < self._every:
            return
        self._beaten = now
        self._number += 1
        datagram = beat.beat(self._secret, self._job, self._epoch, node=self._node, number=self._number, over=over)
        for _, place in self._places:
            try:
                self.socket.sendto(datagram, place)
            except OSError:
                pass  # no way there just now: the next one, or the lease

    def alone(self, now: float, since: float, seconds: float) -> bool:
        """Whether nobody needs our company: each peer is done, or was not heard for `seconds`.

        Args:
            now: By the lease's clock.
            since: When we were done.
            seconds: So long a silent one is waited for.
        """
        waiting = [name for name, _ in self._places if name not in self._over]
        return all(now - max(self._last.get(name, since), since) >= seconds for name in waiting)


def interface_towards(address: str) -> Optional[str]:
    """The network interface by which `address` is reached; None where that cannot be told, or has no IPv4 address."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))  # sends nothing: it only asks the kernel for the way
            own = probe.getsockname()[0]
            for _, name in socket.if_nameindex():
                question = struct.pack("256s", name.encode("utf-8")[:15])
                try:
                    answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, question)
                except OSError:
                    continue  # it has none
                if socket.inet_ntoa(answer[20:24]) == own:
                    return name
    except OSError:
        pass
    return None

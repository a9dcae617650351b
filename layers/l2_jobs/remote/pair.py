"""Two nodes send each other data: one listens, the other comes. Each says what it has sent, what came, and how fast.

It runs as nobody, in two ends that know each other by a token which came to them over SSH: each proves that it has it,
and it is never said on the network. Whoever else connects is sent away. An end by itself says nothing of success: what
one has sent and what the other got is compared by whoever has asked both.

Standard library only, Python 3.6, imports nothing of ours but its sister.
"""

import encodings.idna  # noqa: F401 - names of nodes need it, and nobody may perhaps not read where Python lies
import hmac
import json
import os
import pwd
import select
import signal
import socket
import statistics
import sys
import time

from .pair_wire import (
    LACKS,
    MOST,
    STALL,
    LackError,
    Wire,
    WireError,
    digest,
    failed,
    inwards,
    outwards,
    proof,
    words_of,
)

COME = 10.0
"""Seconds that the one who listens waits for the other: he is started over SSH after it."""

CONNECT = 5.0
"""Seconds in which a connection must be there."""

STRANGER = 1.0
"""Seconds in which whoever connects must say who he is."""

TURNS = 100
"""Small messages, there and back, of which the middle one counts."""

_STRANGERS = 256
"""Of them at once."""

_NONCE = 16
_PROOF = 32


def leave_root():
    """Be nobody: what comes from the network is none of root's business."""
    if os.geteuid() != 0:
        return
    try:
        found = pwd.getpwnam("nobody")
        uid, gid = found.pw_uid, found.pw_gid
    except KeyError:
        uid = gid = 65534
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def say(words):
    """A line for whoever has asked."""
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def bound(ports):
    """A socket that listens on the first of `ports` that is free, and which that is."""
    problem = OSError("no port was given")
    for port in ports:
        for family in (socket.AF_INET6, socket.AF_INET):
            try:
                sock = socket.socket(family, socket.SOCK_STREAM)
            except OSError as error:
                problem = error
                continue
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                sock.bind(("", port))
                sock.listen(_STRANGERS)
                sock.setblocking(False)
                return sock, sock.getsockname()[1]
            except OSError as error:
                problem = error
                sock.close()
    raise problem


def listen(spec):
    """The end that listens: says its port, then what became of it."""
    leave_root()
    signal.alarm(int(COME + MOST + STALL))
    data = os.urandom(spec["bytes"])
    try:
        sock, port = bound(spec["ports"])
    except OSError as error:
        say({"none": "it cannot listen: %s" % words_of(error)})
        return
    say({"port": port})
    door = Door(sock, spec["token"])
    found = {}
    try:
        wire = door.come()
        if wire is None:
            found = {"left": True}
        else:
            for _ in range(TURNS):
                wire.send(wire.take(8))
            found["got"] = inwards(wire, spec["bytes"])
            found["seconds"] = outwards(wire, data)
            found["got"], found["sent"] = digest(found["got"]), digest(data)
    except LackError as error:
        found = {"none": str(error)}
    except WireError as error:
        found = {"why": str(error)}
    if door.wire is None and door.lack:
        found = {"none": door.lack}
    elif door.wire is None and door.strangers:
        found = {"none": "others connect to it, so that it says nothing that the one it waits for did not come"}
    say(found)


class Door(object):
    """Where the other end is awaited. Whoever else comes is let go, and keeps nobody waiting."""

    def __init__(self, sock, token):
        self.wire = None
        self.strangers = 0
        self.lack = ""
        self._socket = sock
        self._token = token
        self._said = {}

    def come(self):
        """The connection of the other end; None where whoever has asked wants it to wait no longer, or is gone."""
        until = time.monotonic() + COME
        try:
            while self.wire is None:
                now = time.monotonic()
                if now >= until:
                    raise WireError("no connection came within %g s" % COME)
                for one, (_, _, late) in list(self._said.items()):
                    if now >= late:
                        self._refuse(one)
                room = [self._socket] if len(self._said) < _STRANGERS else []
                ready, _, _ = select.select([0, *room, *list(self._said)], [], [], min(0.2, until - now))
                if 0 in ready:
                    return None
                for one in ready:
                    if one is self._socket:
                        self._accept(now)
                    elif self.wire is None:
                        self._hear(one)
            return self.wire
        finally:
            for one in self._said:
                one.close()

    def _accept(self, now):
        try:
            one, _ = self._socket.accept()
        except OSError as error:
            if error.errno in LACKS:
                self.lack = "it cannot take a connection: %s" % words_of(error)
            return  # it is gone again
        mine = os.urandom(_NONCE)
        one.setblocking(False)
        self._said[one] = (mine, b"", now + STRANGER)
        try:
            one.send(mine)
        except OSError:
            self._refuse(one)

    def _hear(self, one):
        mine, said, late = self._said[one]
        try:
            came = one.recv(_NONCE + _PROOF - len(said))
        except OSError:
            came = b""
        said += came
        if not came:
            self._refuse(one)
        elif len(said) < _NONCE + _PROOF:
            self._said[one] = (mine, said, late)
        elif hmac.compare_digest(said[_NONCE:], proof(self._token, b"second", mine + said[:_NONCE])):
            del self._said[one]
            self.wire = Wire(one, time.monotonic() + MOST)
            self.wire.send(proof(self._token, b"first", mine + said[:_NONCE]))
        else:
            self._refuse(one)

    def _refuse(self, one):
        self.strangers += 1
        del self._said[one]
        one.close()


def call(spec):
    """The end that comes: says what became of it."""
    leave_root()
    signal.alarm(int(CONNECT + MOST + STALL))
    data = os.urandom(spec["bytes"])
    found = {}
    try:
        wire = _reach(spec["address"], spec["port"], spec["token"])
        turns = []
        for _ in range(TURNS):
            begun = time.monotonic()
            wire.send(b"12345678")
            wire.take(8)
            turns.append(time.monotonic() - begun)
        found["latency"] = statistics.median(turns)
        found["seconds"] = outwards(wire, data)
        found["got"] = inwards(wire, spec["bytes"])
        found["got"], found["sent"] = digest(found["got"]), digest(data)
        say(found)
    except LackError as error:
        say({"none": str(error)})
    except WireError as error:
        say({"why": str(error)})


def _reach(address, port, token):
    """A connection to the other end, which has the token too."""
    try:
        sock = socket.create_connection((address, port), CONNECT)
    except socket.timeout:
        raise WireError("no connection to %s within %g s" % (address, CONNECT)) from None
    except OSError as error:
        raise failed("no connection to %s" % address, error) from error
    wire = Wire(sock, time.monotonic() + MOST)
    theirs = bytes(wire.take(_NONCE))
    nonces = theirs + os.urandom(_NONCE)
    wire.send(nonces[_NONCE:] + proof(token, b"second", nonces))
    if not hmac.compare_digest(bytes(wire.take(_PROOF)), proof(token, b"first", nonces)):
        raise WireError("another program answers at %s" % address)
    return wire

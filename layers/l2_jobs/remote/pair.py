"""Two nodes send each other data: one listens, the other comes. Each says what it has sent, what came, and how fast.

It runs as nobody, in two ends that know each other by a token which came to them over SSH: each proves that it has it,
and it is never said on the network. Whoever else connects is sent away. An end by itself says nothing of success: what
one has sent and what the other got is compared by whoever has asked both.

Standard library only, Python 3.6, imports nothing of ours.
"""

import binascii
import encodings.idna  # noqa: F401 - names of nodes need it, and nobody may perhaps not read where Python lies
import hashlib
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

COME = 10.0
"""Seconds that the one who listens waits for the other: he is started over SSH after it."""

CONNECT = 5.0
"""Seconds in which a connection must be there."""

STALL = 5.0
"""Seconds without a byte after which a connection is broken."""

MOST = 15.0
"""Seconds of all that is sent, both ways."""

STRANGER = 1.0
"""Seconds in which whoever connects must say who he is."""

TURNS = 100
"""Small messages, there and back, of which the middle one counts."""

_NONCE = 16
_PROOF = 32
_PIECE = 1048576
_SMALL = 65536


class WireError(Exception):
    """What went wrong between both, in words."""


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


def proof(token, role, nonces):
    """What only an end with the token can say."""
    return hmac.new(binascii.unhexlify(token), role + nonces, hashlib.sha256).digest()


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
                sock.listen(8)
                return sock, sock.getsockname()[1]
            except OSError as error:
                problem = error
                sock.close()
    raise problem


class Wire(object):
    """A connection on which both ends wait for each other, and never for long."""

    def __init__(self, sock, until):
        self.socket = sock
        self.until = until
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _wait(self, most):
        left = self.until - time.monotonic()
        if left <= 0:
            raise WireError("it took longer than %g s" % MOST)
        self.socket.settimeout(min(most, left))

    def send(self, data, most=STALL):
        """All of `data`."""
        view, done = memoryview(data), 0
        while done < len(view):
            self._wait(most)
            try:
                done += self.socket.send(view[done : done + _PIECE])
            except socket.timeout:
                raise WireError("nothing was taken for %g s after %s" % (most, _amount(done))) from None
            except OSError as error:
                raise WireError(
                    "the connection broke after %s were sent: %s" % (_amount(done), _words(error))
                ) from error

    def take(self, count, most=STALL):
        """So many bytes."""
        data = bytearray(count)
        view, done = memoryview(data), 0
        while done < count:
            self._wait(most)
            try:
                came = self.socket.recv_into(view[done:], min(_PIECE, count - done))
            except socket.timeout:
                raise WireError("nothing came for %g s after %s" % (most, _amount(done))) from None
            except OSError as error:
                raise WireError("the connection broke after %s came: %s" % (_amount(done), _words(error))) from error
            if not came:
                raise WireError("the other end has closed the connection after %s came" % _amount(done))
            done += came
        return data


def _amount(count):
    return "%.1f MiB" % (count / float(_PIECE)) if count >= _SMALL else "%d bytes" % count


def _words(error):
    return error.strerror or str(error) or type(error).__name__


def outwards(wire, data):
    """Send all of it; the seconds until the other had it."""
    begun = time.monotonic()
    wire.send(data)
    wire.take(1)
    return time.monotonic() - begun


def inwards(wire, count):
    """Take all of it."""
    data = wire.take(count)
    wire.send(b"k")
    return data


def digest(data):
    """Names what was sent or came."""
    return hashlib.sha256(data).hexdigest()


def listen(spec):
    """The end that listens: says its port, then what became of it."""
    leave_root()
    signal.alarm(int(COME + MOST + STALL))
    data = os.urandom(spec["bytes"])
    try:
        sock, port = bound(spec["ports"])
    except OSError as error:
        say({"none": "it cannot listen: %s" % _words(error)})
        return
    say({"port": port})
    found = {}
    try:
        wire = _come(sock, spec["token"])
        if wire is None:
            say({"left": True})
            return
        for _ in range(TURNS):
            wire.send(wire.take(8))
        found["got"] = inwards(wire, spec["bytes"])
        found["seconds"] = outwards(wire, data)
        found["got"], found["sent"] = digest(found["got"]), digest(data)
        say(found)
    except WireError as error:
        say({"why": str(error)})


def _come(sock, token):
    """The connection of the other end; None where it is told to wait no longer. Strangers are sent away."""
    until = time.monotonic() + COME
    while True:
        ready, _, _ = select.select([sock, 0], [], [], max(0.0, until - time.monotonic()))
        if 0 in ready:  # whoever has asked knows already that the other will not come, or is gone
            return None
        if not ready:
            raise WireError("no connection came within %g s" % COME)
        one, _ = sock.accept()
        mine = os.urandom(_NONCE)
        wire = Wire(one, time.monotonic() + MOST)
        try:
            wire.send(mine, STRANGER)
            said = bytes(wire.take(_NONCE + _PROOF, STRANGER))
            nonces = mine + said[:_NONCE]
            if hmac.compare_digest(said[_NONCE:], proof(token, b"second", nonces)):
                wire.send(proof(token, b"first", nonces))
                return wire
        except WireError:
            pass
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
    except WireError as error:
        say({"why": str(error)})


def _reach(address, port, token):
    """A connection to the other end, which has the token too."""
    try:
        sock = socket.create_connection((address, port), CONNECT)
    except socket.timeout:
        raise WireError("no connection to %s within %g s" % (address, CONNECT)) from None
    except OSError as error:
        raise WireError("no connection to %s: %s" % (address, _words(error))) from error
    wire = Wire(sock, time.monotonic() + MOST)
    theirs = bytes(wire.take(_NONCE))
    nonces = theirs + os.urandom(_NONCE)
    wire.send(nonces[_NONCE:] + proof(token, b"second", nonces))
    if not hmac.compare_digest(bytes(wire.take(_PROOF)), proof(token, b"first", nonces)):
        raise WireError("another program answers at %s" % address)
    return wire

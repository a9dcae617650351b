"""A connection on which two ends wait for each other, and never for long.

Standard library only, Python 3.6, imports nothing of ours.
"""

import binascii
import errno
import hashlib
import hmac
import socket
import time

STALL = 5.0
"""Seconds without a byte after which a connection is broken."""

MOST = 15.0
"""Seconds of all that is sent, both ways."""

_PIECE = 1048576
_SMALL = 65536


LACKS = frozenset(
    (
        errno.EADDRINUSE,
        errno.EADDRNOTAVAIL,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENOMEM,
    )
)
"""Errors of the own system, which may have run out of ports or memory by what else runs there."""


class WireError(Exception):
    """What went wrong between both, in words."""


class LackError(WireError):
    """What this node has none of, in words: it says nothing of the other one, nor of what lies between."""


def failed(what, error):
    """What went wrong by an error of the system."""
    kind = LackError if error.errno in LACKS else WireError
    return kind("%s: %s" % (what, words_of(error)))


def proof(token, role, nonces):
    """What only an end with the token can say."""
    return hmac.new(binascii.unhexlify(token), role + nonces, hashlib.sha256).digest()


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
                raise failed("the connection broke after %s were sent" % _amount(done), error) from error

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
                raise failed("the connection broke after %s came" % _amount(done), error) from error
            if not came:
                raise WireError("the other end has closed the connection after %s came" % _amount(done))
            done += came
        return data


def _amount(count):
    return "%.1f MiB" % (count / float(_PIECE)) if count >= _SMALL else "%d bytes" % count


def words_of(error):
    """An error of the system, in words."""
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

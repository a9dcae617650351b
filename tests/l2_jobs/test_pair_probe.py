"""Pairs by their real programs on this machine, over its own network; what lies between them is the test's."""

import errno
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

from aiops.layers.core.command import Command, Completed
from aiops.layers.core.errors import UnreachableError
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.local import LocalTransport
from aiops.layers.l0_nodes.local_stream import LocalStream
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.transport import Transport
from aiops.layers.l2_jobs.pair_probe import End, probe_pairs
from aiops.layers.l2_jobs.pair_test import Pair, PairResult

MIB = 1024 * 1024
NAMES = ("gpu01", "gpu02", "gpu03", "gpu04")
ENDS = {name: End(Node(name), "127.0.0.1") for name in NAMES}


class Here(LocalTransport):
    """A node that is this machine; the program of the end that comes may be changed on its way."""

    change: Callable[[bytes], bytes] = staticmethod(lambda source: source)

    def run(self, command: Command) -> Completed:
        return super().run(replace(command, root=False, stdin=self.change(command.stdin)))

    def open(self, command: Command) -> LocalStream:
        return super().open(replace(command, root=False))


def fleet(change: Callable[[bytes], bytes] | None = None, away: str = "") -> Fleet:
    def connect(node: Node) -> Transport:
        if node.name == away:
            raise UnreachableError(f"{node.name} did not answer", code="ssh.timeout")
        here = Here(node)
        if change is not None:
            here.change = change
        return here

    return Fleet(connect, width=4)


def probe(nodes: Fleet, pair: tuple[str, str] = ("gpu01", "gpu02"), ports: tuple[int, ...] = (0,)) -> PairResult:
    with nodes:
        (found,) = probe_pairs(nodes, ENDS, [Pair(*pair)], ports, size=MIB)
    return found


@contextmanager
def between(broken: Callable[[bytes, int], bytes | None]) -> Iterator[Callable[[bytes], bytes]]:
    """A way from the end that comes to the one that listens: `broken` says what of it arrives, None for no more."""
    listening = socket.create_server(("127.0.0.1", 0))
    to: list[int] = []
    ends: list[socket.socket] = [listening]

    def pass_on(one: socket.socket, other: socket.socket, *, harm: bool) -> None:
        done = 0
        with suppress(OSError):
            while data := one.recv(65536):
                came: bytes | None = broken(data, done) if harm else data
                done += len(data)
                if came is None:
                    other.shutdown(socket.SHUT_RDWR)
                    return
                other.sendall(came)
            other.shutdown(socket.SHUT_WR)

    def serve() -> None:
        with suppress(OSError):
            one, _ = listening.accept()
            other = socket.create_connection(("127.0.0.1", to[0]))
            ends.extend((one, other))
            threading.Thread(target=pass_on, args=(other, one), kwargs={"harm": False}, daemon=True).start()
            pass_on(one, other, harm=True)

    threading.Thread(target=serve, daemon=True).start()

    def change(source: bytes) -> bytes:
        head, _, rest = source.rpartition(b"'port': ")
        port, comma, rest = rest.partition(b",")
        to.append(int(port))
        source = b"%s'port': %d%s%s" % (head, listening.getsockname()[1], comma, rest)
        return source.replace(b"STALL = 5.0", b"STALL = 0.5")

    try:
        yield change
    finally:
        for one in ends:
            one.close()


def test_a_pair_that_is_well() -> None:
    found = probe(fleet())
    assert found.passed
    assert found.why == ""
    assert found.rate is not None
    assert found.rate > 1
    assert found.latency is not None
    assert 0 < found.latency < 1
    assert found.seconds is not None


def test_all_pairs_of_a_round_go_at_once_and_each_has_its_answer() -> None:
    pairs = [Pair("gpu01", "gpu02"), Pair("gpu03", "gpu09"), Pair("gpu04", "gpu03")]
    with fleet() as nodes:
        found = probe_pairs(nodes, ENDS, pairs, (0,), size=MIB)
    assert [one.passed for one in found] == [True, None, True]
    assert [one.pair for one in found] == pairs
    assert found[1].silent == ("gpu09",)


@pytest.mark.parametrize("lack", [errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.EMFILE, errno.ENOMEM])
def test_an_end_that_has_run_out_of_what_it_needs_is_unknown_and_the_other_one_too(lack: int) -> None:
    reach = b"socket.create_connection((address, port), CONNECT)"

    def fails(source: bytes, number: int) -> bytes:
        assert reach in source
        return source.replace(reach, b"(_ for _ in ()).throw(OSError(%d, os.strerror(%d)))" % (number, number))

    found = probe(fleet(lambda source: fails(source, lack)))
    assert (found.passed, found.silent) == (None, ("gpu02",))
    assert found.why == f"gpu02: no connection to 127.0.0.1: {os.strerror(lack)}"
    assert probe(fleet(lambda source: fails(source, errno.ECONNREFUSED))).passed is False


def test_a_byte_that_is_changed_on_the_way_is_seen() -> None:
    """TCP does not: its sum is made anew by whoever passes it on, as by a broken adapter that computes it itself."""

    def flip(data: bytes, done: int) -> bytes:
        return bytes([data[0] ^ 1]) + data[1:] if done <= MIB // 2 < done + len(data) else data

    with between(flip) as change:
        found = probe(fleet(change))
    assert found.passed is False
    assert found.why == "gpu01 got something else than gpu02 has sent"


def test_a_way_that_takes_small_messages_only() -> None:
    with between(lambda data, done: data if done < 4096 else None) as change:
        began = time.monotonic()
        found = probe(fleet(change))
    assert found.passed is False
    assert found.silent == ()
    assert found.why.startswith("gpu02: ")
    assert "gpu01: the other end has closed the connection after " in found.why
    assert time.monotonic() - began < 8


def test_nobody_answers_at_the_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    def elsewhere(source: bytes) -> bytes:
        head, _, rest = source.rpartition(b"'port': ")
        return b"%s'port': %d,%s" % (head, port, rest.partition(b",")[2])

    began = time.monotonic()
    found = probe(fleet(elsewhere))
    assert found == replace(found, passed=False, silent=(), why="gpu02: no connection to 127.0.0.1: Connection refused")
    assert time.monotonic() - began < 5, "the one that listens is told to wait no longer"


def test_a_stranger_is_sent_away_and_does_no_harm() -> None:
    """Many who connect first and say something else, or nothing."""

    def first(source: bytes) -> bytes:
        port = int(source.rpartition(b"'port': ")[2].partition(b",")[0])
        for words in (b"x" * 48, b"") * 20:
            stranger = socket.create_connection(("127.0.0.1", port))
            stranger.sendall(words)
            strangers.append(stranger)
        return source

    strangers: list[socket.socket] = []
    found = probe(fleet(first))
    for one in strangers:
        one.close()
    assert found.passed


def test_where_others_keep_an_end_from_being_reached_nothing_is_said_of_it() -> None:
    """Here by another token: whoever can reach the port could have a node that is well taken for a bad one."""

    def other(source: bytes) -> bytes:
        head, _, rest = source.rpartition(b"'token': '")
        return b"%s'token': '%s%s" % (head, b"0" * 32, rest[32:])

    found = probe(fleet(other))
    assert (found.passed, found.silent) == (None, ("gpu01",))
    assert "gpu01: others connect to it" in found.why


@pytest.mark.parametrize("away", ["gpu01", "gpu02"])
def test_a_node_that_does_not_answer_is_unknown_and_says_nothing_of_the_other(away: str) -> None:
    found = probe(fleet(away=away))
    assert found.passed is None
    assert found.silent == (away,)
    assert found.why == f"{away} did not answer"


def test_a_port_that_is_taken_is_passed_over() -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        assert probe(fleet(), ports=(port, 0)).passed
        found = probe(fleet(), ports=(port,))
    assert found.silent == ("gpu01",)
    assert found.why == "gpu01 could not be asked: it cannot listen: Address already in use"


def test_a_node_without_python_is_unknown() -> None:
    nodes = {
        name: replace(end.node, connection=replace(end.node.connection, python="/nowhere/python3"))
        for name, end in ENDS.items()
    }
    ends = {**ENDS, "gpu01": End(nodes["gpu01"], "127.0.0.1")}
    with fleet() as there:
        (found,) = probe_pairs(there, ends, [Pair("gpu01", "gpu02")], (0,), size=MIB)
    assert (found.passed, found.silent) == (None, ("gpu01",))

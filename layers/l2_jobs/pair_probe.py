"""Pairs of nodes that send each other data, over the addresses by which ranks reach each other.

On the one a program listens, on the other one comes to it; both run as nobody and end by themselves, whatever becomes
of us. A pair has passed where each end got what the other has sent, by the words of both.
"""

import json
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiops.layers.core.errors import AiopsError
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.transport import Channel, Transport
from aiops.layers.l1_cluster.script import command, program

from .pair_test import Pair, PairResult
from .programs import PAIR, listener_command
from .text import plain

BYTES = 64 * 1024 * 1024
"""Sent each way."""

_PACKAGE = "aiops.layers.l2_jobs"
_BEGIN = 10.0
"""Seconds in which a program must have come to a node and begun there."""

_SECONDS = 27.0
"""Seconds after which an end is no longer waited for; it has ended itself by then."""

_LONGEST = 65536
_MEGABYTE = 1e6


@dataclass(frozen=True, slots=True)
class End:
    """One of a pair.

    Attributes:
        address: As the other one reaches it.
    """

    node: Node
    address: str


class _SilentError(Exception):
    """A node that could not be asked; the other one of its pair has no part in that."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(why)
        self.name = name


def probe_pairs(
    fleet: Fleet, ends: Mapping[str, End], pairs: Sequence[Pair], ports: Sequence[int], *, size: int = BYTES
) -> tuple[PairResult, ...]:
    """Have each pair send each other data, all at once; what came of each, in their order.

    Args:
        fleet: The way to the nodes.
        ends: By name; a node that is not in it cannot be asked.
        pairs: Each node is in one at most.
        ports: Of which the first that is free there is listened on.
        size: Bytes, each way.
    """
    known = {pair.first: pair for pair in pairs if pair.first in ends and pair.second in ends}
    found: dict[Pair, PairResult] = {}

    def probe(transport: Transport) -> PairResult:
        return _probe(fleet, transport, ends, known[transport.node.name], {"ports": list(ports), "bytes": size})

    for outcome in fleet.each([ends[name].node for name in known], probe):
        pair = known[outcome.node.name]
        why = outcome.error.message if outcome.error is not None else ""
        found[pair] = outcome.value or PairResult(pair, None, why, (pair.first,))
    return tuple(found.get(pair) or _strange(pair, ends) for pair in pairs)


def _strange(pair: Pair, ends: Mapping[str, End]) -> PairResult:
    names = tuple(name for name in pair.nodes if name not in ends)
    return PairResult(pair, None, f"{', '.join(names)} is no node of this cluster any more", names)


def _probe(
    fleet: Fleet, transport: Transport, ends: Mapping[str, End], pair: Pair, spec: Mapping[str, Any]
) -> PairResult:
    began = time.monotonic()
    token = secrets.token_hex(16)
    there, here = ends[pair.first], ends[pair.second]
    channel = transport.open(listener_command(there.node, {**spec, "token": token}))
    try:
        ear = _Ear(pair.first, channel)
        to = {"address": there.address, "port": ear.port(), "token": token, "bytes": spec["bytes"]}
        second = _called(fleet.transport(here.node), to)
        if "got" not in second:
            with suppress(AiopsError):  # it has ended, and may have said why
                channel.send(b"\n")
        first = ear.words(_SECONDS)  # also where it has failed: a node that is gone by now has no word to say
    except _SilentError as silent:
        return PairResult(pair, None, f"{silent.name} could not be asked: {silent}", (silent.name,))
    except AiopsError as error:
        return PairResult(pair, None, error.message, (pair.second,))
    finally:
        channel.close()
    return _compared(pair, first, second, spec["bytes"], time.monotonic() - began)


def _called(transport: Transport, to: Mapping[str, Any]) -> Mapping[str, Any]:
    node = transport.node
    done = transport.run(command(node, program(PAIR, f"call({dict(to)!r})", _PACKAGE), timeout=_SECONDS))
    if not done.ok:
        said = "it did not answer in time" if done.timed_out else (done.error_text.splitlines() or ["no reason"])[-1]
        raise _SilentError(node.name, plain(said))
    return _read(node.name, done.stdout)


def _compared(pair: Pair, first: Mapping[str, Any], second: Mapping[str, Any], size: int, seconds: float) -> PairResult:
    """What both ends together say; who came knows better than who has listened why nobody did."""
    seconds = round(seconds, 3)
    none = {name: one["none"] for name, one in zip(pair.nodes, (first, second), strict=True) if "none" in one}
    if none:
        said = "; ".join(f"{name}: {plain(str(words))}" for name, words in none.items())
        return PairResult(pair, None, said, tuple(none), seconds)
    why = [
        f"{name}: {plain(str(one['why']))}"
        for name, one in zip(pair.nodes[::-1], (second, first), strict=True)
        if "why" in one
    ]
    if why:
        return PairResult(pair, False, "; ".join(why), seconds=seconds)
    try:
        slowest = max(float(first["seconds"]), float(second["seconds"]), 1e-6)
        wrong = [
            f"{there} got something else than {here} has sent"
            for here, sent, there, got in (
                (pair.first, first["sent"], pair.second, second["got"]),
                (pair.second, second["sent"], pair.first, first["got"]),
            )
            if sent != got
        ]
        latency = float(second["latency"])
    except (KeyError, TypeError, ValueError):
        return PairResult(pair, None, "an answer cannot be understood", pair.nodes, seconds)
    rate = round(size / slowest / _MEGABYTE, 1)
    return PairResult(pair, not wrong, "; ".join(wrong), (), seconds, rate, round(latency, 6))


def _read(name: str, line: bytes) -> Mapping[str, Any]:
    try:
        words = json.loads(line)
    except ValueError:
        words = None
    if not isinstance(words, dict):
        raise _SilentError(name, "it gave an answer that cannot be understood")
    return words


class _Ear:
    """The lines of a program on its channel, waited for."""

    def __init__(self, name: str, channel: Channel) -> None:
        self._name = name
        self._channel = channel
        self._news = threading.Event()
        self._heard = b""
        channel.on_news(self._news.set)

    def port(self) -> int:
        """Where it listens.

        Raises:
            _SilentError: It does not.
        """
        words = self.words(_BEGIN)
        port = words.get("port")
        if not isinstance(port, int):
            raise _SilentError(self._name, plain(str(words.get("none", "it gave an answer that cannot be understood"))))
        return port

    def words(self, seconds: float) -> Mapping[str, Any]:
        """The next line.

        Raises:
            _SilentError: None came in time, or the program has ended without one.
        """
        until = time.monotonic() + seconds
        while b"\n" not in self._heard:
            self._news.clear()
            came = self._channel.receive()
            if came is None or len(self._heard) > _LONGEST:
                said = self._channel.said().splitlines() or ["it has ended without a word"]
                raise _SilentError(self._name, plain(said[-1]))
            self._heard += came
            if not came and not self._news.wait(max(0.0, until - time.monotonic())):
                raise _SilentError(self._name, "it did not answer in time")
        line, _, self._heard = self._heard.partition(b"\n")
        return _read(self._name, line)

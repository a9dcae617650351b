"""Fan-out: bounded, failures as values, and nobody waits for threads when it ends early."""

import subprocess
import sys
import threading
import time
from typing import Any

import pytest
from tests.support.fake_transport import FakeTransport

from aiops.layers.core.command import Command
from aiops.layers.core.errors import UnreachableError
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.transport import Transport

NODES = [Node(f"n{number:02}") for number in range(20)]


def test_every_node_once() -> None:
    with Fleet(FakeTransport) as fleet:
        outcomes = list(fleet.each(NODES, lambda transport: transport.node.name))
    assert sorted(outcome.value or "" for outcome in outcomes) == [node.name for node in NODES]
    assert all(outcome.error is None and outcome.value == outcome.node.name for outcome in outcomes)


def test_no_nodes() -> None:
    with Fleet(FakeTransport) as fleet:
        assert list(fleet.each([], lambda transport: 1)) == []


def test_failures_are_values() -> None:
    def work(transport: Transport) -> int:
        if transport.node.name == "n03":
            raise UnreachableError("n03: gone", code="x")
        return 1

    with Fleet(FakeTransport) as fleet:
        outcomes = {outcome.node.name: outcome for outcome in fleet.each(NODES, work)}
    assert isinstance(outcomes.pop("n03").error, UnreachableError)
    assert all(outcome.value == 1 for outcome in outcomes.values())


def test_a_connection_that_cannot_be_made_is_its_nodes_failure() -> None:
    def connect(node: Node) -> FakeTransport:
        raise UnreachableError(f"{node.name}: no", code="x")

    with Fleet(connect) as fleet:
        [outcome] = fleet.each(NODES[:1], lambda transport: transport.run(Command(("true",))))
    assert isinstance(outcome.error, UnreachableError)


def test_defects_are_raised() -> None:
    def work(transport: Transport) -> int:
        raise ZeroDivisionError

    with Fleet(FakeTransport) as fleet, pytest.raises(ZeroDivisionError):
        list(fleet.each(NODES, work))


def test_no_more_than_the_width_at_once() -> None:
    running, most, lock = 0, 0, threading.Lock()
    together = threading.Barrier(4)

    def work(transport: Transport) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait(10)
        with lock:
            running -= 1

    with Fleet(FakeTransport, width=4) as fleet:
        list(fleet.each(NODES, work))
    assert most == 4


def test_one_transport_per_node() -> None:
    made: list[Any] = []

    def connect(node: Node) -> FakeTransport:
        made.append(node.name)
        return FakeTransport(node)

    with Fleet(connect) as fleet:
        for _ in range(3):
            list(fleet.each(NODES, lambda transport: None))
    assert sorted(made) == [node.name for node in NODES]


def test_leaving_early_begins_no_further_node_and_waits_for_none() -> None:
    begun: list[str] = []
    hold = threading.Event()

    def work(transport: Transport) -> str:
        begun.append(transport.node.name)
        if transport.node.name != "n00":
            hold.wait(30)
        return transport.node.name

    started = time.monotonic()
    with Fleet(FakeTransport, width=2) as fleet:
        for _ in fleet.each(NODES, work):
            break
    assert time.monotonic() - started < 5
    hold.set()
    assert len(begun) <= 4


def test_answers_do_not_pile_up_where_they_are_taken_slowly() -> None:
    begun: list[str] = []
    with Fleet(FakeTransport, width=2) as fleet:
        outcomes = fleet.each(NODES, lambda transport: begun.append(transport.node.name))
        next(outcomes)
        deadline = time.monotonic() + 10
        while len(begun) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(begun) == 2
        assert len(list(outcomes)) == len(NODES) - 1


def test_connections_that_are_not_kept() -> None:
    made: list[FakeTransport] = []

    def connect(node: Node) -> FakeTransport:
        made.append(FakeTransport(node))
        return made[-1]

    with Fleet(connect) as fleet:
        outcomes = fleet.each(NODES, lambda transport: transport.run(Command(("true",))).exit_status, keep=False)
        assert [outcome.value for outcome in outcomes] == [0] * len(NODES)
        for transport in made:
            with pytest.raises(UnreachableError):
                transport.run(Command(("true",)))
        held = fleet.transport(NODES[0])
        assert held.run(Command(("true",))).ok, "whoever needs one later gets a new one"
        list(fleet.each(NODES, lambda transport: transport.run(Command(("true",))), keep=False))
        assert held.run(Command(("true",))).ok, "what somebody else holds stays open"
    assert len(made) == 2 * len(NODES)


def test_closing_closes_what_is_not_kept_too() -> None:
    with Fleet(FakeTransport) as fleet:

        def close_meanwhile(transport: Transport) -> None:
            fleet.close()
            transport.run(Command(("true",)))

        (outcome,) = fleet.each(NODES[:1], close_meanwhile, keep=False)
    assert isinstance(outcome.error, UnreachableError)


def test_closing_closes_every_connection() -> None:
    with Fleet(FakeTransport) as fleet:
        transports = [fleet.transport(node) for node in NODES]
    for transport in transports:
        with pytest.raises(UnreachableError):
            transport.run(Command(("true",)))


def test_a_process_ends_while_nodes_hang() -> None:
    """Ctrl-C: the main thread leaves; threads that wait for a hung node do not keep the process."""
    code = (
        "import threading, signal, os\n"
        "from aiops.layers.l0_nodes.fleet import Fleet\n"
        "from aiops.layers.l0_nodes.node import Node\n"
        "class Hung:\n"
        "    def __init__(self, node): self.node = node\n"
        "    def close(self): pass\n"
        "threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()\n"
        "with Fleet(Hung) as fleet:\n"
        "    list(fleet.each([Node('a'), Node('b')], lambda transport: threading.Event().wait(60)))\n"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=30, check=False)
    assert time.monotonic() - started < 15
    assert b"KeyboardInterrupt" in done.stderr

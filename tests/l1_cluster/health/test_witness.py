"""A round with a Prometheus beside it: one that answers, one that does not, one that is none, one that hangs."""

import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest
from tests.l1_cluster.test_metrics import Machine, Prometheus, Stranger, served

from aiops.layers.core.clock import SystemClock
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.node import Connection, Node
from aiops.layers.l0_nodes.transport import Transport
from aiops.layers.l1_cluster.health import witness
from aiops.layers.l1_cluster.health.catalogue import shipped_checks
from aiops.layers.l1_cluster.health.check import Check
from aiops.layers.l1_cluster.health.round import Report, Round
from aiops.layers.l1_cluster.health.rules import Rules
from aiops.layers.l1_cluster.health.series import Series
from aiops.layers.l1_cluster.health.witness import Witness

HEAD = Node("head", roles=frozenset({"head"}), connection=Connection("local", "127.0.0.1", python=sys.executable))
WORKER = Node("gpu01", roles=frozenset({"workers"}), connection=Connection(kind="local", python=sys.executable))
OURS = tuple(check for check in shipped_checks() if check.id in {"metrics.prometheus", "metrics.reboots"})


class Watching(Prometheus):
    """Watches both nodes; one of them boots again and again."""

    wrong = ""
    delay = 0.0
    asked: list[str]

    def do_GET(self) -> None:  # noqa: N802 - the name is the base class's
        text = parse_qs(urlparse(self.path).query)["query"][0]
        if text == "1":
            self.answer(200, {"status": "success", "data": {"resultType": "scalar", "result": [5.5, "1"]}})
            return
        self.asked.append(text)
        time.sleep(self.delay)
        if self.wrong and self.wrong in text:
            self.answer(400, {"status": "error", "errorType": "bad_data", "error": "parse error"})
            return
        rows = []
        for name, node, value in (
            ("metrics.targets", "head", "1"),
            ("metrics.targets", "gpu01", "1"),
            ("metrics.reboots", "gpu01", "4"),
        ):
            series = "up" if name == "metrics.targets" else "resets"
            if series in text:
                metric = {"cluster": "lab-a", "node": node, "aiops_series": name, "job": "node"}
                rows.append({"metric": metric, "value": [5.5, value]})
        self.answer(200, {"status": "success", "data": {"resultType": "vector", "result": rows}})


class Blind(Prometheus):
    """Was started a while ago and watches no node."""

    ran = 0.0

    def query(self, text: str) -> None:
        if text == "time()":
            self.answer(200, {"data": {"resultType": "scalar", "result": [0, str(100.123456 + self.ran)]}})
        elif text == "1":
            super().query(text)
        else:
            self.answer(200, {"data": {"resultType": "vector", "result": []}})


class Garbled(Watching):
    """Answers in JSON that is not what was agreed on."""

    def do_GET(self) -> None:  # noqa: N802 - the name is the base class's
        self.answer(200, {"status": "success", "data": {"result": [{"value": "yes"}, [], None]}})


@pytest.fixture
def watching() -> type[Watching]:
    return type("Watching", (Watching,), {"asked": []})


def look(port: int, checks: tuple[Check, ...] = OURS, nodes: tuple[Node, ...] = (HEAD, WORKER)) -> Report:
    def machine(node: Node) -> Transport:
        made = Machine()
        made.node = node
        return made

    clock = SystemClock()
    with Fleet(machine) as fleet:
        one = Witness(fleet, HEAD, "lab-a", clock, port)
        return Round(fleet, (), checks, Rules(), clock, witness=one).make(nodes)


def found(report: Report) -> set[tuple[str, str, str]]:
    return {(one.node, one.check, one.verdict) for one in report.findings}


def test_what_it_has_seen_is_judged_and_it_is_asked_once(watching: type[Watching]) -> None:
    with served(watching) as port:
        report = look(port)
    assert found(report) == {("gpu01", "metrics.reboots", "warn")}
    assert len(watching.asked) == 1
    assert report.verdicts == {"head": "ok", "gpu01": "warn"}


def test_a_query_that_is_refused_costs_its_own_check_alone(watching: type[Watching]) -> None:
    watching.wrong = "nonsense("
    bad = Check(
        id="acme.bad",
        title="x",
        severity="warn",
        action="none",
        owner="node",
        judges="x.",
        remedy="x.",
        source="x",
        series=(BAD,),
        judge=lambda subject, _: [] if subject.readings(BAD) else (),
        applies=lambda subject: subject.metrics is not None,
    )
    with served(watching) as port:
        assert found(look(port, (*OURS, bad))) == {
            ("gpu01", "metrics.reboots", "warn"),
            ("head", "metrics.prometheus", "unknown"),
        }


BAD = Series("acme.bad", "nonsense(")


def test_nobody_there_is_told_of_the_head_alone() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    report = look(port)
    assert found(report) == {("head", "metrics.prometheus", "warn")}
    assert "refused" in report.findings[0].message
    assert report.verdicts["gpu01"] == "ok"


@pytest.mark.parametrize(("ran", "told"), [(2.0, False), (299.0, False), (301.0, True), (1e6, True)])
def test_one_that_has_just_started_need_not_have_watched_a_node(ran: float, told: bool) -> None:
    with served(type("Started", (Blind,), {"ran": ran})) as port:
        report = look(port)
    assert found(report) == ({("head", "metrics.prometheus", "warn")} if told else set())
    assert set(report.verdicts.values()) == ({"ok", "warn"} if told else {"ok"})


@pytest.mark.parametrize("handler", [Stranger, Garbled])
def test_somebody_else_there_is_unknown(handler: type[BaseHTTPRequestHandler]) -> None:
    with served(handler) as port:
        assert found(look(port)) == {("head", "metrics.prometheus", "unknown")}


def test_a_head_that_is_not_looked_at_is_told_nothing_of(watching: type[Watching]) -> None:
    with served(watching) as port:
        assert found(look(port, nodes=(WORKER,))) == {("gpu01", "metrics.reboots", "warn")}
    assert found(look(port, nodes=(WORKER,))) == set()


def test_nothing_is_asked_where_no_check_wants_it(watching: type[Watching]) -> None:
    other = tuple(check for check in shipped_checks() if check.id == "net.dns")
    with served(watching) as port:
        look(port, other)
    assert watching.asked == []


@pytest.fixture
def hung() -> Iterator[int]:
    """A port that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()
        kept: list[Any] = []

        def take() -> None:
            server.settimeout(0.05)
            while not stop.is_set():
                try:
                    kept.append(server.accept())
                except TimeoutError:
                    continue

        thread = threading.Thread(target=take)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            stop.set()
            thread.join()
            for connection, _ in kept:
                connection.close()


def test_one_that_never_answers_holds_nothing_up(hung: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witness, "SECONDS", 0.5)
    monkeypatch.setattr(witness, "_DIRECT_SECONDS", 0.2)
    monkeypatch.setattr(witness, "_ANSWER_SECONDS", 0.5)
    begun = time.monotonic()
    report = look(hung)
    assert time.monotonic() - begun < 10
    assert found(report) == {("head", "metrics.prometheus", "warn")}
    assert json.dumps([one.document() for one in report.findings])

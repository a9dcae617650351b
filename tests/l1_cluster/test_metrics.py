"""Reading Prometheus, against a small server that answers as it does."""

import json
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlparse

import pytest

from aiops.layers.core.command import Command, Completed
from aiops.layers.core.errors import FailedError, InputError, UnreachableError
from aiops.layers.l0_nodes.node import Connection, Node
from aiops.layers.l0_nodes.transport import Channel
from aiops.layers.l1_cluster.metrics import Sample, Target, prometheus, query, running_for, targets
from aiops.layers.l1_cluster.relay import relayed

TARGETS = {
    "activeTargets": [
        {"labels": {"job": "node", "node": "gpu02", "instance": "10.0.0.2:9100"}, "health": "down", "lastError": "no"},
        {"labels": {"job": "node", "node": "gpu01", "instance": "10.0.0.1:9100"}, "health": "up", "lastError": ""},
        {"labels": {"job": "x", "instance": "10.0.0.3:1"}, "health": "unknown", "lastError": ""},
    ]
}


class Prometheus(BaseHTTPRequestHandler):
    """As much of Prometheus' HTTP interface as is read."""

    def do_GET(self) -> None:
        url = urlparse(self.path)
        if url.path == "/api/v1/targets":
            self.answer(200, {"status": "success", "data": TARGETS})
        elif url.path == "/api/v1/query":
            self.query(parse_qs(url.query)["query"][0])
        elif url.path == "/api/v1/status/runtimeinfo":
            started = {"startTime": "1970-01-01T00:01:40.123456789Z", "CWD": "/"}
            self.answer(200, {"status": "success", "data": started})
        else:
            self.send_error(404)

    def query(self, text: str) -> None:
        if text == "up(":
            self.answer(400, {"status": "error", "errorType": "bad_data", "error": 'it\'s "not" closed'})
        elif text == "sick":
            self.answer(503, {"status": "error", "error": "TSDB not ready"})
        elif text == "time()":
            self.answer(200, {"data": {"resultType": "scalar", "result": [130.5, "130.5"]}})
        elif text == "1":
            self.answer(200, {"data": {"resultType": "scalar", "result": [5.5, "1"]}})
        else:
            result = [{"metric": {"node": "gpu01"}, "value": [5.5, "NaN"]}, {"metric": {}, "value": [5.5, "2.5"]}]
            self.answer(200, {"data": {"resultType": "vector", "result": result}})

    def answer(self, status: int, document: Any) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


class Stranger(Prometheus):
    """Another web server on that port."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>hello</html>")


class Machine:
    """A transport to this machine that really runs what it is given."""

    node = Node("head", connection=Connection(kind="local", python=sys.executable))

    def open(self, command: Command) -> Channel:
        raise AssertionError(command)

    def run(self, command: Command) -> Completed:
        done = subprocess.run(command.argv, input=command.stdin, capture_output=True, timeout=30, check=False)
        return Completed(command, done.returncode, done.stdout, done.stderr, 0.0)

    def put(self, content: bytes, path: str, *, mode: int = 0o600, root: bool = False) -> None:
        raise NotImplementedError

    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


@contextmanager
def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join(10)


@pytest.fixture(params=["direct", "relayed"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with served(Prometheus) as port:
        if request.param == "direct":
            yield f"http://127.0.0.1:{port}"
        else:
            with relayed(Machine(), port) as through:
                yield through


def test_how_long_it_has_run_by_its_own_clock() -> None:
    with served(Prometheus) as port:
        assert running_for(f"http://127.0.0.1:{port}") == pytest.approx(30.376544)


def test_targets(url: str) -> None:
    assert targets(url) == (
        Target("node", "gpu01", "10.0.0.1:9100", up=True),
        Target("node", "gpu02", "10.0.0.2:9100", up=False, reason="no"),
        Target("x", None, "10.0.0.3:1", up=None),
    )


def test_query(url: str) -> None:
    nan, number = query(url, 'up{node=~"gpu.*"}')
    assert nan.labels == {"node": "gpu01"}
    assert nan.value != nan.value
    assert number == Sample({}, 2.5, 5.5)
    assert query(url, "1") == (Sample({}, 1.0, 5.5),)


def test_troubles_are_told(url: str) -> None:
    with pytest.raises(InputError, match='it\'s "not" closed'):
        query(url, "up(")
    with pytest.raises(FailedError, match="status 503: TSDB not ready"):
        query(url, "sick")


def test_nothing_there() -> None:
    with served(Prometheus) as port:
        pass
    with pytest.raises(UnreachableError, match=f"127.0.0.1:{port}: .*refused") as refused:
        targets(f"http://127.0.0.1:{port}")
    assert refused.value.hints
    with relayed(Machine(), port) as through, pytest.raises(UnreachableError, match="refused") as away:
        targets(through)
    assert through.rpartition("/")[2] not in away.value.message


def test_a_stranger_is_not_prometheus() -> None:
    with served(Stranger) as port, pytest.raises(FailedError, match="is not Prometheus"):
        targets(f"http://127.0.0.1:{port}")


def test_the_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with served(Prometheus) as port:
        assert targets(f"http://127.0.0.1:{port}")
        with relayed(Machine(), port) as through:
            assert targets(through)


def test_the_relay_answers_only_who_knows_its_word() -> None:
    with served(Prometheus) as port, relayed(Machine(), port) as through:
        stranger = through.rpartition("/")[0] + "/api/v1/targets"
        with pytest.raises(HTTPError, match="404") as refused:
            urllib.request.urlopen(stranger, timeout=10)
        refused.value.close()


def test_the_way_is_chosen() -> None:
    with served(Prometheus) as port:
        with prometheus(Machine(), "127.0.0.1", port=port) as direct:
            assert direct == f"http://127.0.0.1:{port}"
        with prometheus(Machine(), "127.0.0.2.invalid", port=port) as through:
            assert through.startswith("http://127.0.0.1:")
            assert len(targets(through)) == 3


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys\nfrom aiops.layers.l1_cluster.metrics import targets\nassert 'requests' not in sys.modules\n"
        "from prometheus_api_client import PrometheusConnect\n"
        "assert not {'pandas', 'numpy', 'matplotlib'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

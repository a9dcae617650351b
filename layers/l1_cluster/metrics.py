"""What Prometheus knows of the cluster. The one door to `prometheus_api_client`."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from aiops.layers.core.errors import AiopsError, FailedError, InputError, UnreachableError
from aiops.layers.l0_nodes.transport import Transport

from .relay import relayed

if TYPE_CHECKING:
    from prometheus_api_client import PrometheusConnect

PORT = 9090
_DIGITS = re.compile(r"(\.\d{6})\d+")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Target:
    """Something Prometheus scrapes.

    Attributes:
        node: The `node` label of ours; None where a target has none.
        instance: `ADDRESS:PORT`.
        up: Whether the last scrape worked; None before the first.
        reason: Why it did not.
    """

    job: str
    node: str | None
    instance: str
    up: bool | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of a query.

    Attributes:
        at: Seconds since the epoch, by Prometheus' clock.
    """

    labels: Mapping[str, str]
    value: float
    at: float


def targets(url: str, *, timeout: float = 5.0) -> tuple[Target, ...]:
    """All active targets of the Prometheus at `url`, sorted by job and instance.

    Args:
        url: `http://HOST:PORT`, optionally with a path.
        timeout: Seconds to connect, and between two answers.

    Raises:
        UnreachableError: Nothing answers there in time.
        FailedError: What answers is not Prometheus, or is not well.
    """
    data = _ask(url, timeout, lambda client: client.get_targets(state="active"))
    found = [_target(one) for one in data.get("activeTargets", [])]
    return tuple(sorted(found, key=lambda target: (target.job, target.instance)))


def query(url: str, promql: str, *, timeout: float = 5.0) -> tuple[Sample, ...]:
    """The instant vector that `promql` gives; a scalar is one sample without labels.

    Raises:
        InputError: Prometheus cannot read the query.
        UnreachableError: Nothing answers there in time.
        FailedError: What answers is not Prometheus, or is not well.
    """
    return _ask(url, timeout, lambda client: _samples(client.custom_query(promql)))


def running_for(url: str, *, timeout: float = 5.0) -> float:
    """Seconds since the Prometheus at `url` was started, by its own clock.

    Raises:
        UnreachableError: Nothing answers there in time.
        FailedError: What answers is not Prometheus, or is not well.
    """
    (now,) = query(url, "time()", timeout=timeout)
    return now.value - _ask(url, timeout, lambda client: _started(client, url, timeout))


def _started(client: "PrometheusConnect", url: str, timeout: float) -> float:
    """The client has no call of its own for it; Prometheus writes more digits of a second than Python reads."""
    answer = client._session.get(f"{url}/api/v1/status/runtimeinfo", timeout=timeout)  # noqa: SLF001
    return datetime.fromisoformat(_DIGITS.sub(r"\1", answer.json()["data"]["startTime"])).timestamp()


def _samples(data: Any) -> tuple[Sample, ...]:
    if len(data) == 2 and not isinstance(data[0], dict):  # noqa: PLR2004 - a scalar is [time, value]
        return (Sample({}, float(data[1]), float(data[0])),)
    return tuple(
        Sample(
            {str(name): str(value) for name, value in one["metric"].items()},
            float(one["value"][1]),
            float(one["value"][0]),
        )
        for one in data
    )


@contextmanager
def prometheus(head: Transport, address: str, *, port: int = PORT, timeout: float = 2.0) -> Iterator[str]:
    """A URL that reaches the head's Prometheus: directly where there is a route, else over the transport.

    Args:
        head: The head.
        address: The head's address as seen from here.
        port: Where Prometheus listens.
        timeout: Seconds to try the direct way.
    """
    direct = f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"
    try:
        query(direct, "1", timeout=timeout)
    except AiopsError:
        with relayed(head, port) as url:
            yield url
    else:
        yield direct


def _ask(url: str, timeout: float, question: Callable[["PrometheusConnect"], T]) -> T:
    """Ask, and put every trouble into our own words."""
    from prometheus_api_client import PrometheusConnect
    from prometheus_api_client.exceptions import PrometheusApiClientException
    from requests import RequestException, Session
    from requests.exceptions import JSONDecodeError

    with Session() as session:
        session.trust_env = False  # a web proxy of the environment has no business between us and the cluster
        client = PrometheusConnect(url, session=session, timeout=timeout, retry=0)
        try:
            return question(client)
        except (JSONDecodeError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise FailedError(
                f"what answers at {_shown(url)} is not Prometheus",
                code="metrics.not_prometheus",
                hints=["see what listens there on the head: `ss -ltnp`"],
            ) from error
        except RequestException as error:
            raise UnreachableError(
                f"Prometheus does not answer at {_shown(url)}: {_reason(error)}",
                code="metrics.unreachable",
                hints=["is it running? on the head: `systemctl status prometheus`"],
            ) from error
        except PrometheusApiClientException as error:
            raise _refusal(url, str(error)) from error


def _refusal(url: str, text: str) -> AiopsError:
    """`HTTP Status Code 400 (b'{"error": ...}')` as an error of ours."""
    status, _, quoted = text.removeprefix("HTTP Status Code ").partition(" ")
    body = quoted.strip("()").removeprefix("b").strip("'\"")
    try:
        reason = str(json.loads(body.replace("\\\\", "\\").replace("\\'", "'"))["error"])
    except (ValueError, KeyError, TypeError):
        reason = body[:200]
    if status in {"400", "422"}:
        return InputError(
            f"Prometheus cannot answer this query: {reason}",
            code="metrics.query",
            hints=["try it on the head: `promtool query instant http://localhost:9090 QUERY`"],
        )
    if status == "502":  # the relay's, or that of a proxy
        return UnreachableError(
            f"Prometheus does not answer at {_shown(url)}: {reason}",
            code="metrics.unreachable",
            hints=["is it running? on the head: `systemctl status prometheus`"],
        )
    return FailedError(
        f"Prometheus at {_shown(url)} answered with status {status}: {reason}",
        code="metrics.status",
        hints=["read its log on the head: `journalctl -u prometheus -n 50`"],
    )


def _target(told: Mapping[str, Any]) -> Target:
    labels = told["labels"]
    return Target(
        labels.get("job", ""),
        labels.get("node"),
        labels.get("instance", ""),
        {"up": True, "down": False}.get(told["health"]),
        told.get("lastError") or None,
    )


def _reason(error: Exception) -> str:
    """The last and plainest of the reasons that `requests` nests."""
    from requests import ConnectTimeout, ReadTimeout

    if isinstance(error, ConnectTimeout | ReadTimeout):
        return "no answer in time"
    return str(error).rpartition(": ")[2].strip("')( ") or type(error).__name__


def _shown(url: str) -> str:
    """The address without the relay's secret word."""
    return url.split("//", 1)[-1].split("/", 1)[0]

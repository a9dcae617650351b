"""Series: what is asked of Prometheus for all nodes at once, and what each node is told to have. Pure.

A probe sees a node at one moment. What has happened between two looks, and how fast something goes, only somebody knows
who watched all the time: where Prometheus is deployed it is asked, once for all nodes and all checks.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from aiops.layers.core.errors import AiopsError, InputError
from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l1_cluster.metrics import Sample

_NAME = "aiops_series"
_MINE = ("cluster", "node", _NAME, "__name__")


@dataclass(frozen=True, slots=True)
class Series:
    """What is asked for a check.

    Attributes:
        name: Unique among all.
        promql: An instant vector that keeps the labels `cluster` and `node`. Of many nodes and devices it should give
            only those that may be worth telling, so that the answer stays small.
    """

    name: str
    promql: str


@dataclass(frozen=True, slots=True)
class Reading:
    """One value.

    Attributes:
        labels: Those of Prometheus, less cluster and node.
    """

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why Prometheus is no witness at all.

    Attributes:
        garbled: Something answers, and what it says cannot be read; else nothing does.
    """

    message: str
    garbled: bool = False


@dataclass(frozen=True, slots=True)
class NodeMetrics:
    """What Prometheus tells of one node.

    Attributes:
        series: By name, what it has; one that it has nothing of is not in it.
        unread: By name, why a series is not known.
        withheld: Names of those that are not known of any node, with the reason: that is told once, of the home, and
            what rests on them is judged nowhere.
        home: Whether Prometheus runs on this node.
        trouble: Why it tells nothing; only of its home.
    """

    series: Mapping[str, tuple[Reading, ...]] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)
    home: bool = False
    trouble: Trouble | None = None
    withheld: Mapping[str, str] = field(default_factory=dict)

    def read(self, series: Series) -> tuple[Reading, ...]:
        """The readings of a series; none where it has none of this node.

        Raises:
            UnreadableError: It is not known.
        """
        if series.name in self.unread:
            raise UnreadableError(self.unread[series.name])
        return self.series.get(series.name, ())


TARGETS = Series("metrics.targets", 'max_over_time(up{node!=""}[2m])')
"""Whether each target could be read at least once in the last two minutes; by it a node is known to be watched."""


def combined(series: Iterable[Series]) -> str:
    """One query for all, each answer with the name of its series as a label."""
    return "\nor ".join(f'label_replace({one.promql}, "{_NAME}", "{one.name}", "", "")' for one in series)


def named(series: Series, samples: Iterable[Sample]) -> tuple[Sample, ...]:
    """The samples of a series that was asked alone, as if it had been asked with others."""
    return tuple(Sample({**one.labels, _NAME: series.name}, one.value, one.at) for one in samples)


def watched(samples: Iterable[Sample], cluster: str) -> set[str]:
    """The nodes of the cluster that Prometheus watches; that of itself it may say of any, so a target names both."""
    return {
        one.labels["node"]
        for one in samples
        if one.labels.get(_NAME) == TARGETS.name
        and one.labels.get("cluster") == cluster
        and "node" in one.labels
        and math.isfinite(one.value)
    }


def told(
    samples: Sequence[Sample], cluster: str, home: str, withheld: Mapping[str, str] | None = None
) -> dict[str, NodeMetrics]:
    """What is told of each node, by its name; nodes that are not watched are not in it.

    What is of another cluster counts for nothing. What is of no node is of Prometheus' home. A value that is no number
    makes its series unknown on that node.

    Args:
        samples: The answer.
        cluster: The inventory's name for the cluster.
        home: The node that Prometheus runs on.
        withheld: By name of a series, why there is no answer to it.
    """
    found: dict[str, dict[str, list[Reading]]] = {}
    seen = watched(samples, cluster)
    garbled: dict[str, dict[str, str]] = {}
    for one in samples:
        name, node = one.labels.get(_NAME, ""), one.labels.get("node") or home
        if one.labels.get("cluster", cluster) != cluster or not name:
            continue
        if not math.isfinite(one.value):
            garbled.setdefault(node, {})[name] = f"Prometheus says {one.value:g}, which is no value"
            continue
        labels = {key: value for key, value in one.labels.items() if key not in _MINE}
        found.setdefault(node, {}).setdefault(name, []).append(Reading(labels, one.value))
    if not seen:
        return {home: NodeMetrics(home=True, trouble=Trouble("it runs, and watches no node of this cluster"))}
    return {
        node: NodeMetrics(
            {name: tuple(several) for name, several in found.get(node, {}).items()},
            garbled.get(node, {}),
            home=node == home,
            withheld=withheld or {},
        )
        for node in {*seen, home}
    }


def not_told(home: str, error: AiopsError) -> dict[str, NodeMetrics]:
    """What is known when Prometheus could not be asked: only that, and of its home alone."""
    garbled = error.code in {"metrics.not_prometheus", "metrics.query"}
    message = re.sub(r" at \S+:\d+(?=[: ]|$)", "", error.message)  # of the relay, which is another each time
    return {home: NodeMetrics(home=True, trouble=Trouble(message, garbled=garbled))}


def refused(series: Sequence[Series], error: InputError) -> dict[str, str]:
    """By name of each series, that Prometheus cannot read it."""
    return {one.name: error.message for one in series}

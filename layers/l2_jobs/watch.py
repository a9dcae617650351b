"""Watch: all that reports have told, of attempts, nodes and engines. A pure fold: `watch.after(reports)`."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from .attempt import Key
from .hearing import Hearing
from .report import Available, Deposed, Heard, Report, Signed, Silent, Unavailable
from .track import Track

KERNEL_SIGNS_KEPT = 256
NOTHING_HEARD = Hearing()


@dataclass(frozen=True, slots=True)
class Watch:
    """What is known of the world outside.

    Attributes:
        tracks: By attempt, of those that are not released.
        nodes: By node.
        engines: Engines that cannot be asked, with what they said.
        kernel: Lines of kernels' logs that the fault catalogue knows, by node, oldest first.
    """

    tracks: Mapping[Key, Track] = field(default_factory=dict, hash=False)
    nodes: Mapping[str, Hearing] = field(default_factory=dict, hash=False)
    engines: Mapping[str, Unavailable] = field(default_factory=dict, hash=False)
    kernel: Mapping[str, tuple[Signed, ...]] = field(default_factory=dict, hash=False)

    def track(self, key: Key) -> Track:
        """What is known of an attempt."""
        return self.tracks.get(key) or Track(key)

    def node(self, name: str) -> Hearing:
        """What is known of the line to a node."""
        return self.nodes.get(name, NOTHING_HEARD)

    def after(self, reports: Iterable[Report]) -> "Watch":
        """What is known after `reports`."""
        tracks, nodes, engines, kernel = dict(self.tracks), dict(self.nodes), dict(self.engines), dict(self.kernel)
        for report in reports:
            match report:
                case Heard() | Silent():
                    nodes[report.node] = nodes.get(report.node, NOTHING_HEARD).after(report)
                case Deposed():
                    continue  # whoever decides has ended by then
                case Unavailable():
                    engines.setdefault(report.engine, report)
                case Available():
                    engines.pop(report.engine, None)
                case _:
                    key = report.key
                    if key is not None:
                        tracks[key] = (tracks.get(key) or Track(key)).after(report)
                    elif isinstance(report, Signed) and report not in kernel.get(report.node, ()):
                        kernel[report.node] = (*kernel.get(report.node, ()), report)[-KERNEL_SIGNS_KEPT:]
        return Watch(tracks, nodes, engines, kernel)

    def without(self, keys: Collection[Key]) -> "Watch":
        """What is left once attempts are released."""
        return replace(self, tracks={key: track for key, track in self.tracks.items() if key not in keys})


def touched(reports: Iterable[Report], watch: Watch) -> frozenset[str] | None:
    """The jobs that `reports` are about, for `World.touched`; None where nodes or engines changed: look at all."""
    jobs: set[str] = set()
    for report in reports:
        match report:
            case Heard():
                known = watch.nodes.get(report.node)
                if known is None or not known.up or known.boot_id != report.boot_id:
                    return None
            case Silent() | Deposed() | Unavailable() | Available():
                return None
            case _:
                if report.key is None:
                    return None
                jobs.add(report.key.job)
    return frozenset(jobs)

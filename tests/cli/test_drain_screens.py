"""What the screen says while nodes are drained, and what a cut deploy leaves draining."""

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aiops.cli.cluster.progress import Progress
from aiops.cli.screen import Screen
from aiops.layers.core.clock import SystemClock
from aiops.layers.core.errors import InputError
from aiops.layers.core.event import EventStream
from aiops.layers.l0_nodes.settings import Settings, read_settings

UNTIL = datetime(2026, 11, 22, 14, 39, tzinfo=UTC)
HERE = f"{UNTIL.astimezone():%H:%M}"


class Seen:
    """A deploy's progress, and the summary that its step shows."""

    def __init__(self) -> None:
        self.progress = Progress(Screen(io.StringIO(), io.StringIO(), environment={}))
        self.events = EventStream("r-1", SystemClock())
        self.events.subscribe(self.progress.listen)
        self.events.emit("phase_started", phase="accelerator", nodes=["gpu01", "gpu02", "gpu03"])

    def awaited(self, *draining: tuple[str, list[str]], returning: tuple[str, ...] = (), queued: int = 0) -> str:
        """What is shown once these are waited for."""
        nodes = [
            {"node": node, "work": work, "until": (UNTIL - timedelta(minutes=place)).isoformat()}
            for place, (node, work) in enumerate(draining)
        ]
        self.events.emit("drain_awaited", draining=nodes, returning=list(returning), queued=queued)
        assert self.progress._step is not None
        return self.progress._step.summary


@pytest.fixture
def seen() -> Seen:
    return Seen()


def test_it_says_what_runs_where_and_until_when(seen: Seen) -> None:
    assert seen.awaited(("gpu01", ["job 42 of alice"])) == f"draining until {HERE}: gpu01 runs job 42 of alice"
    assert seen.awaited(("gpu01", ["job 1 of a", "job 2 of b"]), ("gpu02", []), queued=3) == (
        f"draining until {HERE}: gpu01 runs job 1 of a, job 2 of b; gpu02 runs something, 3 more to come"
    )
    many = seen.awaited(*((f"gpu{number:02}", [f"job {number} of a"]) for number in range(1, 6)))
    assert many.endswith("gpu03 runs job 3 of a and 2 more nodes")
    assert seen.awaited(returning=("gpu01",), queued=1) == "waiting for gpu01 to be back, 1 more to come"
    seen.progress.close()


def test_it_remembers_what_it_has_set_draining(seen: Seen) -> None:
    for node in ("gpu01", "gpu02"):
        seen.events.emit("node_draining", node=node, phase="accelerator", reason="aiops: ...")
    seen.events.emit("node_resumed", node="gpu02")
    assert list(seen.progress.held) == ["gpu01"]
    seen.progress.close()


def test_how_long_jobs_have_is_a_setting(tmp_path: Path) -> None:
    path = tmp_path / "aiops.toml"
    assert read_settings(path).drain_minutes == Settings().drain_minutes == 60
    path.write_text("aiops = 1\ndrain_minutes = 1440\n")
    assert read_settings(path).drain_minutes == 1440
    for wrong in ("0", "-1", '"long"', "1000000", "true"):
        path.write_text(f"aiops = 1\ndrain_minutes = {wrong}\n")
        with pytest.raises(InputError) as caught:
            read_settings(path)
        (problem,) = caught.value.problems
        assert problem.line == 2
        assert problem.message == "`drain_minutes` must be a number of minutes above 0 and at most 43200"

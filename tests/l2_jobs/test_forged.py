"""What a job's user may write of his own job: it gives reports that can be kept, or nothing, and harms nobody."""

import contextlib
import json
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.l2_jobs.controller.rig import Rig

from aiops.layers.l2_jobs.action import Decided, Decision
from aiops.layers.l2_jobs.attempt import Key
from aiops.layers.l2_jobs.checkpoint.checkpoint import Checkpoint, Level
from aiops.layers.l2_jobs.checkpoint.surveyor import listing_of
from aiops.layers.l2_jobs.controller.credence import credible
from aiops.layers.l2_jobs.controller.progress import Progress
from aiops.layers.l2_jobs.controller.rows import Entry
from aiops.layers.l2_jobs.document import document
from aiops.layers.l2_jobs.node_line import NodeLine
from aiops.layers.l2_jobs.remote.follower import Follower
from aiops.layers.l2_jobs.remote.group import Group
from aiops.layers.l2_jobs.remote.spool import segments
from aiops.layers.l2_jobs.remote.steps import read
from aiops.layers.l2_jobs.report import Ended, Exited, PeerSilent, Report, Stepped
from aiops.layers.l2_jobs.shelf import Shelf
from aiops.layers.l2_jobs.strand import Strand
from aiops.layers.l2_jobs.watch import Watch
from aiops.layers.l2_jobs.wire import WHOLE, report_of

KEY = Key("sleep-1", 1)

NUMBERS = st.sampled_from([0, -1, 7, 10**15, 10**18, WHOLE, 10**30, 10**400, -(10**400), 1e308, float("nan")])
TEXTS = st.sampled_from(["\ud800", "a\x00b", "x" * 9000, "n1", "done", "step", "started", ""])
VALUES = st.one_of(NUMBERS, TEXTS, st.none(), st.booleans(), st.lists(NUMBERS, max_size=2), st.just({"a": [1]}))
NAMES = ("n", "at", "rank", "step", "total", "tokens", "loss", "seconds", "peer", "status", "reason", "end", "phase")
KINDS = ("started", "stepped", "exited", "ended", "ending", "not_started", "peer_silent", "peer_heard", "frozen")
EVENTS = st.builds(
    lambda kind, fields: {"kind": kind, "rank": 0, "step": 3, **fields},
    st.sampled_from(KINDS) | VALUES,
    st.dictionaries(st.sampled_from((*NAMES, "boot_id", "causer")), VALUES, max_size=6),
)


def kept(report: Report) -> None:
    """Fold it, write it as JSON, and hold its numbers against what columns hold."""
    written = json.dumps(document(report))
    written.encode()
    assert "\\ud800" not in written
    assert "\\u0000" not in written
    Watch().after([report])
    if isinstance(report, Stepped):
        Progress().after(report)
        Progress(1, 0.0, "step", first=1).after(report)
        assert 0 <= report.step < WHOLE
    if isinstance(report, Ended | Exited) and report.status is not None:
        assert abs(report.status) < 2**31


def line_of(told: list[Report], offsets: list[int]) -> NodeLine:
    line = NodeLine("n1", told.append, lambda _k, _n, at, _d: offsets.append(at), lambda: lambda text: ("x", True))
    line.add(Strand(KEY, "n1", 7, None, lambda text: ("x", True)), 0.0)
    return line


class Said:
    """A channel on which something was said."""

    def __init__(self, data: bytes) -> None:
        self._data = [data]

    def receive(self) -> bytes:
        return self._data.pop() if self._data else b""

    def send(self, data: bytes) -> int:
        return len(data)

    def close(self) -> None:
        """Nothing is open."""


@settings(max_examples=300, deadline=None)
@given(EVENTS)
def test_any_event_gives_a_report_that_can_be_kept_or_none(event: dict[str, Any]) -> None:
    report = report_of(KEY, "n1", 1.0, event)
    if report is not None:
        kept(report)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=40), EVENTS.map(lambda one: json.dumps(one).encode())), max_size=6))
def test_any_bytes_on_their_whole_way(lines: list[bytes]) -> None:
    said: list[dict[str, Any]] = []
    follower = Follower(None, 0, 0)
    follower._say = said.append  # type: ignore[method-assign, assignment]
    group = Group(str(KEY), 7, "/nowhere")
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path("events.jsonl").write_bytes(b"\n".join(lines) + b"\n")
        while follower._news():
            pass
    told: list[Report] = []
    line = line_of(told, [])
    wire = b"".join(json.dumps(one).encode() + b"\n" for words in said for one in group.passed_on(words))
    line.opened(Said(wire), 0.0)  # type: ignore[arg-type]
    line.news(1.0)
    for report in told:
        kept(report)


@pytest.mark.parametrize(
    "line",
    [
        b'{"key": "sleep-1.1", "event": ' + b"[" * 100_000,
        b'{"key": "sleep-1.1", "event": {"n": 1, "kind": "exited", "rank": 0, "status": ' + b"9" * 9000 + b"}}",
        b'{"key": "sleep-1.1", "event": {"n": ' + b"9" * 400 + b', "kind": "started"}}',
        b'{"key": "sleep-1.1", "log": {"offset": 999999999999999999999999, "data": "eA=="}}',
        b'{"key": "sleep-1.1", "log": {"offset": 9007199254740000, "data": "eA=="}}',
        b'{"key": "sleep-1.1", "event": {"kind": ["a"], "end": {}, "rank": []}}',
    ],
)
def test_a_line_without_end_says_nothing(line: bytes) -> None:
    told: list[Report] = []
    offsets: list[int] = []
    found = line_of(told, offsets)
    found.opened(Said(line + b"\n"), 0.0)  # type: ignore[arg-type]
    found.news(1.0)
    assert (told, offsets) == ([], [])


def test_names_of_segments_and_datagrams_without_end(tmp_path: Path) -> None:
    for name in ("out-" + "9" * 24 + ".log", "out-²²²²²²²²²²²²²²².log", "out-000000000000000.log", "out-1.log"):
        (tmp_path / name).touch()
    assert segments(str(tmp_path)) == [(0, str(tmp_path / "out-000000000000000.log"))]
    assert read(b"[" * 8000, 0) is None
    told = read(b'{"step": 3, "loss": 1' + b"0" * 400 + b"}", 0)
    assert told is not None
    assert "loss" not in told


def test_ranks_and_peers_are_those_of_the_attempt(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.submit([1])
    controller = rig.begin()
    rig.ticks(controller)
    record = controller.world.roster.jobs["sleep-1"]
    assert record.attempt is not None
    key, node = record.attempt.key, record.attempt.allocation.nodes[0]
    torch = {"sleep-1": replace(record, job=replace(record.job, launch="torchrun"))}
    count = record.job.processes * len(record.attempt.allocation.nodes)
    reports: list[Report] = [
        Stepped(key, node, 1.0, count - 1, 4),
        Stepped(key, node, 1.0, count, 4),
        Exited(key, node, 1.0, count, 1),
        PeerSilent(key, node, 1.0, "made-up", 3.0),
        PeerSilent(key, node, 1.0, node, 3.0),
    ]
    assert credible(reports, torch) == [reports[0], reports[4]]
    assert credible(reports, {}) == reports


def test_odd_names_and_steps_of_checkpoints_are_no_obstacle(tmp_path: Path) -> None:
    found = {"root": "/c", "at": 1.0, "unread": {}, "entries": [["step-\udce9/a", 1, 1.0, False], ["b", 1, 1.0, False]]}
    listing = listing_of("/c", found)
    assert ([one.path for one in listing.entries], list(listing.unread)) == (["b"], ["step-\ufffd/a"])
    rig = Rig(tmp_path)
    rig.submit([1])
    odd = [
        Checkpoint(10**30, f"/c/step-{name}", "x", Level.MARKER, False, "\ud800\x00", None, 1, datetime.now(UTC))
        for name in ("\udce9", "\udce8", "y" * 5000)
    ]
    rig.begin()
    rig.ledger.keep_shelf("sleep-1", Shelf(1.0, tuple(odd)))
    told = Decision("sleep-1", 1.0, "kind", "\ud800 is odd\x00", {"why": "\ud800"})
    rig.ledger.commit(Decided(decisions=(told,)), Entry(1.0), {})

"""What a line makes of an agent's words, and what it says: with a channel in memory and a clock that is passed in."""

import base64
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.layers.core.errors import UnreachableError
from aiops.layers.l2_jobs import lease
from aiops.layers.l2_jobs.attempt import Key
from aiops.layers.l2_jobs.node_line import NodeLine
from aiops.layers.l2_jobs.report import Ended, Heard, NotStarted, Report, Signed, Silent, Started, Stepped
from aiops.layers.l2_jobs.strand import Reader, Strand
from aiops.layers.l2_jobs.wire import report_of

KEY = Key("a-1", 2)
SPEC = {"v": 1, "user": {"uid": 7}}


@dataclass
class Wire:
    """A channel in memory."""

    said_to: list[dict[str, Any]] = field(default_factory=list)
    waiting: list[bytes | None] = field(default_factory=list)
    closed: bool = False

    def send(self, data: bytes) -> int:
        if self.closed:
            raise UnreachableError("closed", code="fake.closed")
        self.said_to += [json.loads(line) for line in data.splitlines()]
        return len(data)

    def receive(self) -> bytes | None:
        return self.waiting.pop(0) if self.waiting else b""

    def said(self) -> str:
        return "a banner\nit broke"

    def on_news(self, call: object) -> None:
        """Nobody waits here."""

    def close(self) -> None:
        self.closed = True


@dataclass
class Rig:
    """A line with a channel."""

    told: list[Report] = field(default_factory=list)
    kept: list[tuple[int, bytes]] = field(default_factory=list)
    wire: Wire = field(default_factory=Wire)

    def __post_init__(self) -> None:
        def keep(_key: Any, _name: str, at: int, data: bytes) -> None:
            self.kept.append((at, data))

        self.line = NodeLine("n1", self.told.append, keep, lambda: reader)

    def strand(self, spec: dict[str, Any] | None = None) -> Strand:
        return Strand(KEY, "n1", 7, spec, reader)

    def opened(self) -> "Rig":
        self.wire = Wire()
        self.line.opened(self.wire, 0.0)
        return self

    def hear(self, at: float, *words: dict[str, Any]) -> None:
        self.wire.waiting.append(b"".join(json.dumps(one).encode() + b"\n" for one in words))
        self.line.news(at)

    def of(self, kind: type[Report]) -> list[Any]:
        return [one for one in self.told if isinstance(one, kind)]


def reader(line: str) -> tuple[str, bool] | None:
    return ("gpu_lost", True) if "Xid" in line else None


def event(number: int, kind: str, **words: Any) -> dict[str, Any]:
    return {"key": str(KEY), "event": {"n": number, "kind": kind, **words}}


def log(offset: int, data: bytes) -> dict[str, Any]:
    return {"key": str(KEY), "log": {"offset": offset, "data": base64.b64encode(data).decode()}}


def test_each_beat_is_answered_and_none_after_silence_before_it_was_heard() -> None:
    rig = Rig().opened()
    rig.line.add(rig.strand(SPEC), 0.0)
    rig.hear(1.0, {"beat": "boot", "n": 1})
    assert rig.wire.said_to[-1] == {"do": "beat", "n": 1}
    assert rig.of(Heard) == [Heard("n1", 1.0, "boot")]
    assert not rig.line.tick(1.0 + lease.MISSED - 0.1)
    assert not rig.line.tick(1.0 + lease.MISSED)
    assert [one.at for one in rig.of(Silent)] == [1.0 + lease.MISSED]
    count = len(rig.wire.said_to)
    rig.line.tick(4.0)
    assert len(rig.wire.said_to) == count
    rig.hear(4.5, {"beat": "boot", "n": 2})
    assert isinstance(rig.told[-1], Heard)
    assert rig.wire.said_to[-1] == {"do": "beat", "n": 2}


def test_a_connection_that_stays_silent_is_made_anew() -> None:
    rig = Rig().opened()
    rig.line.add(rig.strand(SPEC), 0.0)
    rig.hear(1.0, {"beat": "boot", "n": 1})
    assert rig.line.tick(6.1)
    assert rig.wire.closed
    assert not rig.line.wants_channel(6.2)
    assert rig.line.wants_channel(6.4)
    assert len(rig.of(Silent)) == 1


def test_what_was_asked_is_asked_again_on_the_next_channel() -> None:
    rig = Rig()
    rig.line.add(rig.strand(SPEC), 0.0)
    rig.opened()
    assert [one["do"] for one in rig.wire.said_to] == ["start"]
    rig.hear(1.0, event(1, "started", boot_id="b"), log(0, b"hello"))
    rig.line.stop(KEY, 9.0)
    rig.line.failed(UnreachableError("gone", code="x"), 2.0)
    rig.opened()
    assert [(one["do"], one.get("after"), one.get("log")) for one in rig.wire.said_to] == [
        ("start", 1, 5),
        ("stop", None, None),
    ]
    rig.line.kill(rig.strand(), 3.0)
    rig.opened()
    assert [one["do"] for one in rig.wire.said_to] == ["follow", "kill"]
    rig.hear(4.0, event(2, "ended", end="stopped", status=None, reason=""), {"key": str(KEY), "unit": "gone"})
    rig.opened()
    assert rig.wire.said_to == []
    rig.line.close()
    rig.line.failed(UnreachableError("gone", code="x"), 5.0)
    rig.line.release(KEY, 5.0)
    rig.opened()
    assert [one["do"] for one in rig.wire.said_to] == ["release"]


def test_one_that_cannot_be_told_of_keeps_no_other_from_being_told() -> None:
    rig, other = Rig(), Key("b-1", 1)
    with pytest.raises(TypeError):
        rig.line.add(rig.strand({"user": object()}), 0.0)
    assert not rig.line.strands, "a retry is to begin it"
    odd: dict[str, Any] = dict(SPEC)
    rig.line.add(rig.strand(odd), 0.0)
    rig.line.add(Strand(other, "n1", 7, SPEC, reader), 0.0)
    odd["user"] = object()
    assert rig.line.opened(rig.wire, 0.0) == [KEY]
    assert [one["key"] for one in rig.wire.said_to] == [str(other)]
    with pytest.raises(TypeError):
        rig.line.again(KEY)
    odd["user"] = {}
    rig.line.again(KEY)
    assert [one["key"] for one in rig.wire.said_to] == [str(other), str(KEY)]


def test_a_sign_of_a_kernel_is_told_again_after_a_while_and_after_a_boot() -> None:
    def once() -> Reader:
        seen: set[str] = set()

        def read(line: str) -> tuple[str, bool] | None:
            new = line not in seen
            seen.add(line)
            return ("gpu_lost", True) if new else None

        return read

    rig = Rig()
    rig.line = NodeLine("n1", rig.told.append, lambda *_: None, once)
    rig.opened()
    rig.line.add(rig.strand(SPEC), 0.0)
    told = []
    for at, boot in ((1.0, "a"), (2.0, "a"), (11.5, "a"), (12.0, "b"), (13.0, "b")):
        rig.hear(at, {"beat": boot, "n": 1}, {"kernel": "Xid 79"})
        told.append(len(rig.of(Signed)))
    assert told == [1, 1, 2, 3, 3]


def test_an_event_is_told_once_whoever_tells_it_again() -> None:
    rig = Rig().opened()
    rig.line.add(rig.strand(SPEC), 0.0)
    for _ in range(3):
        rig.hear(1.0, event(1, "started", boot_id="b"))
        rig.hear(1.0, {"key": str(KEY), "event": {"kind": "stepped", "rank": 0, "step": 4}})
    assert (len(rig.of(Started)), len(rig.of(Stepped))) == (1, 1)


@pytest.mark.parametrize(
    ("words", "killed", "end"),
    [
        ([{"unit": "gone"}], False, "lost"),
        ([{"unit": "gone"}], True, "stopped"),
        ([{"event": {"n": 1, "kind": "ending", "end": "lease", "left": [3]}}, {"unit": "gone"}], False, "lease"),
        ([{"event": {"n": 1, "kind": "ended", "end": "failed", "status": 1}}, {"unit": "gone"}], False, "failed"),
        ([{"event": {"n": 1, "kind": "ended", "end": "made-up", "status": 1}}, {"unit": "gone"}], False, "lost"),
    ],
)
def test_the_end_comes_once_and_only_when_nothing_runs(words: list[dict[str, Any]], killed: bool, end: str) -> None:
    rig = Rig().opened()
    rig.line.add(rig.strand(SPEC), 0.0)
    if killed:
        rig.line.kill(rig.strand(), 0.0)
    for number, one in enumerate(words):
        rig.hear(float(number), {"key": str(KEY), **one})
        assert len(rig.of(Ended)) == (1 if number == len(words) - 1 else 0)
    rig.hear(9.0, {"key": str(KEY), "unit": "gone"})
    assert [one.end for one in rig.of(Ended)] == [end]


def test_to_kill_what_has_ended_tells_its_end_again() -> None:
    rig = Rig().opened()
    rig.line.add(rig.strand(SPEC), 0.0)
    rig.hear(1.0, event(1, "ended", end="done", status=0), {"key": str(KEY), "unit": "gone"})
    rig.line.kill(rig.strand(), 2.0)
    assert rig.wire.said_to[-1] == {"do": "kill", "key": str(KEY), "uid": 7}
    rig.hear(3.0, {"key": str(KEY), "unit": "gone"})
    assert [one.end for one in rig.of(Ended)] == ["done", "done"]


def test_what_cannot_be_started_is_told_with_its_causer() -> None:
    rig = Rig().opened()
    rig.line.add(rig.strand(SPEC), 0.0)
    rig.hear(1.0, {"key": str(KEY), "error": "there is no user ann here", "causer": "user"})
    rig.hear(2.0, {"key": str(KEY), "unit": "gone"})
    assert rig.told == [NotStarted(KEY, "n1", 1.0, "there is no user ann here", "user")]


def test_a_beginning_that_was_denied_afterwards_ends_as_lost() -> None:
    """Nothing would ever end a group that has both begun and not begun."""
    rig = Rig().opened()
    rig.line.add(rig.strand(SPEC), 0.0)
    rig.hear(1.0, event(1, "started", boot_id="b"), event(2, "not_started", reason="made up"))
    rig.hear(2.0, {"key": str(KEY), "unit": "gone"})
    assert [one.end for one in rig.of(Ended)] == ["lost"]


def test_signs_are_seen_over_pieces_and_with_their_rank() -> None:
    rig = Rig().opened()
    rig.line.add(rig.strand(SPEC), 0.0)
    rig.hear(1.0, log(0, b"ok\n[rank3]: NVRM: X"), log(19, b"id 79\nrest"), {"kernel": "6,1,2,-;NVRM: Xid 48"})
    signs = rig.of(Signed)
    assert [(one.source, one.rank, one.kind) for one in signs] == [("log", 3, "gpu_lost"), ("kernel", None, "gpu_lost")]
    assert signs[1].key is None
    assert rig.kept == [(0, b"ok\n[rank3]: NVRM: X"), (19, b"id 79\nrest")]


def test_a_channel_that_ends_says_why() -> None:
    rig = Rig().opened()
    rig.line.add(rig.strand(SPEC), 0.0)
    rig.wire.waiting.append(None)
    rig.line.news(1.0)
    assert rig.told == [Silent("n1", 1.0, "it broke")]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["n", "kind", "end", "status", "rank", "step", "key", "event", "log", "offset", "data", "beat"]
            ),
            inner | st.sampled_from(["started", "ended", "stepped", "exited", "peer_silent", str(KEY), "failed"]),
            max_size=6,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=30), JSON.map(lambda value: json.dumps(value).encode())), max_size=5))
def test_whatever_comes_harms_nobody(lines: list[bytes]) -> None:
    rig = Rig().opened()
    rig.line.add(rig.strand(SPEC), 0.0)
    rig.wire.waiting.append(b"\n".join(lines) + b"\n")
    rig.line.news(1.0)
    for report in rig.told:
        assert getattr(report, "key", KEY) in {KEY, None}


def test_a_status_that_nobody_saw_is_none() -> None:
    report = report_of(KEY, "n1", 1.0, {"kind": "exited", "rank": 3, "status": None})
    assert report is not None
    assert getattr(report, "status", 0) is None

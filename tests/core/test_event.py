import json
import threading
from datetime import UTC, datetime

import pytest

from aiops.layers.core.event import Event, EventStream

AT = datetime(2026, 11, 21, 19, 30, 5, tzinfo=UTC)


class Clock:
    def now(self) -> datetime:
        return AT

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)


def test_events_are_numbered_from_one_and_told_in_order() -> None:
    stream, told = EventStream("r-1", Clock()), list[Event]()
    stream.emit("run_started")
    stream.subscribe(told.append)
    stream.emit("node_finished", "gpu01 is ready", node="gpu01", outcome="ok")
    assert told == [Event(AT, "r-1", 2, "node_finished", "gpu01", "gpu01 is ready", {"outcome": "ok"})]


def test_every_listener_hears_every_thread_in_one_order() -> None:
    stream, one, other = EventStream("r-1", Clock()), list[int](), list[int]()
    stream.subscribe(lambda event: one.append(event.seq))
    stream.subscribe(lambda event: other.append(event.seq))
    threads = [threading.Thread(target=lambda: [stream.emit("k") for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert one == other == list(range(1, 201))


def test_an_event_is_one_json_document() -> None:
    event = Event(AT, "r-1", 1, "phase_started", None, "", {"nodes": ["gpu01"]})
    assert json.loads(json.dumps(event.document())) == {
        "v": 1,
        "at": "2026-11-21T19:30:05Z",
        "run": "r-1",
        "seq": 1,
        "kind": "phase_started",
        "node": None,
        "message": "",
        "data": {"nodes": ["gpu01"]},
    }


def test_what_only_says_what_was_found_is_recorded_at_once_and_shown_as_it_comes() -> None:
    stream, shown, written = EventStream("r-1", Clock()), list[str](), list[list[str]]()
    stream.subscribe(lambda event: shown.append(event.kind))
    stream.record(lambda events: written.append([event.kind for event in events]))
    stream.emit("alone")
    with stream.together():
        stream.emit("one")
        with stream.together():
            stream.emit("two")
        assert written == [["alone"]]
        assert shown == ["alone", "one", "two"]
    assert written == [["alone"], ["one", "two"]]
    with stream.together():
        pass

    def cut() -> None:
        with stream.together():
            stream.emit("before the cut")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut()
    stream.emit("after")
    assert written[2:] == [["before the cut"], ["after"]]

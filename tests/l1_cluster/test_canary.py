"""The canary scanner finds what it is to find; `tests/lab/test_secrets.py` rests on it."""

import base64
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.support.canary import Canary, ProcessWatch, find_in_database, find_in_tree

from aiops.layers.core.clock import SystemClock
from aiops.layers.core.event import EventStream
from aiops.layers.core.store import Store

VALUE = b"p\"a'ss w\xc3\xb6rd-0123456789"


@pytest.mark.parametrize(
    "shape",
    [
        VALUE,
        base64.b64encode(VALUE),
        base64.b64encode(b"x" + VALUE + b"tail"),
        base64.b64encode(b"xy" + VALUE + b"tail"),
        VALUE.hex().encode(),
        VALUE.hex().upper().encode(),
        json.dumps(VALUE.decode()).encode(),
        json.dumps(VALUE.decode(), ensure_ascii=False).encode(),
        repr(VALUE.decode()).encode(),
        quote(VALUE.decode()).encode(),
        shlex.quote(VALUE.decode()).encode(),
    ],
)
def test_every_shape_of_a_secret_is_seen(shape: bytes, tmp_path: Path) -> None:
    canary = Canary("password", VALUE)
    assert canary.within(b"before " + shape + b" after")
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/log").write_bytes(b"x" * 70_000 + shape)
    assert find_in_tree(tmp_path, [canary]) == [f"password in {tmp_path}/a/b/log"]


def test_nothing_is_seen_where_nothing_is(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"password=0123456789")
    (tmp_path / "link").symlink_to("/etc")
    assert find_in_tree(tmp_path, [Canary("password", VALUE)]) == []


def test_a_place_can_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/key").write_bytes(VALUE)
    assert find_in_tree(tmp_path, [Canary("key", VALUE)], but=[tmp_path / "secrets"]) == []


def test_a_canary_too_short_to_mean_anything_is_refused() -> None:
    with pytest.raises(ValueError, match="short"):
        Canary("pin", b"1234")


def test_a_value_in_an_event_is_seen_in_the_store(tmp_path: Path) -> None:
    with Store.open(tmp_path, {}) as store:
        stream = EventStream("r-1", SystemClock())
        stream.subscribe(lambda event: store.append([event]))
        stream.emit("task_failed", "x" * 9_000, tail=[VALUE.decode()])
    assert find_in_database(tmp_path / "aiops.db", [Canary("password", VALUE)])
    assert find_in_database(tmp_path / "aiops.db", [Canary("password", b"something else")]) == []


def test_a_value_in_an_argument_or_environment_is_seen() -> None:
    with ProcessWatch() as watch:
        for nap, words in (("time.sleep(31)", [VALUE.decode()]), ("time.sleep(32)", [])):
            command = [sys.executable, "-c", f"import time; {nap}", *words]
            with subprocess.Popen(command, env={"SECRET": VALUE.decode()}) as process:
                wait_for(lambda nap=nap: watch.has_seen(nap.encode()))  # type: ignore[misc]
                process.kill()
    found = watch.find([Canary("password", VALUE)])
    assert any("cmdline" in one for one in found)
    assert any("environ" in one for one in found)
    assert watch.find([Canary("password", b"something else")]) == []


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)

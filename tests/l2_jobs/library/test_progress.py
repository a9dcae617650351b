import json
import math
import os
import socket
import statistics
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiops import checkpoint


@pytest.fixture
def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.bind(str(tmp_path / "progress"))
        one.settimeout(5.0)
        monkeypatch.setenv("AIOPS_PROGRESS", str(tmp_path / "progress"))
        yield one


def heard(listener: socket.socket) -> dict[str, Any]:
    line = listener.recv(65536)
    assert line.endswith(b"\n")
    document: dict[str, Any] = json.loads(line)
    return document


def test_nobody_listens() -> None:
    checkpoint.progress(1, loss=2.0)
    assert checkpoint._CHANNEL is None


def test_a_line_on_a_socket(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "5")
    before = time.time()
    checkpoint.progress(7, loss=1.5, total=100, tokens=4096)
    line = heard(listener)
    assert before <= line.pop("at") <= time.time()
    assert line == {"rank": 5, "step": 7, "phase": "step", "loss": 1.5, "total": 100, "tokens": 4096}
    checkpoint.progress(8, phase="evaluate", loss=math.nan)
    line = heard(listener)
    assert math.isnan(line["loss"])
    assert line["phase"] == "evaluate"
    assert line["tokens"] is None


def test_lines_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lines"
    monkeypatch.setenv("AIOPS_PROGRESS", str(path))
    for step in range(3):
        checkpoint.progress(step)
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [0, 1, 2]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_save_tells_that_it_saves(listener: socket.socket, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "runs", 3, lambda folder: Path(folder, "w").write_bytes(b"1"))
    line = heard(listener)
    assert (line["step"], line["phase"]) == (3, "save")


def test_who_does_not_listen_holds_nobody_up(listener: socket.socket) -> None:
    begun = time.monotonic()
    for step in range(20_000):
        checkpoint.progress(step)
    assert time.monotonic() - begun < 20.0
    assert heard(listener)["step"] == 0
    listener.setblocking(False)
    count = 0
    while True:
        try:
            listener.recv(65536)
        except BlockingIOError:
            break
        count += 1
    checkpoint.progress(30_000)
    assert heard(listener)["step"] == 30_000
    assert count < 19_000, "the queue was never full"


def test_who_comes_back_is_told_again(listener: socket.socket, tmp_path: Path) -> None:
    checkpoint.progress(1)
    listener.close()
    checkpoint.progress(2)
    (tmp_path / "progress").unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(tmp_path / "progress"))
        other.settimeout(5.0)
        checkpoint.progress(3)
        checkpoint.progress(4)
        assert heard(other)["step"] in (3, 4)


@pytest.mark.parametrize("place", ["/proc/none/none", "/", "\0", "x" * 5000, "/dev/full"])
def test_a_place_that_is_none_raises_nothing(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if "\0" in place:
        monkeypatch.setattr(os, "environ", {"AIOPS_PROGRESS": place})
    else:
        monkeypatch.setenv("AIOPS_PROGRESS", place)
    for step in range(3):
        checkpoint.progress(step)


class Odd:
    def __float__(self) -> float:
        raise RuntimeError("CUDA error")


@given(
    step=st.one_of(st.none(), st.text(), st.floats(), st.just(Odd())),
    loss=st.one_of(st.none(), st.text(), st.complex_numbers(), st.just(Odd())),
    phase=st.one_of(st.none(), st.binary(), st.text(), st.just(Odd())),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_it_never_raises(listener: socket.socket, step: Any, loss: Any, phase: Any) -> None:
    checkpoint.progress(step, loss=loss, phase=phase)
    listener.setblocking(False)
    with suppress(BlockingIOError):
        listener.recv(65536)


def test_it_costs_less_than_20_microseconds(listener: socket.socket) -> None:
    """Of this process' own time, in the best of many rounds: other work on the machine is not what is measured."""
    rounds = []
    for _ in range(40):
        begun = time.process_time()
        for step in range(100):
            checkpoint.progress(step, loss=1.25, total=1000, tokens=4096)
            listener.recv(65536)  # counts too
        rounds.append((time.process_time() - begun) / 100)
    assert statistics.median(rounds) < 20e-6

import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiops import checkpoint


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR2)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2])
def test_a_signal_asks(number: int) -> None:
    checkpoint.watch_stop()
    checkpoint.watch_stop()
    assert not checkpoint.stop_requested()
    signal.raise_signal(number)
    assert checkpoint.stop_requested()
    signal.raise_signal(number)
    assert checkpoint.stop_requested()


def test_a_handler_that_was_there_is_called_once() -> None:
    called: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: called.append(number))
    checkpoint.watch_stop()
    checkpoint.watch_stop()
    signal.raise_signal(signal.SIGTERM)
    assert called == [signal.SIGTERM]


def test_a_file_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOPS_STOP", str(tmp_path / "stop"))
    assert not checkpoint.stop_requested()
    (tmp_path / "stop").touch()
    assert checkpoint.stop_requested()
    (tmp_path / "stop").unlink()
    assert checkpoint.stop_requested(), "a request is not taken back"


def test_only_the_main_thread_can_watch() -> None:
    raised: list[Any] = []

    def run() -> None:
        try:
            checkpoint.watch_stop()
        except ValueError as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(10)
    assert raised

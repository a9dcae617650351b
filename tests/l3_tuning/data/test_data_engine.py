import os
import signal
from pathlib import Path

import pytest

from aiops.layers.core.errors import FailedError
from aiops.layers.l3_tuning.data import data_engine
from aiops.layers.l3_tuning.data.data_engine import LocalEngine
from aiops.layers.l3_tuning.data.work import Step

from .data_engine_contract import DataEngineContract


class TestLocal(DataEngineContract):
    engine = LocalEngine()


class TestLocalInThisProcess(DataEngineContract):
    engine = LocalEngine()
    shares = 1


def _killed(_work: Path, _step: Step, rank: int, _of: int) -> None:
    if rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_share_that_is_killed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_engine, "do_apart", _killed)
    with pytest.raises(FailedError, match="one of 2 processes of the step examine was ended from outside") as caught:
        LocalEngine().carry_out(tmp_path, "examine", 2, lambda _: None)
    assert caught.value.code == "data.killed"
    assert "fewer than `--jobs 2`" in caught.value.hints[1]

"""A process that aiops has not started, as if the library had just been imported."""

import os
from collections.abc import Iterator

import pytest

from aiops import checkpoint


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("AIOPS_")] + ["RANK", "SLURM_PROCID"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(checkpoint, "_CHANNEL", None)
    monkeypatch.setattr(checkpoint, "_CLEARED", set())
    checkpoint._STOP.clear()
    yield
    checkpoint._STOP.clear()
    if checkpoint._CHANNEL is not None:
        checkpoint._CHANNEL.close()

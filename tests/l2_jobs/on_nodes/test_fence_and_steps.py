"""The fence in a checkpoint folder, and the words about progress."""

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.layers.l2_jobs.remote import fence, steps, terms
from aiops.layers.l2_jobs.remote.peers import interface_towards

sys.modules.setdefault("aiops.plugins.slurm.remote.terms", terms)  # on a node they are of one program
batch = importlib.import_module("aiops.plugins.slurm.remote.batch")


def test_the_fence_only_rises(tmp_path: Path) -> None:
    assert fence.epoch(str(tmp_path), "sft-1") == 0
    fence.raise_to(str(tmp_path), "sft-1", 3)
    fence.raise_to(str(tmp_path), "sft-1", 3)
    with pytest.raises(fence.StaleError):
        fence.raise_to(str(tmp_path), "sft-1", 2)
    assert fence.epoch(str(tmp_path), "sft-1") == 3
    fence.raise_to(str(tmp_path), "sft-1", 4)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".aiops-epoch.sft-1", ".aiops-epoch.sft-1.4"]


def test_the_fence_is_not_lowered_by_an_older_one_that_looked_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newer one comes between its look and its rename; also where it is killed right after that."""
    write = fence._write

    def late(folder: str, job: str, number: int) -> None:
        monkeypatch.setattr(fence, "_write", write)
        fence.raise_to(folder, job, 4)
        write(folder, job, number)
        assert fence.epoch(folder, job) == 4

    monkeypatch.setattr(fence, "_write", late)
    with pytest.raises(fence.StaleError, match="attempt 4"):
        fence.raise_to(str(tmp_path), "sft-1", 3)
    assert (tmp_path / ".aiops-epoch.sft-1").read_text() == "4\n"


def test_the_script_of_slurm_lowers_no_fence_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write: Callable[[str, str, int], None] = batch.written  # node-side code has no types
    raised: Callable[[str, str, int], bool] = batch.raised

    def late(folder: str, job: str, number: int) -> None:
        monkeypatch.setattr(batch, "written", write)
        fence.raise_to(folder, job, 4)
        write(folder, job, number)

    monkeypatch.setattr(batch, "written", late)
    assert not raised(str(tmp_path), "sft-1", 3)
    assert (tmp_path / ".aiops-epoch.sft-1").read_text() == "4\n"
    assert not raised(str(tmp_path), "sft-1", 2)
    assert raised(str(tmp_path), "sft-1", 5)


def test_a_job_begins_in_a_folder_that_an_earlier_job_has_used(tmp_path: Path) -> None:
    fence.raise_to(str(tmp_path), "sft-1", 4)
    fence.raise_to(str(tmp_path), "sft-2", 1)
    with pytest.raises(fence.StaleError, match="attempt 4 of sft-1"):
        fence.raise_to(str(tmp_path), "sft-1", 3)


def test_a_missing_folder_is_no_fence(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        fence.raise_to(str(tmp_path / "gone"), "sft-1", 1)


def test_what_a_program_tells() -> None:
    said = steps.read(b'{"step": 7, "loss": NaN, "phase": "save", "total": 9, "tokens": 1e3, "rank": 3, "x": 1}', 0)
    assert said is not None
    assert (said["step"], said["phase"], said["total"], said["tokens"], said["rank"]) == (7, "save", 9, 1000.0, 3)
    assert said["loss"] != said["loss"]
    assert steps.read(b'{"step": 7}', 5) == {"kind": "stepped", "step": 7, "rank": 5, "phase": "step"}


@settings(max_examples=50, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=60),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.integers(),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["step", "rank", "loss", "phase"]), inner)
            ),
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_whatever_else_it_tells_harms_nobody(data: bytes) -> None:
    said = steps.read(data, 0)
    assert said is None or (isinstance(said["step"], int) and said["step"] >= 0 and isinstance(said["rank"], int))


def test_steps_are_timed_where_they_are_made_and_none_that_a_save_was_in() -> None:
    kept = steps.Steps()

    def told(step: int, now: float, phase: str = "step", rank: int = 0) -> float | None:
        kept.note({"rank": rank, "step": step, "phase": phase}, now)
        seconds: float | None = kept.newest[rank].get("seconds")
        return seconds

    assert told(0, 1.0, "start") is None
    assert told(1, 9.0) is None
    assert told(2, 9.5) == 0.5
    assert told(3, 11.0, rank=1) is None
    assert told(6, 11.5) == 0.5, "two of its words were lost"
    assert told(6, 11.6) is None
    assert told(7, 12.1) == 0.5
    assert told(7, 12.2, "save") is None
    assert told(8, 72.2) is None
    assert told(9, 72.2) is None, "several were read at one time"
    assert told(10, 72.7) == 0.5
    kept.read_of_output({"rank": 0, "step": 11, "phase": "step"})
    assert "seconds" not in kept.newest[0]


def test_a_rank_is_told_once_a_second_and_its_last_word_is_kept() -> None:
    kept = steps.Steps()
    for number in range(5):
        kept.note({"rank": 0, "step": number})
    assert [one["step"] for one in kept.due(10.0)] == [4]
    kept.note({"rank": 0, "step": 5})
    kept.note({"rank": 1, "step": 1})
    assert [one["rank"] for one in kept.due(10.5)] == [1]
    assert [one["step"] for one in kept.due(11.0)] == [5]
    assert kept.due(20.0) == []
    assert kept.newest[0]["step"] == 5


def test_a_line_of_output_that_comes_late_does_not_end_a_save_that_was_told() -> None:
    kept = steps.Steps()
    printed = {"rank": 0, "step": 7, "phase": "step"}
    kept.note({"rank": 0, "step": 7, "phase": "save"})
    kept.read_of_output(printed)
    assert kept.newest[0]["phase"] == "save"
    kept.read_of_output({**printed, "step": 8, "loss": 1.5})
    assert kept.newest[0] == {"rank": 0, "step": 8, "phase": "step", "loss": 1.5, "printed": True}
    kept.read_of_output({**printed, "rank": 1})
    assert kept.newest[1]["step"] == 7


def test_of_a_rank_that_tells_its_steps_the_output_adds_the_loss() -> None:
    kept = steps.Steps()
    kept.note({"rank": 0, "step": 7, "phase": "step"})
    kept.read_of_output({"rank": 0, "step": 7, "phase": "step", "loss": 1.5})
    assert kept.newest[0] == {"rank": 0, "step": 7, "phase": "step", "loss": 1.5}
    kept.read_of_output({"rank": 0, "step": 6, "phase": "step", "loss": 1.6})
    assert kept.newest[0]["step"] == 7
    kept.read_of_output({"rank": 0, "step": 8, "phase": "step", "loss": 1.4})
    assert kept.newest[0] == {"rank": 0, "step": 8, "phase": "step", "loss": 1.4}


def test_the_interface_that_leads_to_a_peer() -> None:
    assert interface_towards("127.0.0.1") == "lo"
    assert interface_towards("no such host at all") is None

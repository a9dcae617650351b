"""The folder of attempts on a node: what others put there is not believed."""

import os
import re
import stat
import time
from pathlib import Path

import pytest

from aiops.layers.l2_jobs.remote import folders
from aiops.layers.l2_jobs.remote.agent import Agent
from aiops.layers.l2_jobs.remote.folders import Base

KEY = re.compile(r"^[a-z]+-[0-9]+\.[0-9]+$")
ANN, EVE = 1001, 1002


def test_only_root_puts_anything_there(tmp_path: Path) -> None:
    base = tmp_path / "jobs"
    base.mkdir()
    base.chmod(0o1733)  # as an earlier aiops had it
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (base / ".ended").symlink_to(elsewhere)
    made = Base(str(base))
    assert stat.S_IMODE(base.stat().st_mode) & 0o022 == 0
    assert not (base / ".ended").is_symlink()
    made.bury("a-1.1")
    assert list(elsewhere.iterdir()) == []
    assert [one.name for one in base.iterdir() if one.name.startswith(".odd-")]


def test_names_count_where_they_are_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Base(str(tmp_path))
    for name in ("a-1.2", "a-1.9", "a-1.99999999999999999999", "a-1.²", "b-1.4"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "events.jsonl").touch()
    made.bury("a-1.3")
    owners = {"a-1.2": ANN, "a-1.9": EVE}
    monkeypatch.setattr(folders, "owner_of", lambda path: owners.get(Path(path).name, ANN))
    assert made.numbers("a-1", ANN) == [2, 3]
    assert made.numbers("a-1", EVE) == [3, 9]
    assert (made.claimed("a-1.9", ANN), made.claimed("a-1.9", EVE), made.claimed("a-1.2", ANN)) == (False, True, True)


def test_a_folder_is_old_by_its_tombstone_which_stays_as_long(tmp_path: Path) -> None:
    made = Base(str(tmp_path))
    for name, days in (("old-1.1", 40.0), ("new-1.1", 1.0), ("gone-1.1", 40.0)):
        made.bury(name)
        os.utime(made.tombstone(name), (time.time() - days * 86400.0,) * 2)
        if not name.startswith("gone"):
            (tmp_path / name).mkdir()
    (tmp_path / "runs-1.1").mkdir()
    again = Base(str(tmp_path))
    assert again.old(KEY) == ["old-1.1"]
    assert sorted(one.name for one in (tmp_path / ".ended").iterdir()) == ["new-1.1", "old-1.1"]


def test_what_runs_is_ended_also_where_the_disk_has_no_room_for_its_tombstone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Agent(str(tmp_path), b"", os.open(os.devnull, os.O_WRONLY))
    said: list[dict[str, object]] = []

    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(agent, "_say", said.append)
    monkeypatch.setattr(os, "fsync", full)
    agent._do({"do": "kill", "key": "a-1.1", "uid": ANN})
    assert agent._groups["a-1.1"].killed_at is not None
    assert said == []
    assert list((tmp_path / ".ended").iterdir()) == []

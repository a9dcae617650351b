"""What is forgotten of a cluster whose nodes are no more, as after `aiops lab down`."""

import json
from pathlib import Path

import pytest

from aiops.layers.l1_cluster.identity import FILE, Identity, forget


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "clusters/lab"
    for name in ("records/gpu01.json", "logs/r-1/base.log", "members.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    (folder / FILE).write_text(json.dumps({"id": "a1", "head": "head", "address": "10.0.0.10"}))
    return folder


def left(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_only_the_logs_of_its_runs_are_kept(folder: Path) -> None:
    forget(folder, "head", "10.0.0.10")
    assert left(folder) == {"logs/r-1/base.log"}
    assert not Identity(folder, None).moved
    forget(folder, "head", "10.0.0.10")


@pytest.mark.parametrize("text", [None, "{", '{"id": "b2", "head": "head", "address": "10.0.0.11"}'])
def test_another_cluster_of_that_name_stays_known(folder: Path, text: str | None) -> None:
    if text is None:
        (folder / FILE).unlink()
    else:
        (folder / FILE).write_text(text)
    before = left(folder)
    forget(folder, "head", "10.0.0.10")
    assert left(folder) == before

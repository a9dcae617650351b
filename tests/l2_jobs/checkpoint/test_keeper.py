"""Setting aside, pruning and leading loaders: nothing is lost, each may be repeated, and links are not followed."""

import json
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from aiops.layers.core.errors import ConflictError, FailedError
from aiops.layers.l2_jobs.checkpoint.checkpoint import Level
from aiops.layers.l2_jobs.checkpoint.keeper import point, prune, set_aside
from aiops.layers.l2_jobs.checkpoint.reader import Seen
from aiops.layers.l2_jobs.checkpoint.surveyor import LocalSurveyor

from .saves import NEW, OLD, lay, reader, spoil, write_manifest

AT = datetime(2026, 11, 28, 22, 0, tzinfo=UTC)
STAMP = "bad-20261128T220000Z"
HAND = LocalSurveyor()


def seen(root: Path, step: int = NEW) -> Seen:
    return next(one for one in reader().each(str(root), Level.MANIFEST) if one.checkpoint.step == step)


def test_a_bad_one_is_renamed_with_the_reason_beside_and_nothing_is_lost(tmp_path: Path) -> None:
    lay("dcp", tmp_path)
    spoilt = spoil(tmp_path / "step-20" / "__0_0.distcp")
    done = set_aside(HAND, seen(tmp_path), AT)
    aside = tmp_path / f"step-20.{STAMP}"
    assert done is not None
    assert done.path == str(aside)
    assert (aside / "__0_0.distcp").read_bytes() == spoilt
    reason = json.loads((tmp_path / f"step-20.{STAMP}.json").read_text())
    assert reason["why"].startswith("__0_0.distcp has ")
    assert (reason["step"], reason["format"], reason["at"]) == (20, "dcp", "2026-11-28T22:00:00Z")
    # TorchTitan takes any folder with `step-N` in its name that has a `.metadata`: it has none any more.
    assert not (aside / ".metadata").exists()
    assert (aside / f".metadata.{STAMP}").exists()
    assert [one.step for one in reader().all(str(tmp_path))] == [OLD]


def test_a_manifest_that_is_the_marker_too_is_renamed_once(tmp_path: Path) -> None:
    for step in (OLD, NEW):
        folder = tmp_path / f"step-{step}"
        folder.mkdir()
        (folder / "state.json").write_text("{}" * 50)
        write_manifest(folder, step, "files")
    spoil(tmp_path / f"step-{NEW}" / "state.json")
    assert set_aside(HAND, seen(tmp_path), AT) is not None
    reason = json.loads((tmp_path / f"step-{NEW}.{STAMP}.json").read_text())
    assert reason["renamed_inside"] == ["aiops-manifest.json"]


def test_files_in_a_row_are_set_aside_one_by_one(tmp_path: Path) -> None:
    lay("lightning", tmp_path)
    path = tmp_path / "epoch=0-step=20.ckpt"
    spoil(path)
    bad = [one for one in reader().each(str(tmp_path)) if one.checkpoint.state == "bad"]
    done = set_aside(HAND, bad[0], AT)
    assert done is not None
    assert done.path == f"{path}.{STAMP}"
    assert [one.step for one in reader().all(str(tmp_path))] == [OLD]


def test_what_is_not_bad_stays(tmp_path: Path) -> None:
    lay("torch", tmp_path)
    with pytest.raises(ConflictError, match="is good, and stays"):
        set_aside(HAND, seen(tmp_path), AT)


def test_setting_aside_twice_is_harmless(tmp_path: Path) -> None:
    lay("dcp", tmp_path)
    spoil(tmp_path / "step-20" / "__0_0.distcp")
    one = seen(tmp_path)
    assert set_aside(HAND, one, AT) is not None
    before = sorted(path.name for path in tmp_path.rglob("*"))
    assert set_aside(HAND, one, AT) is None
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_a_second_bad_one_of_the_same_second_has_a_name_of_its_own(tmp_path: Path) -> None:
    for _ in range(2):
        lay("dcp", tmp_path)
        spoil(tmp_path / "step-20" / "__0_0.distcp")
        set_aside(HAND, seen(tmp_path), AT)
    names = sorted(path.name for path in tmp_path.iterdir() if ".bad-" in path.name)
    assert names == [f"step-20.{STAMP}", f"step-20.{STAMP}-2", f"step-20.{STAMP}-2.json", f"step-20.{STAMP}.json"]


class CutOff(Exception):  # noqa: N818 - it stands for kill -9
    """Everything ends here."""


CALLS = ("rename", "fsync", "unlink", "rmdir")


class Doom:
    """Ends at the Nth change of the file system, as kill -9 would: nothing after it happens, no clean-up either."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
        self.left = at
        for name in CALLS:
            monkeypatch.setattr(os, name, self._doomed(name, getattr(os, name)))

    def _doomed(self, _name: str, real: object) -> object:
        def call(*arguments: object, **named: object) -> object:
            self.left -= 1
            if self.left < 0:
                raise CutOff
            return real(*arguments, **named)  # type: ignore[operator]

        return call


def test_setting_aside_can_be_cut_off_anywhere(tmp_path: Path) -> None:
    for at in range(12):
        root = tmp_path / str(at)
        lay("dcp", root)
        spoil(root / "step-20" / "__0_0.distcp")
        with pytest.MonkeyPatch.context() as patch:
            Doom(patch, at)
            with suppress(CutOff):
                set_aside(HAND, seen(root), AT)
        left = reader().newest(str(root))
        assert left[0] is not None
        assert left[0].checkpoint.step == OLD
        for one in left[1]:
            assert one.checkpoint.state == "bad"
            set_aside(HAND, one, AT)
        assert [one.step for one in reader().all(str(root))] == [OLD]
        shards = [path for path in root.rglob("__0_0.distcp") if "step-20" in str(path)]
        assert len(shards) == 1, "the bad one is still there, whole"


def test_old_ones_go_whole(tmp_path: Path) -> None:
    lay("hf-trainer", tmp_path)
    gone = prune(HAND, [seen(tmp_path, OLD)])
    assert [one.step for one in gone] == [OLD]
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-20"]
    assert prune(HAND, []) == ()


def test_pruning_can_be_cut_off_anywhere(tmp_path: Path) -> None:
    for at in range(0, 24, 2):
        root = tmp_path / str(at)
        lay("hf-trainer", root)
        one = seen(root, OLD)
        with pytest.MonkeyPatch.context() as patch:
            Doom(patch, at)
            with suppress(CutOff):
                prune(HAND, [one])
        steps = {found.step: found.state for found in reader().all(str(root))}
        assert steps in ({NEW: "good"}, {NEW: "good", OLD: "good"}), "one is never seen in part"
        prune(HAND, [one])
        assert [path.name for path in root.iterdir()] == ["checkpoint-20"]


def test_a_link_is_deleted_itself(tmp_path: Path) -> None:
    lay("torch-ranks", tmp_path / "other")
    target = tmp_path / "runs" / "step-10"
    target.parent.mkdir()
    target.symlink_to(tmp_path / "other" / "step-10")
    assert HAND.change("prune", str(target.parent), ["step-10"]) == {"gone": ["step-10"], "failed": {}}
    assert (tmp_path / "other" / "step-10" / "rank0.pt").is_file()


def test_loaders_are_led_to_the_chosen_one(tmp_path: Path) -> None:
    lay("deepspeed-source", tmp_path)
    assert (tmp_path / "latest").read_text() == "global_step20"
    assert point(HAND, seen(tmp_path, OLD)) == ("latest",)
    assert (tmp_path / "latest").read_text() == "global_step10"
    assert point(HAND, seen(tmp_path, OLD)) == ()
    assert point(HAND, seen(lay("dcp", tmp_path / "dcp"), OLD)) == ()


def test_what_the_file_system_refuses_is_told(tmp_path: Path) -> None:
    lay("torch", tmp_path)
    one = seen(tmp_path)
    for path in tmp_path.iterdir():
        path.unlink()
    tmp_path.rmdir()
    with pytest.raises(FailedError, match="nothing could be changed: No such file"):
        prune(HAND, [one])


def test_a_manifest_is_renamed_with_what_it_proves(tmp_path: Path) -> None:
    lay("torch-ranks", tmp_path)
    write_manifest(tmp_path / "step-20", NEW, "torch", 3)
    spoil(tmp_path / "step-20" / "rank1.pt")
    done = set_aside(HAND, seen(tmp_path), AT)
    assert done is not None
    assert (Path(done.path) / f"aiops-manifest.json.{STAMP}").exists()

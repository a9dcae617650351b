"""What all formats do alike: add a recorded save of yours to `saves.ALL`, and it is held to this and to the damage."""

import os
import random
from pathlib import Path
from typing import Any

import pytest

from aiops.layers.core.errors import InputError
from aiops.layers.l2_jobs.checkpoint.background import Remembered, looked_again, verified_again
from aiops.layers.l2_jobs.checkpoint.checkpoint import Level
from aiops.layers.l2_jobs.checkpoint.facts import Contents, Entry, Listing
from aiops.layers.l2_jobs.checkpoint.format import Format, read_formats, step_of
from aiops.layers.l2_jobs.checkpoint.reader import Reader, Told
from aiops.layers.l2_jobs.checkpoint.surveyor import LocalSurveyor

from .saves import ALL, NEW, OLD, Save, age, formats, lay, place, reader, write_manifest

KNOWN = formats().known


@pytest.mark.parametrize("format_", KNOWN, ids=lambda one: one.name)
def test_a_format_says_who_it_is(format_: Format) -> None:
    assert format_.name == format_.name.lower()
    assert format_.title
    assert format_.origin
    assert [one.name for one in KNOWN].count(format_.name) == 1
    assert [one.rank for one in KNOWN].count(format_.rank) == 1


@pytest.mark.parametrize("format_", KNOWN, ids=lambda one: one.name)
def test_a_format_has_a_recorded_save_or_is_ours(format_: Format) -> None:
    assert format_.origin == "ours" or format_.name in {save.format for save in ALL}


@pytest.mark.parametrize("format_", KNOWN, ids=lambda one: one.name)
def test_nothing_is_found_where_nothing_is(format_: Format) -> None:
    assert list(format_.find(Listing("/runs", 0.0, ()), "")) == []
    others = tuple(Entry(path, 5, 0.0) for path in ("log.txt", "step-1/events.out", "tensorboard/run-7/x"))
    assert list(format_.find(Listing("/runs", 0.0, others), "")) == []


@pytest.mark.parametrize("save", ALL, ids=lambda one: one.name)
def test_places_have_steps_and_files_that_are_there(save: Save, tmp_path: Path) -> None:
    lay(save.name, tmp_path)
    listing, found = reader().places(str(tmp_path))
    assert [format_.name for format_, _ in found] == [save.format] * 2
    for format_, one in found:
        for entry in one.files:
            assert (tmp_path / one.base / entry.path).is_file()
        names = {entry.path for entry in one.files}
        assert {reading.path for reading in format_.readings(one)} <= names
        marker = format_.marker(one)
        assert marker is None or marker in names
        for path in format_.pointers(listing, one):
            assert (tmp_path / path).is_file()


@pytest.mark.parametrize("save", ALL, ids=lambda one: one.name)
def test_a_checkpoint_is_known_by_its_own_path_too(save: Save, tmp_path: Path) -> None:
    lay(save.name, tmp_path)
    path = tmp_path / place(save, tmp_path, NEW).path
    found = reader().all(str(path))
    assert [(one.step, one.state, one.path) for one in found] == [(NEW, "good", str(path))]


@pytest.mark.parametrize("save", ALL, ids=lambda one: one.name)
def test_its_marker_alone_is_looked_at_at_level_0(save: Save, tmp_path: Path) -> None:
    lay(save.name, tmp_path)
    assert {(one.level, one.verified, one.why) for one in reader().all(str(tmp_path), Level.MARKER)} == {
        (Level.MARKER, False, None)
    }


@pytest.mark.parametrize("save", ALL, ids=lambda one: one.name)
def test_judging_nothing_that_was_read_raises_nothing(save: Save, tmp_path: Path) -> None:
    lay(save.name, tmp_path)
    _, found = reader().places(str(tmp_path))
    for format_, one in found:
        format_.judge(one, Contents({}))


@pytest.mark.parametrize("save", ALL, ids=lambda one: one.name)
def test_some_of_its_files_end_in_an_answer(save: Save, tmp_path: Path) -> None:
    """A save on its way: whichever files are there, nothing is chosen that is not whole, and nothing fails."""
    lay(save.name, tmp_path)
    draw = random.Random(7)  # noqa: S311 - no secret
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    kept = {path: path.read_bytes() for path in files}
    for _ in range(10):
        for path in files:
            if draw.random() < 0.5:
                path.unlink()
        reader().all(str(tmp_path))
        for path, content in kept.items():
            path.write_bytes(content)


def test_pointers_lead_to_the_chosen_one(tmp_path: Path) -> None:
    for name, expected in (
        ("deepspeed-source", {"latest": "global_step10"}),
        ("megatron-source", {"latest_checkpointed_iteration.txt": "10"}),
    ):
        root = lay(name, tmp_path / name)
        listing, found = reader().places(str(root))
        format_, one = next(pair for pair in found if pair[1].step == OLD)
        assert format_.pointers(listing, one) == expected


def test_one_format_can_be_asked_for(tmp_path: Path) -> None:
    lay("hf-trainer", tmp_path)
    assert {one.format for one in reader(argument="safetensors").all(str(tmp_path))} == {"safetensors"}
    assert reader(argument="dcp").all(str(tmp_path)) == ()


def test_an_unknown_format_is_refused_with_the_nearest() -> None:
    from aiops.layers.core.plugin import Plugins

    with pytest.raises(InputError) as caught:
        read_formats(Plugins(), "hf-triner")
    assert "did you mean `hf-trainer`?" in caught.value.hints


def test_a_pattern_and_a_marker_are_a_format(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        folder = tmp_path / f"step_{step}"
        folder.mkdir()
        (folder / "weights.bin").write_bytes(b"abc")
        (folder / "DONE").write_bytes(b"")
    (tmp_path / "step_3" / "DONE").unlink()
    (tmp_path / "step_2" / "weights.bin").write_bytes(b"")
    found = reader(argument="glob:step_*/*.bin,DONE").all(str(tmp_path))
    assert [(one.step, one.state, one.why) for one in found] == [
        (3, "bad", "DONE is missing: it is written last"),
        (2, "bad", "weights.bin is 0 bytes"),
        (1, "good", None),
    ]


def test_files_with_a_marker_each_are_a_format(tmp_path: Path) -> None:
    for name in ("w-1.npz", "w-1.npz.ok", "w-2.npz"):
        (tmp_path / name).write_bytes(b"abc")
    found = reader(argument="glob:*.npz,.ok").all(str(tmp_path))
    assert [(one.step, one.state) for one in found] == [(2, "bad"), (1, "good")]


def test_what_may_still_be_written_without_a_marker_is_unfinished(tmp_path: Path) -> None:
    lay("torch-ranks", tmp_path)
    assert {one.state for one in reader(settled=60.0).all(str(tmp_path))} == {"unfinished"}
    assert {one.state for one in reader(settled=0.0).all(str(tmp_path))} == {"good"}


def test_what_cannot_be_read_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from aiops.layers.l2_jobs.checkpoint.remote import survey

    lay("dcp", tmp_path)
    opened: Any = survey.opened

    def stale(path: str) -> object:
        if path.endswith("step-20/__1_0.distcp"):
            raise OSError(116, "Stale file handle")
        return opened(path)

    monkeypatch.setattr(survey, "opened", stale)
    found = reader().all(str(tmp_path))
    assert [(one.step, one.state, one.why) for one in found] == [
        (NEW, "unknown", "__1_0.distcp cannot be read: Stale file handle"),
        (OLD, "good", None),
    ]


def test_swapped_ranks_are_told_by_the_names_in_them(tmp_path: Path) -> None:
    lay("deepspeed-source", tmp_path)
    folder = tmp_path / "global_step20"
    one, other = (folder / f"bf16_zero_pp_rank_{row}_mp_rank_00_optim_states.pt" for row in range(2))
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    found = reader().all(str(tmp_path))[0]
    assert found.state == "bad"
    assert found.why is not None
    assert f"{one.name} holds what belongs in {other.name}" in found.why


def test_a_stale_state_of_the_trainer_is_told(tmp_path: Path) -> None:
    lay("hf-trainer", tmp_path)
    state = (tmp_path / "checkpoint-10" / "trainer_state.json").read_bytes()
    (tmp_path / "checkpoint-20" / "trainer_state.json").write_bytes(state)
    assert reader().all(str(tmp_path))[0].why == "trainer_state.json is of step 10"


def test_progress_is_told(tmp_path: Path) -> None:
    lay("torch", tmp_path)
    told: list[Told] = []
    hashed: list[int] = []
    Reader(LocalSurveyor(hashed.append), formats(), 0.0, told.append).all(str(tmp_path))
    assert [(one.number, one.of) for one in told] == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("checkpoint-500", 500),
        ("iter_0000100", 100),
        ("epoch=3-step=1200.ckpt", 1200),
        ("global_step7", 7),
        ("1000", 1000),
        ("model", None),
        ("model-00001-of-00004", None),
    ],
)
def test_steps_are_read_from_names(name: str, step: int | None) -> None:
    assert step_of(name) == step


def test_data_that_only_looks_like_a_checkpoint_is_never_called_bad(tmp_path: Path) -> None:
    """It would be set aside."""
    (tmp_path / "train_1000.bin").write_bytes(b"\x07" * 100)
    (tmp_path / "shard_1000.tar").write_bytes(b"\x07" * 100)
    (tmp_path / "tokens_1000.pt").write_bytes(b"\x07" * 100)
    (tmp_path / "model-1000.ckpt").write_bytes(b"\x07" * 100)
    found = reader().all(str(tmp_path))
    assert {Path(one.path).name: (one.state, one.why) for one in found} == {
        "tokens_1000.pt": ("unknown", "tokens_1000.pt is nothing that torch.save writes"),
        "model-1000.ckpt": ("unknown", "model-1000.ckpt is nothing that torch.save writes"),
    }


def test_what_a_manifest_calls_itself_is_believed_over_suffixes(tmp_path: Path) -> None:
    """Whoever saved it knows what it is: files of another kind are no damaged ones of torch.save."""
    folder = tmp_path / "step-20"
    folder.mkdir()
    (folder / "state.pt").write_bytes(b"\x07" * 100)
    write_manifest(folder, NEW, "mine")
    assert [(one.state, one.format) for one in reader().all(str(tmp_path))] == [("good", "files")]
    write_manifest(folder, NEW, "torch")
    assert [(one.state, one.format) for one in reader().all(str(tmp_path))] == [("unknown", "torch")]


def test_a_plain_save_called_ckpt_is_good(tmp_path: Path) -> None:
    from .saves import files_of

    (tmp_path / "sd-step=20.ckpt").write_bytes(files_of("torch")["step_20.pt"])
    assert [(one.state, one.step) for one in reader().all(str(tmp_path))] == [("good", NEW)]


def test_only_what_has_changed_is_read_again(tmp_path: Path) -> None:
    lay("dcp", tmp_path)
    (tmp_path / "step-20" / ".metadata").rename(tmp_path / "metadata")
    age(tmp_path, 5.0)
    watched = reader(settled=60.0)
    first = looked_again(watched, str(tmp_path), Remembered())
    assert [(one.step, one.state) for one in first.checkpoints] == [(NEW, "unfinished"), (OLD, "good")]
    second = looked_again(watched, str(tmp_path), first)
    assert second.came == ("step-20",), "whoever writes may have ended"
    (tmp_path / "metadata").rename(tmp_path / "step-20" / ".metadata")
    third = looked_again(watched, str(tmp_path), second)
    assert [(one.step, one.state) for one in third.checkpoints] == [(NEW, "good"), (OLD, "good")]
    fourth = looked_again(watched, str(tmp_path), third)
    assert (fourth.came, fourth.checkpoints) == ((), third.checkpoints)
    for path in (tmp_path / "step-10").iterdir():
        path.unlink()
    assert [one.step for one in looked_again(watched, str(tmp_path), fourth).checkpoints] == [NEW]


def test_the_newest_good_one_is_read_at_every_restart(tmp_path: Path) -> None:
    lay("dcp", tmp_path)
    age(tmp_path, 5.0)
    first = verified_again(reader(), str(tmp_path), None)
    assert [(one.step, one.state) for one in first.checkpoints] == [(NEW, "good"), (OLD, "good")]
    assert verified_again(reader(), str(tmp_path), first).came == ("step-20",)
    file = next(iter(sorted((tmp_path / "step-20").glob("*.distcp"))))
    looked = file.stat()
    file.write_bytes(b"\0" * looked.st_size)
    os.utime(file, ns=(looked.st_atime_ns, looked.st_mtime_ns))
    again = verified_again(reader(), str(tmp_path), first)
    assert [(one.step, one.state) for one in again.checkpoints] == [(NEW, "bad"), (OLD, "good")]

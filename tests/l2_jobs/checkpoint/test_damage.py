"""Damaged checkpoints of every format: the newest good one is chosen, and no good one is refused."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiops.layers.l2_jobs.checkpoint.checkpoint import Level

from .damage import Bench, fresh, is_same_document
from .saves import ALL, NEW, OLD, Save, age, formats, place, reader, write_manifest

QUICK = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FOLDERS = [save for save in ALL if save.folder_manifest]


@pytest.fixture(scope="module", params=ALL, ids=lambda save: save.name)
def plain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return fresh(request.param, tmp_path_factory.mktemp("plain") / "runs")


@pytest.fixture(scope="module", params=FOLDERS, ids=lambda save: save.name)
def sealed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    save: Save = request.param
    bench = fresh(save, tmp_path_factory.mktemp("sealed") / "runs")
    for step in (OLD, NEW):
        write_manifest(bench.root / place(save, bench.root, step).base, step, save.format, save.world_size)
    return Bench(save, bench.root)


def test_what_a_library_has_saved_is_good(plain: Bench) -> None:
    found = reader().all(str(plain.root))
    assert [(one.step, one.state, one.format, one.world_size) for one in found] == [
        (step, "good", plain.save.format, plain.save.world_size) for step in (NEW, OLD)
    ]
    assert plain.step() == NEW


def test_what_a_library_has_saved_is_good_while_nobody_can_tell_whether_it_writes(plain: Bench) -> None:
    """Clocks apart, times in the future: nothing of that makes a whole checkpoint a bad one."""
    for seconds in (-3600.0, 3600.0):
        age(plain.root, seconds)
        assert plain.step() == NEW


def test_with_a_manifest_it_is_good_by_that(sealed: Bench) -> None:
    found = reader().all(str(sealed.root))
    assert [(one.step, one.state, one.level, one.manifest) for one in found] == [
        (step, "good", Level.MANIFEST, True) for step in (NEW, OLD)
    ]


@QUICK
@given(data=st.data())
def test_a_file_that_was_cut_off_is_told_by_its_structure(plain: Bench, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(plain.structured))
    whole = plain.original[path]
    length = data.draw(st.integers(0, len(whole) - 1) | st.integers(max(0, len(whole) - 64), len(whole) - 1))
    same = path.suffix == ".json" and is_same_document(whole[:length], whole)
    with plain.cut(path, length):
        assert plain.step() == (NEW if same else OLD)


@QUICK
@given(data=st.data())
def test_a_file_that_was_cut_off_is_told_by_the_manifest(sealed: Bench, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sealed.files))
    with sealed.cut(path, data.draw(st.integers(0, len(sealed.original[path]) - 1))):
        assert sealed.step() == OLD


@QUICK
@given(data=st.data())
def test_a_flipped_bit_is_told_by_the_manifest(sealed: Bench, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from([one for one in sealed.files if one.name != "aiops-manifest.json"]))
    byte = data.draw(st.integers(0, len(sealed.original[path]) - 1))
    with sealed.flipped(path, byte, data.draw(st.integers(0, 7))):
        assert sealed.step() == OLD


@QUICK
@given(data=st.data())
def test_a_flipped_bit_without_a_manifest_ends_in_an_answer(plain: Bench, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(plain.files))
    byte = data.draw(st.integers(0, len(plain.original[path]) - 1))
    with plain.flipped(path, byte, data.draw(st.integers(0, 7))):
        assert plain.step() in (OLD, NEW)


def test_a_missing_file_is_told_by_the_layout(plain: Bench) -> None:
    for path in plain.needed:
        with plain.gone(path):
            assert plain.step() == OLD, path.name


def test_a_missing_file_is_told_by_the_manifest(sealed: Bench) -> None:
    for path in sealed.files:
        if path.name != "aiops-manifest.json":
            with sealed.gone(path):
                assert sealed.step() == OLD, path.name


def test_swapped_files_are_told_by_the_manifest(sealed: Bench) -> None:
    for one, other in sealed.swaps():
        with sealed.swapped(one, other):
            assert sealed.step() == OLD, (one.name, other.name)


def test_a_file_of_an_older_checkpoint_is_told_by_the_manifest(sealed: Bench) -> None:
    for path in sealed.files:
        if sealed.original[path] != sealed.original[sealed.counterpart(path)]:
            with sealed.from_old(path):
                assert sealed.step() == OLD, path.name


def test_a_marker_alone_is_no_checkpoint(plain: Bench) -> None:
    """A stale marker, as it is left where a folder is written again."""
    found = place(plain.save, plain.root, NEW)
    marker = formats().named(plain.save.format).marker(found)
    others = [path for path in plain.files if plain.relative[path] != marker]
    if marker is not None and others:
        with plain.gone(*others):
            assert plain.step() == OLD


def test_all_bad_is_none(plain: Bench) -> None:
    cut = [*plain.structured, *map(plain.counterpart, plain.structured)]
    for path in cut:
        path.write_bytes(plain.original[path][: len(plain.original[path]) // 2])
    assert plain.chosen() is None
    for path in cut:
        path.write_bytes(plain.original[path])
    assert plain.step() == NEW


def test_what_is_not_whole_is_unfinished_while_it_changes(plain: Bench) -> None:
    path = max(plain.structured, key=lambda one: len(plain.original[one]))
    with plain.cut(path, len(plain.original[path]) // 2):
        age(plain.root, 5.0)
        states = {one.step: one.state for one in reader(settled=60.0).all(str(plain.root))}
        assert states.get(NEW, states.get(None)) == "unfinished"
        age(plain.root, 120.0)
        states = {one.step: one.state for one in reader(settled=60.0).all(str(plain.root))}
        assert states.get(NEW, states.get(None)) == "bad"

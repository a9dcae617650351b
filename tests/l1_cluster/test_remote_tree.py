"""What puts a bundle in place on the head: only what is lacking is sent, in pieces; a kill leaves old or new."""

import hashlib
import io
import os
import shutil
import tarfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.layers.l1_cluster.bundle.parcel import divide, pack, places_of
from aiops.layers.l1_cluster.remote import tree
from aiops.layers.l1_cluster.remote.content import recorded

Content = Mapping[str, bytes]

OLD: Content = {"a": b"same", "apt/b": b"old", "apt/pool/c": b"gone"}
NEW: Content = {"a": b"same", "apt/b": b"new", "apt/d": b"same", "wheels/e": b"added"}


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def packed(content: Content) -> str:
    return tree.pack_digests({path: digest(data) for path, data in content.items()})


def write(folder: Path, content: Content) -> None:
    for path, data in content.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def read(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def lacking(folder: Path, content: Content, capsys: pytest.CaptureFixture[str]) -> dict[str, int]:
    """What is lacking, with how many bytes of it have come."""
    capsys.readouterr()
    tree.lacking(str(folder), packed(content))
    lines = (line.split() for line in capsys.readouterr().out.splitlines())
    return {name: int(come) for name, come in lines}


def parcel_of(folder: Path, pieces: Iterable[tuple[str, bytes]]) -> Path:
    """A parcel that has come, of members with these names."""
    path = Path(tree.incoming_of(str(folder))) / tree.PARCEL
    with tarfile.open(path, "w") as archive:
        for name, data in pieces:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def send(folder: Path, content: Content, digests: Collection[str]) -> None:
    """What `parcel.yml` does between asking and filling."""
    wanted = {digest(data): data for data in content.values() if digest(data) in digests}
    parcel_of(folder, ((tree.member_name(name, 0, len(data)), data) for name, data in wanted.items()))
    tree.take(str(folder))


def fill(folder: Path, content: Content) -> None:
    tree.fill(str(folder), packed(content), str(records_of(folder)))


def records_of(folder: Path) -> Path:
    return folder.parent.with_name(f"{folder.parent.name}-records")


def test_only_what_is_lacking_is_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "bundle"
    assert set(lacking(folder, OLD, capsys)) == {digest(data) for data in OLD.values()}
    send(folder, OLD, {digest(data) for data in OLD.values()})
    fill(folder, OLD)
    assert read(folder) == OLD
    needed = lacking(folder, NEW, capsys)
    assert needed == {digest(b"new"): 0, digest(b"added"): 0}
    send(folder, NEW, needed)
    fill(folder, NEW)
    assert read(folder) == NEW
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    assert (folder / "apt/b").stat().st_mode & 0o777 == 0o644
    assert (folder / "apt").stat().st_mode & 0o777 == 0o755
    written = recorded(str(folder), str(records_of(folder)))
    assert {name: known for name, (_, _, known) in written.items()} == {
        name: digest(data) for name, data in NEW.items()
    }


def test_what_was_changed_on_the_head_is_sent_again_and_what_was_added_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "bundle"
    write(folder, {**OLD, "apt/b": b"OLD", "extra": b"?"})
    (folder / "link").symlink_to("/etc/passwd")
    assert lacking(folder, OLD, capsys) == {digest(b"old"): 0}
    send(folder, OLD, {digest(b"old")})
    fill(folder, OLD)
    assert read(folder) == OLD
    assert not (folder / "link").is_symlink()


@pytest.mark.parametrize("damage", ["flipped", "renamed", "cut", "absent", "strange"])
def test_what_was_damaged_on_the_way_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    folder = tmp_path / "bundle"
    write(folder, OLD)
    lacking(folder, NEW, capsys)
    name = tree.member_name(digest(b"new"), 0, 3)
    names = {"renamed": tree.member_name(digest(b"no"), 0, 3), "strange": "../../etc/passwd"}
    parcel = parcel_of(folder, [(names.get(damage, name), b"neW" if damage == "flipped" else b"new")])
    if damage == "cut":
        parcel.write_bytes(parcel.read_bytes()[:513])
    elif damage == "absent":
        parcel.unlink()
    with pytest.raises(SystemExit) as caught:
        tree.take(str(folder))
    assert str(folder.parent) in str(caught.value)
    with pytest.raises(SystemExit) as caught:
        fill(folder, NEW)
    assert "2 files were not sent: apt/b" in str(caught.value)
    assert read(folder) == OLD
    again = lacking(folder, NEW, capsys)
    assert again == {digest(b"new"): 0, digest(b"added"): 0}
    send(folder, NEW, {digest(b"new")})
    assert set(lacking(folder, NEW, capsys)) == {digest(b"added")}


def test_each_parcel_is_unpacked_at_once_and_what_has_come_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line breaks after each parcel: the whole of it arrives all the same, and nothing is sent twice."""
    content = {"large": bytes(range(256)) * 4, "empty": b"", "small": b"x"}
    home, folder = tmp_path / "home", tmp_path / "srv" / "bundle"
    folder.parent.mkdir()
    home.mkdir()
    write(home, content)
    sums = "".join(f"{digest(data)}  {path}\n" for path, data in content.items())
    (home / "SHA256SUMS").write_text(sums)
    carried = 0
    for _ in range(100):
        come = lacking(folder, content, capsys)
        if not come:
            break
        places = places_of(home, come)
        pieces = divide({name: path.stat().st_size for name, path in places.items()}, come, limit=100)[0]
        parcel = pack(places, pieces, tmp_path / "parcels")
        shutil.move(parcel, Path(tree.incoming_of(str(folder))) / tree.PARCEL)
        tree.take(str(folder))
        assert sum(piece.length for piece in pieces) <= 100
        carried += sum(piece.length for piece in pieces)
    assert carried == 1025
    fill(folder, content)
    assert read(folder) == content


@given(
    sizes=st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 50), max_size=6),
    limit=st.integers(1, 40),
    data=st.data(),
)
def test_parcels_hold_all_that_is_lacking_once_and_none_is_too_large(
    sizes: dict[str, int], limit: int, data: st.DataObject
) -> None:
    come = {name: data.draw(st.integers(0, size + 1), label=name) for name, size in sizes.items()}
    parcels = divide(sizes, come, limit)
    assert all(sum(piece.length for piece in parcel) <= limit for parcel in parcels)
    for name, size in sizes.items():
        pieces = [piece for parcel in parcels for piece in parcel if piece.digest == name]
        assert pieces[0].offset == (come[name] if come[name] <= size else 0)
        for one, after in pairwise(pieces):
            assert one.offset + one.length == after.offset
        assert pieces[-1].offset + pieces[-1].length == size
        assert {piece.size for piece in pieces} == {size}
    assert sum(len(parcel) - 1 for parcel in parcels) <= len(sizes)


def test_a_piece_without_what_comes_before_it_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "bundle"
    lacking(folder, NEW, capsys)
    parcel_of(folder, [(tree.member_name(digest(b"new"), 2, 3), b"w")])
    with pytest.raises(SystemExit, match="a piece is missing"):
        tree.take(str(folder))
    parcel_of(folder, [(tree.member_name(digest(b"new"), 0, 3), b"ne")])
    tree.take(str(folder))
    assert lacking(folder, NEW, capsys)[digest(b"new")] == 2
    parcel_of(folder, [(tree.member_name(digest(b"new"), 1, 3), b"ew")])  # more than it went on from: said twice
    tree.take(str(folder))
    assert digest(b"new") not in lacking(folder, NEW, capsys)


class Killed(BaseException):
    """Nothing handles it: as if the process were gone."""


CALLS = ("link", "rename", "makedirs", "unlink", "chmod", "open")


@pytest.fixture
def killer(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Kills at the n-th call that changes something, n being the only number in the list; 0 never."""
    countdown = [0]
    real = {name: getattr(os, name) for name in CALLS}

    def dying(name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if countdown[0]:
                countdown[0] -= 1
                if countdown[0] == 0:
                    raise Killed
            return real[name](*args, **kwargs)

        return call

    for name in CALLS:
        monkeypatch.setattr(os, name, dying(name))
    rmtree = shutil.rmtree

    def dying_removal(path: str) -> None:
        if countdown[0] == 1:
            raise Killed
        rmtree(path)

    monkeypatch.setattr(shutil, "rmtree", dying_removal)
    yield countdown
    countdown[0] = 0


def test_killed_anywhere_it_leaves_the_old_or_the_new_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], killer: list[int]
) -> None:
    states = set()
    for step in range(1, 60):
        root = tmp_path / str(step)
        folder = root / "bundle"
        write(folder, OLD)
        needed = lacking(folder, NEW, capsys)
        send(folder, NEW, needed)
        killer[0] = step
        try:
            fill(folder, NEW)
        except Killed:
            ended = False
        else:
            ended = True
        killer[0] = 0
        now = read(folder)
        assert now in (OLD, NEW), step
        states.add((ended, now == NEW))
        again = lacking(folder, NEW, capsys)
        assert again.keys() <= needed.keys()  # nothing that has arrived whole is asked for twice, and the rest still is
        send(folder, NEW, again)
        fill(folder, NEW)
        assert read(folder) == NEW
        assert [path.name for path in root.iterdir()] == ["bundle"]
        if ended:
            break
    assert {(False, False), (False, True), (True, True)} <= states


def test_where_two_folders_cannot_change_places_one_is_moved_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "new", NEW)
    write(tmp_path / "bundle", OLD)
    monkeypatch.setattr(tree, "libc_call", lambda *_: -1)
    tree.sync(str(tmp_path))
    tree.switch(str(tmp_path / "new"), str(tmp_path / "bundle"))
    assert read(tmp_path / "bundle") == NEW
    assert read(tmp_path / "new.old") == OLD


names = st.text("ab/", min_size=1, max_size=5).map(
    lambda text: "/".join(part for part in text.split("/") if part) or "a"
)
contents = st.dictionaries(names, st.binary(max_size=2), min_size=1, max_size=6).filter(
    lambda content: not any(other.startswith(f"{path}/") for path in content for other in content)
)


@settings(max_examples=40, deadline=None)
@given(before=contents, after=contents)
def test_whatever_was_there_becomes_what_is_listed(
    tmp_path_factory: pytest.TempPathFactory, before: Content, after: Content
) -> None:
    folder = tmp_path_factory.mktemp("tree") / "bundle"
    write(folder, before)
    (folder.parent / tree.INCOMING).mkdir()
    send(folder, after, {digest(data) for data in after.values()} - {digest(data) for data in before.values()})
    fill(folder, after)
    assert read(folder) == dict(after)

"""What puts a bundle in place on the head: only what is lacking is sent; a kill leaves the old or the new."""

import hashlib
import io
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.layers.l1_cluster.remote import tree

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


def lacking(folder: Path, content: Content, capsys: pytest.CaptureFixture[str]) -> set[str]:
    capsys.readouterr()
    tree.lacking(str(folder), packed(content))
    return set(capsys.readouterr().out.split())


def send(folder: Path, content: Content, digests: set[str]) -> None:
    """What `send.yml` does between asking and filling."""
    with tarfile.open(Path(tree.incoming_of(str(folder))) / tree.PARCEL, "w") as archive:
        for data in content.values():
            if digest(data) in digests:
                member = tarfile.TarInfo(digest(data))
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))


def test_only_what_is_lacking_is_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "bundle"
    assert lacking(folder, OLD, capsys) == {digest(data) for data in OLD.values()}
    send(folder, OLD, {digest(data) for data in OLD.values()})
    tree.fill(str(folder), packed(OLD))
    assert read(folder) == OLD
    needed = lacking(folder, NEW, capsys)
    assert needed == {digest(b"new"), digest(b"added")}
    send(folder, NEW, needed)
    tree.fill(str(folder), packed(NEW))
    assert read(folder) == NEW
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    assert (folder / "apt/b").stat().st_mode & 0o777 == 0o644
    assert (folder / "apt").stat().st_mode & 0o777 == 0o755


def test_what_was_changed_on_the_head_is_sent_again_and_what_was_added_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "bundle"
    write(folder, {**OLD, "apt/b": b"OLD", "extra": b"?"})
    (folder / "link").symlink_to("/etc/passwd")
    assert lacking(folder, OLD, capsys) == {digest(b"old")}
    send(folder, OLD, {digest(b"old")})
    tree.fill(str(folder), packed(OLD))
    assert read(folder) == OLD
    assert not (folder / "link").is_symlink()


@pytest.mark.parametrize("damage", ["flipped", "renamed", "cut", "absent"])
def test_what_was_damaged_on_the_way_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    folder = tmp_path / "bundle"
    write(folder, OLD)
    needed = lacking(folder, NEW, capsys)
    parcel = tmp_path / tree.INCOMING / tree.PARCEL
    sent: Content = {**NEW, "apt/b": b"neW"} if damage == "flipped" else NEW
    send(folder, sent, needed | {digest(data) for data in sent.values()} if damage == "flipped" else needed)
    if damage == "renamed":
        parcel.write_bytes(parcel.read_bytes().replace(digest(b"new").encode(), digest(b"no").encode()))
    elif damage == "cut":
        parcel.write_bytes(parcel.read_bytes()[:700])
    elif damage == "absent":
        parcel.unlink()
    with pytest.raises(SystemExit) as caught:
        tree.fill(str(folder), packed(NEW))
    assert str(folder) in str(caught.value)
    assert read(folder) == OLD


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
            tree.fill(str(folder), packed(NEW))
        except Killed:
            ended = False
        else:
            ended = True
        killer[0] = 0
        now = read(folder)
        assert now in (OLD, NEW), step
        states.add((ended, now == NEW))
        again = lacking(folder, NEW, capsys)
        assert again <= needed  # nothing that has arrived whole is asked for twice, and the rest still is
        send(folder, NEW, again)
        tree.fill(str(folder), packed(NEW))
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
    tree.fill(str(folder), packed(after))
    assert read(folder) == dict(after)

"""Whatever is done to a bundle, it is found and named; and what cannot be trusted is never sent, nor served."""

import io
import os
import random
import shutil
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.small_bundle import small_bundle

from aiops.layers.core.errors import FailedError
from aiops.layers.l1_cluster.bundle import parcel
from aiops.layers.l1_cluster.bundle.bundle import MANIFEST, SIGNATURE, SUMS, Bundle
from aiops.layers.l1_cluster.bundle.manifest import Manifest, sums_text
from aiops.layers.l1_cluster.bundle.parcel import ChangedError, Piece, pack, places_of
from aiops.layers.l1_cluster.bundle.signing import PublicKey, trusted_keys
from aiops.layers.l1_cluster.remote.tree import member_name

pytestmark = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="its packages are made with dpkg-deb")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def bundle(home: Path) -> Bundle:
    return small_bundle(home, home / "bundle")


@pytest.fixture(scope="module")
def keys(home: Path, bundle: Bundle) -> tuple[PublicKey, ...]:
    assert bundle.verify() == ()
    return trusted_keys(home)


def files_of(bundle: Bundle) -> list[str]:
    return sorted(str(path.relative_to(bundle.path)) for path in bundle.path.rglob("*") if path.is_file())


def found_in(path: Path, keys: tuple[PublicKey, ...]) -> set[str | None]:
    """The files that are named when the bundle is read and verified."""
    try:
        Bundle.read(path, keys).require_whole()
    except FailedError as error:
        return {problem.file if error.code == "bundle.damaged" else error.code for problem in error.problems}
    return set()


@contextmanager
def flipped(path: Path, offset: int, bit: int) -> Iterator[None]:
    """One bit of a file is another for a while."""
    with path.open("r+b") as stream:
        stream.seek(offset)
        before = stream.read(1)
        stream.seek(offset)
        stream.write(bytes([before[0] ^ (1 << bit)]))
    try:
        yield
    finally:
        with path.open("r+b") as stream:
            stream.seek(offset)
            stream.write(before)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_flipped_bit_anywhere_is_found_and_its_file_named(
    bundle: Bundle, keys: tuple[PublicKey, ...], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(files_of(bundle)))
    path = bundle.path / name
    offset = data.draw(st.integers(0, path.stat().st_size - 1))
    with flipped(path, offset, data.draw(st.integers(0, 7))):
        assert name in found_in(bundle.path, keys)
    assert found_in(bundle.path, keys) == set()


def test_every_letter_of_the_sums_is_looked_at(bundle: Bundle, keys: tuple[PublicKey, ...]) -> None:
    for offset in range(0, (bundle.path / SUMS).stat().st_size, 7):
        with flipped(bundle.path / SUMS, offset, 0):
            assert SUMS in found_in(bundle.path, keys), offset


def test_every_file_is_looked_at_in_full(bundle: Bundle, keys: tuple[PublicKey, ...]) -> None:
    names = files_of(bundle)
    assert {MANIFEST, SIGNATURE, SUMS, "key.asc", "bom.cdx.json", "apt/dists/bookworm/InRelease"} <= set(names)
    for name in names:
        for offset in (0, (bundle.path / name).stat().st_size - 1):
            with flipped(bundle.path / name, offset, 0):
                assert name in found_in(bundle.path, keys), (name, offset)


def test_no_byte_of_the_signature_can_be_another(bundle: Bundle, keys: tuple[PublicKey, ...]) -> None:
    """Armour, checksum and unsigned parts of an OpenPGP signature can be changed without making it invalid."""
    path = bundle.path / SIGNATURE
    chance = random.Random(7)  # noqa: S311 - no secret
    for offset in range(0, path.stat().st_size, 3):
        with flipped(path, offset, chance.randrange(8)):
            assert SIGNATURE in found_in(bundle.path, keys), offset


def test_a_manifest_that_fits_its_sums_but_not_its_signature_is_refused(
    bundle: Bundle, keys: tuple[PublicKey, ...], tmp_path: Path
) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(bundle.path, copy)
    content = (copy / MANIFEST).read_bytes().replace(b'"version": "1.0"', b'"version": "6.6"')
    (copy / MANIFEST).write_bytes(content)
    forged = Bundle.of(copy, bundle.manifest, bundle.key, content, (copy / SIGNATURE).read_bytes())
    (copy / SUMS).write_bytes(sums_text(forged.digests))
    assert found_in(copy, keys) == {MANIFEST}


def test_what_is_missing_added_or_something_else_is_named(
    bundle: Bundle, keys: tuple[PublicKey, ...], tmp_path: Path
) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(bundle.path, copy)
    first, second = sorted(str(path.relative_to(copy)) for path in copy.glob("apt/pool/*/*.deb"))
    shutil.move(copy / first, tmp_path / "kept.deb")
    (copy / first).symlink_to(tmp_path / "kept.deb")  # the right bytes, but not the bundle's own
    (copy / second).unlink()
    os.mkfifo(copy / "fifo")
    (copy / "apt/extra").write_bytes(b"")
    (tmp_path / "elsewhere").mkdir()
    (copy / "wheels").symlink_to(tmp_path / "elsewhere")
    assert found_in(copy, keys) == {first, second, "fifo", "apt/extra", "wheels"}


@pytest.mark.parametrize("name", [SIGNATURE, SUMS])
def test_a_missing_signature_or_list_is_named(
    bundle: Bundle, keys: tuple[PublicKey, ...], tmp_path: Path, name: str
) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(bundle.path, copy)
    (copy / name).unlink()
    assert found_in(copy, keys) == {name}


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "apt/../../x", "apt//x", ""])
def test_a_manifest_never_leads_out_of_its_folder(bundle: Bundle, path: str) -> None:
    first = bundle.manifest.artefacts[0].path
    content = bundle.manifest.to_json().replace(f'"{first}"'.encode(), f'"{path}"'.encode())
    with pytest.raises(FailedError, match="not a bundle's manifest"):
        Manifest.from_json(content, "m.json")


# ------------------------------------------------------------------------------------------------ what is sent


def test_a_parcel_holds_what_was_asked_for_and_nothing_else(bundle: Bundle, tmp_path: Path) -> None:
    first = bundle.manifest.artefacts[0]
    pieces = [Piece(bundle.digests[MANIFEST], 2, 3, 9), Piece(first.sha256, 0, first.size, first.size)]
    places = places_of(bundle.path, {piece.digest: 0 for piece in pieces})
    with tarfile.open(pack(places, pieces, tmp_path)) as archive:
        names = [member_name(piece.digest, piece.offset, piece.size) for piece in pieces]
        assert archive.getnames() == names
        content = archive.extractfile(names[0])
        assert content is not None
        assert content.read() == (bundle.path / MANIFEST).read_bytes()[2:5]


def test_a_file_that_changed_since_it_was_verified_is_not_sent(bundle: Bundle, tmp_path: Path) -> None:
    deb = next(one for one in bundle.manifest.artefacts if one.kind == "deb")
    with flipped(bundle.path / deb.path, 100, 3), pytest.raises(ChangedError, match="changed meanwhile"):
        pack(places_of(bundle.path, {deb.sha256: 0}), [Piece(deb.sha256, 0, deb.size, deb.size)], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_that_was_replaced_meanwhile_is_not_sent(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ChangedError, match="has no file"):
        places_of(bundle.path, {"0" * 64: 0})


def test_a_parcel_that_a_killed_deploy_left_goes_after_a_day(bundle: Bundle, tmp_path: Path) -> None:
    old, young = tmp_path / "old.parcel", tmp_path / "young.parcel"
    for path in (old, young):
        path.write_bytes(b"")
    os.utime(old, (0, 0))
    pack({}, [], tmp_path)
    assert not old.exists()
    assert young.exists()


def test_the_program_counts_parcels_and_writes_one(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `send.yml` and `parcel.yml` call it."""
    monkeypatch.setattr(parcel, "divide", partial(parcel.divide, limit=100))
    sizes = {one.sha256: one.size for one in bundle.manifest.artefacts}
    lacking = "".join(f"{digest} 0\n" for digest in sizes)

    def run(*number: str) -> str:
        monkeypatch.setattr(sys, "argv", ["parcel", str(bundle.path), str(tmp_path), *number])
        monkeypatch.setattr(sys, "stdin", io.StringIO(lacking))
        code = parcel.main()
        said = capsys.readouterr()
        return said.out.strip() if code == 0 else said.err.strip()

    count = int(run())
    assert count == -(-sum(sizes.values()) // 100)
    with tarfile.open(run(str(count - 1))) as archive:
        assert [one.name.partition(".")[0] for one in archive][-1] == max(sizes)
    assert "changed meanwhile" in run(str(count))

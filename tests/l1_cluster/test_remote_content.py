"""What a node says is in a folder: as find and sha256sum would, without reading what is as it was recorded."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aiops.layers.l1_cluster.observation import asks_for, parse_tree
from aiops.layers.l1_cluster.remote import content
from aiops.layers.l1_cluster.resource import Tree

FILES = {"a": b"1", "apt/pool/b c": b"22", "apt/new\nline": b"333", "back\\slash": b"4", "empty": b""}


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "srv"
    for name, data in FILES.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)
    return place


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are read from now on."""
    real, seen = content.sha256_of, list[str]()

    def counted(path: str) -> str:
        seen.append(Path(path).name)
        return real(path)

    monkeypatch.setattr(content, "sha256_of", counted)
    return seen


def told(folder: Path, capfdbinary: pytest.CaptureFixture[bytes], *, thorough: bool = False) -> dict[str, str]:
    words = [str(folder), *([content.THOROUGH] if thorough else [])]
    content.main(words, str(folder.parent / "records"))
    return parse_tree(str(folder), capfdbinary.readouterr().out.decode())


def record(folder: Path) -> None:
    listed = {name: digest(data) for name, data in FILES.items()}
    content.record(str(folder), listed, str(folder.parent / "records"))


def test_it_says_what_sha256sum_says_and_what_is_no_file(folder: Path) -> None:
    (folder / "apt" / "link").symlink_to("/etc/passwd")
    (folder / "elsewhere").symlink_to("/etc")
    os.mkfifo(folder / "pipe")
    (ask,) = asks_for([Tree(str(folder), {})], thorough=True)
    done = subprocess.run([sys.executable, *ask.argv[1:]], capture_output=True, text=True, timeout=60, check=True)
    sums = subprocess.run(
        ["find", "-P", folder, "-type", "f", "-exec", "sha256sum", "--", "{}", "+"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    others = [f"!{folder}/{name}" for name in ("apt/link", "elsewhere", "pipe")]
    assert sorted(done.stdout.splitlines()) == sorted([*sums.stdout.splitlines(), *others])


@pytest.mark.parametrize("kind", ["absent", "link"])
def test_a_folder_that_is_none(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], kind: str) -> None:
    if kind == "link":
        (tmp_path / "srv").symlink_to("/etc")
    found = told(tmp_path / "srv", capfdbinary)
    assert found == ({} if kind == "absent" else {str(tmp_path / "srv"): ""})


def test_what_is_as_recorded_is_not_read_but_by_a_thorough_look(
    folder: Path, capfdbinary: pytest.CaptureFixture[bytes], read: list[str]
) -> None:
    listed = {name: digest(data) for name, data in FILES.items()}
    record(folder)
    assert told(folder, capfdbinary) == listed
    assert read == []
    assert told(folder, capfdbinary, thorough=True) == listed
    assert len(read) == len(FILES)
    (folder / "a").write_bytes(b"2")
    told(folder, capfdbinary, thorough=True)
    read.clear()
    told(folder, capfdbinary)
    assert read == ["a"], "what was recorded of the others still holds"


def test_what_was_written_since_is_read(
    folder: Path, capfdbinary: pytest.CaptureFixture[bytes], read: list[str]
) -> None:
    record(folder)
    (folder / "a").write_bytes(b"2")
    (folder / "empty").write_bytes(b"more")
    (folder / "extra").write_bytes(b"")
    found = told(folder, capfdbinary)
    assert (found["a"], found["empty"], found["extra"]) == (digest(b"2"), digest(b"more"), digest(b""))
    assert sorted(read) == ["a", "empty", "extra"]


def test_a_byte_that_a_disk_has_flipped_is_found_by_a_thorough_look(
    folder: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    record(folder)
    seen = (folder / "a").stat()
    (folder / "a").write_bytes(b"0")
    os.utime(folder / "a", ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert told(folder, capfdbinary)["a"] == digest(b"1")
    assert told(folder, capfdbinary, thorough=True)["a"] == digest(b"0")
    assert told(folder, capfdbinary)["a"] == digest(b"0"), "from then on every look tells it"


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"a": 1}', b'{"a": [1, 2]}', b"\xff", b'{"a": ["x", 1, "y"]}'])
def test_without_a_record_that_can_be_read_everything_is(
    folder: Path, capfdbinary: pytest.CaptureFixture[bytes], read: list[str], damage: bytes
) -> None:
    record(folder)
    Path(content.record_of(str(folder), str(folder.parent / "records"))).write_bytes(damage)
    assert told(folder, capfdbinary)["a"] == digest(b"1")
    assert len(read) == len(FILES)

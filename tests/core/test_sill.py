"""The small values every layer stands on: errors, commands, files, the home, identifiers."""

import os
import re
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from aiops.layers.core.command import Command, Completed
from aiops.layers.core.errors import AiopsError, InputError, NotFoundError, Problem, UnreachableError
from aiops.layers.core.file import write_atomic
from aiops.layers.core.home import ensure_folder, home_path
from aiops.layers.core.identifier import run_id, token


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (Problem("no head"), "no head"),
        (Problem("no head", "inventory.yml"), "inventory.yml: no head"),
        (Problem("no head", "inventory.yml", 7), "inventory.yml:7: no head"),
    ],
)
def test_a_problem_says_where_it_stands(problem: Problem, words: str) -> None:
    assert str(problem) == words


def test_errors_serve_both_our_callers_and_pythons() -> None:
    assert issubclass(InputError, ValueError)
    assert issubclass(NotFoundError, LookupError)
    assert issubclass(UnreachableError, OSError)
    error = UnreachableError("gpu01 did not answer", code="ssh.timeout", hints=["a", "b"])
    assert isinstance(error, AiopsError)
    assert (str(error), error.code, error.hints, error.problems) == (
        "gpu01 did not answer",
        "ssh.timeout",
        ("a", "b"),
        (),
    )


def test_a_command_reads_as_one_would_type_it_and_hides_its_stdin() -> None:
    command = Command(("sh", "-c", "echo 'a b'"), stdin=b"canary")
    assert str(command) == """sh -c 'echo '"'"'a b'"'"''"""
    assert "canary" not in repr(command)
    assert {command: 1}[Command(("sh", "-c", "echo 'a b'"), stdin=b"canary")] == 1


def test_a_non_zero_exit_is_a_value() -> None:
    command = Command(("true",))
    assert Completed(command, 0, b"", b"", 0.1).ok
    assert not Completed(command, 1, b"", b"", 0.1).ok
    assert not Completed(command, 0, b"", b"", 0.1, timed_out=True).ok
    assert Completed(command, 0, b"\xff", b" x \n", 0.1).text == "\N{REPLACEMENT CHARACTER}"
    assert Completed(command, 0, b"", b" x \n", 0.1).error_text == "x"


def test_a_file_is_replaced_whole_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o644)
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, b"new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_home_is_said_by_the_environment_or_by_who_we_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert home_path({"AIOPS_HOME": "/srv/aiops"}) == Path("/srv/aiops")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert home_path({}) == Path("/var/lib/aiops")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert home_path({"XDG_DATA_HOME": "/data"}) == Path("/data/aiops")
    assert home_path({}) == Path.home() / ".local/share/aiops"


def test_a_folder_of_ours_is_private(tmp_path: Path) -> None:
    old_mask = os.umask(0)
    try:
        made = ensure_folder(tmp_path / "a" / "b")
    finally:
        os.umask(old_mask)
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert ensure_folder(made) == made


def test_identifiers_can_be_typed_and_do_not_repeat() -> None:
    at = datetime(2026, 11, 21, 19, 30, 5, tzinfo=UTC)
    assert re.fullmatch(r"r-1121-193005-[0-9a-f]{3}", run_id(at))
    assert len({token() for _ in range(100)}) == 100
    assert all(re.fullmatch(r"[0-9a-f]{32}", token()) for _ in range(3))

"""A cluster's secrets: on its head, the same for every controller, in no command line and readable by root only."""

import base64
import subprocess
import sys
from pathlib import Path
from typing import Self

import pytest

from aiops.layers.core.command import Command, Completed
from aiops.layers.core.errors import ConflictError, FailedError, UnreachableError
from aiops.layers.l0_nodes.node import Connection, Node
from aiops.layers.l0_nodes.transport import Channel
from aiops.layers.l1_cluster.secrets import FOLDER, SIZE, Secrets


class Machine:
    """A transport to this machine: what is sent really runs."""

    def __init__(self) -> None:
        self.node = Node("head", connection=Connection(kind="local", python=sys.executable))
        self.commands: list[Command] = []
        self.silent = False

    def open(self, command: Command) -> Channel:
        raise AssertionError(command)

    def run(self, command: Command) -> Completed:
        self.commands.append(command)
        if self.silent:
            return Completed(command, -1, b"", b"", 20.0, timed_out=True)
        done = subprocess.run(command.argv, input=command.stdin, capture_output=True, timeout=30, check=False)
        return Completed(command, done.returncode, done.stdout, done.stderr, 0.0)

    def put(self, content: bytes, path: str, *, mode: int = 0o600, root: bool = False) -> None:
        raise NotImplementedError

    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


@pytest.fixture
def head() -> Machine:
    return Machine()


def test_a_second_controller_gets_the_secret_of_the_first(head: Machine, tmp_path: Path) -> None:
    folder = tmp_path / "lab/secrets"
    first = Secrets(folder, head)
    key = first.get("munge.key")
    assert len(key) == SIZE
    assert not folder.exists()  # a dry run leaves nothing behind
    first.keep()
    assert Secrets(folder, head).get("munge.key") == key == (folder / "munge.key").read_bytes()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "munge.key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in folder.iterdir()] == ["munge.key"]


def test_a_secret_is_in_no_command_line_and_sent_to_root_only(head: Machine, tmp_path: Path) -> None:
    secrets = Secrets(tmp_path / "secrets", head)
    key = base64.b64encode(secrets.get("munge.key")).decode()
    secrets.keep()
    assert len(head.commands) == 2
    for command in head.commands:
        assert command.root
        assert key not in " ".join(command.argv)
        assert key[:24] not in repr(secrets)
    assert key.encode() in (head.commands[1].stdin or b"")


def test_a_secret_is_asked_for_and_written_once(head: Machine, tmp_path: Path) -> None:
    secrets = Secrets(tmp_path / "secrets", head)
    assert secrets.get("a") == secrets.get("a")
    secrets.keep()
    secrets.keep()
    assert len(head.commands) == 2


@pytest.mark.parametrize("where", ["head", "here"])
def test_of_two_who_draw_at_once_the_first_stays(head: Machine, tmp_path: Path, where: str) -> None:
    at = head if where == "head" else None
    one, other = Secrets(tmp_path / "secrets", at), Secrets(tmp_path / "secrets", at)
    key = one.get("munge.key")
    assert other.get("munge.key") != key
    one.keep()
    with pytest.raises(ConflictError, match="by another run") as refused:
        other.keep()
    assert refused.value.code == "secret.taken"
    assert (tmp_path / "secrets/munge.key").read_bytes() == key


@pytest.mark.parametrize("where", ["head", "here"])
def test_what_cannot_be_read_or_written_is_never_drawn_anew(head: Machine, tmp_path: Path, where: str) -> None:
    at = head if where == "head" else None
    (tmp_path / "secrets/munge.key").mkdir(parents=True)
    with pytest.raises(FailedError, match=r"cannot be read.*Is a directory") as unreadable:
        Secrets(tmp_path / "secrets", at).get("munge.key")
    assert unreadable.value.code == "secret.unreadable"
    (tmp_path / "file").write_text("")
    secrets = Secrets(tmp_path / "other", at)
    secrets.get("munge.key")
    (tmp_path / "other").write_text("in the way")
    with pytest.raises(FailedError) as unwritable:
        secrets.keep()
    assert unwritable.value.code == "secret.unwritable"


def test_an_empty_secret_is_none(tmp_path: Path) -> None:
    (tmp_path / "munge.key").write_bytes(b"")
    with pytest.raises(FailedError, match="is empty"):
        Secrets(tmp_path).get("munge.key")


def test_a_head_that_does_not_answer(head: Machine, tmp_path: Path) -> None:
    head.silent = True
    with pytest.raises(UnreachableError, match="`head` did not answer"):
        Secrets(tmp_path, head).get("munge.key")


def test_a_trouble_on_the_head_never_quotes_the_secret(head: Machine, tmp_path: Path) -> None:
    secrets = Secrets(tmp_path / "with\0zero", head)
    with pytest.raises(FailedError, match="ValueError") as caught:
        secrets.get("munge.key")
    assert "main(" not in str(caught.value)


def test_where_secrets_are_kept(head: Machine, tmp_path: Path) -> None:
    assert repr(Secrets.of(head, "lab", tmp_path)) == repr(Secrets(FOLDER / "lab/secrets", head))
    assert repr(Secrets.of(None, "lab", tmp_path)) == repr(Secrets(tmp_path))
    with pytest.raises(ValueError, match="not a name"):
        Secrets(tmp_path).get("../etc/shadow")

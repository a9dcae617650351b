"""Becoming root: the words, the talk with sudo, and that the password goes nowhere else."""

import contextlib
import logging
import os
import stat
import threading
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.sshd import node_of

from aiops.layers.core.command import Command
from aiops.layers.core.errors import FailedError, InputError
from aiops.layers.l0_nodes.become import Dialogue, Heard, Sudo, becoming
from aiops.layers.l0_nodes.connector import Connector
from aiops.layers.l0_nodes.node import Become, Connection, Node
from aiops.layers.l0_nodes.transport import Transport

CANARY = "correct horse 'battery' $taple"

# Behaves as sudo does: asks on stderr with -S, reads one line bytewise, tries three times, then runs the rest.
SUDO = """#!/bin/sh
read_password=no prompt= user=
while [ $# -gt 0 ]; do
  case $1 in
    -S) read_password=yes ;;
    -n) read_password=never ;;
    -p) prompt=$2; shift ;;
    -u) user=$2; shift ;;
    -H) ;;
    --) shift; break ;;
    *) echo "fake sudo: $1?" >&2; exit 99 ;;
  esac
  shift
done
wanted=$(cat "${0%/*}/password")
if [ -n "$wanted" ]; then
  if [ $read_password != yes ]; then echo "sudo: a password is required" >&2; exit 1; fi
  echo "We trust you have received the usual lecture." >&2
  tries=0
  while :; do
    printf %s "$prompt" >&2
    IFS= read -r given || { echo "sudo: no password was provided" >&2; exit 1; }
    [ "$given" = "$wanted" ] && break
    echo "Sorry, try again." >&2
    tries=$((tries + 1))
    [ $tries -ge 3 ] && { echo "sudo: 3 incorrect password attempts" >&2; exit 1; }
  done
fi
BECAME=$user exec "$@"
"""


@pytest.fixture
def sudo(tmp_path: Path) -> Path:
    """A sudo that wants the canary; write another password, or none, into the file beside it."""
    program = tmp_path / "sudo" / "sudo"
    program.parent.mkdir()
    program.write_text(SUDO)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (program.parent / "password").write_text(CANARY)
    return program


@pytest.fixture(params=["local", "ssh"])
def transport(request: pytest.FixtureRequest, sudo: Path) -> Iterator[Transport]:
    become = Become(enabled=True, user="somebody", executable=str(sudo))
    if request.param == "local":
        node = Node("n1", connection=Connection(kind="local", become=become))
    else:
        node = node_of(request.getfixturevalue("shared_server"), become=become)
    asked = Connector(os.environ, become_password=lambda _: CANARY)
    with asked(node) as made:
        yield made


def without_password(transport: Transport) -> Transport:
    return Connector(os.environ, become_password=lambda _: None)(transport.node)


def test_right_password(transport: Transport) -> None:
    done = transport.run(Command(("sh", "-c", "echo $BECAME; echo own >&2"), root=True))
    assert (done.exit_status, done.stdout, done.stderr) == (0, b"somebody\n", b"own\n")


@pytest.mark.parametrize("size", [0, 1, 100_000, 3_000_000])
def test_stdin_is_the_commands_alone(transport: Transport, size: int) -> None:
    content = os.urandom(size)
    assert transport.run(Command(("cat",), stdin=content, root=True)).stdout == content


@pytest.mark.parametrize("size", [0, 100_000])
def test_a_password_that_is_not_asked_for_goes_nowhere(transport: Transport, sudo: Path, size: int) -> None:
    (sudo.parent / "password").write_text("")
    content = b"x" * size
    assert transport.run(Command(("cat",), stdin=content, root=True)).stdout == content


def test_wrong_password(transport: Transport, sudo: Path) -> None:
    (sudo.parent / "password").write_text("another")
    with pytest.raises(FailedError) as caught:
        transport.run(Command(("cat",), stdin=b"x", root=True, timeout=10))
    assert caught.value.code == "become.password"
    assert caught.value.message == "n1: sudo does not take the become password"
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_no_password_where_one_is_wanted(transport: Transport) -> None:
    with without_password(transport) as plain, pytest.raises(FailedError) as caught:
        plain.run(Command(("true",), root=True))
    assert caught.value.code == "become.no_password"
    assert "ansible_become_password" in caught.value.hints[0]


def test_no_password_where_none_is_wanted(transport: Transport, sudo: Path) -> None:
    (sudo.parent / "password").write_text("")
    with without_password(transport) as plain:
        assert plain.run(Command(("cat",), stdin=b"x", root=True)).stdout == b"x"


def test_failing_command_is_still_a_value(transport: Transport) -> None:
    assert transport.run(Command(("sh", "-c", "exit 7"), root=True)).exit_status == 7


def test_sudo_that_refuses(transport: Transport, sudo: Path) -> None:
    sudo.write_text("#!/bin/sh\necho 'u is not in the sudoers file.' >&2; exit 1\n")
    with pytest.raises(FailedError) as caught:
        transport.run(Command(("true",), root=True))
    assert caught.value.message == "n1: sudo did not run the command: u is not in the sudoers file."


def test_there_is_no_sudo(request: pytest.FixtureRequest) -> None:
    become = Become(enabled=True, user="somebody", executable="no-such-sudo")
    node = node_of(request.getfixturevalue("shared_server"), become=become)
    with Connector(os.environ)(node) as made, pytest.raises(FailedError) as caught:
        made.run(Command(("true",), root=True))
    assert caught.value.message == "n1: there is no `no-such-sudo`"


def test_put_as_root(transport: Transport, tmp_path: Path) -> None:
    transport.put(b"content", f"{tmp_path}/file", root=True)
    assert (tmp_path / "file").read_bytes() == b"content"


def test_timeout_is_sudos_childs(transport: Transport) -> None:
    done = transport.run(Command(("sleep", "60"), root=True, timeout=0.5))
    assert done.timed_out


def test_canary_is_in_no_argv_environment_or_log(
    transport: Transport, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("paramiko").setLevel(logging.DEBUG)
    seen: list[bytes] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            for process in Path("/proc").glob("[0-9]*"):
                for name in ("cmdline", "environ"):
                    with contextlib.suppress(OSError):  # it has ended
                        seen.append((process / name).read_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(5):
        command = Command(("sh", "-c", "sleep 0.1; cat"), stdin=b"x", root=True)
        assert transport.run(command).stdout == b"x"
    over.set()
    watcher.join()
    assert any(b"sleep 0.1; cat" in line for line in seen), "the watcher saw no command at all"
    assert not any(CANARY.encode() in line for line in seen)
    assert CANARY not in caplog.text
    assert CANARY not in repr(transport) + repr(command) + repr(transport.node)


def test_words_without_password() -> None:
    assert Sudo().words(["id"]) == ("sudo", "-H", "-u", "root", "-n", "--", "id")


def test_root_needs_no_sudo() -> None:
    assert becoming(Node("n1"), "root", ask=lambda: pytest.fail("asked")) == (None, None)
    enabled = Node("n1", connection=Connection(become=Become(enabled=True)))
    assert becoming(enabled, "root", ask=lambda: pytest.fail("asked")) == (None, None)


def test_become_disabled_names_the_node() -> None:
    with pytest.raises(FailedError) as caught:
        becoming(Node("n7"), "ann")
    assert caught.value.message == "n7: this needs root, and ann may not become it"


def test_other_methods_are_refused_by_name() -> None:
    node = Node("n1", connection=Connection(become=Become(enabled=True, method="doas")))
    with pytest.raises(InputError, match="doas"):
        becoming(node, "ann")


@pytest.mark.parametrize(("flags", "kept"), [("-H -S -n", ("-H",)), (None, ("-H",)), ("-n -i", ("-i",)), ("-S", ())])
def test_flags_of_the_inventory(flags: str | None, kept: tuple[str, ...]) -> None:
    become = Become(enabled=True, flags=flags)
    sudo, password = becoming(Node("n1", connection=Connection(become=become)), "ann")
    assert sudo is not None
    assert (sudo.flags, password) == (kept, None)


@given(st.binary(max_size=50), st.lists(st.integers(1, 20), max_size=20), st.booleans())
def test_dialogue_in_any_pieces(own: bytes, cuts: list[int], asked: bool) -> None:
    """However the bytes are cut: the password is due once, the command starts once, its stderr is whole."""
    sudo = Sudo(mark="0123456789abcdef")
    stream = (b"lecture\n" + sudo.prompt if asked else b"") + sudo.started + own
    dialogue = Dialogue(Node("n1"), sudo)
    pieces, rest = [], stream
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]
    heard = [dialogue.hear(piece) for piece in [*pieces, rest]]
    assert b"".join(one.own for one in heard) == own
    assert sum(one.started for one in heard) == 1
    # sudo waits for the password, so what follows the prompt comes in a later piece in life; here it need not.
    assert sum(one.password_due for one in heard) <= int(asked)
    assert dialogue.explain() is None


def test_dialogue_explains_itself() -> None:
    sudo = Sudo(mark="0123456789abcdef")
    dialogue = Dialogue(Node("n1"), sudo)
    assert dialogue.hear(b"sudo: unknown user\n") == Heard()
    explained = dialogue.explain()
    assert explained is not None
    assert explained.code == "become.refused"


def test_passwords_are_not_shown() -> None:
    command = replace(Command(("true",)), stdin=CANARY.encode())
    assert CANARY not in repr(command)
    assert CANARY not in str(command)

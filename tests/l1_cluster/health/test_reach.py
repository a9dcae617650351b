"""Nodes that could not be asked: each real error of reaching one is told truly, as unknown, and nothing is done."""

import ast
import os
import socket
import stat
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.sshd import SSHD, Sshd, free_port, keygen, node_of, public, running

from aiops.layers.core.clock import SystemClock
from aiops.layers.core.command import Command, Completed
from aiops.layers.core.errors import AiopsError, FailedError, UnreachableError
from aiops.layers.l0_nodes.ask import Ask
from aiops.layers.l0_nodes.connector import Connector
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.node import Become, Connection, Node
from aiops.layers.l0_nodes.probe import probe, record_of
from aiops.layers.l1_cluster.health.finding import Finding
from aiops.layers.l1_cluster.health.reach import CHECK, OWNERS, unreached

NOW = datetime(2026, 11, 21, 19, 30, 5, tzinfo=UTC)
LAYER = Path(__file__).parents[3] / "layers" / "l0_nodes"
ASKS = (Ask("os.release", paths=("/etc/os-release",)),)

REFUSING_SUDO = """#!/bin/sh
echo "sudo: alice is not in the sudoers file" >&2
exit 1
"""
GREEDY_SUDO = """#!/bin/sh
echo "sudo: a password is required" >&2
exit 1
"""


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    if not Path(SSHD).exists():
        pytest.skip("needs openssh-server")
    with running(tmp_path_factory.mktemp("reach")) as server:
        yield server


def error_of(node: Node, password: str | None = None, seconds: float = 5.0) -> AiopsError:
    """What stands in the way of really asking `node`."""
    connector = Connector(os.environ, become_password=lambda _: password, seconds=seconds)
    with Fleet(connector) as fleet:
        (outcome,) = probe(fleet, [node], lambda _: ASKS, SystemClock())
    assert outcome.error is not None, outcome.value
    return outcome.error


def found(node: Node, error: AiopsError, seconds: float | None = None) -> Finding:
    seen = None if seconds is None else NOW - timedelta(seconds=seconds)
    finding = unreached(node, error, NOW, seen)
    assert (finding.node, finding.check, finding.verdict, finding.action) == (node.name, CHECK, "unknown", "none")
    assert finding.evidence["code"] == error.code
    assert finding.evidence["hints"] == list(error.hints)
    assert finding.counts
    assert finding.since == (seen or NOW)
    return finding


def script(folder: Path, text: str) -> Path:
    program = folder / "sudo"
    program.write_text(text)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def test_nothing_listens() -> None:
    port = free_port()
    node = Node("gpu16", connection=Connection(address="127.0.0.1", port=port, ssh_arguments=("-F", "none")))
    error = error_of(node)
    assert error.code == "ssh.connect"
    finding = found(node, error, 250)
    assert finding.message == f"did not answer on 127.0.0.1:{port}: Connection refused (last seen 4m ago)"
    assert finding.owner == "node"
    assert finding.evidence["last_seen"] == "2026-11-21T19:25:55Z"
    assert found(node, error).message == f"did not answer on 127.0.0.1:{port}: Connection refused"


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(self: socket.socket, address: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(socket.socket, "connect", connect)
    node = Node("gpu16", connection=Connection(address="127.0.0.1", port=22, ssh_arguments=("-F", "none")))
    assert found(node, error_of(node), 90_000).message == "did not answer on 127.0.0.1:22 (last seen 1d ago)"


def test_something_else_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        node = Node("gpu16", connection=Connection(address="127.0.0.1", port=port, ssh_arguments=("-F", "none")))
        finding = found(node, error_of(node, seconds=0.3))
    assert finding.message.startswith(f"no SSH handshake with 127.0.0.1:{port}")
    assert finding.owner == "node"


def test_a_changed_host_key(sshd: Sshd, tmp_path: Path) -> None:
    other = public(keygen(tmp_path / "other"))
    known = tmp_path / "known_hosts"
    known.write_text(f"{sshd.name} {other}\n")
    node = node_of(sshd)
    words = tuple(word.replace(str(sshd.known_hosts), str(known)) for word in sshd.ssh_arguments)
    node = replace(node, connection=replace(node.connection, ssh_arguments=words))
    error = error_of(node)
    assert error.code == "ssh.host_key_changed"
    finding = found(node, error)
    assert finding.message.startswith(f"the host key of {sshd.name} has changed: {known}:1 does not know ssh-ed25519")
    assert finding.owner == "controller"
    assert any(f"aiops node trust {node.name} --replace" in hint for hint in finding.evidence["hints"])
    known.write_text("")
    finding = found(node, error_of(node))
    assert finding.message.startswith(f"the host key of {sshd.name} is not known")
    assert (finding.evidence["code"], finding.owner) == ("ssh.host_key_unknown", "controller")


def test_it_does_not_let_us_in(sshd: Sshd, tmp_path: Path) -> None:
    node = node_of(sshd)
    stranger = keygen(tmp_path / "stranger")
    other = replace(node, connection=replace(node.connection, key_file=str(stranger)))
    finding = found(other, error_of(other))
    assert "does not let us in with" in finding.message
    assert (finding.evidence["code"], finding.owner) == ("ssh.auth", "node")
    locked = keygen(tmp_path / "locked", passphrase="secret")
    unusable = replace(node, connection=replace(node.connection, key_file=str(locked)))
    finding = found(unusable, error_of(unusable))
    assert "with no key at all" in finding.message
    assert "it is encrypted" in finding.message
    assert (finding.evidence["code"], finding.owner) == ("ssh.auth", "controller")


def test_there_is_no_python() -> None:
    node = Node("gpu16", connection=Connection(kind="local", python="/nowhere/python3"))
    finding = found(node, error_of(node), 5)
    assert finding.message == "there is no `/nowhere/python3` (last seen 5s ago)"
    assert (finding.evidence["code"], finding.owner) == ("probe.no_python", "node")


@pytest.mark.parametrize(
    ("program", "password", "code", "owner", "words"),
    [
        (REFUSING_SUDO, "secret", "become.refused", "node", "sudo did not run the command: sudo: alice is not in"),
        (GREEDY_SUDO, None, "become.no_password", "controller", "sudo wants a password"),
        (None, None, "become.missing", "node", "there is no `no-such-sudo`"),
    ],
)
def test_sudo_stands_in_the_way(
    *, program: str | None, password: str | None, code: str, owner: str, words: str, sshd: Sshd, tmp_path: Path
) -> None:
    executable = str(script(tmp_path, program)) if program is not None else "no-such-sudo"
    become = Become(enabled=True, user="somebody", executable=executable)
    node = node_of(sshd, become=become)
    finding = found(node, error_of(node, password))
    assert finding.message.startswith(words)
    assert (finding.evidence["code"], finding.owner) == (code, owner)


@pytest.mark.parametrize(
    ("done", "code", "words"),
    [
        (
            Completed(Command(("python3",)), exit_status=1, stdout=b"", stderr=b"Killed\n", seconds=1.0),
            "probe.failed",
            "status 1: Killed",
        ),
        (
            Completed(
                Command(("python3",), timeout=30), exit_status=124, stdout=b"", stderr=b"", seconds=30.0, timed_out=True
            ),
            "probe.timeout",
            "the probe did not end within 30 s",
        ),
        (
            Completed(
                Command(("python3",)), exit_status=0, stdout=b'{"aiops_probe": 1, "clock"\n', stderr=b"", seconds=1.0
            ),
            "probe.garbled",
            "the answers of the probe are garbled",
        ),
    ],
)
def test_the_probe_fails(done: Completed, code: str, words: str) -> None:
    node = Node("gpu16")
    with pytest.raises(FailedError) as caught:
        record_of(node, done, NOW)
    finding = found(node, caught.value)
    assert words in finding.message
    assert not finding.message.startswith("gpu16")
    assert (finding.evidence["code"], finding.owner) == (code, "node")


def test_what_stands_in_the_way_of_a_jump_host_is_no_fault_of_the_node() -> None:
    """The words of `ssh.jump`, which opens a jump host under the name of the node that it is on the way to."""
    node = Node("gpu16")
    error = UnreachableError("gpu16, by way of bastion did not answer on 10.0.0.1:22: timed out", code="ssh.connect")
    finding = found(node, error)
    assert (finding.message, finding.owner) == ("the jump host bastion: did not answer on 10.0.0.1:22", "fabric")
    refused = UnreachableError("gpu16, by way of bastion: root@bastion:22 does not let us in with a", code="ssh.auth")
    assert found(node, refused).message == "the jump host bastion: root@bastion:22 does not let us in with a"
    behind = UnreachableError("gpu16: the jump host bastion cannot reach 10.0.0.16:22: refused", code="ssh.jump")
    assert (found(node, behind).message, found(node, behind).owner) == (
        "the jump host bastion cannot reach 10.0.0.16:22: refused",
        "node",
    )


def test_a_message_without_the_nodes_name_stays_as_it_is() -> None:
    error = FailedError("gpu161: something new", code="ssh.something_new")
    finding = found(Node("gpu16"), error)
    assert (finding.message, finding.owner) == ("gpu161: something new", "node")


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0s"), (-30, "0s"), (59.9, "59s"), (60, "1m"), (7199, "1h"), (172800, "2d")]
)
def test_how_long_ago_it_was_seen(seconds: float, words: str) -> None:
    error = UnreachableError("gpu16 did not answer on a:22: timed out", code="ssh.connect")
    assert found(Node("gpu16"), error, seconds).message == f"did not answer on a:22 (last seen {words} ago)"


def codes(path: Path) -> set[str]:
    """The codes of all errors that a module makes."""
    calls = (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call))
    words = (word.value for call in calls for word in call.keywords if word.arg == "code")
    return {str(value.value) for value in words if isinstance(value, ast.Constant)}


def test_every_error_of_reaching_a_node_has_an_owner() -> None:
    modules = [
        *(LAYER / "ssh").glob("*.py"),
        *(LAYER / f"{name}.py" for name in ("become", "probe", "local", "transport")),
    ]
    modules.append(LAYER / "ssh_config.py")
    unexpected = set().union(*(codes(path) for path in modules)) - OWNERS.keys()
    assert unexpected == {"put.failed"}  # nothing is put where one only asks
    assert OWNERS.keys() - set().union(*(codes(path) for path in modules)) == {"probe.silent"}  # of `survey`

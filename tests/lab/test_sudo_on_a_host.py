"""The real sudo, with the real PAM behind it, on a lab host: the password is asked for, taken, refused, never seen."""

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from aiops.layers.core.command import Command
from aiops.layers.core.errors import FailedError
from aiops.layers.l0_nodes.connector import Connector
from aiops.layers.l0_nodes.inventory import read_inventory
from aiops.layers.l0_nodes.lab import Lab
from aiops.layers.l0_nodes.node import Become, Node
from aiops.layers.l0_nodes.transport import Transport

from .conftest import Shell

pytestmark = pytest.mark.lab
CANARY = "canary horse 'battery'"
As = Callable[[str | None], Transport]


@pytest.fixture
def ann(bare_lab: Lab, shell: Shell, tmp_path: Path) -> As:
    """gpu01 as `ann`, who may become root by her password; call it with the password that aiops knows."""
    shell("gpu01", "id ann >/dev/null 2>&1 || useradd -m ann; install -d -o ann -m 700 ~ann/.ssh")
    shell("gpu01", "install -o ann -m 600 ~root/.ssh/authorized_keys ~ann/.ssh/authorized_keys")
    shell("gpu01", "echo 'ann ALL=(ALL) ALL' >/etc/sudoers.d/ann")
    inventory = read_inventory(bare_lab.inventory_path, os.environ, tmp_path)
    node = inventory.node("gpu01")
    with Connector(os.environ)(node) as root:
        assert root.run(Command(("chpasswd",), stdin=f"ann:{CANARY}\n".encode())).ok
    hers: Node = replace(node, connection=replace(node.connection, user="ann", become=Become(enabled=True)))
    return lambda password: Connector(os.environ, become_password=lambda _: password)(hers)


def test_with_the_password(ann: As) -> None:
    with ann(CANARY) as transport:
        done = transport.run(Command(("sh", "-c", "id -un; cat"), stdin=b"its own", root=True))
        assert (done.exit_status, done.stdout, done.stderr) == (0, b"root\nits own", b"")
        assert transport.run(Command(("id", "-un"))).text == "ann\n"
        assert transport.run(Command(("sleep", "60"), root=True, timeout=1)).timed_out
        transport.put(b"content", "/root/put-by-ann", root=True)
        assert transport.run(Command(("stat", "-c", "%U %a", "/root/put-by-ann"), root=True)).text == "root 600\n"


def test_with_a_wrong_password_and_with_none(ann: As) -> None:
    for password, code in (("wrong", "become.password"), (None, "become.no_password")):
        with ann(password) as transport, pytest.raises(FailedError) as caught:
            transport.run(Command(("cat",), stdin=b"x", root=True))
        assert caught.value.code == code


def test_nopasswd_while_a_password_is_known(ann: As, shell: Shell) -> None:
    shell("gpu01", "echo 'ann ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/ann")
    for password in (CANARY, None):
        with ann(password) as transport:
            shell("gpu01", "echo 'ann ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/ann")
            assert transport.run(Command(("cat",), stdin=b"its own", root=True)).stdout == b"its own"


def test_the_password_is_in_no_command_line_of_the_host(ann: As) -> None:
    """The host's processes are this machine's too: they are watched from outside while they run."""
    seen: list[bytes] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            for path in [one / "cmdline" for one in Path("/proc").glob("[0-9]*")]:
                try:
                    seen.append(path.read_bytes())
                except OSError:
                    continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ann(CANARY) as transport:
        for _ in range(3):
            assert transport.run(Command(("sh", "-c", "sleep 0.2; cat"), stdin=b"x", root=True)).ok
    over.set()
    watcher.join()
    assert any(b"sleep 0.2; cat" in line for line in seen), "the watcher saw no command at all"
    assert not any(CANARY.encode() in line for line in seen)

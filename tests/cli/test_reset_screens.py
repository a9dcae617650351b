"""`aiops cluster reset`: what is refused before anything is touched, and the command told for nodes that left."""

import io
import socket
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

import pytest

from aiops.cli.cluster.membership import tell_unmanaged
from aiops.cli.screen import Screen
from aiops.layers.l0_nodes.node import Connection, Node
from aiops.layers.l1_cluster.member import Members
from aiops.layers.l1_cluster.owner import Owner

Shown = Callable[..., str]


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    path = tmp_path / "inventory.yml"
    reach = f"{{ansible_host: 127.0.0.1, ansible_port: {port}, ansible_user: root}}"
    path.write_text(f"workers:\n  vars: {{aiops_cluster: blue}}\n  hosts: {{a1: {reach}}}\n")
    return path


def test_yes_alone_does_not_confirm_a_reset(shown: Shown, inventory: Path) -> None:
    assert inventory.exists()
    for words in (("--yes",), ()):
        screen = shown("cluster", "reset", *words)
        assert screen.startswith("exit: 2\n--- stdout\n--- stderr\nerror: a reset is confirmed by the cluster's name, ")
        assert "hint: add `--confirm blue`" in screen
    assert "`--yes` does not do" in shown("cluster", "reset", "--yes", terminal=True, typed="blue\n")


def test_a_wrong_name_is_refused_before_anything_is_asked(shown: Shown, inventory: Path, tmp_path: Path) -> None:
    assert inventory.exists()
    screen = shown("cluster", "reset", "--confirm", "Blue")
    assert screen.startswith("exit: 2\n")
    assert "error: `--confirm Blue` is not the cluster's name" in screen
    assert "hint: it is `blue`" in screen
    assert not (tmp_path / "home" / "aiops.db").exists()


def test_a_dry_run_needs_no_name_and_names_who_does_not_answer(shown: Shown, inventory: Path) -> None:
    screen = shown("cluster", "reset", "--dry-run", str(inventory))
    assert screen.startswith("exit: 3\n")
    assert "error: a1 cannot be looked at: " in screen


def test_a_dead_node_is_named_and_the_exit_is_1(shown: Shown, inventory: Path) -> None:
    screen = shown("cluster", "reset", "--confirm", "blue", str(inventory))
    assert screen.startswith("exit: 1\n")
    assert "error: a1 not reset: " in screen
    assert f"go on with `aiops cluster reset {inventory}".replace(str(inventory.parent), "[TMP]") in screen


def test_an_unknown_node_says_where_members_are_known(shown: Shown, inventory: Path) -> None:
    screen = shown("cluster", "reset", "--confirm", "blue", "--on", "gpu09", str(inventory))
    assert screen.startswith("exit: 2\n")
    assert "hint: a node that left the inventory is known where it was deployed from" in screen


def test_nodes_that_left_are_told_with_a_command_that_can_be_pasted(
    shown: Shown, inventory: Path, tmp_path: Path
) -> None:
    left = [Node(f"gpu0{number}", connection=Connection(address="127.0.0.1", port=1)) for number in (8, 9)]
    Members.of(tmp_path / "home" / "clusters" / "blue").keep(left)
    screen = shown("cluster", "status", str(inventory))
    assert "gpu[08-09] are no longer in the inventory and still are as deployed\n" in screen
    assert "hint: undo it there: `aiops cluster reset [TMP]/inventory.yml --on 'gpu[08-09]'`\n" in screen
    document = shown("cluster", "status", "--json", str(inventory))
    assert '"unmanaged"' in document
    assert "gpu09" in document


@pytest.mark.parametrize("words", [("reset", "--confirm", "blue"), ("deploy", "--only", "accelerator", "--yes")])
def test_who_takes_the_lock_over_tells_those_too_that_left(
    shown: Shown, inventory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    from aiops.layers.core.errors import ConflictError

    told: list[str] = []

    def succeed(*arguments: object, **_: object) -> None:
        nodes = next(one for one in arguments if isinstance(one, tuple))
        told.extend(node.name for node in nodes)
        raise ConflictError("far enough", code="test")

    for module in ("deployment", "reset"):
        monkeypatch.setattr(import_module(f"aiops.cli.cluster.{module}"), "succeed", succeed)
    inventory.write_text(
        inventory.read_text().replace("aiops_cluster: blue", "aiops_cluster: blue, aiops_repository: system")
    )
    Members.of(tmp_path / "home" / "clusters" / "blue").keep([Node("a1"), Node("gpu08")])
    screen = shown("cluster", *words, str(inventory))
    assert "far enough" in screen
    assert told == ["a1", "gpu08"]


def test_a_renamed_node_is_no_node_to_reset(shown: Shown, inventory: Path, tmp_path: Path) -> None:
    port = int(inventory.read_text().partition("ansible_port: ")[2].partition(",")[0])
    Members.of(tmp_path / "home" / "clusters" / "blue").keep(
        [Node("gpu08", connection=Connection(address="127.0.0.1", port=port))]
    )
    screen = shown("cluster", "status", str(inventory))
    assert "no longer in the inventory" not in screen
    screen = shown("cluster", "reset", "--confirm", "blue", "--on", "gpu08", str(inventory))
    assert screen.startswith("exit: 2\n")
    assert "hint: `gpu08` is `a1` in the inventory now" in screen


def test_a_node_that_is_gone_for_good_is_forgotten(shown: Shown, inventory: Path, tmp_path: Path) -> None:
    members = Members.of(tmp_path / "home" / "clusters" / "blue")
    members.keep([Node("a1"), Node("gpu08"), Node("gpu09")])
    for words, told in (
        ((), "`--forget` needs `--on`"),
        (("--on", "a1"), "a1 did not leave the inventory"),
        (("--on", "gpu07"), "gpu07 did not leave the inventory"),
    ):
        screen = shown("cluster", "reset", "--forget", *words, str(inventory))
        assert screen.startswith("exit: 2\n")
        assert told in screen
        assert "hint: nodes that left are gpu[08-09]" in screen
    screen = shown("cluster", "reset", "--forget", "--on", "gpu09", str(inventory))
    assert screen.startswith("exit: 0\n")
    assert [one.name for one in members.all()] == ["a1", "gpu08"]


def test_nobody_left_is_not_told() -> None:
    errors = io.StringIO()
    tell_unmanaged(Screen(io.StringIO(), errors), Path("i.yml"), ())
    assert errors.getvalue() == ""


def test_a_reset_while_another_deploys_is_a_conflict(shown: Shown, inventory: Path, tmp_path: Path) -> None:
    from aiops.layers.l1_cluster.keeper import FolderKeeper
    from aiops.layers.l1_cluster.remote import lock

    folder = tmp_path / "home" / "clusters" / "blue" / "lock"
    owner = {**asdict(Owner.here("r-1")), "run": "r-other", "user": "eve"}
    lock.serve(str(folder), {"verb": "acquire", "token": "x", "owner": owner, "dead": None})
    assert FolderKeeper(folder).ask({"verb": "show"})["holder"]["owner"]["user"] == "eve"
    screen = shown("cluster", "reset", "--confirm", "blue", str(inventory))
    assert screen.startswith("exit: 5\n")
    assert "is held by" in screen
    assert "eve" in screen


def test_a_typed_name_must_be_the_clusters(shown: Shown, inventory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from aiops.layers.l1_cluster import reset
    from aiops.layers.l1_cluster.stranger import Machine
    from aiops.layers.l1_cluster.undone import Undo, Undone

    def planned(*_: object) -> tuple[Undone, Machine]:
        return Undone(True, (Undo("file:/etc/x", "delete", "file", "absent"),)), Machine("1", "a")

    monkeypatch.setattr(reset, "_ask", planned)
    declined = shown("cluster", "reset", str(inventory), terminal=True, typed="green\n")
    assert declined.startswith("exit: 1\n")
    assert "a1: delete /etc/x" in declined
    assert "Type the name of the cluster, blue, to undo this: " in declined
    assert "that is not the cluster's name; nothing was changed" in declined
    accepted = shown("cluster", "reset", str(inventory), terminal=True, typed="blue\n")
    assert accepted.startswith("exit: 0\n")
    assert "a1 is as before the first deploy" in accepted


def test_the_way_out_where_the_head_is_gone_for_good(shown: Shown, inventory: Path, tmp_path: Path) -> None:
    """The hint of the reset that cannot reach the head, followed word by word."""
    folder = tmp_path / "home" / "clusters" / "blue"
    folder.mkdir(parents=True)
    (folder / "identity.json").write_text('{"id": "5", "head": "head", "address": "127.0.0.1:1"}')
    without = inventory.read_text()
    reach = "{ansible_host: 127.0.0.1, ansible_port: 1, ansible_user: root}"
    inventory.write_text(f"{without}head:\n  vars: {{aiops_cluster: blue}}\n  hosts: {{head: {reach}}}\n")
    screen = shown("cluster", "reset", "--confirm", "blue", str(inventory))
    way = f"aiops cluster reset {inventory} --confirm blue".replace(str(inventory.parent), "[TMP]")
    assert "if it is gone for good, take it out of [TMP]/inventory.yml" in screen
    assert f"`{way}`" in screen
    inventory.write_text(without)
    screen = shown("cluster", "reset", str(inventory), "--confirm", "blue")
    assert screen.startswith("exit: 1\n")
    assert "error: a1 not reset: " in screen
    screen = shown("cluster", "reset", str(inventory), terminal=True, typed="blue\n")
    assert "exit: 5\n" in screen
    assert "`aiops cluster reset --confirm blue`" in screen

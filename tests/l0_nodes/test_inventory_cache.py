"""The cache answers only while nothing it rests on has changed, and holds nothing it should not."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aiops.layers.core.errors import InputError
from aiops.layers.l0_nodes import inventory_cache
from aiops.layers.l0_nodes.ansible import Ansible
from aiops.layers.l0_nodes.inventory import Inventory, read_inventory
from aiops.layers.l0_nodes.withheld import Variables

INVENTORY = "all: {children: {head: {hosts: {h: }}, workers: {hosts: {w: {ansible_port: 2201}}}}}"


class Site:
    """A folder with an inventory, and how often Ansible was asked about it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.asked = 0
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(folder / "home")}
        self.path = Path("inventory.yml")
        (folder / "home").mkdir()
        (folder / "inventory.yml").write_text(INVENTORY)
        run = Ansible._run

        def counted(ansible: Ansible, *arguments: Any) -> object:
            self.asked += 1
            return run(ansible, *arguments)

        monkeypatch.setattr(Ansible, "_run", counted)

    @property
    def cache(self) -> Path:
        return self.folder / "state" / "cache"

    def read(self) -> Inventory:
        return read_inventory(self.path, self.environment, self.cache, folder=self.folder)

    def asks(self) -> bool:
        """Whether a read asks Ansible."""
        before = self.asked
        self.read()
        return self.asked > before

    def kept(self) -> str:
        return "".join(file.read_text() for file in self.cache.glob("*"))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(tmp_path, monkeypatch)


def write(name: str, text: str) -> Callable[[Site], None]:
    def change(site: Site) -> None:
        path = site.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return change


def export(name: str, value: str) -> Callable[[Site], None]:
    def change(site: Site) -> None:
        site.environment[name] = value

    return change


def same_size_and_time(site: Site) -> None:
    path = site.folder / "inventory.yml"
    status = path.stat()
    path.write_text(INVENTORY.replace("2201", "2202"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


CHANGES: dict[str, Callable[[Site], None]] = {
    "the inventory": write("inventory.yml", INVENTORY.replace("w:", "w2:")),
    "the inventory, with size and time unchanged": same_size_and_time,
    "a new file of group_vars": write("group_vars/workers.yml", "ansible_user: ops"),
    "a new file deep in host_vars": write("host_vars/w/deep/er.yml", "ansible_user: ops"),
    "a new ansible.cfg": write("ansible.cfg", "[defaults]\nremote_user = ops\n"),
    "a new ~/.ansible.cfg": write("home/.ansible.cfg", "[defaults]\nremote_user = ops\n"),
    "ANSIBLE_*": export("ANSIBLE_REMOTE_USER", "ops"),
    "aiops.toml": write("aiops.toml", "[variables]\naiops_engine = 'ssh'\n"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_is_seen(site: Site, change: Callable[[Site], None]) -> None:
    before = site.read()
    assert not site.asks(), "an unchanged inventory is not asked about"
    change(site)
    assert site.asks()
    assert site.read() != before
    assert not site.asks()


def test_another_ansible_is_another_key(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.read()
    monkeypatch.setattr(inventory_cache, "version", lambda _name: "99.9")
    assert site.asks()


def test_what_is_not_asked_about_is_equal(site: Site) -> None:
    first = site.read()
    second = site.read()
    assert first == second
    assert [node.connection for node in first.nodes] == [node.connection for node in second.nodes]
    assert first.settings == second.settings


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: file.write_text("{"),
        lambda file: file.write_bytes(b"\xff\xfe"),
        lambda file: file.write_text(json.dumps({"key": json.loads(file.read_text())["key"], "reading": {"nodes": 5}})),
        lambda file: file.write_text(json.dumps({"key": json.loads(file.read_text())["key"], "reading": {}})),
        lambda file: file.chmod(0o644),
    ],
    ids=["cut", "garbage", "of another shape", "empty", "readable by others"],
)
def test_a_spoiled_cache_is_ignored_and_written_again(site: Site, spoil: Callable[[Path], None]) -> None:
    good = site.read()
    (file,) = site.cache.iterdir()
    spoil(file)
    assert site.asks()
    assert site.read() == good
    assert not site.asks()
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_script_is_asked_every_time(site: Site) -> None:
    site.path = Path("inventory.sh")
    script = site.folder / "inventory.sh"
    script.write_text('#!/bin/sh\necho \'{"workers": {"hosts": ["w"]}}\'\n')
    script.chmod(0o755)
    assert site.asks()
    assert site.asks()
    assert not site.kept()


def test_an_inventory_that_became_a_script_leaves_nothing_behind(site: Site) -> None:
    site.read()
    assert site.kept()
    (site.folder / "inventory.yml").write_text('#!/bin/sh\necho \'{"workers": {"hosts": ["w"]}}\'\n')
    (site.folder / "inventory.yml").chmod(0o755)
    site.read()
    assert not site.kept()


def test_a_key_that_vanished_is_told_in_spite_of_the_cache(site: Site) -> None:
    key = site.folder / "id"
    key.write_text("x")
    key.chmod(0o600)
    write("inventory.yml", f"all: {{hosts: {{a: {{ansible_ssh_private_key_file: {key}}}}}}}")(site)
    site.read()
    key.unlink()
    with pytest.raises(InputError) as caught:
        site.read()
    assert "does not exist" in str(caught.value.problems[0])


def test_passwords_in_plain_text_are_withheld_and_come_back_when_asked_for(site: Site) -> None:
    write("inventory.yml", "all: {hosts: {a: {ansible_become_password: canary, ansible_user: ops}}}")(site)
    for _ in ("afresh", "from the cache"):
        variables = site.read().node("a").variables
        assert isinstance(variables, Variables)
        assert "canary" not in repr(variables) + str(variables.known) + site.kept()
        assert set(variables) == {"ansible_become_password", "ansible_user"}
        assert len(variables) == 2
        assert variables["ansible_become_password"] == "canary"


def test_a_folder_that_cannot_be_written_is_no_failure(site: Site) -> None:
    write("state", "a file in the way")(site)
    assert site.read().node("w").connection.port == 2201


def test_an_unchanged_inventory_loads_nothing_heavy(site: Site) -> None:
    site.read()
    code = (
        "import os, sys; from pathlib import Path\n"
        "from aiops.layers.l0_nodes.inventory import read_inventory\n"
        f"read_inventory(Path('inventory.yml'), {site.environment!r}, Path({str(site.cache)!r}))\n"
        "heavy = {'yaml', 'pydantic', 'ClusterShell', 'jinja2', 'ansible', 'sqlalchemy'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=site.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

"""Passwords for becoming root that Ansible cannot make out: told once, with their place, before any node is reached."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from aiops.cli.app import App
from aiops.layers.core.errors import InputError, Problem
from aiops.layers.l0_nodes import password
from aiops.layers.l0_nodes.inventory import Inventory, read_inventory
from aiops.layers.l0_nodes.password import BecomePasswords

VAULTED = """!vault |
          $ANSIBLE_VAULT;1.1;AES256
          33363463623530663432366133393834373964613138626261643438643833346138386231363232
          3365666632656337396262653038353334663735656535370a383532613931626337393636653231
          36393634323365653665353935613335623831333366306133316262353831323436343731663362
          3335373363383336300a313162613563623232653535373063646431653439346133643265396236
          3264
"""
SITE = f"""all:
  vars:
    ansible_user: ops
    ansible_become: true
    other: {VAULTED}
    vault_become: {VAULTED}
  hosts:
    gpu01:
      ansible_become_password: "{{{{ vault_become }}}}"
    gpu02:
      ansible_become_password: {VAULTED}
    gpu03:
      ansible_user: root
      ansible_host: 127.0.0.9
"""


def line_of(text: str, start: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if line.lstrip().startswith(start))


def site(folder: Path) -> tuple[Inventory, dict[str, str]]:
    (folder / "inventory.yml").write_text(SITE)
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", "AIOPS_HOME": str(folder / "h")}
    return read_inventory(Path("inventory.yml"), environment, folder / "cache", folder=folder), environment


def places(problems: tuple[Problem, ...]) -> list[tuple[str | None, int | None, str]]:
    return sorted((Path(one.file or "").name, one.line, one.message.partition(":")[0]) for one in problems)


def test_every_password_that_cannot_be_decrypted_is_told_with_its_line_and_asked_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inventory, environment = site(tmp_path)
    calls: list[int] = []
    ask = password.become_passwords

    def asking(*given: Any) -> Any:
        calls.append(1)
        return ask(*given)

    monkeypatch.setattr(password, "become_passwords", asking)
    passwords = BecomePasswords(inventory, inventory.nodes, environment, tmp_path)
    first, second = inventory.nodes[:2]
    attempts: list[Callable[[], object]] = [passwords.prepare, partial(passwords, first), partial(passwords, second)]
    for attempt in attempts:
        with pytest.raises(InputError) as caught:
            attempt()
        own = len(SITE.partition("gpu02:")[0].splitlines()) + 1
        assert places(caught.value.problems) == [
            ("inventory.yml", line_of(SITE, "vault_become:"), "`vault_become` cannot be decrypted"),
            ("inventory.yml", own, "`ansible_become_password` cannot be decrypted"),
        ]
        assert "ANSIBLE_VAULT_PASSWORD_FILE" in (caught.value.problems[0].hint or "")
    assert calls == [1]


def test_nobody_is_asked_where_no_node_becomes_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inventory, environment = site(tmp_path)
    monkeypatch.setattr(password, "become_passwords", lambda *_: pytest.fail("Ansible was asked"))
    root = [inventory.node("gpu03")]
    BecomePasswords(inventory, root, environment, tmp_path).prepare()
    app = App(environment, working_folder=tmp_path)
    with app.fleet(inventory, root), app.fleet(inventory, root=False):
        pass


@pytest.mark.parametrize("words", [["facts", "@all"], ["exec", "--root", "--", "true"]])
def test_an_undecryptable_password_is_a_mistake_of_the_input(words: list[str], tmp_path: Path) -> None:
    _, environment = site(tmp_path)
    command = [sys.executable, "-m", "aiops", "node", words[0], "-i", "inventory.yml", "--json", *words[1:]]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2, done.stderr
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "inventory.password"
    assert line_of(SITE, "vault_become:") in [problem["line"] for problem in error["problems"]]


def test_forks_and_timeout_are_those_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "aiops.toml").write_text("forks = 3\ntimeout = 4.5\n")
    inventory, environment = site(tmp_path)
    assert (inventory.settings.forks, inventory.settings.timeout) == (3, 4.5)
    app = App(environment, working_folder=tmp_path)
    for given, width in ((None, 3), (7, 7)):
        with app.fleet(inventory, root=False, width=given) as fleet:
            assert fleet._width == width
            assert fleet._connect._seconds == 4.5  # type: ignore[attr-defined]

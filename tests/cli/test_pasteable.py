"""Commands in hints act on the inventory that was named."""

from collections.abc import Callable
from pathlib import Path

import pytest

from aiops.cli.pasteable import with_inventory

Shown = Callable[..., str]


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        ("trust it: `aiops node trust gpu01`", "trust it: `aiops node trust -i 'my lab.yml' gpu01`"),
        ("`aiops node list` shows all nodes", "`aiops node list -i 'my lab.yml'` shows all nodes"),
        ("`aiops node exec --on a -- grep -i x`", "`aiops node exec -i 'my lab.yml' --on a -- grep -i x`"),
        ("`aiops cluster lock show`", "`aiops cluster lock show -i 'my lab.yml'`"),
        ("`aiops node list -i other.yml`", "`aiops node list -i other.yml`"),
        ("`aiops cluster deploy other.yml`", "`aiops cluster deploy other.yml`"),
        ("`aiops run show r-1`, `aiops cluster bundle verify`", "`aiops run show r-1`, `aiops cluster bundle verify`"),
        ("`aiops cluster bundle build`", "`aiops cluster bundle build -i 'my lab.yml'`"),
    ],
)
def test_commands_of_an_inventory_are_told_which(hint: str, expected: str) -> None:
    assert with_inventory(hint, Path("my lab.yml")) == expected
    assert with_inventory(hint, None) == hint


def test_only_where_the_inventory_was_named(shown: Shown, tmp_path: Path) -> None:
    text = "workers: {hosts: {gpu01: {ansible_connection: local}}}\n"
    (tmp_path / "inventory.yml").write_text(text)
    assert "hint: `aiops node list` shows all nodes" in shown("node", "facts", "zzz")
    (tmp_path / "other.yml").write_text(text)
    assert "hint: `aiops node list -i other.yml` shows all nodes" in shown("node", "facts", "zzz", "-i", "other.yml")

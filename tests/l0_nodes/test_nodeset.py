"""Node sets: what is written, and that only the inventory says what a group is."""

from pathlib import Path

import pytest

from aiops.layers.core.errors import InputError
from aiops.layers.l0_nodes.nodeset import expand, fold, select

NAMES = ("head", "gpu01", "gpu02")
GROUPS = {"workers": ("gpu01", "gpu02")}


def test_sets_are_written_short_and_long() -> None:
    assert fold(["gpu02", "head", "gpu01"]) == "gpu[01-02],head"
    assert expand("gpu[01-02],head") == ("gpu01", "gpu02", "head")


@pytest.mark.parametrize("text", ["@all", "gpu01,@workers", "!@workers", "@x:y"])
def test_groups_of_this_machine_are_never_asked(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "groups.conf").write_text("[Main]\ndefault: x\n[x]\nmap: echo example100\nall: echo example100\n")
    monkeypatch.setenv("CLUSTERSHELL_CFGDIR", str(tmp_path))
    with pytest.raises(InputError, match="is a group") as caught:
        expand(text)
    assert caught.value.code == "nodeset.group"


def test_groups_are_those_given() -> None:
    assert select("@workers,!gpu01", NAMES, GROUPS) == ("gpu02",)
    with pytest.raises(InputError, match="there is no group `all`"):
        select("@all", NAMES, GROUPS)

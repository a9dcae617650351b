import json
import os
import stat
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from aiops.layers.core.home import ensure_folder
from aiops.layers.core.plugin import Plugins

Shown = Callable[..., str]

SHIPPED = EntryPoint("accelerator.nvidia", "aiops.plugins.nvidia", "aiops")
BROKEN = EntryPoint("accelerator.gone", "aiops_no_such_module", "aiops")


def test_plugins_are_listed_without_importing_them(shown: Shown) -> None:
    assert shown("plugin", "list", plugins=Plugins([SHIPPED, BROKEN])) == (
        "exit: 0\n--- stdout\naccelerator\tgone\t\naccelerator\tnvidia\t\n--- stderr\n".replace("\t\n", "\n")
    )


def test_a_plugin_is_shown(shown: Shown) -> None:
    screen = shown("plugin", "show", "accelerator.nvidia", plugins=Plugins([SHIPPED]))
    assert screen.startswith("exit: 0\n")
    assert "target\taiops.plugins.nvidia\nstate\tcan be imported\n" in screen


def test_a_broken_plugin_is_shown_and_fails(shown: Shown) -> None:
    screen = shown("plugin", "show", "accelerator.gone", plugins=Plugins([BROKEN]))
    assert screen.startswith("exit: 1\n")
    assert "state\tbroken\n" in screen
    assert "error: plugin `accelerator.gone`" in screen


def test_a_plugin_that_is_not_there(shown: Shown) -> None:
    assert shown("plugin", "show", "accelerator.nvidai", plugins=Plugins([SHIPPED])) == (
        "exit: 6\n--- stdout\n--- stderr\n"
        "error: there is no plugin `accelerator.nvidai`\n\nhint: did you mean `accelerator.nvidia`?\n"
    )


def test_config_says_who_said_so(shown: Shown, tmp_path: Path) -> None:
    assert shown("config", "show") == (
        "exit: 0\n--- stdout\n"
        "home\t[TMP]/home\tAIOPS_HOME\n"
        "database\t[TMP]/home/aiops.db\tdefault\n"
        "inventory\t\tdefault\n"
        "--- stderr\n"
    )
    (tmp_path / "inventory.yml").write_text("all:\n")
    assert "inventory\t[TMP]/inventory.yml\tdefault\n" in shown("config", "show")
    assert shown("config", "path") == "exit: 0\n--- stdout\n[TMP]/home\n--- stderr\n"


def test_config_hides_the_password_of_the_database(shown: Shown) -> None:
    screen = shown("config", "show", environment={"AIOPS_DB": "postgresql://aiops:canary@db/aiops"})
    assert "database\tpostgresql://aiops:***@db/aiops\tAIOPS_DB\n" in screen
    assert "canary" not in screen


PLACE = "aiops.layers.l1_cluster.bundle.environment.PLACE"


def test_doctor_finds_a_sound_machine(shown: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PLACE, str(tmp_path / "none"))
    screen = shown("doctor", "--json", plugins=Plugins([SHIPPED]))
    findings = json.loads(screen.partition("--- stdout\n")[2].partition("--- stderr")[0])
    verdicts = {one["subject"]: one["verdict"] for one in findings}
    assert list(verdicts) == ["python", "ssh", "ansible", "home", "database", "accelerator.nvidia", "jobs", "lab"]
    assert {verdicts[subject] for subject in ("python", "ssh", "ansible", "home", "accelerator.nvidia")} == {"ok"}
    assert screen.startswith("exit: 0\n")


def test_doctor_says_what_is_wrong_and_what_to_do(
    shown: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    home.chmod(0o755)
    (home / "aiops.db").write_text("no database " * 100)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    screen = shown("doctor", plugins=Plugins([BROKEN]))
    assert screen.startswith("exit: 4\n")
    assert "ssh\tcritical\tnot found\n" in screen
    assert "ansible\tcritical\tansible-core is not beside aiops\n" in screen
    assert "home\twarn\t[TMP]/home can be read by others\n" in screen
    assert "database\tcritical\tthe database [TMP]/home/aiops.db is damaged" in screen
    assert "accelerator.gone\tcritical\t" in screen
    assert "hint: ssh: install it: `apt-get install openssh-client`\n" in screen
    assert "hint: home: `chmod 0700 [TMP]/home`\n" in screen


def test_doctor_judges_slurm_where_its_commands_are(
    shown: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "scontrol"
    program.write_text("#!/bin/sh\necho 'KillWait                = 30 sec'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    screen = shown("doctor", plugins=Plugins())
    assert "slurm.KillWait\twarn\t30 sec: seconds from SIGTERM to SIGKILL" in screen
    assert "slurm.MinJobAge\tunknown\tSlurm does not tell it" in screen
    assert "hint: slurm.KillWait: set it to 60: `KillWait: 60` in `aiops_slurm_options`" in screen


def test_doctor_tells_the_environments_of_a_node(shown: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "env"
    whole, half = "trainer-" + "a" * 12, "trainer-" + "b" * 12
    for name in (whole, half, ".taking-x-gpu01-7", "my-venv"):
        (place / name).mkdir(parents=True)
    (place / whole / "manifest.json").write_text(json.dumps({"digest": "a" * 64, "python": "3.11", "wheels": [1, 2]}))
    (place / "trainer").symlink_to(whole)
    (place / "vllm").symlink_to("vllm-" + "c" * 12)
    monkeypatch.setattr(PLACE, str(place))
    screen = shown("doctor", plugins=Plugins())
    assert f"environment.{whole}\tok\twhole: Python 3.11, 2 wheels\n" in screen
    assert f"environment.{half}\twarn\thalf there: it has no manifest\n" in screen
    assert "environment..taking-x-gpu01-7\twarn\tleft by a deploy" in screen
    assert "environment.my-venv\tok\tsomebody's own\n" in screen
    assert f"environment.trainer\tok\tis {whole}\n" in screen
    assert f"environment.vllm\twarn\ta link to vllm-{'c' * 12}, which is not there\n" in screen
    assert f"hint: environment.{half}: `aiops cluster deploy --only environments` lays it anew\n" in screen


@pytest.mark.parametrize("below", ["", "/deeper/home"])
def test_doctor_sees_a_home_that_is_a_file(shown: Shown, tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("")
    screen = shown("doctor", environment={"AIOPS_HOME": f"{tmp_path}/file{below}"})
    assert screen.startswith("exit: 4\n")
    assert "home\tcritical\t[TMP]/file is not a folder\n" in screen


def test_no_folder_that_is_made_can_be_read_by_others(tmp_path: Path) -> None:
    home = tmp_path / "state" / "aiops"
    made = ensure_folder(home / "keys" / "trusted")
    folders = (made, made.parent, home, home.parent)
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o700}

"""What Ansible is given for a repair: nothing that a node said reaches a command line of root's shell."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from aiops.layers.l1_cluster.health.remedy import Remedy
from aiops.layers.l1_cluster.health.repair_playbook import variables_of
from aiops.layers.l1_cluster.phase import shipped_phases

PLAYBOOKS = sorted(shipped_phases().rglob("*.yml"))


def reboots(found: Any) -> Iterator[str]:
    """The message of each task that reboots, wherever it stands."""
    if isinstance(found, dict):
        for key, value in found.items():
            if key in {"ansible.builtin.reboot", "reboot"} and isinstance(value, dict) and "msg" in value:
                yield value["msg"]
            yield from reboots(value)
    elif isinstance(found, list):
        for one in found:
            yield from reboots(one)


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda one: str(one.relative_to(shipped_phases())))
def test_what_a_reboot_tells_the_users_is_fixed_words(playbook: Path) -> None:
    for words in reboots(yaml.safe_load(playbook.read_text())):
        assert not set("{}$`\"'\\;&|") & set(words), f'Ansible builds `shutdown -r 0 "..."` of it: {words}'


def test_the_playbooks_that_reboot_are_among_them() -> None:
    found = [one.name for one in PLAYBOOKS if list(reboots(yaml.safe_load(one.read_text())))]
    assert found == ["apply.yml", "reboot.yml"]


def test_a_reboot_is_told_nothing_that_a_node_said() -> None:
    assert variables_of(Remedy("n1", "reboot", "os.processes: $(touch /tmp/x): stuck")) == {}

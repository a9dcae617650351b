"""Questions to booted hosts as a user who is not root there."""

import os
from pathlib import Path

import pytest
from tests.lab.conftest import Shell

from aiops.layers.core.clock import SystemClock
from aiops.layers.core.plugin import Plugins
from aiops.layers.l0_nodes.ask import Ask
from aiops.layers.l0_nodes.connector import Connector
from aiops.layers.l0_nodes.fact_reading import fact_asks, facts_of
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.inventory import read_inventory
from aiops.layers.l0_nodes.lab import Lab
from aiops.layers.l0_nodes.vendor import vendors_of
from aiops.layers.l2_jobs.job import Account
from aiops.layers.l2_jobs.survey import Surveyor

pytestmark = pytest.mark.lab

NOBODY = Account("nobody", 65534, 65534)


def test_hosts_answer_a_user_what_they_may_know_and_keep_nothing_of_it(bare_lab: Lab, shell: Shell) -> None:
    vendors = vendors_of(Plugins())
    nodes = {one.name: one for one in read_inventory(bare_lab.inventory_path, os.environ, Path(bare_lab.folder))}
    mine = (
        Ask("who", ("id", "-u")),
        Ask("keys", paths=("/etc/shadow", "/etc/ssh/ssh_host_ed25519_key")),
        Ask("daemon", ("sh", "-c", "setsid sleep 4321 >/dev/null 2>&1 & echo begun")),
    )
    with Fleet(Connector(os.environ)) as fleet:
        asker = Surveyor(fleet, nodes, SystemClock(), 0)
        found = asker.survey((*fact_asks(vendors), *mine), None, NOBODY)
    assert found.silent == {}
    assert {one.node for one in found.records} == set(nodes)
    for record in found.records:
        assert record.answer("who").stdout == "65534\n"
        assert record.answer("keys").files == {}
        assert record.answer("daemon").stdout == "begun\n"
        assert shell.run(record.node, "pgrep -f 'sleep 4321'").returncode == 1
        facts = facts_of(record, vendors)
        assert facts.memory_mib is not None
        assert facts.accelerators is not None
        assert bool(facts.accelerators) == (record.node != "head")

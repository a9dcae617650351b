"""No secret is found anywhere but at home: planted values are looked for wherever a deploy leaves a trace.

The phase deployed here needs no package, so no bundle: what is watched is the way of the secrets, which all phases
share (inventory, vault, become, rendering, ansible-runner, journal).
"""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.canary import Canary, ProcessWatch, find_in_database, find_in_tree

from aiops.layers.l0_nodes.lab import Lab
from aiops.layers.l0_nodes.lab.identity import login_key
from aiops.layers.l1_cluster.secrets import SIZE

if TYPE_CHECKING:
    from tests.lab.conftest import Shell

pytestmark = pytest.mark.lab

KEPT = "/var/lib/aiops/clusters/secretive/secrets"
SHELL_TRACES = f"--exclude={KEPT} /var/log /var/tmp /tmp /root /home /run/log /var/lib/aiops"
PHASE = """
phase: secretive
title: Files that hold secrets
on: all
resources:
  - file: /etc/canary
    folder: true
    mode: "0700"
  - file: /etc/canary/munge.key
    secret: munge.key
    mode: "0400"
  - file: /etc/canary/webhook
    content: "{{ node.variables.aiops_alert_webhook }}"
    mode: "0400"
"""
BROKEN = """  - service: canary-that-does-not-exist
"""


@dataclass(frozen=True)
class World:
    """A cluster whose operator logs in as `ops` and becomes root by a vaulted password."""

    folder: Path
    nodes: tuple[str, ...]
    password: Canary
    webhook: Canary
    vault: Canary

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def aiops(self, *words: str, home: str = "home") -> subprocess.CompletedProcess[bytes]:
        """One command of the operator's, in a process of its own."""
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder / "tmp"),
            "AIOPS_HOME": str(self.folder / home),
            "AIOPS_INVENTORY": str(self.folder / "inventory"),
            "ANSIBLE_VAULT_PASSWORD_FILE": str(self.folder / "safe/vault-password"),
        }
        return subprocess.run(
            [sys.executable, "-m", "aiops", *words],
            env=environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=280,
            check=False,
        )


@pytest.fixture
def world(bare_lab: Lab, shell: "Shell", tmp_path: Path) -> Iterator[World]:
    """The inventory of `bare_lab` as a careful operator would write it; the hosts are as before at the end."""
    password = Canary("become password", secrets.token_urlsafe(18).encode())
    webhook = Canary("vault value", f"https://hooks.example.org/{secrets.token_urlsafe(18)}".encode())
    vault = Canary("vault password", secrets.token_urlsafe(18).encode())
    hosts = {host.name: host.address for host in bare_lab.hosts}
    for node in hosts:
        on(
            shell,
            node,
            "useradd -m -s /bin/bash -G sudo ops && cp -r /root/.ssh /home/ops/ && chown -R ops: /home/ops/.ssh"
            " && chpasswd",
            b"ops:" + password.value + b"\n",
        )
    for name in ("safe", "tmp", "inventory/group_vars/all", "phases/secretive"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "safe/vault-password").write_bytes(vault.value)
    options = f"-o UserKnownHostsFile={bare_lab.folder / 'known_hosts'} -o IdentitiesOnly=yes"
    inventory = {
        "all": {
            "vars": {
                "ansible_user": "ops",
                "ansible_become": True,
                "ansible_ssh_private_key_file": str(login_key(bare_lab.folder)),
                "ansible_ssh_common_args": options,
                "ansible_python_interpreter": "/usr/bin/python3",
                "aiops_cluster": "secretive",
                "aiops_repository": "system",
            },
            "children": {
                "head": {"hosts": {"head": {"ansible_host": hosts["head"]}}},
                "workers": {
                    "hosts": {name: {"ansible_host": at} for name, at in hosts.items() if name != "head"},
                },
            },
        }
    }
    (tmp_path / "inventory/hosts.yml").write_text(json.dumps(inventory))
    vaulted = tmp_path / "inventory/group_vars/all/vault.yml"
    values = {"ansible_become_password": password.value.decode(), "aiops_alert_webhook": webhook.value.decode()}
    vaulted.write_text(json.dumps(values))
    subprocess.run(
        [
            Path(sys.executable).parent / "ansible-vault",
            "encrypt",
            "--vault-password-file",
            tmp_path / "safe/vault-password",
            vaulted,
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    (tmp_path / "phases/secretive/phase.yml").write_text(PHASE)
    yield World(tmp_path, tuple(hosts), password, webhook, vault)
    for node in hosts:
        shell(node, "pkill -u ops; userdel -rf ops; rm -rf /etc/canary /var/lib/aiops")


def on(shell: "Shell", node: str, line: str, stdin: bytes = b"") -> bytes:
    """What `line` prints on `node`, as bytes; what it is fed shows nowhere."""
    done = subprocess.run([*shell.argv(node), line], input=stdin, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_no_secret_leaves_its_home(world: World, shell: "Shell") -> None:
    """One deploy that works, one that fails, and every command that shows what was done."""
    with ProcessWatch() as watch:
        deployed = world.aiops("cluster", "deploy", "--phases", "phases", "--yes", "-vv")
        phase = world.folder / "phases/secretive/phase.yml"
        phase.write_text(PHASE + BROKEN)
        failed = world.aiops("cluster", "deploy", "--phases", "phases", "--yes", "-vv")
        runs = world.aiops("run", "list", "--json")
        later = [
            ("cluster", "plan", "--phases", "phases", "--json"),
            ("cluster", "status", "--json"),
            ("node", "show", "head", "--json"),
            ("cluster", "validate", "inventory"),
            *(("run", "show", run["id"]) for run in json.loads(runs.stdout)),
            *(("run", "events", run["id"], "--json") for run in json.loads(runs.stdout)),
        ]
        commands = [deployed, failed, runs, *(world.aiops(*words) for words in later)]

    # The secrets were really used: else there was nothing to find.
    assert deployed.returncode == 0, deployed.stderr.decode()
    assert failed.returncode == 1, failed.stderr.decode()
    assert b"canary-that-does-not-exist" in failed.stdout + failed.stderr
    assert shell("head", f"stat -c '%a %U %n' {KEPT} {KEPT}/*").split("\n") == [
        f"700 root {KEPT}",
        f"600 root {KEPT}/munge.key",
    ]
    key = on(shell, "head", f"cat {KEPT}/munge.key")
    assert len(key) == SIZE
    for node in world.nodes:
        assert on(shell, node, "cat /etc/canary/munge.key") == key
        assert on(shell, node, "cat /etc/canary/webhook") == world.webhook.value
        assert shell(node, "stat -c %a /etc/canary/munge.key") == "400"
    assert watch.has_seen(b"ansible-playbook")
    assert watch.samples > 50

    canaries = [world.password, world.webhook, world.vault, Canary("munge key", key[:48])]
    found = [
        f"{canary.name} on the screen of {command.args[3:]}"
        for command in commands
        for canary in canaries
        if canary.within(command.stdout + command.stderr)
    ]
    found += watch.find(canaries)
    found += find_in_tree(world.folder, canaries, but=[world.folder / "safe"])
    found += find_in_database(world.home / "aiops.db", canaries)
    for place in ("/dev/shm", "/run/user"):  # where private directories could be left
        found += find_in_tree(Path(place), canaries)
    for node in world.nodes:
        traces = f"tar -cf - --warning=none {SHELL_TRACES} 2>/dev/null; journalctl --no-pager -o export"
        data = on(shell, node, traces)
        assert len(data) > 10_000
        found += [f"{canary.name} in the traces on {node}" for canary in canaries if canary.within(data)]
    assert found == []


def test_another_controller_takes_the_secrets_from_the_head(world: World, shell: "Shell") -> None:
    """A colleague deploys one node of the same inventory from an AIOPS_HOME of their own: no key changes."""
    words = ("cluster", "deploy", "--phases", "phases", "--yes")
    assert world.aiops(*words).returncode == 0
    key = on(shell, "head", "cat /etc/canary/munge.key")
    colleague = world.aiops(*words, "--on", world.nodes[-1], home="colleague")
    assert colleague.returncode == 0, colleague.stderr.decode()
    assert b"nothing had to change" in colleague.stderr
    assert {on(shell, node, "cat /etc/canary/munge.key") for node in world.nodes} == {key}

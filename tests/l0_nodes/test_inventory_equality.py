"""Inventories mean to aiops what they mean to Ansible.

Two oracles: `ansible-inventory --list` for groups and variables, and for connections the command line that Ansible
really gives to ssh, caught by a program standing in for it.
"""

import base64
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from aiops.layers.core.errors import InputError
from aiops.layers.l0_nodes.connection import AnsibleSettings, WrongValueError, connection_of
from aiops.layers.l0_nodes.inventory import Inventory, read_inventory
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.password import become_passwords
from aiops.layers.l0_nodes.ssh_config import ssh_words
from aiops.layers.l0_nodes.withheld import Variables

BIN = Path(sys.executable).parent
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\n"
PASSWORD = "canary-vault-password"

# Stands in for ssh: writes down how it was called, and answers as a node would.
FAKE_SSH = f"""#!{sys.executable}
import json, os, re, sys
folder = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(folder, "call-%d.json" % os.getpid()), "w") as stream:
    json.dump(sys.argv[1:], stream)
for key in re.findall(r"BECOME-SUCCESS-[a-z]+", sys.argv[-1])[:1]:
    print(key)
"""
# Reaches the stand-in as the command to run on the node; base64 needs no quoting in any shell.
QUESTION = (
    "echo AIOPS[{{ {'name': inventory_hostname, 'groups': groups,"
    " 'python': ansible_python_interpreter | default(lookup('config', 'INTERPRETER_PYTHON'))}"
    " | to_json | b64encode }}]"
)


@dataclass(frozen=True)
class Case:
    """An inventory as files, and how it is read."""

    name: str
    files: Mapping[str, str]
    path: str = "inventory.yml"
    environment: Mapping[str, str] = field(default_factory=dict)
    executable: tuple[str, ...] = ()
    vaulted_files: tuple[str, ...] = ()
    kept: bool = True


@dataclass(frozen=True)
class Call:
    """What Ansible asked of ssh for one node."""

    address: str
    port: int | None
    user: str | None
    key: str | None
    arguments: tuple[str, ...]
    unchecked: bool
    become: tuple[str, str] | None
    python: str
    groups: Mapping[str, list[str]]


def environment_of(folder: Path, case: Case) -> dict[str, str]:
    here = {name: value.replace("HERE", str(folder)) for name, value in case.environment.items()}
    return {"PATH": os.environ["PATH"], "HOME": str(folder / "home"), "LANG": "C.UTF-8", **here}


@cache
def vaulted(text: str) -> str:
    """`text` as `ansible-vault encrypt_string` gives it; each text is encrypted once."""
    with tempfile.TemporaryDirectory() as folder:
        secret = Path(folder) / "vault.pass"
        secret.write_text(PASSWORD)
        done = subprocess.run(
            [BIN / "ansible-vault", "encrypt_string", "--vault-password-file", secret, "--stdin-name", "x"],
            input=text,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    return done.stdout.partition("|\n")[2]


def write(case: Case, folder: Path) -> None:
    (folder / "home").mkdir(parents=True)
    (folder / "vault.pass").write_text(PASSWORD)
    for name, text in case.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = dedent(text).lstrip("\n").replace("HERE", str(folder))
        for match in re.findall(r"VAULT\((.*?)\)", content):
            block = "".join(f"            {line.strip()}\n" for line in vaulted(match).splitlines())
            content = content.replace(f"VAULT({match})", f"!vault |\n{block.rstrip()}", 1)
        path.write_text(content)
        if path.suffix == ".key":
            path.chmod(0o600)
        if name in case.executable:
            path.chmod(0o755)
    for name in case.vaulted_files:
        secret = folder / "vault.pass"
        subprocess.run(
            [BIN / "ansible-vault", "encrypt", "--vault-password-file", secret, folder / name],
            check=True,
            capture_output=True,
        )


def listed(folder: Path, path: str, environment: Mapping[str, str]) -> Any:
    done = subprocess.run(
        [BIN / "ansible-inventory", "-i", path, "--list"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(done.stdout)


def called(folder: Path, path: str, environment: Mapping[str, str]) -> dict[str, Call]:
    """Let Ansible run a command on all nodes, and see how it called ssh."""
    calls = folder / "calls"
    calls.mkdir()
    fake = calls / "ssh"
    fake.write_text(FAKE_SSH)
    fake.chmod(0o755)
    subprocess.run(
        [BIN / "ansible", "all", "-i", path, "-f", "8", "-m", "raw", "-a", QUESTION],
        cwd=folder,
        env={**environment, "ANSIBLE_SSH_EXECUTABLE": str(fake), "ANSIBLE_LOCAL_TEMP": str(folder / "tmp")},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    found = (call_of(json.loads(file.read_text()), folder) for file in calls.glob("call-*.json"))
    return dict(found)


def call_of(argv: list[str], folder: Path) -> tuple[str, Call]:
    *options, address, command = argv
    match = re.search(r"AIOPS\[([A-Za-z0-9+/=]+)\]", command)
    assert match, command
    told = json.loads(base64.b64decode(match[1]))
    become = re.search(r"sudo .*?-u (\S+) ", command) or re.search(r"(?:^|[ '\"])su .*?(\S+) -c ", command)
    method = "sudo" if "sudo " in command else "su"
    rest, said = without_options(options, AUTOMATIC)
    named = {name: value.strip('"') for name, value in said}
    unchecked = named.get("StrictHostKeyChecking") == "no"
    key = named.get("IdentityFile")
    return told["name"], Call(
        address,
        int(named["Port"]) if "Port" in named else None,
        named.get("User"),
        str(folder / Path(key)) if key else None,
        rest,
        unchecked,
        (method, become[1]) if become else None,
        told["python"],
        told["groups"],
    )


# What Ansible adds to every call, and what it is told in its own words.
AUTOMATIC = {
    "KbdInteractiveAuthentication",
    "PreferredAuthentications",
    "PasswordAuthentication",
    "ConnectTimeout",
    "ControlMaster",
    "ControlPersist",
    "ControlPath",
    "NumberOfPasswordPrompts",
    "StrictHostKeyChecking",
    "Port",
    "User",
    "IdentityFile",
}


def without_options(words: Iterable[str], names: Collection[str]) -> tuple[tuple[str, ...], list[tuple[str, str]]]:
    """The words without `-o NAME=...` of `names`, `-C` and `-tt`; and those options."""
    rest: list[str] = []
    said: list[tuple[str, str]] = []
    remaining = iter(words)
    for word in remaining:
        text = next(remaining) if word == "-o" else ""
        name, _, value = text.partition("=")
        if name in names:
            said.append((name, value))
        elif word not in ("-C", "-tt"):
            rest += [word, text] if text else [word]
    return tuple(rest), said


def call_for(node: Node, inventory: Inventory) -> Call:
    """How we would have ssh called for `node`, in the same words."""
    to = node.connection
    arguments, said = without_options(to.ssh_arguments, {"StrictHostKeyChecking"})
    return Call(
        to.address,
        to.port,
        to.user,
        to.key_file,
        arguments,
        not to.host_key_checking or ("StrictHostKeyChecking", "no") in said,
        (to.become.method, to.become.user) if to.become.enabled else None,
        to.python or "auto",
        {name: list(nodes) for name, nodes in inventory.groups.items()},
    )


def assert_equal(case: Case, folder: Path, *, connections: bool = True) -> Inventory:
    environment = environment_of(folder, case)
    kept = folder / "cache"
    with ThreadPoolExecutor() as pool:
        listing = pool.submit(listed, folder, case.path, environment)
        calling = pool.submit(called, folder, case.path, environment) if connections else None
        try:
            inventory = read_inventory(Path(case.path), environment, kept, folder=folder)
        except InputError as error:
            pytest.fail("\n".join(map(str, error.problems)))
        again = read_inventory(Path(case.path), environment, kept, folder=folder) if case.kept else inventory
        document, calls = listing.result(), calling.result() if calling else {}
    assert again == inventory
    assert bool(list(kept.glob("*.json")) if kept.exists() else []) is case.kept
    for read in (inventory, again):
        variables = {node.name: dict(node.variables) for node in read.nodes if node.variables}
        assert variables == document["_meta"]["hostvars"]
    assert direct_groups(document) <= set(inventory.groups)
    for node in inventory.nodes if connections else ():
        if node.connection.kind == "local":
            assert node.name not in calls
            continue
        ours, theirs = call_for(node, inventory), calls[node.name]
        for name in ("address", "port", "user", "key", "arguments", "unchecked", "become"):
            assert getattr(ours, name) == getattr(theirs, name), (node.name, name)
        assert ours.python == re.sub("^auto.*", "auto", theirs.python), node.name
        named = {name: nodes for name, nodes in theirs.groups.items() if nodes}
        assert {name: sorted(nodes) for name, nodes in ours.groups.items() if nodes} == {
            name: sorted(nodes) for name, nodes in named.items()
        }
    return inventory


def direct_groups(document: Mapping[str, Any]) -> set[str]:
    return set(document) - {"_meta"}


CASES = (
    Case(
        "ranges and nested children",
        {
            "inventory.yml": """
            all:
              vars: {ansible_user: ops, zone: "a"}
              children:
                head: {hosts: {mgmt: {ansible_host: 10.0.0.1, ansible_port: 2222}}}
                workers:
                  children:
                    h100:
                      hosts:
                        gpu[01:16]:
                      vars: {ansible_become: true, zone: b}
                    a100: {hosts: {"old[a:c]-[1:3:2]": {ansible_user: root}}}
                login: {hosts: {mgmt: }}
            """
        },
    ),
    Case(
        "ini",
        {
            "hosts.ini": """
            lone ansible_host=10.0.0.9
            [head]
            head1:2200 ansible_user=root  # the old one
            [workers]
            gpu[01:08] ansible_ssh_private_key_file=HERE/a.key
            gpu09 ansible_become=yes ansible_become_user=adm note="a b"
            [workers:vars]
            ansible_user=ops
            ansible_python_interpreter=/usr/bin/python3.11
            number=5
            truth=True
            [site:children]
            head
            workers
            [site:vars]
            ansible_ssh_common_args='-o ServerAliveInterval=5 -o "ProxyCommand=nc %h %p"'
            """,
            "a.key": KEY,
        },
        "hosts.ini",
    ),
    Case(
        "a directory with several files",
        {
            "site/01-head.yml": "head: {hosts: {head: {ansible_host: 10.1.0.1}}}",
            "site/02-workers": """
            [workers]
            n[1:3]
            """,
            "site/more/storage.yaml": "storage: {hosts: {nas: {aiops_swap_off: false}}}",
            "site/README.md": "Not an inventory: [nonsense",
            "site/.hidden": "[[[",
            "site/group_vars/all.yml": "ansible_user: ops",
            "site/group_vars/workers/a.yml": "ansible_port: 2201",
            "site/group_vars/workers/b.yml": "ansible_port: 2202",
            "site/host_vars/n2.json": '{"ansible_port": 2203}',
        },
        "site",
    ),
    Case(
        "group_vars and host_vars, beside and in the working folder",
        {
            "inv/hosts": """
            [head]
            h
            [workers]
            w1 port=1
            w2
            [gpu:children]
            workers
            """,
            "inv/group_vars/all": "ansible_user: from-inventory\nonly: {a: 1, b: [1, 2]}",
            "inv/group_vars/gpu.yml": "ansible_port: 1111",
            "inv/group_vars/workers.yml": "ansible_port: 2222",
            "inv/host_vars/w2.yml": "ansible_port: 3333",
            "group_vars/all.yml": "ansible_user: from-folder",
            "host_vars/h/x.yml": "ansible_port: 4444",
        },
        "inv/hosts",
    ),
    Case(
        "vaulted values",
        {
            "inventory.yml": """
            all:
              vars:
                ansible_become: true
                ansible_become_password: VAULT(canary-become)
                secret_port: VAULT(2207)
              hosts:
                plain: {ansible_user: ops}
                open: {ansible_become: false}
            """
        },
        environment={"ANSIBLE_VAULT_PASSWORD_FILE": "HERE/vault.pass"},
    ),
    Case(
        "connections that rest on vaulted values",
        {
            "inventory.yml": """
            all:
              vars:
                login: VAULT(canary-user)
                ansible_user: "{{ login }}-x"
                ansible_port: VAULT(2207)
              hosts: {a: , b: }
            """
        },
        environment={"ANSIBLE_VAULT_PASSWORD_FILE": "HERE/vault.pass"},
        kept=False,
    ),
    Case(
        "a file vaulted as a whole",
        {
            "inventory.yml": """
            all:
              vars: {ansible_become_password: "{{ vault_become }}", shared_name: plain, token: canary-overridden}
              children: {head: {hosts: {h: {ansible_port: 7}}}, workers: {hosts: {"w[1:3]": }}}
            """,
            "group_vars/all/vault.yml": "vault_become: canary-become\ntoken: canary-token",
            "group_vars/all/plain.yml": "ansible_user: ops",
            "ansible.cfg": "[defaults]\nvault_password_file = HERE/vault.pass",
        },
        vaulted_files=("group_vars/all/vault.yml",),
    ),
    Case(
        "templated addresses",
        {
            "inventory.yml": """
            all:
              vars:
                net: 10.20
                base: {port: 2300, users: [root, ops]}
                ansible_host: "{{ net }}.0.{{ 10 + (inventory_hostname | regex_replace('[^0-9]', '') | int) }}"
                ansible_user: "{{ base.users[1] if inventory_hostname in groups['workers'] else 'root' }}"
                ansible_port: "{{ base.port + 1 }}"
                ansible_become: "{{ ansible_user != 'root' }}"
                aiops_address: "{{ ansible_host }}"
                aiops_swap_off: "{{ false }}"
                literal: !unsafe "{{ not a template }}"
              children:
                head: {hosts: {head: {ansible_host: 10.20.0.1}}}
                workers:
                  hosts: {"gpu[1:3]": }
                  vars:
                    ansible_ssh_common_args: "-o ProxyJump={{ hostvars['head'].ansible_host }}"
            """
        },
    ),
    Case(
        "DeepOps",
        {
            "inventory": """
            [all]
            mgmt01     ansible_host=10.0.0.1
            gpu01      ansible_host=10.0.0.11
            gpu02      ansible_host=10.0.0.12
            [slurm-master]
            mgmt01
            [slurm-nfs]
            mgmt01
            [slurm-node]
            gpu01
            gpu02
            [slurm-cache:children]
            slurm-master
            [slurm-cluster:children]
            slurm-master
            slurm-node
            [all:vars]
            ansible_user=ubuntu
            ansible_ssh_private_key_file='~/id.key'
            [slurm-cluster:vars]
            ansible_become=true
            """,
            "home/id.key": KEY,
            "aiops.toml": """
            [roles]
            head = ["slurm-master"]
            workers = ["slurm-node"]
            storage = "slurm-nfs"
            [variables]
            aiops_driver_version = "580.95.05"
            """,
        },
        "inventory",
    ),
    Case(
        "kubespray",
        {
            "inventory/mycluster/inventory.ini": """
            [all]
            node1 ansible_host=95.54.0.12  ip=10.3.0.1 etcd_member_name=etcd1
            node2 ansible_host=95.54.0.13  ip=10.3.0.2
            node3 ansible_host=95.54.0.14  ip=10.3.0.3 aiops_address="{{ ip }}"
            [kube_control_plane]
            node1
            [etcd]
            node1
            [kube_node]
            node2
            node3
            [calico_rr]
            [k8s_cluster:children]
            kube_control_plane
            kube_node
            calico_rr
            """,
            "inventory/mycluster/group_vars/all/all.yml": "---\nbin_dir: /usr/local/bin\nansible_become: true\n",
            "inventory/mycluster/group_vars/k8s_cluster/k8s-cluster.yml": (
                'kube_version: v1.30\nkubeconfig: "{{ bin_dir }}/x"\n'
            ),
            "inventory/mycluster/aiops.toml": '[roles]\nhead = ["kube_control_plane"]\nworkers = ["kube_node"]\n',
        },
        "inventory/mycluster/inventory.ini",
    ),
    Case(
        "ansible.cfg",
        {
            "inventory.yml": """
            all:
              hosts:
                a: {ansible_user: own, ansible_port: 77}
                b: {ansible_become: false, ansible_python_interpreter: auto}
                c: {ansible_host_key_checking: true, ansible_ssh_args: -4}
            """,
            "ansible.cfg": """
            [defaults]
            remote_user = bob
            remote_port = 2022
            private_key_file = keys/id.key
            host_key_checking = False
            interpreter_python = /opt/python/bin/python3
            log_path = HERE/ansible.log
            [privilege_escalation]
            become = True
            become_user = adm
            [ssh_connection]
            ssh_args = -o ServerAliveInterval=9 -6
            ssh_common_args = -o ConnectionAttempts=2
            """,
            "keys/id.key": KEY,
        },
    ),
    Case(
        "jump hosts",
        {
            "inventory.yml": """
            all:
              vars:
                gate: gate.example.org
                ansible_ssh_common_args: '-o ProxyCommand="ssh -W %h:%p -q ops@{{ gate }}"'
                ansible_ssh_extra_args: -o IdentitiesOnly=yes
              hosts:
                far: {ansible_host: 192.168.7.7}
                near: {ansible_ssh_common_args: "", ansible_host: near.example.org}
                loose: {ansible_ssh_extra_args: -o StrictHostKeyChecking=no}
            """
        },
    ),
    Case(
        "become by group",
        {
            "inventory.yml": """
            all:
              children:
                head: {hosts: {h: }, vars: {ansible_become: "no"}}
                workers:
                  hosts: {w1: , w2: {ansible_become_user: other}, w3: {ansible_sudo_user: third}}
                  vars: {ansible_become: "yes", ansible_user: ops}
                storage: {hosts: {s: {ansible_become_method: su}}, vars: {ansible_become: 1}}
            """
        },
    ),
    Case(
        "the environment overrides",
        {
            "inventory.yml": """
            all: {hosts: {a: , b: {ansible_user: own, ansible_become: false}}}
            """,
            "ansible.cfg": "[defaults]\nremote_user = cfg\nhost_key_checking = true\n",
            "env.key": KEY,
        },
        environment={
            "ANSIBLE_REMOTE_USER": "fromenv",
            "ANSIBLE_REMOTE_PORT": "2299",
            "ANSIBLE_HOST_KEY_CHECKING": "false",
            "ANSIBLE_PRIVATE_KEY_FILE": "HERE/env.key",
            "ANSIBLE_SSH_COMMON_ARGS": "-o ConnectionAttempts=3",
            "ANSIBLE_BECOME": "1",
            "ANSIBLE_BECOME_USER": "adm",
            "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
        },
    ),
    Case(
        "names of older days, and JSON",
        {
            "hosts.json": """
            {"all": {"hosts": {
              "a": {"ansible_ssh_host": "10.0.0.1", "ansible_host": "10.9.9.9", "ansible_ssh_user": "u"},
              "b": {"ansible_user": "v", "ansible_ssh_user": "w", "ansible_ssh_port": 23, "ansible_port": 24,
                    "ansible_ssh_private_key_file": "HERE/b.key", "ansible_private_key_file": "/nowhere"},
              "c": {"ansible_connection": "local"},
              "d": {"ansible_ssh_host_key_checking": "no", "ansible_connection": "ansible.builtin.ssh"},
              "fd00::1": {}, "node.example.org": {}}}}
            """,
            "b.key": KEY,
        },
        "hosts.json",
    ),
    Case(
        "a script",
        {
            "inventory.sh": """
            #!/bin/sh
            echo '{"head": {"hosts": ["h"]}, "workers": {"hosts": ["w1", "w2"], "vars": {"ansible_user": "ops"}},
                   "_meta": {"hostvars": {"h": {"ansible_host": "10.0.0.1"}}}}'
            """
        },
        "inventory.sh",
        executable=("inventory.sh",),
        kept=False,
    ),
    Case(
        "a plugin",
        {
            "generated.yml": """
            plugin: ansible.builtin.generator
            hosts: {name: "{{ kind }}{{ number }}", parents: [{name: "{{ kind }}s"}]}
            layers: {kind: [worker, store], number: [1, 2]}
            """
        },
        "generated.yml",
        environment={"ANSIBLE_INVENTORY_ENABLED": "ansible.builtin.generator,yaml,ini"},
        kept=False,
    ),
    Case(
        "toml, and lookups that may change",
        {
            "inventory.toml": """
            [head.hosts.h]
            ansible_user = "{{ lookup('env', 'HOME') | basename }}"
            [workers]
            hosts = {w1 = {ansible_port = 9}, w2 = {}}
            """
        },
        "inventory.toml",
        kept=False,
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_inventory_means_what_it_means_to_ansible(case: Case, tmp_path: Path) -> None:
    write(case, tmp_path)
    assert_equal(case, tmp_path)
    kept = "".join(file.read_text() for file in (tmp_path / "cache").glob("*"))
    assert "canary" not in kept
    for file in (tmp_path / "cache").glob("*"):
        assert file.stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "ansible.log").exists() or "canary" not in (tmp_path / "ansible.log").read_text()


def test_passwords_come_when_asked_for_and_are_not_shown(tmp_path: Path) -> None:
    case = Case(
        "passwords",
        {
            "inventory.yml": """
            all:
              vars: {ansible_become: true, ansible_user: ops}
              hosts:
                vaulted:
                  ansible_become_password: VAULT(canary-1)
                plain: {ansible_become_pass: canary-2, ansible_become_password: overridden}
                templated: {ansible_sudo_pass: "{{ 'CANARY' | lower }}-3"}
                none: {ansible_port: 5}
            """
        },
        environment={"ANSIBLE_VAULT_PASSWORD_FILE": "HERE/vault.pass", "ANSIBLE_BECOME_PASS": "canary-env"},
    )
    write(case, tmp_path)
    environment = environment_of(tmp_path, case)
    for _ in ("afresh", "from the cache"):
        inventory = read_inventory(Path("inventory.yml"), environment, tmp_path / "cache", folder=tmp_path)
        assert become_passwords(inventory, inventory.nodes, environment, tmp_path) == {
            "vaulted": "canary-1",
            "plain": "canary-2",
            "templated": "canary-3",
            "none": "canary-env",
        }
        assert "canary-2" not in repr(inventory)
        plain = inventory.node("plain").variables
        assert isinstance(plain, Variables)
        assert "canary-2" not in str(plain.known)
        assert plain["ansible_become_pass"] == "canary-2"
    assert "canary" not in "".join(file.read_text() for file in (tmp_path / "cache").iterdir())


def test_a_password_file_of_ansible_cfg_counts(tmp_path: Path) -> None:
    case = Case(
        "password file",
        {
            "inventory.yml": "all: {vars: {ansible_user: ops}, hosts: {a: , b: {ansible_user: root}}}",
            "ansible.cfg": "[defaults]\nbecome_password_file = HERE/become.pass\n",
            "become.pass": "canary-file\n",
        },
    )
    write(case, tmp_path)
    environment = environment_of(tmp_path, case)
    inventory = read_inventory(Path("inventory.yml"), environment, tmp_path / "cache", folder=tmp_path)
    assert become_passwords(inventory, inventory.nodes, environment, tmp_path) == {"a": "canary-file"}


NAMES = st.sampled_from(["alpha", "b-2", "c_3", "rack[1:3]", "gpu[08:11]", "x[a:c]y", "node.example.org"])
VALUES: Mapping[str, st.SearchStrategy[object]] = {
    # What ssh takes for no user's name is refused, see below.
    "ansible_user": st.sampled_from(
        [
            "root",
            "ops",
            "CORP\\ops",
            "a b",
            "{{ 'o' ~ 'ps' }}",
            "{{ fallback | default('x') | regex_replace('[\\'\"]') }}",
        ]
    ),
    "ansible_ssh_user": st.just("older"),
    "ansible_port": st.sampled_from([22, 2200, "2201", "{{ 2000 + 202 }}"]),
    "ansible_private_key_file": st.sampled_from(["HERE/k.key", "{{ '~/h.key' | trim }}"]),
    "ansible_become": st.sampled_from([True, False, "yes", "no", "{{ 1 == 1 }}"]),
    "ansible_become_user": st.sampled_from(["adm", "{{ 'A' | lower }}"]),
    "ansible_python_interpreter": st.sampled_from(["/usr/bin/python3", "auto_silent"]),
    "ansible_host_key_checking": st.sampled_from([True, False, "no"]),
    "ansible_ssh_common_args": st.sampled_from(["", "-o ConnectionAttempts=2", "-o 'ProxyCommand=nc %h %p' -4"]),
    "ansible_ssh_extra_args": st.just("-o ServerAliveInterval=3"),
    "fallback": st.sampled_from(["set", 5, "5.0", "a b", "# no comment", "it's", 'say "x"', "é", "[1, 2]", ""]),
    "nested": st.just({"list": [1, "{{ fallback | default(2) }}", None], "flag": True}),
    "aiops_packages": st.just(["tmux", "{{ 'ht' ~ 'op' }}"]),
    "aiops_engine": st.sampled_from(["ssh", "slurm"]),
}


@st.composite
def variables(draw: st.DrawFn) -> dict[str, object]:
    names = draw(st.lists(st.sampled_from(sorted(VALUES)), max_size=4, unique=True))
    return {name: draw(VALUES[name]) for name in names}


@dataclass(frozen=True)
class Tree:
    """A made-up inventory: groups with hosts, variables and the numbers of the groups below them."""

    form: str
    groups: tuple[tuple[dict[str, dict[str, object]], dict[str, object], tuple[int, ...]], ...]


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    count = draw(st.integers(1, 4))
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    groups = []
    for index in range(count):
        hosts = draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True))
        below = draw(st.lists(st.integers(index + 1, count - 1), max_size=2, unique=True)) if index + 1 < count else []
        groups.append(({host: draw(variables()) for host in hosts}, draw(variables()), tuple(below)))
    return Tree(draw(st.sampled_from(["yml", "ini"])), tuple(groups))


def written(tree: Tree, number: int) -> str:
    """The tree as a file; its names begin with `tN`, so that many can lie in one directory."""
    import yaml

    def called(name: str) -> str:
        return f"t{number}{name}"

    if tree.form == "yml":
        document = {
            called(f"group{index}"): {
                "hosts": {called(host): own or None for host, own in hosts.items()},
                "vars": group,
                "children": {called(f"group{child}"): None for child in below},
            }
            for index, (hosts, group, below) in enumerate(tree.groups)
        }
        return str(yaml.safe_dump(document, allow_unicode=True, sort_keys=False))
    lines = []
    for index, (hosts, group, below) in enumerate(tree.groups):
        lines.append(f"[{called(f'group{index}')}]")
        for host, own in hosts.items():
            words = [shlex.quote(f"{name}={value}") for name, value in own.items()]
            lines.append(" ".join([called(host), *words]))
        lines.append(f"[{called(f'group{index}')}:vars]")
        lines += [f"{name}={value}" for name, value in group.items()]
        lines.append(f"[{called(f'group{index}')}:children]")
        lines += [called(f"group{child}") for child in below]
    return "\n".join(lines)


def login_of(*words: str) -> str | None:
    """Whom ssh would log in as, or None where it refuses."""
    done = subprocess.run(["ssh", "-F", "none", "-G", *words, "--", "h"], capture_output=True, check=False, timeout=10)
    lines = done.stdout.decode(errors="surrogateescape").split("\n")
    return next((line.removeprefix("user ") for line in lines if line.startswith("user ")), None)


USERS = st.text(
    st.sampled_from(["a", "é", " ", "-", "\\", '"', "'", "#", "=", "%", ";", "\t", "\n", "$", "[", "{"]), min_size=1
)


@settings(max_examples=60, deadline=None)
@given(
    user=USERS | st.sampled_from(["root", "CORP\\ops", 'say "x"', "it's", "a\\", "a\\\\b", '"q"', "# no", "-x", "a -b"])
)
def test_a_user_is_whom_ansibles_ssh_logs_in_as_or_is_refused_by_name(user: str) -> None:
    """Ansible hands `-o User="NAME"` to ssh, which reads quotes and backslashes in it in its own way."""
    theirs = login_of("-o", f'User="{user}"')
    ours, refused = None, None
    try:
        ours = connection_of("h", {"ansible_user": user}, AnsibleSettings(), folder=Path("/"), home=Path("/"))
    except WrongValueError as error:
        refused = error.variable
    if ours is not None:
        assert theirs == user == ours.user
        assert login_of(*ssh_words(ours)) == user
    else:
        assert refused == "ansible_user"
        assert theirs != user or login_of("-l", user) != user or not user.isprintable()


# Each example costs Ansible a second or two, so eight inventories lie in one directory and nothing is shrunk.
@settings(
    max_examples=4,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(many=st.lists(trees(), min_size=8, max_size=8))
def test_any_inventory_means_what_it_means_to_ansible(
    many: list[Tree], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("made")
    files = {f"site/t{number}.{tree.form}": written(tree, number) for number, tree in enumerate(many)}
    case = Case("made up", {**files, "k.key": KEY, "home/h.key": KEY}, "site")
    write(case, folder)
    assert_equal(case, folder)

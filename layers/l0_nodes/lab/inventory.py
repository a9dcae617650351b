"""The lab's inventory: an ordinary one, so that everything after `lab up` is as on real nodes."""

import json
import shlex
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from .host import RUN
from .identity import login_key
from .recipe import RELEASES
from .state import HostState, LabState

_say = json.dumps  # JSON's strings are YAML's


def inventory_text(state: LabState, folder: Path) -> str:
    """The text of `inventory.yml`. Pure; every value is written so that YAML reads it back as it is."""
    ssh = f"-o UserKnownHostsFile={shlex.quote(str(folder / 'known_hosts'))} -o IdentitiesOnly=yes"
    heads = [host for host in state.hosts if host.role == "head"]
    workers = [host for host in state.hosts if host.role == "workers"]
    lines = [
        f"# Lab `{state.name}`: hosts simulated on this machine. Made by `aiops lab up`; `aiops lab down` removes it.",
        "all:",
        "  vars:",
        "    ansible_user: root",
        f"    ansible_ssh_private_key_file: {_say(str(login_key(folder)))}",
        f"    ansible_ssh_common_args: {_say(ssh)}",
        "    ansible_python_interpreter: /usr/bin/python3",
        f"    aiops_cluster: {state.name}",
        "    aiops_repository: bundle",
        "    aiops_accelerator_packages: simulated",
        f"    aiops_shared: {{path: /shared, source: {RUN}/shared, type: bind}}",
        "  children:",
        "    head:",
        *_indented(_hosts(heads), 6),
        "    workers:",
    ]
    if not state.spec.groups:
        lines += _indented([*_hosts(workers), *_variables(workers, state)], 6)
    else:
        lines.append("      children:")
        for name, members in groupby(workers, key=lambda host: host.group):
            alike = list(members)
            lines += _indented([f"{name}:", *_indented([*_hosts(alike), *_variables(alike, state)], 2)], 8)
        lines += _indented((f"{group.name}:" for group in state.spec.groups if not group.nodes), 8)
    return "\n".join(lines) + "\n"


def _hosts(hosts: Iterable[HostState]) -> list[str]:
    listed = [f"  {host.name}: {{ansible_host: {host.address}}}" for host in hosts]
    return ["hosts:", *listed] if listed else ["hosts: {}"]


def _variables(hosts: list[HostState], state: LabState) -> list[str]:
    """What is expected of workers that are alike, as their group's variables."""
    if not hosts:
        return []
    first, spec, lines = hosts[0], state.spec, []
    if first.accelerator is not None:
        wanted = first.accelerator
        model = f", model: {_say(wanted.model)}" if wanted.model else ""
        lines.append(f"  aiops_accelerators: {{vendor: {wanted.vendor}, count: {wanted.count}{model}}}")
        if spec.driver:
            lines.append(f"  aiops_driver_version: {_say(spec.driver)}")
    if spec.groups:
        lines.append(f"  aiops_expect: {{os: {RELEASES[first.release]}}}")
    if first.release != spec.release:
        lines.append("  aiops_engine: ssh # its Slurm and the head's do not understand each other")
    return ["vars:", *lines] if lines else []


def _indented(lines: Iterable[str], spaces: int) -> Iterator[str]:
    return (" " * spaces + line for line in lines)

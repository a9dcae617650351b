"""The lab's inventory: an ordinary one, so that everything after `lab up` is as on real nodes."""

import json
import shlex
from pathlib import Path

from .host import RUN
from .identity import login_key
from .state import LabState


def inventory_text(state: LabState, folder: Path) -> str:
    """The text of `inventory.yml`. Pure; every value is written so that YAML reads it back as it is."""
    ssh = f"-o UserKnownHostsFile={shlex.quote(str(folder / 'known_hosts'))} -o IdentitiesOnly=yes"
    say = json.dumps  # JSON's strings are YAML's
    lines = [
        f"# Lab `{state.name}`: hosts simulated on this machine. Made by `aiops lab up`; `aiops lab down` removes it.",
        "all:",
        "  vars:",
        "    ansible_user: root",
        f"    ansible_ssh_private_key_file: {say(str(login_key(folder)))}",
        f"    ansible_ssh_common_args: {say(ssh)}",
        "    ansible_python_interpreter: /usr/bin/python3",
        f"    aiops_cluster: {state.name}",
        "    aiops_repository: bundle",
        "    aiops_accelerator_packages: simulated",
        f"    aiops_shared: {{path: /shared, source: {RUN}/shared, type: bind}}",
        "  children:",
    ]
    for role in ("head", "workers"):
        lines += [f"    {role}:", "      hosts:"]
        hosts = [host for host in state.hosts if host.role == role]
        lines += [f"        {host.name}: {{ansible_host: {host.address}}}" for host in hosts]
        if not hosts:
            lines[-1] = "      hosts: {}"
        accelerator = state.spec.accelerator
        if role == "workers" and accelerator:
            model = f", model: {say(accelerator.model)}" if accelerator.model else ""
            lines += [
                "      vars:",
                f"        aiops_accelerators: {{vendor: {accelerator.vendor}, count: {accelerator.count}{model}}}",
            ]
            if state.spec.driver:
                lines.append(f"        aiops_driver_version: {say(state.spec.driver)}")
    return "\n".join(lines) + "\n"

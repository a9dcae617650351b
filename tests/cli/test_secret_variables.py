"""What rests on a secret is not shown: vaulted files, vaulted values, and templates over them."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Shown = Callable[..., str]
SECRET = "https://hooks.example.org/canary-4711"
HOSTS = """
workers:
  hosts:
    gpu01:
      ansible_connection: local
      aiops_cluster: lab-a
      aiops_slurm_partition: gpus
"""


@pytest.mark.parametrize(
    ("vaulted", "plain", "shown_as"),
    [
        ({"aiops_alert_webhook": SECRET}, "", "(withheld)"),
        ({"hook": SECRET}, '      aiops_alert_webhook: "{{ hook }}"\n', "{{ hook }}"),
    ],
)
def test_node_show(shown: Shown, tmp_path: Path, vaulted: dict[str, str], plain: str, shown_as: str) -> None:
    password = tmp_path / "password"
    password.write_text("sesame")
    site = tmp_path / "site"
    (site / "group_vars/all").mkdir(parents=True)
    (site / "hosts.yml").write_text(HOSTS + plain)
    vault = site / "group_vars/all/vault.yml"
    vault.write_text(json.dumps(vaulted))
    program = str(Path(sys.executable).parent / "ansible-vault")
    command = [program, "encrypt", "--vault-password-file", str(password), str(vault)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    environment = {"ANSIBLE_VAULT_PASSWORD_FILE": str(password), "AIOPS_INVENTORY": str(site)}
    for words in (("node", "show", "gpu01"), ("node", "show", "gpu01", "--json")):
        screen = shown(*words, environment=environment)
        assert screen.startswith("exit: 0\n")
        assert SECRET not in screen
        assert shown_as in screen
        assert "gpus" in screen

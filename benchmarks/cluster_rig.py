"""What the benchmarks of a deploy share: a lab of bare hosts with simulated GPUs, and a bundle."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiops.cli.app import App
from aiops.layers.l0_nodes.lab import Lab

from .measurement import AIOPS, BrokenError, Ran, aiops, run

DEVICES = 8
SIMULATED = "accelerators and their driver packages; hosts share this machine's kernel and clock"


class Rig:
    """A lab, and the commands that are run on it."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.inventory = str(lab.inventory_path)

    def plan(self, *words: str) -> Ran:
        """`aiops cluster plan --json`."""
        return aiops("cluster", "plan", self.inventory, "--json", *words)

    def deploy(self) -> Ran:
        """`aiops cluster deploy --yes --json`."""
        return aiops("cluster", "deploy", self.inventory, "--yes", "--json")

    def on(self, node: str, line: str) -> str:
        """What a shell line says on a node, as root.

        Raises:
            BrokenError: It cannot be reached.
        """
        words = ("node", "exec", "-i", self.inventory, "--on", node, "--root", "--json", "--", "sh", "-c", line)
        return str(json.loads(aiops(*words).stdout)["results"][0]["stdout"]).strip()

    def plain(self, folder: Path, phase: str, forks: int) -> Ran:
        """Plain ansible-playbook on what `plan --write FOLDER` has written for `phase`, set up as aiops runs it.

        Raises:
            BrokenError: It failed.
        """
        hosts = folder / phase
        settings = {
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(folder / "ssh"),
            "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "false",
        }
        return run(
            "env",
            *(f"{name}={value}" for name, value in settings.items()),
            AIOPS.with_name("ansible-playbook"),
            *("-i", self.inventory, "-i", hosts / "hosts.yml", "--limit", f"@{hosts / 'limit'}"),
            *("--forks", str(forks), folder / "apply.yml"),
        )


@contextmanager
def rig(name: str, nodes: int, devices: int = DEVICES, *binds: str) -> Iterator[Rig]:
    """A lab of a head and `nodes` bare workers, and a bundle; the lab is removed afterwards.

    Args:
        name: Of the lab.
        nodes: Its workers.
        devices: Simulated GPUs of each; 0 for none.
        binds: Folders of this machine that every host sees, as `--bind` takes them.

    Raises:
        BrokenError: This machine cannot carry it.
    """
    app = App(os.environ)
    aiops("lab", "down", "--name", name, "-q", expect=(0, 6))
    try:
        accelerators = ("--accelerator", f"nvidia:{devices}") if devices else ()
        seen = [word for one in binds for word in ("--bind", one)]
        aiops("lab", "up", "--name", name, "--nodes", str(nodes), *accelerators, *seen, "-q")
        aiops("cluster", "bundle", "build", *(("--simulated", "nvidia") if devices else ()), "-q")
        yield Rig(Lab.open(name, home=app.home, vendors=app.vendors()))
    except OSError as error:
        raise BrokenError(str(error)) from error
    finally:
        aiops("lab", "down", "--name", name, "-q", expect=(0, 6))

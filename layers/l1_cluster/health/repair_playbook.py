"""What Ansible is given for one step of a repair: a second inventory beside the user's own, and whom it is for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiops.layers.core.file import write_atomic
from aiops.layers.core.home import ensure_folder
from aiops.layers.l1_cluster.gate import interpreter
from aiops.layers.l1_cluster.phase import shipped_phases
from aiops.layers.l1_cluster.render import unsafe_yaml

from .remedy import Remedy
from .verdict import Action


def playbook_of(step: Action) -> Path:
    """The playbook of a step; it can also be run by hand."""
    return shipped_phases() / "repair" / f"{step}.yml"


def variables_of(remedy: Remedy) -> dict[str, Any]:
    """What the playbook of a remedy's step is told of its node. Pure."""
    match remedy.step:
        case "reset_device":
            buses = [device.bus for reset in remedy.resets for device in reset.devices if device.bus]
            return {
                "commands": [list(argv) for reset in remedy.resets for argv in reset.commands],
                "holders": list(dict.fromkeys(unit for reset in remedy.resets for unit in reset.holders)),
                "told": [f"aiops: GPU {bus} was reset" for bus in dict.fromkeys(buses)],
            }
        case "restart_service":
            return {"units": list(remedy.units)}
        case _:
            return {}  # what a node said of itself goes nowhere near a shell


def write_step(folder: Path, step: Action, remedies: Mapping[str, Remedy], epoch: int) -> Path:
    """Write the second inventory of a step; return its path. The file `limit` beside it names the nodes.

    Args:
        folder: The private directory.
        step: The step.
        remedies: By node.
        epoch: Of the cluster lock that is held: the nodes' gates were opened for it.
    """
    target = ensure_folder(folder / step)
    hosts = {
        name: {"ansible_python_interpreter": interpreter(epoch), "aiops_repair": variables_of(remedy)}
        for name, remedy in remedies.items()
    }
    write_atomic(target / "limit", "".join(f"{name}\n" for name in remedies).encode(), 0o600)
    write_atomic(target / "hosts.yml", unsafe_yaml({"all": {"hosts": hosts}}).encode(), 0o600)
    return target / "hosts.yml"

"""What a node is to write down before it is changed, so that a reset can put it back."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from .observation import sysctl_file
from .remote.notebook import pack
from .remote.reset import OWN
from .resource import File, Mount, Package, Reboot, Resource, Service, Sysctl, Tree, User
from .script import program
from .unit import unit_name

MODULES = ("sight", "notebook", "repack", "memory")


def request_of(differing: Iterable[Resource], installed: Iterable[str]) -> dict[str, Any]:
    """What is about to change on a node, as `remote.memory` takes it. Pure; no content of a file is in it.

    Args:
        differing: The resources that are brought to their state.
        installed: Names of the packages among them that apt is given to install.
    """
    wanted = list(differing)
    packages = [one for one in wanted if isinstance(one, Package)]
    sysctls = [one.name for one in wanted if isinstance(one, Sysctl)]
    return {
        "install": sorted(installed),
        "remove": sorted(one.name for one in packages if one.absent),
        "hold": sorted(one.name for one in packages if not one.absent),
        "files": [_path(one) for one in wanted if isinstance(one, File | Tree)],
        "sysctls": {name: sysctl_file(name) for name in sysctls},
        "units": sorted({unit_name(one.name) for one in wanted if isinstance(one, Service)}),
        "mounts": sorted(one.path for one in wanted if isinstance(one, Mount)),
        "users": [{"name": one.name, "group": one.group, "home": one.home} for one in wanted if isinstance(one, User)],
        "reboot": next((one.reason for one in wanted if isinstance(one, Reboot)), None),
    }


def memory_program(token: str, request: Mapping[str, Any]) -> str:
    """The program that writes it down, for the stdin of `python3 -I -` behind the fence, as root.

    Args:
        token: Names the step, the same until all of it is done; empty where it is run by hand.
        request: See `request_of`.
    """
    return program(MODULES, f"main({pack({**request, 'token': token})!r})")


def _path(one: File | Tree) -> dict[str, Any]:
    """What becomes of a path.

    `put`: something comes; `whole`: all that is there goes, what is in a folder too; `fill`: all in it is ours; `ours`:
    the place is ours, so that no copy is made of what is in it.
    """
    ours = any(f"{one.path}/".startswith(f"{place}/") for place in OWN)
    if isinstance(one, Tree):
        parts: dict[str, Any] = {"put": True, "whole": not ours, "fill": True, "digest": "", "restarts": []}
    else:
        parts = {
            "put": not one.absent,
            "whole": one.absent and not ours,
            "fill": False,
            "digest": "" if one.content is None else hashlib.sha256(one.content).hexdigest(),
            "restarts": sorted({unit_name(name) for name in one.restarts}),
        }
    return {"path": one.path, "ours": ours, **parts}

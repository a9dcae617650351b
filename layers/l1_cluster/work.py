"""Work: what `apply.yml` is given for one node and phase. Only what differs is in it."""

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Any

from .change import NO_UNIT, Change
from .desired import UNIT_FOLDER, sysctl_path
from .observation import restart_marker
from .remote.files import pack
from .remote.tree import incoming_of, pack_digests
from .resource import File, Mount, Package, Reboot, Resource, Service, Sysctl, Tree, User
from .script import program, script
from .undo import memory_program, request_of
from .unit import mount_unit_name, unit_name

TREE_MODULES = ("content", "tree")
_NO_LOGIN = ("/nologin", "/false")


@dataclass(frozen=True, slots=True)
class Work:
    """One node's part in one run of `apply.yml`.

    Attributes:
        variables: `aiops_desired`, JSON-ready; no secret is in it.
        files: What is put in place on the node, with contents; only `program` shows it to anybody.
        undo: What the node writes down before anything of it changes, see `undo.request_of`.
    """

    variables: Mapping[str, Any]
    files: tuple[File, ...] = field(repr=False)
    undo: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def program(self) -> str | None:
        """The program that puts the files in place; secrets may be in it. None where there are none."""
        if not self.files:
            return None
        return script("files", f"main({pack([_entry(one) for one in self.files])!r})")

    def memory(self, token: str) -> str | None:
        """The program that writes down what is there, `token` as for `undo.memory_program`; None for nothing."""
        return memory_program(token, self.undo) if any(self.undo.values()) else None

    @property
    def touches_sources(self) -> bool:
        """Whether apt's configuration changes, so that the lists of packages must be read anew afterwards."""
        return any(one.path.startswith(("/etc/apt/", "/etc/aiops/apt")) for one in self.files)


def work_of(
    phase: str, resources: Sequence[Resource], changes: Iterable[Change], *, refresh: bool = True, reboot: bool = True
) -> Work:
    """What is to be done on a node. Pure.

    Args:
        phase: The phase's name.
        resources: All that the phase wants of the node.
        changes: Which of them differ, and how.
        refresh: Whether apt's lists are read anew before packages are installed.
        reboot: Whether a reboot that is needed is done now; otherwise only the need is marked on the node.
    """
    by_key = {change.key: change for change in changes}
    differing = [resource for resource in resources if resource.key in by_key]
    packages = [one for one in differing if isinstance(one, Package)]
    users = [one for one in differing if isinstance(one, User)]
    unborn = _unborn(resources, by_key)
    files = [
        replace(one, restarts=tuple(name for name in one.restarts if unit_name(name) not in unborn))
        for one in differing
        if isinstance(one, File) and by_key[one.key].action != "restart"
    ]
    due = next((one for one in differing if isinstance(one, Reboot)), None)
    settings = sysctl_path(phase)
    restarts = _restarts(resources, by_key) - unborn
    rebooted = due is not None and reboot
    installed = [one for one in packages if not one.absent and by_key[one.key].action in {"install", "replace", "read"}]
    load = any(isinstance(one, Sysctl) for one in differing) or any(one.path == settings for one in files)
    return Work(
        {
            "mark_reboot": due is not None,
            "refresh": refresh,
            "removed": [one.name for one in packages if one.absent],
            "packages": [f"{one.name}={one.version}" if one.version else one.name for one in installed],
            "held": [one.name for one in packages if one.held and not one.absent],
            "released": [
                one.name for one in packages if not one.held and not one.absent and by_key[one.key].action == "release"
            ],
            "groups": [{"name": name, "gid": gid} for name, gid in {one.group: one.gid for one in users}.items()],
            "users": [
                {
                    "name": one.name,
                    "uid": one.uid,
                    "group": one.group,
                    "home": one.home,
                    "shell": one.shell,
                    "create_home": not one.shell.endswith(_NO_LOGIN),
                }
                for one in users
            ],
            "files": [{"path": one.path, "mode": one.mode, "owner": one.owner, "group": one.group} for one in files],
            "trees": [_tree(one) for one in differing if isinstance(one, Tree)],
            "sysctl": settings if load else "",
            "reboot": due.reason if due is not None and reboot else "",
            "services": _services(resources, by_key, files, restarts, rebooted=rebooted),
            "restarted": [] if rebooted else sorted(map(restart_marker, restarts)),
        },
        tuple(sorted(files, key=_place)),
        request_of(differing, [one.name for one in installed]),
    )


def _unborn(resources: Sequence[Resource], changes: Mapping[str, Change]) -> frozenset[str]:
    """The units that come with their own file now: nothing can run with older files, so they are started, no more."""
    made = {one.path for one in resources if isinstance(one, File) and one.key in changes and not one.absent}
    return frozenset(
        unit
        for one in resources
        if isinstance(one, Service)
        and one.running
        and (unit := unit_name(one.name)).endswith(".service")
        and f"{UNIT_FOLDER}/{unit}" in made
        and one.key in changes
        and changes[one.key].found == NO_UNIT
    )


def _restarts(resources: Sequence[Resource], changes: Mapping[str, Change]) -> frozenset[str]:
    """The units whose files change now, or have changed in a run that did not come to restarting them."""
    files = [one for one in resources if isinstance(one, File) and one.key in changes]
    due = [one for one in resources if isinstance(one, Service) and one.key in changes]
    units = {unit_name(name) for one in files for name in one.restarts}
    return frozenset(units.union(unit_name(one.name) for one in due if changes[one.key].action == "restart"))


def _services(
    resources: Sequence[Resource],
    changes: Mapping[str, Change],
    files: Sequence[File],
    changed: AbstractSet[str],
    *,
    rebooted: bool,
) -> list[dict[str, Any]]:
    """One entry per unit; a unit whose file changed is restarted, which starts it too."""
    mounts = {mount_unit_name(one.path) for one in resources if isinstance(one, Mount) and one.key in changes}
    restarts = changed | mounts
    wanted = {unit_name(one.name): one for one in resources if isinstance(one, Service)}
    services: list[dict[str, Any]] = []
    for unit, service in wanted.items():
        change = changes.get(service.key)
        if change is None and unit not in restarts:
            continue
        again = service.running and not rebooted and (unit in restarts or (change and change.action == "reload"))
        state = "restarted" if again else "started" if service.running else "stopped"
        services.append({"name": unit, "enabled": service.enabled, "state": state})
    if not rebooted:
        services += [{"name": unit, "state": "restarted"} for unit in sorted(restarts - set(wanted))]
    stale = any(change.action == "reload" for change in changes.values())
    # Also where none is written now: a deploy that was cut off may have written one, and systemd not heard of it.
    units = [one for one in (*files, *resources) if isinstance(one, File) and one.path.startswith(f"{UNIT_FOLDER}/")]
    if stale or (units and (services or any(one in files for one in units))):
        if services:
            services[0]["daemon_reload"] = True
        else:
            services.append({"name": "", "daemon_reload": True})
    return services


def _tree(tree: Tree) -> dict[str, str]:
    """What the phase that fills it needs: the programs that say what is lacking, take a parcel, and put it in place."""
    arguments = f"{tree.path!r}, {pack_digests(tree.digests)!r}"
    return {
        "path": tree.path,
        "incoming": incoming_of(tree.path),
        "lacking": program(TREE_MODULES, f"lacking({arguments})"),
        "take": program(TREE_MODULES, f"take({tree.path!r})"),
        "fill": program(TREE_MODULES, f"fill({arguments})"),
    }


def _place(file: File) -> tuple[int, str]:
    """What goes comes first, then folders, each before what is in it, then files."""
    return (0 if file.absent else 1 if file.folder else 2, file.path)


def _entry(file: File) -> dict[str, Any]:
    """What `remote.files` takes."""
    return {
        "path": file.path,
        "absent": file.absent,
        "folder": file.folder,
        "mode": file.mode,
        "owner": file.owner,
        "group": file.group,
        "content": b64encode(file.content or b"").decode(),
        "validate": file.validate or "",
        "secret": file.secret,
        "restarts": sorted({unit_name(name) for name in file.restarts}),
    }

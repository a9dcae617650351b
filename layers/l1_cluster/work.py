"""Work: what `apply.yml` is given for one node and phase. Only what differs is in it."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .change import Change
from .desired import UNIT_FOLDER, sysctl_path
from .resource import File, Mount, Package, Reboot, Resource, Service, Sysctl, User
from .unit import mount_unit_name, unit_name

_NO_LOGIN = ("/nologin", "/false")


@dataclass(frozen=True, slots=True)
class Work:
    """One node's part in one run of `apply.yml`.

    Attributes:
        variables: `aiops_desired`, JSON-ready; no secret is in it.
        contents: What the files hold, by SHA-256 in hex.
    """

    variables: Mapping[str, Any]
    contents: Mapping[str, bytes] = field(repr=False)

    @property
    def touches_sources(self) -> bool:
        """Whether apt's configuration changes, so that the lists of packages must be read anew afterwards."""
        paths = [file["path"] for file in (*self.variables["files"], *self.variables["secret_files"])]
        return any(path.startswith(("/etc/apt/", "/etc/aiops/apt")) for path in paths)


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
    # A folder where a file should be, or the reverse, is not ours to remove: it stays a difference, and is told.
    files = [
        one
        for one in differing
        if isinstance(one, File) and not (by_key[one.key].action == "write" and by_key[one.key].found == "folder")
    ]
    written = [one for one in files if one.content is not None]
    due = next((one for one in differing if isinstance(one, Reboot)), None)
    contents = {_digest(one): one.content for one in written if one.content is not None}
    settings = sysctl_path(phase)
    load = any(isinstance(one, Sysctl) for one in differing) or any(one.path == settings for one in written)
    return Work(
        {
            "mark_reboot": due is not None,
            "refresh": refresh,
            "removed": [one.name for one in packages if one.absent],
            "packages": [
                f"{one.name}={one.version}" if one.version else one.name
                for one in packages
                if not one.absent and by_key[one.key].action in {"install", "replace", "read"}
            ],
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
            "deleted": [one.path for one in files if one.absent],
            "folders": [_placed(one) for one in sorted(files, key=lambda file: file.path) if one.folder],
            "files": [_written(one) for one in written if not one.secret],
            "secret_files": [_written(one) for one in written if one.secret],
            "sysctl": settings if load else "",
            "reboot": due.reason if due is not None and reboot else "",
            "services": _services(resources, by_key, files, rebooted=due is not None and reboot),
        },
        contents,
    )


def _services(
    resources: Sequence[Resource], changes: Mapping[str, Change], files: Sequence[File], *, rebooted: bool
) -> list[dict[str, Any]]:
    """One entry per unit; a unit whose file changed is restarted, which starts it too."""
    restarts = {unit_name(name) for one in files for name in one.restarts}
    restarts |= {mount_unit_name(one.path) for one in resources if isinstance(one, Mount) and one.key in changes}
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
    if stale or any(one.path.startswith(f"{UNIT_FOLDER}/") for one in files):
        if services:
            services[0]["daemon_reload"] = True
        else:
            services.append({"name": "", "daemon_reload": True})
    return services


def _digest(file: File) -> str:
    return hashlib.sha256(file.content or b"").hexdigest()


def _placed(file: File) -> dict[str, str]:
    return {"path": file.path, "mode": file.mode, "owner": file.owner, "group": file.group}


def _written(file: File) -> dict[str, str]:
    return {**_placed(file), "digest": _digest(file), "validate": file.validate or ""}

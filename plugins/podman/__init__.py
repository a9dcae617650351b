"""Podman: `image: podman://IMAGE`, without a daemon and without root."""

from aiops.layers.core.plugin import hookimpl
from aiops.layers.l2_jobs.container import Container, Wrapping


class Podman:
    """The kind of container, as `aiops.layers.l2_jobs.container.Container` asks it to be."""

    name = "podman"
    proof = "run"

    def wrap(self, wrapping: Wrapping) -> tuple[str, ...]:
        """The argv of `podman run`.

        The container stays in the cgroup of its unit, `--cgroups=disabled`: whoever ends or freezes the unit has it
        too. Its user is the one who runs podman, with the same number inside (`keep-id`); root has no such map.
        """
        uid, gid = wrapping.user
        options = [
            *("--rm", "--replace", f"--name={wrapping.name}", "--cgroups=disabled", "--log-driver=none"),
            *("--network=host", "--shm-size=0", "--ulimit=host", "--security-opt=label=disable"),
            *((f"--user={uid}:{gid}", "--userns=keep-id") if uid else ()),
            *("--entrypoint=", f"--workdir={wrapping.folder}"),
            *(f"--mount=type=bind,src={path},dst={path}" for path in wrapping.writable),
            *(f"--mount=type=bind,src={path},dst={path},ro=true" for path in wrapping.devices.driver),
            *(f"--device={name}" for name in (*wrapping.devices.interface, *wrapping.devices.nodes)),
            *(("--group-add=keep-groups",) if wrapping.devices.nodes and uid else ()),
            *(f"--env={name}" for name in wrapping.environment),
        ]
        return ("podman", "run", *options, "--", wrapping.image, *wrapping.argv)


@hookimpl
def container() -> Container:
    """The kind of container that this plugin knows."""
    return Podman()

"""Enroot: `image: enroot:///shared/image.sqsh`, without root. Rendered, not run by us."""

from aiops.layers.core.plugin import hookimpl
from aiops.layers.l2_jobs.container import Container, Wrapping


class Enroot:
    """The kind of container, as `aiops.layers.l2_jobs.container.Container` asks it to be."""

    name = "enroot"
    proof = "rendered, not run"

    def wrap(self, wrapping: Wrapping) -> tuple[str, ...]:
        """The argv of `enroot start`: it keeps user, network and cgroup of who runs it.

        It has no option for the folder to begin in, so a shell inside goes there first. Devices of NVIDIA come by its
        own hook, which reads NVIDIA_VISIBLE_DEVICES; others are in /dev, which it shows anyway.
        """
        options = [
            "--rw",
            *(f"--mount={path}:{path}" for path in wrapping.writable),
            *(f"--mount={path}:{path}:ro" for path in wrapping.devices.driver),
            *(f"--env={name}" for name in wrapping.environment),
            *(("--env=NVIDIA_VISIBLE_DEVICES=all",) if wrapping.devices.vendor == "nvidia" else ()),
        ]
        inside = ("/bin/sh", "-c", 'cd "$0" && exec "$@"', wrapping.folder)
        return ("enroot", "start", *options, wrapping.image, *inside, *wrapping.argv)


@hookimpl
def container() -> Container:
    """The kind of container that this plugin knows."""
    return Enroot()

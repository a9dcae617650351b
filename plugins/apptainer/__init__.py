"""Apptainer (Singularity): `image: apptainer:///shared/image.sif`. Rendered, not run by us."""

from aiops.layers.core.plugin import hookimpl
from aiops.layers.l2_jobs.container import Container, Wrapping

_FLAGS = {"nvidia": ("--nv",), "amd": ("--rocm",)}
"""How it brings in a driver by itself; devices of other makers are in /dev, which it shows anyway."""


class Apptainer:
    """The kind of container, as `aiops.layers.l2_jobs.container.Container` asks it to be."""

    name = "apptainer"
    proof = "rendered, not run"

    def wrap(self, wrapping: Wrapping) -> tuple[str, ...]:
        """The argv of `apptainer exec`: it keeps user, network, cgroup and environment of who runs it."""
        options = [
            *("--no-home", f"--pwd={wrapping.folder}"),
            *(f"--bind={path}" for path in wrapping.writable),
            *(f"--bind={path}:{path}:ro" for path in wrapping.devices.driver),
            *_FLAGS.get(wrapping.devices.vendor or "", ()),
        ]
        return ("apptainer", "exec", *options, wrapping.image, *wrapping.argv)


@hookimpl
def container() -> Container:
    """The kind of container that this plugin knows."""
    return Apptainer()

"""Pyxis, enroot inside Slurm's srun: `image: pyxis://IMAGE` with `launch: srun`. Rendered, not run by us."""

from aiops.layers.core.plugin import hookimpl
from aiops.layers.l2_jobs.container import Container, Wrapping


class Pyxis:
    """The kind of container, as `aiops.layers.l2_jobs.container.Container` asks it to be."""

    name = "pyxis"
    proof = "rendered, not run"

    def wrap(self, wrapping: Wrapping) -> tuple[str, ...]:
        """Words for srun: options of its plugin, then the command."""
        mounts = [
            *(f"{path}:{path}" for path in wrapping.writable),
            *(f"{path}:{path}:ro" for path in wrapping.devices.driver),
        ]
        options = [
            f"--container-image={wrapping.image}",
            f"--container-mounts={','.join(mounts)}",
            f"--container-workdir={wrapping.folder}",
            f"--container-env={','.join(wrapping.environment)}",
            "--no-container-mount-home",
            "--no-container-entrypoint",
        ]
        return (*options, *wrapping.argv)


@hookimpl
def container() -> Container:
    """The kind of container that this plugin knows."""
    return Pyxis()

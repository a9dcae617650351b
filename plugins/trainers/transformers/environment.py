"""The environment `trainer`, which the trainer `aiops` runs in and others may: its lock, as a bundle takes it."""

from importlib.resources import files

from aiops.layers.core.plugin import hookimpl
from aiops.layers.l1_cluster.bundle.lock import Lock

from . import TransformersTrainer

LOCK = "requirements.lock"


@hookimpl
def environments() -> tuple[Lock, ...]:
    """The one, for the Python that its wheels are of."""
    trainer = TransformersTrainer()
    text = files(__package__).joinpath(LOCK).read_text("utf-8")
    origin = f"plugins/trainers/transformers/{LOCK}"
    return (Lock(trainer.environment, text, origin, imports=trainer.imports, python="==3.11.*"),)

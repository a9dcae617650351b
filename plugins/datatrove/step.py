"""A share of a preparation as a step of datatrove's. Imported only where datatrove is."""

from pathlib import Path
from typing import Any

from datatrove.pipeline.base import PipelineStep

from aiops.layers.l3_tuning.data.share import do_apart
from aiops.layers.l3_tuning.data.work import Step


class ShareStep(PipelineStep):  # type: ignore[misc]  # datatrove has no types
    """Does the share of its rank; rows go through the work folder, not through the pipeline."""

    name = "aiops data"
    type = "share"

    def __init__(self, work: str, step: Step) -> None:
        """A step.

        Args:
            work: The work folder.
            step: Which step of the preparation.
        """
        super().__init__()
        self.work = work
        self.step = step

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Any:
        """Do it, and hand nothing on."""
        with self.track_time():
            do_apart(Path(self.work), self.step, rank, world_size)
        return data

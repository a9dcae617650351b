"""A share of a preparation as a step of datatrove's, and who hands it to Slurm. Imported only where datatrove is."""

from pathlib import Path
from typing import Any

from datatrove.executor import SlurmPipelineExecutor
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


class ShareExecutor(SlurmPipelineExecutor):  # type: ignore[misc]  # datatrove has no types
    """datatrove's own, without the job that merges figures nobody reads.

    That would wait for ever for tasks that failed, and write where the work folder is being removed.
    """

    def launch_merge_stats(self) -> None:
        """Hand in nothing."""

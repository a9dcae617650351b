"""Preparing data as a pipeline of datatrove: on this machine, or as arrays of jobs of Slurm.

The steps are ours, so that what comes of it has the same digest and the same bytes as without it. datatrove brings what
large jobs need: tasks that are marked when they are done, so that a pipeline that was cut off goes on with those that
are left, and the executor for Slurm.

`datatrove` runs its tasks as processes here; `datatrove:PARTITION` hands them to a partition of Slurm, of which all
nodes must have the work folder, the data, the model and this Python at the same paths.
"""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiops.layers.core.errors import FailedError, InputError
from aiops.layers.core.plugin import hookimpl
from aiops.layers.l3_tuning.data.data_engine import DataEngine, Told
from aiops.layers.l3_tuning.data.share import forget_troubles, trouble
from aiops.layers.l3_tuning.data.work import CHUNK_ROWS, Step, Work

_LOOK = 2.0
"""Seconds between two looks at how far Slurm's tasks are."""

_MOMENT = 0.5
"""Seconds between two looks at how far those of this machine are."""

_LAST_WORDS = 20.0
"""Seconds after which tasks that are not done, of a job that Slurm does not have any more, have failed: that they are
done may still be on its way through the shared file system."""

_TRIES = 3
"""Jobs that a step is handed in as, at most, each with the tasks that are left, as when a node was lost with its tasks.
No fewer, for NFS may show for a minute what was there before."""

_ANSWER = 60.0
"""Seconds that Slurm has for one answer."""

_PARTITION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_PLAIN = re.compile(r"[\w@+=,./-]+", re.ASCII)
"""What neither a shell, nor Slurm (`%A`), nor fsspec (`::`) takes for something else."""

_TIME = "3-00:00:00"


@dataclass(frozen=True)
class Datatrove:
    """Carries out a step as one pipeline with as many tasks as there are shares.

    Attributes:
        partition: Of Slurm; None for processes of this machine.
    """

    partition: str | None = None
    name: str = "datatrove"

    def on(self, where: str) -> DataEngine:
        """The same on a partition of Slurm.

        Raises:
            InputError: No partition can be called so.
        """
        if _PARTITION.fullmatch(where) is None:
            raise InputError(
                f"`{where}` is no name of a partition of Slurm",
                code="data.engine",
                hints=["see which there are: `sinfo`", "`--engine datatrove` runs on this machine"],
            )
        return Datatrove(where)

    def carry_out(self, work: Path, step: Step, shares: int, told: Told) -> None:
        """Have all shares of one step done.

        Raises:
            InputError: datatrove is not installed, or its script for Slurm could not name a folder.
            FailedError: Slurm refused the job, or ended it before it was done.
        """
        forget_troubles(work, step)
        executor = self.executor(work, step, shares)
        if self.partition is None:
            _here(work, step, shares, told)
            return
        for _ in range(_TRIES):
            try:
                executor.run()
            except (OSError, subprocess.CalledProcessError) as error:
                raise FailedError(
                    f"Slurm took no job for partition {self.partition}: {error}",
                    code="data.slurm",
                    hints=["see which there are: `sinfo`", "try it here: `--engine datatrove`"],
                ) from error
            left = _await(executor, work, step, told)
            if not left:
                return
            executor, last = self.executor(work, step, shares), executor
        raise FailedError(
            f"{_TRIES} jobs of Slurm, the last {last.job_id}, ended with {left} of the tasks of {step} not done",
            code="data.slurm",
            hints=[
                f"see why: `ls {last.slurm_logs_folder}`",
                "type the same again: what is done is not done again",
            ],
        )

    def executor(self, work: Path, step: Step, shares: int) -> Any:
        """The executor of datatrove; nothing runs yet.

        Raises:
            InputError: datatrove is not installed, or its script for Slurm could not name a folder.
        """
        if self.partition is not None:
            _require_plain(work)
        try:
            from datatrove.executor import LocalPipelineExecutor
            from datatrove.utils.logging import logger
        except ImportError as error:
            raise InputError(
                f"datatrove is not there: {error}",
                code="data.datatrove",
                hints=["install it: `pip install 'aiops[datatrove]'`", "or do without: `--engine local`"],
            ) from error
        from .step import ShareExecutor, ShareStep

        logger.remove()  # its words stand in the work folder's logs; stderr is ours
        logs = str(work / "datatrove" / f"{step}-{shares}")
        pipeline = [ShareStep(str(work), step)]
        if self.partition is None:
            return LocalPipelineExecutor(
                pipeline, tasks=shares, workers=shares, logging_dir=logs, start_method="forkserver"
            )
        return ShareExecutor(
            pipeline,
            tasks=shares,
            time=_TIME,
            partition=self.partition,
            job_name=f"aiops-data-{step}",
            qos="",
            venv_path=f"{sys.prefix}/bin/activate",
            logging_dir=logs,
            mail_user=None,
        )


def _require_plain(work: Path) -> None:
    """Refuse paths that datatrove's script for Slurm would say wrongly: it quotes none.

    Raises:
        InputError: One would be taken apart, or run, by the shell.
    """
    ways = {
        work.parent: "name another folder: `--into FOLDER`",
        Path(sys.prefix): "install aiops in another folder",
    }
    for path, way in ways.items():
        if _PLAIN.fullmatch(str(path)) is None:
            raise InputError(
                f"the shell of a job of Slurm would not take {path} for one path",
                code="data.engine",
                hints=[f"{way}, of letters, figures and `_-./` alone", "or do it here: `--engine datatrove`"],
            )


def _here(work: Path, step: Step, shares: int, told: Told) -> None:
    """Run the pipeline in a process of its own, since datatrove has much to say on stderr, and wait for it.

    Raises:
        AiopsError: What a task raised.
        FailedError: It ended otherwise.
    """
    log = work / "datatrove" / f"{step}.log"
    log.parent.mkdir(exist_ok=True)
    words = [sys.executable, "-m", f"{__name__}.pipeline", str(work), step, str(shares)]
    said = 0
    with log.open("wb") as stream:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True
        )
        try:
            while process.poll() is None:
                there = len(Work(work).chunks(step)) * CHUNK_ROWS
                told(there - said)
                said = there
                try:
                    process.wait(_MOMENT)
                except subprocess.TimeoutExpired:
                    continue
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)  # its tasks too; what is done of them stays
            process.wait()
            raise
    error = trouble(work, step)
    if error is not None:
        raise error
    if process.returncode != 0:
        raise FailedError(
            f"the pipeline of the step {step} ended with {process.returncode}",
            code="data.pipeline",
            hints=[f"see why: `tail {log}`"],
        )


def _await(executor: Any, work: Path, step: Step, told: Told) -> int:
    """Wait for the tasks of a job of Slurm; how many are not done although it ended.

    Raises:
        AiopsError: What a task raised.
    """
    try:
        return _left(executor, work, step, told)
    except BaseException:
        _cancel(executor.job_id)  # nobody waits for it any more; what is done of it stays
        raise


def _left(executor: Any, work: Path, step: Step, told: Told) -> int:
    said, gone = 0, 0.0
    while left := executor.get_incomplete_ranks(skip_completed=True):
        there = len(Work(work).chunks(step)) * CHUNK_ROWS
        told(there - said)
        said = there
        error = trouble(work, step)
        if error is not None:
            raise error
        gone = gone + _LOOK if not _queued(executor.job_id) else 0.0
        if gone > _LAST_WORDS:
            return len(left)
        time.sleep(_LOOK)
    return 0


def _cancel(job: Any) -> None:
    with suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(["scancel", str(job)], capture_output=True, timeout=_ANSWER, check=False)


def _queued(job: str) -> bool:
    """Whether Slurm has a job that waits or runs; of what it does not answer nothing is concluded."""
    words = ["squeue", "-h", "-j", str(job)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_ANSWER, check=False)
    except (subprocess.TimeoutExpired, OSError):
        return True
    if done.returncode != 0:
        return "Invalid job id" not in done.stderr
    return bool(done.stdout.strip())


@hookimpl
def data_engine() -> DataEngine:
    """The pipeline of datatrove."""
    return Datatrove()

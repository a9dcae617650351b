"""The seam for those who carry out a preparation: here, or a pipeline of somebody else's on many machines.

An engine has shares done and decides nothing. What comes of a share depends on the work folder alone, so all engines
give the same bytes. `tests/l3_tuning/data/data_engine_contract.py` is what all do alike.
"""

from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol

from aiops.layers.core.errors import FailedError, InputError
from aiops.layers.core.plugin import Plugins, hookspec

from .share import ShareError, do, do_apart, forget_troubles, trouble
from .work import CHUNK_ROWS, Step, Work

KIND = "data_engine"
LOCAL = "local"
_LOOK = 0.5
"""Seconds between two looks at how far others are."""

Told = Callable[[int], None]


class DataEngine(Protocol):
    """Who carries out the steps of a preparation."""

    @property
    def name(self) -> str:
        """As in `--engine local`."""
        ...

    def on(self, where: str) -> "DataEngine":
        """The engine for what stands behind a colon: `research` of `--engine datatrove:research`.

        Raises:
            InputError: It does not know such a place.
        """
        ...

    def carry_out(self, work: Path, step: Step, shares: int, told: Told) -> None:
        """Have all shares of one step done, and come back when they are.

        Args:
            work: The work folder, where all who do a share see it.
            step: Which step.
            shares: How many may work at once.
            told: Told how many more rows are done; an engine that cannot know tells nothing.

        Raises:
            AiopsError: What a share raised, or it could not be carried out.
        """
        ...


class DataEngineHooks:
    """What a plugin of the kind `data_engine` implements."""

    @hookspec
    def data_engine(self) -> DataEngine:  # type: ignore[empty-body]
        """The engine that it brings."""


class LocalEngine:
    """Processes of this machine; one share is done by this process itself."""

    name = LOCAL

    def on(self, where: str) -> DataEngine:
        """There is only here.

        Raises:
            InputError: Always.
        """
        raise InputError(
            f"the engine local runs here, not on `{where}`", code="data.engine", hints=["`--engine local --jobs 8`"]
        )

    def carry_out(self, work: Path, step: Step, shares: int, told: Told) -> None:
        """Have all shares done by as many processes.

        Raises:
            AiopsError: What a share raised.
            FailedError: A process was ended from outside, as the system does where memory is short.
        """
        if shares == 1:
            do(work, step, 0, 1, told)
            return
        try:
            self._shared(work, step, shares, told)
        except BrokenProcessPool as error:
            raise FailedError(
                f"one of {shares} processes of the step {step} was ended from outside, as where memory is short",
                code="data.killed",
                hints=[
                    "see whether the system did it: `journalctl -k | grep -i 'out of memory'`",
                    f"type the same with fewer than `--jobs {shares}`: what is done is not done again",
                    "of a recipe: prepare it apart, `aiops data prepare`, and name the folder in `data.train`",
                ],
            ) from error

    def _shared(self, work: Path, step: Step, shares: int, told: Told) -> None:
        of = Work(work)
        forget_troubles(work, step)
        with ProcessPoolExecutor(shares, get_context("spawn"), _alone) as pool:
            left: set[Future[None]] = {pool.submit(do_apart, work, step, rank, shares) for rank in range(shares)}
            said = 0
            try:
                while left:
                    done, left = wait(left, _LOOK)
                    for one in done:
                        _ended(one, work, step)
                    there = len(of.chunks(step)) * CHUNK_ROWS  # about: the last of a file has fewer
                    told(there - said)
                    said = there
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


def data_engine(plugins: Plugins, name: str) -> DataEngine:
    """The engine of that name, `NAME` or `NAME:WHERE`.

    Raises:
        InputError: There is none, or it knows no such place.
        PluginError: It cannot be used.
    """
    name, colon, where = name.partition(":")
    known = [LOCAL, *(plugin.name for plugin in plugins.names(KIND))]
    if name not in known:
        raise InputError(
            f"there is no engine `{name}` for data", code="data.engine", hints=[f"known are {', '.join(known)}"]
        )
    local: DataEngine = LocalEngine()
    found = [] if name == LOCAL else plugins.hooks(KIND, DataEngineHooks).data_engine()
    engine: DataEngine = next(one for one in (local, *found) if one.name == name)
    return engine.on(where) if colon else engine


def _ended(share: Future[None], work: Path, step: Step) -> None:
    """Raise what a share has raised."""
    try:
        share.result()
    except ShareError as error:
        raise trouble(work, step) or error from None


def _alone() -> None:
    """One of many: the tokenizer is not to have threads of its own for every processor in each."""
    import os

    os.environ["TOKENIZERS_PARALLELISM"] = "false"

"""The seam for those who carry out a preparation: here, or a pipeline of somebody else's on many machines.

An engine has shares done and decides nothing. What comes of a share depends on the work folder alone, so all engines
give the same bytes. `tests/l3_tuning/data/data_engine_contract.py` is what all do alike.
"""

from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol

from aiops.layers.core.errors import InputError
from aiops.layers.core.plugin import Plugins, hookspec

from .share import do
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

    def carry_out(self, work: Path, step: Step, shares: int, told: Told) -> None:
        """Have all shares done by as many processes."""
        if shares == 1:
            do(work, step, 0, 1, told)
            return
        of = Work(work)
        with ProcessPoolExecutor(shares, get_context("spawn"), _alone) as pool:
            left: set[Future[None]] = {pool.submit(_quietly, work, step, rank, shares) for rank in range(shares)}
            said = 0
            try:
                while left:
                    done, left = wait(left, _LOOK)
                    for one in done:
                        one.result()
                    there = len(of.chunks(step)) * CHUNK_ROWS  # about: the last of a file has fewer
                    told(there - said)
                    said = there
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


def data_engine(plugins: Plugins, name: str) -> DataEngine:
    """The engine of that name.

    Raises:
        InputError: There is none.
        PluginError: It cannot be used.
    """
    if name == LOCAL:
        return LocalEngine()
    known = [LOCAL, *(plugin.name for plugin in plugins.names(KIND))]
    if name not in known:
        raise InputError(
            f"there is no engine `{name}` for data", code="data.engine", hints=[f"known are {', '.join(known)}"]
        )
    found: list[DataEngine] = plugins.hooks(KIND, DataEngineHooks).data_engine()
    return next(one for one in found if one.name == name)


def _quietly(work: Path, step: Step, rank: int, of: int) -> None:
    do(work, step, rank, of, lambda _: None)


def _alone() -> None:
    """One of many: the tokenizer is not to have threads of its own for every processor in each."""
    import os

    os.environ["TOKENIZERS_PARALLELISM"] = "false"

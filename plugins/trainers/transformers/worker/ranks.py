"""Ranks: the processes of a run, and what they add up together."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from .work import RefusedError, Work

WAIT = timedelta(minutes=30)
"""The longest that ranks wait for each other: evaluations and saves lie between."""

_BUCKET = 1 << 23
"""Numbers that are added up in one go."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """Which process this is, and of how many."""

    rank: int
    world: int
    device: Any

    @property
    def first(self) -> bool:
        """Whether this one writes what is written once."""
        return self.rank == 0

    def sum(self, *numbers: float) -> list[float]:
        """Each number added up over all ranks. Whole numbers are exact up to 2^53."""
        if self.world == 1:
            return list(numbers)
        told = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        dist.all_reduce(told)
        return [float(one) for one in told.tolist()]

    def gather(self, value: Any) -> list[Any]:
        """What each rank says, on all."""
        if self.world == 1:
            return [value]
        found: list[Any] = [None] * self.world
        dist.all_gather_object(found, value)
        return found

    def wait(self) -> None:
        """Wait for all."""
        if self.world > 1:
            dist.barrier()

    def add_gradients(self, parameters: Iterable[Any]) -> None:
        """Add the gradients of all ranks up.

        DistributedDataParallel does it too, while the backward pass runs, but lays its buckets out anew after the first
        step; with three ranks and more the order of sums depends on that, and a resumed run would differ in its last
        bits. Here the layout is the parameters' own order, always.
        """
        if self.world == 1:
            return
        waiting: list[Any] = []
        size = 0
        for one in parameters:
            if one.grad is None:
                one.grad = torch.zeros_like(one)
            waiting.append(one.grad)
            size += one.grad.numel()
            if size >= _BUCKET:
                _add(waiting)
                waiting, size = [], 0
        if waiting:
            _add(waiting)


def _add(gradients: list[Any]) -> None:
    flat = torch.cat([one.reshape(-1).float() for one in gradients])
    dist.all_reduce(flat)
    for one, added in zip(gradients, flat.split([each.numel() for each in gradients]), strict=True):
        one.copy_(added.view_as(one))


def meet(work: Work) -> Ranks:
    """Meet the other processes, as torchrun has told where.

    Raises:
        RefusedError: They are not as many as the run is made for.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    if world != work.world:
        raise RefusedError(f"the run is made for {work.world} processes, and these are {world}")
    device = torch.device("cpu")
    if work.devices:
        kind = torch.accelerator.current_accelerator()
        if kind is None:
            raise RefusedError(
                "torch finds no accelerator here, and the recipe asks for devices: is it torch for CPUs?"
            )
        device = torch.device(kind.type, int(os.environ.get("LOCAL_RANK", "0")))
        torch.accelerator.set_device_index(device.index)
    if world > 1:
        dist.init_process_group(dist.get_default_backend_for_device(device), timeout=WAIT)
    return Ranks(rank, world, device)


def part(ranks: Ranks) -> None:
    """Part from the others: nobody leaves while another still waits for it."""
    if ranks.world > 1:
        dist.barrier()
        dist.destroy_process_group()

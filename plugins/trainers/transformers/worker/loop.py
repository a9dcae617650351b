"""Loop: steps from where a run is to its end, each depending on nothing but what a checkpoint holds."""

import math
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch.amp.grad_scaler import GradScaler

from aiops import checkpoint

from . import state
from .batch import Batch, batch_of
from .loss import preference_loss, token_loss
from .model import Model
from .optimizer import optimizer_of, rate_at
from .ranks import Ranks
from .samples import Samples, Sequenced, Share, digest, seed_of
from .trace import Trace
from .verdict import refuse_diverged
from .work import Work


class Loop:
    """The training of one run, on one rank."""

    def __init__(self, work: Work, ranks: Ranks, model: Model, samples: Samples) -> None:
        """Begin at step 0.

        Args:
            work: The run.
            ranks: Which of its processes this is.
            model: As it is before the first step.
            samples: What is learnt from.
        """
        self.work = work
        self.ranks = ranks
        self.model = model
        self.samples = samples
        self.step = 0
        self.optimizer = optimizer_of(work, model.trained)
        self.scaler = GradScaler(ranks.device.type, enabled=work.precision == "fp16")
        self._share = Share(work.seed, len(samples), ranks.world, work.batch, work.accumulate)

    def resume(self, folder: Path, step: int) -> None:
        """Go on from a checkpoint."""
        state.load(folder, self.ranks, self.model, self.optimizer, self.scaler)
        self.step = step

    def run(self) -> bool:
        """Train to the end; False where it was asked to stop before, and what was done is saved."""
        work, ranks, folder = self.work, self.ranks, Path(self.work.folder)
        metrics = Trace(folder / "metrics.jsonl", self.step) if ranks.first else None
        traced = Trace(folder / f"samples-{ranks.rank}.jsonl", self.step) if work.trace else None
        saved = self.step
        while self.step < work.steps:
            begun = time.monotonic()
            passes = [
                (numbers, [self.samples.sequences(one) for one in numbers])
                for numbers in self._share.passes(self.step, ranks.rank)
            ]
            flat = [[one for sample in each for one in sample] for _, each in passes]
            line, stop = self._one(flat)
            self.step += 1
            line = {"step": self.step, **line, "seconds": round(time.monotonic() - begun, 4)}
            line["epoch"] = round(self._share.epoch(self.step - 1), 4)
            checkpoint.progress(
                self.step, loss=float(line["loss"]), total=work.steps, tokens=int(line["tokens"]) // ranks.world
            )
            if metrics and (self.step % work.log_every == 0 or self.step == work.steps):
                metrics.add(line)
                print(f"step {self.step}/{work.steps} loss {line['loss']:.6f}", flush=True)  # noqa: T201 - the log
            if traced:
                read = [
                    {"samples": numbers, "digest": digest(all_)}
                    for (numbers, _), all_ in zip(passes, flat, strict=True)
                ]
                traced.add({"step": self.step, "rank": ranks.rank, "passes": read})
            if self.step % work.every == 0 or self.step == work.steps or stop:
                state.save(work, ranks, self.model, self.optimizer, self.scaler, step=self.step)
                saved = self.step
            if stop and self.step < work.steps:
                break
        for one in (metrics, traced):
            if one:
                one.close()
        return saved >= work.steps

    def _one(self, passes: list[list[Sequenced]]) -> tuple[dict[str, float], bool]:
        """One step; what is told of it, and whether any rank is to stop.

        Raises:
            RefusedError: The model has diverged; the weights are as they were before the step.
        """
        work, ranks = self.work, self.ranks
        torch.manual_seed(seed_of(work.seed, self.step, ranks.rank))
        flat = work.packed and work.attention == "flash"
        batches = [batch_of(one, ranks.device, flat=flat) for one in passes]
        counted = sum(len(one) // 2 for one in passes) if work.method == "dpo" else sum(one.counted for one in batches)
        read = sum(len(one.tokens) for each in passes for one in each)
        whole, tokens, stops = ranks.sum(counted, read, float(checkpoint.stop_requested()))
        # FSDP divides what it adds up by the number of ranks.
        share = (ranks.world if self.model.split else 1) / max(whole, 1)
        total = 0.0
        self.optimizer.zero_grad(set_to_none=True)
        for batch in batches:
            with self.calculating():
                loss = self._loss(batch)
            self.scaler.scale(loss * share).backward()
            total += float(loss.detach())
        if not self.model.split:
            ranks.add_gradients(self.model.trained.values())
        self.scaler.unscale_(self.optimizer)  # behind the sum, so that all ranks find the same numbers too large
        norm = self._clipped()
        (loss_sum,) = ranks.sum(total)
        # Before the weights are touched; all ranks see the same, so all leave.
        refuse_diverged("loss", loss_sum, f"step {self.step + 1}")
        if not self.scaler.is_enabled():  # which leaves out steps whose gradients are too large for fp16
            refuse_diverged("norm of the gradients", norm, f"step {self.step + 1}")
        rate = rate_at(work, self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.scaler.step(self.optimizer)
        self.scaler.update()
        told = {"loss": loss_sum / max(whole, 1), "rate": rate, "tokens": tokens}
        if math.isfinite(norm):
            told["grad_norm"] = norm
        return told, stops > 0

    def _loss(self, batch: Batch) -> Any:
        if self.work.method != "dpo":
            return token_loss(self.model.net, batch)
        assert self.model.reference is not None  # noqa: S101 - `model.load` makes one for this method
        loss, _ = preference_loss(self.model.net, self.model.reference, batch, self.work.beta)
        return loss

    def calculating(self) -> AbstractContextManager[Any]:
        """In which type is calculated, in training and wherever the model is judged by what it shows."""
        if self.model.calculating is None:
            return nullcontext()
        found: AbstractContextManager[Any] = torch.autocast(self.ranks.device.type, self.model.calculating)
        return found

    def let_go(self) -> None:
        """Let go what only steps need: gradients, and what the optimizer remembers."""
        self.optimizer.zero_grad(set_to_none=True)
        self.optimizer.state.clear()

    def _clipped(self) -> float:
        """Cut gradients to the recipe's norm; the norm that they had."""
        norm: Any = torch.nn.utils.clip_grad_norm_(self.model.trained.values(), self.work.clip or math.inf)
        return float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)

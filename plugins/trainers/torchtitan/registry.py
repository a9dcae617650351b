"""What torchtitan is told of a run: `--module torchtitan_recipe --config recipe`. It runs in torchtitan's environment.

What its command line knows is said there, and checked by it; here is what it takes only as Python: the model, the rows,
the optimizer's groups, and two of its own parts that are told where to go on from and where to report. It lies in the
run's folder beside `handover.py`, and is given TORCHTITAN_RECIPE, a file of settings.
"""

import importlib
import json
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import load_dataset
from handover import tell
from torchtitan.components.checkpoint import CheckpointManager
from torchtitan.components.loss import ChunkedLossWrapper, CrossEntropyLoss
from torchtitan.components.metrics import MetricsProcessor
from torchtitan.components.optimizer import default_adamw
from torchtitan.components.validate import Validator
from torchtitan.distributed.activation_checkpoint import FullAC
from torchtitan.hf_datasets import DatasetConfig
from torchtitan.hf_datasets.text_datasets import DATASETS, ChatDataLoader, HuggingFaceTextDataLoader
from torchtitan.models.common.config_utils import decoder_vocab_size
from torchtitan.trainer import Trainer

_ROWS = "rows"
"""The name under which it finds our file of text; all that it has are its own."""


class VerifiedCheckpoints(CheckpointManager):  # type: ignore[misc]
    """Goes on from the checkpoint that was verified, or from the base; never from one that only looks whole."""

    @dataclass(kw_only=True, slots=True)
    class Config(CheckpointManager.Config):  # type: ignore[misc]
        """The same."""

    def _find_load_step(self, folder: str = "") -> int:  # noqa: ARG002 - its own signature
        return step_of(os.environ.get("AIOPS_RESUME", ""))


class ReportedMetrics(MetricsProcessor):  # type: ignore[misc]
    """Says each step as all jobs do, and writes it into the run's metrics."""

    @dataclass(kw_only=True, slots=True)
    class Config(MetricsProcessor.Config):  # type: ignore[misc]
        """The same."""

    def log(
        self, step: int, global_avg_loss: float, global_max_loss: float, grad_norm: float, extra_metrics: Any = None
    ) -> None:
        """Its own line, then ours."""
        seconds = time.perf_counter() - self.time_last_log
        super().log(step, global_avg_loss, global_max_loss, grad_norm, extra_metrics)
        if torch.distributed.get_rank() == 0:
            said = settings()
            line = {
                "step": step,
                "loss": global_avg_loss,
                "rate": (extra_metrics or {}).get("lr/AdamW"),
                "tokens": None,
                "seconds": round(seconds, 3),
                "epoch": None,
                "grad_norm": grad_norm,
            }
            tell(line, said["steps"], said["metrics"])


def step_of(path: str) -> int:
    """The step of a checkpoint's folder; -1 for none."""
    found = re.search(r"step-(\d+)/?$", path)
    return int(found[1]) if found else -1


def settings() -> dict[str, Any]:
    """What the run says."""
    found: dict[str, Any] = json.loads(Path(os.environ["TORCHTITAN_RECIPE"]).read_text("utf-8"))
    return found


def recipe() -> Any:
    """The settings that no word of the command line says; those that one says are checked when it is read."""
    said = settings()
    models = importlib.import_module(f"torchtitan.models.{said['model']}")
    model = models.model_registry(said["flavor"], attn_backend=said["attention"])
    held_out = said["evaluation"]
    return Trainer.Config(
        model_spec=model,
        loss=ChunkedLossWrapper.Config(loss_fn=CrossEntropyLoss.Config(global_vocab_size=decoder_vocab_size(model))),
        optimizer=default_adamw(lr=said["rate"], betas=(0.9, 0.999), weight_decay=said["weight_decay"]),
        dataloader=_loader(said["method"], said["rows"], "train"),
        validator=Validator.Config(
            enable=held_out is not None,
            freq=said["every"],
            steps=said["evaluation_steps"],
            dataloader=_loader(said["method"], held_out or said["rows"], "evaluation"),
        ),
        metrics=ReportedMetrics.Config(),
        checkpoint=VerifiedCheckpoints.Config(),
        activation_checkpoint=FullAC.Config() if said["recompute"] else None,
    )


def _loader(method: str, rows: str, part: str) -> Any:
    if method == "sft":
        return ChatDataLoader.Config(
            dataset_path="json",
            load_dataset_kwargs={"data_files": rows, "split": "train"},
            sample_processor=_messages,
        )
    name = f"{_ROWS}_{part}"
    DATASETS[name] = DatasetConfig(path=rows, loader=_text_rows, sample_processor=_text)
    return HuggingFaceTextDataLoader.Config(dataset=name, dataset_path=rows)


def _text_rows(path: str) -> Any:
    return load_dataset("json", data_files=path, split="train")


def _messages(sample: dict[str, Any]) -> Any:
    return sample["messages"]


def _text(sample: dict[str, Any]) -> Any:
    return sample["text"]

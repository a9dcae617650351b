"""Who writes the checkpoints that benchmarks kill and cut off: our library and each real one, alone and together.

Each saves a small model of a step, the same bytes each time. `alone` is what the library does by itself, `sealed` what
it does under `aiops.checkpoint`: within `save`, or followed by the callback's seal (Trainer).
"""

import gc
import hashlib
import json
import logging
import random
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiops import checkpoint


@dataclass(frozen=True)
class Writer:
    """One way to write a checkpoint.

    Attributes:
        name: `torch.save`, `torch.save sealed` ...
        sealed: Whether a manifest is written.
        save: Writes the checkpoint of a step into a folder of checkpoints.
        place: The checkpoint of a step in it: a folder or a file.
    """

    name: str
    sealed: bool
    save: Callable[[Path, int], object]
    place: Callable[[int], str]


def library(name: str) -> str:
    """Whose format a writer of that name writes."""
    return name.partition(",")[0].removesuffix(" sharded")


def _bytes(step: int, name: str, size: int) -> bytes:
    block = hashlib.sha256(f"{step} {name}".encode()).digest()
    return (block * (size // len(block) + 1))[:size]


def _files(step: int, rank: int = 0) -> Callable[[str], None]:
    def write(folder: str) -> None:
        Path(folder, f"weights-{rank}.bin").write_bytes(_bytes(step, f"w{rank}", 9000))
        Path(folder, "state").mkdir()
        Path(folder, "state", f"optimizer-{rank}.bin").write_bytes(_bytes(step, f"o{rank}", 5000))

    return write


def _step(step: int) -> str:
    return f"step-{step}"


def _ranks(folder: Path, step: int) -> None:
    def save(rank: int) -> None:
        checkpoint.save(folder, step, _files(step, rank), rank=rank, world_size=3, timeout=3.0)

    threads = [threading.Thread(target=save, args=(rank,)) for rank in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()


def _ours() -> Iterator[Writer]:
    yield Writer("ours", True, lambda folder, step: checkpoint.save(folder, step, _files(step)), _step)
    yield Writer("ours, keep 2", True, lambda folder, step: checkpoint.save(folder, step, _files(step), keep=2), _step)
    yield Writer("ours, 3 ranks", True, _ranks, _step)


def _pair(name: str, write: Callable[[str, int], object], form: str) -> Iterator[Writer]:
    """A library that writes into a folder that it is given: alone, and within our save."""

    def alone(folder: Path, step: int) -> None:
        (folder / _step(step)).mkdir(exist_ok=True)
        write(str(folder / _step(step)), step)

    def sealed(folder: Path, step: int) -> None:
        checkpoint.save(folder, step, lambda place: write(place, step), format=form)

    yield Writer(name, False, alone, _step)
    yield Writer(f"{name}, sealed", True, sealed, _step)


def _torch() -> Iterator[Writer]:
    import torch
    import torch.distributed.checkpoint as dcp

    torch.set_num_threads(1)

    def state(step: int) -> dict[str, Any]:
        torch.manual_seed(step)
        return {"model": {"w": torch.randn(40, 30), "b": torch.randn(30)}, "optimizer": {"m": torch.randn(40, 30)}}

    yield from _pair("torch.save", lambda place, step: torch.save(state(step), f"{place}/model.pt"), "torch")
    yield from _pair("torch DCP", lambda place, step: dcp.save(state(step), checkpoint_id=place), "dcp")


def _safetensors() -> Iterator[Writer]:
    import torch
    from safetensors.torch import save_file

    def write(place: str, step: int) -> None:
        torch.manual_seed(step)
        for shard in (1, 2):
            save_file({f"w{shard}": torch.randn(40, 30)}, f"{place}/model-0000{shard}-of-00002.safetensors")
        index = {
            "metadata": {},
            "weight_map": {f"w{shard}": f"model-0000{shard}-of-00002.safetensors" for shard in (1, 2)},
        }
        Path(place, "model.safetensors.index.json").write_text(json.dumps(index))

    yield from _pair("safetensors sharded", write, "safetensors")


def _small_model() -> Any:
    import transformers

    return transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=32,
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
        )
    )


def _reset(model: Any, step: int) -> None:
    import numpy as np
    import torch

    torch.manual_seed(step)
    random.seed(step)  # the Trainer keeps all three
    np.random.seed(step)  # noqa: NPY002
    with torch.no_grad():
        for one in model.parameters():
            one.copy_(torch.randn(one.shape))


def _trainer() -> Iterator[Writer]:
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    data = [{"input_ids": torch.tensor([1, 2, 3]), "labels": torch.tensor([1, 2, 3])}] * 2
    scratch = tempfile.mkdtemp()
    arguments = transformers.TrainingArguments(
        output_dir=scratch,
        max_steps=1,
        per_device_train_batch_size=1,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        logging_strategy="no",
    )
    trainer = transformers.Trainer(model=_small_model(), args=arguments, train_dataset=data)
    trainer.train()  # so that it has an optimizer with a state
    callback = checkpoint.Callback()

    def save(folder: Path, step: int) -> None:
        trainer.args.output_dir = str(folder)
        trainer.state.global_step = step
        _reset(trainer.model, step)
        trainer._save_checkpoint(trainer.model, trial=None)  # noqa: SLF001 - what its loop calls

    def sealed(folder: Path, step: int) -> None:
        save(folder, step)
        callback.on_save(trainer.args, trainer.state, trainer.control)

    def place(step: int) -> str:
        return f"checkpoint-{step}"

    yield Writer("transformers Trainer", False, save, place)
    yield Writer("transformers Trainer, sealed", True, sealed, place)


def _peft() -> Iterator[Writer]:
    import peft

    model = peft.get_peft_model(_small_model(), peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))

    def write(place: str, step: int) -> None:
        _reset(model, step)
        model.save_pretrained(place)

    yield from _pair("peft", write, "peft")


def _lightning() -> Iterator[Writer]:
    import lightning
    import torch

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")

    class Module(lightning.LightningModule):  # type: ignore[misc,unused-ignore] # not everywhere installed
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(30, 20)
            self.step = 0

        def training_step(self, batch: Any) -> Any:
            return self.layer(batch).sum()

        def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
            checkpoint["global_step"] = self.step  # of the one step that was trained it would be 1 each time

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters())

    module = Module()
    trainer = lightning.Trainer(
        max_steps=1,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, torch.utils.data.DataLoader(torch.randn(2, 30), num_workers=0))

    def write(place: str, step: int) -> None:
        _reset(module, step)
        module.step = step
        trainer.save_checkpoint(f"{place}/state.ckpt")

    yield from _pair("lightning", write, "lightning")


def writers(asked: list[str] | None, missing: dict[str, str]) -> Iterator[Writer]:
    """The writers whose library is here. Each is imported when its turn comes: forks of a small process are quick.

    Args:
        asked: Only those whose name begins with one of these; None for all.
        missing: Is told why the others are not.
    """
    makers = {
        "ours": _ours,
        "torch": _torch,
        "safetensors": _safetensors,
        "peft": _peft,
        "transformers": _trainer,
        "lightning": _lightning,
    }
    for begin, make in makers.items():
        if asked and not any(name.startswith(begin) or begin.startswith(name) for name in asked):
            continue
        try:
            found = list(make())
        except ImportError as error:
            missing[begin] = str(error)
            continue
        gc.freeze()
        yield from (one for one in found if not asked or any(one.name.startswith(name) for name in asked))


def versions() -> dict[str, str]:
    """Of the libraries that are here."""
    from importlib.metadata import PackageNotFoundError, version

    known = {}
    for name in ("torch", "safetensors", "transformers", "peft", "accelerate", "lightning"):
        try:
            known[name] = version(name)
        except PackageNotFoundError:
            continue
    return known

"""Records real saves as fixtures, saves/NAME.tar.xz: `python -m tests.l2_jobs.checkpoint.record_saves [NAME ...]`.

Needs torch, safetensors, transformers, peft, accelerate, lightning and deepspeed; none is needed to run the tests. Each
fixture has the same two steps, 10 and 20, of a model with a few hundred weights. What is not saved by the library
itself but only laid out as its source says is called NAME-source.
"""

import io
import os
import shutil
import sys
import tarfile
import tempfile
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

SAVES = Path(__file__).with_name("saves")
STEPS = (10, 20)
WORLD = 2
_EPOCH = 1_700_000_000


def pack(name: str, folder: Path) -> None:
    """Write a folder as a fixture, the same bytes for the same files."""

    def plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        info.mtime = _EPOCH
        return info

    SAVES.mkdir(exist_ok=True)
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() or path.is_symlink():
                archive.add(path, str(path.relative_to(folder)), filter=plain)
    import lzma

    target = SAVES / f"{name}.tar.xz"
    target.write_bytes(lzma.compress(raw.getvalue(), preset=9 | lzma.PRESET_EXTREME))
    print(name, target.stat().st_size, file=sys.stderr)  # noqa: T201


def model(seed: int = 0) -> Any:
    import torch

    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 4))


def state(step: int) -> dict[str, Any]:
    import torch

    one = model(step)
    optimizer = torch.optim.AdamW(one.parameters())
    one(torch.ones(2, 6)).sum().backward()
    optimizer.step()
    return {"step": step, "model": one.state_dict(), "optimizer": optimizer.state_dict()}


# torch


def torch_(root: Path) -> None:
    import torch

    for step in STEPS:
        torch.save(state(step), root / f"step_{step}.pt")


def torch_ranks(root: Path) -> None:
    import torch

    for step in STEPS:
        folder = root / f"step-{step}"
        folder.mkdir()
        for rank in range(3):
            torch.save(state(step + rank), folder / f"rank{rank}.pt")


def torch_stream(root: Path) -> None:
    import torch

    for step in STEPS:
        torch.save(state(step), root / f"step_{step}.pt", _use_new_zipfile_serialization=False)


def torch_without_sums(root: Path) -> None:
    import torch

    torch.serialization.set_crc32_options(False)
    try:
        torch_(root)
    finally:
        torch.serialization.set_crc32_options(True)


# torch.distributed.checkpoint, in two processes


def _ranks(work: Callable[[int, str], None], root: Path) -> None:
    import torch.multiprocessing as processes

    with tempfile.TemporaryDirectory() as folder:
        processes.spawn(_rank, args=(work, str(root), f"{folder}/store"), nprocs=WORLD)


def _rank(rank: int, work: Callable[[int, str], None], root: str, store: str) -> None:
    import torch.distributed as dist

    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(WORLD))
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=WORLD)
    work(rank, root)
    dist.destroy_process_group()


def _dcp_rank(rank: int, root: str) -> None:
    import torch
    import torch.distributed.checkpoint as dcp
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Shard, distribute_tensor

    mesh = init_device_mesh("cpu", (WORLD,))
    for step in STEPS:
        whole = state(step)
        sharded = {
            "model": {name: distribute_tensor(one, mesh, [Shard(0)]) for name, one in whole["model"].items()},
            "optimizer": whole["optimizer"],
            "train_state": {"step": torch.tensor(step), "note": "plain"},
        }
        dcp.save(sharded, checkpoint_id=f"{root}/step-{step}")


def dcp(root: Path) -> None:
    _ranks(_dcp_rank, root)


# safetensors


def safetensors(root: Path) -> None:
    from safetensors.torch import save_file

    for step in STEPS:
        save_file(model(step).state_dict(), str(root / f"step_{step}.safetensors"), metadata={"step": str(step)})


def safetensors_sharded(root: Path) -> None:
    from huggingface_hub import save_torch_state_dict

    for step in STEPS:
        folder = root / f"step-{step}"
        folder.mkdir()
        save_torch_state_dict(model(step).state_dict(), folder, max_shard_size=200)


# transformers, peft


def _trainer(root: Path, change: Callable[[Any], Any] = lambda one: one, **options: Any) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

    torch.manual_seed(0)
    sizes = {"vocab_size": 16, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    network = LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=1, num_key_value_heads=1))
    rows = [{"input_ids": torch.arange(8) % 16, "labels": torch.arange(8) % 16}] * 40
    arguments = TrainingArguments(
        output_dir=str(root), max_steps=STEPS[-1], save_steps=STEPS[0], per_device_train_batch_size=1, report_to=[],
        use_cpu=True, disable_tqdm=True, logging_steps=10, **options,
    )  # fmt: skip
    Trainer(model=change(network), args=arguments, train_dataset=rows).train()


def hf_trainer(root: Path) -> None:
    _trainer(root)


def hf_trainer_weights_only(root: Path) -> None:
    _trainer(root, save_only_model=True)


def _lora(network: Any) -> Any:
    from peft import LoraConfig, get_peft_model

    return get_peft_model(network, LoraConfig(r=2, target_modules=["q_proj"]))


def hf_trainer_peft(root: Path) -> None:
    _trainer(root, _lora)


def peft(root: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    for step in STEPS:
        network = LlamaForCausalLM(
            LlamaConfig(vocab_size=16, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
        )
        _lora(network).save_pretrained(root / f"step-{step}")


# lightning


def lightning(root: Path) -> None:
    import torch
    from lightning import LightningModule, Trainer
    from lightning.pytorch.callbacks import ModelCheckpoint

    class Module(LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.inner = model()

        def training_step(self, batch: Any, _number: int) -> Any:
            return self.inner(batch).sum()

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters())

    keep = ModelCheckpoint(dirpath=root, every_n_train_steps=STEPS[0], save_top_k=-1, save_last="link")
    rows = torch.utils.data.DataLoader(torch.ones(40, 6))
    trainer = Trainer(
        max_steps=STEPS[-1], callbacks=[keep], logger=False, accelerator="cpu", enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=root,
    )  # fmt: skip
    trainer.fit(Module(), rows)


# deepspeed, in two processes. Saves of megatron-core 0.16 need a GPU, so that its layouts come from its source


_STAGE = 1


def _deepspeed_rank(_rank: int, root: str) -> None:
    import deepspeed
    import torch

    sys.modules["deepspeed.comm.torch"].build_shm_op = lambda: None  # type: ignore[attr-defined]  # compiled; only speed
    settings = {
        "train_batch_size": WORLD,
        "zero_optimization": {"stage": _STAGE},
        "zero_allow_untested_optimizer": True,
    }
    network = model()
    optimizer = torch.optim.Adam(network.parameters())
    engine, *_ = deepspeed.initialize(model=network, optimizer=optimizer, config=settings)
    for step in range(1, STEPS[-1] + 1):
        engine.backward(engine(torch.ones(1, 6)).sum())
        engine.step()
        if step in STEPS:
            engine.save_checkpoint(root)


def deepspeed(root: Path) -> None:
    os.environ.update(DS_ACCELERATOR="cpu", MASTER_ADDR="127.0.0.1", MASTER_PORT="29541")
    _ranks(_deepspeed_rank, root)


# layouts as the sources say


def _zero(folder: Path, step: int) -> None:
    import torch

    folder.mkdir()
    sizes = {"dp_world_size": 2, "mp_world_size": 2, "global_steps": step}
    for column in range(2):
        torch.save({"module": model(step).state_dict(), **sizes}, folder / f"mp_rank_{column:02}_model_states.pt")
        for row in range(2):
            name = f"bf16_zero_pp_rank_{row}_mp_rank_{column:02}_optim_states.pt"
            torch.save({"optimizer_state_dict": state(step + row)["optimizer"], "ds_version": "0.18"}, folder / name)


def deepspeed_source(root: Path) -> None:
    for step in STEPS:
        _zero(root / f"global_step{step}", step)
        (root / "latest").write_text(f"global_step{step}")
    (root / "zero_to_fp32.py").write_text("# copied beside by the engine\n")


def megatron_source(root: Path) -> None:
    from argparse import Namespace

    import torch

    for step in STEPS:
        for tensor in range(2):
            for pipeline in range(2):
                folder = root / f"iter_{step:07}" / f"mp_rank_{tensor:02}_{pipeline:03}"
                folder.mkdir(parents=True)
                sizes = Namespace(tensor_model_parallel_size=2, pipeline_model_parallel_size=2, world_size=4)
                whole = {"args": sizes, "iteration": step, "checkpoint_version": 3.0, "model": model(step).state_dict()}
                torch.save(whole, folder / "model_optim_rng.pt")
                torch.save(state(step + tensor)["optimizer"], folder / "distrib_optim.pt")
        (root / "latest_checkpointed_iteration.txt").write_text(str(step))


def megatron_dist_source(root: Path) -> None:
    from argparse import Namespace

    import torch

    _ranks(_dcp_rank, root)
    for step in STEPS:
        folder = root / f"iter_{step:07}"
        (root / f"step-{step}").rename(folder)
        torch.save({"args": Namespace(world_size=2), "iteration": step}, folder / "common.pt")
        (folder / "metadata.json").write_text('{"sharded_backend": "torch_dist", "sharded_backend_version": 1}')
        (root / "latest_checkpointed_iteration.txt").write_text(str(step))


def lightning_fsdp_source(root: Path) -> None:
    import torch

    _ranks(_dcp_rank, root)
    for step in STEPS:
        folder = root / f"epoch=0-step={step}.ckpt"
        (root / f"step-{step}").rename(folder)
        torch.save({"global_step": step, "epoch": 0, "pytorch-lightning_version": "2.6"}, folder / "meta.pt")


def hf_trainer_deepspeed_source(root: Path) -> None:
    hf_trainer(root)
    for step in STEPS:
        folder = root / f"checkpoint-{step}"
        (folder / "optimizer.pt").unlink()
        (folder / "scheduler.pt").unlink()
        _zero(folder / f"global_step{step}", step)
        (folder / "latest").write_text(f"global_step{step}")
        (folder / "zero_to_fp32.py").write_text("# copied beside by the engine\n")


RECORDED: dict[str, Callable[[Path], None]] = {
    "torch": torch_,
    "torch-ranks": torch_ranks,
    "torch-stream": torch_stream,
    "torch-without-sums": torch_without_sums,
    "dcp": dcp,
    "safetensors": safetensors,
    "safetensors-sharded": safetensors_sharded,
    "hf-trainer": hf_trainer,
    "hf-trainer-weights-only": hf_trainer_weights_only,
    "hf-trainer-peft": hf_trainer_peft,
    "peft": peft,
    "lightning": lightning,
    "deepspeed": deepspeed,
    "deepspeed-source": deepspeed_source,
    "megatron-source": megatron_source,
    "megatron-dist-source": megatron_dist_source,
    "lightning-fsdp-source": lightning_fsdp_source,
    "hf-trainer-deepspeed-source": hf_trainer_deepspeed_source,
}


def main(names: Iterable[str]) -> None:
    """Record those called, or all."""
    warnings.simplefilter("ignore")
    for name in names or RECORDED:
        root = Path(tempfile.mkdtemp(prefix="aiops-saves-"))
        try:
            RECORDED[name](root)
            pack(name, root)
        finally:
            shutil.rmtree(root)


if __name__ == "__main__":
    main(sys.argv[1:])

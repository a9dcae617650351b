"""A whole training run in little: data parallel on the CPU, saved so that nothing is lost, resumed where it was.

    torchrun --nproc-per-node 2 train.py --checkpoints runs --steps 200

It knows nothing of aiops but four variables that may be set: AIOPS_CHECKPOINTS (where to save), AIOPS_RESUME (what to
go on from; empty to begin), AIOPS_STOP (a file: once it is there, save and leave) and AIOPS_PROGRESS (where to say how
far it is). The same numbers come out however often it was interrupted: its data depends on the step alone.
"""

import argparse
import json
import os
import shutil
import signal
import socket
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.nn.parallel import DistributedDataParallel


def progress(rank: int, step: int, total: int, phase: str, loss: float | None = None) -> None:
    """Say how far a rank is; never wait for anybody, never fail."""
    path = os.environ.get("AIOPS_PROGRESS", "")
    if path:
        line = json.dumps({"rank": rank, "step": step, "total": total, "phase": phase, "loss": loss}).encode() + b"\n"
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
                channel.setblocking(False)
                channel.sendto(line, path)
        except OSError:
            pass


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def save(folder: Path, step: int, state: dict[str, object], kind: str, rank: int) -> None:
    """Save beside the final place and rename: a checkpoint is whole, or has another name.

    `torch` writes one file by rank 0, `dcp` a file by each rank.
    """
    making, final = folder / f".step-{step}", folder / f"step-{step}"
    if rank == 0:
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
    dist.barrier()
    if kind == "dcp":
        dcp.save(state, checkpoint_id=str(making))
    elif rank == 0:
        torch.save(state, making / "checkpoint.pt")
    dist.barrier()
    if rank == 0:
        for path in (*making.iterdir(), making):
            sync(path)
        shutil.rmtree(final, ignore_errors=True)
        making.rename(final)
        sync(folder)
    dist.barrier()


def newest(folder: Path) -> Path | None:
    """What to go on from: what aiops says, else the newest that was renamed."""
    told = os.environ.get("AIOPS_RESUME")
    if told is not None:
        return Path(told) if told else None
    whole = [path for path in folder.glob("step-*") if path.name[5:].isdigit()]
    return max(whole, key=lambda path: int(path.name[5:]), default=None)


def restore(source: Path, kind: str, model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Go on from a checkpoint; the step that it was of."""
    if kind == "dcp":
        model(torch.zeros(1, 16)).sum().backward()  # the optimizer has state to load into only after a step
        optimizer.step()
        optimizer.zero_grad()
        found = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": 0}
        dcp.load(found, checkpoint_id=str(source))
    else:
        found = torch.load(source / "checkpoint.pt", weights_only=True)
    model.load_state_dict(found["model"])
    optimizer.load_state_dict(found["optimizer"])
    print(f"goes on from step {found['step']}", flush=True)
    return int(found["step"])


def options_of() -> argparse.Namespace:
    """What it is told."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--checkpoints", type=Path, default=Path(os.environ.get("AIOPS_CHECKPOINTS", "checkpoints")))
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--save-every", type=int, default=50)
    parser.add_argument("--format", choices=("torch", "dcp"), default="torch")
    parser.add_argument("--width", type=int, default=64)
    return parser.parse_args()


def main() -> None:
    """Train."""
    options = options_of()
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    model = nn.Sequential(nn.Linear(16, options.width), nn.Tanh(), nn.Linear(options.width, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    progress(rank, 0, options.steps, "start")
    source = newest(options.checkpoints)
    step = restore(source, options.format, model, optimizer) if source is not None else 0
    parallel = DistributedDataParallel(model)
    # DDP lays its buckets out anew after the first backward pass, and sums of three ranks and more depend on the
    # layout: that pass is made here, so that the first step after a start is summed like any other.
    parallel(torch.zeros(1, 16)).sum().backward()
    optimizer.zero_grad()

    while step < options.steps:
        step += 1
        chance = torch.Generator().manual_seed(step * world + rank)
        inputs = torch.randn(32, 16, generator=chance)
        loss = (parallel(inputs) - inputs.sum(1, keepdim=True)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        progress(rank, step, options.steps, "step", loss.item())
        if rank == 0:
            print(f"step {step} loss {loss.item():.6f}", flush=True)
        stop = torch.tensor(float(bool(asked) or Path(os.environ.get("AIOPS_STOP") or "/nowhere").exists()))
        dist.all_reduce(stop, dist.ReduceOp.MAX)  # all leave at the same step
        if step % options.save_every == 0 or step == options.steps or stop:
            progress(rank, step, options.steps, "save")
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
            save(options.checkpoints, step, state, options.format, rank)
        if stop:
            break
    dist.barrier()  # nobody leaves while another still waits for it: one that resumes at its last step has no save
    dist.destroy_process_group()


if __name__ == "__main__":
    main()

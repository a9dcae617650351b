# ruff: noqa: E501 - lines of logs are as long as they are
"""Lines of jobs that are well, as trainers, engines, libraries and kernels print them; some look alarming."""

from random import Random

_LINES = (  # each as it is printed, however long
    "[2024-05-07 15:51:{a:02d},{b:03d}] [INFO] [train.py:88] step={n} loss={x:.4f} lr=3.0e-04 tokens/s={m}",
    "{{'loss': {x:.4f}, 'grad_norm': {y:.4f}, 'learning_rate': 0.00019, 'epoch': {y:.2f}}}",
    " {a}%|███▍      | {n}/27240 [14:02:33<86:01:24, {x:.2f}s/it]",
    " iteration {n}/ 500000 | consumed samples: {m} | elapsed time per iteration (ms): {m}.1 | lm loss: {x:.6E} | loss scale: 65536.0 | grad norm: {y:.3f} | number of skipped iterations: 0 | number of nan iterations: 0 |",
    "Epoch: [{a}]  [{n}/1299]  eta: 0:00:00  lr: 0.001435  loss: {x:.4f} ({x:.4f})  time: 0.4944  max mem: 19152",
    "node1:23920:24013 [7] NCCL INFO Channel {a:02d}/0 : 0[0] -> 8[0] [receive] via NET/IB/0/GDRDMA",
    "node1:23920:24013 [7] NCCL INFO comm 0x7f57 rank {a} nranks 32 cudaDev 7 nvmlDev 7 - Init COMPLETE",
    "[rank0]:[W326 09:37:44.7 ProcessGroupNCCL.cpp:1487] Warning: WARNING: destroy_process_group() was not called before program exit, which can leak resources. (function operator())",
    'INFO:     127.0.0.1:{m} - "POST /v1/chat/completions HTTP/1.1" 200 OK',
    "INFO 05-01 10:10:{a:02d} metrics.py:335] Avg generation throughput: {x:.1f} tokens/s, Running: {a} reqs, Swapped: 0 reqs, Pending: 0 reqs, GPU KV cache usage: {y:.1f}%",
    "/usr/lib/python3/dist-packages/torch/utils/checkpoint.py:464: UserWarning: use_reentrant should be passed",
    "FutureWarning: `torch.load` with `weights_only=False` is deprecated and will be an error in a later release",
    "Saving model checkpoint to out/checkpoint-{n}",
    "Model weights saved in out/checkpoint-{n}/model.safetensors",
    "[INFO] validation: accuracy {y:.4f}, errors 0, failed samples 0",
    "mlx5_core 0000:5e:00.0 ib0: Link up",
    "May  7 15:51:{a:02d} node1 systemd[1]: Started Session {n} of user alice.",
    "May  7 15:51:{a:02d} node1 sshd[{m}]: Accepted publickey for alice from 10.0.0.4 port {m} ssh2",
    "nvme nvme0: 128/0/0 default/read/poll queues",
    "slurmd: launch task StepId={n}.0 request from UID:1000 GID:1000 HOST:10.0.0.1 PORT:{m}",
    "Setting OMP_NUM_THREADS environment variable for each process to be 1 in default, to avoid your system being overloaded, please further tune the variable for optimal performance in your application as needed.",
    "Downloading shards: 100%|██████████| {a}/{a} [00:0{a}<00:00, {x:.2f}it/s]",
    "Using bfloat16 Automatic Mixed Precision (AMP)",
    "GPU available: True (cuda), used: True",
    "LOCAL_RANK: {a} - CUDA_VISIBLE_DEVICES: [0,1,2,3,4,5,6,7]",
    "Retrying in 1s [Retry 1/5]. Download resumed.",
    "PCI: bridge window [mem 0x{n:08x}-0x{m:08x} 64bit pref]",
    "EXT4-fs (nvme0n1p2): mounted filesystem with ordered data mode. Quota mode: none.",
    "nfs: server storage01 OK",
    "[2023-06-07 22:16:00] [INFO] [loss_scaler.py:181] [deepspeed] OVERFLOW! Rank 0 Skipping step. Attempted loss scale: 65536, reducing to 32768",
    "GPU {a}: temperature 61 C, power 412 W, ECC errors: 0, Xid errors: none, throttle reasons: Not Active",
    "    HW Slowdown                       : Not Active",
    "Evaluating: {n} batches, memory allocated {x:.2f} GB, max memory reserved {y:.2f} GB",
    "checkpoint verified: 0 missing keys, 0 unexpected keys",
    "torchrun: rendezvous complete for workers. Result: restart_count=0 master_addr=node1 master_port={m} group_rank=0",
    "WARNING: Some weights were not initialized from the model checkpoint and are newly initialized: ['score.weight']",
    "early stopping: best val_loss {x:.4f}, patience {a}",
)


_OF_STEPS = 5
"""So many of them, the first, are what a trainer prints at each step."""


def trainer_lines(dice: Random, count: int) -> list[str]:
    """`count` lines of a trainer: steps, and any other healthy line once in 25 lines."""
    return [_filled(dice, dice.choice(_LINES[:_OF_STEPS] if dice.randrange(25) else _LINES)) for _ in range(count)]


def healthy_lines(dice: Random, count: int) -> list[str]:
    """`count` lines, drawn with `dice`."""
    return [_filled(dice, dice.choice(_LINES)) for _ in range(count)]


def _filled(dice: Random, line: str) -> str:
    return line.format(
        a=dice.randrange(1, 60),
        b=dice.randrange(1000),
        n=dice.randrange(1, 20000),
        m=dice.randrange(1024, 65000),
        x=dice.uniform(0.5, 9.0),
        y=dice.uniform(0.1, 1.0),
    )

"""What a dry run says: everything that would run, nothing that is secret, and a reason for each node left out."""

import json
from datetime import UTC, datetime

from aiops.layers.l2_jobs.allocation import Allocation, Slot
from aiops.layers.l2_jobs.attempt import Attempt, Key
from aiops.layers.l2_jobs.dry_run import explain_launch
from aiops.layers.l2_jobs.job import Account, Job
from aiops.layers.l2_jobs.job_file import compile_job, read_job_file
from aiops.layers.l2_jobs.node import Place

TEXT = """aiops: 1
name: sft
command: torchrun train.py --lr 1e-4
nodes: {min: 2, only: "gpu[01-09],npu01"}
devices: 2
env: {HF_TOKEN: hf_abc, NCCL_DEBUG: WARN}
limits: {time: 7d, memory: 64 GiB}
"""
PLACES = (
    Place("gpu01", "slurm", (0, 1), "nvidia", verdict="ok"),
    Place("gpu02", "slurm", (0, 2), "nvidia", verdict="ok"),
    Place("gpu03", "slurm", (0, 1), "nvidia", verdict="ok"),
    Place("gpu04", "slurm", (0, 1), "nvidia", verdict="ok", closed="it is drained: ecc"),
    Place("gpu05", "slurm", (0,), "nvidia", verdict="ok"),
    Place("gpu06", "ssh", (0, 1), "nvidia", verdict="ok"),
    Place("gpu07", "slurm", (0, 1), "amd", verdict="ok"),
    Place("gpu08", "slurm", (0, 1), "nvidia", verdict="unknown"),
    Place("gpu09", "slurm", (0, 1), "nvidia", verdict="ok"),
    Place("cpu01", "slurm"),
)


def job() -> Job:
    read = read_job_file(TEXT, "job.yml", folder="/shared/ann")
    return compile_job(read, Account("ann", 1001, 1001), 7, datetime(2026, 1, 1, tzinfo=UTC))


ATTEMPT = Attempt(
    Key("sft-7", 3),
    "slurm",
    Allocation((Slot("gpu01", (0, 1)), Slot("gpu02", (0, 2)))),
    17000,
    "/runs/step-500",
    500,
    secret="0123456789abcdef",
)
SPECS = {
    node: {
        "argv": ["torchrun", f"--node-rank={rank}", "train.py", "--lr", "1e-4"],
        "environment": {**job().environment, "CUDA_VISIBLE_DEVICES": devices},
        "first_rank": rank * 2,
        "processes": 2,
        "secret": ATTEMPT.secret,
    }
    for rank, (node, devices) in enumerate({"gpu01": "0,1", "gpu02": "0,2"}.items())
}


def test_all_that_would_run_is_said() -> None:
    plan = explain_launch(job(), ATTEMPT, PLACES, SPECS, {"gpu09": "it failed there twice"})
    assert plan.lines() == (
        "sft-7 · attempt 3 · 2 nodes × 2 nvidia · slurm",
        "",
        "  account     ann (1001)",
        "  unit        aiops-job-sft-7.3.service, at most 64 GiB of memory, 7d in all",
        "  folder      /shared/ann",
        "  goes on     at step 500 from /runs/step-500",
        "  all see     HF_TOKEN='(withheld)'",
        "              NCCL_DEBUG=WARN",
        "",
        "  gpu01       ranks 0 to 1, devices 0, 1",
        "              torchrun --node-rank=0 train.py --lr 1e-4",
        "              CUDA_VISIBLE_DEVICES=0,1",
        "",
        "  gpu02       ranks 2 to 3, devices 0, 2",
        "              torchrun --node-rank=1 train.py --lr 1e-4",
        "              CUDA_VISIBLE_DEVICES=0,2",
        "",
        "  not used    gpu03: it is not needed",
        "              gpu04: it is drained: ecc",
        "              gpu05: 1 of its accelerators is well, and the job takes 2",
        "              gpu06: it belongs to the engine ssh",
        "              gpu07: its accelerators are of another maker than those of gpu01",
        "              gpu08: its health is unknown",
        "              gpu09: the job is kept away from it: it failed there twice",
        "              cpu01: it is not named in `nodes.only`",
    )


def test_the_document_holds_the_same_and_no_secret() -> None:
    document = explain_launch(job(), ATTEMPT, PLACES, SPECS).document()
    text = json.dumps(document)
    assert ATTEMPT.secret not in text
    assert "hf_abc" not in text
    assert document["resume"] == {"path": "/runs/step-500", "step": 500}
    assert [group["node"] for group in document["groups"]] == ["gpu01", "gpu02"]
    assert document["groups"][1]["argv"] == SPECS["gpu02"]["argv"]
    assert set(document["unused"]) == {place.name for place in PLACES[2:]}


def test_a_job_that_would_wait() -> None:
    plan = explain_launch(job(), None, PLACES[:2], {})
    assert plan.lines()[0] == "sft-7 · nothing can be placed now: it would wait"
    assert plan.lines()[-1] == "  not used    gpu[01-02]: there is no room on it now"
    assert plan.document()["groups"] == []

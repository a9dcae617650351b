"""The catalogue of faults: how right it is on labelled logs, how much of that it owes to single logs, and how quick.

Three figures of rightness. On the labelled logs themselves. On the cases written from the formats of the tools. And on
the labelled logs with each judged without the sign that decided it, where that sign decided no other log. All other
patterns, levels and orders stay as they were tuned on all logs, this one among them. So that figure says how many logs
are told by a sign of their own alone; it says nothing of how logs that were never seen are judged, above or below.

`--logs FILE` judges other labelled logs, one JSON object a line: `label` or `class`, `retryable`, `bad_node`, `log`.
"""

import argparse
import io
import json
import sys
import time
import tracemalloc
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from tests.l2_jobs.fault.cases import CASES
from tests.l2_jobs.fault.healthy import healthy_lines, trainer_lines

from aiops.layers.l2_jobs.fault.catalogue import shipped_signatures
from aiops.layers.l2_jobs.fault.diagnosis import Diagnosis, diagnose, diagnose_stream
from aiops.layers.l2_jobs.fault.index import Index
from aiops.layers.l2_jobs.fault.watcher import Watcher

from .measurement import Figure, report

LOGS = Path(__file__).parents[1] / "tests/l2_jobs/fault/logs.jsonl"
SEED = 20261128
MEGABYTES = 100
HEALTHY = 500
LINES = 200_000


def _right(found: Diagnosis, log: dict[str, Any]) -> tuple[bool, bool]:
    kind = log.get("label", log.get("class"))
    return found.kind == kind, (found.retryable, found.bad_node) == (log["retryable"], log["bad_node"])


def _percent(hits: list[bool]) -> float:
    return 100 * sum(hits) / len(hits)


def _rate(data: bytes) -> float:
    """Megabytes a second of the processor."""
    begun = time.process_time()
    diagnose_stream(io.BytesIO(data))
    return len(data) / 1e6 / (time.process_time() - begun)


def _left_out(logs: list[dict[str, Any]], found: list[Diagnosis]) -> list[tuple[bool, bool]]:
    """Each log judged without the sign that decided it, where that decided no other log."""
    often = Counter(one.signature for one in found)
    judged = []
    for log, one in zip(logs, found, strict=True):
        if one.signature is None or often[one.signature] > 1:
            judged.append(_right(one, log))
            continue
        rest = [sign for sign in shipped_signatures() if sign.id != one.signature]
        judged.append(_right(diagnose(log["log"].splitlines(), index=Index(rest)), log))
    return judged


def main() -> int:
    """Judge and time; exit 1 when a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logs", type=Path, default=LOGS)
    options = parser.parse_args()
    logs = [json.loads(line) for line in options.logs.read_text("utf-8").splitlines()]
    index = Index(shipped_signatures())
    found = [diagnose(log["log"].splitlines(), index=index) for log in logs]
    judged = [_right(one, log) for one, log in zip(found, logs, strict=True)]
    left_out = _left_out(logs, found)
    cases = [diagnose(case.lines, index=index) for case in CASES]
    alarms = [diagnose(healthy_lines(Random(SEED + n), 400), index=index) for n in range(HEALTHY)]  # noqa: S311
    dice = Random(SEED)  # noqa: S311 - no secret
    block = "\n".join(trainer_lines(dice, 20_000)).encode() + b"\n"
    data = block * (MEGABYTES * 1_000_000 // len(block) + 1)
    rate = _rate(data)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(dice.choices(letters, k=dice.randint(2, 9))) for _ in range(5000)]
    shapeless = "\n".join(" ".join(dice.choices(words, k=14)) for _ in range(40_000)).encode()
    slow = _rate(shapeless)
    alarming = _rate("\n".join(healthy_lines(dice, 100_000)).encode())
    lines = trainer_lines(dice, LINES)
    watcher = Watcher(index=Index(shipped_signatures()))
    begun = time.process_time()
    for line in lines:
        watcher.feed(line)
    fed = LINES / (time.process_time() - begun)
    tracemalloc.start()
    diagnose_stream(io.BytesIO(data[:3_000_000]))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return report(
        "fault_classifier",
        [
            Figure("labelled logs", "", (float(len(logs)),)),
            Figure("right class", "%", (_percent([one for one, _ in judged]),), 97, at_least=True),
            Figure("right retryable and bad node", "%", (_percent([one for _, one in judged]),), 97, at_least=True),
            Figure("right class, own signs left out", "%", (_percent([one for one, _ in left_out]),)),
            Figure("right retryable and bad node, left out", "%", (_percent([one for _, one in left_out]),)),
            Figure("cases from the formats of the tools", "", (float(len(CASES)),)),
            Figure(
                "right class of these",
                "%",
                (_percent([one.kind == case.kind for one, case in zip(cases, CASES, strict=True)]),),
                97,
                at_least=True,
            ),
            Figure("healthy logs of 400 lines called a fault", "", (float(sum(not one.healthy for one in alarms)),), 0),
            Figure(f"log of {MEGABYTES} MB, a trainer's", "MB/s", (rate,), 50, at_least=True),
            Figure("log of healthy lines, most of which look alarming", "MB/s", (alarming,)),
            Figure("log of random words", "MB/s", (slow,)),
            Figure("memory for it beyond the log", "MiB", (peak / 2**20,), 64),
            Figure("watched lines", "/s", (fed,), 200_000, at_least=True),
            Figure("signatures", "", (float(len(shipped_signatures())),)),
        ],
        simulated="healthy logs and the big ones are generated; times are of the processor",
        details=[
            {
                "wrong": [
                    {"id": log.get("id"), "found": one.kind, "signature": one.signature}
                    for log, one in zip(logs, found, strict=True)
                    if _right(one, log) != (True, True)
                ]
            }
        ],
    )


if __name__ == "__main__":
    sys.exit(main())

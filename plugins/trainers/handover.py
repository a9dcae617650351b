"""Runs a tool's own program as a rank of ours: where it goes on from, and what it reports.

    torchrun [...] handover.py MODULE METRICS --resume WORD [--resume WORD ...] --fresh WORD [...] -- WORD [...]

It runs in the tool's environment and imports nothing of ours. `{}` in a word of `--resume` stands for the checkpoint
that L2 has verified (AIOPS_RESUME); the words of `--fresh` are given instead where there is none, so that no tool picks
one that nobody has looked at. Tools that stand on transformers' Trainer say the loss without its step: here both are
said in one line, and written to METRICS as docs/decisions/tuning.md lays it out.
"""

import json
import os
import runpy
import sys
import time
from typing import Any


def words_of(argv: list[str], resume: str) -> tuple[str, str, list[str]]:
    """The module, the file of metrics, and the words that the tool is given."""
    module, metrics, *rest = argv
    end = rest.index("--")
    own, words = rest[:end], rest[end + 1 :]
    pairs = list(zip(own[::2], own[1::2], strict=True))
    wanted = "--resume" if resume else "--fresh"
    return module, metrics, [*words, *(word.replace("{}", resume) for name, word in pairs if name == wanted)]


class Pace:
    """What a step takes, from report to report; the first has none before it."""

    def __init__(self) -> None:
        self._last = (0, 0.0)

    def at(self, step: int, now: float) -> "float | None":
        """Seconds of each step since the last report; None where that is not known."""
        (before, since), self._last = self._last, (step, now)
        return round((now - since) / (step - before), 4) if 0 < before < step else None


def tell(line: dict[str, Any], steps: int, metrics: str) -> None:
    """Say a step as jobs do, and write it into the run's metrics."""
    print(f"\naiops: step {line['step']}/{steps} loss {line['loss']}", flush=True)  # noqa: T201
    with open(metrics, "a", encoding="utf-8") as stream:  # noqa: PTH123
        stream.write(json.dumps(line) + "\n")


def report(state: Any, logs: dict[str, Any], metrics: str, pace: Pace) -> None:
    """Say and write down one step of the first rank; a report of something else, as of an evaluation, has no loss."""
    if not state.is_world_process_zero or "loss" not in logs:
        return
    line = {
        "step": int(state.global_step),
        "loss": _number(logs["loss"]),
        "rate": _number(logs.get("learning_rate")),
        "tokens": None,
        "seconds": pace.at(int(state.global_step), time.monotonic()),
        "epoch": _number(state.epoch),
        "grad_norm": _number(logs.get("grad_norm")),
    }
    tell(line, int(state.max_steps), metrics)


def _number(value: Any) -> "float | None":
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def listen(metrics: str) -> None:
    """Have transformers' callbacks report to us too; a version that has them elsewhere goes without."""
    try:
        from transformers.trainer_callback import CallbackHandler
    except ImportError:
        return
    pace, usual = Pace(), CallbackHandler.on_log

    def on_log(self: Any, args: Any, state: Any, control: Any, logs: Any) -> Any:
        try:
            report(state, dict(logs), metrics, pace)
        except (OSError, ValueError, TypeError, AttributeError) as error:  # training is worth more than its report
            print(f"aiops: a step could not be reported: {error}", file=sys.stderr)  # noqa: T201
        return usual(self, args, state, control, logs)

    CallbackHandler.on_log = on_log


def main(argv: list[str]) -> None:
    """Be the tool's program."""
    module, metrics, words = words_of(argv, os.environ.get("AIOPS_RESUME", ""))
    listen(metrics)
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])

"""Verdict: whether what was judged suffices. Pure."""

import math
from collections.abc import Mapping
from typing import Any

from .work import RefusedError, Work


def verdict(work: Work, said: Mapping[str, Any]) -> dict[str, Any]:
    """What was wanted, and whether it was reached: `passed` is None where the recipe asks for nothing.

    Args:
        work: The run.
        said: `held_out_loss`, None where it could not be measured; of questions `asked` and `right`.
    """
    found: dict[str, Any] = {"passed": None}
    reached = []
    if work.loss is not None:
        loss = said.get("held_out_loss")
        reached.append(loss is not None and loss <= work.loss)
        found["wanted_loss"] = work.loss
    if work.questions:
        reached.append(said["right"] >= work.right * said["asked"])
        found["wanted_right"] = work.right
    if reached:
        found["passed"] = all(reached)
    return found


def refuse_diverged(what: str, value: float, where: str) -> None:
    """Refuse to go on with what is no number any more; nothing that was saved before is touched.

    Args:
        what: What is looked at, in words.
        value: What it came to.
        where: In which part of the run.

    Raises:
        RefusedError: It is infinite, or not a number.
    """
    if not math.isfinite(value):
        raise RefusedError(
            f"{where}: the {what} is {value}, so the model has diverged and is not handed on\n\nhint: begin a new run "
            "with a lower `rate`, a longer `warmup` or a `clip`; with `precision: fp16` try bf16 or fp32"
        )

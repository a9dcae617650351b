"""Loss: sums over a batch, so that whoever divides can divide by what all ranks and passes of a step count together."""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from .batch import IGNORED, Batch


def logits_of(model: Any, batch: Batch) -> Any:
    """What the model foretells of each token's next."""
    return model(input_ids=batch.tokens, position_ids=batch.positions, use_cache=False).logits


def token_loss(model: Any, batch: Batch) -> Any:
    """The sum over all tokens that count of the negative logarithm of what they were foretold with."""
    logits = logits_of(model, batch)[:, :-1].float()
    labels = batch.labels[:, 1:]
    return functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), ignore_index=IGNORED, reduction="sum"
    )


def answer_logarithms(logits: Any, batch: Batch) -> Any:
    """Of each sequence the logarithm of what its counted tokens were foretold with."""
    labels = batch.labels[:, 1:]
    counted = labels != IGNORED
    wanted = labels.masked_fill(~counted, 0).unsqueeze(-1)
    found = logits[:, :-1].float().log_softmax(-1).gather(-1, wanted).squeeze(-1)
    return (found * counted).sum(-1)


def preference_loss(model: Any, reference: Callable[[Batch], Any], batch: Batch, beta: float) -> tuple[Any, Any]:
    """The sum over all pairs of DPO's loss (Rafailov et al. 2023, arXiv:2305.18290, equation 7); pairs that are right.

    Args:
        model: What is trained.
        reference: The same logits of the model that it began as.
        batch: Chosen and rejected answers in turn.
        beta: How far it may go from the reference.
    """
    with torch.no_grad():
        before = answer_logarithms(reference(batch), batch)
    ratios = answer_logarithms(logits_of(model, batch), batch) - before
    margins = ratios[0::2] - ratios[1::2]
    return -functional.logsigmoid(beta * margins).sum(), (margins.detach() > 0).sum()

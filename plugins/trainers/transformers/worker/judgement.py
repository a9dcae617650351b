"""Judgement: what the tuned model shows, of data that it was not trained on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from aiops import checkpoint

from .batch import batch_of
from .loop import Loop
from .loss import preference_loss, token_loss
from .questions import questions, same
from .samples import EVALUATION, Samples, held_out
from .template import rendered
from .verdict import refuse_diverged, verdict
from .work import Work


def judge(loop: Loop, tokenizer: Any) -> dict[str, Any]:
    """All that the recipe asks; all ranks call it. Figures, and whether they suffice."""
    work = loop.work
    loop.model.net.eval()
    said: dict[str, Any] = {}
    # As it was trained: another precision would be another model.
    with torch.no_grad(), loop.calculating():
        if work.held_out and held_out(Path(work.data)):
            said["held_out_loss"] = _held_out(loop)
        if work.questions:
            said |= _answered(loop, tokenizer, questions(Path(work.questions)))
    said |= verdict(work, said)
    loop.model.net.train()
    return said


def _held_out(loop: Loop) -> float | None:
    """The loss of the part that is held out, each counted token weighing the same; of preferences each pair.

    None where nothing in it counts.

    Raises:
        RefusedError: It is no number.
    """
    work, ranks = loop.work, loop.ranks
    samples = Samples(Path(work.data, EVALUATION), work.form, packed=work.packed)
    total = counted = 0.0
    # All ranks make as many passes, as split weights need it; what there is twice counts once.
    for first in range(0, len(samples), ranks.world):
        number = first + ranks.rank
        sequences = samples.sequences(min(number, len(samples) - 1))
        batch = batch_of(sequences, ranks.device, flat=work.packed and work.attention == "flash")
        if work.method == "dpo":
            assert loop.model.reference is not None  # noqa: S101 - `model.load` makes one for this method
            loss, _ = preference_loss(loop.model.net, loop.model.reference, batch, work.beta)
            weight = 1
        else:
            loss, weight = token_loss(loop.model.net, batch), batch.counted
        if number < len(samples):
            total += float(loss)
            counted += weight
        checkpoint.progress(loop.step, phase="evaluate", total=work.steps)
    total, counted = ranks.sum(total, counted)
    refuse_diverged("held-out loss", total, f"after step {loop.step}")
    return total / counted if counted else None


def _answered(loop: Loop, tokenizer: Any, asked: list[tuple[list[dict[str, Any]], str]]) -> dict[str, Any]:
    """Questions and answers. Ranks share them; where weights are split all do all of them together."""
    work, ranks = loop.work, loop.ranks
    mine = range(len(asked)) if loop.model.split else range(ranks.rank, len(asked), ranks.world)
    answers: dict[int, str] = {}
    for number in mine:
        answers[number] = answer(loop.model.net, tokenizer, asked[number][0], work, ranks.device)
        checkpoint.progress(loop.step, phase="evaluate", total=work.steps)
    every: dict[int, str] = {}
    for one in ranks.gather(answers):
        every.update(one)
    shown: list[Mapping[str, Any]] = [
        {
            "question": turns[-1]["content"],
            "answer": every[number],
            "wanted": right,
            "right": same(every[number], right),
        }
        for number, (turns, right) in enumerate(asked)
    ]
    return {"asked": len(asked), "right": sum(one["right"] for one in shown), "answers": shown}


def answer(net: Any, tokenizer: Any, turns: list[dict[str, Any]], work: Work, device: Any) -> str:
    """What the model answers where it always takes the likeliest token."""
    ids = torch.tensor([rendered(tokenizer, turns, ask=True)], device=device)
    ends = tokenizer.eos_token_id
    made = net.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        num_beams=1,
        repetition_penalty=1.0,
        max_new_tokens=work.tokens,
        pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else ends,
        use_cache=True,
    )
    text: str = tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True)
    return text

"""Activations: what one decoder layer keeps for the backward pass, in bytes a token. Pure.

Counted from what autograd saves in `modeling_llama.py` of transformers and its relatives (docs/memory.md lists each
tensor); the method is that of Korthikanti et al., "Reducing Activation Recomputation in Large Transformer Models"
(2022), section 4, redone for RMSNorm, gated feed-forward parts, grouped queries and kernels that keep no scores.
"""

from .model import Model, adapted
from .work import FULL, Work


def kept(model: Model, work: Work) -> int:
    """Bytes a token that a layer keeps whose activations are not computed again."""
    return _norms(model, work) + _attention(model, work) + _feed_forward(model, work) + _adapters(model, work)


def stream(model: Model, work: Work) -> int:
    """Bytes a token of what goes from layer to layer: all that recomputing keeps of one."""
    return model.hidden * (FULL if work.casts else work.compute)


def transient(model: Model, work: Work) -> int:
    """Bytes a token that come and go while a layer is calculated, past what it keeps."""
    scores = 2 * model.heads * work.length * FULL if work.attention == "eager" else 0
    return work.compute * (2 * model.intermediate + 2 * model.hidden) + scores


def _norms(model: Model, work: Work) -> int:
    """What norms keep, in bytes a token.

    Each its input in fp32, the normed one where its weight is trained, and its result where a trained layer, or one
    with an adapter, takes it.
    """
    whole = work.adapter == "none"
    if work.compiled:  # the input is the stream; all else is computed again but what matrices take
        one = work.compute * (2 if whole or _takes(model, work, "in") else 1)
        return 2 * one * model.hidden + (model.norms - 2) * work.compute * model.hidden
    normed = stream(model, work) // model.hidden
    one = FULL + (normed if whole else 0)
    results = work.compute * model.hidden * _consumers(model, work)
    heads = (FULL + (work.compute if whole else 0)) * (model.queries + model.keys) if model.head_norms else 0
    return model.norms * one * model.hidden + results + heads


def _consumers(model: Model, work: Work) -> int:
    """How often results of norms are kept, both norms together.

    Once for all that take it, or, where each casts it for itself, once for each.
    """
    inputs = [("q_proj", "k_proj", "v_proj", "qkv_proj"), ("gate_proj", "up_proj", "gate_up_proj")]
    there = model.linears if work.adapter == "none" else adapted(model, work.targets)
    counts = [sum(name in there for name in names) for names in inputs]
    if work.adapter == "none" and model.experts:
        counts[1] = 1
    if work.casts:
        return sum(counts)
    return sum(min(count, 1) for count in counts)


def _takes(model: Model, work: Work, where: str) -> bool:
    names = {"in": ("q_proj", "k_proj", "v_proj", "qkv_proj", "gate_proj", "up_proj", "gate_up_proj")}
    return any(name in adapted(model, work.targets) for name in names.get(where, (where,)))


def _attention(model: Model, work: Work) -> int:
    """Queries, keys, values and the result; scores where the kernel keeps them.

    With a mask, sdpa is given keys and values once for each head of queries (`use_gqa_in_sdpa` of transformers).
    """
    repeated = work.attention == "eager" or (work.attention == "sdpa" and work.masked)
    keys = model.queries if repeated else model.keys
    fused = work.compute * (model.queries + 2 * model.keys) if model.fused and repeated else 0
    tensors = work.compute * (2 * model.queries + 2 * keys) + fused
    if work.attention == "eager":
        # The softmax is made in fp32 and kept so; cast, it is kept again.
        scores = model.heads * work.length * (FULL + (work.compute if work.compute != FULL else 0))
        return tensors + scores
    return tensors + FULL * model.heads  # the logarithm of each row's sum


def _feed_forward(model: Model, work: Work) -> int:
    """Gate, its activation, up, and their product where the layer after it is trained or has an adapter.

    Experts are given copies of their tokens.
    """
    product = work.adapter == "none" or _takes(model, work, "down_proj")
    tensors = 2 if work.compiled else 3
    copies = 2 * model.active * model.hidden if model.experts else 0
    return work.compute * (model.intermediate * (tensors + product) + copies)


def _adapters(model: Model, work: Work) -> int:
    """What goes between the two matrices.

    With dropout, or where adapters are of another type than what is calculated with, also a copy of each input.
    """
    if work.adapter == "none":
        return 0
    linears = adapted(model, work.targets).values()
    between = sum(work.rank * work.compute for _ in linears)
    copies = sum(one.width for one in linears) * work.compute
    cast = copies if work.trained != work.compute else 0
    return between + cast + (copies + copies // work.compute if work.dropout else 0)

"""Architecture: config.json of a model to `Model`. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiops.layers.core.errors import InputError

from .model import Linear, Model


@dataclass(frozen=True, slots=True)
class _Family:
    """What of an architecture config.json does not say.

    Attributes:
        bias: Whether queries, keys and values have one, whatever `attention_bias` says; `out_bias` the output too.
        norms: In each layer.
        tied: Whether the output is the embedding, where the file says nothing.
        head: Width of a head where the file says nothing; None is hidden over heads.
        sparse: The key that says how many experts there are; empty for dense ones.
        shared: Whether a shared expert, with a gate of its own, sees all tokens.
    """

    bias: bool = False
    norms: int = 2
    head_norms: bool = False
    tied: bool = False
    head: int | None = None
    fused: bool = False
    sparse: str = ""
    shared: bool = False


_FAMILIES: Mapping[str, _Family] = {
    "llama": _Family(),
    "mistral": _Family(),
    "smollm3": _Family(tied=True),
    "qwen2": _Family(bias=True),
    "qwen3": _Family(head_norms=True, head=128),
    "gemma": _Family(tied=True, head=256),
    "gemma2": _Family(norms=4, tied=True, head=256),
    "gemma3_text": _Family(norms=4, head_norms=True, tied=True, head=256),
    "phi3": _Family(fused=True),
    "mixtral": _Family(sparse="num_local_experts"),
    "qwen2_moe": _Family(bias=True, sparse="num_experts", shared=True),
    "qwen3_moe": _Family(head_norms=True, head=128, sparse="num_experts"),
}

KNOWN = tuple(sorted(_FAMILIES))
"""Architectures that are counted; others are estimated."""

_OLD_NAMES = {
    "hidden_size": ("n_embd", "d_model", "dim"),
    "num_hidden_layers": ("n_layer", "n_layers", "num_layers"),
    "num_attention_heads": ("n_head", "n_heads"),
    "intermediate_size": ("n_inner", "ffn_dim", "d_ff"),
    "vocab_size": (),
}
"""Other names that config.json of older architectures uses."""

_MOST = 1 << 40
"""No count in config.json is larger: more is a mistake, and would make figures without sense."""


def model_of(config: Mapping[str, Any]) -> Model:
    """The model that config.json tells of.

    Raises:
        InputError: A value that it cannot do without is missing, or is no count (`plan.config`).
    """
    inner = config.get("text_config")
    if isinstance(inner, Mapping) and "hidden_size" not in config:
        config = {**inner, "tie_word_embeddings": config.get("tie_word_embeddings", inner.get("tie_word_embeddings"))}
    kind = str(config.get("model_type") or "unknown")
    family = _FAMILIES.get(kind)
    if family is None:
        note = f"the architecture `{kind}` is not one that is counted: it is taken for a llama, within wide bounds"
        return _built(config, kind, _Family(), known=False, notes=(note,))
    return _built(config, kind, family, known=True, notes=())


def _built(config: Mapping[str, Any], kind: str, family: _Family, *, known: bool, notes: tuple[str, ...]) -> Model:
    hidden, layers = _count(config, "hidden_size"), _count(config, "num_hidden_layers")
    heads = _count(config, "num_attention_heads")
    vocabulary = _count(config, "vocab_size")
    inner = _count(config, "intermediate_size", 4 * hidden if not known else None)
    per_head = _count(config, "head_dim", family.head or max(hidden // heads, 1))
    queries, keys = heads * per_head, _count(config, "num_key_value_heads", heads) * per_head
    tied = config.get("tie_word_embeddings")
    tied = family.tied if tied is None else bool(tied)

    bias = family.bias or bool(config.get("attention_bias"))
    biases = (queries + 2 * keys if bias else 0) + (hidden if bias and not family.bias else 0)
    attention = 2 * hidden * queries + 2 * hidden * keys
    norms = family.norms * hidden + (2 * per_head if family.head_norms else 0)
    dense = 3 * hidden * inner + (2 * inner + hidden if config.get("mlp_bias") else 0)
    experts = _count(config, family.sparse, 0, least=0) if family.sparse else 0
    linears = _linears(hidden, inner, queries, keys, fused=family.fused, experts=bool(experts))

    if not experts:
        layer = attention + biases + norms + dense
        decoder, used, quantizable = layers * layer, layers * layer, layers * (attention + 3 * hidden * inner)
        active, passed = 0, inner
    else:
        active = _count(config, "num_experts_per_tok", 2)
        width = _count(config, "moe_intermediate_size", inner) if family.sparse == "num_experts" else inner
        shared = _count(config, "shared_expert_intermediate_size", 0, least=0) if family.shared else 0
        sparse = layers - _dense_layers(config, layers)
        one = 3 * hidden * width
        around = hidden * experts + 3 * hidden * shared + (hidden if shared else 0)
        rest = attention + biases + norms
        layer = rest + around + experts * one
        decoder = sparse * layer + (layers - sparse) * (rest + dense)
        used = sparse * (rest + around + active * one) + (layers - sparse) * (rest + dense)
        # bitsandbytes quantises linear layers; experts of one tensor are not any, so only what is sure counts.
        quantizable = layers * attention
        passed = active * width + shared
    ends = vocabulary * hidden * (1 if tied else 2) + hidden
    return Model(
        kind=kind,
        known=known,
        hidden=hidden,
        layers=layers,
        intermediate=passed,
        heads=heads,
        queries=queries,
        keys=keys,
        vocabulary=vocabulary,
        tied=tied,
        layer=layer,
        decoder=decoder,
        quantizable=quantizable,
        total=decoder + ends,
        used=used + ends,
        linears=linears,
        norms=family.norms,
        head_norms=family.head_norms,
        fused=family.fused,
        experts=experts,
        active=active,
        positions=config.get("max_position_embeddings") if _counts(config.get("max_position_embeddings")) else None,
        packed=config.get("quantization_config") is not None,
        notes=notes,
    )


def _linears(hidden: int, inner: int, queries: int, keys: int, *, fused: bool, experts: bool) -> dict[str, Linear]:
    if fused:
        found = {"qkv_proj": Linear(hidden, queries + 2 * keys), "o_proj": Linear(queries, hidden)}
        return found | {"gate_up_proj": Linear(hidden, 2 * inner), "down_proj": Linear(inner, hidden)}
    found = {
        "q_proj": Linear(hidden, queries),
        "k_proj": Linear(hidden, keys),
        "v_proj": Linear(hidden, keys),
        "o_proj": Linear(queries, hidden),
    }
    if experts:
        return found
    wide = {"gate_proj": Linear(hidden, inner), "up_proj": Linear(hidden, inner), "down_proj": Linear(inner, hidden)}
    return found | wide


def _dense_layers(config: Mapping[str, Any], layers: int) -> int:
    """How many layers of a model with experts have none: as `decoder_sparse_step` and `mlp_only_layers` say."""
    step = _count(config, "decoder_sparse_step", 1)
    only = config.get("mlp_only_layers")
    named = {one for one in only if isinstance(one, int)} if isinstance(only, list) else set()
    return sum(1 for index in range(layers) if index in named or (index + 1) % step)


def _count(config: Mapping[str, Any], key: str, otherwise: int | None = None, *, least: int = 1) -> int:
    for name in (key, *_OLD_NAMES.get(key, ())):
        value = config.get(name)
        if value is None:
            continue
        if not _counts(value, least):
            raise InputError(
                f"`{name}` of config.json is {value!r}, and no count",
                code="plan.config",
                hints=["is this the config.json that came with the model?"],
            )
        return int(value)
    if otherwise is None:
        raise InputError(
            f"config.json has no `{key}`, and without it nothing can be said of its memory",
            code="plan.config",
            hints=["is this the config.json that came with the model?"],
        )
    return otherwise


def _counts(value: object, least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= _MOST

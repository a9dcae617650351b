"""The models that torchtitan has: which base is which of its own, and which are none of them.

It does not read a model's config.json: the sizes of its families stand in its code, and weights of another shape, or
with other positions than they were trained with, would be loaded into them or fail. So a base is one of them in all of
this, or refused. Sizes: `models/llama3/__init__.py` and `models/qwen3/__init__.py` of 0.3.0; held against the models
that it builds by `benchmarks/recipe_engines.py`. Its other families (mixtures of experts, images) are not rendered for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Shape = Mapping[str, Any]
_LLAMA_POSITIONS = ("llama3", 8.0, 1.0, 4.0, 8192)
"""How Llama 3.1 stretches its positions; `RoPE.Config` has it for all sizes, also for those of 3.2, which have 32."""


@dataclass(frozen=True, slots=True)
class Flavor:
    """One of its models.

    Attributes:
        module: Below `torchtitan.models`.
        name: As its `model_registry` knows it.
        shape: As config.json says it.
    """

    module: str
    name: str
    shape: Shape = field(hash=False)

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.module} {self.name}"


_Sizes = tuple[int, int, int, int, int, bool]


def _flavor(module: str, name: str, sizes: _Sizes, **more: Any) -> Flavor:
    width, inner, layers, heads, shared, tied = sizes
    shape = {
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": shared,
        "tie_word_embeddings": tied,
    }
    return Flavor(module, name, {**shape, **more})


def _llama(name: str, *sizes: Any) -> Flavor:
    head = sizes[0] // sizes[3]
    more = {"model_type": "llama", "head_dim": head, "vocab_size": 128256, "rms_norm_eps": 1e-5}
    return _flavor("llama3", name, sizes, **more, rope_theta=500000.0, positions=_LLAMA_POSITIONS)


def _qwen(name: str, *sizes: Any) -> Flavor:
    more = {"model_type": "qwen3", "head_dim": 128, "vocab_size": 151936, "rms_norm_eps": 1e-6}
    return _flavor("qwen3", name, sizes, **more, rope_theta=1000000.0, positions=None)


FLAVORS = (
    _llama("1B", 2048, 8192, 16, 32, 8, True),
    _llama("3B", 3072, 8192, 28, 24, 8, True),
    _llama("8B", 4096, 14336, 32, 32, 8, False),
    _llama("70B", 8192, 28672, 80, 64, 8, False),
    _llama("405B", 16384, 53248, 126, 128, 8, False),
    _qwen("0.6B", 1024, 3072, 28, 16, 8, True),
    _qwen("1.7B", 2048, 6144, 28, 16, 8, True),
    _qwen("4B", 2560, 9728, 36, 32, 8, True),
    _qwen("8B", 4096, 12288, 36, 32, 8, False),
    _qwen("14B", 5120, 17408, 40, 40, 8, False),
    _qwen("32B", 5120, 25600, 64, 64, 8, False),
)

_WEIGHTS = ("model_type", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
"""What tells the flavors apart."""


def shape_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a config.json says of a model's shape, whichever version of transformers wrote it. Pure."""
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    heads = config.get("num_attention_heads")
    width = config.get("hidden_size")
    head = width // heads if isinstance(width, int) and isinstance(heads, int) and heads else None
    theta = rope.get("rope_theta", config.get("rope_theta"))
    return {
        **{name: config.get(name) for name in (*_WEIGHTS, "rms_norm_eps")},
        "num_key_value_heads": config.get("num_key_value_heads", heads),
        "head_dim": config.get("head_dim") or head,
        "tie_word_embeddings": config.get("tie_word_embeddings", False),
        "rope_theta": None if theta is None else float(theta),
        "positions": _positions(rope),
    }


def _positions(rope: Mapping[str, Any]) -> tuple[Any, ...] | None:
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return None
    keys = ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings")
    return (kind, *(rope.get(key) for key in keys))


def flavor_of(config: Mapping[str, Any]) -> Flavor | None:
    """Which of its models has the weights of a base; None for none. Pure."""
    shape = shape_of(config)
    return next((one for one in FLAVORS if all(one.shape[name] == shape[name] for name in _WEIGHTS)), None)


def unfit(config: Mapping[str, Any]) -> tuple[str, str] | None:
    """Why a base is none of its models, in words that follow `base`, and what would be; None where it is one. Pure."""
    shape = shape_of(config)
    kin = [one for one in FLAVORS if one.shape["model_type"] == shape["model_type"]]
    if not kin:
        kinds = sorted({one.shape["model_type"] for one in FLAVORS})
        words = f"is of the kind `{shape['model_type']}`, of which torchtitan has no models that are rendered for"
        return words, f"of the kinds {' and '.join(kinds)} it has {', '.join(one.title for one in FLAVORS)}"
    near = flavor_of(config) or min(kin, key=lambda one: len(_differences(one, shape)))
    wrong = _differences(near, shape)
    if not wrong:
        return None
    told = ", ".join(f"{name} {_said(shape[name])} (there {_said(near.shape[name])})" for name in wrong)
    return f"is none of torchtitan's models; it differs from {near.title} in {told}", "`trainer: aiops` trains any"


def _differences(flavor: Flavor, shape: Shape) -> list[str]:
    return [name for name, value in flavor.shape.items() if shape[name] != value]


def _said(value: Any) -> str:
    return "none" if value is None else " ".join(map(str, value)) if isinstance(value, tuple) else str(value)

"""Model: what of an architecture takes memory, from config.json, and exactly from the headers of safetensors. Pure.

Parameters by family follow the modules of Hugging Face's transformers (`modeling_llama.py`, `modeling_qwen2.py`,
`modeling_qwen3.py`, `modeling_gemma2.py`, `modeling_phi3.py`, `modeling_mixtral.py`, `modeling_qwen3_moe.py` ...).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

Source = Literal["config", "headers"]

_EXPERTS = ("gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True, slots=True)
class Linear:
    """Linear layers of one name in a decoder layer.

    Attributes:
        width: Of what goes in; `height` of what comes out.
        adapted: Whether an adapter goes there when no targets are named. Experts are one tensor of all, not layers.
    """

    width: int
    height: int
    adapted: bool = True

    @property
    def parameters(self) -> int:
        """Of its matrix."""
        return self.width * self.height


@dataclass(frozen=True, slots=True)
class Model:
    """A decoder-only transformer.

    Attributes:
        kind: `model_type` of config.json.
        known: Whether the architecture is one that we count; otherwise it is taken for a llama, with wide bounds.
        hidden: Width of the stream; `intermediate` that of the feed-forward part as one token passes it: of experts,
            those that are active and the shared one together.
        queries: Width of all heads together; `keys` that of all heads of keys, and of values.
        norms: In each layer, of the stream's width.
        head_norms: Whether queries and keys are normed by head.
        fused: Whether queries, keys and values, gate and up are one matrix each.
        experts: In each sparse layer; 0 for a dense model; `active` of them see a token.
        linears: Of one layer, by name, without experts.
        layer: Parameters of one layer, the largest where they differ.
        decoder: Of all layers together.
        quantizable: Of these, those that QLoRA keeps in 4 bits.
        embedding: Of the embedding alone; the output has as many again unless `tied`.
        total: All. `used` are those that one token passes.
        source: Whether `total` comes from config.json or from the weights' own headers.
        stored: Bytes of the weights' files; None where there are none to see.
        positions: The longest sequence it was made for; None where it is not said.
        packed: Whether its weights are stored quantised, so that their shapes say nothing of how many there are.
        notes: What was assumed.
    """

    kind: str
    known: bool
    hidden: int
    layers: int
    intermediate: int
    heads: int
    queries: int
    keys: int
    vocabulary: int
    tied: bool
    layer: int
    decoder: int
    quantizable: int
    total: int
    used: int
    linears: Mapping[str, Linear] = field(default_factory=dict, hash=False)
    norms: int = 2
    head_norms: bool = False
    fused: bool = False
    experts: int = 0
    active: int = 0
    source: Source = "config"
    stored: int | None = None
    positions: int | None = None
    packed: bool = False
    notes: tuple[str, ...] = ()

    @property
    def embedding(self) -> int:
        """Parameters of the embedding."""
        return self.vocabulary * self.hidden

    @property
    def outside(self) -> int:
        """Parameters outside the decoder's layers."""
        return self.total - self.decoder

    def measured(self, headers: Mapping[str, tuple[int, ...]], stored: int) -> "Model":
        """With the count that the weights' own headers give.

        Args:
            headers: Shapes by name of tensor.
            stored: Bytes of their files.
        """
        total = sum(_size(shape) for shape in headers.values())
        if total == self.total:
            return replace(self, source="headers", stored=stored)
        # Files may leave out what is tied, or hold it twice; a decoder of another size is another architecture.
        decoder = sum(_size(shape) for name, shape in headers.items() if ".layers." in name or ".h." in name)
        if decoder == self.decoder:
            return replace(self, source="headers", stored=stored)
        scale = decoder / self.decoder if decoder and self.decoder else 1.0
        outside = total - decoder
        note = f"config.json tells of {self.total:,} parameters, and the weights have {total:,}: the weights count"
        return replace(
            self,
            total=total,
            decoder=decoder,
            layer=round(self.layer * scale),
            quantizable=min(round(self.quantizable * scale), decoder),
            used=min(round((self.used - self.outside) * scale) + outside, total),
            source="headers",
            stored=stored,
            notes=(*self.notes, note),
        )


def adapter_parameters(model: Model, rank: int, targets: tuple[str, ...], layers: int | None) -> int:
    """Parameters of the two matrices beside each linear layer that gets an adapter."""
    count = model.layers if layers is None else min(layers, model.layers)
    return count * sum(rank * (one.width + one.height) for one in adapted(model, targets).values())


def adapted(model: Model, targets: tuple[str, ...]) -> dict[str, Linear]:
    """Linear layers with an adapter, by name: those that are named, or all that may have one."""
    if not targets:
        return {name: one for name, one in model.linears.items() if one.adapted}
    return {name: one for name, one in model.linears.items() if name in targets}


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for one in shape:
        size *= one
    return size

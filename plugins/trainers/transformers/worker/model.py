"""Model: the base with what is trained of it, on this rank's device."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .batch import Batch
from .loss import logits_of
from .ranks import Ranks
from .work import RefusedError, Work

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
_ATTENTION = {"sdpa": "sdpa", "eager": "eager", "flash": "flash_attention_2"}
_ADAPTERS = {"lora", "qlora"}


@dataclass(frozen=True, slots=True)
class Model:
    """What is trained.

    Attributes:
        net: The base, or the base with an adapter.
        trained: What of it is trained, by name, always in one order.
        calculating: The type in which it calculates; None for that of its weights.
        split: Whether each rank holds a part of each weight only (FSDP2).
        reference: Of DPO: the logits of what it began as.
    """

    net: Any
    trained: dict[str, Any]
    calculating: Any
    split: bool
    reference: Callable[[Batch], Any] | None = None


def load(work: Work, ranks: Ranks) -> Model:
    """The model as it is before the first step; the same on all ranks.

    Weights that are trained are kept in fp32 and calculated with in the recipe's precision; weights that are only read
    are kept in that precision, with qlora in 4 bits.

    Raises:
        RefusedError: The base cannot be loaded, or has not the layers that the recipe names.
    """
    torch.manual_seed(work.seed)
    frozen = work.adapter["kind"] in _ADAPTERS
    held = _TYPES[work.precision] if frozen else torch.float32
    net = base_of(work, held, ranks)
    if work.recompute:
        net.activation_checkpointing_enable({"use_reentrant": False})
    if frozen:
        net = adapted(work, net)
    for one in net.parameters():
        if one.requires_grad:
            one.data = one.data.float()
    reference = _reference(work, net, ranks) if work.method == "dpo" else None
    split = work.sharding == "fsdp" and ranks.world > 1
    if split:
        _split(net, work, ranks)
    net.train()
    trained = {name: one for name, one in net.named_parameters() if one.requires_grad}
    calculating = None if work.precision == "fp32" else _TYPES[work.precision]
    return Model(net, trained, calculating, split, reference)


def base_of(work: Work, held: Any, ranks: Ranks) -> Any:
    """The base's own weights."""
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()  # a log is no terminal
    more: dict[str, Any] = {}
    if work.adapter["kind"] == "qlora":
        more["quantization_config"] = _four_bits(held)
    try:
        net = AutoModelForCausalLM.from_pretrained(
            work.base,
            dtype=held,
            attn_implementation=_ATTENTION[work.attention],
            local_files_only=True,
            trust_remote_code=False,
            **more,
        )
    except (OSError, ValueError, ImportError) as error:
        raise RefusedError(f"{work.base} cannot be loaded: {error}") from error
    if work.adapter["kind"] != "qlora" and work.sharding != "fsdp":
        net.to(ranks.device)
    net.config.use_cache = False
    return net


def _four_bits(held: Any) -> Any:
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=held
    )


def adapted(work: Work, net: Any) -> Any:
    """The base with a new adapter, as the recipe has it."""
    from peft import LoraConfig, get_peft_model

    said = work.adapter
    layers = layers_of(net)
    if layers is None and said["layers"]:
        raise RefusedError("the base has no list of layers of which the last ones could be taken")
    if layers is not None and said["layers"] and said["layers"] > len(layers[1]):
        raise RefusedError(f"the recipe wants the last {said['layers']} layers, and the base has {len(layers[1])}")
    chosen: dict[str, Any] = {}
    if layers is not None and said["layers"]:
        count = len(layers[1])
        name = layers[0].rpartition(".")[2]
        chosen = {"layers_to_transform": list(range(count - said["layers"], count)), "layers_pattern": name}
    known = set(linear_names(net))
    missing = sorted(set(said["targets"]) - known)
    if missing:
        raise RefusedError(f"the base has no linear layers {', '.join(missing)}; it has {', '.join(sorted(known))}")
    config = LoraConfig(
        r=said["rank"],
        lora_alpha=said["alpha"],
        lora_dropout=said["dropout"],
        target_modules=sorted(said["targets"] or known),
        task_type="CAUSAL_LM",
        **chosen,
    )
    return get_peft_model(net, config)


def layers_of(net: Any) -> tuple[str, Any] | None:
    """The list of the decoder's layers, by its name: the longest list of modules."""
    lists = [(name, one) for name, one in net.named_modules() if isinstance(one, nn.ModuleList)]
    return max(lists, key=lambda found: len(found[1]), default=None)


def linear_names(net: Any) -> Iterator[str]:
    """The last words of the names of all linear layers but the output's."""
    output = net.get_output_embeddings()
    for name, one in net.named_modules():
        if isinstance(one, nn.Linear) and one is not output:
            yield name.rpartition(".")[2]


def _reference(work: Work, net: Any, ranks: Ranks) -> Callable[[Batch], Any]:
    """What the model says without its adapter; with none, a copy of it that stays as it is."""
    if work.adapter["kind"] in _ADAPTERS:

        def without(batch: Batch) -> Any:
            with net.disable_adapter():
                return logits_of(net, batch)

        return without
    still = deepcopy(net).eval().requires_grad_(requires_grad=False)
    if work.sharding == "fsdp" and ranks.world > 1:
        _split(still, work, ranks)
    return lambda batch: logits_of(still, batch)


def _split(net: Any, work: Work, ranks: Ranks) -> None:
    """Split the weights over all ranks, layer by layer (FSDP2)."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    mesh = init_device_mesh(ranks.device.type, (ranks.world,))
    policy = MixedPrecisionPolicy(
        param_dtype=None if work.precision == "fp32" else _TYPES[work.precision], reduce_dtype=torch.float32
    )
    layers = layers_of(net)
    for layer in layers[1] if layers is not None else ():
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(net, mesh=mesh, mp_policy=policy)


def tokenizer_of(folder: Path) -> Any:
    """The tokenizer of a model's folder."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)

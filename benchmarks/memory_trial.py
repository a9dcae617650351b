"""A few steps of training on the processor, and the most memory that they took past the libraries; of recipe_memory.py.

    PYTHON memory_trial.py '{"model": {...}, "work": {...}}'

A process of its own, in an environment with torch, transformers and peft; nothing of aiops is imported. Before anything
is measured a tiny model makes a step, so that what libraries keep for themselves is there already; then the kernel's
high-water mark is set back (`/proc/self/clear_refs`, proc(5)).
"""

import gc
import json
import os
import sys
from pathlib import Path
from typing import Any

IGNORED = -100
STEPS = 3


def main() -> None:
    """Train as the first word says, and print what it took."""
    said = json.loads(sys.argv[1])
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(1)
    tiny = {"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 64}
    tiny |= {"num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": 64}
    small = {**said["work"], "batch": 1, "length": 8, "layers": None, "targets": []}
    train(tiny, small)
    gc.collect()
    runtime = reading("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = reading("VmRSS")
    trained = train(said["model"], said["work"])
    print(
        json.dumps(
            {
                "runtime": runtime,
                "peak": reading("VmHWM") - before,
                "parameters": trained[0],
                "trained": trained[1],
                "torch": torch.__version__,
            }
        )
    )


def reading(name: str) -> int:
    """Bytes of one line of /proc/self/status."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(name)


def train(config: dict[str, Any], work: dict[str, Any]) -> tuple[int, int]:
    """A few steps; how many parameters there were, and how many of them were trained."""
    import torch

    net = built(config, work)
    parameters = sum(one.numel() for one in net.parameters())
    if work["adapter"] == "lora":
        net = adapted(net, work)
    reference = still(net, work) if work["method"] == "dpo" else None
    weights = [one for one in net.parameters() if one.requires_grad]
    optimizer = optimizer_of(weights, work["optimizer"])
    net.train()
    for _ in range(STEPS):
        for _ in range(work["accumulate"]):
            tokens, places, labels = batch_of(config["vocab_size"], work)
            if reference is None:
                loss = token_loss(net, tokens, places, labels)
            else:
                loss = preference_loss(net, reference, tokens, places, labels)
            loss.backward()
            del loss
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return parameters, sum(one.numel() for one in weights)


def built(config: dict[str, Any], work: dict[str, Any]) -> Any:
    """A model with random weights."""
    from transformers import AutoConfig, AutoModelForCausalLM

    rest = {name: value for name, value in config.items() if name != "model_type"}
    made = AutoConfig.for_model(config["model_type"], **rest)
    net = AutoModelForCausalLM.from_config(made, attn_implementation=work["attention"])
    net.config.use_cache = False
    if work["recompute"]:
        net.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return net


def adapted(net: Any, work: dict[str, Any]) -> Any:
    """The model with adapters beside its linear layers, but the output."""
    from peft import LoraConfig, get_peft_model
    from torch import nn

    output = net.get_output_embeddings()
    names = {
        name.rpartition(".")[2] for name, one in net.named_modules() if isinstance(one, nn.Linear) and one is not output
    }
    chosen: dict[str, Any] = {}
    if work["layers"]:
        count = net.config.num_hidden_layers
        chosen = {"layers_to_transform": list(range(count - work["layers"], count)), "layers_pattern": "layers"}
    targets = sorted(work["targets"] or names)
    return get_peft_model(net, LoraConfig(r=work["rank"], target_modules=targets, task_type="CAUSAL_LM", **chosen))


def still(net: Any, work: dict[str, Any]) -> Any:
    """What preferences are measured from: the model without its adapter, or a copy."""
    from copy import deepcopy

    if work["adapter"] == "none":
        copy = deepcopy(net).eval().requires_grad_(requires_grad=False)
        return lambda tokens, places: logits_of(copy, tokens, places)

    def without(tokens: Any, places: Any) -> Any:
        with net.disable_adapter():
            return logits_of(net, tokens, places)

    return without


def optimizer_of(weights: list[Any], name: str) -> Any:
    """As trainers make them."""
    import torch

    if name == "sgd":
        return torch.optim.SGD(weights, lr=1e-4)
    if name == "adafactor":
        return torch.optim.Adafactor(weights, lr=1e-4)
    return torch.optim.AdamW(weights, lr=1e-4)


def batch_of(vocabulary: int, work: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Random tokens; packed, every row is four that do not see each other."""
    import torch

    rows = work["batch"] * (2 if work["method"] == "dpo" else 1)
    shape = (rows, work["length"])
    tokens = torch.randint(0, vocabulary, shape)
    places = torch.arange(work["length"]).repeat(rows, 1)
    labels = tokens.clone()
    if work["masked"]:
        places = places % max(work["length"] // 4, 1)
        labels[places == 0] = IGNORED
    return tokens, places, labels


def logits_of(net: Any, tokens: Any, places: Any) -> Any:
    """What the model foretells."""
    return net(input_ids=tokens, position_ids=places, use_cache=False).logits


def token_loss(net: Any, tokens: Any, places: Any, labels: Any) -> Any:
    """The mean over all tokens that count."""
    from torch.nn import functional

    logits = logits_of(net, tokens, places)[:, :-1].float()
    return functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]), labels[:, 1:].reshape(-1), ignore_index=IGNORED
    )


def preference_loss(net: Any, reference: Any, tokens: Any, places: Any, labels: Any) -> Any:
    """DPO (Rafailov et al. 2023), chosen and rejected in turn."""
    import torch
    from torch.nn import functional

    def logarithms(logits: Any) -> Any:
        wanted = labels[:, 1:].unsqueeze(-1)
        return logits[:, :-1].float().log_softmax(-1).gather(-1, wanted).squeeze(-1).sum(-1)

    with torch.no_grad():
        before = logarithms(reference(tokens, places))
    ratios = logarithms(logits_of(net, tokens, places)) - before
    return -functional.logsigmoid(0.1 * (ratios[0::2] - ratios[1::2])).mean()


if __name__ == "__main__":
    main()

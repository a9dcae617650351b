"""The folder of a model without weights: a real tokenizer that was trained in a moment, and a chat template."""

import json
from pathlib import Path

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
_TEXTS = [
    "the cluster has sixteen nodes and every node has eight devices that share one fabric",
    "user assistant system what is the capital of France? Paris is the capital of France.",
    "0 1 2 3 4 5 6 7 8 9 def main(): return print('hello') émile 集群有十六个节点",
]


def lay_model(folder: Path, *, template: str | None = TEMPLATE, vocabulary: int = 400) -> Path:
    """Write it, the same bytes each time."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=_SPECIAL,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_TEXTS * 3, trainer)
    (folder / "tokenizer.json").write_text(tokenizer.to_str(), "utf-8")
    config = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "tokenizer_class": "GPT2Tokenizer"}
    if template is not None:
        config["chat_template"] = template
    (folder / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
    return folder

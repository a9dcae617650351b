"""The folder of a model without weights, whose tokenizer knows the characters of clean rows and no others."""

import json
from pathlib import Path

from .clean_rows import TEXTS
from .templates import CHATML

SPECIAL = ("<unk>", "<|im_start|>", "<|im_end|>")
ALSO = (
    "\ufffd\u00c3\u00a9\x07abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 \n_<>|/[]{}\"':,.-+()°@=手机"
)


def lay_checked_model(folder: Path, template: str | None = CHATML) -> Path:
    """Write it; the training takes a moment."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=1500, special_tokens=list(SPECIAL), show_progress=False)
    tokenizer.train_from_iterator([*TEXTS, *ALSO, ALSO, CHATML], trainer)
    (folder / "tokenizer.json").write_text(tokenizer.to_str(), "utf-8")
    config = {"bos_token": "<|im_start|>", "eos_token": {"content": "<|im_end|>"}, "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
    if template is not None:
        (folder / "chat_template.jinja").write_text(template, "utf-8")
    return folder

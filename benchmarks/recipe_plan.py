"""How long `aiops recipe plan` takes for 8 nodes of 8 accelerators, as a process, and that it loads no torch.

The base is a folder with the config.json and the safetensors headers of Llama-3.1-70B's shapes (the files hold headers
alone). Nodes are imagined (`--device-memory`): how long real ones take to answer is the network's (`aiops node facts`).
"""

import json
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

from .measurement import AIOPS, BrokenError, Figure, report, run

_RECIPE = """\
aiops: 1
kind: recipe
name: plan-speed
base: {base}
data: {{train: [{base}/rows.jsonl], length: 8192}}
folder: {base}/runs
adapter: {{type: {adapter}}}
train: {{steps: 1000, batch: 8, recompute: false}}
placement: {{nodes: 8, devices: 8}}
"""
_CONFIG = {
    "model_type": "llama",
    "hidden_size": 8192,
    "num_hidden_layers": 80,
    "intermediate_size": 28672,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "vocab_size": 128_256,
    "tie_word_embeddings": False,
}
_PARAMETERS = 70_553_706_496
_WORLD = 64
_FILES = 30
_HEAVY = ("torch", "transformers", "numpy", "tokenizers", "pyarrow", "peft")
_PROBE = (
    "import sys\n"
    "from aiops.cli.main import main\n"
    "code = main(sys.argv[1:])\n"
    "print('LOADED', *sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)\n"
    "sys.exit(code)\n"
)


def base(folder: Path) -> None:
    """A model's folder without its weights."""
    (folder / "config.json").write_text(json.dumps(_CONFIG), encoding="utf-8")
    shapes = {
        "input_layernorm": [8192],
        "post_attention_layernorm": [8192],
        "self_attn.q_proj": [8192, 8192],
        "self_attn.k_proj": [1024, 8192],
        "self_attn.v_proj": [1024, 8192],
        "self_attn.o_proj": [8192, 8192],
        "mlp.gate_proj": [28672, 8192],
        "mlp.up_proj": [28672, 8192],
        "mlp.down_proj": [8192, 28672],
    }
    tensors = {f"model.layers.{layer}.{name}.weight": shape for layer in range(80) for name, shape in shapes.items()}
    tensors |= {"model.embed_tokens.weight": [128_256, 8192], "lm_head.weight": [128_256, 8192]}
    tensors |= {"model.norm.weight": [8192]}
    names = list(tensors)
    for number in range(_FILES):
        mine = {
            name: {"dtype": "BF16", "shape": tensors[name], "data_offsets": [0, 0]} for name in names[number::_FILES]
        }
        head = json.dumps(mine).encode()
        (folder / f"model-{number:05}.safetensors").write_bytes(struct.pack("<Q", len(head)) + head)


def main() -> int:
    """Measure and report."""
    folder = Path(tempfile.mkdtemp(prefix="aiops-plan-"))
    try:
        base(folder)
        files = {}
        for adapter in ("none", "qlora"):
            files[adapter] = folder / f"{adapter}.yml"
            files[adapter].write_text(_RECIPE.format(base=folder, adapter=adapter), encoding="utf-8")
        words = ("recipe", "plan", "--device-memory", "80 GiB", "--json")
        figures = []
        for adapter, file in files.items():
            made = [run(AIOPS, *words, file, expect=(0, 4)) for _ in range(7)]
            told = json.loads(made[-1].stdout)
            if told["model"]["parameters"] != _PARAMETERS or told["layout"]["world"] != _WORLD:
                raise BrokenError(f"the plan is of another model or cluster: {told['model']}, {told['layout']}")
            title = "full" if adapter == "none" else adapter
            figures.append(Figure(f"plan of 70B {title} on 8 x 8", "s", tuple(one.seconds for one in made), limit=1.0))
            figures.append(Figure(f"processor time of that, {title}", "s", tuple(one.cpu for one in made)))
            figures.append(Figure(f"memory of that process, {title}", "MiB", tuple(one.peak_mib for one in made)))
        loaded = heavy(words, files["none"])
        if loaded:
            print(f"loaded: {', '.join(loaded)}")
        figures.append(Figure("heavy libraries that it loads", "", (float(len(loaded)),), limit=0))
        return report(Path(__file__).stem, figures, simulated="the nodes: they are imagined, and none was asked")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def heavy(words: tuple[str, ...], file: Path) -> list[str]:
    """Which of the heavy libraries such a process has loaded when it ends."""
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, *words, str(file)], capture_output=True, text=True, check=False, timeout=60
    )
    line = next((one for one in done.stderr.splitlines() if one.startswith("LOADED")), None)
    if line is None:
        raise BrokenError(f"it said nothing of what it loaded; {done.stderr[-500:]}")
    return [name for name in _HEAVY if name in line.split()]


if __name__ == "__main__":
    sys.exit(main())

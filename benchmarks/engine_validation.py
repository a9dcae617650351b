"""Gives rendered settings to the code by which a tool reads them. Run by the Python of the tool's own environment.

    python engine_validation.py TOOL        reads a list of cases from stdin, prints one line of verdicts

A case is `{"case", "words": [MODULE, WORD ...], "variables", "code": FOLDER, "world", "more": {KEY: VALUE}}`; what
stands in `more` is said too, as one would add a line to the file, or a word to the command.
"""

import contextlib
import importlib.metadata
import io
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Validate = Callable[[list[str], Mapping[str, Any]], list[str]]
"""Raises where it is refused; gives the names that the tool does not know and does not refuse."""


def llamafactory() -> Validate:
    """`llamafactory-cli train FILE [KEY=VALUE ...]`, up to its arguments."""
    import yaml
    from llamafactory.hparams.parser import get_train_args

    def validate(words: list[str], more: Mapping[str, Any]) -> list[str]:
        module, file, *rest = words
        with tempfile.NamedTemporaryFile("w", suffix=".yaml", delete=False) as stream:
            yaml.safe_dump({**yaml.safe_load(Path(file).read_text()), **more}, stream)
        sys.argv = [module, stream.name, *rest]
        get_train_args()
        return []

    return validate


def axolotl() -> Validate:
    """`axolotl train FILE --KEY=VALUE`, up to its validated settings; for eight devices that are said to be there."""
    import yaml
    from axolotl.utils.config import validate_config
    from axolotl.utils.dict import DictDefault
    from axolotl.utils.schemas.config import AxolotlInputConfig

    known = set(AxolotlInputConfig.model_fields)
    devices = {"bf16": True, "fp8": True, "n_gpu": 8, "n_node": 2, "compute_capability": "sm_90", "tf32": True}
    where = {"torch_version": "2.13.0"}

    def validate(words: list[str], more: Mapping[str, Any]) -> list[str]:
        _, file, *rest = words
        given = {word[2:].partition("=")[0].replace("-", "_"): word.partition("=")[2] for word in rest}
        fields = {**yaml.safe_load(Path(file).read_text()), **given, **more}
        validate_config(DictDefault(fields), capabilities=dict(devices), env_capabilities=dict(where))
        return sorted(set(fields) - known)

    return validate


def ms_swift() -> Validate:
    """`swift sft|pt|rlhf WORD ...`, up to its arguments."""
    from swift.arguments import PretrainArguments, RLHFArguments, SftArguments
    from swift.utils import parse_args

    kinds = {"swift.cli.sft": SftArguments, "swift.cli.pt": PretrainArguments, "swift.cli.rlhf": RLHFArguments}

    def validate(words: list[str], more: Mapping[str, Any]) -> list[str]:
        module, *rest = words
        for name, value in more.items():
            rest += [f"--{name}", value if isinstance(value, str) else json.dumps(value)]
        _, left = parse_args(kinds[module], rest)
        if left:
            raise ValueError(f"words that it does not know: {left}")
        return []

    return validate


def torchtitan() -> Validate:
    """`torchtitan.train WORD ...`, up to what it would put on devices: settings, ranks, its model, first samples."""
    import torch
    from torchtitan.config import ConfigManager
    from torchtitan.distributed import ParallelDims, utils

    def validate(words: list[str], more: Mapping[str, Any]) -> list[str]:
        _, *rest = words
        more = dict(more)
        settings = Path(os.environ["TORCHTITAN_RECIPE"])
        other = settings.with_name("other.json")
        other.write_text(json.dumps({**json.loads(settings.read_text()), **more.pop("settings", {})}))
        os.environ["TORCHTITAN_RECIPE"] = str(other)
        config = ConfigManager().parse_args([*rest, *(f"--{name}={value}" for name, value in more.items())])
        ParallelDims.from_config(config.parallelism, int(os.environ["WORLD"]))
        tokenizer = config.tokenizer.build(tokenizer_path=config.hf_assets_path)
        place = {"dp_world_size": 1, "dp_rank": 0, "tokenizer": tokenizer}
        size = {"seq_len": config.training.seq_len, "local_batch_size": config.training.local_batch_size}
        _, labels = next(iter(config.dataloader.build(**place, **size)))
        if labels.shape != (size["local_batch_size"], size["seq_len"]) or not (labels >= 0).any():
            raise ValueError(f"samples of shape {tuple(labels.shape)}, of which nothing is learnt")
        config.optimizer.build(model_parts=[torch.nn.Linear(2, 2)])
        utils.set_spmd_backend(config.parallelism.spmd_backend)
        config.model_spec.model.update_from_config(config=config)
        with torch.device("meta"):
            model = config.model_spec.model.build()
        told = json.loads(Path(config.hf_assets_path, "config.json").read_text())
        adapter = config.model_spec.state_dict_adapter(config.model_spec.model, config.hf_assets_path)
        compare(adapter.to_hf(model.state_dict()), config.model_spec.model, told)
        return []

    return validate


def compare(weights: Mapping[str, Any], model: Any, told: Mapping[str, Any]) -> None:
    """That a model of torchtitan's own is the one that a config.json speaks of.

    Raises:
        ValueError: It is another.
    """
    width, heads = told["hidden_size"], told["num_attention_heads"]
    head, layers = told.get("head_dim") or width // heads, told["num_hidden_layers"]
    below = "model.layers.0."
    wanted = {
        "model.embed_tokens.weight": (told["vocab_size"], width),
        f"{below}self_attn.q_proj.weight": (heads * head, width),
        f"{below}self_attn.k_proj.weight": (told["num_key_value_heads"] * head, width),
        f"{below}mlp.gate_proj.weight": (told["intermediate_size"], width),
        f"model.layers.{layers - 1}.mlp.down_proj.weight": (width, told["intermediate_size"]),
    }
    wrong = [f"{name} is {tuple(weights[name].shape)}" for name, one in wanted.items() if weights[name].shape != one]
    if f"model.layers.{layers}.mlp.down_proj.weight" in weights:
        wrong.append(f"there are more than {layers} layers")
    if ("lm_head.weight" in weights) == told["tie_word_embeddings"]:
        wrong.append("the output's weights are tied otherwise")
    rope, said = model.layers[0].attention.rope, told.get("rope_scaling") or {}
    kind = {"none": None, "llama": "llama3"}.get(rope.scaling, rope.scaling)
    if "rope_theta" in told and (rope.theta, kind) != (told["rope_theta"], said.get("rope_type")):
        wrong.append(f"positions are {rope}")
    if said and (rope.scaling_factor, rope.low_freq_factor, rope.high_freq_factor) != (
        said["factor"],
        said["low_freq_factor"],
        said["high_freq_factor"],
    ):
        wrong.append(f"positions are {rope}")
    if "rms_norm_eps" in told and model.norm.eps != told["rms_norm_eps"]:
        wrong.append(f"norms have {model.norm.eps}")
    if wrong:
        raise ValueError("; ".join(wrong))


def pretend_devices() -> None:
    """Have transformers take the machine for one whose accelerator knows bf16: what is judged is the settings."""
    try:
        import transformers.training_args
    except ImportError:
        return

    transformers.training_args.is_torch_bf16_gpu_available = lambda: True


TOOLS: dict[str, tuple[str, Callable[[], Validate]]] = {
    "llamafactory": ("llamafactory", llamafactory),
    "axolotl": ("axolotl", axolotl),
    "ms-swift": ("ms-swift", ms_swift),
    "torchtitan": ("torchtitan", torchtitan),
}


def main(name: str) -> None:
    """Judge all cases."""
    package, tool = TOOLS[name]
    pretend_devices()
    validate = tool()
    verdicts = []
    for case in json.load(sys.stdin):
        os.environ.update(case["variables"], WORLD=str(case["world"]))
        if case["code"] not in sys.path:
            sys.path.insert(0, case["code"])
        found: dict[str, Any] = {"case": case["case"], "accepted": True, "words": "", "unknown": []}
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said):
                found["unknown"] = validate(list(case["words"]), case.get("more", {}))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it raises is its refusal
            words = said.getvalue() if isinstance(error, SystemExit) else str(error)
            words = re.sub(r"input_value=.*?, input_type", "input_value=..., input_type", words)  # all that was said
            found |= {"accepted": False, "words": f"{type(error).__name__}: {words.strip()}"[:400]}
        verdicts.append(found)
    sys.stdout.write("\n" + json.dumps({"version": importlib.metadata.version(package), "verdicts": verdicts}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])

"""Gives rendered settings to the code by which a tool reads them. Run by the Python of the tool's own environment.

    python engine_validation.py TOOL        reads a list of cases from stdin, prints one line of verdicts

A case is `{"case", "words": [MODULE, WORD ...], "more": {KEY: VALUE}}`; what stands in `more` is said too, as one would
add a line to the file, or a word to the command.
"""

import importlib.metadata
import json
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


def pretend_devices() -> None:
    """Have transformers take the machine for one whose accelerator knows bf16: what is judged is the settings."""
    import transformers.training_args

    transformers.training_args.is_torch_bf16_gpu_available = lambda: True


TOOLS: dict[str, tuple[str, Callable[[], Validate]]] = {
    "llamafactory": ("llamafactory", llamafactory),
    "axolotl": ("axolotl", axolotl),
    "ms-swift": ("ms-swift", ms_swift),
}


def main(name: str) -> None:
    """Judge all cases."""
    package, tool = TOOLS[name]
    pretend_devices()
    validate = tool()
    verdicts = []
    for case in json.load(sys.stdin):
        found: dict[str, Any] = {"case": case["case"], "accepted": True, "words": "", "unknown": []}
        try:
            found["unknown"] = validate(list(case["words"]), case.get("more", {}))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it raises is its refusal
            found |= {"accepted": False, "words": f"{type(error).__name__}: {error}"[:400]}
        verdicts.append(found)
    sys.stdout.write("\n" + json.dumps({"version": importlib.metadata.version(package), "verdicts": verdicts}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])

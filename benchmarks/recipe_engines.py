"""Whether what is rendered of recipes is accepted by the tools' own validation, in their own environments.

    python -m benchmarks.recipe_engines [TOOL ...]

Each tool is installed once below AIOPS_HOME/cache/engines at the version that is named here, beside one torch for
processors. Every recipe of the trainers' contract that a trainer does not refuse is rendered and given to the code by
which the tool reads its settings when it trains; then settings with a mistake each, which it must refuse, for a
validation that takes anything proves nothing. Nothing is trained.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from tests.l3_tuning.trainer_contract import LLAMA, ROWS, a_run, every_recipe

from aiops.cli.app import App
from aiops.layers.core.plugin import Plugins
from aiops.layers.l3_tuning.recipe import Recipe
from aiops.layers.l3_tuning.run import Run
from aiops.layers.l3_tuning.trainer import Rendered, Trainer, refusals, trainer_named, trainers_of

from .measurement import BrokenError, Figure, report
from .torch_environment import torch_environment

_HUGGING_FACE = ("sentencepiece", "protobuf", "scipy", "pyyaml", "packaging", "einops", "pydantic", "typing-extensions")
_PYTHON = "/usr/bin/python3"


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool, and what its validation imports.

    Attributes:
        package: With its version; it comes without its dependencies, which want servers, clouds and other devices.
        needs: What of these its validation imports.
        wrong: Settings with a mistake, each of which it must refuse: the key and the value.
    """

    name: str
    package: str
    needs: tuple[str, ...]
    wrong: Mapping[str, Mapping[str, Any]]


TOOLS = (
    Tool(
        "llamafactory",
        "llamafactory==0.9.5",
        ("transformers==5.6.0", "accelerate==1.11.0", "peft==0.18.1", "trl==0.24.0", "datasets==4.0.0", "omegaconf"),
        {
            "an unknown key": {"lora_rnk": 8},
            "two precisions": {"bf16": True, "fp16": True},
            "packing without sft": {"stage": "pt", "neat_packing": True},
            "4 bits with all weights": {"finetuning_type": "full", "quantization_bit": 4},
            "two held-out parts": {"eval_dataset": "evaluation", "val_size": 0.5},
        },
    ),
    Tool(
        "axolotl",
        "axolotl==0.19.0",
        (
            *("transformers==5.16.1", "accelerate==1.13.0", "peft==0.20.0", "trl==1.9.0", "datasets==4.8.4"),
            *("huggingface_hub==1.17.0", "fire", "addict", "colorama", "art", "python-dotenv", "posthog==6.7.11"),
            *(
                "axolotl-contribs-lgpl==0.0.7",
                "axolotl-contribs-mit==0.0.6",
                "requests",
                "bitsandbytes==0.50.2",
                "pillow",
                "kernels<0.17",
            ),
        ),
        {
            "an adapter that is none": {"adapter": "loraa"},
            "a rank that is no number": {"adapter": "lora", "lora_r": "many"},
            "packing of preferences": {"rl": "dpo", "sample_packing": True},
            "a precision that is none": {"bf16": "maybe"},
            "no data": {"datasets": []},
        },
    ),
    Tool(
        "ms-swift",
        "ms-swift==4.6.0",
        (
            *("transformers==5.6.0", "accelerate==1.13.0", "peft==0.20.0", "trl==0.29.1", "datasets==4.8.4"),
            *(
                "modelscope",
                "addict",
                "attrdict",
                "binpacking",
                "dacite",
                "json-repair",
                "nltk",
                "openai",
                "oss2",
                "rouge",
            ),
            *("simplejson", "sortedcontainers", "tiktoken", "pillow", "matplotlib", "aiohttp", "importlib-metadata"),
            *("charset-normalizer", "zstandard", "fastapi", "uvicorn", "tensorboard", "requests"),
        ),
        {
            "an unknown word": {"lora_rnk": 8},
            "a precision that is none": {"torch_dtype": "bfloat17"},
            "a truncation that is none": {"truncation_strategy": "middle"},
            "packing without flash attention": {"packing": True, "attn_impl": "sdpa"},
            "a model that is not there": {"model": "/nowhere/model"},
        },
    ),
)


def environment(home: Path, tool: Tool) -> Path:
    """The Python of a tool's environment, made unless it is there.

    Raises:
        BrokenError: It cannot be made.
    """
    torch = Path(torch_environment(home).partition(":")[0])
    folder = home / "cache" / "engines" / re.sub(r"[^a-z0-9.]+", "-", tool.package)
    python = folder / "bin/python"
    if not (folder / "made").exists():
        _run(_PYTHON, "-m", "venv", "--clear", str(folder))
        (site,) = folder.glob("lib/python3.*/site-packages")
        (other,) = torch.glob("lib/python3.*/site-packages")
        (site / "torch.pth").write_text(f"{other}\n")
        # pip sees the torch of the other folder, and so brings no other one.
        _run(str(python), "-m", "pip", "install", "-q", *tool.needs, *_HUGGING_FACE)
        _run(str(python), "-m", "pip", "install", "-q", "--no-deps", tool.package)
        (folder / "made").touch()
    return python


def lay(folder: Path, run: Run, found: Rendered) -> None:
    """Write what a run's folder would hold: the files, and a row of its form in each file of rows."""
    for path, content in found.files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    for export in found.exports:
        (folder / export.file).parent.mkdir(parents=True, exist_ok=True)
        (folder / export.file).write_text(json.dumps(dict(export.write(ROWS[run.data.manifest.form]))) + "\n")


def base_of(folder: Path) -> Path:
    """A model's folder as far as settings are read: what it is, a tokenizer and its template."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(dict(LLAMA)))
    Tokenizer(WordLevel({"<s>": 0, "</s>": 1, "<unk>": 2}, unk_token="<unk>")).save(str(folder / "tokenizer.json"))  # noqa: S106
    template = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}</s>{% endfor %}"
    says = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>", "chat_template": template}
    (folder / "tokenizer_config.json").write_text(json.dumps(says))
    return folder


def words_of(found: Rendered, *, resume: str = "") -> list[str]:
    """What the tool's own program is given: the command behind `handover.py`, as that hands it on."""
    namespace: dict[str, Any] = {"__name__": "handover"}
    exec(compile((files("aiops.plugins.trainers") / "handover.py").read_bytes(), "handover", "exec"), namespace)  # noqa: S102
    module, _, words = namespace["words_of"](list(found.command[2:]), resume)
    return [module, *words]


def cases_of(trainer: Trainer, place: Path, base: Path) -> list[dict[str, Any]]:
    """Every recipe of the contract that the trainer takes, rendered into a folder of its own."""
    cases = []
    asked = [replace(one, trainer=trainer.name, base=str(base)) for one in every_recipe()]
    for number, recipe in enumerate(one for one in asked if not refusals(one, trainer)):
        folder = place / f"{number:03}"
        run = replace(a_run(recipe, trainer), folder=str(folder))
        found = trainer.render(run)
        lay(folder, run, found)
        words = words_of(found, resume=str(folder / "checkpoints/checkpoint-5") if not (number + 4) % 7 else "")
        (folder / "checkpoints/checkpoint-5").mkdir(parents=True, exist_ok=True)
        cases.append({"case": _said(recipe), "words": words})
    return cases


def _said(recipe: Recipe) -> str:
    placement, train = recipe.placement, recipe.train
    return (
        f"{recipe.method} {recipe.adapter.kind} {placement.nodes}x{placement.devices} {placement.sharding}"
        f" {train.optimizer} {train.precision} packing={recipe.data.packing} length={recipe.data.length}"
        f" held_out={recipe.data.held_out:g} rank={recipe.adapter.rank}"
    )


def spoiled(tool: Tool, case: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One case with a mistake each."""
    found = []
    for what, values in tool.wrong.items():
        found.append({"case": what, "words": case["words"], "more": dict(values)})
    return found


def judged(python: Path, tool: Tool, cases: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], str]:
    """What the tool says of each, and the version that said it.

    Raises:
        BrokenError: Its code cannot be used.
    """
    program = Path(__file__).parent / "engine_validation.py"
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
        "HF_HUB_OFFLINE": "1",
        "RANK": "0",
        "LOCAL_RANK": "0",
        "WORLD_SIZE": "1",
        "LOCAL_WORLD_SIZE": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "29571",
        "AXOLOTL_DO_NOT_TRACK": "1",
        "TOKENIZERS_PARALLELISM": "0",
        "ACCELERATE_USE_CPU": "1",
    }
    done = subprocess.run(
        [str(python), str(program), tool.name],
        input=json.dumps(list(cases)),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
    answer = next((line for line in reversed(done.stdout.splitlines()) if line.startswith('{"version"')), None)
    if answer is None:
        raise BrokenError(f"{tool.name} could not be asked: {done.stderr[-1500:]}")
    told = json.loads(answer.replace(str(python.parents[2]), "ENGINES"))
    return told["verdicts"], told["version"]


def _run(*words: str) -> None:
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False, timeout=3600)
    if done.returncode:
        raise BrokenError(f"`{' '.join(words)}` ended with {done.returncode}")


def main(names: Sequence[str]) -> int:
    """Ask the tools; 1 where one refuses what is rendered for it, or takes a mistake."""
    home = App(os.environ).home
    trainers = trainers_of(Plugins())
    figures, details = [], []
    for tool in TOOLS:
        if names and tool.name not in names:
            continue
        python = environment(home, tool)
        place = home / "cache" / "engines" / "runs" / tool.name
        cases = cases_of(trainer_named(trainers, tool.name), place, base_of(place / "base"))
        plain = next(one for one in cases if one["case"].startswith("sft lora"))
        began = time.monotonic()
        verdicts, version = judged(python, tool, [*cases, *spoiled(tool, plain)])
        seconds = time.monotonic() - began
        right, wrong = verdicts[: len(cases)], verdicts[len(cases) :]
        refused = [one for one in right if not one["accepted"]]
        taken = [one for one in wrong if one["accepted"]]
        title = f"{tool.name} {version}"
        figures.append(Figure(f"recipes refused by {title}, of {len(cases)} rendered", "", (float(len(refused)),), 0))
        figures.append(Figure(f"mistakes taken by {title}, of {len(wrong)}", "", (float(len(taken)),), 0))
        strange = sorted({key for one in right for key in one["unknown"]})
        figures.append(Figure(f"keys that {title} does not know", "", (float(len(strange)),), 0))
        details.append(
            {
                "tool": tool.name,
                "version": version,
                "seconds": round(seconds, 1),
                "accepted": [one["case"] for one in right if one["accepted"]],
                "refused": refused,
                "unknown": strange,
                "mistakes": wrong,
            }
        )
    simulated = "nothing is trained; the tools are told of accelerators that are not there"
    return report("recipe_engines", figures, simulated=simulated, details=details)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

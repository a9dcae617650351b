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
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from tests.l3_tuning.trainer_contract import LLAMA, a_recipe, a_row, a_run, every_recipe

from aiops.cli.app import App
from aiops.layers.core.errors import FailedError
from aiops.layers.core.plugin import Plugins
from aiops.layers.l3_tuning.left_model import left_model
from aiops.layers.l3_tuning.recipe import Recipe
from aiops.layers.l3_tuning.run import Run
from aiops.layers.l3_tuning.trainer import Rendered, Trainer, refusals, trainer_named, trainers_of
from aiops.plugins.trainers.torchtitan.models import FLAVORS, Flavor

from .engine_tools import TOOLS, Tool
from .measurement import BrokenError, Figure, report
from .torch_environment import torch_environment

_HUGGING_FACE = ("sentencepiece", "protobuf", "scipy", "pyyaml", "packaging", "einops", "pydantic", "typing-extensions")
_PYTHON = "/usr/bin/python3"
_ROWS = 256
"""In each file: where a tool fills samples with them, it should not begin anew with each."""

_VARIED: Sequence[Mapping[str, Any]] = (
    {},
    {"attention": "flash"},
    {"schedule": "constant", "warmup": 3},
    {"schedule": "linear", "clip": 0.0},
    {"precision": "fp32"},
    {"recompute": False, "weight_decay": 0.1},
)
"""What the contract's recipes do not say in ways that torchtitan takes."""


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
    """Write what a run's folder would hold: the files, and rows of its form in each file of rows."""
    for path, content in found.files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    for export in found.exports:
        (folder / export.file).parent.mkdir(parents=True, exist_ok=True)
        row = json.dumps(dict(export.write(a_row(run.data.manifest.form, export)))) + "\n"
        (folder / export.file).write_text(row * _ROWS)


def base_of(folder: Path, config: Mapping[str, Any] = LLAMA) -> Path:
    """A model's folder as far as settings are read: what it is, a tokenizer and its template."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(dict(config)))
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


def cases_of(tool: Tool, trainer: Trainer, place: Path, base: Path) -> list[dict[str, Any]]:
    """Every recipe of the contract that the trainer takes, rendered into a folder of its own."""
    cases = []
    asked = [replace(one, trainer=trainer.name, base=str(base)) for one in every_recipe(packed=tool.packed)]
    for number, recipe in enumerate(one for one in asked if not refusals(one, trainer)):
        resumed = not (number + 4) % 7
        cases.append(_case(trainer, recipe, place / f"{number:03}", LLAMA, resumed=resumed))
    return cases


def flavored(trainer: Trainer, place: Path) -> list[dict[str, Any]]:
    """For torchtitan each of its models that are rendered for: its sizes stand in our table, and in its code."""
    cases = []
    for number, flavor in enumerate(FLAVORS):
        config = config_of(flavor)
        base = base_of(place / f"base-{number:02}", config)
        recipe = a_recipe("sft", "none", trainer=trainer.name, base=str(base))
        train = replace(recipe.train, **_VARIED[number % len(_VARIED)])
        recipe = replace(
            recipe, data=replace(recipe.data, packing=True), train=train, options={"compile": number % 2 > 0}
        )
        if refusals(recipe, trainer, config):
            raise BrokenError(f"{flavor.title} is refused by its own renderer: {refusals(recipe, trainer, config)}")
        found = _case(trainer, recipe, place / f"model-{number:02}", config)
        cases.append({**found, "case": f"{flavor.title}: {found['case']} {_VARIED[number % len(_VARIED)]}"})
    return cases


def config_of(flavor: Flavor) -> dict[str, Any]:
    """The config.json of one of torchtitan's models, as its makers write it."""
    shape = {key: one for key, one in flavor.shape.items() if key != "positions"}
    if flavor.shape["positions"] is None:
        return shape
    keys = ("rope_type", "factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings")
    return {**shape, "rope_scaling": dict(zip(keys, flavor.shape["positions"], strict=True))}


def _case(
    trainer: Trainer, recipe: Recipe, folder: Path, config: Mapping[str, Any], *, resumed: bool = False
) -> dict[str, Any]:
    run = replace(a_run(recipe, trainer, config=config), folder=str(folder))
    found = trainer.render(run)
    lay(folder, run, found)
    code = folder.parent / "code"
    code.mkdir(parents=True, exist_ok=True)
    for name, content in trainer.code().items():
        (code / name).write_bytes(content)
    words = words_of(found, resume=str(folder / "checkpoints/checkpoint-5") if resumed else "")
    (folder / "checkpoints/checkpoint-5").mkdir(parents=True, exist_ok=True)
    variables = dict(found.variables)
    return {"case": _said(recipe), "words": words, "variables": variables, "code": str(code), "world": run.world}


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
        found.append({**case, "case": what, "more": dict(values)})
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


def gone_wrong(python: Path, place: Path) -> list[str]:
    """What torchtitan's own code did otherwise than it was told to by ours in it: going on, beginning, leaving a model.

    Raises:
        BrokenError: Its code cannot be used.
    """
    program, folder = Path(__file__).parent / "torchtitan_checkpoints.py", place / "checkpoints"
    words = [str(python), str(program), str(place / "code"), str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        raise BrokenError(f"its checkpoints could not be tried: {done.stderr[-1500:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    try:
        left = left_model(folder / "checkpoints", 8, place / "base")
        found["left a model"] = left.kind == "model" and "config.json" in left.files
    except FailedError as error:
        found[f"left a model: {error.message}"] = False
    return [what for what, well in found.items() if not well]


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
        trainer = trainer_named(trainers, tool.name)
        cases = cases_of(tool, trainer, place, base_of(place / "base"))
        cases += flavored(trainer, place) if tool.name == "torchtitan" else []
        plain = next(one for one in cases if one["case"].startswith(("sft lora", "sft none")))
        began = time.monotonic()
        verdicts, version = judged(python, tool, [*cases, *spoiled(tool, plain)])
        seconds = time.monotonic() - began
        right, spoilt = verdicts[: len(cases)], verdicts[len(cases) :]
        refused = [one for one in right if not one["accepted"]]
        taken = [one for one in spoilt if one["accepted"]]
        title = f"{tool.name} {version}"
        figures.append(Figure(f"recipes refused by {title}, of {len(cases)} rendered", "", (float(len(refused)),), 0))
        figures.append(Figure(f"mistakes taken by {title}, of {len(spoilt)}", "", (float(len(taken)),), 0))
        strange = sorted({key for one in right for key in one["unknown"]})
        figures.append(Figure(f"keys that {title} does not know", "", (float(len(strange)),), 0))
        if tool.name == "torchtitan":
            wrong = gone_wrong(python, place)
            figures.append(
                Figure(f"ways with checkpoints that went wrong in {title}, of 3", "", (float(len(wrong)),), 0)
            )
        details.append(
            {
                "tool": tool.name,
                "version": version,
                "seconds": round(seconds, 1),
                "accepted": [one["case"] for one in right if one["accepted"]],
                "refused": refused,
                "unknown": strange,
                "mistakes": spoilt,
            }
        )
    simulated = "nothing is trained; the tools are told of accelerators that are not there"
    return report("recipe_engines", figures, simulated=simulated, details=details)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

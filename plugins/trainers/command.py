"""A command of the user's own: their words, with the places of a run in them.

`options.command` is one line, split into words as a shell would, with {run}, {rows}, {evaluation}, {base}, {data},
{checkpoints}, {environment}, {steps}, {seed} and so on in it; no shell reads it.
"""

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from string import Formatter
from typing import Any

from aiops.layers.core.places import nearest
from aiops.layers.core.plugin import hookimpl
from aiops.layers.l2_jobs.job_document import regex_of_steps
from aiops.layers.l2_jobs.mistake import WrongError
from aiops.layers.l3_tuning.recipe import Recipe
from aiops.layers.l3_tuning.run import Run, processes_of
from aiops.layers.l3_tuning.trainer import Abilities, Proof, Refusal, Rendered, inside_run

from .rows import EVALUATION, TRAIN, conversation, exports, messages, text

SETTINGS = "settings.json"
PLACES: Mapping[str, str] = {
    "run": "the folder of the run",
    "settings": "a JSON file with all that the recipe says",
    "rows": "a JSONL file with the rows that are learnt",
    "evaluation": "the same of those that are held out",
    "base": "the folder of the model",
    "data": "the folder of the prepared data",
    "checkpoints": "the folder where checkpoints belong",
    "environment": "the folder of the environment",
    "steps": "steps of the optimizer in all",
    "rate": "the learning rate",
    "seed": "the seed",
    "length": "tokens of a sample at most",
    "every": "steps between two checkpoints",
    "processes": "processes of each node",
}
"""What may stand in braces."""


class Command:
    """Whatever trains."""

    name = "command"
    title = "A command of your own"
    proof: Proof = "rendered"
    environment = "trainer"
    imports: tuple[str, ...] = ()
    abilities = Abilities(
        methods=frozenset({"pretrain", "sft", "dpo"}),
        adapters=frozenset({"lora", "qlora", "none"}),
        optimizers=frozenset({"adamw", "adamw-8bit", "adafactor", "sgd"}),
        processors=True,
        packing=True,
        layers=True,
        options={
            "command": "the line, with places in braces: " + ", ".join(f"{{{name}}}" for name in PLACES),
            "progress": "a regular expression with a group `step`, perhaps `loss`, that finds steps in its output",
            "checkpoint_format": "what writes its checkpoints, as in a job file; `auto` finds out",
            "output": "where it leaves the tuned model, below the run's folder; else it writes `artefact/` itself",
        },
    )

    def refuse(self, recipe: Recipe) -> Iterable[Refusal]:
        """What is wrong with the line, and what the recipe's own compiler would not see."""
        options = recipe.options
        yield from (Refusal(("options", "command"), words, hint) for words, hint in _mistakes(options.get("command")))
        output = options.get("output")
        if output is not None and not inside_run(str(output)):
            words = f"is `{output}`, which is not below the folder of the run, or is a part of it that aiops writes"
            yield Refusal(("options", "output"), words, "for example `output: checkpoints/last`")
        try:
            regex_of_steps(options.get("progress", r"(?P<step>\d+)"))
        except WrongError as error:
            yield Refusal(("options", "progress"), error.words, error.hint or None)

    def code(self) -> Mapping[str, bytes]:
        """It brings none: the user's own is where their words say."""
        return {}

    def render(self, run: Run) -> Rendered:
        """The words with the places of this run in them."""
        options, places = run.recipe.options, self._places(run)
        words = [Formatter().vformat(word, (), places) for word in shlex.split(str(options["command"]))]
        torchrun = words[0].rpartition("/")[2] == "torchrun"
        if torchrun and "/" not in words[0]:
            words[0] = f"{run.environment}/bin/torchrun"
        writer = {"text": text, "preference": _preference}.get(run.data.manifest.form, conversation)
        progress, output = options.get("progress"), options.get("output")
        return Rendered(
            command=tuple(words),
            launch="torchrun" if torchrun else "command",
            processes=processes_of(run.recipe) if torchrun else None,
            files={SETTINGS: _settings(run, places)},
            exports=exports(run, writer),
            checkpoint_format=str(options.get("checkpoint_format", "auto")),
            progress=None if progress is None else str(progress),
            output=None if output is None else str(output),
        )

    def _places(self, run: Run) -> dict[str, Any]:
        recipe = run.recipe
        return {
            "run": run.folder,
            "settings": f"{run.folder}/{SETTINGS}",
            "rows": f"{run.folder}/{TRAIN}",
            "evaluation": f"{run.folder}/{EVALUATION}",
            "base": run.base.path,
            "data": run.data.path,
            "checkpoints": run.checkpoints,
            "environment": run.environment,
            "steps": run.steps,
            "rate": recipe.train.rate,
            "seed": recipe.train.seed,
            "length": recipe.data.length,
            "every": recipe.checkpoint.every,
            "processes": processes_of(recipe),
        }


def _mistakes(line: object) -> Iterator[tuple[str, str]]:
    """What is wrong with a line: each in words that follow its key, and what would fit. Pure.

    Nothing but a name stands in braces: what Python's own formats can do besides (`{steps:>9}`, `{run!r}`, `{run[0]}`)
    is of no use in a command, and some of it fails only where it is carried out.
    """
    if not isinstance(line, str) or not line.strip():
        yield "is missing, and `trainer: command` runs it", _EXAMPLE
        return
    try:
        words = shlex.split(line)
    except ValueError as error:
        yield f"cannot be split into words: {str(error).lower()}", "a quote that is opened must be closed"
        return
    if not words[0]:
        yield "begins with an empty word, which is no program", _EXAMPLE
    for word in dict.fromkeys(words):
        try:
            found = list(Formatter().parse(word))
        except ValueError:
            yield f"has `{word}`, whose braces do not fit together", "`{{` and `}}` write a brace"
            continue
        for _, name, form, conversion in found:
            if name is None or (name in PLACES and not form and not conversion):
                continue
            whole = "".join((name, f"!{conversion}" if conversion else "", f":{form}" if form else ""))
            if name in PLACES:
                yield f"has `{{{whole}}}`, and nothing but a name stands in braces", f"write `{{{name}}}`"
            else:
                near = nearest(name, tuple(PLACES))
                hint = f"did you mean `{{{near}}}`?" if near else f"known are {', '.join(PLACES)}"
                yield f"has `{{{whole}}}`, which stands for nothing", f"{hint} `{{{{` writes a brace"


_EXAMPLE = "for example `command: torchrun /shared/ann/train.py --settings {settings} --rows {rows}`"


def _settings(run: Run, places: Mapping[str, Any]) -> bytes:
    """All that the recipe says, for programs that want more of it than their words hold."""
    from dataclasses import asdict

    document = {"places": dict(places), "steps": run.steps, "world": run.world, "recipe": asdict(run.recipe)}
    return (json.dumps(document, indent=1, sort_keys=True, default=dict) + "\n").encode()


def _preference(row: Any) -> Mapping[str, Any]:
    return {"prompt": messages(row.turns), "chosen": messages(row.answer), "rejected": messages(row.rejected)}


@hookimpl
def trainer() -> Command:
    """This trainer."""
    return Command()

"""Compile: a recipe and its run become the text of a job.yml, which L2 reads as any other. Pure."""

from typing import Any

from aiops.layers.l2_jobs.quantity import span

from .recipe_text import yaml_of
from .run import Run
from .trainer import Rendered

OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONUNBUFFERED": "1",
}
"""Of every rank: nothing is asked of the internet, and no tokenizer forks what has threads already."""

_THREADS = "OMP_NUM_THREADS"
_STOP = "2m"
"""A step and a checkpoint may have to be finished when it is asked to leave."""


def compile_run(run: Run, rendered: Rendered) -> str:
    """The text of a job.yml.

    Args:
        run: The run.
        rendered: What its trainer made of it.
    """
    recipe, placement = run.recipe, run.recipe.placement
    document: dict[str, Any] = {
        "aiops": 1,
        "name": recipe.name,
        "command": list(rendered.command),
        "launch": rendered.launch,
        "nodes": {"min": placement.nodes, "max": placement.nodes, "only": list(placement.only) or None},
        "devices": {"count": placement.devices, "vendor": placement.vendor},
        "processes": rendered.processes if rendered.launch == "torchrun" else None,
        "engine": placement.engine,
        "env": _environment(run, rendered),
        "environment": run.environment,
        "folder": run.folder,
        "checkpoint": {
            "path": f"{run.folder}/{rendered.checkpoints}",
            "format": rendered.checkpoint_format,
            "every": recipe.checkpoint.every,
            "keep": max(2, recipe.checkpoint.keep),
            "resume": None,
        },
        "progress": {"regex": rendered.progress} if rendered.progress else None,
        "limits": {"time": None if placement.time is None else span(placement.time), "stop": _STOP},
        "spares": placement.spares,
        "priority": placement.priority,
        "queue": placement.queue,
    }
    return yaml_of(_said(document), f"Compiled from recipe.yml of {run.name}; `aiops recipe show` says where from.")


def _environment(run: Run, rendered: Rendered) -> dict[str, str]:
    threads = {} if run.recipe.placement.devices else {_THREADS: "1"}
    return dict(sorted({**OFFLINE, **threads, **rendered.variables}.items()))


def _said(found: dict[str, Any]) -> dict[str, Any]:
    whole = {key: _said(one) if isinstance(one, dict) else one for key, one in found.items()}
    return {key: one for key, one in whole.items() if one is not None}

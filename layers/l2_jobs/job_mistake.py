"""What pydantic finds wrong in a job.yml, in words, with lines and what would fit. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from aiops.layers.core.errors import Problem
from aiops.layers.l0_nodes.variables import model_in

from .job_document import PATTERN_WORDS, JobDocument, WrongError
from .job_places import Path, Places, nearest

_SYNONYMS = {
    **dict.fromkeys(("environment", "environ", "vars", "variables"), "env"),
    **dict.fromkeys(("workdir", "working_dir", "working_directory", "cwd", "directory", "chdir"), "folder"),
    **dict.fromkeys(("cmd", "args", "argv", "run", "script", "entrypoint"), "command"),
    **dict.fromkeys(("gpus", "gpu", "accelerators", "gres"), "devices"),
    **dict.fromkeys(("container", "docker_image"), "image"),
    **dict.fromkeys(("nproc", "nproc_per_node", "processes_per_node", "tasks", "ranks"), "processes"),
    **dict.fromkeys(("backend", "scheduler"), "engine"),
    **dict.fromkeys(("checkpoints", "checkpointing", "output_dir"), "checkpoint"),
    **dict.fromkeys(("partition",), "queue"),
    **dict.fromkeys(("max_restarts", "retries"), "restarts"),
    **dict.fromkeys(("timeout", "walltime", "time_limit"), "time"),
    **dict.fromkeys(("cpus", "cpu"), "processors"),
    **dict.fromkeys(("mem", "ram"), "memory"),
    **dict.fromkeys(("dir",), "path"),
    **dict.fromkeys(("nodelist", "hosts"), "only"),
}
"""What other tools call things."""


def dotted(path: Sequence[Any]) -> str:
    """`limits.time`, `service.ports[0]`."""
    words = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return words.removeprefix(".")


def fields_at(path: Sequence[Any]) -> tuple[str, ...]:
    """The keys that are known in the mapping at `path`."""
    model: type[BaseModel] | None = JobDocument
    for part in path:
        if model is not None and part in model.model_fields:
            model = model_in(model.model_fields[part].annotation)
    return tuple(model.model_fields) if model is not None else ()


def mistakes(details: Sequence[Mapping[str, Any]], places: Places) -> Iterator[Problem]:
    """One problem for each mistake that pydantic tells."""
    for detail in details:
        path: Path = tuple(detail["loc"])
        if detail["type"] == "extra_forbidden":
            yield _unknown(path, places)
        else:
            words, hint = _words(detail, path)
            yield places.problem(path, f"`{dotted(path)}` {words}", hint)


def _unknown(path: Path, places: Places) -> Problem:
    *above, key = path
    known = fields_at(above)
    near = nearest(str(key), known, _SYNONYMS)
    elsewhere = None if near else _home(str(key))
    if near:
        hint = f"did you mean `{near}`?"
    elif elsewhere:
        hint = f"did you mean `{elsewhere}`?"
    else:
        hint = f"known are {', '.join(known)}"
    where = f" in `{dotted(above)}`" if above else ""
    return places.problem(path, f"unknown key `{key}`{where}", hint, key=True)


def _home(key: str) -> str | None:
    """The one place of a key that stands in the wrong mapping: `hang` belongs to `limits`."""
    key = _SYNONYMS.get(key.lower().replace("-", "_"), key)
    homes = [(section,) for section in JobDocument.model_fields if key in fields_at((section,))]
    homes = [home for home in homes if fields_at(home) != tuple(JobDocument.model_fields)]
    if key in JobDocument.model_fields:
        return key
    return dotted((*homes[0], key)) if len(homes) == 1 else None


def _words(detail: Mapping[str, Any], path: Path) -> tuple[str, str | None]:
    kind, given, context = detail["type"], detail["input"], detail.get("ctx", {})
    shown = "" if isinstance(given, dict | list | None) else f", is {given!r}"
    if kind == "value_error" and isinstance(error := context["error"], WrongError):
        return error.words, error.hint or None
    if kind == "missing":
        return "is missing", _example(path)
    if kind == "literal_error":
        allowed = [word.strip("' ") for word in context["expected"].replace(" or ", ", ").split(", ")]
        near = nearest(str(given), allowed)
        return f"must be {_either(allowed)}{shown}", f"did you mean `{near}`?" if near else None
    if kind == "string_pattern_mismatch":
        return PATTERN_WORDS[context["pattern"]] + shown, None
    if kind in ("greater_than_equal", "greater_than", "less_than_equal"):
        bounds = {"ge": "at least", "gt": "more than", "le": "at most"}
        name, bound = next(iter(context.items()))
        return f"must be {bounds[name]} {bound:g}{shown}", None
    return _typed(kind, path) + shown, _example(path)


def _typed(kind: str, path: Path) -> str:
    if kind in ("model_type", "model_attributes_type"):
        return f"must be a mapping of {', '.join(fields_at(path))}"
    known = {
        "int_type": "must be a whole number",
        "int_from_float": "must be a whole number",
        "float_type": "must be a number",
        "finite_number": "must be a number",
        "string_type": "must be text",
        "string_too_short": "is empty",
        "list_type": "must be a list",
        "dict_type": "must be a mapping",
    }
    return known.get(kind, "is wrong")


def _either(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _example(path: Path) -> str | None:
    model: type[BaseModel] | None = JobDocument
    for part in path[:-1]:
        field = model.model_fields.get(str(part)) if model is not None else None
        model = model_in(field.annotation) if field is not None else None
    field = model.model_fields.get(str(path[-1])) if model is not None else None
    return f"for example `{path[-1]}: {field.examples[0]}`" if field is not None and field.examples else None

"""The model that a tool left: which files of its folder are the model, and whether they are whole.

Tools leave more than a model: states of optimizers, arguments, logs, and pickles of them. Only what whoever serves the
model reads is taken, and no pickle. What is taken is judged by what it says of itself: JSON that can be read, indices
whose files are there and hold what they name, safetensors whose header accounts for every byte.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from aiops.layers.core.errors import FailedError
from aiops.layers.l2_jobs.checkpoint.remote.archive import DamageError
from aiops.layers.l2_jobs.checkpoint.remote.tensors import safetensors_file

Kind = Literal["adapter", "model"]

ADAPTER: Final = "adapter_config.json"
MODEL: Final = "config.json"
_WEIGHTS: Final = ".safetensors"
_INDEX: Final = ".safetensors.index.json"
_TEMPLATES: Final = "additional_chat_templates"
_STATE: Final = "trainer_state.json"
"""Of transformers' Trainer; says at which step the folder was written."""

_NAMES: Final = frozenset(
    {
        *(ADAPTER, MODEL, "generation_config.json"),
        *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
        *("tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "vocab.json", "vocab.txt", "merges.txt"),
        *("chat_template.jinja", "chat_template.json", "preprocessor_config.json", "processor_config.json"),
    }
)
"""What belongs to a model beside its weights, as Hugging Face lays it out."""

_SHARD: Final = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.safetensors")
_STEP: Final = re.compile(r"(?:checkpoint|step)-(\d+)")


@dataclass(frozen=True, slots=True)
class LeftModel:
    """A model in a folder of a tool's.

    Attributes:
        folder: Where it is.
        kind: An adapter, or all weights.
        files: By name below the folder where each is; those that the tool did not leave are the base's.
    """

    folder: Path
    kind: Kind
    files: Mapping[str, Path] = field(hash=False)


def left_model(folder: Path, steps: int, base: Path | None = None) -> LeftModel:
    """The model that a tool left in a folder, or in the folder of its last step there.

    Args:
        folder: Where the tool leaves it.
        steps: Of the run; a model of another step is not the tuned one.
        base: The model that was tuned, where the tool leaves weights alone; None where it leaves all of a model.

    Raises:
        FailedError: There is none (`artefact.missing`), or it is not whole (`artefact.broken`).
    """
    for place in (folder, folder / f"checkpoint-{steps}", folder / f"step-{steps}"):
        kind = _kind(place, bare=base is not None)
        if kind is not None:
            _require_end(place, steps)
            found = LeftModel(place, kind, _files(place, kind, base))
            _require_whole(found)
            return found
    raise FailedError(_nothing(folder, steps), code="artefact.missing", hints=["see what the tool has said in its log"])


def _kind(place: Path, *, bare: bool) -> Kind | None:
    if (place / ADAPTER).is_file():
        return "adapter"
    if (place / MODEL).is_file() or (bare and place.is_dir() and any(place.glob(f"*{_WEIGHTS}"))):
        return "model"
    return None


def _nothing(folder: Path, steps: int) -> str:
    numbers = {int(match[1]): one.name for one in _inside(folder) if (match := _STEP.fullmatch(one.name))}
    if numbers and max(numbers) != steps:
        return (
            f"there is no tuned model in {folder}: its newest is {numbers[max(numbers)]}, and the run has {steps} steps"
        )
    return (
        f"there is no tuned model in {folder}: neither {ADAPTER} nor {MODEL} is there, or in the folder of step {steps}"
    )


def _inside(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _require_end(place: Path, steps: int) -> None:
    """Refuse what was left half way: transformers' Trainer writes down where it was."""
    if not (place / _STATE).is_file():
        return
    state = _json(place / _STATE)
    reached = state.get("global_step")
    if isinstance(reached, int) and reached < steps:
        raise FailedError(
            f"{place} is the model of step {reached:,}, and the run has {steps:,} steps",
            code="artefact.missing",
            hints=["see what the tool has said in its log: it ended before its last step"],
        )


def _files(place: Path, kind: Kind, base: Path | None) -> dict[str, Path]:
    found = {one.name: one for one in _inside(place) if one.is_file() and _belongs(one.name, kind)}
    found |= {f"{_TEMPLATES}/{one.name}": one for one in _inside(place / _TEMPLATES) if one.suffix == ".jinja"}
    if base is not None:
        beside = {one.name: one for one in _inside(base) if one.is_file() and one.name in _NAMES - {ADAPTER}}
        found = {**beside, **found}
    return dict(sorted(found.items()))


def _belongs(name: str, kind: Kind) -> bool:
    if name in _NAMES:
        return kind == "adapter" or name != ADAPTER
    weights = name.endswith((_WEIGHTS, _INDEX))
    return weights and (kind == "model" or name.startswith("adapter_model"))


def _require_whole(left: LeftModel) -> None:
    for name, path in left.files.items():
        if name.endswith(".json"):
            _json(path)
    tensors = {name: _tensors(path) for name, path in left.files.items() if name.endswith(_WEIGHTS)}
    if not tensors:
        raise _broken(left.folder, "has no weights in safetensors; other formats are pickles, which are not handed on")
    for name in tensors:
        shard = _SHARD.fullmatch(name)
        if shard is not None:
            _require_shards(left.folder, shard, tensors)
    for name, path in left.files.items():
        if name.endswith(_INDEX):
            _require_index(path, tensors)


def _tensors(path: Path) -> frozenset[str]:
    try:
        with path.open("rb") as stream:
            found = safetensors_file(stream, path.stat().st_size)  # type: ignore[no-untyped-call]  # as remote code is
            return frozenset(found["tensors"])
    except DamageError as error:
        raise _broken(path, str(error)) from error
    except OSError as error:
        raise _broken(path, f"cannot be read: {error.strerror}") from error


def _require_shards(folder: Path, shard: re.Match[str], there: Iterable[str]) -> None:
    count = int(shard["count"])
    wanted = [f"{shard['stem']}-{number:05}-of-{count:05}{_WEIGHTS}" for number in range(1, count + 1)]
    missing = [one for one in wanted if one not in there]
    if missing:
        raise _broken(folder / missing[0], f"is missing, of {count} files")


def _require_index(path: Path, tensors: Mapping[str, frozenset[str]]) -> None:
    named = _json(path).get("weight_map")
    if not isinstance(named, dict) or not named:
        raise _broken(path, "names no weights")
    for tensor, file in named.items():
        if tensor not in tensors.get(str(file), frozenset()):
            raise _broken(path, f"says that {tensor} is in {file}, and it is not there")


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise _broken(path, f"cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise _broken(path, "is no JSON object")
    return found


def _broken(path: Path, words: str) -> FailedError:
    return FailedError(
        f"{path} {words}; nothing is handed on",
        code="artefact.broken",
        hints=["the tool has to write it again: the same command with `--resume`"],
    )

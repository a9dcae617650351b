"""The artefact of a run: the tuned model with its lineage, and the hook by which it is handed on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiops.layers.core.errors import FailedError
from aiops.layers.core.plugin import Plugins, hookspec

from .run import Cause

ARTEFACT = "artefact"
"""Below the folder of a run."""

LINEAGE = "lineage.json"
"""Written last: an artefact without one is not whole."""


@dataclass(frozen=True, slots=True)
class Artefact:
    """A tuned model.

    Attributes:
        folder: Where it is.
        lineage: What it was made of, by whom, and how it was judged.
        passed: Whether the evaluation passed; None where nothing was asked of it.
        why: Why it did not pass; empty where it did.
    """

    folder: Path
    lineage: Mapping[str, Any] = field(hash=False)
    passed: bool | None
    why: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """What its evaluation said, in words. Not measured is not passed."""
        if self.passed is None:
            measured = (self.lineage.get("evaluation") or {}).get("measured")
            return "not measured" if measured is False else "nothing was asked"
        if not self.passed:
            return "failed: " + "; ".join(self.why)
        judged = self.lineage.get("evaluation") or {}
        asked, right = judged.get("asked"), judged.get("right")
        return f"passed, {right} of {asked} right" if asked else "passed"


class ArtefactHooks:
    """Hooks of the kind `artifact`: who takes what was tuned."""

    @hookspec
    def artifact_produced(self, folder: str, lineage: Mapping[str, Any]) -> str:  # type: ignore[empty-body]
        """A tuned model is whole and has passed.

        Args:
            folder: Where it is, absolute.
            lineage: What `lineage.json` says.

        Returns:
            What became of it, in words for the person: `registered as llama-facts@3`.
        """


def read_artefact(run: Path) -> Artefact | None:
    """The artefact of a run; None while it has none.

    Raises:
        FailedError: Its lineage cannot be read, or a file of it is missing or has another size (`artefact.broken`).
    """
    folder = run / ARTEFACT
    path = folder / LINEAGE
    if not path.exists():
        return None
    try:
        lineage = json.loads(path.read_text("utf-8"))
        files = [(str(one["path"]), int(one["size"])) for one in lineage["files"]]
        judged = lineage.get("evaluation") or {}
        passed = judged.get("passed")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _broken(path, f"cannot be read: {error}") from error
    for name, size in files:
        there = folder / name
        if not there.is_file():
            raise _broken(there, "is missing")
        if there.stat().st_size != size:
            raise _broken(there, f"has {there.stat().st_size} bytes, and {LINEAGE} says {size}")
    return Artefact(folder, lineage, passed if isinstance(passed, bool) else None, why_of(judged))


def whole_artefact(run: Path) -> Artefact | None:
    """The artefact of a run; None where it has none, or a broken one, which is to be made again."""
    try:
        return read_artefact(run)
    except FailedError:
        return None


def is_of(artefact: Artefact | None, digests: Mapping[Cause, str]) -> bool:
    """Whether an artefact was made of what a run is made of now; one of before a change that was allowed is not. Pure.

    Args:
        artefact: It; None without one.
        digests: Of the run's causes.
    """
    if artefact is None:
        return False
    lineage = artefact.lineage
    named = {cause: lineage[cause].get("digest") for cause in digests if isinstance(lineage.get(cause), Mapping)}
    return bool(named) and all(digests[cause] == found for cause, found in named.items())


def why_of(judged: Mapping[str, Any]) -> tuple[str, ...]:
    """What of an evaluation did not pass, in words. Pure."""
    if judged.get("passed") is not False:
        return ()
    found = []
    if isinstance(judged.get("asked"), int):
        found.append(f"{judged.get('right')} of {judged['asked']} questions answered right")
    if judged.get("wanted_loss") is not None:
        found.append(f"held-out loss {judged.get('held_out_loss')}, at most {judged['wanted_loss']} was wanted")
    return tuple(found)


def hand_on(artefact: Artefact, plugins: Plugins) -> tuple[str, ...]:
    """Fire `artifact_produced`; what became of it. Nobody answers where there is no registry.

    Raises:
        FailedError: It did not pass its evaluation, so it is not handed on (`artefact.failed`).
        PluginError: A plugin of the kind `artifact` is broken.
    """
    if artefact.passed is False:
        raise FailedError(
            f"the tuned model is not handed on: {'; '.join(artefact.why) or 'its evaluation failed'}",
            code="artefact.failed",
            hints=[f"look at it: {artefact.folder}"],
        )
    relay = plugins.hooks("artifact", ArtefactHooks)
    return tuple(relay.artifact_produced(folder=str(artefact.folder), lineage=artefact.lineage))


def _broken(path: Path, words: str) -> FailedError:
    hint = "the run has to write it again: `aiops train --resume` with its recipe"
    return FailedError(f"{path} {words}", code="artefact.broken", hints=[hint])

"""PEFT: the weights of an adapter and its adapter_config.json, without the state of a run.

The order of the save: peft/peft_model.py (`save_pretrained`): the configuration comes last.
"""

from collections.abc import Iterable, Mapping

from aiops.layers.core.plugin import hookimpl
from aiops.layers.l2_jobs.checkpoint.facts import Contents, Flaw, Listing, Place, Reading
from aiops.layers.l2_jobs.checkpoint.format import Judgement

from .parts import inside, whole

CONFIGURATION = "adapter_config.json"
_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")


class Peft:
    """The format."""

    name = "peft"
    title = "PEFT adapter"
    origin = "saves of peft 0.21"
    rank = 70

    def find(self, listing: Listing, argument: str) -> Iterable[Place]:  # noqa: ARG002 - the seam's
        """Folders with an adapter's files."""
        for folder, files in sorted(listing.folders().items()):
            if {one.name for one in files} & {CONFIGURATION, *_WEIGHTS}:
                yield whole(listing, folder)

    def marker(self, place: Place) -> str | None:  # noqa: ARG002
        """Its configuration is written last."""
        return CONFIGURATION

    def readings(self, place: Place) -> Iterable[Reading]:
        """The configuration and the weights, of adapters in folders below too."""
        for one in place.files:
            if one.name == CONFIGURATION:
                yield Reading(one.path, "json", ("peft_type",))
            elif one.name in _WEIGHTS:
                yield Reading(one.path, "safetensors" if one.name.endswith(".safetensors") else "torch")

    def judge(self, place: Place, contents: Contents) -> Judgement:
        """Whether each adapter has both."""
        flaws = []
        for folder in sorted({one.folder for one in place.files if one.name in {CONFIGURATION, *_WEIGHTS}}):
            names = {one.name for one in inside(place.files, folder)}
            head = f"{folder}/" if folder else ""
            if CONFIGURATION not in names:
                flaws.append(Flaw(head + CONFIGURATION, "is missing: it is written last", "missing"))
            elif (read := contents.found.get(head + CONFIGURATION)) is not None and not (read.flaw or read.keys):
                flaws.append(Flaw(head + CONFIGURATION, "does not say which kind of adapter it is"))
            if not names & set(_WEIGHTS):
                flaws.append(Flaw(head + _WEIGHTS[0], "is missing", "missing"))
        return Judgement(tuple(flaws))

    def pointers(self, listing: Listing, place: Place) -> Mapping[str, str]:  # noqa: ARG002
        """None."""
        return {}


@hookimpl
def checkpoint_format() -> Peft:
    """The format this plugin knows."""
    return Peft()

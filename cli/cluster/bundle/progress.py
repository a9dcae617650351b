"""The screen of a build."""

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from aiops.layers.core.event import Event

if TYPE_CHECKING:
    from aiops.cli.screen import Screen

_MIB = 2**20


class Progress:
    """Turns the build's events into steps on the screen. An event ends the step that it names and begins the next."""

    def __init__(self, screen: "Screen", *, several: bool) -> None:
        self._screen = screen
        self._several = several
        self._step = screen.step("lists")

    def __enter__(self) -> Self:
        self._step.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._step.__exit__(kind, error, trace)

    def __call__(self, event: Event) -> None:
        """One more event of the build."""
        data = event.data
        match event.kind:
            case "artefact_downloaded":
                self._step.done()
            case "lists_updated":
                self._ended("lists", "fetched", data, "resolve")
            case "closure_resolved":
                text = f"{data['packages']} packages, {data['bytes'] // _MIB} MiB"
                self._ended("resolve", text, data, "packages", data["to_fetch"] or None)
            case "packages_fetched":
                self._ended("packages", "" if data["fetched"] else "all in the cache", data, "wheels")
            case "wheels_downloaded":
                self._ended("wheels", f"{data['wheels']} for Python {data['python']}", data, "aiops")
            case "package_built":
                self._ended("aiops", data["version"], data, "sign")
            case "bundle_built":
                self._step.title = "sign"
                self._step.summary = "the bundle in place has this content" if data["unchanged"] else ""

    def _ended(self, title: str, text: str, data: Mapping[str, Any], following: str, total: int | None = None) -> None:
        self._step.title = title
        self._step.summary = ", ".join(word for word in (text, data["target"] if self._several else "") if word)
        self._step.__exit__(None, None, None)
        self._step = self._screen.step(following, total=total)
        self._step.__enter__()

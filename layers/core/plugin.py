"""Plugins: entry points of the group `aiops`, named `kind.name`, the shipped ones among them.

A kind is a set of pluggy hooks that the layer using it specifies. Only the kind asked for is imported, so
`aiops --help` imports none, and a broken plugin of one kind never hurts another.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from .errors import FailedError

GROUP = "aiops"
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


class PluginError(FailedError):
    """A plugin cannot be loaded or does not fit its kind."""


@dataclass(frozen=True, slots=True)
class PluginName:
    """What is known of a plugin without importing it."""

    kind: str
    name: str
    target: str
    distribution: str | None


class Plugins:
    """The installed plugins, loaded a kind at a time."""

    def __init__(self, points: Iterable[EntryPoint] | None = None) -> None:
        self._points = tuple(entry_points(group=GROUP) if points is None else points)
        self._managers: dict[str, pluggy.PluginManager] = {}

    def names(self, kind: str | None = None) -> tuple[PluginName, ...]:
        """All plugins, or those of one kind, sorted; nothing is imported."""
        found = []
        for point in self._points:
            point_kind, _, name = point.name.partition(".")
            if kind in (None, point_kind):
                found.append(PluginName(point_kind, name, point.value, point.dist.name if point.dist else None))
        return tuple(sorted(found, key=lambda plugin: (plugin.kind, plugin.name)))

    def check(self, name: str) -> None:
        """Import the plugin called `kind.name`.

        Raises:
            PluginError: It cannot be imported.
            KeyError: There is none of that name.
        """
        for point in self._points:
            if point.name == name:
                self._import(point)
                return
        raise KeyError(name)

    def hooks(self, kind: str, specification: Any) -> Any:
        """The hooks of `kind`, its plugins imported and checked on the first call.

        Args:
            kind: The part of the entry point's name before the dot.
            specification: A module or class whose functions are marked with `hookspec`.

        Returns:
            pluggy's relay: `relay.NAME(**arguments)` gives a list, one answer per plugin.

        Raises:
            PluginError: A plugin cannot be imported, or implements a hook that the kind does not have.
        """
        if kind not in self._managers:
            self._managers[kind] = self._load(kind, specification)
        return self._managers[kind].hook

    def answers(self, kind: str, specification: Any, hook: str) -> tuple[tuple[str, Any], ...]:
        """What each plugin of `kind` gives for `hook`, which takes no arguments, with the plugin's name.

        Raises:
            PluginError: As for `hooks`; or a plugin's hook fails.
        """
        relay = getattr(self.hooks(kind, specification), hook)
        found = []
        for one in relay.get_hookimpls():
            try:
                found.append((str(one.plugin_name), one.function()))
            except Exception as error:
                point = next(point for point in self._points if point.name == one.plugin_name)
                raise _broken(point, error) from error
        return tuple(sorted(found, key=lambda pair: pair[0]))

    def _load(self, kind: str, specification: Any) -> pluggy.PluginManager:
        manager = pluggy.PluginManager(GROUP)
        manager.add_hookspecs(specification)
        for point in sorted(self._points, key=lambda point: point.name):
            if point.name.partition(".")[0] != kind:
                continue
            plugin = self._import(point)
            try:
                manager.register(plugin, name=point.name)
                manager.check_pending()
            except pluggy.PluginValidationError as error:
                raise _broken(point, error) from error
        return manager

    def _import(self, point: EntryPoint) -> Any:
        try:
            return point.load()
        except Exception as error:
            raise _broken(point, error) from error


def _broken(point: EntryPoint, error: Exception) -> PluginError:
    origin = point.dist.name if point.dist else point.value
    return PluginError(
        f"plugin `{point.name}` of `{origin}` cannot be used: {error}",
        code="plugin.broken",
        hints=[f"remove or upgrade it: `pip uninstall {origin}`", "`aiops plugin list` shows all"],
    )

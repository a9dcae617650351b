"""What a site says of health in its aiops.toml, read and held against the checks and groups that there are."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from aiops.layers.core.errors import InputError, Problem
from aiops.layers.l0_nodes.settings import Settings

from .check import Check
from .rules import Rules
from .verdict import ACTIONS, Action

_KEYS = ("off", "observe", "thresholds", "groups", "act", "notify")
_ACT_KEYS = ("drain", "most_percent", "within_minutes", "clean_runs", "repair")
_DOCS = "docs/reference/aiops.toml shows all it may say"


@dataclass(frozen=True, slots=True)
class Policy:
    """What `aiops health --act` may do by itself.

    Attributes:
        drain: Whether nodes that are critical are set draining.
        most_percent: Of all nodes, how many may be drained within `within_minutes`; one at least.
        clean_runs: After how many runs without anything critical a node that we drained is given back.
        repair: Steps of the ladder that are taken without being asked.
    """

    drain: bool = True
    most_percent: float = 10.0
    within_minutes: float = 15.0
    clean_runs: int = 2
    repair: tuple[Action, ...] = ()


@dataclass(frozen=True, slots=True)
class Site:
    """All of it, but for the notifiers."""

    rules: Rules = field(default_factory=Rules)
    policy: Policy = field(default_factory=Policy)


def read_site(settings: Settings, checks: Iterable[Check], groups: Iterable[str]) -> Site:
    """What `settings` say of health.

    Raises:
        InputError: Something in it is wrong; all mistakes together, with file, line and the nearest names.
    """
    return _Reader(settings, checks, groups).site()


class _Reader:
    def __init__(self, settings: Settings, checks: Iterable[Check], groups: Iterable[str]) -> None:
        self._settings = settings
        self._checks = {check.id: check for check in checks}
        self._groups = set(groups)
        self._problems: list[Problem] = []

    def site(self) -> Site:
        table = self._settings.health
        self._known(table, _KEYS, "health")
        groups = self._table(table, "groups")
        for name in groups:
            if name not in self._groups:
                self._complain(f"the inventory has no group `{name}`", name, self._near(name, self._groups))
        thresholds = {name: self._thresholds(self._table(own, "thresholds", name)) for name, own in groups.items()}
        for name, own in groups.items():
            self._known(own if isinstance(own, Mapping) else {}, ("thresholds",), f"health.groups.{name}")
        rules = Rules(
            self._ids(table, "off"),
            self._ids(table, "observe"),
            self._thresholds(self._table(table, "thresholds")),
            thresholds,
        )
        site = Site(rules, self._policy(self._table(table, "act")))
        self._table(table, "notify")  # each notifier reads its own, see `notifier.read_notifiers`
        if self._problems:
            name = self._settings.path.name if self._settings.path else "aiops.toml"
            raise InputError(
                f"{name} is wrong in {len(self._problems)} {'place' if len(self._problems) == 1 else 'places'}",
                code="settings.wrong",
                hints=[_DOCS],
                problems=self._problems,
            )
        return site

    def _ids(self, table: Mapping[str, Any], key: str) -> frozenset[str]:
        names = table.get(key, [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            self._complain(f"`health.{key}` must be a list of checks", key)
            return frozenset()
        for name in names:
            if name not in self._checks:
                self._complain(f"`health.{key}`: there is no check `{name}`", key, self._near(name, self._checks))
        return frozenset(names)

    def _thresholds(self, table: Mapping[str, Any]) -> dict[str, dict[str, float]]:
        found: dict[str, dict[str, float]] = {}
        for id_, own in table.items():
            check = self._checks.get(id_)
            if check is None:
                self._complain(f"there is no check `{id_}`", id_, self._near(id_, self._checks))
                continue
            if not isinstance(own, Mapping):
                self._complain(f"`{id_}` must be a table of thresholds, as in {{warn = 80}}", id_)
                continue
            known = {one.name: one for one in check.thresholds}
            for name, value in own.items():
                threshold = known.get(name)
                if threshold is None:
                    near = self._near(name, known) if known else "it has none"
                    self._complain(f"`{id_}` has no threshold `{name}`", id_, near)
                elif isinstance(value, bool) or not isinstance(value, int | float):
                    self._complain(f"`{id_}`: `{name}` must be a number of {threshold.unit}", id_)
                elif not threshold.least <= value <= threshold.most:
                    self._complain(
                        f"`{id_}`: `{name}` must lie between {threshold.least:g} and {threshold.most:g}", id_
                    )
                else:
                    found.setdefault(id_, {})[name] = float(value)
        return found

    def _policy(self, table: Mapping[str, Any]) -> Policy:
        self._known(table, _ACT_KEYS, "health.act")
        fresh = Policy()
        drain = table.get("drain", fresh.drain)
        if not isinstance(drain, bool):
            self._complain("`health.act.drain` must be true or false", "drain")
        repair = table.get("repair", [])
        if not isinstance(repair, list) or any(one not in ACTIONS or one in {"none", "service"} for one in repair):
            self._complain(
                "`health.act.repair` must be a list of reset_device, restart_service, reboot, restart_app", "repair"
            )
            repair = []
        return Policy(
            bool(drain),
            self._number(table, "most_percent", fresh.most_percent, 0.0, 100.0),
            self._number(table, "within_minutes", fresh.within_minutes, 1.0, 1440.0),
            int(self._number(table, "clean_runs", fresh.clean_runs, 1, 100)),
            tuple(repair),
        )

    def _number(self, table: Mapping[str, Any], key: str, default: float, least: float, most: float) -> float:
        value = table.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            self._complain(f"`health.act.{key}` must be a number between {least:g} and {most:g}", key)
            return default
        return float(value)

    def _table(self, table: Any, key: str, of: str = "") -> Mapping[str, Any]:
        if not isinstance(table, Mapping):
            self._complain(f"`{of or key}` must be a table", of or key)
            return {}
        own = table.get(key, {})
        if isinstance(own, Mapping):
            return own
        self._complain(f"`{key}` must be a table", key)
        return {}

    def _known(self, table: Mapping[str, Any], keys: Iterable[str], where: str) -> None:
        for key in table:
            if key not in keys:
                self._complain(f"unknown key `{key}` in `{where}`", key, self._near(key, keys))

    def _near(self, word: str, known: Iterable[str]) -> str:
        several = sorted(known)
        near = get_close_matches(word, several, n=1)
        return f"did you mean `{near[0]}`?" if near else f"known are {', '.join(several[:8])}"

    def _complain(self, message: str, key: str, hint: str | None = None) -> None:
        path = self._settings.path
        self._problems.append(
            Problem(message, None if path is None else str(path), self._settings.lines.get(key), hint)
        )

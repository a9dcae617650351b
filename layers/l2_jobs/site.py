"""What a site says of jobs in its aiops.toml, `[jobs]`: the numbers that decisions are made with."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from aiops.layers.core.errors import InputError, Problem
from aiops.layers.l0_nodes.settings import Settings as Said

from .spec import PORTS
from .world import Settings

_KEYS = ("verdict_age", "budget", "ports", "spares", "pair_test")
_CAUSERS = ("node", "network", "storage", "framework", "scheduler", "process", "user")
_LEAST_PORT, _MOST_PORT = 1024, 65536
_MOST_AGE = 3600.0
_MOST = 10_000


def read_site(said: Said) -> Settings:
    """The numbers, with defaults for what is not said.

    Raises:
        InputError: Something is wrong; all mistakes together, with file, line and the nearest names.
    """
    reader = _Reader(said)
    found = reader.settings()
    if reader.problems:
        count = len(reader.problems)
        raise InputError(
            f"aiops.toml is wrong in {count} {'place' if count == 1 else 'places'}",
            code="settings.wrong",
            hints=["docs/reference/aiops.toml shows all it may say"],
            problems=reader.problems,
        )
    return found


class _Reader:
    def __init__(self, said: Said) -> None:
        self._said = said
        self.problems: list[Problem] = []

    def settings(self) -> Settings:
        table, fresh = self._said.jobs, Settings()
        self._known(table, _KEYS, "jobs")
        age = table.get("verdict_age", fresh.verdict_age)
        if isinstance(age, bool) or not isinstance(age, int | float) or not 1 <= age <= _MOST_AGE:
            self._complain(f"`jobs.verdict_age` must be a number of seconds from 1 to {_MOST_AGE:.0f}", "verdict_age")
            age = fresh.verdict_age
        spares = table.get("spares", fresh.spares)
        if not _whole(spares) or not 0 <= spares <= _MOST:
            self._complain(f"`jobs.spares` must be a whole number of nodes from 0 to {_MOST}", "spares")
            spares = fresh.spares
        budget, ports = self._budget(table, fresh.budget), self._ports(table, fresh.ports)
        return Settings(float(age), budget, ports, spares, self._pair_test(table))

    def _pair_test(self, table: Mapping[str, Any]) -> tuple[str, ...]:
        said = table.get("pair_test", [])
        if (
            isinstance(said, list)
            and all(isinstance(one, str) and "\0" not in one for one in said)
            and said[:1] != [""]
        ):
            return tuple(said)
        self._complain('`jobs.pair_test` must be a program and its words, as in `["/opt/site/pair-test"]`', "pair_test")
        return ()

    def _budget(self, table: Mapping[str, Any], fresh: Mapping[str, int]) -> Mapping[str, int]:
        own = table.get("budget", {})
        if not isinstance(own, Mapping):
            self._complain("`jobs.budget` must be a table, as in `{node = 20}`", "budget")
            return fresh
        self._known(own, _CAUSERS, "jobs.budget")
        for causer, times in own.items():
            if not _whole(times) or not 0 <= times <= _MOST:
                self._complain(
                    f"`jobs.budget.{causer}` must be a whole number from 0 to {_MOST}", causer, table="budget"
                )
        return {**fresh, **{causer: times for causer, times in own.items() if _whole(times)}}

    def _ports(self, table: Mapping[str, Any], fresh: tuple[int, int]) -> tuple[int, int]:
        said = table.get("ports", list(fresh))
        right = isinstance(said, list) and len(said) == len(fresh) and all(_whole(one) for one in said)
        if right and said[0] >= _LEAST_PORT and said[0] + PORTS <= said[1] <= _MOST_PORT:
            return said[0], said[1]
        words = f"the first and the one after the last, {_LEAST_PORT} to {_MOST_PORT}, {PORTS} of them at least"
        self._complain(f"`jobs.ports` must be two numbers, as in `[20000, 32000]`: {words}", "ports")
        return fresh

    def _known(self, table: Mapping[str, Any], keys: Iterable[str], where: str) -> None:
        several = sorted(keys)
        for key in table:
            if key not in several:
                near = get_close_matches(key, several, n=1)
                hint = f"did you mean `{near[0]}`?" if near else f"known are {', '.join(several)}"
                self._complain(f"unknown key `{key}` in `{where}`", key, hint, where.rpartition(".")[2])

    def _complain(self, message: str, key: str, hint: str | None = None, table: str = "jobs") -> None:
        path, lines = self._said.path, self._said.lines
        line = lines.get(key, lines.get(table))  # what stands in braces has no line of its own
        self.problems.append(Problem(message, None if path is None else str(path), line, hint))


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)

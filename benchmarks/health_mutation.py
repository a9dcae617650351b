"""Whether the suite of health cases notices a check that judges wrongly.

Two kinds of mutants. Each check is wrapped so that it is silent, says the opposite, says another severity, action or
owner, speaks of another thing, never applies, takes what it could not read for well, or has a threshold moved tenfold:
every one of these must be caught. And the source of the judges and of the readers behind them is changed in one place
at a time (comparisons turned or moved by one, `and` for `or`, conditions fixed, numbers moved by one, findings left
out), in an order drawn by a seed, until the time is over: of these the share that is caught is told, and the others are
listed by place. A mutant of the source is caught when a case of the suite fails with it, or when it runs for ever.
"""

import argparse
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from multiprocessing import get_context
from types import CodeType, FrameType

from tests.l1_cluster.health.case import Case
from tests.l1_cluster.health.mutation import Suite, mutants
from tests.l1_cluster.health.suite import ALL, CASES, subjects, unanswered, wrong

from aiops.layers.l1_cluster.health.check import Check
from aiops.layers.l1_cluster.health.examination import examine
from aiops.layers.l1_cluster.health.fabric import CHECK as SWITCH
from aiops.layers.l1_cluster.health.fabric import TAG as LINK
from aiops.layers.l1_cluster.health.rules import Rules

from .measurement import Figure, report
from .source_change import Place, function_of, functions, in_place, places_of

PACKAGES = ("aiops.layers.l1_cluster.health.", "aiops.plugins.nvidia.", "aiops.plugins.slurm.")
SEED = 20261128
SECONDS = 600.0
"""How long mutants of the source are tried."""

FOR_EVER = 10.0
"""Seconds of processor time after which one case with a mutant runs for ever."""

HEALTHY = Case("healthy nodes", "", "ok", "none")
SILENT = tuple(case for check in ALL if (case := unanswered(check)) is not None)
TOGETHER = frozenset(check.id for check in ALL if check.id == SWITCH or LINK in check.all_tags)
"""Checks whose findings depend on each other: judged together."""


class ForeverError(BaseException):
    """A mutant does not end."""


Ran = Mapping[tuple[str, str], tuple[tuple[Case, frozenset[str]], ...]]
"""By module and function, the cases in which it runs, each with the checks that it runs for."""


def _runs() -> Ran:
    """Which functions each check runs in each case."""
    names = {
        _key(function.__code__): (module, name)
        for module in _modules()
        for name in functions(module)
        if (function := function_of(sys.modules[module], name)) is not None
    }
    ran: dict[tuple[str, str], dict[str, tuple[Case, set[str]]]] = {}
    for case in (HEALTHY, *CASES, *SILENT):
        of = subjects(case)
        for check in (one for one in ALL if case not in SILENT or one.id == case.check):
            seen: set[tuple[str, int, str]] = set()

            def note(frame: FrameType, event: str, _argument: object, seen: set[tuple[str, int, str]] = seen) -> None:
                if event == "call":
                    seen.add(_key(frame.f_code))

            fresh = [replace(one, record=replace(one.record)) for one in of]
            sys.setprofile(note)
            try:
                examine(fresh, (check,), Rules())
            finally:
                sys.setprofile(None)
            for key in seen & names.keys():
                place = ran.setdefault(names[key], {})
                place.setdefault(f"{case.name} {case.check}", (case, set()))[1].add(check.id)
    return {
        key: tuple((case, frozenset(ids)) for case, ids in sorted(cases.values(), key=_promise))
        for key, cases in ran.items()
    }


def _promise(run: tuple[Case, set[str]]) -> tuple[bool, bool, int]:
    """Cases that are about what a function judges come first: most mutants fail with one of these."""
    case, ids = run
    return (case.check not in ids, case.severity == "unknown", len(ids))


def _key(code: CodeType) -> tuple[str, int, str]:
    return (code.co_filename, code.co_firstlineno, code.co_name)


def _modules() -> list[str]:
    return sorted(name for name in sys.modules if name.startswith(PACKAGES))


def _alarm(_signal: int, _frame: FrameType | None) -> None:
    raise ForeverError


class Sources:
    """The mutants of the source, and what catches each."""

    def __init__(self) -> None:
        self.suite = Suite()
        self.checks: Mapping[str, Check] = {check.id: check for check in ALL}
        for case in CASES:
            self.suite.right(case)
        self.ran = _runs()
        self.places = [place for module in _modules() for place in places_of(module)]
        self.tried = [place for place in self.places if (place.module, place.function) in self.ran]

    def caught(self, place: Place) -> bool | None:
        """Whether a case fails with the change; None where it cannot be made."""
        with in_place(place) as is_made:
            if not is_made:
                return None
            signal.setitimer(signal.ITIMER_PROF, FOR_EVER)
            try:
                return any(self._fails(case, ids) for case, ids in self.ran[place.module, place.function])
            except (Exception, ForeverError):  # noqa: BLE001 - whatever a mutant breaks, a test would fail with it
                return True
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)

    def _fails(self, case: Case, ids: frozenset[str]) -> bool:
        touched = ids | TOGETHER if ids & TOGETHER else ids
        touched |= {one.id for one in ALL if ids.intersection(one.unless)}
        touched |= {id_ for one in ALL if one.id in touched for id_ in one.unless}
        checks = [check for check in ALL if check.id in touched]
        found = examine(subjects(case), checks, Rules()).findings
        if case in SILENT:
            own = [one for one in found if one.check == case.check]
            return not own or any(one.verdict != "unknown" for one in own)
        if case is HEALTHY:
            return bool(found)
        return any(wrong(case, [*(one for one in self.suite.right(case) if one.check not in touched), *found]))


_SOURCES: Sources


def _try(places: Sequence[Place], until: float) -> list[tuple[Place, bool]]:
    """In a process of its own."""
    signal.signal(signal.SIGPROF, _alarm)
    results = []
    for place in places:
        if time.monotonic() > until:
            break
        caught = _SOURCES.caught(place)
        if caught is not None:
            results.append((place, caught))
    return results


def _of_sources(seed: int, seconds: float, jobs: int) -> tuple[list[Figure], list[str]]:
    global _SOURCES  # noqa: PLW0603 - what forked processes share
    _SOURCES = Sources()
    places = list(_SOURCES.tried)
    random.Random(seed).shuffle(places)  # noqa: S311 - no secret
    until = time.monotonic() + seconds
    with get_context("fork").Pool(jobs) as pool:
        parts = [pool.apply_async(_try, (places[part::jobs], until)) for part in range(jobs)]
        results = [one for part in parts for one in part.get()]
    survived = sorted(place.name for place, caught in results if not caught)
    share = 100 * (1 - len(survived) / len(results))
    return [
        Figure("changes of the source that some case runs", "", (float(len(places)),)),
        Figure("of these tried", "", (float(len(results)),)),
        Figure("of these caught", "%", (round(share, 1),)),
        Figure("changes of functions that no case runs", "", (float(len(_SOURCES.places) - len(places)),)),
    ], survived


def main() -> int:
    """Try them, and report; exit 1 when a wrong check is not caught."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for changes of the source; 0: none")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    suite, kinds, missed = Suite(), Counter[str](), []
    for check in ALL:
        for mutant in mutants(check):
            kinds["a threshold moved" if "moved" in mutant.kind else mutant.kind] += 1
            if suite.catcher(mutant.check) is None:
                missed.append(mutant.name)
                print(f"not caught: {mutant.name}", file=sys.stderr)
    figures = [
        Figure("checks", "", (float(len(ALL)),)),
        Figure("wrong checks", "", (float(kinds.total()),)),
        Figure("wrong checks not caught", "", (float(len(missed)),), 0.0),
    ]
    details: list[object] = [{"wrong checks": dict(kinds), "not caught": missed}]
    if options.seconds:
        more, survived = _of_sources(options.seed, options.seconds, options.jobs)
        figures += more
        details.append({"seed": options.seed, "changes of the source that were not caught": survived})
    return report("health_mutation", figures, simulated="all nodes: recorded answers", details=details)


if __name__ == "__main__":
    sys.exit(main())

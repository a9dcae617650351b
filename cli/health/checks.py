"""`aiops health checks|explain`: what is judged, by which rule, and what to do about it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from aiops.cli.app import App
from aiops.cli.options import JsonOption, QuietOption
from aiops.cli.screen import Screen

if TYPE_CHECKING:
    from aiops.layers.l1_cluster.health.check import Check

from .run import TagOption

_LONGEST = 100
"""Letters of a command that are shown; a probe's script is no reading."""


def list_(
    context: typer.Context, *, tag: TagOption = None, json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """List the checks: what each is about, how bad it can be, and what is to be done then."""
    from aiops.layers.l1_cluster.health.catalogue import checks_of, select

    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    checks = select(checks_of(aiops.plugins), (), tag or ())
    if json:
        screen.document([_document(check) for check in checks])
        return
    screen.table(
        ("check", "about", "at worst", "action", "level", "of"),
        [(one.id, one.title, one.severity, one.action, one.level, one.plugin) for one in checks],
    )


def explain(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="CHECK", help="Its name, as `aiops health checks` lists it.")],
    *,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Explain a check: what it asks, how it judges, where its thresholds come from, what to do."""
    from aiops.layers.l1_cluster.health import reach
    from aiops.layers.l1_cluster.health.catalogue import called, checks_of

    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    if name == reach.CHECK:  # what comes before all checks is told beside them, so it can be asked for as they can
        told = {"id": name, "title": reach.TITLE, "judges": reach.JUDGES}
        if json:
            screen.document({**told, "remedy": reach.REMEDY, "source": reach.SOURCE})
            return
        _head(screen, *told.values())
        _paragraph(screen, "source", [reach.SOURCE])
        _paragraph(screen, "what to do", [reach.REMEDY])
        return
    check = called(checks_of(aiops.plugins), name)
    if json:
        screen.document(_document(check))
        return
    _head(screen, check.id, check.title, check.judges)
    _paragraph(screen, "asks", [_asked(ask) for ask in check.asks] or ["nothing beside the node's facts"])
    _paragraph(
        screen,
        "thresholds",
        [f"{one.name} = {one.default:g} {one.unit}: {one.source}" for one in check.thresholds],
    )
    rules = [f"it must be seen in {check.sightings} looks in a row"] if check.sightings > 1 else []
    rules += ["the first 5 minutes after a boot do not count"] if check.grace else []
    _paragraph(screen, "counts when", rules)
    _paragraph(screen, "source", [check.source])
    _paragraph(screen, "what to do", [check.remedy])
    rows = [f"{check.severity} at worst", f"action {check.action}", f"owner {check.owner}", f"level {check.level}"]
    _paragraph(screen, "in short", [*rows, f"tags {', '.join(check.all_tags)}", f"of {check.plugin}"])


def _head(screen: Screen, name: str, title: str, judges: str) -> None:
    for words in (f"{name}: {title}", "", judges):
        screen.line(screen.wrapped(words, 0))


def _paragraph(screen: Screen, title: str, lines: list[str]) -> None:
    if lines:
        screen.line("")
        screen.line(title)
        for line in lines:
            screen.line(screen.wrapped(f"  {line}", 4))


def _asked(ask: Any) -> str:
    from shlex import join

    line = join(ask.argv)
    shown = line if len(line) <= _LONGEST and "\n" not in line else f"{' '.join(line.split())[:_LONGEST]} ..."
    parts = [f"`{shown}`"] if ask.argv else []
    return " and ".join([*parts, *([", ".join(ask.paths)] if ask.paths else [])])


def _document(check: "Check") -> dict[str, Any]:
    return {
        "id": check.id,
        "title": check.title,
        "tags": list(check.all_tags),
        "severity": check.severity,
        "action": check.action,
        "owner": check.owner,
        "level": check.level,
        "sightings": check.sightings,
        "grace": check.grace,
        "judges": check.judges,
        "remedy": check.remedy,
        "source": check.source,
        "asks": [
            {"name": ask.name, "argv": list(ask.argv), "paths": list(ask.paths), "timeout": ask.timeout}
            for ask in check.asks
        ],
        "thresholds": [
            {"name": one.name, "default": one.default, "unit": one.unit, "source": one.source}
            for one in check.thresholds
        ],
        "plugin": check.plugin,
    }

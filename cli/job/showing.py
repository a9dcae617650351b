"""`aiops job show|attempts|explain`: one job, what was tried, and why."""

import json as json_text
import shlex
from typing import Any

import typer

from aiops.cli.app import App
from aiops.cli.counter import counter
from aiops.cli.duration import spell
from aiops.cli.exit import Exit
from aiops.cli.head import on_head
from aiops.cli.options import InventoryOption, JsonOption, QuietOption
from aiops.cli.screen import Screen

from .options import AttemptOption, JobArgument, moment, nodes_of, progress_of


def show(
    context: typer.Context,
    job: JobArgument,
    *,
    inventory: InventoryOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Show all that is known of a job: what it is, where it stands, its attempts and checkpoints."""
    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    passed = on_head(aiops, inventory)
    if passed is not None:
        return passed
    with counter(aiops) as desk:
        found = desk.ask("show", job=job)
    if json:
        screen.document(found)
        return Exit.DONE
    screen.table(("", ""), _rows(found))
    if found["attempts"]:
        screen.line("")
        _attempts(screen, found["attempts"], aiops.clock.now().timestamp())
    if found["checkpoints"]:
        screen.line("")
        screen.table(
            ("step", "state", "checkpoint", "seen", "why"),
            [
                (
                    one["step"],
                    "verified" if one["verified"] else "not good" if one["verified"] is not None else "not known",
                    one["path"],
                    moment(one["at"]),
                    one["reason"] or None,
                )
                for one in found["checkpoints"]
            ],
        )
    if found["state"] in {"failed", "held"}:
        screen.hint(f"see why: `aiops job explain {found['id']}`, `aiops job logs {found['id']}`")
    return Exit.DONE


def attempts(
    context: typer.Context,
    job: JobArgument,
    *,
    inventory: InventoryOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """List the attempts of a job: where each ran, for how long, and how it ended."""
    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    passed = on_head(aiops, inventory)
    if passed is not None:
        return passed
    with counter(aiops) as desk:
        found = desk.ask("attempts", job=job)
    if json:
        screen.document(found)
    elif found:
        _attempts(screen, found, aiops.clock.now().timestamp())
    else:
        screen.note(f"{job} was not started yet: `aiops job explain {job}` says why")
    return Exit.DONE


def explain(
    context: typer.Context,
    job: JobArgument,
    *,
    attempt: AttemptOption = None,
    inventory: InventoryOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Tell what was decided for a job, each with the evidence that it rests on."""
    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    passed = on_head(aiops, inventory)
    if passed is not None:
        return passed
    with counter(aiops) as desk:
        found = desk.ask("explain", job=job, attempt=attempt)
    if json:
        screen.document(found)
        return Exit.DONE
    screen.table(
        ("when", "attempt", "what", "why"),
        [(moment(one["at"]), one["attempt"], one["kind"], one["message"]) for one in found["decisions"]],
    )
    for one in found["decisions"]:
        if one["evidence"]:
            screen.line("")
            of = f" of attempt {one['attempt']}" if one["attempt"] else ""
            screen.line(f"{one['kind']}{of}: {one['message']}")
            for key, value in one["evidence"].items():
                for line in _evidence(key, value):
                    screen.line(f"  {line}")
    if found["reason"] or not found["decisions"]:
        screen.note(f"{found['id']} is {found['state']}: {found['reason'] or 'nothing was decided yet'}")
    return Exit.DONE


def _rows(found: dict[str, Any]) -> list[tuple[str, Any]]:
    attempt, written = found["attempt"], found["job"]
    rows: list[tuple[str, Any]] = [
        ("job", found["id"]),
        ("owner", found["user"]),
        ("state", found["state"]),
        ("since", moment(found["since"])),
        ("reason", found["reason"] or None),
        ("fault", None if found["reason"] else found["fault"]),
        ("submitted", written["submitted"]),
        ("kind", written["kind"]),
        ("priority", written["priority"]),
        ("queue", written["queue"]),
    ]
    if "command" in written:
        rows.append(("command", shlex.join(written["command"])))
    if attempt is not None:
        where = f"{nodes_of(attempt['nodes'])} by {attempt['engine']}"
        rows.append(("attempt", f"{attempt['number']} on {where}"))
        if attempt["resume"]:
            rows.append(("resumed from", f"step {attempt['step']}: {attempt['resume']}"))
    rows.append(("progress", progress_of(found["progress"], pace=True)))
    rows.append(("checkpoint", None if found["step"] is None else f"step {found['step']:,} is verified"))
    rows += [(f"not on {node}", why) for node, why in found["avoid"].items()]
    if found["used"]:
        rows.append(("restarts", ", ".join(f"{count} by {causer}" for causer, count in found["used"].items())))
    if found["ran"]:
        rows.append(("ran", spell(found["ran"])))
    return [row for row in rows if row[1] is not None]


def _attempts(screen: Screen, found: list[dict[str, Any]], now: float) -> None:
    screen.table(
        ("attempt", "nodes", "engine", "from step", "started", "ran", "first to fail", "outcome"),
        [
            (
                one["number"],
                nodes_of(one["nodes"]),
                one["engine"],
                one["step"],
                moment(one["chosen"]),
                None if one["ran"] is None else spell(max(0.0, (one["ended"] or now) - one["ran"])),
                None if one["failed"] is None else f"rank {one['failed']['rank']} on {one['failed']['node']}",
                one["outcome"] if one["ended"] is not None else "goes on",
            )
            for one in found
        ],
    )


def _evidence(key: str, value: Any) -> list[str]:
    """A value of evidence in lines: lists one under the other, text with its lines as they are."""
    if isinstance(value, str) and "\n" in value:
        return [f"{key}:", *(f"  {line}" for line in value.splitlines())]
    if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        return [f"{key}:", *(f"  {_flat(one)}" for one in value)]
    if isinstance(value, list):
        return [f"{key}: {', '.join(map(str, value))}"] if value else []
    return [f"{key}: {_flat(value) if isinstance(value, dict) else value}"] if value not in (None, "") else []


def _flat(value: dict[str, Any]) -> str:
    known = {key: one for key, one in value.items() if one is not None}
    text = known.pop("text", None)
    words = " ".join(f"{key}={one if isinstance(one, str) else json_text.dumps(one)}" for key, one in known.items())
    return f"{text}  ({words})" if text and words else str(text or words)

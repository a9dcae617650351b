"""Power: whether a node has any, as its BMC says; the command that asks is the inventory's (`aiops_power_status`).

It runs on the machine that aiops runs on, since a node without power answers nobody. Judging is pure and strict:
whoever takes `off` for proof starts work elsewhere, so whatever does not plainly say `on` or `off` of the power is
unknown.
"""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from aiops.layers.core.command import Command, Completed
from aiops.layers.core.errors import AiopsError

from . import shell
from .local import LocalTransport
from .node import Node
from .variables import variables_of

PowerState = Literal["on", "off", "unknown"]

TIMEOUT = 10.0
"""Seconds that a BMC has to answer."""

_LONGEST = 65_536
"""Bytes of an answer that are read; a whole Redfish document of a system has some ten thousand."""

_SHOWN = 200
"""Characters of an answer that are told."""

_SAYS = re.compile(r"""(?P<about>.*?)(?P<quote>["']?)(?P<state>on|off)(?P=quote)[.,;]?""", re.IGNORECASE | re.ASCII)
_OF_POWER = re.compile(
    r"""(?:power:\s*)?["']?(?:(?:the|current|chassis|server|system|host|node|blade|machine)\s+)*"""
    r"""power(?:[ _-]?(?:state|status))?["']?(?:\s+is(?:\s+currently)?)?""",
    re.IGNORECASE | re.ASCII,
)
"""What stands before the word: `Chassis Power is` (ipmitool), `Server power status:` (racadm), `"PowerState":`
(Redfish), `power: server power is currently:` (iLO). Not the power of a fan or a light, nor a setting for outages."""


@dataclass(frozen=True, slots=True)
class PowerAnswer:
    """What was said.

    Attributes:
        words: As it was said, or why it is unknown; one line.
    """

    state: PowerState
    words: str


def power_question(node: Node) -> Command | None:
    """What asks a node's BMC, on this machine; None where the inventory names nothing."""
    words = variables_of(node).aiops_power_status
    return Command(tuple(words), timeout=TIMEOUT) if words else None


def ask_power(node: Node) -> PowerAnswer:
    """Ask a node's BMC, from this machine; it takes up to `TIMEOUT` and what ends the command, and never fails."""
    command = power_question(node)
    if command is None:
        return PowerAnswer("unknown", "its inventory has no `aiops_power_status`")
    try:
        with LocalTransport(node) as here:
            return judge_power(here.run(command))
    except AiopsError as error:
        return PowerAnswer("unknown", error.message)


def judge_power(done: Completed) -> PowerAnswer:
    """What the end of the command says. Pure."""
    program = done.command.argv[0]
    if done.timed_out:
        return PowerAnswer("unknown", f"`{program}` did not end within {done.command.timeout:g} s")
    if done.exit_status != 0:
        why = _last(shell.without_wrapper(done.stderr).decode("utf-8", "replace")) or _last(done.text)
        return PowerAnswer("unknown", f"`{program}` ended with {done.exit_status}" + (f": {why}" if why else ""))
    if len(done.stdout) > _LONGEST:
        return PowerAnswer("unknown", f"`{program}` said more than {_LONGEST // 1024} KiB")
    state = power_in(done.text, done.command.argv)
    said = _last(done.text)
    if state == "unknown":
        words = f"`{program}` said neither on nor off: {said}" if said else f"`{program}` said nothing"
        return PowerAnswer(state, words)
    return PowerAnswer(state, said)


def power_in(text: str, names: Collection[str] = ()) -> PowerState:
    """The power that an answer tells, by its last line; none where other lines say otherwise. Pure.

    Args:
        text: The answer: a line such as `Chassis Power is off`, the word alone, or a Redfish document.
        names: What a line `NAME: off` may begin with (ipmipower): words of the command that was run.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        said = [_said(line, names) for line in lines]
        plain = bool(said) and {one for one in said if one != "unknown"} == {said[-1]}
        return said[-1] if plain else "unknown"
    word = document.get("PowerState") if isinstance(document, dict) else document
    return _said(word, ()) if isinstance(word, str) else "unknown"


def _said(line: str, names: Collection[str]) -> PowerState:
    found = _SAYS.fullmatch(line)
    if found is None:
        return "unknown"
    about = found["about"]
    subject = about.rstrip(" \t:=")
    apart = about != subject or not about  # `alon` and `always-off` end in these letters too
    named = subject in names and about[len(subject) :].startswith(":")
    if not apart or not (not about or named or _OF_POWER.fullmatch(subject)):
        return "unknown"
    return "off" if found["state"].lower() == "off" else "on"


def _last(text: str) -> str:
    """The last line, short and without what a terminal would act on."""
    lines = [line.strip() for line in text[-_LONGEST:].splitlines() if line.strip()]
    return "".join(one for one in lines[-1] if one.isprintable())[:_SHOWN] if lines else ""

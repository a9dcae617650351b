"""Trials: tests that take minutes and load a node, for nodes that are out of service. What their programs share.

A program says in its first line what it does, or `lacks TOOL` where the node has not what it needs; then it is the tool
that speaks. A trial that is not made is told, and takes nobody for well.
"""

from collections.abc import Callable

from aiops.layers.l0_nodes.ask import Answer

from .check import Subject

_LACKS = "lacks "

CONTAINER = r"""
container() {
  [ -e /run/systemd/container ] || [ -e /.dockerenv ] || [ -e /run/.containerenv ]
}
"""
"""`container`: whether this is one, whose memory, processors and disks are those of a machine that others use too."""


def lacking(ask: str) -> Callable[[Subject], str]:
    """What is missing for the trial that `ask` makes, as `Check.lacks` wants it."""

    def lacks(subject: Subject) -> str:
        return absent(subject.record.answer(ask))

    return lacks


def absent(answer: Answer) -> str:
    """The tool that was missing for an answer; empty where none was. Pure."""
    reason = answer.missing.get("argv", "")
    if reason.endswith(": not found"):
        return reason.removesuffix(": not found")
    first = answer.stdout.partition("\n")[0]
    return first.removeprefix(_LACKS).strip() if first.startswith(_LACKS) else ""

"""The lines in which a file differs from what is wanted; only of files that everybody may read."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from difflib import unified_diff

from aiops.layers.l0_nodes.ask import Ask
from aiops.layers.l0_nodes.node import Node

from .drift import Drift, Report
from .observation import FileState
from .resource import File
from .survey import Prober, Survey

MAX_BYTES = 65_536
_LINES = 200
_HEADER = 2
_EVERYBODY = 0o004
_CONTEXT = 1


def with_lines(report: Report, survey: Survey, prober: Prober, nodes: Sequence[Node]) -> Report:
    """`report` with the lines that differ, asked of one node per finding: those it is folded over have the same file.

    This is a second round trip, to nodes that have such a file. What cannot be had is left out.
    """
    wanted: dict[str, list[tuple[Drift, File]]] = {}
    for one in report.drifts:
        node = one.nodes[0]
        if one.phase is None or one.verdict != "drift":
            continue
        file = next((file for file in survey.resources(one.phase, node) if file.key == one.what), None)
        if isinstance(file, File) and shown(file, survey.seen(node).files.get(file.path)):
            wanted.setdefault(node, []).append((one, file))

    def asks(node: Node) -> tuple[Ask, ...]:
        return tuple(Ask(one.what, paths=(file.path,), max_bytes=MAX_BYTES) for one, file in wanted[node.name])

    lines: dict[Drift, tuple[str, ...]] = {}
    for outcome in prober.probe([node for node in nodes if node.name in wanted], asks) if wanted else ():
        if outcome.value is None:
            continue
        for one, file in wanted[outcome.node.name]:
            answer = outcome.value.answer(one.what)
            if file.path in answer.files and not answer.truncated:
                lines[one] = tuple(difference_of(file.content or b"", answer.files[file.path]))
    return replace(report, drifts=tuple(replace(one, lines=lines.get(one, ())) for one in report.drifts))


def shown(wanted: File, found: FileState | None) -> bool:
    """Whether the lines of a file may be looked at: everybody may read it, as it is and as it should be. Pure."""
    if wanted.content is None or wanted.secret or found is None or found.kind != "file":
        return False
    readable = all(int(mode, 8) & _EVERYBODY for mode in (wanted.mode, found.mode))
    return readable and len(wanted.content) <= MAX_BYTES


def difference_of(expected: bytes, found: str) -> Iterator[str]:
    """A unified difference without its header; long ones are cut, which the last line says. Pure."""
    before = expected.decode("utf-8", "replace").splitlines()
    lines = list(unified_diff(before, found.splitlines(), n=_CONTEXT, lineterm=""))[_HEADER:]
    yield from lines[:_LINES]
    if len(lines) > _LINES:
        yield f"... and {len(lines) - _LINES} more lines"

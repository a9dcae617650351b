"""What a plan or a deploy has come to, in words: the plan's lines, its failures as one error, the exit code."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from aiops.cli.exit import Exit, exit_of
from aiops.layers.core.errors import FailedError, Problem

if TYPE_CHECKING:
    from aiops.layers.l1_cluster.doors import Deployed
    from aiops.layers.l1_cluster.ledger import Entry
    from aiops.layers.l1_cluster.plan import Plan
    from aiops.layers.l1_cluster.rollout import Stop


def plan_lines(plan: "Plan") -> Sequence[tuple[str, int]]:
    """The plan's lines, each with its indent where it is wrapped: a summary, phases by sets of nodes, notes."""
    lines = [(f"Plan: {plan.summary}", len("Plan: "))]
    width = max((len(phase.phase) for phase in plan.changed_phases), default=0)
    for phase in plan.changed_phases:
        for index, words in enumerate(phase.lines):
            lines.append((f"  {phase.phase if index == 0 else '':<{width}}   {words}", width + 5))
    lines += [(note, 2) for note in plan.notes]
    return lines


def failure_of(done: "Deployed", hints: Sequence[str]) -> FailedError:
    """Why a deploy did not do all, equal reasons folded over nodes: one in the message, several as problems.

    Args:
        done: Its end; it has failures, or has stopped.
        hints: How to go on.
    """
    from aiops.layers.l0_nodes.nodeset import fold

    groups: dict[tuple[str, str, str], list[Entry]] = {}
    for entry in done.ledger.failures:
        groups.setdefault((entry.phase, entry.item, entry.reason), []).append(entry)
    drained = [Problem(f"still drained, and given no work: {fold(done.drained)}")] if done.drained else []
    if done.stop is not None:
        problems = [*_problems(groups.values()), *_untried(done.stop), *drained]
        error = done.stop.error
        code, more = ("deploy.stopped", ()) if error is None else (error.code, error.hints)
        return FailedError(str(done.stop), code=code, problems=problems, hints=[*hints, *more])
    problems = [*_problems(groups.values()), *_held_up(done.ledger.held_up), *drained]
    if len(problems) == 1:
        return FailedError(problems[0].message, code="deploy.failed", hints=hints)
    message = f"{len(done.ledger.failures)} of {len(done.plan.nodes)} nodes failed"
    return FailedError(message, code="deploy.failed", problems=problems, hints=hints)


def _problems(groups: Iterable[Sequence["Entry"]]) -> Iterator[Problem]:
    """Where and why, and under it the last lines, of the first node where several are alike."""
    from aiops.layers.l0_nodes.nodeset import fold

    for entries in groups:
        first = entries[0]
        item = f" at `{first.item}`" if first.item and first.item not in first.reason else ""
        yield Problem(f"phase `{first.phase}` failed on {fold(one.node for one in entries)}{item}: {first.reason}")
        for line in first.tail:
            if line not in first.reason and first.reason not in line:
                yield Problem(f"  | {line}")


def _held_up(entries: "Iterable[Entry]") -> Iterator[Problem]:
    """Nodes that have not failed and that others have kept from their end."""
    from aiops.layers.l0_nodes.nodeset import fold

    groups: dict[tuple[str, str], list[str]] = {}
    for entry in entries:
        groups.setdefault((entry.phase, entry.reason), []).append(entry.node)
    for (phase, reason), nodes in groups.items():
        yield Problem(f"phase `{phase}` was not tried on {fold(nodes)}: {reason}")


def _untried(stop: "Stop") -> Iterator[Problem]:
    from aiops.layers.l0_nodes.nodeset import fold

    if stop.halted:
        yield Problem(f"not brought to the end: {fold(stop.halted)}")
    if stop.left:
        yield Problem(f"not begun: {fold(stop.left)}")


def exit_code(done: "Deployed", *, dry_run: bool) -> Exit:
    """The exit code, by our own ledger; a lock that was lost on the way is a conflict."""
    if done.stop is not None:
        return Exit.FAILED if done.stop.error is None else exit_of(done.stop.error)
    if dry_run and done.ledger.failures:
        return Exit.UNREACHABLE
    return Exit.DONE if done.ledger.ok and not done.declined else Exit.FAILED


def first_reason(done: "Deployed") -> str:
    """Why it failed in one line, for the journal; empty where it did not."""
    failures = done.ledger.failures
    if not failures:
        return str(done.stop) if done.stop is not None else ""
    more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
    first = f"{failures[0].node} failed in phase `{failures[0].phase}`: {failures[0].reason}{more}"
    return f"{done.stop}; {first}" if done.stop is not None else first


def covered(cluster: str, phases: Sequence[str], nodes: Sequence[str]) -> str:
    """What a deploy was about, with its verb: `phase base on gpu01 of lab-a is`.

    Args:
        cluster: Its name.
        phases: The chosen phases; empty where all were.
        nodes: The chosen nodes; empty where all were.
    """
    from aiops.layers.l0_nodes.nodeset import fold

    parts = [f"phase{'s' * (len(phases) > 1)} {', '.join(phases)}"] if phases else []
    parts += [fold(nodes)] if nodes else []
    words = f"{' on '.join(parts)} of {cluster}" if parts else cluster
    return f"{words} {'are' if len(phases or nodes) > 1 else 'is'}"

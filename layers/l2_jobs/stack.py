"""Stack: the Python environment that a job's programs run in, asked of every node and judged before a job is taken.

What is compared: the digest of its manifest, what its packages say of their files, the interpreter; and it must import
what its manifest names, as the job's user. An environment without a manifest, which is somebody's own folder, is
compared by its packages. The job keeps the folder that was found: a restart never runs in another one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from aiops.layers.core.command import Command
from aiops.layers.core.errors import Problem
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.nodeset import fold
from aiops.layers.l0_nodes.transport import Transport
from aiops.layers.l1_cluster.bundle.environment import PLACE
from aiops.layers.l1_cluster.script import answer_of, command, program

from .footing import failed
from .job import Job
from .job_file import JobFile
from .torch_build import read_torch

_PACKAGE = "aiops.layers.l2_jobs"
_SECONDS = 150.0
"""An import of torch from a cold disk takes most of a minute."""
_MARGIN = 30.0
_KEY = ("environment",)


@dataclass(frozen=True, slots=True)
class Stack:
    """An environment as a node has it.

    Attributes:
        path: Its folder.
        digest: Of its manifest; None without one.
        records: Over what its packages say of their files.
        python: The version of its interpreter.
        torch: What its torch says of its build, see `read_torch`; None without one.
        why: Why it will not do; None where it does.
        silent: Why the node could not be asked; empty where it has answered.
    """

    node: str
    path: str = ""
    digest: str | None = None
    records: str | None = None
    python: str | None = None
    torch: str | None = None
    why: str | None = None
    silent: str = ""

    @property
    def same(self) -> tuple[str, str | None, str | None, str | None]:
        """What must be equal on all nodes."""
        return self.path, self.digest, self.records, self.python

    def __str__(self) -> str:
        name = self.path.removeprefix(f"{PLACE}/")
        told = f"{name}, Python {self.python}"
        return told if self.digest is not None else f"{told}, packages {(self.records or '')[:12]}"


def stacks(fleet: Fleet, nodes: Sequence[Node], job: Job) -> dict[str, Stack]:
    """What each of `nodes` says of the environment that a job names; empty where it names none."""
    if job.stack is None:
        return {}
    found = {}
    for outcome in fleet.each(nodes, lambda transport: _ask(transport, job), keep=False):
        name = outcome.node.name
        found[name] = outcome.value or Stack(name, silent=outcome.error.message if outcome.error else "no answer")
    return found


def question(job: Job, node: Node) -> Command:
    """What runs on a node to ask it."""
    spec = {"name": _name(job.stack or ""), "place": PLACE, "user": job.owner.user, "seconds": _SECONDS}
    return command(node, program(("footing", "stack"), f"main({spec!r})", _PACKAGE), timeout=_SECONDS + _MARGIN)


def _ask(transport: Transport, job: Job) -> Stack:
    node = transport.node
    done = transport.run(question(job, node))
    if not done.ok:
        raise failed(node, done, "job.environment")
    answer = answer_of(node, done, "job.environment", dict)
    said = {name: answer.get(name) for name in ("digest", "records", "python", "torch", "why")}
    return Stack(node.name, str(answer.get("path") or ""), **said)


def stack_obstacles(
    file: JobFile, job: Job, found: Mapping[str, Stack], vendors: Mapping[str, str | None]
) -> list[Problem]:
    """What keeps a job from running in its environment on the nodes that it may be placed on. Pure.

    Nodes that did not answer say nothing: nothing is started there before they do, and a launcher looks again.

    Args:
        file: For the lines of what is wrong.
        job: Names the environment.
        found: What nodes have said of it.
        vendors: The maker of each node's accelerators; None without any.
    """
    told = [one for one in found.values() if not one.silent]
    wrong = [*_wrong(job, told), *(_unbuilt(job, told, vendors) if job.devices.count else ())]
    return [file.places.problem(_KEY, words, hint) for words, hint in wrong]


def settled(job: Job, found: Mapping[str, Stack]) -> Job:
    """The job with the folder that its nodes have under the name; as it was where none has answered.

    Words of its command that begin with the name's folder then begin with that: the name may mean a newer one later.
    """
    told = [one for one in found.values() if not one.silent and one.why is None]
    if not told:
        return job
    path, name = told[0].path, _name(job.stack or "")
    named = f"{name}/" if name.startswith("/") else f"{PLACE}/{name}/"
    words = (f"{path}/{one.removeprefix(named)}" if one.startswith(named) else one for one in job.command)
    return replace(job, stack=path, command=tuple(words))


def _name(said: str) -> str:
    """A folder right below the place of all environments is what its name is there: a link to the newest, or itself."""
    name = said.removeprefix(f"{PLACE}/").rstrip("/")
    return said.rstrip("/") if "/" in name else name


def _wrong(job: Job, told: Sequence[Stack]) -> Iterator[tuple[str, str]]:
    reasons: dict[str, list[str]] = {}
    for one in told:
        if one.why is not None:
            reasons.setdefault(one.why, []).append(one.node)
    for why, names in sorted(reasons.items()):
        yield f"`environment` {job.stack} will not do on {fold(names)}: {why}", _mend(job, told, names)
    kinds: dict[tuple[str, str | None, str | None, str | None], list[Stack]] = {}
    for one in told:
        if one.why is None:
            kinds.setdefault(one.same, []).append(one)
    most, *others = sorted(kinds.values(), key=lambda group: (-len(group), group[0].node)) or [[]]
    for group in others:
        names = [one.node for one in group]
        with_it = fold([one.node for one in most])
        words = f"`environment` {job.stack} is another one on {fold(names)} ({group[0]}) than on {with_it} ({most[0]})"
        yield words, _mend(job, told, names)


def _unbuilt(job: Job, told: Sequence[Stack], vendors: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    """A torch for processors trains on processors, or ends after an hour of loading: it is told before."""
    reasons: dict[str, list[str]] = {}
    for one in told:
        build = read_torch(one.torch) if one.why is None else None
        why = build.unfit(vendors.get(one.node)) if build is not None else None
        if why is not None:
            reasons.setdefault(why, []).append(one.node)
    for why, names in sorted(reasons.items()):
        hint = "name a lock file with such a torch in `aiops_environment_locks` for these nodes (docs/environments.md)"
        left = [one.node for one in told if one.node not in names and one.why is None]
        more = f"say `only: {fold(left)}` of `nodes`, or " if len(left) >= job.nodes.least else ""
        words = f"`environment` {job.stack} cannot use the accelerators of {fold(names)}: {why}"
        yield words, f"{hint}; or {more}leave `devices` out"


def _mend(job: Job, told: Sequence[Stack], without: Sequence[str]) -> str:
    own = job.stack is not None and job.stack.startswith("/") and not job.stack.startswith(f"{PLACE}/")
    hint = (
        "make that folder the same on all nodes"
        if own
        else "name it in `aiops_environments` of the inventory, then `aiops cluster deploy --only environments`"
    )
    left = [one.node for one in told if one.node not in without and one.why is None]
    return f"{hint}; or say `only: {fold(left)}` of `nodes`" if len(left) >= job.nodes.least else hint

"""Who looks at checkpoints and changes them where they lie: this machine in its own process, a node by a program."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiops.layers.core.errors import AiopsError, FailedError, NotFoundError, UnreachableError
from aiops.layers.l0_nodes.transport import Transport
from aiops.layers.l1_cluster.script import answer_of, command, program
from aiops.layers.l2_jobs.job import Account
from aiops.layers.l2_jobs.text import plain

from .facts import Content, Contents, Entry, Flaw, Listing, Question

_PACKAGE = "aiops.layers.l2_jobs.checkpoint"
_LOOKING = ("values", "opcodes", "archive", "distributed", "tensors", "survey")
_SECONDS = 120.0
"""For what reads no contents; a file server may take long over many files."""

_SLOWEST = 20e6
"""Bytes a second: a file server that gives less while it is read in a row is taken for hung."""

_MISSING = "checkpoint.missing"
_UNREADABLE = "checkpoint.unreadable"


class LocalSurveyor:
    """Looks at this machine's own files."""

    def __init__(self, progress: Callable[[int], None] | None = None) -> None:
        """Prepare.

        Args:
            progress: Told a number of bytes whenever so many were hashed; from several threads.
        """
        self._progress = progress

    def listing(self, path: str) -> Listing:
        """All files below `path`, or the one file that it is."""
        from .remote import survey

        listing: Callable[..., dict[str, Any]] = survey.listing  # node-side code has no types
        return listing_of(path, listing(path))

    def contents(self, root: str, question: Question) -> Contents:
        """What `question` asks of one place below `root`."""
        from .remote import survey

        contents: Callable[..., dict[str, Any]] = survey.contents
        return contents_of(contents(root, asked(question), self._progress))

    def change(self, function: str, *arguments: Any) -> dict[str, Any]:
        """Run a function of `remote.changes`."""
        from .remote import changes

        try:
            found: dict[str, Any] = getattr(changes, function)(*arguments)
        except OSError as error:
            raise _refused(arguments[0], error.strerror or str(error)) from error
        return found


class NodeSurveyor:
    """Looks at a node's files: one round trip each."""

    def __init__(self, transport: Transport, account: Account | None = None) -> None:
        """Prepare.

        Args:
            transport: Reaches the node.
            account: Who looks, a job's owner: whoever logs in becomes that one; None for the user of the connection.
        """
        self._transport = transport
        self._account = account

    def listing(self, path: str) -> Listing:
        """All files below `path`, or the one file that it is."""
        try:
            return listing_of(path, self._run(_LOOKING, ("listing", path), _SECONDS))
        except AiopsError as error:
            if error.code in {_MISSING, _UNREADABLE}:
                raise type(error)(f"{self._transport.node.name}: {error.message}", code=error.code) from error
            raise

    def contents(self, root: str, question: Question) -> Contents:
        """What `question` asks of one place below `root`."""
        seconds = _SECONDS + question.size / _SLOWEST
        return contents_of(self._run(_LOOKING, ("contents", root, asked(question)), seconds))

    def change(self, function: str, *arguments: Any) -> dict[str, Any]:
        """Run a function of `remote.changes`."""
        found = self._run(("changes",), (function, *arguments), _SECONDS * 10)
        if "error" in found:
            raise _refused(f"{self._transport.node.name}: {arguments[0]}", found["error"])
        return found

    def _run(self, modules: tuple[str, ...], arguments: Sequence[Any], seconds: float) -> dict[str, Any]:
        node = self._transport.node
        # As JSON in a Python text: no value is ever code.
        words: list[Any] = [*arguments]
        if self._account is not None:
            words = [[self._account.user, self._account.uid, self._account.gid], modules[-1], words]
            modules = (*modules, "person")
        call = f"main(*_sys.modules['json'].loads({json.dumps(json.dumps(words))}))"
        source = program(modules, call, _PACKAGE)
        completed = self._transport.run(command(node, source, timeout=seconds, root=self._account is not None))
        if completed.timed_out:
            raise UnreachableError(
                f"{node.name} did not read its files within {seconds:.0f} s: its storage hangs",
                code="checkpoint.timeout",
                hints=[f"look at its mounts: `aiops health --on {node.name}`"],
            )
        if not completed.ok:
            last = completed.error_text.rpartition("\n")[2] or f"exit status {completed.exit_status}"
            raise FailedError(f"{node.name} could not look at checkpoints: {last}", code="checkpoint.program")
        found: dict[str, Any] = answer_of(node, completed, "checkpoint.garbled", dict)
        return found


def _refused(what: object, reason: str) -> FailedError:
    return FailedError(f"{what}: nothing could be changed: {reason}", code="checkpoint.unchanged")


def asked(question: Question) -> dict[str, Any]:
    """A question as JSON-ready values. Pure."""
    return {
        "base": question.base,
        "readings": [{"path": one.path, "how": one.how, "keys": list(one.keys)} for one in question.readings],
        "digests": list(question.digests),
        "checksums": question.checksums,
    }


def listing_of(path: str, found: Mapping[str, Any]) -> Listing:
    """The listing in an answer. Pure.

    Raises:
        NotFoundError: There is nothing at `path`.
        FailedError: It cannot be read.
    """
    if "error" in found:
        if found.get("missing"):
            raise NotFoundError(f"there is nothing at {path}", code=_MISSING)
        raise FailedError(f"{path} cannot be read: {found['error']}", code=_UNREADABLE)
    entries, unread = [], {plain(str(folder)): str(why) for folder, why in found["unread"].items()}
    for name, size, at, link in found["entries"]:
        if plain(name) != name:  # no store, screen or job can say it: what it is for is not known
            unread[plain(name)] = "its name is no UTF-8"
            continue
        entries.append(Entry(str(name), int(size), float(at), bool(link)))
    return Listing(str(found["root"]), float(found["at"]), tuple(entries), unread)


def contents_of(found: Mapping[str, Any]) -> Contents:
    """What was read, in an answer. Pure."""
    contents: dict[str, Content] = {}
    for one in found["found"]:
        flaw = None if one["flaw"] is None else Flaw(one["path"], *one["flaw"])
        held = contents.get(one["path"])
        if held is None or (held.flaw is None and flaw is not None):
            contents[one["path"]] = Content(one["path"], one["how"], flaw, one)
    digests = {path: told if isinstance(told, str) else Flaw(path, *told) for path, told in found["digests"].items()}
    return Contents(contents, found["manifest"], digests)

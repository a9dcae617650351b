"""A sign of a fault: what a line must say, what that means, and how it ranks among other signs."""

import re
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from .fault_class import Causer
from .literals import literals


class Level(IntEnum):
    """How near to the cause a sign stands: of several signs the highest level wins, then the earliest line.

    So the first cause wins over its echoes: what hardware says explains what programs say of it, a program's own error
    explains that its peers waited for it in vain, and that explains why all were ended.
    """

    ECHO = 10
    """The end of processes, told by who ended them: SIGTERM, ChildFailedError, a cancelled step, Xid 45."""
    SYMPTOM = 20
    """What the others see when one is gone: a collective timed out, a connection closed, an engine dead."""
    PROGRAM = 30
    """Any error of a program, without a known meaning."""
    CAUSE = 40
    """A program's error of a known meaning: no memory, no space, a damaged file, a wrong setting."""
    HOST = 50
    """What the host says: the OOM killer, a full or failing file system, a port down, a node gone."""
    HARDWARE = 60
    """A device reports an error of its own."""
    LOST = 70
    """A device is gone."""


@lru_cache(maxsize=4096)
def compiled(pattern: str) -> re.Pattern[str]:
    """`pattern`, compiled when first needed: a log meets few of the catalogue's patterns."""
    return re.compile(pattern)


@dataclass(frozen=True, slots=True)
class Signature:
    """One sign. Patterns are in lower case, and are looked for in the line in lower case.

    Attributes:
        id: Unique, dotted: `gpu.xid_lost`.
        kind: The class of faults that it is a sign of.
        level: How near to the cause it stands.
        pattern: A regular expression that must be found in the line. Groups that begin with `node` name the node it
            concerns.
        unless: One that must not be found in it; empty: none.
        at_least: In how many lines it must be seen to count.
        needs: Identities of which one must count too; empty: none.
        without: Identities of which none may have been seen.
        cleared_by: Identities that take it back when they are seen later.
        silences: Errors of programs without a known meaning that come later are its echoes.
        live: It is a fault at once, while the process still lives.
        causer: Over the usual value of the class, where not None; so `retryable` and `bad_node`.
        counts: Whether it is a sign by itself; else it only serves others.
    """

    id: str
    kind: str
    level: Level
    pattern: str
    unless: str = ""
    at_least: int = 1
    needs: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    cleared_by: tuple[str, ...] = ()
    silences: bool = False
    live: bool = False
    causer: Causer | None = None
    retryable: bool | None = None
    bad_node: bool | None = None
    counts: bool = True

    @property
    def words(self) -> frozenset[str]:
        """Pieces of which one is in each line that has the sign; cheap to look for."""
        return literals(self.pattern)

    @property
    def anchored(self) -> bool:
        """Whether it asks where the message begins."""
        return "^" in re.sub(r"\\.|\[\^", "", self.pattern)

    def found(self, line: str) -> re.Match[str] | None:
        """The match in `line`, which is in lower case; None where there is none."""
        match = compiled(self.pattern).search(line)
        if match is None or (self.unless and compiled(self.unless).search(line)):
            return None
        return match

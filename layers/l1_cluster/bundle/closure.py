"""The packages of one target: which they are, and their files, fetched once and compared with the signed index."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiops.layers.core.errors import FailedError, Problem

from .manifest import sha256_of
from .target import Target
from .workspace import AptWorkspace, Deb, Wanted

MISSING = "bundle.missing"


@dataclass(frozen=True, slots=True)
class Closure:
    """All packages of a target, with what they depend on.

    Attributes:
        groups: What is wanted, by what is installed together: two phases may not be installable on one host.
        members: The closure of each group.
        debs: All packages, each once.
    """

    apt: AptWorkspace
    groups: tuple[tuple[Wanted, ...], ...]
    members: tuple[tuple[Deb, ...], ...]
    debs: tuple[Deb, ...]

    @classmethod
    def resolve(cls, apt: AptWorkspace, wanted: Iterable[Wanted]) -> "Closure":
        """Work out the closure from lists that are there.

        Raises:
            FailedError: `bundle.missing`: names every package that cannot be had, and who wants it.
        """
        groups: dict[str, list[Wanted]] = {}
        for one in wanted:
            groups.setdefault(one.by, []).append(one)
        together = tuple(tuple(group) for group in groups.values())
        members = []
        problems: list[Problem] = []
        for group in together:
            try:
                members.append(apt.resolve(group))
            except FailedError as error:
                if error.code != MISSING:
                    raise
                problems += error.problems
        if problems:
            raise missing([apt.target], problems)
        debs = {(deb.name, deb.version, deb.architecture): deb for closure in members for deb in closure}
        ordered = sorted(debs.values(), key=lambda one: (one.name, one.version))
        return cls(apt, together, tuple(members), tuple(ordered))

    @property
    def size(self) -> int:
        """Bytes of all packages."""
        return sum(deb.size for deb in self.debs)

    def path(self, deb: Deb) -> Path:
        """Where its file is, or will be."""
        return self.apt.archives / deb.file

    def absent(self) -> tuple[Deb, ...]:
        """The packages whose files are still to be fetched. One that was spoilt in the cache is removed and counts."""
        absent = []
        for deb in self.debs:
            file = self.path(deb)
            if file.exists() and sha256_of(file) != deb.sha256:
                file.unlink()  # a spoilt cache must never reach a bundle
            if not file.exists():
                absent.append(deb)
        return tuple(absent)

    def fetch(self, absent: Sequence[Deb], on_file: Callable[[str], None]) -> None:
        """Fetch the `absent` ones.

        Args:
            absent: From `absent`.
            on_file: Called with the name of each package as its download begins.

        Raises:
            UnreachableError: A file could not be fetched.
            FailedError: `bundle.hash`: a file is not what the index promises.
        """
        for group, members in zip(self.groups, self.members, strict=True):
            if any(not self.path(deb).exists() for deb in members):
                self.apt.download(group, on_file)
        for deb in absent:
            file = self.path(deb)
            if not file.exists() or sha256_of(file) != deb.sha256:
                raise FailedError(
                    f"{deb.file} is not what the index of {self.apt.target} promises",
                    code="bundle.hash",
                    hints=["run this again; if it stays, the mirror is broken: `--mirror URL` takes another"],
                )


def missing(targets: Iterable[Target], problems: Sequence[Problem]) -> FailedError:
    """The error of packages that cannot be had."""
    count = f"{len(problems)} package{'s' * (len(problems) != 1)}"
    return FailedError(
        f"{count} cannot be had for {', '.join(map(str, targets))}",
        code=MISSING,
        problems=problems,
        hints=["add the repository that has it with `--source 'deb [signed-by=...] URL SUITE COMPONENT'`"],
    )

"""A bundle as phases see it: `cluster.bundle` in their templates."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Protocol

from aiops.layers.l0_nodes.facts import Facts

from .bundle import SUMS, Bundle
from .draft import ENVIRONMENTS
from .environment import EnvironmentPlan, document_name, plans_of
from .manifest import sha256_of_bytes, sums_text
from .signing import trusted_keys
from .target import MACHINES
from .version import upstream, version_key


class Placed(Protocol):
    """What is needed of a node to know which of the packages are for it."""

    @property
    def name(self) -> str:
        """Its name, for messages."""
        ...

    @property
    def facts(self) -> Facts | None:
        """What the last probe said."""
        ...


class NotOfferedError(LookupError):
    """The bundle has not what a node needs; its words are for the operator."""


@dataclass(frozen=True, slots=True)
class PairMember:
    """One package of a driver, at the version that all of them have."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Offer:
    """An opened bundle, for templates.

    Attributes:
        parcels: Where what the head lacks is packed.
    """

    bundle: Bundle
    parcels: Path

    @property
    def digests(self) -> Mapping[str, str]:
        """What the head has when the whole bundle is there: SHA-256 by path."""
        known = self.bundle.digests
        return {**known, SUMS: sha256_of_bytes(sums_text(known))}

    @property
    def size(self) -> int:
        """Bytes of it all."""
        return self.bundle.size

    @property
    def pack_command(self) -> tuple[str, ...]:
        """The command that packs the files whose digests stand on its stdin, and prints where."""
        module = f"{__package__}.parcel"
        return (sys.executable, "-I", "-m", module, str(self.bundle.path), str(self.parcels))

    @property
    def key(self) -> str:
        """The public key, armored."""
        return self.bundle.key.armored

    @property
    def content(self) -> str:
        """Changes when any package changes."""
        return self.bundle.manifest.content

    @property
    def server(self) -> str:
        """The program that serves the bundle on the head."""
        return (files("aiops") / "layers/l1_cluster/remote/repository.py").read_text()

    def suite(self, node: Placed) -> str:
        """The release of a node, as the repository calls it.

        Raises:
            NotOfferedError: The bundle holds nothing for it.
        """
        codename, architecture = _platform(node)
        if f"{codename}/{architecture}" not in self.bundle.manifest.targets:
            raise NotOfferedError(
                f"the bundle holds nothing for {codename}/{architecture}:"
                f" build it with `aiops cluster bundle build --for {codename}/{architecture}`"
            )
        return codename

    def architecture(self, node: Placed) -> str:
        """The architecture of a node, as Debian calls it."""
        return _platform(node)[1]

    def version(self, name: str, node: Placed) -> str | None:
        """The newest version of a package that a node can have, or None."""
        found = self.bundle.versions(name, *_platform(node))
        return max(found, key=version_key) if found else None

    def environment(self, name: str, node: Placed, file: str = "") -> EnvironmentPlan:
        """What is built of an environment for a node, by the operator's lock file where one is named.

        Raises:
            NotOfferedError: The bundle has no such environment for its release.
        """
        codename, architecture = _platform(node)
        target = f"{codename}/{architecture}"
        path = f"{ENVIRONMENTS}/{document_name(name, file)}"
        known = any(one.path == path for one in self.bundle.artefacts("environment"))
        plans = plans_of((self.bundle.path / path).read_bytes(), path) if known else {}
        if target not in plans:
            by = f" by {file}" if file else ""
            raise NotOfferedError(
                f"the bundle has no environment `{name}`{by} for {target}: build it for this inventory,"
                " `aiops cluster bundle build`"
            )
        return plans[target]

    def pair(self, names: Iterable[str], node: Placed, wanted: str | None = None) -> tuple[PairMember, ...]:
        """Packages of a driver, all of one maker's version: never a mixture.

        Args:
            names: The packages; `#` stands for the driver's branch (`580` of `580.95.05`).
            node: For which node.
            wanted: The exact driver version; the newest that all packages have by default.

        Raises:
            NotOfferedError: There is no version that all of them have; names those that lack it.
        """
        patterns = tuple(names)
        platform = _platform(node)
        candidates = [wanted] if wanted else self._drivers(patterns, platform)
        lacking: list[str] = []
        for version in candidates:
            members = []
            lacking = []
            for pattern in patterns:
                name = pattern.replace("#", version.partition(".")[0])
                fitting = [one for one in self.bundle.versions(name, *platform) if upstream(one) == version]
                if fitting:
                    members.append(PairMember(name, max(fitting, key=version_key)))
                else:
                    lacking.append(f"{name} {version}")
            if not lacking:
                return tuple(members)
        what = ", ".join(lacking) or "no driver package at all"
        raise NotOfferedError(
            f"a driver is only installed whole, and the bundle lacks {what}: build it with the vendor's repository"
            " (`--source`), or in the lab with `--simulated VENDOR:VERSION`"
        )

    def _drivers(self, patterns: Iterable[str], platform: tuple[str, str]) -> list[str]:
        """The maker's versions of what the first pattern matches, newest first."""
        first = next(iter(patterns)).partition("#")[0]
        codename, architecture = platform
        found = {
            upstream(one.version)
            for one in self.bundle.artefacts("deb")
            if one.name.startswith(first)
            and one.version is not None
            and one.release == codename
            and one.architecture in {architecture, "all"}
        }
        return sorted(found, key=version_key, reverse=True)


def pair_of_sources(names: Iterable[str], wanted: str | None) -> tuple[PairMember, ...]:
    """As `Offer.pair`, for a node that installs from its own sources: apt finds the packaging's revision.

    Raises:
        NotOfferedError: No version is said, so that no pair can be named.
    """
    if wanted is None:
        raise NotOfferedError("without a bundle the driver's exact version must be said: set `aiops_driver_version`")
    branch = wanted.partition(".")[0]
    return tuple(PairMember(pattern.replace("#", branch), f"{wanted}-*") for pattern in names)


def open_offer(path: Path, home: Path) -> Offer:
    """Open the bundle at `path` for a deploy: signature and sizes are checked; every byte by `require_whole`.

    Raises:
        NotFoundError, FailedError: As `Bundle.open`.
    """
    bundle = Bundle.open(path, trusted_keys(home))
    return Offer(bundle, home / "cache" / "bundle" / "parcels")


def _platform(node: Placed) -> tuple[str, str]:
    facts = node.facts
    if facts is None or facts.os_codename is None or facts.architecture is None:
        raise NotOfferedError(f"which packages are for {node.name} is unknown: its release could not be read")
    return facts.os_codename, MACHINES.get(facts.architecture, facts.architecture)

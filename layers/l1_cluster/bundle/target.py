"""For which releases and architectures a bundle can be built, and where their packages come from."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from aiops.layers.core.errors import InputError

_SOURCE = re.compile(
    r"deb(-src)?[ \t]+(\[[^\]\n]*\][ \t]+)?[a-z][a-z0-9+.-]*:\S+[ \t]+(?P<suite>\S+)(?P<components>([ \t]+\S+)*)"
)


@dataclass(frozen=True, slots=True)
class Suite:
    """One line of a release's sources: where, which suite, which components."""

    mirror: str
    name: str
    components: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Release:
    """A distribution's release.

    Attributes:
        mirrors: Base address by mirror name and architecture; `*` is any architecture.
        keyring: The archive's public keys, as a path on the controller.
        keyring_package: The package that brings `keyring`.
        python: The minor version of `/usr/bin/python3`.
    """

    codename: str
    distribution: str
    version: str
    python: tuple[int, int]
    suites: tuple[Suite, ...]
    mirrors: dict[str, dict[str, str]]
    keyring: str
    keyring_package: str

    def mirror(self, name: str, architecture: str) -> str:
        """The address of a mirror for one architecture."""
        addresses = self.mirrors[name]
        return addresses.get(architecture, addresses["*"])


def _debian(codename: str, version: str, python: tuple[int, int]) -> Release:
    main = ("main",)
    return Release(
        codename,
        "debian",
        version,
        python,
        (
            Suite("main", codename, main),
            Suite("main", f"{codename}-updates", main),
            Suite("security", f"{codename}-security", main),
        ),
        {"main": {"*": "http://deb.debian.org/debian"}, "security": {"*": "http://deb.debian.org/debian-security"}},
        "/usr/share/keyrings/debian-archive-keyring.gpg",
        "debian-archive-keyring",
    )


def _ubuntu(codename: str, version: str, python: tuple[int, int]) -> Release:
    components = ("main", "universe")
    return Release(
        codename,
        "ubuntu",
        version,
        python,
        tuple(
            Suite(mirror, codename + pocket, components)
            for mirror, pocket in (("main", ""), ("main", "-updates"), ("security", "-security"))
        ),
        {
            "main": {"*": "http://ports.ubuntu.com/ubuntu-ports", "amd64": "http://archive.ubuntu.com/ubuntu"},
            "security": {"*": "http://ports.ubuntu.com/ubuntu-ports", "amd64": "http://security.ubuntu.com/ubuntu"},
        },
        "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
        "ubuntu-keyring",
    )


RELEASES = {
    release.codename: release
    for release in (
        _debian("bookworm", "12", (3, 11)),
        _debian("trixie", "13", (3, 13)),
        _ubuntu("jammy", "22.04", (3, 10)),
        _ubuntu("noble", "24.04", (3, 12)),
    )
}
ARCHITECTURES = ("amd64", "arm64")
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
"""Debian's names of architectures, by the kernel's."""


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """One release on one architecture; written `bookworm/amd64`."""

    codename: str
    architecture: str

    def __str__(self) -> str:
        return f"{self.codename}/{self.architecture}"

    @property
    def release(self) -> Release:
        """What is known of the release."""
        return RELEASES[self.codename]

    @property
    def python(self) -> str:
        """`3.11`."""
        return "{}.{}".format(*self.release.python)


def parse_targets(words: Iterable[str]) -> tuple[Target, ...]:
    """Targets from `bookworm`, `noble/arm64`, `ubuntu24.04` or `12`; the architecture is amd64 unless given.

    Raises:
        InputError: `bundle.unknown_target`: a release or architecture that is not supported; names those that are.
    """
    found: dict[Target, None] = {}
    for word in words:
        name, _, architecture = word.strip().lower().partition("/")
        release = _release(name)
        architecture = architecture or "amd64"
        if release is None or architecture not in ARCHITECTURES:
            known = ", ".join(f"{one.codename} ({one.distribution} {one.version})" for one in RELEASES.values())
            raise InputError(
                f"`{word}` is not a release a bundle can be built for",
                code="bundle.unknown_target",
                hints=[f"releases: {known}; architectures: {', '.join(ARCHITECTURES)}; e.g. `noble/arm64`"],
            )
        found[Target(release.codename, architecture)] = None
    return tuple(found)


def _release(name: str) -> Release | None:
    for release in RELEASES.values():
        names = {release.codename, release.version, f"{release.distribution}{release.version}"}
        if name in names or name.replace("-", "").replace(" ", "") in names:
            return release
    return None


def sources_text(target: Target, extra: Iterable[str] = (), mirror: str | None = None) -> str:
    """The sources list of a target, in apt's one-line format.

    Args:
        target: The release and architecture.
        extra: Whole lines to add, e.g. a vendor's repository with its `signed-by`.
        mirror: Replaces the address of the main mirror (not that of security updates).
    """
    lines = []
    for suite in target.release.suites:
        address = target.release.mirror(suite.mirror, target.architecture)
        if mirror is not None and suite.mirror == "main":
            address = mirror.rstrip("/")
        options = f"arch={target.architecture} signed-by={target.release.keyring}"
        lines.append(f"deb [{options}] {address} {suite.name} {' '.join(suite.components)}")
    lines.extend(line.strip() for line in extra)
    return "\n".join(lines) + "\n"


def parse_source(text: str) -> str:
    """One more apt source in the one-line format: `deb [signed-by=KEYRING] https://HOST/PATH SUITE COMPONENT...`.

    Raises:
        InputError: It is none (`bundle.source`).
    """
    match = _SOURCE.fullmatch(text.strip())
    # A suite that ends with a slash is a folder, and has no components; any other has some.
    if match is None or match["suite"].endswith("/") == bool(match["components"].split()):
        raise InputError(
            f"`{text}` is no apt source",
            code="bundle.source",
            hints=[
                "for example `--source 'deb [signed-by=/etc/apt/keyrings/maker.asc] https://example.com/debian12 /'`"
            ],
        )
    return text.strip()

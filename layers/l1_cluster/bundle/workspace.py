"""apt, isolated: its own sources, lists, cache and an empty dpkg status, so that nothing of this machine leaks in.

With an empty status every dependency counts as not installed, so a closure is complete for any host, however
minimal. Of the machine's own apt configuration only how to reach the network (`Acquire::*` proxies and
certificates) is taken over.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiops.layers.core.errors import FailedError, Problem, UnreachableError
from aiops.layers.core.file import write_atomic
from aiops.layers.core.home import ensure_folder

from .control import parse_paragraphs
from .program import Ended, run_program
from .target import Target, sources_text

_NETWORK = re.compile(
    r'^Acquire::(https?::(?:[^"]*::)?(?:Proxy|CaInfo|Verify-|SslCert|SslKey|User-Agent)|Check-)', re.IGNORECASE
)
_UPDATE_TIMEOUT = 300.0
_RESOLVE_TIMEOUT = 120.0
_DOWNLOAD_TIMEOUT = 3600.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A package to be had, at an exact version where one is given, and who wants it (a phase, an option)."""

    name: str
    by: str
    version: str | None = None

    def __str__(self) -> str:
        return f"{self.name}={self.version}" if self.version else self.name


@dataclass(frozen=True, slots=True)
class Deb:
    """A package of a closure.

    Attributes:
        fields: Its paragraph in the distribution's index.
        address: Where it is downloaded from.
        file: Its file name in apt's cache (`:` of an epoch written `%3a`).
        size: Bytes.
    """

    name: str
    version: str
    architecture: str
    sha256: str
    size: int
    address: str
    file: str
    fields: Mapping[str, str]


class AptWorkspace:
    """One target's isolated apt, kept under a cache folder so that a later build downloads only what changed."""

    def __init__(
        self, folder: Path, target: Target, *, extra_sources: Iterable[str] = (), mirror: str | None = None
    ) -> None:
        """Prepare; nothing is written or fetched yet."""
        self.folder = folder
        self.target = target
        self._sources = sources_text(target, extra_sources, mirror)

    @property
    def archives(self) -> Path:
        """Where downloaded packages lie."""
        return self.folder / "archives"

    def prepare(self) -> None:
        """Write the configuration.

        Raises:
            FailedError: The archive's keyring is not on this machine; names the package that brings it.
        """
        release = self.target.release
        if not Path(release.keyring).exists():
            raise FailedError(
                f"packages of {release.distribution} {release.version} cannot be verified without {release.keyring}",
                code="bundle.no_keyring",
                hints=[f"install it with `apt-get install {release.keyring_package}` and run this again"],
            )
        for name in ("lists/partial", "archives/partial", "none/partial", "etc/preferences.d", "etc/sources.list.d"):
            ensure_folder(self.folder / name)
        (self.folder / "status").write_text("")
        write_atomic(self.folder / "etc/sources.list", self._sources.encode())
        write_atomic(self.folder / "apt.conf", self._configuration().encode())

    def update(self) -> None:
        """Fetch the distribution's lists.

        Raises:
            UnreachableError: A mirror did not answer (`bundle.no_network`), with apt's own words.
            FailedError: A signature or list was wrong (`bundle.update`).
        """
        ended = self._apt("apt-get", "update", timeout=_UPDATE_TIMEOUT)
        if ended.exit_status == 0:
            return
        problems = [Problem(line) for line in _complaints(ended)]
        text = ended.stderr
        if re.search(r"Could not (resolve|connect)|Temporary failure|Unable to connect|Network is unreachable", text):
            raise UnreachableError(
                f"the packages of {self.target} could not be fetched: no way to their mirror",
                code="bundle.no_network",
                problems=problems,
                hints=[
                    "building needs the internet once: do it on a machine that has it and carry the folder",
                    "a proxy is set in /etc/apt/apt.conf.d (Acquire::http::Proxy), a mirror with `--mirror URL`",
                ],
            )
        raise FailedError(
            f"the package lists of {self.target} could not be read", code="bundle.update", problems=problems
        )

    def resolve(self, wanted: Sequence[Wanted]) -> tuple[Deb, ...]:
        """The closure of `wanted`: those packages and all they depend on, sorted by name.

        Raises:
            FailedError: `bundle.missing`: names every package that does not exist or cannot be installed.
        """
        if not wanted:
            return ()
        words = sorted({str(one) for one in wanted})
        ended = self._plan(*words)
        if ended.exit_status != 0:
            raise self._missing(wanted, ended)
        addresses = parse_addresses(ended.stdout.decode())
        shown = self._apt("apt-cache", "show", *(f"{name}:{arch}={version}" for name, version, arch in addresses))
        debs = []
        for fields in parse_paragraphs(shown.stdout.decode("utf-8", "replace")):
            key = (fields["Package"], fields["Version"], fields["Architecture"])
            if key not in addresses:
                continue
            address, file, size = addresses.pop(key)
            debs.append(Deb(*key, fields["SHA256"], size, address, file, fields))
        if addresses:
            names = ", ".join(sorted(name for name, _, _ in addresses))
            raise FailedError(f"the index of {self.target} does not describe {names}", code="bundle.index")
        return tuple(sorted(debs, key=lambda deb: (deb.name, deb.architecture)))

    def download(self, wanted: Sequence[Wanted], on_file: Callable[[str], None]) -> None:
        """Fetch what of the closure is not in the cache yet; apt verifies each file against the signed index.

        Args:
            wanted: As given to `resolve`.
            on_file: Called with the name of each package as its download begins.

        Raises:
            UnreachableError: A file could not be fetched; it is named.
        """

        def line(text: str) -> None:
            match = re.match(r"Get:\d+ \S+ \S+ \S+ (\S+)", text)
            if match:
                on_file(match.group(1))

        words = sorted({str(one) for one in wanted})
        ended = self._apt(
            "apt-get", "install", "-y", "-q", "--download-only", *words, timeout=_DOWNLOAD_TIMEOUT, on_line=line
        )
        if ended.exit_status != 0:
            raise UnreachableError(
                f"not all packages of {self.target} could be fetched",
                code="bundle.download",
                problems=[Problem(line) for line in _complaints(ended)],
                hints=["run this again: what was fetched so far is kept"],
            )

    def _missing(self, wanted: Sequence[Wanted], ended: Ended) -> FailedError:
        """One problem per package that cannot be had, found by asking for each alone when apt's words name none."""
        named = parse_missing(ended.stderr)
        problems = [
            Problem(f"package `{one}`: not in the sources of {self.target} (wanted by {one.by})")
            for one in wanted
            if one.name in named
        ]
        if not problems:
            for one in wanted:
                alone = self._plan(str(one))
                if alone.exit_status != 0:
                    reason = "; ".join(_complaints(alone)[:3])
                    problems.append(
                        Problem(f"package `{one}`: cannot be installed on {self.target}: {reason} (wanted by {one.by})")
                    )
        return FailedError(
            f"packages cannot be had for {self.target}",
            code="bundle.missing",
            problems=problems or [Problem(line) for line in _complaints(ended)],
        )

    def _plan(self, *words: str) -> Ended:
        """What apt would fetch; with a cache folder that is always empty, or it would leave out what is there."""
        place = f"Dir::Cache::archives={self.folder}/none/"
        return self._apt(
            "apt-get", "install", "-y", "-qq", "--print-uris", "-o", place, *words, timeout=_RESOLVE_TIMEOUT
        )

    def _apt(self, *argv: str, timeout: float = 60.0, on_line: Callable[[str], None] | None = None) -> Ended:
        return run_program(
            argv,
            environment={"APT_CONFIG": str(self.folder / "apt.conf"), "DEBIAN_FRONTEND": "noninteractive"},
            timeout=timeout,
            on_line=on_line,
        )

    def _configuration(self) -> str:
        own = run_program(["apt-config", "dump"]).stdout.decode("utf-8", "replace")
        network = [line for line in own.splitlines() if _NETWORK.match(line)]
        folder = self.folder
        architecture = self.target.architecture
        return "\n".join(
            [
                f'Dir::Etc "{folder}/etc";',
                'Dir::Etc::parts "/dev/null";',
                'Dir::Etc::main "/dev/null";',
                f'Dir::State "{folder}";',
                f'Dir::State::status "{folder}/status";',
                f'Dir::Cache "{folder}";',
                f'Dir::Log "{folder}";',
                f'APT::Architecture "{architecture}";',
                f'APT::Architectures {{ "{architecture}"; }};',
                'APT::Install-Recommends "false";',
                'APT::Install-Suggests "false";',
                'APT::Sandbox::User "";',
                'APT::Update::Error-Mode "any";',
                'APT::Default-Release "";',
                'Acquire::Languages "none";',
                'Acquire::Retries "3";',
                'Acquire::http::Timeout "30";',
                'Acquire::https::Timeout "30";',
                *network,
                "",
            ]
        )


def parse_addresses(text: str) -> dict[tuple[str, str, str], tuple[str, str, int]]:
    """`apt-get --print-uris` as (name, version, architecture) -> (address, file name, bytes)."""
    found = {}
    for match in re.finditer(r"^'([^']+)' (\S+)_(\S+)_(\S+)\.deb (\d+)", text, re.MULTILINE):
        address, name, version, architecture, size = match.groups()
        file = f"{name}_{version}_{architecture}.deb"
        found[name, version.replace("%3a", ":"), architecture] = (address, file, int(size))
    return found


def parse_missing(text: str) -> set[str]:
    """The names of packages that apt says do not exist."""
    patterns = (
        r"Unable to locate package (\S+)",
        r"Package '?([^\s']+)'? has no installation candidate",
        r"Version '[^']*' for '([^']+)' was not found",
        r"Couldn't find any package by (?:glob|regex) '([^']+)'",
    )
    return {match.split(":")[0] for pattern in patterns for match in re.findall(pattern, text)}


def _complaints(ended: Ended) -> list[str]:
    lines = (ended.stderr + "\n" + ended.stdout.decode("utf-8", "replace")).splitlines()
    said = [re.sub(r"^[EW]:\s*", "", line.strip()) for line in lines if re.match(r"\s*([EW]: | \S+ : )", line)]
    return list(dict.fromkeys(said))[:10] or [f"apt ended with status {ended.exit_status}"]

"""A bundle on disk: opened only when its signature holds, verified byte by byte on demand."""

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from aiops.layers.core.count import counted
from aiops.layers.core.errors import FailedError, NotFoundError, Problem

from .manifest import Artefact, Manifest, sha256_of, sha256_of_bytes, sums_text
from .signing import PublicKey, public_key, verify_signature

MANIFEST = "manifest.json"
SIGNATURE = "manifest.json.asc"
SUMS = "SHA256SUMS"
"""All files with their digests, for `sha256sum -c`. A signature does not vouch for its own bytes; this does."""
KEY = "key.asc"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A folder with a manifest whose signature was checked.

    Attributes:
        key: Who signed it.
        digests: SHA-256 of every file by path, the manifest and its signature included.
    """

    path: Path
    manifest: Manifest
    key: PublicKey
    digests: Mapping[str, str] = field(default_factory=dict, hash=False)

    @classmethod
    def open(cls, path: Path, trusted: Iterable[PublicKey]) -> "Bundle":
        """Open a bundle and check what is cheap: the manifest's signature, and that every file is there in full.

        Args:
            path: Its folder.
            trusted: The keys whose bundles are taken.

        Raises:
            NotFoundError: `bundle.absent`: there is none.
            FailedError: `bundle.damaged` names every file that is missing or too short; `bundle.untrusted` when it
                was signed by a key that is not trusted here.
        """
        bundle = cls.read(path, trusted)
        problems = [problem for one in bundle.manifest.artefacts if (problem := _size_problem(path, one))]
        if problems:
            raise damaged(path, problems)
        return bundle

    @classmethod
    def read(cls, path: Path, trusted: Iterable[PublicKey]) -> "Bundle":
        """The manifest, its signature checked, and nothing else.

        Raises:
            NotFoundError, FailedError: As for `open`, without the files.
        """
        cls.require(path)
        content, signature, sums = (_bytes(path / name) for name in (MANIFEST, SIGNATURE, SUMS))
        if content is None or signature is None:
            raise damaged(path, [Problem("missing", file=SIGNATURE if signature is None else MANIFEST)])
        keys = tuple(trusted)
        signer = verify_signature(content, signature, keys)
        if signer is None:
            raise _refused(path, content, signature)
        key = next(key for key in keys if key.fingerprint == signer)
        bundle = cls.of(path, Manifest.from_json(content, str(path / MANIFEST)), key, content, signature)
        if sums != sums_text(bundle.digests):
            raise damaged(path, _sums_problems(sums, bundle.digests))
        return bundle

    @classmethod
    def of(cls, path: Path, manifest: Manifest, key: PublicKey, content: bytes, signature: bytes) -> "Bundle":
        """A bundle of its parts; `content` is the manifest's file."""
        digests = {one.path: one.sha256 for one in manifest.artefacts}
        digests |= {MANIFEST: sha256_of_bytes(content), SIGNATURE: sha256_of_bytes(signature)}
        return cls(path, manifest, key, digests)

    @staticmethod
    def require(path: Path) -> None:
        """Make sure that there is a bundle at `path`, whatever its state.

        Raises:
            NotFoundError: `bundle.absent`: there is none.
        """
        if not (path / MANIFEST).is_file():
            raise NotFoundError(
                f"there is no bundle at {path}",
                code="bundle.absent",
                hints=["make one with `aiops cluster bundle build` on a machine with internet"],
            )

    def verify(self) -> tuple[Problem, ...]:
        """Every difference between the folder and its manifest: files changed, missing, or never listed."""
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="verify") as pool:
            found = pool.map(lambda one: _size_problem(self.path, one) or _hash_problem(self.path, one), self._files())
            problems = [problem for problem in found if problem]
        listed = {SUMS, *self.digests}
        for place, folders, files in os.walk(self.path):
            # A link to a folder is told, and not followed: what is behind it is not in the bundle.
            links = [name for name in folders if Path(place, name).is_symlink()]
            for name in sorted([*files, *links]):
                relative = str(Path(place, name).relative_to(self.path))
                if relative not in listed:
                    problems.append(Problem("not in the manifest", file=relative))
        for index in self.manifest.artefacts:
            if Path(index.path).name == "InRelease":
                content = _bytes(self.path / index.path)
                if content is not None and verify_signature(content, None, [self.key]) is None:
                    problems.append(Problem("its signature does not hold", file=index.path))
        return tuple(problems)

    def require_whole(self) -> None:
        """Read every byte.

        Raises:
            FailedError: `bundle.damaged`: names each file that differs from the manifest.
        """
        problems = self.verify()
        if problems:
            raise damaged(self.path, problems)

    def _files(self) -> Iterable[Artefact]:
        return sorted(self.manifest.artefacts, key=lambda one: one.size, reverse=True)

    @property
    def size(self) -> int:
        """Bytes of all artefacts."""
        return sum(one.size for one in self.manifest.artefacts)

    def versions(self, name: str, codename: str, architecture: str) -> tuple[str, ...]:
        """The versions of a package that a node of this release and architecture can install."""
        return tuple(
            one.version
            for one in self.manifest.artefacts
            if one.kind == "deb"
            and one.name == name
            and one.release == codename
            and one.architecture in {architecture, "all"}
            and one.version is not None
        )

    def artefacts(self, kind: str) -> tuple[Artefact, ...]:
        """The artefacts of one kind."""
        return tuple(one for one in self.manifest.artefacts if one.kind == kind)


def damaged(path: Path, problems: Iterable[Problem]) -> FailedError:
    """The error of a bundle that differs from its manifest."""
    found = tuple(sorted(problems, key=lambda one: one.file or ""))
    count = counted(len(found), "file")
    return FailedError(
        f"the bundle at {path} is damaged: {count} differ{'s' if len(found) == 1 else ''} from the manifest",
        code="bundle.damaged",
        problems=found,
        hints=["build it again with `aiops cluster bundle build`, or copy it again from where it came"],
    )


def _refused(path: Path, content: bytes, signature: bytes) -> FailedError:
    """Why no trusted key vouches for the manifest: changed, or signed by somebody else."""
    armored = _bytes(path / KEY)
    if armored is not None:
        try:
            own = public_key(armored.decode("utf-8", "replace"), str(path / KEY))
        except FailedError:
            own = None
        if own is not None and verify_signature(content, signature, [own]):
            return FailedError(
                f"the bundle at {path} was signed by {own.fingerprint}, which this machine does not know",
                code="bundle.untrusted",
                hints=[
                    "compare that fingerprint with the one `aiops cluster bundle build` showed where it was made,",
                    f"then accept it with `aiops cluster bundle verify {path} --trust {own.fingerprint}`",
                ],
            )
    told = _told_digests(_bytes(path / SUMS) or b"")
    if told.get(SIGNATURE) not in {None, sha256_of_bytes(signature)}:
        return damaged(path, [Problem(f"differs from its line in {SUMS}", file=SIGNATURE)])
    return damaged(path, [Problem("does not match its signature", file=MANIFEST)])


def _sums_problems(sums: bytes | None, digests: Mapping[str, str]) -> tuple[Problem, ...]:
    """What is wrong where the signature holds and the list of sums does not fit.

    A signature can be changed in parts that nobody signs. So where it and its line alone do not fit, it may be either.
    """
    if sums is None:
        return (Problem("missing", file=SUMS),)
    told = _told_digests(sums)
    others = [path for path in digests if path != SIGNATURE and told.get(path) != digests[path]]
    if told.get(SIGNATURE) != digests[SIGNATURE] and not others and told.keys() == digests.keys():
        return (
            Problem(f"differs from its line in {SUMS}", file=SIGNATURE),
            Problem(f"its line of {SIGNATURE} may be what was changed", file=SUMS),
        )
    return (Problem("differs from the manifest", file=SUMS),)


def _told_digests(sums: bytes) -> dict[str, str]:
    lines = sums.decode("utf-8", "replace").splitlines()
    return {path: digest for digest, separator, path in (line.partition("  ") for line in lines) if separator}


def _size_problem(root: Path, artefact: Artefact) -> Problem | None:
    path = root / artefact.path
    if path.is_symlink() or not path.is_file():
        return Problem("missing", file=artefact.path)
    size = path.stat().st_size
    if size != artefact.size:
        return Problem(f"{size} bytes instead of {artefact.size}", file=artefact.path)
    return None


def _hash_problem(root: Path, artefact: Artefact) -> Problem | None:
    try:
        found = sha256_of(root / artefact.path)
    except OSError as error:
        return Problem(f"cannot be read: {error.strerror}", file=artefact.path)
    return None if found == artefact.sha256 else Problem("its content changed (sha256 differs)", file=artefact.path)


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None

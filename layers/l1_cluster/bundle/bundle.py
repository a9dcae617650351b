"""A bundle on disk: opened only when its signature holds, verified byte by byte on demand."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from aiops.layers.core.errors import FailedError, NotFoundError, Problem

from .manifest import Artefact, Manifest, sha256_of
from .signing import PublicKey, public_key, verify_signature

MANIFEST = "manifest.json"
SIGNATURE = "manifest.json.asc"
KEY = "key.asc"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A folder with a manifest whose signature was checked.

    Attributes:
        key: Who signed it.
    """

    path: Path
    manifest: Manifest
    key: PublicKey

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
        content = (path / MANIFEST).read_bytes()
        signature = _bytes(path / SIGNATURE)
        keys = tuple(trusted)
        signer = verify_signature(content, signature, keys) if signature is not None else None
        if signer is None:
            raise _refused(path, content, signature)
        key = next(key for key in keys if key.fingerprint == signer)
        return cls(path, Manifest.from_json(content, str(path / MANIFEST)), key)

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
        problems = []
        listed = {MANIFEST, SIGNATURE}
        for artefact in self.manifest.artefacts:
            listed.add(artefact.path)
            problem = _size_problem(self.path, artefact) or _hash_problem(self.path, artefact)
            if problem:
                problems.append(problem)
        for path in sorted(self.path.rglob("*")):
            relative = str(path.relative_to(self.path))
            if (path.is_file() or path.is_symlink()) and relative not in listed:
                problems.append(Problem("not in the manifest", file=relative))
        for index in self.manifest.artefacts:
            if Path(index.path).name == "InRelease":
                content = _bytes(self.path / index.path)
                if content is not None and verify_signature(content, None, [self.key]) is None:
                    problems.append(Problem("its signature does not hold", file=index.path))
        return tuple(problems)

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
    found = tuple(problems)
    count = f"{len(found)} file{'' if len(found) == 1 else 's'}"
    return FailedError(
        f"the bundle at {path} is damaged: {count} differ{'s' if len(found) == 1 else ''} from the manifest",
        code="bundle.damaged",
        problems=found,
        hints=["build it again with `aiops cluster bundle build`, or copy it again from where it came"],
    )


def _refused(path: Path, content: bytes, signature: bytes | None) -> FailedError:
    """Why no trusted key vouches for the manifest: changed, or signed by somebody else."""
    armored = _bytes(path / KEY)
    if signature is not None and armored is not None:
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
    problem = (
        Problem("missing", file=SIGNATURE)
        if signature is None
        else Problem("does not match its signature", file=MANIFEST)
    )
    return damaged(path, [problem])


def _size_problem(root: Path, artefact: Artefact) -> Problem | None:
    path = root / artefact.path
    if path.is_symlink() or not path.is_file():
        return Problem("missing", file=artefact.path)
    size = path.stat().st_size
    if size != artefact.size:
        return Problem(f"{size} bytes instead of {artefact.size}", file=artefact.path)
    return None


def _hash_problem(root: Path, artefact: Artefact) -> Problem | None:
    if sha256_of(root / artefact.path) != artefact.sha256:
        return Problem("its content changed (sha256 differs)", file=artefact.path)
    return None


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None

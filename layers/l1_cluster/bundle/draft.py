"""A bundle before it is written: what will be in it, and where each file comes from."""

import shutil
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

from .control import parse_paragraphs
from .cyclonedx import bill_of_materials
from .deb import compress, read_control
from .environment import WheelFile, bundle_document, document_name
from .lock import Lock
from .manifest import Artefact, Kind, sha256_of, sha256_of_bytes
from .repository import package_paragraph, packages_text, pool_path, release_text
from .signing import SigningKey
from .target import Target
from .wheels import wheel_metadata
from .workspace import Deb

BILL = "bom.cdx.json"
ENVIRONMENTS = "environments"


class Draft:
    """Collects the files of one bundle; nothing is copied until `write`."""

    def __init__(self, targets: Iterable[Target]) -> None:
        self._targets = tuple(targets)
        self._paragraphs: dict[Target, list[dict[str, str]]] = {target: [] for target in self._targets}
        self._sources: dict[str, Path | bytes] = {}
        self._artefacts: dict[str, Artefact] = {}

    @property
    def artefacts(self) -> tuple[Artefact, ...]:
        """Everything that is in it so far, by path."""
        return tuple(self._artefacts[path] for path in sorted(self._artefacts))

    def add_deb(self, target: Target, deb: Deb, file: Path, licence: str | None) -> None:
        """A package of the distribution or a vendor."""
        path = pool_path(target.codename, deb.file)
        self._paragraphs[target].append(package_paragraph(deb.fields, path=path, size=deb.size, sha256=deb.sha256))
        self._add(
            Artefact(
                *("deb", f"apt/{path}", deb.sha256, deb.size, deb.name, deb.version, deb.architecture),
                *(target.codename, licence, deb.address),
            ),
            file,
        )

    def add_own_deb(self, target: Target, file: Path, licence: str, *, simulated: bool = False) -> None:
        """A package that was made here."""
        path = pool_path(target.codename, file.name)
        digest, size = sha256_of(file), file.stat().st_size
        fields = parse_paragraphs(read_control(file))[0]
        self._paragraphs[target].append(package_paragraph(fields, path=path, size=size, sha256=digest))
        named = (fields["Package"], fields["Version"], fields["Architecture"])
        self._add(
            Artefact("deb", f"apt/{path}", digest, size, *named, target.codename, licence, simulated=simulated), file
        )

    def add_wheel(self, target: Target, wheel: Path) -> None:
        """A wheel of aiops on the head; releases with the same Python share it."""
        known = wheel_metadata(wheel)
        path = f"wheels/python{target.python}-{target.architecture}/{wheel.name}"
        source = "built" if known["name"] == "aiops" else f"pypi:{known['name']}=={known['version']}"
        named = (known["name"], known["version"], target.architecture, None, known["licence"], source)
        self._add(Artefact("wheel", path, sha256_of(wheel), wheel.stat().st_size, *named), wheel)

    def add_environment(self, lock: Lock, wheels: Mapping[Target, Iterable[Path]]) -> None:
        """An environment: what it is made of for each target; environments and targets share equal wheels."""
        known: dict[str, tuple[str, tuple[WheelFile, ...]]] = {}
        for target, paths in wheels.items():
            files = []
            for wheel in paths:
                digest, said = sha256_of(wheel), wheel_metadata(wheel)
                path = f"wheels/pool/{digest[:16]}/{wheel.name}"
                source = f"pypi:{said['name']}=={said['version']}"
                named = (said["name"], said["version"], target.architecture, None, said["licence"], source)
                self._add(Artefact("wheel", path, digest, wheel.stat().st_size, *named), wheel)
                files.append(WheelFile(path, digest))
            known[str(target)] = (target.python, tuple(files))
        content = bundle_document(lock.name, lock.imports, known)
        self._add_bytes("environment", f"{ENVIRONMENTS}/{document_name(lock.name, lock.file)}", content, None)

    def add_lists(self) -> None:
        """The package lists of each release; what tells whether the content is new is complete then."""
        for codename, lists in self._lists().items():
            for path, content in lists.items():
                self._add_bytes("index", f"apt/dists/{codename}/{path}", content, codename)

    def seal(self, key: SigningKey, at: datetime) -> None:
        """The signed Release of each release, the bill of materials, and the public key."""
        self._add_bytes("bom", BILL, bill_of_materials(self.artefacts), None)
        for codename, lists in self._lists().items():
            architectures = [target.architecture for target in self._targets if target.codename == codename]
            release = release_text(codename, architectures, lists, at)
            self._add_bytes("index", f"apt/dists/{codename}/Release", release, codename)
            self._add_bytes("index", f"apt/dists/{codename}/InRelease", key.sign_inline(release), codename)
        self._add_bytes("key", "key.asc", key.public.armored.encode(), None)

    def write(self, folder: Path) -> None:
        """Put all files under `folder`."""
        for path, source in self._sources.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(source, bytes):
                file.write_bytes(source)
            else:
                shutil.copyfile(source, file)

    def _lists(self) -> dict[str, Mapping[str, bytes]]:
        """Packages files by release and by path relative to the release's folder."""
        found: dict[str, dict[str, bytes]] = {}
        for target, paragraphs in self._paragraphs.items():
            text = packages_text(paragraphs)
            path = f"main/binary-{target.architecture}/Packages"
            found.setdefault(target.codename, {}).update({path: text, f"{path}.gz": compress(text)})
        return dict(found)

    def _add(self, artefact: Artefact, source: Path | bytes) -> None:
        self._artefacts[artefact.path] = artefact
        self._sources[artefact.path] = source

    def _add_bytes(self, kind: Kind, path: str, content: bytes, release: str | None) -> None:
        digest = sha256_of_bytes(content)
        self._add(Artefact(kind, path, digest, len(content), Path(path).name, release=release), content)

"""One environment for one release, architecture and Python: its digest, its folder, what lies in it. Pure."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiops.layers.core.errors import FailedError

PLACE = "/opt/aiops/env"
FORMAT = 1
_SHORT = 12


@dataclass(frozen=True, slots=True)
class WheelFile:
    """A wheel of an environment.

    Attributes:
        path: In the bundle.
        sha256: In hex.
    """

    path: str
    sha256: str

    @property
    def file(self) -> str:
        """Its name, which says for what it is."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class EnvironmentPlan:
    """What is built of a lock.

    Attributes:
        python: `3.11`.
        imports: Modules whose real import proves that it works.
    """

    name: str
    codename: str
    architecture: str
    python: str
    imports: tuple[str, ...]
    wheels: tuple[WheelFile, ...] = field(repr=False)

    @property
    def digest(self) -> str:
        """sha256 over all that makes it: equal wheels for an equal Python give equal environments anywhere."""
        text = json.dumps(self._inputs(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def label(self) -> str:
        """`NAME-DIGEST`, as its folder is called."""
        return f"{self.name}-{self.digest[:_SHORT]}"

    @property
    def path(self) -> str:
        """Where it is on nodes."""
        return f"{PLACE}/{self.label}"

    @property
    def named(self) -> str:
        """The same by its name alone: a link to the newest, which jobs that say no digest are given."""
        return f"{PLACE}/{self.name}"

    @property
    def manifest(self) -> str:
        """What lies in it as manifest.json, written last: a folder with one is whole."""
        return json.dumps({**self._inputs(), "digest": self.digest}, indent=1, sort_keys=True) + "\n"

    def _inputs(self) -> dict[str, Any]:
        return {
            "v": FORMAT,
            "name": self.name,
            "codename": self.codename,
            "architecture": self.architecture,
            "python": self.python,
            "imports": list(self.imports),
            "wheels": [[one.file, one.sha256] for one in sorted(self.wheels, key=lambda one: one.file)],
        }


def document_name(name: str, file: str = "") -> str:
    """What a bundle calls what it says of an environment, by the inventory's words alone.

    Args:
        name: The environment's.
        file: The operator's lock file, as the inventory calls it; empty for that of a plugin.
    """
    return f"{name}.{hashlib.sha256(file.encode()).hexdigest()[:_SHORT]}.json" if file else f"{name}.json"


def bundle_document(name: str, imports: Iterable[str], targets: Mapping[str, tuple[str, Iterable[WheelFile]]]) -> bytes:
    """What a bundle says of an environment, see `document_name`.

    Args:
        name: The environment's.
        imports: Modules that prove it.
        targets: By target its Python and its wheels.
    """
    document = {
        "v": FORMAT,
        "name": name,
        "imports": list(imports),
        "targets": {
            target: {"python": python, "wheels": [[one.path, one.sha256] for one in wheels]}
            for target, (python, wheels) in sorted(targets.items())
        },
    }
    return (json.dumps(document, indent=1) + "\n").encode()


def plans_of(content: bytes, origin: str) -> dict[str, EnvironmentPlan]:
    """What a bundle's document says, by target.

    Raises:
        FailedError: It is none, or of a newer format (`environment.document`).
    """
    try:
        document = json.loads(content)
        _require_format(document)
        found = {}
        for target, said in document["targets"].items():
            codename, _, architecture = target.partition("/")
            wheels = tuple(WheelFile(str(path), str(sha256)) for path, sha256 in said["wheels"])
            imports = tuple(map(str, document["imports"]))
            found[target] = EnvironmentPlan(document["name"], codename, architecture, said["python"], imports, wheels)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FailedError(f"{origin} does not describe an environment: {error}", code="environment.document") from error
    return found


def _require_format(document: Any) -> None:
    if document["v"] != FORMAT:
        raise ValueError(f"this aiops knows format {FORMAT} only")

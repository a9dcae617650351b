"""The bill of materials in a form that other tools read: CycloneDX 1.5. Pure; the same content gives the same bytes."""

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from .manifest import Artefact
from .target import RELEASES

_FORMAT = "1.5"


def bill_of_materials(artefacts: Iterable[Artefact]) -> bytes:
    """All packages and wheels as components, with version, digest, licence where it is known, and origin."""
    components = [_component(one) for one in artefacts if one.kind in {"deb", "wheel"}]
    document = {"bomFormat": "CycloneDX", "specVersion": _FORMAT, "version": 1, "components": components}
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()


def _component(artefact: Artefact) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": artefact.path,
        "name": artefact.name,
        "version": artefact.version,
        "purl": _purl(artefact),
        "hashes": [{"alg": "SHA-256", "content": artefact.sha256}],
    }
    if artefact.licence is not None:
        component["licenses"] = [{"license": {"name": artefact.licence}}]
    if artefact.source.startswith("http"):
        component["externalReferences"] = [{"type": "distribution", "url": artefact.source}]
    return component


def _purl(artefact: Artefact) -> str:
    """The package URL: what vulnerability databases know it by."""
    version = quote(artefact.version or "", safe="")
    if artefact.kind == "wheel":
        return f"pkg:pypi/{artefact.name.lower().replace('_', '-')}@{version}"
    release = RELEASES.get(artefact.release or "")
    distribution = release.distribution if release is not None else "debian"
    qualifiers = f"arch={artefact.architecture}&distro={artefact.release}"
    return f"pkg:deb/{distribution}/{quote(artefact.name)}@{version}?{qualifiers}"

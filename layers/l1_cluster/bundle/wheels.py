"""Python wheels: this aiops as one, what it depends on, and what a wheel says of itself."""

import base64
import hashlib
import os
import re
import zipfile
from collections.abc import Iterable
from email.parser import HeaderParser
from importlib.metadata import Distribution, distribution
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .target import Target

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_EPOCH = (2020, 1, 1, 0, 0, 0)
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def own_wheel(folder: Path) -> Path:
    """Pack the running aiops, installed or a checkout, as a wheel; equal code gives equal bytes.

    Args:
        folder: Where to put it.

    Returns:
        The wheel's path.
    """
    known = distribution("aiops")
    name = f"aiops-{known.version}"
    content = dict(_package_files())
    info = f"{name}.dist-info"
    for part in ("METADATA", "entry_points.txt"):
        text = known.read_text(part)
        if text is not None:
            content[f"{info}/{part}"] = text.encode()
    content[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: aiops\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = "".join(f"{path},sha256={_digest(data)},{len(data)}\n" for path, data in sorted(content.items()))
    content[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    path = folder / f"{name}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for inner, data in sorted(content.items()):
            member = zipfile.ZipInfo(inner, _EPOCH)
            member.external_attr = 0o644 << 16
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, data)
    return path


EXTRAS = frozenset({"tuning", "datatrove"})
"""Of aiops, what a head has: recipes and data are worked on there, and pip has no way out of a closed site."""


def requirements() -> tuple[str, ...]:
    """What this aiops depends on as a head has it, as pip reads it."""
    from packaging.requirements import Requirement

    found = []
    for word in distribution("aiops").requires or ():
        requirement = Requirement(word)
        marker = requirement.marker
        if marker is None or "extra ==" not in str(marker):
            found.append(word)
        elif any(marker.evaluate({"extra": extra}) for extra in EXTRAS):
            found.append(_without_marker(requirement))
    return tuple(found)


def closure_gaps(wheels: Iterable[Path], wanted: Iterable[str], target: Target) -> tuple[str, ...]:
    """Requirements, direct or of a wheel, that no wheel satisfies under the target's markers."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name, parse_wheel_filename

    have = {}
    for wheel in wheels:
        name, version, _, _ = parse_wheel_filename(wheel.name)
        have[str(name)] = (version, wheel)
    environment = marker_environment(target)
    gaps: dict[str, None] = {}
    seen: set[tuple[str, str]] = set()
    queue = [(Requirement(word), "") for word in wanted]
    while queue:
        requirement, extra = queue.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({**environment, "extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        if name not in have or not requirement.specifier.contains(have[name][0], prereleases=True):
            gaps[_without_marker(requirement)] = None
            continue
        for chosen in ("", *requirement.extras):
            if (name, chosen) not in seen:
                seen.add((name, chosen))
                queue.extend((Requirement(word), chosen) for word in wheel_metadata(have[name][1])["requires"])
    return tuple(sorted(gaps))


def marker_environment(target: Target) -> dict[str, str]:
    """The values of environment markers on the target."""
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{target.python}.0",
        "os_name": "posix",
        "platform_machine": MACHINES[target.architecture],
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{target.python}.0",
        "python_version": target.python,
        "sys_platform": "linux",
    }


def wheel_metadata(wheel: Path) -> dict[str, Any]:
    """Name, version, licence (None where not told) and requirements of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        inner = next(name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
        fields = HeaderParser().parsestr(archive.read(inner).decode("utf-8", "replace"))
    licence = fields.get("License-Expression") or _classifier_licence(fields.get_all("Classifier", []))
    if licence is None and (given := fields.get("License", "")) and len(given) < 60 and "\n" not in given:  # noqa: PLR2004
        licence = given
    return {
        "name": fields["Name"],
        "version": fields["Version"],
        "licence": licence,
        "requires": tuple(fields.get_all("Requires-Dist", [])),
    }


def _package_files() -> Iterable[tuple[str, bytes]]:
    root = Path(str(files("aiops")))
    for folder, folders, names in os.walk(root, followlinks=True):
        folders[:] = sorted(one for one in folders if one != "__pycache__")
        for name in sorted(names):
            path = Path(folder, name)
            if path.suffix != ".pyc":
                yield f"aiops/{path.relative_to(root)}", path.read_bytes()


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def _classifier_licence(classifiers: Iterable[str]) -> str | None:
    names = [one.rpartition(" :: ")[2] for one in classifiers if one.startswith("License :: ")]
    return " and ".join(names) or None


def _without_marker(requirement: "Requirement") -> str:
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}{requirement.specifier}"


def running_version() -> str:
    """The version of the aiops that runs."""
    known: Distribution = distribution("aiops")
    return known.version

"""Dummy packages for the lab, from what a vendor's plugin describes."""

import hashlib
from pathlib import Path

from aiops.layers.l0_nodes.simulated_package import SimulatedPackage

from .deb import Control, build_deb


def dummy_deb(package: SimulatedPackage, architecture: str, cache: Path, scratch: Path) -> Path:
    """The deb of a simulated package, from `cache` when it was made before.

    Args:
        package: What it holds.
        architecture: Of the target.
        cache: Where finished debs are kept; must exist.
        scratch: An empty folder.
    """
    digest = hashlib.sha256(repr((package, architecture)).encode()).hexdigest()[:16]
    control = control_of(package, architecture)
    path = cache / digest / control.file
    if path.exists():
        return path
    path.parent.mkdir(exist_ok=True)
    for name, (text, mode) in package.files.items():
        file = scratch / name.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
    for name, target in package.links.items():
        link = scratch / name.lstrip("/")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
    temporary = path.parent / f".{control.file}"
    build_deb(scratch, control, temporary, licence="Apache-2.0")
    return temporary.rename(path)


def control_of(package: SimulatedPackage, architecture: str) -> Control:
    """Its control fields; the summary always says that it is simulated."""
    scripts = {}
    if package.units:
        units = " ".join(package.units)
        scripts = {"postinst": _POSTINST.format(units=units), "prerm": _PRERM.format(units=units)}
    return Control(
        package.name,
        package.version,
        architecture,
        f"{package.summary} (simulated)",
        "A dummy of the vendor's package for aiops' lab: simulated, no driver inside.",
        relations=package.relations,
        scripts=scripts,
    )


# As the vendors' packages do it: enabled and started where systemd runs, harmless elsewhere.
_POSTINST = """#!/bin/sh
set -e
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  systemctl enable --quiet {units}
  systemctl restart --no-block {units} || true
fi
"""
_PRERM = """#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
  systemctl disable --quiet --now {units} || true
fi
"""

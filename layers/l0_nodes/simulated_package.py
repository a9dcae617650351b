"""Dummy packages of accelerator vendors, as their plugins describe them for the lab."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SimulatedPackage:
    """A dummy Debian package with a vendor's name and version. Its description says `simulated`.

    Attributes:
        relations: Depends, Provides, Conflicts ... as in a control file.
        files: Text and mode by absolute path.
        links: Target by absolute path.
        units: systemd units in `files` that are enabled and started when it is installed, as the vendor's are.
    """

    name: str
    version: str
    summary: str
    relations: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    units: tuple[str, ...] = ()

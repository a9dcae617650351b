"""Debian packages made here: the same content gives the same bytes."""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aiops.layers.core.errors import FailedError

from .control import render_paragraph
from .program import run_program

_EPOCH = "1577836800"  # 2020-01-01: a fixed time for every file, so that builds are reproducible


@dataclass(frozen=True, slots=True)
class Control:
    """What dpkg knows of a package.

    Attributes:
        relations: Depends, Provides, Conflicts ... as in a control file.
        scripts: postinst, prerm ... by name: shell text.
        conffiles: Absolute paths that dpkg must not overwrite when an operator changed them.
    """

    name: str
    version: str
    architecture: str
    summary: str
    description: str = ""
    section: str = "admin"
    relations: Mapping[str, str] = field(default_factory=dict)
    scripts: Mapping[str, str] = field(default_factory=dict)
    conffiles: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """`NAME_VERSION_ARCHITECTURE.deb`, without an epoch."""
        return f"{self.name}_{self.version.rpartition(':')[2]}_{self.architecture}.deb"


def build_deb(root: Path, control: Control, output: Path, *, licence: str) -> None:
    """Make a package of the tree `root`, owned by root when installed.

    Args:
        root: The files as they shall lie on a host; `DEBIAN/` and the copyright file are added to it.
        control: Its name, version and relations.
        output: The deb to write; its folder must exist.
        licence: Short name, written to the package's copyright file.

    Raises:
        FailedError: dpkg-deb refused it; its words are in the message.
    """
    documents = root / "usr/share/doc" / control.name
    documents.mkdir(parents=True, exist_ok=True)
    (documents / "copyright").write_text(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n"
        f"Files: *\nCopyright: the aiops authors\nLicense: {licence}\n"
    )
    meta = root / "DEBIAN"
    meta.mkdir(exist_ok=True)
    text = "\n".join(f" {line}" if line.strip() else " ." for line in control.description.splitlines())
    size = sum(path.lstat().st_size for path in root.rglob("*") if not path.is_dir())
    fields = {
        "Package": control.name,
        "Version": control.version,
        "Architecture": control.architecture,
        "Maintainer": "aiops <aiops@localhost>",
        "Installed-Size": str(size // 1024 + 1),
        **control.relations,
        "Section": control.section,
        "Priority": "optional",
        "Description": control.summary + (f"\n{text}" if text else ""),
    }
    (meta / "control").write_text(render_paragraph(fields))
    if control.conffiles:
        (meta / "conffiles").write_text("".join(f"{path}\n" for path in control.conffiles))
    for name, script in control.scripts.items():
        (meta / name).write_text(script)
        (meta / name).chmod(0o755)
    meta.chmod(0o755)
    ended = run_program(
        ["dpkg-deb", "--root-owner-group", "-Zgzip", "-z6", "--build", str(root), str(output)],
        environment={"SOURCE_DATE_EPOCH": _EPOCH},
        timeout=300,
    )
    if ended.exit_status != 0:
        raise FailedError(f"package {control.name} could not be built: {ended.stderr.strip()}", code="bundle.deb")


def read_control(deb: Path) -> str:
    """The control paragraph of a deb.

    Raises:
        FailedError: It is not a deb.
    """
    ended = run_program(["dpkg-deb", "-f", str(deb)])
    if ended.exit_status != 0:
        raise FailedError(f"{deb.name} is not a Debian package: {ended.stderr.strip()}", code="bundle.deb")
    return ended.stdout.decode("utf-8", "replace")


def compress(content: bytes) -> bytes:
    """Gzip without a time in it."""
    return gzip.compress(content, compresslevel=6, mtime=0)

"""Licences, read from the copyright files of Debian packages; unknown stays unknown."""

import json
import os
import re
import tarfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

from aiops.layers.core.file import write_atomic

from .program import run_program

_KNOWN_TEXTS = (
    ("Apache-2.0", re.compile(r"common-licenses/Apache-2\.0|Apache License,?\s+Version 2\.0", re.IGNORECASE)),
    ("GPL-3", re.compile(r"common-licenses/GPL-3")),
    ("GPL-2", re.compile(r"common-licenses/GPL-2")),
    ("LGPL-3", re.compile(r"common-licenses/LGPL-3")),
    ("LGPL-2.1", re.compile(r"common-licenses/LGPL-2\.1")),
    ("LGPL-2", re.compile(r"common-licenses/LGPL-2(?!\.)")),
    ("GPL-1", re.compile(r"common-licenses/GPL-1")),
    ("Artistic", re.compile(r"common-licenses/Artistic")),
    ("BSD", re.compile(r"common-licenses/BSD|Redistribution and use in source and binary forms", re.IGNORECASE)),
    ("MIT", re.compile(r"Permission is hereby granted, free of charge", re.IGNORECASE)),
    ("public-domain", re.compile(r"\bpublic domain\b", re.IGNORECASE)),
)


def parse_copyright(text: str) -> str | None:
    """The licences named in a copyright file, joined by ` and `; None where none can be told.

    Machine-readable files (DEP-5) name them in `License:` fields; in free text only well-known words count.
    """
    if re.match(r"Format(-Specification)?:", text.lstrip()):
        names = {
            match.group(1).strip()
            for match in re.finditer(r"^Licen[sc]e:[ \t]*(\S.*)$", text, re.MULTILINE | re.IGNORECASE)
        }
        if names:
            return " and ".join(sorted(names))
    found = [name for name, pattern in _KNOWN_TEXTS if pattern.search(text)]
    return " and ".join(found) or None


def licence_of(deb: Path, package: str) -> str | None:
    """The licence of a deb, from `/usr/share/doc/PACKAGE/copyright` inside; a link to another package's is followed
    by name only (`see OTHER`), None where the deb has no such file.

    Raises:
        FailedError: dpkg-deb is missing or too slow.
    """  # noqa: D205
    ended = run_program(["dpkg-deb", "--fsys-tarfile", str(deb)], timeout=120)
    if ended.exit_status != 0:
        return None
    folder = f"usr/share/doc/{package}"
    with tarfile.open(fileobj=BytesIO(ended.stdout)) as archive:
        for member in archive:
            path = member.name.removeprefix("./")
            if path == folder and member.issym():
                return f"see {Path(member.linkname).name}"
            if path == f"{folder}/copyright":
                if member.issym():
                    return f"see {Path(member.linkname).parent.name}"
                stream = archive.extractfile(member)
                return parse_copyright(stream.read().decode("utf-8", "replace")) if stream else None
    return None


class Licences:
    """Licences by sha256, kept between builds: reading them is the slowest part of a first one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._known: dict[str, str | None] = json.loads(path.read_text())
        except (OSError, ValueError):
            self._known = {}

    def learn(self, debs: Iterable[tuple[str, str, Path]]) -> None:
        """Read those not known yet: (package, sha256, file)."""
        unknown = [one for one in debs if one[1] not in self._known]
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="licence") as pool:
            for (_, digest, _), licence in zip(
                unknown, pool.map(lambda one: licence_of(one[2], one[0]), unknown), strict=True
            ):
                self._known[digest] = licence

    def of(self, digest: str) -> str | None:
        """The licence of a file, None where unknown."""
        return self._known.get(digest)

    def save(self) -> None:
        """Keep what was learnt."""
        write_atomic(self._path, json.dumps(self._known, indent=0, sort_keys=True).encode())

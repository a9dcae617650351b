"""Licences, read from the copyright files of Debian packages; unknown stays unknown."""

import re
import tarfile
from io import BytesIO
from pathlib import Path

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

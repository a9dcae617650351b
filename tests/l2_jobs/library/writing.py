"""What the tests of the library write, and what they see of a folder."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiops import checkpoint

Tree = dict[str, bytes | None]


def writer(**files: bytes) -> Callable[[str], None]:
    """Writes files; `sub__name` goes into a folder."""

    def write(folder: str) -> None:
        for name, content in files.items():
            path = Path(folder, *name.split("__"))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    return write


def of_step(step: int) -> Callable[[str], None]:
    """Files that tell which step they are of."""
    return writer(model=b"%d" % step * 3000, optimizer__state=b"%d" % step * 700)


def tree(folder: Path) -> Tree:
    """All that is below a folder."""
    return {
        path.relative_to(folder).as_posix(): None if path.is_dir() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
    }


def names(folder: Path) -> list[str]:
    """What is right in a folder."""
    return sorted(path.name for path in folder.iterdir())


def manifest(path: Path | str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Path(path, checkpoint.MANIFEST).read_text())
    return document


def is_whole(path: Path) -> bool:
    """Whether a checkpoint has a manifest, and is in each byte what it says; no more files and no fewer."""
    try:
        said = {one["path"]: (one["size"], one["sha256"]) for one in manifest(path)["files"]}
    except (OSError, ValueError):
        return False
    found = {
        name: (len(content), hashlib.sha256(content).hexdigest())
        for name, content in tree(path).items()
        if content is not None and name != checkpoint.MANIFEST
    }
    return said == found

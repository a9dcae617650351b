"""What lies in this machine's own folder of environments, by what each says of itself. Nothing of them is run."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .remote.environment_files import MANIFEST
from .remote.environment_take import TAKING

_SHORT = 12


@dataclass(frozen=True, slots=True)
class Laid:
    """One name there.

    Attributes:
        words: What it is.
        wrong: Whether a deploy has to lay it anew.
    """

    name: str
    words: str
    wrong: bool = False


def laid_environments(place: Path) -> Iterator[Laid]:
    """All that is there, by name; nothing where there is no such folder.

    Raises:
        OSError: It may not be read.
    """
    if not place.is_dir():
        return
    for path in sorted(place.iterdir()):
        if path.name.startswith(TAKING):
            yield Laid(path.name, "left by a deploy that was cut off, or one is at it", wrong=True)
        elif path.is_symlink() and not path.exists():
            yield Laid(path.name, f"a link to {path.readlink()}, which is not there", wrong=True)
        elif path.is_symlink() and not path.readlink().is_absolute():
            yield Laid(path.name, f"is {path.readlink()}")
        elif path.is_dir():
            yield _laid(path)


def _laid(path: Path) -> Laid:
    name, _, short = path.name.rpartition("-")
    try:
        said = json.loads((path / MANIFEST).read_text("utf-8"))
        digest, words = str(said["digest"]), f"whole: Python {said['python']}, {len(said['wheels'])} wheels"
    except FileNotFoundError:
        if name and len(short) == _SHORT and all(one in "0123456789abcdef" for one in short):
            return Laid(path.name, "half there: it has no manifest", wrong=True)
        return Laid(path.name, "somebody's own")
    except (OSError, ValueError, KeyError, TypeError):
        return Laid(path.name, "its manifest cannot be read", wrong=True)
    if digest[:_SHORT] != short:
        return Laid(path.name, "its manifest is of another one", wrong=True)
    shared = f", in {path.readlink().parent}" if path.is_symlink() else ""
    return Laid(path.name, f"{words}{shared}")

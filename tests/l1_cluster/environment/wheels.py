"""Tiny wheels."""

import zipfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path


def a_wheel(
    folder: Path, name: str = "tiny", version: str = "1.0", more: Mapping[str, bytes] | None = None
) -> tuple[Path, str]:
    """A pure wheel with a module and a program of its name; its digest. `more`: files by path."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    members: Mapping[str, bytes] = {
        f"{name}/__init__.py": f"VERSION = '{version}'\n\n\ndef main():\n    print('{name}', VERSION)\n".encode(),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n".encode(),
        f"{info}/RECORD": b"",
        **(more or {}),
    }
    with zipfile.ZipFile(path, "w") as archive:
        for inner, content in members.items():
            archive.writestr(inner, content)
    return path, sha256(path.read_bytes()).hexdigest()

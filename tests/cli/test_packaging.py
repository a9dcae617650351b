"""What is built from the repository is whole: the wheel, and the wheel built from the sdist."""

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    str(path.relative_to(ROOT))
    for folder in ("cli", "layers", "plugins", "playbooks")
    for path in (ROOT / folder).rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
)


def run(*words: str | Path, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist, and the wheel built from it in an unpacked copy, as pip would."""
    folder = tmp_path_factory.mktemp("built")
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", folder, cwd=ROOT)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (source,) = (folder / "unpacked").iterdir()
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=source)
    (wheel,) = folder.glob("*.whl")
    return sdist, wheel


def test_the_wheel_of_the_sdist_has_everything(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[1]) as wheel:
        names = set(wheel.namelist())
    assert {f"aiops/{name}" for name in SOURCES} - names == set()
    assert {"aiops/__init__.py", "aiops/__main__.py", "aiops/checkpoint.py", "aiops/py.typed"} <= names
    assert not [name for name in names if name.startswith(("tests", "docs", "benchmarks"))]


def test_the_wheel_works_in_a_fresh_environment(built: tuple[Path, Path], tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv/bin/python"
    # The dependencies are those of this environment, so that no index is needed; aiops itself is the wheel's.
    (site,) = (tmp_path / "venv/lib").glob("python*/site-packages")
    run(
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        "--target",
        site,
        built[1],
        cwd=tmp_path,
    )
    (ours,) = {path for path in map(Path, sys.path) if path.name == "site-packages" and (path / "typer").exists()}
    (site / "dependencies.pth").write_text(f"{ours}\n")
    where = run(python, "-c", "import aiops; print(aiops.__file__)", cwd=tmp_path).strip()
    assert where == str(site / "aiops/__init__.py")
    assert run(python, "-m", "aiops", "--help", cwd=tmp_path).startswith("Usage: aiops ")
    count = (
        "import aiops, pathlib as p; print(sum(f.is_file() for f in p.Path(*aiops.__path__, 'playbooks').rglob('*')))"
    )
    assert int(run(python, "-c", count, cwd=tmp_path)) == len(
        [name for name in SOURCES if name.startswith("playbooks/")]
    )

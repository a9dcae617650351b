"""Each rule of who may know whom is kept, and is a rule: a forbidden import, planted in a copy, breaks it."""

import ast
import importlib
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("cli", "layers", "plugins")

PLANTS = {
    "layers": ("layers/core/planted.py", "from aiops.layers.l0_nodes import node"),
    "order": ("plugins/planted/__init__.py", "from aiops.cli import exit"),
    "hooks": ("cli/planted.py", "from aiops.plugins import nvidia"),
    "plugins": ("plugins/planted/__init__.py", "from aiops.plugins import nvidia"),
    "screen": ("layers/l1_cluster/planted.py", "def show() -> None:\n    import rich"),
    "circles": ("layers/core/command.py", "from .clock import Clock"),
    "paramiko": ("layers/l0_nodes/planted.py", "import paramiko"),
    "ansible_runner": ("layers/l1_cluster/planted.py", "def run() -> None:\n    import ansible_runner"),
    "prometheus": ("cli/planted.py", "import prometheus_api_client"),
    "sqlalchemy": ("layers/l1_cluster/planted.py", "import sqlalchemy"),
    "alembic": ("layers/l1_cluster/tables/run.py", "import alembic"),
    "clustershell": ("cli/planted.py", "import ClusterShell.NodeSet"),
    "pluggy": ("plugins/nvidia/planted.py", "import pluggy"),
    "ansible": ("layers/l0_nodes/planted.py", "import ansible.parsing.dataloader"),
    "lab": ("layers/l1_cluster/planted.py", "from aiops.layers.l0_nodes import lab"),
    "remote": ("layers/l1_cluster/remote/planted.py", "from aiops.layers.core import command"),
}


def contracts() -> dict[str, str]:
    with (ROOT / "pyproject.toml").open("rb") as stream:
        settings = tomllib.load(stream)
    return {one["id"]: one["name"] for one in settings["tool"]["importlinter"]["contracts"]}


def copy(folder: Path) -> Path:
    package = folder / "aiops"
    package.mkdir()
    for name in ("__init__.py", "__main__.py"):
        shutil.copy(ROOT / "src" / "aiops" / name, package)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, package / name, ignore=shutil.ignore_patterns("__pycache__"))
    return package


def lint(folder: Path, *contract: str) -> subprocess.CompletedProcess[str]:
    words: list[str | Path] = [
        Path(sys.executable).with_name("lint-imports"),
        "--config",
        ROOT / "pyproject.toml",
        "--no-cache",
        "--no-logo",
    ]
    for one in contract:
        words += ["--contract", one]
    environment = {**os.environ, "PYTHONPATH": str(folder), "NO_COLOR": "1", "COLUMNS": "200"}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_every_contract_is_kept(tmp_path: Path) -> None:
    copy(tmp_path)
    done = lint(tmp_path)
    assert done.returncode == 0, done.stdout
    assert f"Contracts: {len(contracts())} kept, 0 broken." in done.stdout


def test_every_contract_is_tried() -> None:
    assert set(PLANTS) == set(contracts())


@pytest.mark.parametrize("contract", PLANTS)
def test_a_forbidden_import_breaks_its_contract(tmp_path: Path, contract: str) -> None:
    package = copy(tmp_path)
    place, code = PLANTS[contract]
    path = package / place
    path.parent.mkdir(exist_ok=True)
    before = path.read_text() if path.exists() else '"""Planted."""\n'
    path.write_text(f"{before}\n{code}\n")
    if contract == "circles":
        clock = package / "layers/core/clock.py"
        clock.write_text(f"{clock.read_text()}\nfrom .command import Command\n")
    done = lint(tmp_path, contract)
    assert f"{contracts()[contract]} BROKEN" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 1


REMOTE = sorted((ROOT / "layers").glob("*/remote/*.py"))


def imported_by(path: Path) -> tuple[set[str], set[str]]:
    """What a module imports: packages by name (`.` for anything of ours that is no sibling), and its siblings."""
    packages: set[str] = set()
    siblings: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            packages |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {node.module} if node.module else {name.name for name in node.names}
            if node.level == 0:
                packages.add((node.module or "").partition(".")[0])
            elif node.level == 1 and all(path.with_name(f"{name}.py").is_file() for name in names):
                siblings |= {str(name) for name in names}
            else:
                packages.add(".")
    return packages, siblings


@pytest.mark.parametrize("path", REMOTE, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_runs_on_nodes_needs_only_the_standard_library(path: Path) -> None:
    assert imported_by(path)[0] - sys.stdlib_module_names == set()


@pytest.mark.parametrize(
    "line", ["from ..lock import Lock", "from .nosuch import a", "from .. import lock", "import yaml"]
)
def test_anything_else_that_runs_on_nodes_would_be_seen(tmp_path: Path, line: str) -> None:
    planted = tmp_path / "planted.py"
    planted.write_text(f"{line}\n")
    assert imported_by(planted)[0] - sys.stdlib_module_names


def sent() -> list[tuple[str, ...]]:
    """The modules of each program that is sent to a node, as `script` and `program` are given them."""
    found: list[tuple[str, ...]] = []
    for path in sorted((ROOT / "layers/l1_cluster").glob("*.py")):
        for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
            called = getattr(call.func, "id", "")
            words = call.args[1 if called == "script_command" else 0 :]
            if called not in {"script", "script_command", "program"} or path.name == "script.py":
                continue
            module = importlib.import_module(f"aiops.layers.l1_cluster.{path.stem}")
            value = eval(ast.unparse(words[0]), vars(module))  # noqa: S307 - our own code, with its own names
            found.append((value,) if isinstance(value, str) else value)
    return found


def test_a_program_is_sent_with_every_sibling_that_it_imports_before_it() -> None:
    folder = ROOT / "layers/l1_cluster/remote"
    programs = sent()
    assert {len(modules) > 1 for modules in programs} == {False, True}
    for modules in programs:
        for place, name in enumerate(modules):
            assert imported_by(folder / f"{name}.py")[1] <= set(modules[:place]), (modules, name)

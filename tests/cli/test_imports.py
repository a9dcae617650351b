import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aiops.layers.l2_jobs.controller.door import Door
from aiops.layers.l2_jobs.controller.visitor import FILE

HEAVY = [
    "paramiko",
    "ansible_runner",
    "sqlalchemy",
    "alembic",
    "pydantic",
    "jinja2",
    "ClusterShell",
    "prometheus_api_client",
    "requests",
    "yaml",
    "rich",
    "aiops.plugins",
]
PROGRAM = """
import sys
from aiops.cli.main import main
code = main(sys.argv[1:])
sys.stderr.write(f"\\nloaded: {code} {' '.join(sys.modules)}\\n")
"""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["cluster", "--help"], 0),
        (["lab", "-h"], 0),
        (["clustr"], 2),
        (["cluster", "--nonsense"], 2),
        (["node", "nonsense", "--json"], 2),
        ([], 2),
    ],
)
def test_help_version_and_mistakes_load_nothing_heavy_and_no_plugin(words: list[str], code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, timeout=60, check=True
    )
    ended, *loaded = done.stderr.rpartition("loaded: ")[2].split()
    assert int(ended) == code
    assert "aiops.cli.main" in loaded
    assert [name for name in loaded if any(name == heavy or name.startswith(f"{heavy}.") for heavy in HEAVY)] == []


def test_who_asks_a_controller_loads_no_database_and_no_desk(tmp_path: Path) -> None:
    door = Door(tmp_path / FILE, lambda _caller, _verb, _words: [])
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, "job", "list"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            cwd=tmp_path,
            env={**os.environ, "AIOPS_HOME": str(tmp_path)},
        )
    finally:
        door.close()
    ended, *loaded = done.stderr.rpartition("loaded: ")[2].split()
    assert (int(ended), "aiops.layers.l2_jobs.controller.visitor" in loaded) == (0, True)
    package = "aiops.layers.l2_jobs.controller"
    unwanted = {"sqlalchemy", "alembic", "yaml", "jinja2", f"{package}.desk", f"{package}.ledger"}
    assert unwanted & set(loaded) == set()


def test_start_up_time(capsys: pytest.CaptureFixture[str]) -> None:
    def once() -> float:
        begun = time.perf_counter()
        done = subprocess.run(
            [Path(sys.executable).with_name("aiops"), "--version"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert re.fullmatch(r"aiops \d+\.\d+\.\d+\n", done.stdout)
        return time.perf_counter() - begun

    best = min(once() for _ in range(5))
    with capsys.disabled():
        sys.stdout.write(f" [aiops --version: {best * 1000:.0f} ms, best of 5] ")
    assert best < 1.0

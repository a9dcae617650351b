"""The file by itself: an old Python's syntax, the standard library, and no aiops anywhere near."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

from aiops import checkpoint

SOURCE = Path(checkpoint.__file__)

PROGRAM = """
import sys, tempfile
sys.path.insert(0, sys.argv[1])
import checkpoint
folder = tempfile.mkdtemp(dir=sys.argv[1])
def write(place):
    with open(place + "/w", "w") as stream:
        stream.write("1")
for step in (1, 2, 3):
    checkpoint.save(folder, step, write, keep=2)
    checkpoint.progress(step, loss=0.5)
checkpoint.watch_stop()
assert not checkpoint.stop_requested()
assert checkpoint.latest(folder).endswith("step-3")
foreign = [name for name in sys.modules if name.partition(".")[0] in ("aiops", "torch", "transformers")]
assert not foreign, foreign
"""


def test_it_is_python_3_6() -> None:
    ast.parse(SOURCE.read_text(), feature_version=(3, 6))


def test_it_imports_the_standard_library_alone() -> None:
    for node in ast.walk(ast.parse(SOURCE.read_text())):
        names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names = [node.module or ""]
        for name in names:
            assert name.partition(".")[0] in sys.stdlib_module_names


def test_it_works_where_nothing_else_is(tmp_path: Path) -> None:
    shutil.copy(SOURCE, tmp_path)
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", PROGRAM, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")

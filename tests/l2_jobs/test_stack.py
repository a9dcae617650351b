"""The environment of a job: the same on all nodes, whole, and working, or the job is refused with the nodes' names."""

import json
import os
import pwd
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.l2_jobs.test_feasibility import made

from aiops.layers.l2_jobs.job_file import read_job_file
from aiops.layers.l2_jobs.remote import stack as remote
from aiops.layers.l2_jobs.stack import Stack, settled, stack_obstacles
from aiops.layers.l2_jobs.stack_variables import variables
from aiops.layers.l2_jobs.torch_build import TorchBuild, read_torch

WELL = Stack("gpu01", "/opt/aiops/env/trainer-aaaaaaaaaaaa", "a" * 64, "r" * 64, "3.11.2")


def told(
    *stacks: Stack, nodes: str = "{min: 1, max: 3}", devices: int = 0, vendor: str | None = None
) -> list[tuple[str, str]]:
    file, job = made(f"nodes: {nodes}\nenvironment: trainer\ndevices: {devices}\n")
    found = stack_obstacles(file, job, {one.node: one for one in stacks}, {one.node: vendor for one in stacks})
    return [(f"{one.line}: {one.message}", one.hint or "") for one in found]


def on(node: str, **changes: Any) -> Stack:
    return replace(WELL, node=node, **changes)


def test_the_same_everywhere_will_do_and_the_job_keeps_the_folder() -> None:
    assert told(on("gpu01"), on("gpu02"), Stack("gpu03", silent="no route")) == []
    _, job = made("environment: trainer\n")
    assert settled(job, {"gpu01": WELL}).stack == WELL.path
    assert settled(job, {"gpu01": Stack("gpu01", silent="no route")}).stack == "trainer"


def test_words_that_begin_with_the_name_mean_the_folder_that_was_found() -> None:
    _, job = made("environment: trainer\n")
    job = replace(job, command=("/opt/aiops/env/trainer/bin/torchrun", "/opt/aiops/env/trainer-2/x", "train.py"))
    command = settled(job, {"gpu01": WELL}).command
    assert command == (f"{WELL.path}/bin/torchrun", "/opt/aiops/env/trainer-2/x", "train.py")
    by_path = replace(job, stack="/opt/aiops/env/trainer", command=("/opt/aiops/env/trainer/bin/torchrun",))
    assert settled(by_path, {"gpu01": WELL}).command == (f"{WELL.path}/bin/torchrun",)
    own = replace(job, stack="/shared/ann/venv", command=("/shared/ann/venv/bin/python",))
    kept = settled(own, {"gpu01": Stack("gpu01", "/shared/ann/venv", None, "r", "3.11.2")})
    assert (kept.stack, kept.command) == ("/shared/ann/venv", ("/shared/ann/venv/bin/python",))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"path": "/opt/aiops/env/trainer-bbbbbbbbbbbb", "digest": "b" * 64}, "trainer-bbbbbbbbbbbb"),
        ({"records": "s" * 64}, "is another one on gpu03"),
        ({"python": "3.11.9"}, "Python 3.11.9"),
    ],
)
def test_another_one_on_a_node_is_told_with_both(change: dict[str, Any], words: str) -> None:
    ((said, hint),) = told(on("gpu01"), on("gpu02"), on("gpu03", **change))
    assert said.startswith("5: `environment` trainer is another one on gpu03")
    assert words in said
    assert "gpu[01-02]" in said
    assert "deploy --only environments" in hint
    assert "`only: gpu[01-02]`" in hint


def test_one_that_will_not_do_is_told_by_reason() -> None:
    ((said, hint),) = told(on("gpu01"), on("gpu02", why="it is not there"), on("gpu03", why="it is not there"))
    assert said == "5: `environment` trainer will not do on gpu[02-03]: it is not there"
    assert "`only: gpu01`" in hint
    found = told(on("gpu01", why="it is not there"), on("gpu02", why="it does not work: No module named 'torch'"))
    assert len(found) == 2
    assert all("only:" not in one for _, one in found)


CPU = "__version__ = '2.13.0+cpu'\ncuda: Optional[str] = None\nhip: Optional[str] = None\n"
CUDA = "__version__ = '2.13.0+cu130'\ncuda: Optional[str] = '13.0'\nhip: Optional[str] = None\n"


def test_a_torch_for_processors_is_told_by_name_where_a_job_wants_accelerators() -> None:
    ((said, hint),) = told(on("gpu01", torch=CPU), on("gpu02", torch=CPU), devices=8, vendor="nvidia")
    assert said == (
        "5: `environment` trainer cannot use the accelerators of gpu[01-02]:"
        " its torch 2.13.0+cpu is not built for nvidia: it has no cuda"
    )
    assert "`aiops_environment_locks`" in hint
    assert hint.endswith("; or leave `devices` out")
    ((_, hint),) = told(on("gpu01", torch=CPU), on("gpu02", torch=CUDA), devices=8, vendor="nvidia", nodes="1")[-1:]
    assert "`only: gpu02`" in hint


def test_a_torch_is_no_matter_where_it_fits_or_nothing_is_known_or_wanted() -> None:
    both = on("gpu01", torch=CPU), on("gpu02", torch=CPU)
    assert told(*both, devices=0, vendor="nvidia") == []
    assert told(*both, devices=8, vendor=None) == []
    assert told(*both, devices=8, vendor="metax") == []  # its maker brings a torch of its own
    assert told(on("gpu01", torch=CUDA), devices=8, vendor="nvidia") == []
    assert told(on("gpu01"), devices=8, vendor="nvidia") == []


def test_its_programs_come_first() -> None:
    assert variables("/opt/aiops/env/a-1")["PATH"].startswith("/opt/aiops/env/a-1/bin:/usr/local/sbin:")


def test_variables_have_a_key_of_their_own() -> None:
    file = read_job_file("aiops: 1\nname: a\ncommand: 'true'\nenvironment: trainer-0a1b\n", "job.yml", folder="/")
    assert file.document.environment == "trainer-0a1b"


# -- on a node

ME = pwd.getpwuid(os.geteuid()).pw_name


def an_environment(place: Path, label: str, *, digest: str = "a" * 64, imports: tuple[str, ...] = ("json",)) -> Path:
    folder = place / label
    packages = folder / "lib/python3.11/site-packages/tiny-1.dist-info"
    packages.mkdir(parents=True)
    (packages / "RECORD").write_text("tiny.py,sha256=x,1\ntiny/__pycache__/a.pyc,,\n")
    (folder / "bin").mkdir()
    (folder / "bin/python").symlink_to(sys.executable)
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    (folder / "manifest.json").write_text(json.dumps({"digest": digest, "imports": list(imports), "python": version}))
    return folder


def look(place: Path, name: str = "trainer", seconds: float = 60) -> dict[str, Any]:
    found: dict[str, Any] = remote.looked({"name": name, "place": str(place), "user": ME, "seconds": seconds})  # type: ignore[no-untyped-call]
    return found


def test_a_whole_one_imports_for_real(tmp_path: Path) -> None:
    folder = an_environment(tmp_path, "trainer-" + "a" * 12)
    (tmp_path / "trainer").symlink_to(folder.name)
    found = look(tmp_path)
    assert (found["why"], found["path"], found["digest"]) == (None, str(folder), "a" * 64)
    assert found["python"] == sys.version.split()[0]
    assert look(tmp_path, folder.name) == look(tmp_path, str(folder)) == found


def test_what_its_torch_says_of_itself_is_brought_with_what_extends_it(tmp_path: Path) -> None:
    folder = an_environment(tmp_path, "trainer-" + "a" * 12)
    assert look(tmp_path)["torch"] is None
    packages = folder / "lib/python3.11/site-packages"
    for name in ("torch", "torch_npu", "torch_npu-2.9.dist-info", "torchgen"):
        (packages / name).mkdir()
    (packages / "torch/version.py").write_text(CPU)
    assert read_torch(look(tmp_path)["torch"]) == TorchBuild("2.13.0+cpu", frozenset({"torch_npu"}))


def test_an_import_that_fails_is_told_in_its_own_words(tmp_path: Path) -> None:
    an_environment(tmp_path, "trainer-" + "a" * 12, imports=("json", "no_such_module"))
    assert look(tmp_path)["why"] == "it does not work: ModuleNotFoundError: No module named 'no_such_module'"


def test_an_import_that_hangs_is_ended(tmp_path: Path) -> None:
    folder = an_environment(tmp_path, "trainer-" + "a" * 12)
    (folder / "bin/python").unlink()
    (folder / "bin/python").write_text("#!/bin/sh\nexec sleep 60\n")
    (folder / "bin/python").chmod(0o755)
    assert "does not import json within 0" in str(look(tmp_path, seconds=0.2)["why"])


def test_half_of_one_another_ones_manifest_and_a_missing_interpreter(tmp_path: Path) -> None:
    assert look(tmp_path)["why"] == "it is not there"
    folder = an_environment(tmp_path, "trainer-" + "a" * 12)
    (tmp_path / "trainer").symlink_to(folder.name)
    manifest = (folder / "manifest.json").read_text()
    (folder / "manifest.json").unlink()
    assert look(tmp_path)["why"] == "it is half there: it has no manifest"
    (folder / "manifest.json").write_text(manifest.replace("a" * 64, "b" * 64))
    assert look(tmp_path)["why"] == "its manifest is of another one"
    (folder / "manifest.json").write_text("{")
    assert str(look(tmp_path)["why"]).startswith("its manifest cannot be read")
    (folder / "manifest.json").write_text(manifest)
    (folder / "bin/python").unlink()
    (folder / "bin/python").symlink_to("/usr/bin/python3.99")
    assert look(tmp_path)["why"] == "its interpreter /usr/bin/python3.99 is not there"


def test_another_python_than_it_was_made_for(tmp_path: Path) -> None:
    folder = an_environment(tmp_path, "trainer-" + "a" * 12)
    said = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**said, "python": "3.1"}))
    assert "and it was made for 3.1" in str(look(tmp_path)["why"])


def test_a_folder_of_somebodys_own_is_compared_by_its_packages(tmp_path: Path) -> None:
    """Compiled modules are written down too, at different times on different nodes."""
    first, second = an_environment(tmp_path / "a", "trainer"), an_environment(tmp_path / "b", "trainer")
    for folder in (first, second):
        (folder / "manifest.json").unlink()
    record = second / "lib/python3.11/site-packages/tiny-1.dist-info/RECORD"
    record.write_text("tiny.py,sha256=x,1\ntiny/__pycache__/b.pyc,,\n")
    assert look(tmp_path / "a")["why"] is None
    assert look(tmp_path / "a")["records"] == look(tmp_path / "b")["records"]
    record.write_text("tiny.py,sha256=y,1\n")
    assert look(tmp_path / "a")["records"] != look(tmp_path / "b")["records"]

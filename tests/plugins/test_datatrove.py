"""Preparing as a pipeline of datatrove; its executor for this machine is really run, the one for Slurm is rendered."""

import json
import os
from pathlib import Path

import pytest
from tests.l3_tuning.data.data_engine_contract import DataEngineContract
from tests.l3_tuning.data.prepared_folder import asked, contents, prepare, write_rows
from tests.l3_tuning.data.tiny_model import lay_model

from aiops.layers.core.errors import FailedError, InputError
from aiops.layers.core.plugin import Plugins
from aiops.layers.l3_tuning.data.data_engine import LocalEngine, data_engine
from aiops.layers.l3_tuning.recipe import DataPlan
from aiops.plugins.datatrove import Datatrove

_ = pytest.importorskip("datatrove", reason="the extra datatrove is not installed")


class TestDatatrove(DataEngineContract):
    engine = Datatrove()


def test_it_is_found_by_its_name() -> None:
    assert data_engine(Plugins(), "datatrove") == Datatrove()
    assert data_engine(Plugins(), "datatrove:research") == Datatrove("research")
    assert isinstance(data_engine(Plugins(), "local"), LocalEngine)
    with pytest.raises(InputError, match="no name of a partition"):
        data_engine(Plugins(), "datatrove:research --wrap=id")
    with pytest.raises(InputError, match="runs here, not on `there`"):
        data_engine(Plugins(), "local:there")
    with pytest.raises(InputError, match="there is no engine `spark`"):
        data_engine(Plugins(), "spark")


_SBATCH = """#!/usr/bin/env python3
import os, subprocess, sys
script = sys.argv[-1]
text = open(script).read()
open(os.environ["TOLD"], "a").write(text + "\\n====\\n")
assert "merge_stats" not in text
if os.environ.get("REFUSED"):
    sys.exit("sbatch: error: invalid partition specified: research")
last = int(text.split("--array=0-")[1].splitlines()[0].split("%")[0])
lost = os.environ.get("LOST", "")
once = os.environ["TOLD"] + ".once"
for number in range(last + 1):
    if lost == "one" and not os.path.exists(once):
        open(once, "w").close()
    elif lost != "all":
        words = text.split("launch_pickled_pipeline ")[1].splitlines()[0]
        environment = {**os.environ, "SLURM_ARRAY_TASK_ID": str(number), "SLURM_NODELIST": "gpu01"}
        subprocess.run([sys.argv[0].replace("sbatch", "launch"), words], env=environment, check=False)
print("Submitted batch job 7")
"""
_LAUNCH = '#!/bin/sh\nexec {python} -m datatrove.tools.launch_pickled_pipeline "$1"\n'


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands of Slurm that run each task of an array at once, one after the other."""
    import sys

    folder = tmp_path / "bin"
    folder.mkdir()
    scripts = {
        "sbatch": _SBATCH,
        "launch": _LAUNCH.format(python=sys.executable),
        "squeue": "#!/bin/sh\n",
        "scontrol": "#!/bin/sh\necho gpu01\n",
    }
    for name, text in scripts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("TOLD", str(tmp_path / "told"))
    return tmp_path / "told"


def test_slurm_gives_the_same_bytes(tmp_path: Path, slurm: Path) -> None:
    base = str(lay_model(tmp_path / "model"))
    plan = DataPlan((str(write_rows(tmp_path / "facts.jsonl", map(asked, range(20)))),), packing=True)
    prepare(plan, base, tmp_path / "alone")
    prepare(plan, base, tmp_path / "data", engine=Datatrove("research"), shares=2)
    assert contents(tmp_path / "data") == contents(tmp_path / "alone")
    told = [text for text in slurm.read_text().split("\n====\n") if "launch_pickled_pipeline" in text]
    arrays = [next(line for line in text.splitlines() if "--array" in line) for text in told]
    assert arrays == [f"#SBATCH --array=0-{last}" for last in (1, 0, 1, 0)]
    assert all("#SBATCH --partition=research\n" in text for text in told)
    assert not any("--qos" in text or "--mail" in text for text in told)


def test_what_slurm_refuses_or_loses_is_told(tmp_path: Path, slurm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiops.plugins.datatrove._LOOK", 0.01)
    monkeypatch.setattr("aiops.plugins.datatrove._LAST_WORDS", 0.03)
    base = str(lay_model(tmp_path / "model"))
    plan = DataPlan((str(write_rows(tmp_path / "facts.jsonl", map(asked, range(3)))),))
    monkeypatch.setenv("REFUSED", "1")
    with pytest.raises(FailedError, match="Slurm took no job for partition research"):
        prepare(plan, base, tmp_path / "data", engine=Datatrove("research"))
    monkeypatch.delenv("REFUSED")
    monkeypatch.setenv("LOST", "all")
    with pytest.raises(FailedError, match="3 jobs of Slurm, the last 7, ended with 1 of the tasks") as caught:
        prepare(plan, base, tmp_path / "data", engine=Datatrove("research"))
    assert "what is done is not done again" in caught.value.hints[1]
    monkeypatch.delenv("LOST")
    assert prepare(plan, base, tmp_path / "data", engine=Datatrove("research")).rows == 3
    assert json.loads(next((tmp_path / "data").glob("*/manifest.json")).read_text())["rows"] == 3
    assert slurm.exists()


def test_tasks_that_were_lost_are_handed_in_again(tmp_path: Path, slurm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiops.plugins.datatrove._LOOK", 0.01)
    monkeypatch.setattr("aiops.plugins.datatrove._LAST_WORDS", 0.03)
    monkeypatch.setenv("LOST", "one")
    base = str(lay_model(tmp_path / "model"))
    plan = DataPlan((str(write_rows(tmp_path / "facts.jsonl", map(asked, range(20)))),))
    prepare(plan, base, tmp_path / "alone")
    made = prepare(plan, base, tmp_path / "data", engine=Datatrove("research"))
    assert contents(tmp_path / "data") == contents(tmp_path / "alone")
    told = slurm.read_text().split("\n====\n")
    arrays = [line for text in told for line in text.splitlines() if "--array" in line]
    assert arrays == ["#SBATCH --array=0-0"] * 5  # of the first step one more
    assert made.rows == 20


@pytest.mark.parametrize("answer", ["exec sleep 60", None])
def test_of_what_slurm_does_not_answer_nothing_is_concluded(
    tmp_path: Path, slurm: Path, monkeypatch: pytest.MonkeyPatch, answer: str | None
) -> None:
    from aiops.plugins import datatrove

    monkeypatch.setattr(datatrove, "_ANSWER", 0.2)
    squeue = slurm.parent / "bin" / "squeue"
    if answer is None:
        squeue.unlink()
        monkeypatch.setenv("PATH", str(squeue.parent))
    else:
        squeue.write_text(f"#!/bin/sh\n{answer}\n")
    assert datatrove._queued("7")
    squeue.write_text("#!/bin/sh\n")
    squeue.chmod(0o755)
    assert not datatrove._queued("7")


@pytest.mark.parametrize("name", ["my data", "data;touch x", "data$HOME", "data%A"])
def test_what_the_script_for_slurm_cannot_name_is_refused(tmp_path: Path, slurm: Path, name: str) -> None:
    base = str(lay_model(tmp_path / "model"))
    plan = DataPlan((str(write_rows(tmp_path / "facts.jsonl", map(asked, range(3)))),))
    with pytest.raises(InputError, match="for one path") as caught:
        prepare(plan, base, tmp_path / name, engine=Datatrove("research"))
    assert "`--into FOLDER`" in caught.value.hints[0]
    assert not slurm.exists(), "nothing was handed in"


def test_a_python_whose_folder_the_script_cannot_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.prefix", "/opt/my python")
    with pytest.raises(InputError, match="/opt/my python") as caught:
        Datatrove("research").executor(tmp_path / ".work", "examine", 1)
    assert "install aiops in another folder" in caught.value.hints[0]


def test_a_job_that_nobody_waits_for_is_cancelled(tmp_path: Path, slurm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scancel = slurm.parent / "bin" / "scancel"
    scancel.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/cancelled\n')
    scancel.chmod(0o755)
    base = str(lay_model(tmp_path / "model"))
    file = write_rows(tmp_path / "facts.jsonl", [asked(1), {"prompt": "p", "completion": "word " * 600}])
    with pytest.raises(InputError, match="1 row cannot be prepared"):
        prepare(DataPlan((str(file),), length=512), base, tmp_path / "data", engine=Datatrove("research"), checked=())
    assert (tmp_path / "cancelled").read_text() == "7\n"

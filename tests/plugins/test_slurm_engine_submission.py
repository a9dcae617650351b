"""What Slurm is given of an attempt, and what is read of its answers: pure."""

import ast
import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.layers.core.command import Command, Completed
from aiops.layers.core.errors import FailedError
from aiops.layers.core.plugin import Plugins
from aiops.layers.l2_jobs.allocation import Allocation, Slot
from aiops.layers.l2_jobs.attempt import Attempt, Key
from aiops.layers.l2_jobs.container import Container, containers_of
from aiops.layers.l2_jobs.job import Account, CheckpointPlan, Devices, Job, Limits, Span
from aiops.layers.l2_jobs.spec import Seat
from aiops.plugins.slurm.enrolment import around_command, files_of
from aiops.plugins.slurm.queue import OVER, SlurmJob, read_commented, read_jobs, read_number, show_jobs
from aiops.plugins.slurm.reading import read_nodes
from aiops.plugins.slurm.submission import (
    STEPS,
    Room,
    Terms,
    memory_of,
    processors_of,
    sbatch,
    script,
    srun,
    sruns,
    takes_all,
)

KEY = Key("llama-1", 3)
ATTEMPT = Attempt(KEY, "slurm", Allocation((Slot("a"), Slot("b"))), 20000, secret="5ec4e7")
ROOMS = (Room("n1", 8, 64, 512_000), Room("n2", 8, 96, 256_000))
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)


def job(**changes: Any) -> Job:
    at = datetime(2026, 11, 28, tzinfo=UTC)
    owner = Account("ann", 2001, 2002)
    made = Job("llama-1", "llama", owner, "batch", ("run",), "command", Span(2, 2), Devices(8), 8, "/shared", at)
    return replace(made, **changes)


def words(made: Job, rooms: tuple[Room, ...] = ROOMS) -> set[str]:
    return set(sbatch(made, ATTEMPT, rooms, Terms("lab-a", "main", "acc", "high"), "").argv)


def test_the_whole_submission() -> None:
    command = sbatch(job(limits=Limits(time=3600.0, stop=30.0)), ATTEMPT, ROOMS, Terms("lab-a", "main"), "#!/bin/sh\n")
    assert command.argv == (
        *("sbatch", "--parsable", "--no-requeue", "--job-name=llama-1.3", "--comment=aiops:lab-a:llama-1.3"),
        *("--uid=2001", "--gid=2002", "--nodes=2", "--nodelist=n1,n2", "--ntasks-per-node=1", "--exclusive"),
        *("--gres=gpu:8", "--mem=0", "--time=62", "--signal=B:USR1@45", "--chdir=/"),
        "--export=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/slurm/bin:/usr/local/slurm/bin",
        *("--output=/var/lib/aiops-jobs/llama-1.3/batch.log", "--open-mode=append", "--partition=main"),
    )
    assert command.root
    assert command.stdin == b"#!/bin/sh\n"
    assert {"--account=acc", "--qos=high"} <= words(job())


@pytest.mark.parametrize(
    ("changes", "rooms", "expected"),
    [
        ({"devices": Devices(8)}, ROOMS, (True, None, 0)),
        ({"devices": Devices(2), "processes": 2}, ROOMS, (False, 16, 64_000)),  # a quarter of the smaller one's
        ({"devices": Devices(2), "processes": 20}, ROOMS, (False, 20, 64_000)),
        ({"devices": Devices(8)}, (Room("n1", 8, 64), Room("n2", 16, 64)), (False, 32, None)),
        ({"devices": Devices(0), "processes": 3}, ROOMS, (False, 3, None)),
        ({"devices": Devices(0), "processes": 80}, ROOMS, (False, 64, None)),
        ({"devices": Devices(0), "limits": Limits(processors=2.5, memory=3 << 30)}, ROOMS, (False, 3, 3072)),
        ({"devices": Devices(0)}, (Room("n1"), Room("n2")), (False, 8, None)),
        ({"devices": Devices(4), "processes": 1}, (Room("n1"), Room("n2")), (False, 1, None)),
    ],
)
def test_what_is_asked_of_each_node(changes: dict[str, Any], rooms: tuple[Room, ...], expected: Any) -> None:
    made = job(**changes)
    assert (takes_all(made, rooms), processors_of(made, rooms), memory_of(made, rooms)) == expected
    given = words(made, rooms)
    assert ("--exclusive" in given) is expected[0]
    assert any(word.startswith("--gres") for word in given) is (made.devices.count > 0)


def values_of(text: str) -> dict[str, Any]:
    """The literals that the script's call of `main` has."""
    line = text.rstrip().splitlines()[-2]
    call = ast.parse(line, mode="eval").body
    assert isinstance(call, ast.Call)
    return {str(one.arg): ast.literal_eval(one.value) for one in call.keywords}


@given(st.lists(TEXT, min_size=1, max_size=4), TEXT, st.dictionaries(st.text("ABC_", min_size=1), TEXT, max_size=3))
def test_no_text_of_a_users_is_code(command: list[str], folder: str, environment: dict[str, str]) -> None:
    made = job(command=tuple(command), launch="srun", folder=folder, environment=environment)
    text = script(made, ATTEMPT, ROOMS, "10.0.0.1")
    assert text.isascii()
    assert text.startswith("#!/bin/sh\nexec python3 -I -S - <<'AIOPS_END_OF_BATCH'\n")
    assert text.count("\nAIOPS_END_OF_BATCH\n") == 1
    found = values_of(text)
    assert found["commands"][0][-len(command) :] == command
    assert found["commands"][0][-len(command) - 1] == "--"
    assert found["own"]["folder"] == folder
    assert {**environment, **found["own"]["environment"]} == found["own"]["environment"] | {
        name: value for name, value in environment.items() if name not in found["own"]["environment"]
    }


@pytest.mark.skipif(shutil.which("sh") is None, reason="no shell")
@settings(max_examples=8, deadline=None)
@given(TEXT)
def test_the_script_as_a_shell_runs_it(tmp_path_factory: pytest.TempPathFactory, word: str) -> None:
    """With a `srun` that writes down what it was given."""
    folder = tmp_path_factory.mktemp("jobs")
    (folder / "srun").write_text('#!/bin/sh\nfor last; do :; done; printf %s "$last" > "$OUT"\n')
    (folder / "srun").chmod(0o755)
    made = job(command=("run", word), launch="srun", folder=str(folder))
    text = script(made, ATTEMPT, ROOMS, "10.0.0.1").replace("/var/lib/aiops-jobs/llama-1.3", str(folder))
    environment = {"PATH": f"{folder}:/usr/bin:/bin", "OUT": str(folder / "out"), "SLURM_JOB_ID": "7"}
    done = subprocess.run(["sh", "-s"], input=text.encode(), env=environment, timeout=20, check=False)
    assert done.returncode == 0
    assert (folder / "out").read_bytes().decode() == word


def test_launchers_get_one_task_on_every_node_and_no_secret_in_a_command() -> None:
    given = srun(job(), ATTEMPT, ROOMS)
    assert given[-6:] == ["--", "python3", "-I", "-S", "/var/lib/aiops-jobs/llama-1.3/launcher.py", given[-1]]
    assert {"--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--kill-on-bad-exit=1", "--wait=0"} <= set(given)
    assert "5ec4e7" not in script(job(), ATTEMPT, ROOMS, "10.0.0.1")
    found = files_of(job(), ATTEMPT, {"a": Seat("10.0.0.1", "nvidia"), "b": Seat("10.0.0.2", "nvidia")})
    assert all("5ec4e7" in files["spec.json"] for files in found.values())
    assert '"tombstone": "/var/lib/aiops-jobs/.ended/llama-1.3"' in found["a"]["spec.json"]


def test_each_launcher_is_a_step_of_its_own_so_that_a_lost_node_keeps_no_other() -> None:
    given = sruns(job(), ATTEMPT, ROOMS)
    names = [room.name for room in ROOMS]
    assert [[word for word in one if word.startswith(("--nodelist", "--nodes"))] for one in given] == [
        ["--nodes=1", f"--nodelist={name}"] for name in names
    ]
    many = sruns(job(), ATTEMPT, [Room(f"n{number}") for number in range(100)])
    assert len(many) <= STEPS
    assert sum(one.partition("=")[2].count(",") + 1 for words in many for one in words if "nodelist" in one) == 100
    assert len(sruns(job(launch="srun", devices=Devices(4)), ATTEMPT, ROOMS)) == 1


def test_a_users_own_command_gets_its_tasks_and_its_checkpoint_folder() -> None:
    made = job(launch="srun", processes=4, checkpoint=CheckpointPlan("/shared/run"), devices=Devices(4))
    found = values_of(script(made, replace(ATTEMPT, resume="/shared/run/step-8"), ROOMS, "10.0.0.1"))
    assert {"--ntasks=8", "--ntasks-per-node=4", "--chdir=/shared"} <= set(found["commands"][0])
    assert found["own"]["checkpoints"] == "/shared/run"
    assert found["own"]["environment"]["AIOPS_RESUME"] == "/shared/run/step-8"
    assert files_of(made, ATTEMPT, {}) == {"a": {}, "b": {}}


def answer(text: bytes, status: int = 0, error: bytes = b"", *, late: bool = False) -> Completed:
    return Completed(show_jobs(["1"]), status, text, error, 0.1, late)


def test_answers_of_squeue() -> None:
    assert read_jobs(answer(b"41|RUNNING|2001|None\n42|PENDING|0|a|b\n")) == (
        SlurmJob("41", "RUNNING", 2001),
        SlurmJob("42", "PENDING", 0, "a|b"),
    )
    assert read_jobs(answer(b"", 1, b"slurm_load_jobs error: Invalid job id specified")) == ()
    for late in (answer(b"", 1, b"slurm_load_jobs error: Invalid job id specified", late=True), answer(b"", 1, b"x")):
        with pytest.raises(FailedError):
            read_jobs(late)
    assert SlurmJob("1", "COMPLETED", 0).over
    assert not SlurmJob("1", "COMPLETING", 0).over
    assert not SlurmJob("1", "SOMETHING_NEW", 0).over
    assert "COMPLETING" not in OVER


def test_parts_of_comments_are_left_out_and_garble_is_not_empty() -> None:
    text = b"41|RUNNING|2001|my\nown\n|words|\n42|PENDING|2001|aiops:c:a-1.1\n"
    assert [one.number for one in read_commented(answer(text))] == ["41", "42"]
    assert read_commented(answer(b"\n")) == ()
    with pytest.raises(FailedError) as caught:
        read_commented(answer(b"welcome\n"))
    assert caught.value.code == "slurm.garbled"
    with pytest.raises(FailedError):
        read_commented(answer(b"41|RUNNING|2001|x", 1, b"x"))


@given(st.binary(max_size=60))
def test_a_garbled_answer_is_no_empty_one(text: bytes) -> None:
    try:
        found = len(read_jobs(answer(text)))
    except FailedError:
        return
    assert found == len([line for line in text.decode("utf-8", "replace").splitlines() if line.strip()])


@pytest.mark.parametrize(
    ("said", "expected"), [(b"41\n", "41"), (b"welcome\n41\n", "41"), (b"41;cluster\n", "41"), (b"41\n\n", "41")]
)
def test_the_number_of_a_new_job(said: bytes, expected: str) -> None:
    assert read_number(answer(said)) == expected


@pytest.mark.parametrize("said", [b"", b"Submitted\n", "٤١\n".encode(), b"41 42\n"])
def test_what_is_no_number(said: bytes) -> None:
    with pytest.raises(FailedError):
        read_number(Completed(Command(("sbatch",)), 0, said, b"", 0.1))


def test_rooms_are_read_of_nodes() -> None:
    text = "NodeName=n1 Arch=x\n   CPUAlloc=0 CPUEfctv=6 CPUTot=8\n   Gres=gpu:4\n   RealMemory=1000\n   State=IDLE\n"
    (found,) = read_nodes(text)
    assert (found.gres, found.processors, found.memory_mib) == ("gpu:4", 6, 1000)
    (bare,) = read_nodes("NodeName=n1\n   Gres=(null)\n   CPUTot=x\n   State=IDLE\n")
    assert (bare.gres, bare.processors, bare.memory_mib) == ("", None, None)


def kinds() -> Mapping[str, Container]:
    return containers_of(Plugins())


def test_launchers_run_their_command_in_the_container_that_the_job_asks_for() -> None:
    seats = {"a": Seat("10.0.0.1"), "b": Seat("10.0.0.2")}
    made = job(image="podman://registry.example.org/team/train:1")
    for node, files in files_of(made, ATTEMPT, seats, kinds).items():
        argv = json.loads(files["spec.json"])["argv"]
        assert (argv[:2], argv[-2:]) == (["podman", "run"], ["registry.example.org/team/train:1", "run"]), node


def test_under_srun_the_container_is_one_of_its_own_options_before_the_command() -> None:
    made = job(image="pyxis://registry.example.org/team/train:1", launch="srun")
    around = around_command(made, ATTEMPT, Seat("10.0.0.1"), kinds)
    given = srun(made, ATTEMPT, ROOMS, around)
    assert "--container-image=registry.example.org/team/train:1" in given[: given.index("--")]
    assert given[given.index("--") + 1 :] == ["run"]
    assert "--container-image" in script(made, ATTEMPT, ROOMS, "10.0.0.1", around=around)
    assert around_command(job(launch="srun"), ATTEMPT, Seat("10.0.0.1"), kinds) == ()

"""`aiops train`, `job` and `controller`: whole screens, with a controller in this process that runs nothing real."""

import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.l2_jobs.controller.rig import Rig, job

from aiops.cli.head import _words, probe, remote_line
from aiops.layers.core.errors import InputError, Problem
from aiops.layers.core.store import Store
from aiops.layers.l2_jobs.attempt import Key
from aiops.layers.l2_jobs.controller.backup import Backup
from aiops.layers.l2_jobs.controller.desk import Desk, Submission
from aiops.layers.l2_jobs.controller.door import Door
from aiops.layers.l2_jobs.controller.ledger import Ledger
from aiops.layers.l2_jobs.controller.logs import Logs
from aiops.layers.l2_jobs.job import Account, CheckpointPlan, Job
from aiops.layers.l2_jobs.report import Stepped
from aiops.layers.l2_jobs.survey import Surveyor

Shown = Callable[..., str]


class House:
    """A controller at the door of AIOPS_HOME, ticking in a thread."""

    def __init__(self, home: Path, surveyor: Surveyor | None = None) -> None:
        self.rig = Rig(home)
        self.logs = Logs(home)
        self.controller = self.rig.begin()
        self.lock = threading.Lock()
        desk = Desk(
            self.rig.ledger,
            self.logs,
            compile_job=self.compiled,
            now=lambda: self.rig.now,
            look=self.tick,
            plan=lambda _submission, _account: {"document": {"job": "sleep-0"}, "lines": ["sleep-0 would run"]},
            surveyor=surveyor,
            progress=self.controller.progress,
            status=lambda: {
                "cluster": "lab-a",
                "pid": 7,
                "nodes": 2,
                "settled": True,
                "engines": {"ssh": "answers"},
                "backup": {"at": None, "nodes": [], "trouble": "no other node has taken a backup"},
                "power": ["n1: `ipmitool` did not end within 10 s"],
            },
        )
        self.door = Door(home / "controller.sock", desk.answer)

    def compiled(self, submission: Submission, account: Account, number_of: Callable[[str], int]) -> Job:
        if "wrong" in submission.text:
            raise InputError(
                "1 mistake in job.yml", code="job.wrong", problems=[Problem("unknown key `wrong`", "job.yml", 3)]
            )
        said = yaml.safe_load(submission.text)
        path = said.get("checkpoint", {}).get("path")
        plan = None if path is None else CheckpointPlan(path)
        return replace(job(number_of("sleep")), owner=account, checkpoint=plan, source=submission.text)

    def tick(self) -> None:
        with self.lock:
            self.rig.ticks(self.controller)

    def end(self, number: int, how: str = "done") -> None:
        with self.lock:
            self.rig.engine.end(Key(f"sleep-{number}", 1), how)
            self.rig.ticks(self.controller)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "home")
    yield made
    made.door.close()
    made.rig.store.close()


@pytest.fixture(autouse=True)
def job_file(tmp_path: Path) -> None:
    (tmp_path / "job.yml").write_text("aiops: 1\nname: sleep\n")


def test_a_job_is_left_to_the_controller_and_looked_at(shown: Shown, house: House) -> None:
    assert shown("train", "job.yml", "--detach") == (
        "exit: 0\n--- stdout\nsleep-1\n--- stderr\nhint: follow it: `aiops job logs -f sleep-1`\n"
    )
    assert shown("job", "list").startswith("exit: 0\n--- stdout\nsleep-1\trunning\t")
    listed = json.loads(shown("job", "list", "--json").split("--- stdout\n")[1].split("--- stderr")[0])
    assert [(one["id"], one["nodes"]) for one in listed] == [("sleep-1", ["n1", "n2"])]
    assert "attempt\t1 on n[1-2] by ssh" in shown("job", "show", "sleep")
    assert "job_started" in shown("job", "explain", "sleep-1")
    assert "goes on" in shown("job", "attempts", "sleep-1")
    assert "engine ssh\tanswers" in shown("controller", "status")
    assert "power unknown\tn1: `ipmitool` did not end within 10 s" in shown("controller", "status")


def test_how_far_a_job_is_while_it_runs(shown: Shown, house: House) -> None:
    shown("train", "job.yml", "--detach")
    with house.lock:
        for step in range(1, 5):
            told = Stepped(Key("sleep-1", 1), "n1", step * 2.0, 0, 100 * step, loss=1 / step, total=3000, tokens=8e6)
            house.rig.engine.told(told)
        house.rig.ticks(house.controller)
    assert "\tstep 400/3,000   loss 0.25\t" in shown("job", "list")
    assert "progress\tstep 400/3,000   loss 0.25   4000.0k tokens/s   52s left" in shown("job", "show", "sleep-1")


def test_a_job_that_is_followed_to_its_end(shown: Shown, house: House) -> None:
    ends = threading.Timer(0.6, house.end, [1])
    ends.start()
    screen = shown("train", "job.yml")
    ends.join()
    assert screen.startswith("exit: 0\n--- stdout\n--- stderr\nsleep-1 · attempt 1 · 2 nodes · ssh\n")
    assert "✓ started" in screen
    assert screen.endswith("sleep-1 succeeded\n")


def test_who_waits_is_told_how_it_ended(shown: Shown, house: House) -> None:
    shown("train", "job.yml", "--detach")
    shown("train", "job.yml", "--detach")
    screen = shown("job", "wait", "sleep-1", "--timeout", "0")
    assert screen.startswith("exit: 8\n")
    assert "sleep-1 goes on after 0 s" in screen
    house.end(1)
    assert shown("job", "wait", "sleep-1").startswith("exit: 0\n")
    assert shown("job", "cancel", "sleep-2").startswith("exit: 0\n")
    assert shown("job", "wait", "sleep-1", "sleep-2").startswith("exit: 1\n")
    assert shown("job", "cancel", "sleep-2").startswith("exit: 5\n")
    assert "no job goes on" in shown("job", "list")
    assert shown("job", "list", "--all").count("sleep-") == 2


def test_logs_begin_with_what_went_wrong_first(shown: Shown, house: House) -> None:
    shown("train", "job.yml", "--detach")
    key = Key("sleep-1", 1)
    traced = 'step 1\nTraceback (most recent call last):\n  File "t.py", line 3, in <module>\n    x\nNameError: no x\n'
    house.logs.write(key, "n1", 0, b"step 1\n")
    house.logs.write(key, "n2", 0, traced.encode())
    plain = shown("job", "logs", "sleep-1")
    assert "n1: step 1\nn2: step 1\n" in plain
    assert "went wrong" not in plain
    assert shown("job", "logs", "sleep-1", "--on", "n1") == "exit: 0\n--- stdout\nstep 1\n--- stderr\n"
    from aiops.layers.l2_jobs.report import Exited

    with house.lock:
        house.rig.engine._reports.append(Exited(key, "n2", 0.0, 1, 1))
        house.rig.ticks(house.controller)
    failed = shown("job", "logs", "sleep-1")
    assert failed.splitlines()[2:5] == [
        "attempt 1: rank 1 on n2 failed first (it ended with 1):",
        "  Traceback (most recent call last):",
        '    File "t.py", line 3, in <module>',
    ]
    whole = json.loads(shown("job", "logs", "sleep-1", "--json").split("--- stdout\n")[1].split("--- stderr")[0])
    assert whole["traceback"][-1] == "NameError: no x"
    assert set(whole["logs"]) == {"n1", "n2"}


def test_following_logs_ends_with_the_job(shown: Shown, house: House) -> None:
    shown("train", "job.yml", "--detach")
    house.logs.write(Key("sleep-1", 1), "n1", 0, b"one\ntw")
    found: list[str] = []

    def later() -> None:
        house.logs.write(Key("sleep-1", 1), "n1", 6, b"o\nend")
        house.end(1)

    timer = threading.Timer(0.5, later)
    timer.start()
    found.append(shown("job", "logs", "-f", "sleep-1"))
    timer.join()
    assert found[0] == ("exit: 0\n--- stdout\nn1: one\nn1: two\nn1: end\n--- stderr\nsleep-1 succeeded: it has ended\n")


def test_what_is_wrong_is_told_before_anything_starts(shown: Shown, house: House, tmp_path: Path) -> None:
    (tmp_path / "job.yml").write_text("wrong")
    assert shown("train", "job.yml") == (
        "exit: 2\n--- stdout\n--- stderr\nerror: 1 mistake in job.yml\n  job.yml:3: unknown key `wrong`\n"
    )
    assert shown("train", "nowhere.yml").startswith(
        "exit: 2\n--- stdout\n--- stderr\nerror: nowhere.yml cannot be read"
    )
    assert house.rig.ledger.list(last=9) == ()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "nothing is named that could be run"),
        (("job.yml", "--resume", "--job", "sft-1"), "go on with a job as it was submitted"),
        (("job.yml", "--resume", "--step", "4"), "go on with a job as it was submitted"),
        (("--resume", "--nodes", "4"), "`--resume` changes nothing of a job"),
        (("job.yml", "--step", "4"), "`--job` and `--step` go with `--resume`"),
        (("--resume",), "you have no job to go on with"),
        (("--resume", "--dry-run"), "`--dry-run` shows what a job file would do"),
    ],
)
def test_options_that_make_no_sense(shown: Shown, house: House, words: tuple[str, ...], said: str) -> None:
    screen = shown("train", *words)
    assert screen.startswith("exit: 2\n")
    assert said in screen


def test_no_job_of_the_kind_that_was_asked_for(shown: Shown, house: House) -> None:
    shown("train", "job.yml", "--detach")
    assert shown("job", "list", "--state", "held").endswith("--- stderr\nno job is held\n")
    assert "`runing` is not one of `queued`" in shown("job", "list", "--state", "runing")
    assert "hint: did you mean `--state running`?" in shown("job", "list", "--state", "runing")


def test_ctrl_c_leaves_the_job_and_is_no_error(shown: Shown, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(*_words: object, **_names: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("aiops.cli.train.starting.follow", cut)
    assert shown("train", "job.yml") == (
        "exit: 130\n--- stdout\n--- stderr\ndetached: sleep-1 goes on; come back with `aiops job logs -f sleep-1`\n"
    )


def test_a_job_file_that_is_no_text(shown: Shown, house: House, tmp_path: Path) -> None:
    (tmp_path / "job.yml").write_bytes(b"\xf4\xff")
    assert "error: job.yml cannot be read: it is no text (UTF-8)\n" in shown("train", "job.yml")


def test_a_job_that_does_not_exist(shown: Shown, house: House) -> None:
    shown("train", "job.yml", "--detach")
    for verb in ("show", "logs", "attempts", "explain", "cancel", "wait"):
        screen = shown("job", verb, "slep")
        assert screen.startswith("exit: 6\n"), verb
        assert "did you mean `sleep-1`?" in screen


def test_a_dry_run_starts_nothing(shown: Shown, house: House) -> None:
    assert shown("train", "job.yml", "--dry-run") == "exit: 0\n--- stdout\nsleep-0 would run\n--- stderr\n"
    assert house.rig.ledger.asked() == ()
    assert house.rig.ledger.list(last=9) == ()


def test_without_a_controller_nothing_is_left_to_nobody(shown: Shown) -> None:
    screen = shown("train", "job.yml", "--detach")
    assert screen.startswith("exit: 5\n")
    assert "no controller runs that a job could be left to" in screen
    assert shown("controller", "status").startswith("exit: 3\n")
    assert shown("job", "list") == (
        "exit: 0\n--- stdout\n--- stderr\nno job goes on; `aiops job list --all` shows those that have ended\n"
    )


def test_a_head_whose_controller_is_away_is_not_taken_for_none(tmp_path: Path) -> None:
    import socket

    def status() -> int:
        return subprocess.run(
            ["/bin/sh", "-c", probe(tmp_path / "a b.sock", tmp_path / "a unit")], check=False
        ).returncode

    assert status() == 1
    (tmp_path / "a unit").touch()
    assert status() == 7
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(tmp_path / "a b.sock"))
        assert status() == 0


def test_on_a_head_whose_controller_is_away_no_empty_store_answers(
    shown: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unit").touch()
    monkeypatch.setattr("aiops.layers.l2_jobs.controller.visitor.UNIT", tmp_path / "unit")
    monkeypatch.setattr("os.geteuid", lambda: 1001)
    for words in (("job", "list"), ("job", "show", "sleep-1"), ("job", "logs", "sleep-1"), ("controller", "status")):
        screen = shown(*words, environment={"AIOPS_HOME": "", "XDG_DATA_HOME": str(tmp_path / "data")})
        assert screen.startswith("exit: 3\n"), words
        assert "its service has been stopped" in screen
    assert not (tmp_path / "data" / "aiops").exists()
    assert shown("job", "list").startswith("exit: 0\n"), "a store of one's own"


def test_a_job_file_that_was_laid_on_the_head_is_stdin_there_and_gone(tmp_path: Path) -> None:
    laid, program = tmp_path / "it's laid", tmp_path / "aiops"
    laid.write_text("name: x\n")
    program.write_text('#!/bin/sh\necho "$AIOPS_JOB_FILE" "$@"\ncat\n')
    program.chmod(0o755)
    line = remote_line(["train", "-", "--set", "name=a b"], Path("/work/job.yml"), str(laid))
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(["sh", "-c", line], env={"PATH": path}, capture_output=True, text=True, check=True)
    assert done.stdout == "/work/job.yml train - --set name=a b\nname: x\n"
    assert not laid.exists()


def test_the_words_for_the_head() -> None:
    words = ["train", "runs/job.yml", "-i", "inv.yml", "--set", "name=x", "--inventory=b", "--detach"]
    assert _words(words, Path("runs/job.yml")) == ["train", "-", "--set", "name=x", "--detach"]
    assert _words(["train", "./job.yml"], Path("./job.yml")) == ["train", "-"]
    assert _words(["job", "logs", "-f", "sleep", "--inventory", "b"], None) == ["job", "logs", "-f", "sleep"]


def test_documents_of_errors(shown: Shown, house: House) -> None:
    screen = shown("job", "show", "nothing", "--json")
    document: dict[str, Any] = json.loads(screen.split("--- stdout\n")[1].split("--- stderr")[0])
    assert document["error"]["code"] == "job.unknown"


def test_a_restored_store_outranks_the_one_that_was_lost(shown: Shown, tmp_path: Path) -> None:
    with Store.open(tmp_path / "lost", {}) as store:
        lost = Ledger(store).term()
        backup = Backup("try", datetime.now(UTC), store.snapshot(), lost)
    (tmp_path / "kept.backup").write_bytes(backup.packed())
    hosts = {"head": {"hosts": {"me": {"ansible_connection": "local"}}}}
    (tmp_path / "try.yml").write_text(json.dumps({"all": {"vars": {"aiops_cluster": "try"}, "children": hosts}}))
    words = ("controller", "restore", "--from", str(tmp_path / "kept.backup"), "-i", str(tmp_path / "try.yml"), "--yes")
    assert shown(*words).startswith("exit: 0\n")
    with Store.open(tmp_path / "home", {}) as store:
        found = Ledger(store).term()
    assert found.lineage == lost.lineage
    assert found.number > lost.number

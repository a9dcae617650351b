"""What clients may ask: of whom, about what, and what they are told when they may not."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.l2_jobs.controller.rig import ANN, NODES, Rig, job

from aiops.layers.core.errors import AiopsError, ConflictError, FailedError, InputError, NotFoundError, UnreachableError
from aiops.layers.l0_nodes.ask import Ask
from aiops.layers.l2_jobs.action import Decided, Decision
from aiops.layers.l2_jobs.attempt import Key
from aiops.layers.l2_jobs.checkpoint.checkpoint import Checkpoint, Level
from aiops.layers.l2_jobs.controller.desk import Caller, Desk, Submission
from aiops.layers.l2_jobs.controller.door import Door
from aiops.layers.l2_jobs.controller.logs import Logs
from aiops.layers.l2_jobs.controller.rows import Entry
from aiops.layers.l2_jobs.controller.visitor import Visitor, error_document, error_of
from aiops.layers.l2_jobs.fault.fault import Evidence, Fault
from aiops.layers.l2_jobs.job import Account, CheckpointPlan, Job
from aiops.layers.l2_jobs.shelf import Shelf
from aiops.layers.l2_jobs.survey import Survey, Surveyor

BEN = Account("ben", 1002, 1002)


class Nodes(Surveyor):
    """Nodes that say who asks."""

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[Ask, ...], Sequence[str] | None]] = []

    def survey(self, asks: Sequence[Ask], names: Sequence[str] | None, account: Account) -> Survey:
        self.asked.append((tuple(asks), names))
        return Survey((), {"n1": f"asked as {account.user}, {account.uid}"}, ("n2",))


class Office:
    """A controller and its desk."""

    def __init__(self, home: Path) -> None:
        self.rig = Rig(home)
        self.logs = Logs(home)
        self.looked = 0
        self.surveyor = Nodes()
        self.controller = self.rig.begin()
        self.desk = Desk(
            self.rig.ledger,
            self.logs,
            compile_job=self.compiled,
            now=lambda: self.rig.now,
            look=self.look,
            surveyor=self.surveyor,
            progress=self.controller.progress,
            status=lambda: {"cluster": "c"},
        )

    def look(self) -> None:
        self.looked += 1

    def compiled(self, submission: Submission, account: Account, number_of: Callable[[str], int]) -> Job:
        if submission.text == "wrong":
            raise InputError("1 mistake in job.yml", code="job.wrong")
        plan = CheckpointPlan(submission.folder) if submission.folder != "/" else None
        return replace(job(number_of(submission.text), submission.text), owner=account, checkpoint=plan)

    def ask(self, who: Account, verb: str, **words: Any) -> Any:
        return self.desk.answer(Caller(who, admin=who.uid == 0), verb, words)

    def submit(self, who: Account = ANN, name: str = "sleep") -> str:
        asked = self.ask(who, "submit", text=name, file="job.yml", folder="/")
        self.rig.ticks(self.controller)
        return str(asked["job"])


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


ROOT = Account("root", 0, 0)


def test_a_job_is_numbered_shown_and_followed(office: Office) -> None:
    assert [office.submit(), office.submit(), office.submit(name="other")] == ["sleep-1", "sleep-2", "other-1"]
    assert office.looked == 3
    assert [row["id"] for row in office.ask(BEN, "list")] == ["other-1", "sleep-2", "sleep-1"]
    assert office.ask(BEN, "list", mine=True) == []
    shown = office.ask(ANN, "show", job="sleep")
    assert (shown["id"], shown["state"], shown["attempt"]["nodes"]) == ("sleep-2", "running", list(NODES))
    found = office.ask(ANN, "standing", job="sleep-1")
    assert [one["kind"] for one in found["decisions"]] == ["job_started"]
    assert office.ask(ANN, "standing", job="sleep-1", after=found["decisions"][0]["number"])["decisions"] == []


def test_nodes_are_asked_as_the_caller_and_as_nobody_whom_they_name(office: Office) -> None:
    asks = [Ask("who", ("id",), timeout=900.0).document()]
    found = office.ask(BEN, "survey", asks=asks)
    assert found == {"records": [], "silent": {"n1": "asked as ben, 1002"}, "left": ["n2"]}
    assert office.ask(ROOT, "survey", asks=asks, nodes=["n1"])["silent"] == {"n1": "asked as root, 0"}
    assert office.surveyor.asked == [((Ask("who", ("id",), timeout=20.0),), names) for names in (None, ("n1",))]
    for words in (
        {"account": "root"},
        {"asks": asks, "account": {"user": "root", "uid": 0, "gid": 0}},
        {"asks": [{**asks[0], "user": "root"}]},
        {"asks": "id"},
        {"asks": asks, "nodes": "n1"},
        {"asks": asks, "nodes": [7]},
    ):
        with pytest.raises(InputError):
            office.ask(BEN, "survey", **words)
    assert len(office.surveyor.asked) == 2


def test_one_that_is_not_taken_up_yet_is_there(office: Office) -> None:
    asked = office.ask(ANN, "submit", text="sleep", file="job.yml", folder="/")
    found = office.ask(ANN, "standing", job=asked["job"], request=asked["request"])
    assert (found["state"], found["heard"]) == ("queued", False)
    office.rig.ticks(office.controller)
    assert office.ask(ANN, "standing", job=asked["job"], request=asked["request"])["heard"]


def test_which_jobs_save_below_a_folder(office: Office) -> None:
    def save(folder: str, who: Account = ANN) -> str:
        return str(office.ask(who, "submit", text="sleep", file="job.yml", folder=folder)["job"])

    first, _, other = (
        save("/Shared/runs/a-1/checkpoints/"),
        save("/shared/runs/a-1/checkpoints"),
        save("/shared/runs/a-10"),
    )
    office.rig.ticks(office.controller)
    late = save("/shared/runs/a-1/more")  # not taken up yet
    found = office.ask(ANN, "saving", below="/shared//runs/a-1/")
    assert [(one["job"], one["state"], one["text"]) for one in found] == [
        (late, "queued", ""),
        ("sleep-2", "running", ""),
    ]
    assert [one["job"] for one in office.ask(ANN, "saving", below="/Shared/runs")] == [first]
    assert [one["text"] for one in office.ask(BEN, "saving", below="/shared/runs/a-1")] == [None, None]
    assert office.ask(ANN, "saving", below="/shared/runs/a-10") == []  # which is its folder, and nothing is below
    assert [one["job"] for one in office.ask(ANN, "saving", below="/shared/runs")] == [late, other, "sleep-2"]


@pytest.mark.parametrize("verb", ["cancel", "hold", "explain", "logs"])
def test_another_user_may_not(office: Office, verb: str) -> None:
    name = office.submit()
    with pytest.raises(FailedError, match="sleep-1 is ann's, and you are ben") as caught:
        office.ask(BEN, verb, job=name)
    assert caught.value.code == "job.not_yours"
    assert office.rig.ledger.asked() == ()
    with pytest.raises(FailedError, match="ann's"):
        office.ask(BEN, "log", job=name, attempt=1, node="n1")
    office.ask(ROOT, verb, job=name)


def test_another_user_sees_no_environment_and_no_command(office: Office) -> None:
    name = office.submit()
    seen = office.ask(BEN, "show", job=name)["job"]
    assert not {"environment", "source", "command", "folder"} & set(seen)
    assert "command" in office.ask(ANN, "show", job=name)["job"]
    assert "secret" not in str(office.ask(ROOT, "show", job=name)["attempt"])
    assert all("evidence" not in one for one in office.ask(BEN, "standing", job=name)["decisions"])


def test_no_words_of_a_job_reach_others(office: Office) -> None:
    name = office.submit()
    record = office.rig.ledger.record(name)
    secret = "KeyError: 'hunter2'"  # a line of its log, as reasons and decisions quote them
    attempt = replace(record.attempt, resume=f"/{secret}") if record.attempt else None
    fault = Fault("python_error", "user", False, False, (), (Evidence("log", secret, "n1", 0, 1, 2.0),), 3.0)
    changed = replace(record, state="failed", reason=secret, fault=fault, attempt=attempt, avoid={"n1": secret})
    told = (Decision(name, 5.0, "job_failed", secret, {"line": secret}, 1),)
    office.rig.ledger.commit(Decided((changed,), told), Entry(5.0), {name: record})
    good = Checkpoint(
        10, f"/{secret}", "files", Level.STRUCTURE, verified=False, why=secret, world_size=2, size=1, written=None
    )
    office.rig.ledger.keep_shelf(name, Shelf(1.0, (good,)))
    for verb, words in (
        ("list", {"every": True}),
        ("show", {"job": name}),
        ("standing", {"job": name}),
        ("attempts", {"job": name}),
    ):
        assert "hunter2" not in str(office.ask(BEN, verb, **words)), verb
        assert "hunter2" in str(office.ask(ANN, verb, **words)), verb
        assert "hunter2" in str(office.ask(ROOT, verb, **words)), verb
    seen = office.ask(BEN, "show", job=name)
    assert (seen["state"], seen["fault"], seen["job"]["name"]) == ("failed", "python_error", "sleep")


def test_what_the_state_does_not_allow_is_refused(office: Office) -> None:
    name = office.submit()
    with pytest.raises(ConflictError, match="needs no resume: it is running"):
        office.ask(ANN, "resume", job=name)
    office.ask(ANN, "cancel", job=name)
    office.rig.ticks(office.controller)
    assert office.ask(ANN, "show", job=name)["state"] == "cancelled"
    with pytest.raises(ConflictError, match="has ended already: cancelled"):
        office.ask(ANN, "cancel", job=name)
    assert office.rig.ledger.asked() == ()


def test_no_two_jobs_save_in_one_folder(office: Office) -> None:
    words = {"text": "sleep", "file": "job.yml", "folder": "/runs/a"}
    first = office.ask(ANN, "submit", **words)["job"]
    for _ in range(2):  # before the controller has heard of it, and after that
        with pytest.raises(InputError, match=f"the checkpoints of {first}, which is not over") as caught:
            office.ask(BEN, "submit", **{**words, "folder": "//runs/./a/"})
        assert caught.value.code == "job.checkpoint_taken"
        office.rig.ticks(office.controller)
    office.ask(BEN, "submit", **{**words, "folder": "/runs/b"})
    office.ask(ANN, "cancel", job=first)
    office.rig.ticks(office.controller)
    second = office.ask(ANN, "submit", **words)["job"]
    office.rig.ticks(office.controller)
    with pytest.raises(InputError, match=f"the checkpoints of {second}, which is not over"):
        office.ask(ANN, "resume", job=first)
    office.ask(ANN, "cancel", job=second)
    office.rig.ticks(office.controller)
    assert office.ask(ANN, "resume", job=first)["job"] == first


def test_a_step_must_be_one_that_is_good(office: Office) -> None:
    name = office.submit()
    office.ask(ANN, "cancel", job=name)
    office.rig.ticks(office.controller)
    good = Checkpoint(
        10, "/c/10", "files", Level.STRUCTURE, verified=True, why=None, world_size=2, size=1, written=None
    )
    bad = replace(good, step=20, path="/c/20", verified=False, why="it is cut off")
    unseen = replace(good, step=5, path="/c/5", level=Level.MARKER, verified=False)
    office.rig.ledger.keep_shelf(name, Shelf(1.0, (good, bad, unseen)))
    with pytest.raises(InputError, match="no checkpoint of step 20 that may be good; there are 5, 10"):
        office.ask(ANN, "resume", job=name, step=20)
    assert office.ask(ANN, "resume", job=name, step=10)["job"] == name
    assert [one["step"] for one in office.ask(ANN, "list", every=True)] == [10], "the newest that is known to be good"
    shown = office.ask(ANN, "show", job=name)["checkpoints"]
    assert [(one["step"], one["verified"], one["reason"]) for one in shown] == [
        (20, False, "it is cut off"),
        (10, True, ""),
        (5, None, ""),
    ]


def test_no_such_job_is_told_with_near_names(office: Office) -> None:
    office.submit(name="llama-sft")
    with pytest.raises(NotFoundError) as caught:
        office.ask(ANN, "show", job="lama-sft-1")
    assert "did you mean `llama-sft-1`?" in caught.value.hints
    with pytest.raises(InputError, match="no `dance`"):
        office.ask(ANN, "dance")
    with pytest.raises(InputError, match="asked wrongly"):
        office.ask(ANN, "show", nonsense=1)
    with pytest.raises(InputError, match="you have no job"):
        office.ask(BEN, "resume")


def test_bad_input_changes_nothing(office: Office) -> None:
    with pytest.raises(InputError, match="1 mistake"):
        office.ask(ANN, "submit", text="wrong", file="job.yml", folder="/")
    assert office.rig.ledger.asked() == ()
    assert office.looked == 0


def test_logs_are_read_in_pieces(office: Office) -> None:
    name = office.submit()
    key = Key(name, 1)
    office.logs.write(key, "n1", 0, b"one\n")
    office.logs.write(key, "n1", 4, b"two\n")
    office.logs.write(key, "n1", 0, b"one\n")  # a line that broke tells again
    found = office.ask(ANN, "logs", job=name)["log"]
    assert [(one["node"], one["size"]) for one in found["files"]] == [("n1", 8)]
    piece = office.ask(ANN, "log", job=name, attempt=1, node="n1", offset=4)
    assert (piece["next"], piece["data"]) == (8, "dHdvCg==")
    assert office.ask(ANN, "log", job=name, attempt=1, node="n1", offset=8)["data"] == ""
    assert office.ask(ANN, "log", job=name, attempt=1, node="../../aiops", offset=0)["data"] == ""
    with pytest.raises(InputError, match="has no attempt 7"):
        office.ask(ANN, "logs", job=name, attempt=7)
    assert office.logs.path(key, "n1").stat().st_mode & 0o077 == 0
    assert office.logs.path(key, "n1").parent.stat().st_mode & 0o077 == 0


class Answering:
    """Answers at a door, and knows whom."""

    def __init__(self) -> None:
        self.callers: list[Caller] = []

    def __call__(self, caller: Caller, verb: str, words: dict[str, Any]) -> Any:
        self.callers.append(caller)
        if verb == "fail":
            raise ConflictError("no", code="x.y", hints=["a"])
        if verb == "break":
            raise KeyError("secret")
        if verb == "odd":
            return {"no": {"json"}}
        return {"verb": verb, **words}


@pytest.fixture
def door(tmp_path: Path) -> Iterator[tuple[Path, Answering]]:
    answering = Answering()
    folder = tmp_path / ("deep" * 20) / "home"  # longer than the kernel takes for a socket
    folder.mkdir(parents=True)
    opened = Door(folder / "controller.sock", answering)
    yield folder / "controller.sock", answering
    opened.close()


def test_the_door_knows_who_comes_in(door: tuple[Path, Answering]) -> None:
    import os

    path, answering = door
    visitor = Visitor(path)
    assert visitor.ask("list", last=3) == {"verb": "list", "last": 3}
    assert answering.callers[0].account.uid == os.getuid()
    assert answering.callers[0].admin  # a controller of one's own
    with pytest.raises(ConflictError) as caught:
        visitor.ask("fail")
    assert (caught.value.code, caught.value.hints) == ("x.y", ("a",))
    with pytest.raises(FailedError, match="could not answer: KeyError") as defect:
        visitor.ask("break")
    assert "secret" not in defect.value.message
    with pytest.raises(FailedError, match="could not answer: TypeError"):
        visitor.ask("odd")
    assert visitor.ask("list") == {"verb": "list"}
    visitor.close()
    assert path.stat().st_mode & 0o077 == 0


def test_rubbish_at_the_door_harms_nobody(door: tuple[Path, Answering]) -> None:
    import os
    import socket

    path, _ = door
    folder = os.open(path.parent, os.O_PATH)
    for rubbish in (
        b"\n",
        b"[]\n",
        b"\xff\xfe\n",
        b'{"verb": 1, "words": 3}\n',
        b"{" * 100_000 + b"\n",
        b"[" * 100_000 + b"\n",
    ):
        with socket.socket(socket.AF_UNIX) as other:
            other.connect(f"/proc/self/fd/{folder}/controller.sock")
            other.settimeout(10)
            other.sendall(rubbish)
            assert b"desk.words" in other.recv(65536)
    os.close(folder)
    visitor = Visitor(path)
    assert visitor.ask("list") == {"verb": "list"}
    visitor.close()


def test_several_ask_at_once(door: tuple[Path, Answering]) -> None:
    path, _ = door
    found: list[Any] = []

    def ask(number: int) -> None:
        visitor = Visitor(path)
        found.append(visitor.ask("list", last=number)["last"])
        visitor.close()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(30)
    assert sorted(found) == list(range(20))


def test_one_user_holds_the_door_shut_to_nobody(door: tuple[Path, Answering], monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    from aiops.layers.l2_jobs.controller import door as module

    path, _ = door
    uids = [os.getuid()]
    monkeypatch.setattr(module, "_credentials", lambda _: (1, uids[0], uids[0]))
    monkeypatch.setattr(module, "_MOST_OF_ONE", 3)
    monkeypatch.setattr(module, "_MOST_CALLERS", 12)

    def enters(uid: int) -> Visitor | None:
        uids[0] = uid
        visitor = Visitor(path)
        try:
            visitor.ask("list")
        except UnreachableError as error:
            visitor.close()
            if error.code != "controller.full":
                raise
            return None
        return visitor

    eves = [enters(2001) for _ in range(3)]
    assert None not in eves
    assert enters(2001) is None, "one too many of hers"
    others = [enters(3000 + number // 3) for number in range(9)]
    assert None not in others, "nobody else is kept out by her"
    assert enters(4001) is None, "it is full"
    for uid in (0, os.getuid()):
        for _ in range(5):
            visitor = enters(uid)
            assert visitor is not None
            others.append(visitor)
    for one in eves:
        assert one is not None
        one.close()
    deadline = time.monotonic() + 30
    while (again := enters(2001)) is None:
        assert time.monotonic() < deadline
    for visitor in (*others, again):
        assert visitor is not None
        visitor.close()


def test_want_of_descriptors_closes_the_door_for_a_moment_only(
    door: tuple[Path, Answering], monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    left = [3]
    accept = socket.socket.accept

    def failing(self: socket.socket) -> Any:
        if left[0]:
            left[0] -= 1
            raise OSError(24, "Too many open files")
        return accept(self)

    monkeypatch.setattr(socket.socket, "accept", failing)
    for _ in range(2):
        visitor = Visitor(door[0])
        assert visitor.ask("list") == {"verb": "list"}
        visitor.close()
    assert left == [0]


def test_nobody_at_home_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="does not answer"):
        Visitor(tmp_path / "controller.sock")


@pytest.mark.parametrize("kind", [InputError, NotFoundError, UnreachableError, ConflictError, FailedError])
def test_errors_come_through_the_door_as_they_are(kind: type[AiopsError]) -> None:
    from aiops.layers.core.errors import Problem

    error = kind("it is so", code="a.b", hints=["do `this`"], problems=[Problem("bad", "job.yml", 3, "good")])
    again = error_of(error_document(error))
    assert type(again) is kind
    assert (again.message, again.code, again.hints, again.problems) == (
        error.message,
        error.code,
        error.hints,
        error.problems,
    )

"""Questions to nodes for users, by their real program on this machine: as whom, how long, how much, and who may not."""

import json
import os
import pwd
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.fake_transport import FakeTransport

from aiops.layers.core.clock import SystemClock
from aiops.layers.core.command import Command
from aiops.layers.core.errors import InputError, UnreachableError
from aiops.layers.l0_nodes import probe
from aiops.layers.l0_nodes.ask import Ask
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.transport import Transport
from aiops.layers.l2_jobs import survey
from aiops.layers.l2_jobs.controller.door import Door
from aiops.layers.l2_jobs.controller.visitor import Visitor
from aiops.layers.l2_jobs.job import Account
from aiops.layers.l2_jobs.remote.survey import REFUSED
from aiops.layers.l2_jobs.survey import Survey, Surveyor, asks_of, names_of

NODES = {name: Node(name) for name in ("gpu01", "gpu02", "gpu03")}
ROOT = os.geteuid() == 0
USER = pwd.getpwnam("nobody") if ROOT else pwd.getpwuid(os.geteuid())
ANN = Account(USER.pw_name, USER.pw_uid, USER.pw_gid)
STRANGER = 4_000_000_000
"""Whose controller it is, where it is none of these."""

Answers = Callable[[Command], tuple[int, bytes, bytes]]


def here(command: Command) -> tuple[int, bytes, bytes]:
    done = subprocess.run([sys.executable, *command.argv[1:]], input=command.stdin, capture_output=True, check=False)
    return done.returncode, done.stdout, done.stderr


def surveyor(answers: Answers = here, *, own: int = STRANGER, width: int = 2, silent: str = "") -> Surveyor:
    def connect(node: Node) -> Transport:
        if node.name == silent:
            raise UnreachableError(f"{node.name} did not answer", code="ssh.timeout")
        return FakeTransport(node, {"python3": answers})

    return Surveyor(Fleet(connect, width=width), NODES, SystemClock(), own)


def one(*asks: Ask, account: Account = ANN) -> Survey:
    return surveyor().survey(asks, ["gpu01"], account)


def test_who_asks_is_who_is_answered() -> None:
    found = one(Ask("who", ("id", "-u")), Ask("env", ("env",)), Ask("groups", ("id", "-G")))
    (record,) = found.records
    assert record.answer("who").stdout.strip() == str(USER.pw_uid)
    said = dict(line.partition("=")[::2] for line in record.answer("env").stdout.splitlines())
    assert (said["USER"], said["HOME"]) == (USER.pw_name, USER.pw_dir)
    assert set(said) <= {"PATH", "LANG", "LC_ALL", "LANGUAGE", "TERM", "USER", "LOGNAME", "HOME", "PWD", "SHLVL", "_"}
    assert {int(word) for word in record.answer("groups").stdout.split()} == set(
        os.getgrouplist(USER.pw_name, USER.pw_gid)
    )


@pytest.mark.skipif(not ROOT, reason="there is nothing here that we may not read")
def test_what_the_user_may_not_read_is_not_read_for_them(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of root")
    secret.chmod(0o600)
    link = Path("/tmp") / f"aiops-survey-{os.getpid()}"
    link.symlink_to("/etc/shadow")
    try:
        asks = (Ask("file", paths=(str(secret), str(link), "/etc/shadow")), Ask("cat", ("cat", "/etc/shadow")))
        (record,) = one(*asks).records
    finally:
        link.unlink()
    assert record.answer("file").files == {}
    assert set(record.answer("file").missing.values()) == {"Permission denied"}
    assert (record.answer("cat").exit_status, record.answer("cat").stdout) == (1, "")
    (mine,) = one(*asks, account=Account("root", 0, 0)).records
    assert mine.answer("file").files[str(secret)] == "of root"


def test_nothing_that_it_has_started_goes_on() -> None:
    mark = f"77.{os.getpid()}"
    (record,) = one(Ask("daemon", ("sh", "-c", f"(setsid sleep {mark} >/dev/null 2>&1 &) ; echo begun"))).records
    assert record.answer("daemon").stdout == "begun\n"
    assert subprocess.run(["pgrep", "-f", f"sleep {mark}"], check=False, capture_output=True).stdout == b""


@pytest.mark.skipif(not ROOT, reason="we are nobody else")
def test_who_knocks_is_who_asks_as_the_kernel_says() -> None:
    """Root's door, and nodes that it reaches as root."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        asker = surveyor()
        door = Door(
            Path(folder, "door"),
            lambda caller, _verb, words: asker.survey(asks_of(words["asks"]), None, caller.account).document(),
            everybody=True,
        )
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.setgroups([])
                os.setgid(USER.pw_gid)
                os.setuid(USER.pw_uid)
                visitor = Visitor(Path(folder, "door"))
                asks = [Ask("who", ("id", "-u")).document(), Ask("shadow", paths=("/etc/shadow",)).document()]
                os.write(writing, json.dumps(visitor.ask("survey", asks=asks)).encode())
            finally:
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as stream:
            found = Survey.of(json.load(stream))
        os.waitpid(child, 0)
        door.close()
    assert {one.answer("who").stdout for one in found.records} == {f"{USER.pw_uid}\n"}
    assert {str(dict(one.answer("shadow").missing)) for one in found.records} == {
        "{'/etc/shadow': 'Permission denied'}"
    }


@pytest.mark.parametrize(
    ("account", "words"),
    [
        (Account("no-such-user", 12345, 12345), "gpu01 cannot be asked: there is no account `no-such-user`"),
        (
            Account(USER.pw_name, 12345, 12345),
            f"`{USER.pw_name}` has the number {USER.pw_uid} there, and asks as 12345",
        ),
        (Account("root", 12345, 0), "`root` has the number 0 there, and asks as 12345"),
    ],
)
def test_a_user_whom_the_node_does_not_know_is_answered_nothing(account: Account, words: str) -> None:
    found = one(Ask("who", ("id", "-u")), account=account)
    assert found.records == ()
    assert words in found.silent["gpu01"]


def test_a_name_is_no_code() -> None:
    found = one(Ask("who", ("id",)), account=Account("x'); import os; os._exit(9) #\n", 12345, 1))
    assert "there is no account" in found.silent["gpu01"]


def test_root_and_whose_controller_it_is_ask_as_it_reaches_nodes() -> None:
    ran: list[bytes] = []

    def keep(command: Command) -> tuple[int, bytes, bytes]:
        ran.append(command.stdin)
        assert command.root
        return REFUSED, b"", b"kept"

    asks = (Ask("who", ("id",)),)
    for account, own in ((Account("root", 0, 0), STRANGER), (ANN, ANN.uid), (ANN, STRANGER)):
        surveyor(keep, own=own).survey(asks, ["gpu01"], account)
    assert ran[0] == ran[1]
    assert [b"become_subreaper" in one for one in ran] == [False, False, True]


def test_who_is_silent_is_told_and_who_is_left_is_asked_next() -> None:
    asker = surveyor(silent="gpu01")
    asks = (Ask("who", ("id", "-u")),)
    first = asker.survey(asks, None, ANN)
    assert (first.silent, [one.node for one in first.records]) == ({"gpu01": "gpu01 did not answer"}, ["gpu02"])
    assert first.left == ("gpu03",)
    second = asker.survey(asks, first.left, ANN)
    assert ([one.node for one in second.records], second.left) == (["gpu03"], ())
    assert Survey.of(json.loads(json.dumps(first.document()))) == first
    with pytest.raises(InputError, match="none of these nodes"):
        asker.survey(asks, ["head"], ANN)


def test_what_is_too_much_for_one_answer_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "_MOST_SAID", 10)
    found = surveyor(width=3).survey((Ask("who", ("id", "-u")),), None, ANN)
    assert (len(found.records), len(found.left)) == (1, 2)
    monkeypatch.setattr(survey, "MOST_BYTES", 100)
    (record,) = one(Ask("zeros", ("head", "-c", "1000000", "/dev/zero"), max_bytes=1 << 20)).records
    assert record.answer("zeros").truncated
    assert len(record.answer("zeros").stdout) == 100


def test_a_child_that_says_too_much_is_not_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "source", lambda: "import os\ndef main(request):\n  os.write(1, b'x' * 60000)\n")
    monkeypatch.setattr(survey, "MOST_BYTES", 10)
    assert "at too great length" in one(Ask("who", ("id",))).silent["gpu01"]


def test_one_at_a_time_of_a_user_and_of_others_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "_WAIT_SECONDS", 0.05)
    begun, end = threading.Event(), threading.Event()

    def slow(command: Command) -> tuple[int, bytes, bytes]:
        if b"'ann'" in command.stdin:
            begun.set()
            assert end.wait(20)
        return REFUSED, b"", b"no"

    asker, asks = surveyor(slow), (Ask("who", ("id",)),)
    thread = threading.Thread(target=asker.survey, args=(asks, ["gpu01"], Account("ann", 1001, 1001)))
    thread.start()
    assert begun.wait(20)
    with pytest.raises(UnreachableError) as caught:
        asker.survey(asks, ["gpu01"], Account("ann", 1001, 1001))
    assert caught.value.code == "survey.busy"
    assert asker.survey(asks, ["gpu01"], Account("ben", 1002, 1002)).silent
    end.set()
    thread.join()
    assert asker.survey(asks, ["gpu01"], Account("ann", 1001, 1001)).silent, "it is free again"


def test_caps_are_kept_to() -> None:
    (ask,) = asks_of([Ask("slow", ("sleep", "900"), timeout=900.0, max_bytes=1 << 40).document()])
    assert (ask.timeout, ask.max_bytes) == (survey.MOST_SECONDS, survey.MOST_BYTES)
    command = survey.question(NODES["gpu01"], [ask], ANN)
    assert command.timeout == survey.MOST_SECONDS + 10
    assert b"'timeout': 900" not in command.stdin


@pytest.mark.parametrize(
    ("documents", "words"),
    [
        (None, "1 to 256 questions"),
        ([], "1 to 256 questions"),
        ({}, "1 to 256 questions"),
        ([Ask(f"a{n}").document() for n in range(257)], "1 to 256 questions"),
        ([{"name": "a"}, {"name": "a"}], "the same name"),
        ([{"name": "a", "alone": True}], "measures nothing"),
        (["rm -rf /"], "no question for a node"),
    ],
)
def test_what_is_no_survey_is_refused(documents: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        asks_of(documents)


@given(
    st.recursive(
        st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_names_are_texts_or_none(said: Any) -> None:
    try:
        found = names_of(said)
    except InputError:
        return
    assert found is None or all(isinstance(name, str) for name in found)

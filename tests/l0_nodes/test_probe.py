"""The remote probe as it runs on a node: hung tools, endless output, pipes, no python; and what we make of its answer."""
# ruff: noqa: E501 - captured answers are kept whole

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from tests.support.fake_transport import FakeTransport
from tests.support.sshd import Sshd, node_of

from aiops.layers.core.clock import SystemClock
from aiops.layers.core.command import Command, Completed
from aiops.layers.core.errors import AiopsError, FailedError
from aiops.layers.l0_nodes.ask import Answer, Ask, Record
from aiops.layers.l0_nodes.connector import Connector
from aiops.layers.l0_nodes.fact_reading import FACT_ASKS, facts_of
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.node import Connection, Node
from aiops.layers.l0_nodes.probe import command, longest, probe, record_of

NODE = Node("n1", connection=Connection(python=sys.executable))
AT = datetime(2026, 11, 21, tzinfo=UTC)


def asked(*asks: Ask, seconds: float = 15.0, path: str | None = None) -> Record:
    """Run the probe here, as it runs there."""
    wanted = command(NODE, asks, seconds)
    environment = dict(os.environ, **({"PATH": f"{path}:{os.environ['PATH']}"} if path else {}))
    done = subprocess.run(
        wanted.argv, input=wanted.stdin, capture_output=True, timeout=wanted.timeout, check=False, env=environment
    )
    return record_of(NODE, Completed(wanted, done.returncode, done.stdout, done.stderr, 0.0), AT)


def tool(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def test_commands_and_files(tmp_path: Path) -> None:
    (tmp_path / "a1").write_text("one")
    (tmp_path / "a2").write_bytes(b"\xff\xfe")
    record = asked(
        Ask("x.echo", ("sh", "-c", "echo out; echo err >&2; exit 3")),
        Ask("x.files", paths=(f"{tmp_path}/a*", f"{tmp_path}/none", f"{tmp_path}/b*", str(tmp_path))),
    )
    echo = record.answer("x.echo")
    assert (echo.exit_status, echo.stdout, echo.stderr, echo.timed_out, echo.truncated) == (
        3,
        "out\n",
        "err\n",
        False,
        False,
    )
    files = record.answer("x.files")
    assert files.files == {f"{tmp_path}/a1": "one", f"{tmp_path}/a2": "\ufffd\ufffd"}
    assert files.missing[f"{tmp_path}/none"] == "No such file or directory"
    assert files.missing[f"{tmp_path}/b*"] == "nothing matches"
    assert files.missing[str(tmp_path)] == "Is a directory"
    assert float(record.answer("probe.clock").stdout) == pytest.approx(time.time(), abs=60)
    assert record.answer("probe.python").stdout == sys.version.split()[0]


def test_a_missing_tool_says_so() -> None:
    assert asked(Ask("x", ("no-such-tool", "-q"))).answer("x").missing == {"argv": "no-such-tool: not found"}


def test_a_hung_tool_costs_only_itself(tmp_path: Path) -> None:
    tool(tmp_path, "hung", f"trap '' TERM; sleep 300 & echo $! >{tmp_path}/pid; echo before; while :; do sleep 1; done")
    begun = time.monotonic()
    record = asked(Ask("x.hung", ("hung",), timeout=1.0), Ask("x.good", ("echo", "hi")), path=str(tmp_path))
    assert time.monotonic() - begun < 8
    hung = record.answer("x.hung")
    assert (hung.exit_status, hung.timed_out, hung.stdout) == (None, True, "before\n")
    assert record.answer("x.good").stdout == "hi\n"
    child = int((tmp_path / "pid").read_text())
    stat = Path(f"/proc/{child}/stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


def test_the_deadline_holds_when_everything_hangs(tmp_path: Path) -> None:
    tool(tmp_path, "hung", "trap '' TERM; while :; do sleep 1; done")
    asks = [Ask(f"x.{number}", ("hung",), timeout=30.0) for number in range(12)]
    begun = time.monotonic()
    record = asked(*asks, seconds=2.0, path=str(tmp_path))
    assert time.monotonic() - begun < 8
    assert all(record.answer(ask.name).timed_out for ask in asks)


def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    record = asked(Ask("x", paths=(f"{tmp_path}/pipe",)))
    assert record.answer("x").files == {f"{tmp_path}/pipe": ""}


def test_a_child_that_keeps_the_output_open() -> None:
    begun = time.monotonic()
    record = asked(Ask("x", ("sh", "-c", "sleep 20 & echo hi"), timeout=15))
    assert time.monotonic() - begun < 10
    assert (record.answer("x").exit_status, record.answer("x").stdout) == (0, "hi\n")


def test_sizes_are_kept(tmp_path: Path) -> None:
    (tmp_path / "large").write_text("x" * 1000)
    record = asked(
        Ask("x.out", ("sh", "-c", "head -c 100000 /dev/zero | tr '\\0' y"), max_bytes=500),
        Ask("x.file", paths=(f"{tmp_path}/large",), max_bytes=300),
        Ask("x.endless", ("yes",), timeout=0.5, max_bytes=100),
    )
    assert (len(record.answer("x.out").stdout), record.answer("x.out").truncated) == (500, True)
    assert (len(record.answer("x.file").files[f"{tmp_path}/large"]), record.answer("x.file").truncated) == (300, True)
    assert record.answer("x.endless").stdout == "y\n" * 50


def test_tools_speak_english(tmp_path: Path) -> None:
    tool(tmp_path, "which-language", "echo $LC_ALL")
    assert asked(Ask("x", ("which-language",)), path=str(tmp_path)).answer("x").stdout == "C\n"


def test_it_leaves_nothing_behind(tmp_path: Path) -> None:
    before = set(tmp_path.rglob("*"))
    asked(Ask("x", ("true",)))
    assert set(tmp_path.rglob("*")) == before


def test_it_is_old_python() -> None:
    source = Path(__file__).parents[2] / "layers/l0_nodes/remote/probe.py"
    vermin = Path(sys.executable).with_name("vermin")
    if not vermin.exists():
        pytest.skip("needs vermin")
    done = subprocess.run([vermin, "-t=3.6-", "--violations", str(source)], capture_output=True, check=False)
    assert done.returncode == 0, done.stdout.decode()


def completed(status: int = 0, stdout: str = "", stderr: str = "", *, timed_out: bool = False) -> Completed:
    return Completed(command(NODE, []), status, stdout.encode(), stderr.encode(), 1.0, timed_out)


GOOD: dict[str, Any] = {"aiops_probe": 1, "clock": 1.5, "python": "3.9.2", "answers": [{"name": "x", "stdout": "hi"}]}


def test_noise_around_the_answer_does_no_harm() -> None:
    text = f"Welcome!\n{json.dumps(GOOD)}\nbye\n"
    assert record_of(NODE, completed(stdout=text), AT).answer("x") == Answer("x", stdout="hi")


@pytest.mark.parametrize(
    ("done", "code", "words"),
    [
        (completed(127, stderr="timeout: failed to run command 'python3': No such file"), "probe.no_python", "there is no `"),
        (completed(1, stderr="Traceback\nOSError: no space"), "probe.failed", "OSError: no space"),
        (completed(137, timed_out=True), "probe.timeout", "did not end"),
        (completed(0, stdout="hello"), "probe.failed", "hello"),
        (completed(0, stdout='{"aiops_probe": 1, "answers": [{"name": 3'), "probe.garbled", "garbled"),
        (completed(0, stdout='{"aiops_probe": 1, "answers": [{"stdout": ""}], "clock": 1, "python": ""}'), "probe.garbled", "garbled"),
        (completed(0, stdout='{"aiops_probe": 1, "answers": 7, "clock": 1, "python": ""}'), "probe.garbled", "garbled"),
    ],
)  # fmt: skip
def test_no_record_has_a_reason(done: Completed, code: str, words: str) -> None:
    with pytest.raises(FailedError) as caught:
        record_of(NODE, done, AT)
    assert (caught.value.code, caught.value.message.startswith("n1: ")) == (code, True)
    assert words in caught.value.message


def test_it_runs_as_root_and_its_asks_are_in_no_argv() -> None:
    wanted = command(NODE, [Ask("x", ("cat", "/etc/secret-name"))])
    assert wanted.root
    assert "secret-name" not in " ".join(wanted.argv)
    assert b"secret-name" in wanted.stdin


def test_facts_of_a_real_node(shared_server: Sshd) -> None:
    with Fleet(Connector(os.environ)) as fleet:
        [outcome] = probe(fleet, [node_of(shared_server)], lambda _: FACT_ASKS, SystemClock())
    assert outcome.value is not None
    facts = facts_of(outcome.value)
    assert facts.hostname == os.uname().nodename
    assert facts.kernel == os.uname().release
    assert facts.threads == len(os.sched_getaffinity(0)) or facts.threads == os.cpu_count()
    assert facts.clock is not None
    assert abs(facts.clock.offset) < 30
    assert Record.of(outcome.value.document()) == outcome.value


def test_one_bad_node_among_good_ones() -> None:
    def python(wanted: Command) -> tuple[int, bytes, bytes]:
        return 0, json.dumps(GOOD).encode(), b""

    def connect(node: Node) -> FakeTransport:
        return FakeTransport(node, {} if node.name == "n2" else {"python3": python})

    with Fleet(connect) as fleet:
        found = {
            outcome.node.name: outcome for outcome in probe(fleet, nodes("n1", "n2", "n3"), lambda _: (), SystemClock())
        }
    assert [name for name, outcome in sorted(found.items()) if outcome.value is not None] == ["n1", "n3"]
    error = found["n2"].error
    assert isinstance(error, AiopsError)
    assert error.code == "probe.no_python"


def nodes(*names: str) -> Iterable[Node]:
    return [Node(name) for name in names]


def test_a_tool_that_leaves_files_has_a_folder_of_its_own(tmp_path: Path) -> None:
    tool(tmp_path, "leaver", f"pwd >{tmp_path}/where; echo kept >left.json; ln -s /etc/passwd link; echo $LOGS")
    ask = Ask("x", ("leaver",), scratch=True, environment=(("LOGS", "{scratch}/logs"),))
    answer = asked(ask, path=str(tmp_path)).answer("x")
    folder = (tmp_path / "where").read_text().strip()
    assert answer.files == {"left.json": "kept\n"}
    assert answer.stdout == f"{folder}/logs\n"
    assert folder not in {"/", str(tmp_path)}
    assert not Path(folder).exists()


def test_a_tool_that_hangs_leaves_no_folder_behind(tmp_path: Path) -> None:
    tool(tmp_path, "hung", f"pwd >{tmp_path}/where; echo half >left.json; exec sleep 60")
    answer = asked(Ask("x", ("hung",), timeout=1.0, scratch=True), path=str(tmp_path)).answer("x")
    assert answer.timed_out
    assert answer.files == {"left.json": "half\n"}
    assert not Path((tmp_path / "where").read_text().strip()).exists()


def test_it_is_gentle() -> None:
    record = asked(Ask("x.nice", ("nice",)), Ask("x.ionice", ("ionice",)))
    assert record.answer("x.nice").stdout == "10\n"
    assert record.answer("x.ionice").stdout == "idle\n"


def measuring(lock: Path, *asks: Ask, seconds: float = 15.0) -> Command:
    """The probe with a lock of this test's own: measuring is for one at a time on a node."""
    wanted = command(NODE, asks, seconds)
    assert wanted.stdin is not None
    return replace(wanted, stdin=wanted.stdin.replace(b"/run/aiops-alone.lock", str(lock).encode()))


def test_what_measures_runs_last_alone_and_as_fast_as_it_can(tmp_path: Path) -> None:
    log = tmp_path / "log"

    def measures(name: str) -> Ask:
        text = f"echo {name} begins >>{log}; sleep 0.2; nice; ionice; echo {name} ends >>{log}"
        return Ask(f"x.{name}", ("sh", "-c", text), alone=True)

    shared = Ask("x.shared", ("sh", "-c", f"sleep 0.3; echo shared >>{log}; nice"))
    wanted = measuring(tmp_path / "lock", measures("first"), shared, measures("second"))
    done = subprocess.run(wanted.argv, input=wanted.stdin, capture_output=True, timeout=30, check=True)
    record = record_of(NODE, Completed(wanted, done.returncode, done.stdout, done.stderr, 0.0), AT)
    assert log.read_text().split("\n") == [
        "shared",
        "first begins",
        "first ends",
        "second begins",
        "second ends",
        "",
    ]
    assert record.answer("x.shared").stdout == "10\n"
    assert record.answer("x.second").stdout == "0\nnone: prio 0\n"


def test_what_measures_has_time_of_its_own(tmp_path: Path) -> None:
    asks = (
        Ask("x", ("true",)),
        Ask("y", ("true",), timeout=60, alone=True),
        Ask("z", ("true",), timeout=30, alone=True),
    )
    assert longest(asks) == 110.0
    assert longest(asks[:1]) == 20.0


def test_two_do_not_measure_on_a_node_at_once(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    wanted = measuring(tmp_path / "lock", Ask("x", ("echo", "hi")), Ask("y", ("echo", "hi"), alone=True))
    done = subprocess.run(wanted.argv, input=wanted.stdin, capture_output=True, timeout=30, check=True)
    os.close(descriptor)
    record = record_of(NODE, Completed(wanted, done.returncode, done.stdout, done.stderr, 0.0), AT)
    assert record.answer("x").stdout == "hi\n"
    assert record.answer("y").missing == {"argv": "another measures on this node at the moment"}
    assert record.answer("y").exit_status is None


def test_nothing_goes_on_when_whoever_asked_is_gone(tmp_path: Path) -> None:
    text = f"echo $$ >{tmp_path}/pid; pwd >{tmp_path}/where; exec sleep 60"
    wanted = measuring(
        tmp_path / "lock", Ask("x", ("sh", "-c", text), timeout=60, scratch=True, alone=True), seconds=80
    )
    process = subprocess.Popen(wanted.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    assert wanted.stdin is not None
    process.stdin.write(wanted.stdin)
    process.stdin.close()
    await_that(lambda: (tmp_path / "where").exists() and (tmp_path / "where").read_text().endswith("\n"))
    pid, folder = int((tmp_path / "pid").read_text()), Path((tmp_path / "where").read_text().strip())
    assert folder.is_dir()
    process.stdout.close()
    assert process.wait(10) == 1
    await_that(lambda: not Path(f"/proc/{pid}").exists())
    assert not folder.exists()


def await_that(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_tools_are_found_where_cron_does_not_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("3.2", "4.0"):
        (tmp_path / f"corex-{version}/bin").mkdir(parents=True)
        tool(tmp_path / f"corex-{version}/bin", "ixsmi", f"echo {version}")
    from aiops.layers.l0_nodes.remote import probe as remote

    monkeypatch.setattr(remote, "FOLDERS", (f"{tmp_path}/corex*/bin", "/usr/bin"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert remote.search_path().split(":") == [  # type: ignore[no-untyped-call]
        "/usr/bin",
        "/bin",
        f"{tmp_path}/corex-4.0/bin",
        f"{tmp_path}/corex-3.2/bin",
    ]


def test_a_file_that_hangs_in_the_kernel_holds_nothing_up(tmp_path: Path) -> None:
    """A named pipe opened for a driver's file that never answers: its reader stays, the answer comes all the same."""
    os.mkfifo(tmp_path / "hung")
    source = command(NODE, (Ask("x", paths=(f"{tmp_path}/hung",)), Ask("y", ("echo", "hi"))), 1.0)
    assert source.stdin is not None
    hanging = source.stdin.replace(b"os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC", b"os.O_RDONLY")
    assert hanging != source.stdin
    begun = time.monotonic()
    done = subprocess.run(source.argv, input=hanging, capture_output=True, timeout=20, check=False)
    assert time.monotonic() - begun < 5
    record = record_of(NODE, Completed(source, done.returncode, done.stdout, done.stderr, 0.0), AT)
    assert record.answer("x").missing == {"files": "it did not answer before the deadline"}
    assert record.answer("y").stdout == "hi\n"


def test_what_waits_in_the_kernel_is_not_asked_again_until_it_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote: Any = import_module("aiops.layers.l0_nodes.remote.probe")
    monkeypatch.setattr(remote, "HELD", str(tmp_path / "held"))

    def told() -> dict[str, Any]:
        ask = {"name": "x.tool", "argv": ["sh", "-c", "echo hi"], "paths": [], "timeout": 5.0, "max_bytes": 100}
        one = remote.Answer(ask)
        remote.answer(one, os.environ["PATH"], time.monotonic() + 5.0)
        return dict(remote.Answer.document(one, 1000)[0])

    with subprocess.Popen(["sleep", "60"]) as stuck:
        remote.hold("x.tool", stuck.pid)
        assert "since an earlier time" in told()["missing"]["argv"]
        assert told()["stdout"] == ""
        stuck.kill()
    assert told()["stdout"] == "hi\n"
    assert not (tmp_path / "held").exists(), "nothing is left of it"
    (tmp_path / "held").mkdir()
    (tmp_path / "held/x.tool").write_text("torn")
    assert told()["stdout"] == "hi\n"


def test_what_cannot_be_ended_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remote: Any = import_module("aiops.layers.l0_nodes.remote.probe")
    monkeypatch.setattr(remote, "HELD", str(tmp_path / "held"))
    left: list[subprocess.Popen[bytes]] = []
    monkeypatch.setattr(remote, "end_group", left.append)  # a stand-in for signals that reach nobody
    one = remote.Answer({"name": "x.tool", "argv": ["sleep", "60"], "paths": [], "timeout": 0.1, "max_bytes": 100})
    try:
        remote.answer(one, os.environ["PATH"], time.monotonic() + 5.0)
        assert "cannot be killed" in one.missing["argv"]
        assert remote.is_held("x.tool")
    finally:
        for process in left:
            process.kill()
            process.communicate()
    assert not remote.is_held("x.tool")


def test_of_a_log_the_last_bytes_count(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("".join(f"line {number:05d}\n" for number in range(40_000)))
    answer = asked(Ask("x", paths=(f"{tmp_path}/log",), max_bytes=22, tail=True)).answer("x")
    assert answer.files[f"{tmp_path}/log"] == "line 39998\nline 39999\n"
    assert answer.truncated


@pytest.mark.skipif(not os.access("/dev/kmsg", os.R_OK), reason="the kernel's log may not be read here")
def test_the_kernel_s_log_is_read_to_its_end() -> None:
    answer = asked(Ask("x", paths=("/dev/kmsg",), tail=True)).answer("x")
    assert answer.missing == {}
    assert ";" in answer.files["/dev/kmsg"]


@pytest.mark.parametrize(
    ("there", "asked_here"),
    [({"10de", "8086"}, True), ({"8086"}, False), (set[str](), True)],
    ids=["on the bus", "another maker's", "no bus"],
)
def test_a_maker_s_tool_is_asked_where_its_devices_are(
    there: set[str], asked_here: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aiops.layers.l0_nodes.remote import probe as remote

    monkeypatch.setattr(remote, "makers", lambda: there)
    ask = {"name": "x", "argv": ["echo", "hi"], "paths": [], "timeout": 5, "max_bytes": 99, "makers": ["10de"]}
    (answer,) = remote.answered({"asks": [ask], "max_bytes": 999}, time.monotonic() + 10)  # type: ignore[no-untyped-call]
    assert answer["stdout"] == ("hi\n" if asked_here else "")
    assert answer["missing"] == ({} if asked_here else {"argv": "the bus shows no such device"})
    assert not answer["timed_out"]


def test_makers_on_this_machine_s_bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from aiops.layers.l0_nodes.remote import probe as remote

    for number, maker in enumerate(("0x10de\n", "0x8086\n", "0x10DE\n")):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}/vendor").write_text(maker)
    monkeypatch.setattr(remote, "BUS", f"{tmp_path}/*/vendor")
    assert remote.makers() == {"10de", "8086"}  # type: ignore[no-untyped-call]

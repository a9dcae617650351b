"""What every transport does alike: Fake, Local, and Ssh against a real sshd."""

import os
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.fake_transport import FakeTransport
from tests.support.sshd import Sshd, node_of

from aiops.layers.core.command import Command, Completed
from aiops.layers.core.errors import AiopsError, FailedError, InputError, UnreachableError
from aiops.layers.l0_nodes.connector import Connector
from aiops.layers.l0_nodes.node import Connection, Node
from aiops.layers.l0_nodes.transport import Channel, Transport

REAL = ("local", "ssh")


def fake(node: Node) -> FakeTransport:
    """A fake whose `sh -c` knows just the lines below."""

    def shell(command: Command) -> tuple[int, bytes, bytes]:
        line = command.argv[2]
        if line == "exit 3":
            return 3, b"", b""
        if line == "echo out; echo err >&2":
            return 0, b"out\n", b"err\n"
        if line.startswith("printf"):
            return 0, "".join(f"[{word}]" for word in command.argv[4:]).encode(), b""
        if line.startswith("echo $A"):
            return 0, f"{command.environment['A']}\n".encode(), b""
        raise AssertionError(line)

    return FakeTransport(node, {"sh": shell})


@pytest.fixture(params=["fake", "local", "ssh"])
def transport(request: pytest.FixtureRequest) -> Iterator[Transport]:
    kind = request.param
    if kind == "fake":
        made: Transport = fake(Node("n1"))
    elif kind == "local":
        made = Connector(os.environ)(Node("n1", connection=Connection(kind="local")))
    else:
        server: Sshd = request.getfixturevalue("shared_server")
        made = Connector(os.environ)(node_of(server, "n1"))
    with made:
        yield made


@pytest.fixture(params=REAL)
def real(request: pytest.FixtureRequest) -> Iterator[Transport]:
    if request.param == "local":
        made = Connector(os.environ)(Node("n1", connection=Connection(kind="local")))
    else:
        made = Connector(os.environ)(node_of(request.getfixturevalue("shared_server"), "n1"))
    with made:
        yield made


def sh(transport: Transport, line: str, *words: str, **options: Any) -> Completed:
    return transport.run(Command(("sh", "-c", line, "sh", *words), **options))


def test_node(transport: Transport) -> None:
    assert transport.node.name == "n1"


def test_success(transport: Transport) -> None:
    done = transport.run(Command(("true",)))
    assert done.ok
    assert (done.exit_status, done.stdout, done.stderr, done.timed_out) == (0, b"", b"", False)
    assert done.seconds >= 0


def test_exit_status_is_a_value(transport: Transport) -> None:
    assert sh(transport, "exit 3").exit_status == 3


def test_missing_command_is_127(transport: Transport) -> None:
    assert transport.run(Command(("no-such-command-here",))).exit_status == 127


def test_streams_are_apart(transport: Transport) -> None:
    done = sh(transport, "echo out; echo err >&2")
    assert done.stdout == b"out\n"
    assert done.stderr.endswith(b"err\n")


@pytest.mark.parametrize(
    "word",
    [
        "a b",
        "",
        "$HOME",
        "'",
        '"',
        "\\",
        "`id`",
        "a\nb",
        "*",
        "~",
        "!x",
        "ä€",
        "-n",
        "--",
        "; id",
        "$(id)",
        "#",
        "%s",
        "\t",
    ],
)
def test_words_arrive_as_they_are(transport: Transport, word: str) -> None:
    assert sh(transport, "printf '[%s]' \"$@\"", word, "end").text == f"[{word}][end]"


def test_stdin(transport: Transport) -> None:
    content = bytes(range(256)) * 64
    assert transport.run(Command(("cat",), stdin=content)).stdout == content


def test_no_stdin_is_an_end_of_file(transport: Transport) -> None:
    assert transport.run(Command(("cat",), timeout=10)).ok


def test_environment(transport: Transport) -> None:
    assert sh(transport, "echo $A", environment={"A": "x y; $z"}).text == "x y; $z\n"


def test_put_and_read(transport: Transport, tmp_path: Path) -> None:
    content = os.urandom(100_000)
    transport.put(content, f"{tmp_path}/file", mode=0o640)
    assert transport.run(Command(("cat", f"{tmp_path}/file"))).stdout == content
    transport.put(b"", f"{tmp_path}/file")
    assert transport.run(Command(("cat", f"{tmp_path}/file"))).stdout == b""


def test_put_nowhere_fails(transport: Transport) -> None:
    with pytest.raises(FailedError) as caught:
        transport.put(b"x", "/nowhere/at/all")
    assert caught.value.message.startswith("n1: cannot write /nowhere/at/all: ")


@pytest.mark.parametrize("path", ["relative", "", "/folder/"])
def test_put_wants_an_absolute_file(transport: Transport, path: str) -> None:
    with pytest.raises(InputError):
        transport.put(b"x", path)


def test_closing_twice(transport: Transport) -> None:
    transport.run(Command(("true",)))
    transport.close()
    transport.close()


def test_many_threads(transport: Transport) -> None:
    found: list[bytes] = []
    threads = [
        threading.Thread(
            target=lambda number=number: found.append(transport.run(Command(("cat",), stdin=b"%d" % number)).stdout)
        )
        for number in range(24)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(found, key=int) == [b"%d" % number for number in range(24)]


# What only a real machine shows


def test_large_both_ways(real: Transport) -> None:
    content = os.urandom(5_000_000)
    assert real.run(Command(("cat",), stdin=content)).stdout == content


def test_writes_before_it_reads(real: Transport) -> None:
    content = b"x" * 4_000_000
    done = sh(real, "head -c 4000000 /dev/zero; wc -c", stdin=content)
    assert done.stdout.lstrip(b"\0").strip() == b"4000000"


def test_does_not_read_its_stdin(real: Transport) -> None:
    assert sh(real, "exit 4", stdin=b"x" * 3_000_000).exit_status == 4


@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, 137), (signal.SIGTERM, 143), (signal.SIGSEGV, 139)])
def test_signals_are_128_and_more(real: Transport, number: int, status: int) -> None:
    done = sh(real, f"kill -{int(number)} $$")
    assert (done.exit_status, done.timed_out) == (status, False)


def test_timeout_ends_the_whole_group(real: Transport, tmp_path: Path) -> None:
    done = sh(real, 'sleep 60 & echo $! >"$1"; sleep 61', f"{tmp_path}/pid", timeout=0.5)
    assert done.timed_out
    assert not done.ok
    assert done.seconds < 5
    child = int((tmp_path / "pid").read_text())
    wait_for(lambda: not alive(child))


def test_timeout_of_one_that_ignores_term(real: Transport) -> None:
    done = sh(real, "trap '' TERM; while :; do sleep 0.1; done", timeout=0.5)
    assert done.timed_out
    assert done.seconds < 8


def test_output_before_the_timeout_is_kept(real: Transport) -> None:
    done = sh(real, "echo early; sleep 60", timeout=1.0)
    assert (done.timed_out, done.stdout) == (True, b"early\n")


def test_a_child_that_keeps_the_output_open_is_let_go(real: Transport) -> None:
    done = sh(real, "sleep 60 & echo $!; exit 5", timeout=30)
    assert done.exit_status == 5
    assert done.seconds < 10
    os.kill(int(done.stdout), signal.SIGKILL)


def test_exit_124_is_no_timeout(real: Transport) -> None:
    done = sh(real, "exit 124")
    assert (done.exit_status, done.timed_out) == (124, False)


def test_put_sets_mode_and_replaces_whole(real: Transport, tmp_path: Path) -> None:
    path = tmp_path / "a b'c"
    path.write_bytes(b"old")
    real.put(b"new", str(path), mode=0o640)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [one.name for one in tmp_path.iterdir()] == ["a b'c"]


def test_put_over_a_folder_changes_nothing(real: Transport, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(FailedError):
        real.put(b"x", f"{tmp_path}/folder")
    assert [one.name for one in tmp_path.rglob("*")] == ["folder"]


def test_put_content_is_in_no_argv(real: Transport, tmp_path: Path) -> None:
    canary = b"canary-" + os.urandom(8).hex().encode()
    seen: list[bytes] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            seen.extend(every_cmdline())

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(5):
        real.put(canary, f"{tmp_path}/secret")
    over.set()
    watcher.join()
    assert any(b"aiops.XXXX" in line for line in seen), "the watcher saw no put at all"
    assert not any(canary in line for line in seen)


def test_endless_output_is_refused(real: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("aiops.layers.l0_nodes.local", "aiops.layers.l0_nodes.ssh.process"):
        monkeypatch.setattr(f"{module}.MAX_OUTPUT", 1_000_000)
    with pytest.raises(FailedError) as caught:
        real.run(Command(("yes",), timeout=30))
    assert caught.value.code == "command.too_much_output"


@pytest.mark.parametrize("name", ["", "A B", "1A", "A=B", "ä"])
def test_environment_names(real: Transport, name: str) -> None:
    with pytest.raises(InputError):
        real.run(Command(("true",), environment={name: "x"}))


def test_nul_is_refused(real: Transport) -> None:
    with pytest.raises(InputError):
        real.run(Command(("echo", "a\0b")))


def test_closing_ends_what_runs(real: Transport) -> None:
    ended: list[AiopsError | Completed] = []

    def run() -> None:
        try:
            ended.append(real.run(Command(("sleep", "60"), timeout=60)))
        except AiopsError as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    wait_for(lambda: any(b"sleep\x0060" in line for line in every_cmdline()))
    real.close()
    thread.join(10)
    assert not thread.is_alive()
    [end] = ended
    assert isinstance(end, UnreachableError) or not end.ok  # type: ignore[union-attr]


def every_cmdline() -> list[bytes]:
    lines = []
    for path in [one / "cmdline" for one in Path("/proc").glob("[0-9]*")]:
        try:
            lines.append(path.read_bytes())
        except OSError:
            continue
    return lines


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def take(channel: Channel, enough: Callable[[bytes], bool]) -> bytes:
    """What comes on a channel until it is enough, or all of it."""
    came, found = threading.Event(), b""
    channel.on_news(came.set)
    deadline = time.monotonic() + 20
    while not enough(found):
        came.clear()
        data = channel.receive()
        if data is None:
            break
        found += data
        if not data:
            assert came.wait(deadline - time.monotonic()), found
    return found


def test_a_channel_is_talked_with(real: Transport) -> None:
    channel = real.open(
        Command(("sh", "-c", "while read -r word; do echo [$word]; done; echo end; echo bad >&2"), b"first\n")
    )
    assert take(channel, lambda found: b"[first]" in found) == b"[first]\n"
    assert channel.send(b"second\n") == 7
    assert take(channel, lambda found: b"[second]" in found) == b"[second]\n"
    assert channel.receive() == b""
    channel.close()
    channel.close()


def test_a_channel_tells_its_end_and_why(real: Transport) -> None:
    channel = real.open(Command(("sh", "-c", "echo out; echo why >&2; exit 3")))
    assert take(channel, lambda _: False) == b"out\n"
    assert channel.said() == "why"
    channel.close()
    with pytest.raises(UnreachableError):
        channel.send(b"x")


def test_a_channel_has_no_timeout(real: Transport) -> None:
    channel = real.open(Command(("sh", "-c", "sleep 0.5; echo late"), timeout=0.1))
    assert take(channel, lambda _: False) == b"late\n"
    channel.close()


def test_sending_does_not_wait_for_a_reader(real: Transport) -> None:
    channel = real.open(Command(("sleep", "60")))
    sent, block = 0, b"x" * 65_536
    while (count := channel.send(block)) and sent < 64 * 1024 * 1024:
        sent += count
    assert count == 0
    channel.close()


def test_a_closed_channel_leaves_nothing_running(real: Transport) -> None:
    mark = f"{time.time_ns()}"
    channel = real.open(Command(("sh", "-c", "cat; exit", mark)))
    assert mark in real.run(Command(("ps", "axo", "args"))).text
    channel.close()
    deadline = time.monotonic() + 20
    while mark in real.run(Command(("ps", "axo", "args"))).text:
        assert time.monotonic() < deadline


def test_much_output_comes_whole_on_a_channel(real: Transport) -> None:
    channel = real.open(Command(("head", "-c", "5000000", "/dev/zero")))
    assert len(take(channel, lambda _: False)) == 5_000_000
    channel.close()

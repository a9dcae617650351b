"""What a launcher keeps on disk, and how it is read from an offset."""

import base64
import contextlib
import json
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from aiops.layers.l2_jobs.remote.follower import Follower
from aiops.layers.l2_jobs.remote.spool import ClaimedError, Spool, segments


def said(folder: Path, after: int = 0, offset: int = 0) -> list[dict[str, Any]]:
    """What a follower tells of a folder whose launcher is gone."""
    ours, theirs = socket.socketpair()
    here = Path.cwd()
    os.chdir(folder)
    try:
        ours.sendall(b'{"do": "end"}\n')
        data = bytearray()
        reader = threading.Thread(target=lambda: data.extend(b"".join(iter(lambda: ours.recv(65536), b""))))
        reader.start()
        Follower(theirs, after, offset).run()
        theirs.close()
        reader.join(10)
    finally:
        os.chdir(here)
        ours.close()
    return [json.loads(line) for line in data.splitlines()]


def test_events_are_numbered_and_heard_once(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path), lambda: None)
    for number in range(5):
        spool.tell({"kind": "peer_heard", "peer": str(number)})
    spool.close(5)
    assert [one["event"]["n"] for one in said(tmp_path) if "event" in one] == [1, 2, 3, 4, 5]
    assert [one["event"]["peer"] for one in said(tmp_path, after=3) if "event" in one] == ["3", "4"]


def test_only_one_launcher_ever_writes_there(tmp_path: Path) -> None:
    Spool(str(tmp_path), lambda: None).close(5)
    with pytest.raises(ClaimedError):
        Spool(str(tmp_path), lambda: None)


@pytest.mark.parametrize("offset", [0, 1, 777, 3999])
def test_output_is_read_from_an_offset_to_the_byte(tmp_path: Path, offset: int) -> None:
    spool = Spool(str(tmp_path), lambda: None)
    content = os.urandom(4000)
    for begin in range(0, 4000, 13):
        spool.write(content[begin : begin + 13])
    spool.close(5)
    pieces = [one["log"] for one in said(tmp_path, offset=offset) if "log" in one]
    assert pieces[0]["offset"] == offset
    assert b"".join(base64.b64decode(piece["data"]) for piece in pieces) == content[offset:]


def test_head_and_tail_stay_and_offsets_go_on(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path), lambda: None, most=8000)
    content = b"".join(b"%09d\n" % number for number in range(5000))
    for begin in range(0, len(content), 500):
        spool.write(content[begin : begin + 500])
    spool.close(5)
    assert sum(Path(path).stat().st_size for _, path in segments(str(tmp_path))) <= 9000
    pieces = [(one["log"]["offset"], base64.b64decode(one["log"]["data"])) for one in said(tmp_path) if "log" in one]
    assert all(content[begin : begin + len(data)] == data for begin, data in pieces)
    assert pieces[0][0] == 0
    assert pieces[-1][0] + len(pieces[-1][1]) == len(content)
    kept = sum(len(data) for _, data in pieces)
    assert 7000 <= kept <= 9000


def test_a_folder_without_a_launcher_says_nothing(tmp_path: Path) -> None:
    assert [one for one in said(tmp_path) if "launcher" not in one] == []


def test_output_waits_for_the_disk_and_events_do_not(tmp_path: Path) -> None:
    stuck = threading.Event()

    def hold() -> None:
        stuck.wait(20)

    def write() -> None:
        for _ in range(20):
            spool.write(b"x" * 1_000_000)

    spool = Spool(str(tmp_path), lambda: None)
    spool.do(hold)
    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    begun = time.monotonic()
    spool.tell({"kind": "frozen"})
    assert time.monotonic() - begun < 1
    writer.join(0.5)
    assert writer.is_alive()
    stuck.set()
    writer.join(20)
    spool.close(20)
    assert not writer.is_alive()


def test_the_end_is_told_after_all_output(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path), lambda: None)
    spool.tell({"kind": "started"})
    for _ in range(50):
        spool.write(b"x" * 10_000)
    spool.tell({"kind": "ended", "end": "failed"})
    spool.close(5)
    told = [one for one in said(tmp_path) if "launcher" not in one]
    assert told[-1]["event"]["kind"] == "ended"
    assert sum(len(base64.b64decode(one["log"]["data"])) for one in told if "log" in one) == 500_000


def test_events_have_room_before_output_takes_it(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path), lambda: None)
    found = (tmp_path / "events.jsonl").stat()
    spool.close(5.0)
    assert (found.st_size, found.st_blocks * 512 >= 65536) == (0, True)


def test_half_an_event_on_a_full_disk_spoils_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, full = os.write, [True]

    def write(file: int, data: bytes) -> int:
        if full and b'"peer"' in bytes(data):
            return real(file, bytes(data)[:9])
        if full and not bytes(data).startswith(b"{"):
            full.clear()
            raise OSError(28, "No space left on device")
        return real(file, data)

    monkeypatch.setattr(os, "write", write)
    spool = Spool(str(tmp_path), lambda: None)
    spool.tell({"kind": "peer_heard", "peer": "n2"})
    spool.tell({"kind": "ended", "end": "done"})
    spool.close(5.0)
    assert [one["event"]["kind"] for one in said(tmp_path) if "event" in one] == ["ended"]


def test_the_last_word_is_told_also_where_the_disk_has_no_room_for_it(tmp_path: Path) -> None:
    last = {"kind": "ended", "end": "done", "status": 0}
    with contextlib.chdir(tmp_path):
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.bind("control")
        listening.listen(1)

        def launcher() -> None:
            one, _ = listening.accept()
            one.recv(65536)
            one.sendall(json.dumps({"last": last}).encode() + b"\n")
            one.close()
            listening.close()

        ours, theirs = socket.socketpair()
        working = [threading.Thread(target=work) for work in (launcher, Follower(theirs, 0, 0).run)]
        for one in working:
            one.start()
        ours.settimeout(20)
        heard = b""
        while b'"event"' not in heard:
            heard += ours.recv(65536)
        ours.close()
        for one in working:
            one.join(20)
        theirs.close()
    assert {"event": last} in [json.loads(line) for line in heard.splitlines()]


def test_an_agent_that_goes_in_the_middle_of_a_word_ends_it(tmp_path: Path) -> None:
    (tmp_path / "control").touch()  # nobody listens: it has to say that the launcher is away
    ours, theirs = socket.socketpair()
    ours.close()
    with contextlib.chdir(tmp_path):
        Follower(theirs, 0, 0).run()
    theirs.close()


@pytest.mark.parametrize("kind", ["exited", "ending", "ended"])
def test_why_something_ended_is_told_before_that_it_ended(tmp_path: Path, kind: str) -> None:
    spool = Spool(str(tmp_path), lambda: None)
    spool.write(b"CUDA out of memory\n" * 20000)
    spool.tell({"kind": kind})
    spool.close(20)
    said: list[dict[str, Any]] = []
    follower = Follower(None, 0, 0)
    follower._say = said.append  # type: ignore[method-assign, assignment]
    with contextlib.chdir(tmp_path):
        while follower._news():
            pass
    assert [next(iter(words)) for words in said].index("event") == len(said) - 1
    assert len(said) > 2

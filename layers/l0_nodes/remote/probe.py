"""Answers asks on a node: runs commands, reads files, prints one JSON document. Parses nothing.

Sent on the stdin of `python3 -` with a last line that calls `main`. Standard library, Python 3.6. A command that
hangs, ignores TERM or sleeps in the kernel costs its own timeout and holds up nothing else.
"""

import errno
import glob
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import threading
import time

WIDTH = 8  # asks at once: enough that slow tools overlap, few enough not to disturb a busy node
CHUNK = 65536
MAX_MATCHES = 8192
FOLDERS = (
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
    "/usr/local/nvidia/bin",
    "/opt/rocm/bin",
    "/opt/hyhal/bin",
    "/opt/mxdriver/bin",
    "/usr/local/corex/bin",
    "/usr/local/Ascend/driver/tools",
    "/usr/local/neuware/bin",
)


class Answer(object):
    """What one ask brought; `document` may be called while a hung ask is still at it."""

    def __init__(self, ask):
        self.ask = ask
        self.exit_status = None
        self.streams = {"stdout": bytearray(), "stderr": bytearray()}
        self.files = {}
        self.missing = {}
        self.seconds = 0.0
        self.timed_out = False
        self.truncated = False
        self.finished = False

    def document(self, room):
        """JSON-ready values with at most `room` bytes of text, and the room that is left."""
        truncated = self.truncated
        texts = {}
        files = {}
        pieces = [(texts, name, bytes(content)) for name, content in sorted(self.streams.items(), reverse=True)]
        pieces += [(files, path, content) for path, content in sorted(dict(self.files).items())]
        for target, name, content in pieces:
            kept = content[:room]
            truncated = truncated or len(kept) < len(content)
            room -= len(kept)
            target[name] = kept.decode("utf-8", "replace")
        missing = dict(self.missing)
        if not self.finished:
            missing.setdefault("argv" if self.ask["argv"] else "files", "it did not answer before the deadline")
        value = {
            "name": self.ask["name"],
            "exit_status": self.exit_status,
            "stdout": texts["stdout"],
            "stderr": texts["stderr"],
            "files": files,
            "missing": missing,
            "seconds": round(self.seconds, 3),
            "timed_out": self.timed_out or not self.finished,
            "truncated": truncated,
        }
        return value, room


def answer(one, path, end):
    """Fill in `one`; every step keeps what it has, so that giving up loses nothing."""
    started = time.monotonic()
    try:
        read_files(one)
        if one.ask["argv"]:
            run(one, path, min(end, started + one.ask["timeout"]))
    except Exception as error:
        one.missing.setdefault("argv", "%s: %s" % (type(error).__name__, error))
    one.seconds = time.monotonic() - started
    one.finished = True


def read_files(one):
    """Read every file of the ask; a pattern may match many."""
    for pattern in one.ask["paths"]:
        names = sorted(glob.glob(pattern)) if any(letter in pattern for letter in "*?[") else [pattern]
        if not names:
            one.missing[pattern] = "nothing matches"
        if len(names) > MAX_MATCHES:
            one.truncated = True
        for name in names[:MAX_MATCHES]:
            try:
                one.files[name] = read_file(one, name)
            except OSError as error:
                one.missing[name] = os.strerror(error.errno) if error.errno else str(error)


def read_file(one, name):
    """The first bytes of a file. Never waits for a writer: the file may be a pipe."""
    limit = one.ask["max_bytes"]
    descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        content = b""
        while len(content) <= limit:
            piece = os.read(descriptor, min(CHUNK, limit + 1 - len(content)))
            if not piece:
                break
            content += piece
    finally:
        os.close(descriptor)
    if len(content) > limit:
        one.truncated = True
    return content[:limit]


def run(one, path, end):
    """Run the command in a process group of its own and end all of it at `end` (monotonic seconds)."""
    argv = one.ask["argv"]
    program = shutil.which(argv[0], path=path)
    if program is None:
        one.missing["argv"] = "%s: not found" % argv[0]
        return
    environment = dict(os.environ, PATH=path, LC_ALL="C", LANGUAGE="C", TERM="dumb")
    try:
        process = subprocess.Popen(
            [program, *argv[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd="/",
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        one.missing["argv"] = "%s: %s" % (argv[0], error.strerror)
        return
    try:
        one.timed_out = not drained(one, process, end)
    finally:
        end_group(process)
    status = process.poll()
    if status is None:
        one.timed_out = True
        one.missing["argv"] = "it cannot be killed (it waits in the kernel)"
    elif not one.timed_out:
        one.exit_status = status if status >= 0 else 128 - status


def drained(one, process, end):
    """Take what the process says until it has ended; False when `end` came first."""
    selector = selectors.DefaultSelector()
    for name, stream in (("stdout", process.stdout), ("stderr", process.stderr)):
        selector.register(stream, selectors.EVENT_READ, name)
    ended = None
    while selector.get_map():
        now = time.monotonic()
        if ended is None and process.poll() is not None:
            ended = now
        if ended is not None and now > ended + 0.5:
            break  # a child of it keeps the output open
        if now >= end:
            return ended is not None
        for key, _ in selector.select(min(0.1, end - now)):
            data = os.read(key.fd, CHUNK)
            if not data:
                selector.unregister(key.fileobj)
                continue
            kept = one.streams[key.data]
            room = one.ask["max_bytes"] - len(kept)
            if len(data) > room:
                one.truncated = True
            kept += data[: max(0, room)]
    try:
        process.wait(max(0.0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        return False
    return True


def end_group(process):
    """End the process's group: politely, then by force, then without waiting any longer."""
    for number, patience in ((signal.SIGTERM, 0.3), (signal.SIGKILL, 0.5)):
        try:
            os.killpg(process.pid, number)
        except OSError as error:
            if error.errno != errno.ESRCH:
                return
        if process.poll() is not None and number == signal.SIGTERM:
            continue  # the leader is gone, its children get the KILL at once
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            pass
    process.stdout.close()
    process.stderr.close()


def main(request):
    """Answer `request` and end this process, whatever still hangs in it."""
    end = time.monotonic() + request["seconds"]
    path = os.pathsep.join(dict.fromkeys(os.environ.get("PATH", "").split(os.pathsep) + list(FOLDERS)))
    answers = [Answer(ask) for ask in request["asks"]]
    waiting = list(reversed(answers))
    lock = threading.Lock()

    def work():
        while time.monotonic() < end:
            with lock:
                if not waiting:
                    return
                one = waiting.pop()
            answer(one, path, end)

    workers = [threading.Thread(target=work, daemon=True) for _ in range(min(WIDTH, len(answers)))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(max(0.0, end + 1.0 - time.monotonic()))
    room = request["max_bytes"]
    documents = []
    for one in answers:
        value, room = one.document(room)
        documents.append(value)
    result = {"aiops_probe": 1, "clock": time.time(), "python": sys.version.split()[0], "answers": documents}
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()
    os._exit(0)

"""Answers asks on a node: runs commands, reads files, prints one JSON document. Parses nothing.

Sent on the stdin of `python3 -` with a last line that calls `main`. Standard library, Python 3.6. A command that
hangs, ignores TERM or sleeps in the kernel costs its own timeout and holds up nothing else. What measures runs at the
end, one at a time, on one node for one asker at a time; all of it ends when whoever asked is gone.
"""

import ctypes
import errno
import fcntl
import glob
import json
import os
import select
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
    "/usr/local/corex*/bin",
    "/usr/local/Ascend/driver/tools",
    "/usr/local/neuware/bin",
    "/usr/local/xpu*/bin",
    "/usr/local/birensupa/bin",
    "/usr/local/mthreads/bin",
    "/usr/local/PPU_SDK/bin",
    "/usr/lib/habanalabs",
    "/opt/habanalabs/bin",
)
SCRATCH_PLACES = ("/run", "/dev/shm", "/tmp")  # noqa: S108 - each folder there is mkdtemp's
MAX_LEFT = 16  # files that a tool leaves in its folder
NICE = 10
IDLE_CLASS = 3 << 13  # ioprio_set(2): only disk time that nobody else wants
NO_CLASS = 0  # ioprio_set(2): as whoever is not gentle has it
ALONE = "/run/aiops-alone.lock"  # held by whoever measures; the kernel lets go of it with the process
OCCUPIED = "another measures on this node at the moment"
HELD = "/run/aiops-held"  # by ask, the process that waits in the kernel, beyond any signal, since it was asked
START_FIELD = 19  # of /proc/PID/stat behind the name: when the process started (proc(5), 22)
BUS = "/sys/bus/pci/devices/*/vendor"
NO_DEVICE = "the bus shows no such device"
IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "ppc64le": 273, "riscv64": 30, "loongarch64": 30}


RUNNING = set()  # commands that run, and the folders they were given: what is to be gone when we have to go
FOLDERS_IN_USE = set()


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
    """The first bytes of a file, or its last. Never waits for a writer: the file may be a pipe, or the kernel's log."""
    limit = one.ask["max_bytes"]
    tail = one.ask.get("tail", False)
    descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        content = bytearray()
        while tail or len(content) <= limit:
            try:
                piece = os.read(descriptor, CHUNK if tail else min(CHUNK, limit + 1 - len(content)))
            except OSError as error:
                if error.errno == errno.EPIPE:
                    continue  # the kernel has overwritten what we were to read next
                if error.errno == errno.EAGAIN and content:
                    break  # the kernel's log has an end only for those who do not wait
                raise
            if not piece:
                break
            content += piece
            if tail and len(content) > 2 * limit:
                one.truncated = True
                del content[:-limit]
    finally:
        os.close(descriptor)
    if len(content) > limit:
        one.truncated = True
    return bytes(content[-limit:] if tail else content[:limit])


def run(one, path, end):
    """Run the command, in an empty folder of its own where it is to leave files; they come back under bare names."""
    if not one.ask.get("scratch"):
        execute(one, path, end, "/")
        return
    folder = scratch_folder()
    FOLDERS_IN_USE.add(folder)
    try:
        execute(one, path, end, folder)
        for name in sorted(os.listdir(folder))[:MAX_LEFT]:
            left = os.path.join(folder, name)
            if os.path.isfile(left) and not os.path.islink(left):
                one.files[name] = read_file(one, left)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        FOLDERS_IN_USE.discard(folder)


def scratch_folder():
    """An empty folder of ours, in memory where there is such: a full disk is one of the things that are asked for."""
    import tempfile  # takes long to load, and few need it

    for place in SCRATCH_PLACES:
        try:
            return tempfile.mkdtemp(prefix="aiops-", dir=place)
        except OSError:
            continue
    return tempfile.mkdtemp(prefix="aiops-")


def execute(one, path, end, folder):
    """Run the command in a process group of its own and end all of it at `end` (monotonic seconds)."""
    argv = one.ask["argv"]
    program = shutil.which(argv[0], path=path)
    if program is None:
        one.missing["argv"] = "%s: not found" % argv[0]
        return
    if is_held(one.ask["name"]):
        one.missing["argv"] = "it is not asked again while it waits in the kernel since an earlier time"
        return
    environment = dict(os.environ, PATH=path, LC_ALL="C", LANGUAGE="C", TERM="dumb")
    for name, value in one.ask.get("environment", {}).items():
        environment[name] = value.replace("{scratch}", folder)
    try:
        process = subprocess.Popen(
            [program, *argv[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        one.missing["argv"] = "%s: %s" % (argv[0], error.strerror)
        return
    RUNNING.add(process)
    try:
        one.timed_out = not drained(one, process, end)
    finally:
        end_group(process)
        RUNNING.discard(process)
    status = process.poll()
    if status is None:
        one.timed_out = True
        one.missing["argv"] = "it cannot be killed (it waits in the kernel)"
        hold(one.ask["name"], process.pid)
    elif not one.timed_out:
        one.exit_status = status if status >= 0 else 128 - status


def born(process):
    """When a process started, in the kernel's words; None when it is gone."""
    try:
        with open("/proc/%d/stat" % process, "rb") as stream:
            fields = stream.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else fields[START_FIELD].decode("ascii")


def hold(name, process):
    """Note what cannot be ended: a driver that hangs then holds one process of ours, not one more at each asking."""
    since = born(process)
    if since is None:
        return
    try:
        os.makedirs(HELD, 0o700, exist_ok=True)
        with open(os.path.join(HELD, name), "w") as stream:
            stream.write("%d %s" % (process, since))
    except OSError:
        pass  # a node on which nothing can be written is asked all the same


def is_held(name):
    """Whether what was noted of an ask is still there; of what has ended the note goes, and the last note's folder."""
    note = os.path.join(HELD, name)
    try:
        with open(note) as stream:
            process, _, since = stream.read().partition(" ")
        if since and since == born(int(process)):
            return True
        os.unlink(note)
        os.rmdir(HELD)
    except (OSError, ValueError):
        pass
    return False


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


def set_priority(nice, disks):
    """What this thread and its children take of the processors, and of the disks where the kernel knows the call."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, nice)
        number = IOPRIO_SET.get(os.uname().machine)
        if number is not None:
            ctypes.CDLL(None).syscall(number, 1, 0, disks)
    except (OSError, AttributeError):
        pass


def search_path():
    """Where tools are looked for: PATH, which cron leaves nearly empty, and the vendors' folders that are there."""
    known = os.environ.get("PATH", "").split(os.pathsep)
    for folder in FOLDERS:
        known += sorted(glob.glob(folder), reverse=True) if "*" in folder else [folder]
    return os.pathsep.join(dict.fromkeys(known))


def makers():
    """The vendor ids of the devices on the PCI bus, without `0x`; empty where there is no such bus."""
    found = set()
    for name in glob.glob(BUS):
        try:
            with open(name, "rb") as stream:
                found.add(stream.read(16).decode("ascii", "replace").strip().lower().replace("0x", "", 1))
        except OSError:
            continue
    return found


def is_wanted(ask, there):
    """Whether an ask has anything to ask here: of devices that the bus does not show, there is not."""
    return not ask.get("makers") or not there or bool(there.intersection(ask["makers"]))


def work(asked, path, end, width, measures):
    """Answer those of `asked` that there is time for, so many at once, each in a thread that may hang."""
    waiting = list(reversed(asked))
    lock = threading.Lock()

    def answer_some():
        set_priority(0 if measures else NICE, NO_CLASS if measures else IDLE_CLASS)
        while time.monotonic() < end:
            with lock:
                if not waiting:
                    return
                one = waiting.pop()
            answer(one, path, end)

    workers = [threading.Thread(target=answer_some, daemon=True) for _ in range(min(width, len(asked)))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(max(0.0, end + 1.0 - time.monotonic()))


def measure(asked, path, end):
    """Answer what measures: one after the other, and only where nobody else measures at the same time."""
    try:
        descriptor = os.open(ALONE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        descriptor = None  # not root, or no /run: two may then disturb each other
    try:
        if descriptor is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        for one in asked:
            one.missing["argv"] = OCCUPIED
            one.finished = True
        return
    work(asked, path, end, 1, measures=True)


def answered(request, end):
    """The answers to `request`, as far as they have come by `end` (monotonic seconds)."""
    path = search_path()
    answers = [Answer(ask) for ask in request["asks"]]
    there = makers() if any(ask.get("makers") for ask in request["asks"]) else set()
    shared, measuring = [], []
    for one in answers:
        if not is_wanted(one.ask, there):
            one.missing["argv" if one.ask["argv"] else "files"] = NO_DEVICE
            one.finished = True
        elif one.ask.get("alone"):
            measuring.append(one)
        else:
            shared.append(one)
    gentle_end = min(end, time.monotonic() + request["shared_seconds"]) if measuring else end
    work(shared, path, gentle_end, WIDTH, measures=False)
    if measuring:
        measure(measuring, path, end)
    room = request["max_bytes"]
    documents = []
    for one in answers:
        value, room = one.document(room)
        documents.append(value)
    return documents


def main(request):
    """Answer `request` and end this process, whatever still hangs in it.

    A child asks. A thread of it that waits in the kernel (a file of a driver that hangs) keeps it from ending even by
    force, and with it everything it has open: so what we were started with, ssh's connection, is not open in it.
    """
    end = time.monotonic() + request["seconds"]
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(source)
            os.setsid()
            nothing = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(nothing, descriptor)
            set_priority(NICE, IDLE_CLASS)
            signal.signal(signal.SIGTERM, go)
            with os.fdopen(sink, "w") as stream:
                json.dump(answered(request, end), stream)
        finally:
            os._exit(0)
    os.close(sink)
    text = received(source, end + 2.0)
    if not text:
        try:
            os.kill(child, signal.SIGTERM)
            time.sleep(0.5)
            os.kill(child, signal.SIGKILL)
        except OSError:
            pass
        sys.stderr.write("the probe's own child did not answer\n")
        os._exit(1)
    head = '{"aiops_probe": 1, "clock": %s, "python": %s, "answers": '
    sys.stdout.write(head % (json.dumps(time.time()), json.dumps(sys.version.split()[0])) + text + "}\n")
    sys.stdout.flush()
    os._exit(0)


def go(_number, _frame):
    """End all that runs for us and leave nothing of it, then this process."""
    for process in list(RUNNING):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except OSError:
            pass
    for folder in list(FOLDERS_IN_USE):
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def received(source, end):
    """All that comes through a pipe until it is closed.

    Empty when that is not by `end` (monotonic seconds), or when nobody is there any more to whom it could be told.
    """
    pieces = []
    waiter = select.poll()
    waiter.register(source, select.POLLIN)
    waiter.register(1, 0)  # says only that nobody reads there any more
    while True:
        left = end - time.monotonic()
        ready = dict(waiter.poll(left * 1000.0)) if left > 0 else {}
        if source not in ready:
            return ""
        piece = os.read(source, CHUNK)
        if not piece:
            return b"".join(pieces).decode("utf-8")
        pieces.append(piece)

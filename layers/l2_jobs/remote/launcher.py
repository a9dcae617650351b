"""The launcher: the main process of a rank group's unit, as the job's user.

It holds the lease, starts the processes, hears their progress and their ends, and writes down what happened; when it
ends, all of the group has ended. One thread decides (`Launcher.run`); whatever may wait for a disk is done by others.

    python3 -I -S launcher FOLDER        FOLDER holds spec.json, see docs/decisions/jobs.md; or the file's own path

Standard library only, Python 3.6, imports nothing of ours but its sisters.
"""

import json
import os
import selectors
import signal
import socket
import threading
import time
from collections import deque
from typing import Any, Dict, Optional, Set

from . import fence, lease, processes, steps
from .control import Control
from .peers import Peers
from .spool import MOST, ClaimedError, Spool
from .work import Work

_TICK = 0.1
_WATCHDOG = 1.0
_LOOK = 0.25
"""Seconds between looks for ranks that torchrun has started."""
_HALTED = 2.0
"""Seconds that a rank is stopped before that is told: some tools stop one for a moment to look at it."""
_COMPANY = 60.0
"""Seconds that a group which is done waits for a peer that says nothing."""
_DATAGRAM = 8192
_DATAGRAMS = 256
"""Read at once: a program that tells its progress without a pause does not keep us from our lease."""

CLAIMED = 75
"""Exit status of a launcher that found another one's traces."""


def main(folder: str, leave: bool = False) -> int:
    """Run the rank group whose spec lies in `folder`; the exit status.

    Args:
        folder: Of the attempt.
        leave: Whether to end this process with it.
    """
    own = os.umask(0o077)
    if os.path.basename(folder) == "spec.json":
        folder = os.path.dirname(folder)
    os.chdir(folder)
    with open("spec.json") as file:
        spec = json.load(file)
    try:
        launcher = Launcher(os.getcwd(), spec, own)
    except ClaimedError:
        status = CLAIMED
    else:
        launcher.run()
        status = 0
    if leave:
        os._exit(status)  # a thread that still waits for somebody's storage must not keep us
    return status


def notify(text: str) -> None:
    """Tell systemd, where it listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address[0] == "@":
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        try:
            out.setblocking(False)
            out.sendto(text.encode("ascii"), address)
        except OSError:
            pass  # it is gone, or busy: the next one is soon


class Launcher(object):
    """One rank group."""

    def __init__(self, folder: str, spec: Dict[str, Any], umask: int) -> None:
        """Claim the folder and begin to listen; nothing runs yet.

        Args:
            folder: Of the attempt, where we are.
            spec: What the launcher is given.
            umask: For the processes.

        Raises:
            ClaimedError: There was a launcher of this attempt before.
        """
        now = lease.clock()
        self._folder = folder
        self._spec = spec
        job, _, number = spec["key"].rpartition(".")
        self._job, self._epoch = job, int(number)
        self._selector = selectors.DefaultSelector()
        self._wake, self._waker = os.pipe()
        for end in (self._wake, self._waker):
            os.set_blocking(end, False)
        self._mail: Any = deque()
        """Calls from other threads, done by this one."""
        self._spool = Spool(folder, lambda: self._post(self._grown), spec.get("log_bytes", MOST))
        self._lease = lease.Lease(spec["lease"], [peer["node"] for peer in spec["peers"]], now)
        self._control = Control(self._selector, self._asks)
        self._steps = steps.Steps()
        self._work = Work(folder, spec, umask)
        self._frozen = False
        self._over: Optional[float] = None
        """Since when it only keeps its peers company."""
        self._ended = False
        self._last: Optional[Dict[str, Any]] = None
        """Its last word."""
        self._asked = ""
        """How it ends when its processes leave, once they were asked to: `stopped`, `time_limit`."""
        """Whether its processes were asked to leave."""
        self._kill_at: Optional[float] = None
        self._looked = self._fed = 0.0
        self._halted: Dict[int, float] = {}
        """Ranks that a signal has stopped, and since when."""
        self._told_halted: Set[int] = set()
        self._before = now
        self._peers: Optional[Peers] = None
        self._progress = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._progress.bind("progress")  # relative, since the path of a socket may only be a hundred letters long
        self._progress.setblocking(False)
        self._selector.register(self._progress, selectors.EVENT_READ, self._read_progress)

    def run(self) -> None:
        """Until the group has ended."""
        processes.become_subreaper()
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self._post(lambda: self._stop(self._spec["stop_seconds"])))
        # A full pipe has woken us already; Python 3.6 has no word to say so and prints a line.
        signal.set_wakeup_fd(self._waker)
        self._selector.register(self._wake, selectors.EVENT_READ, self._read_mail)
        try:
            if self._spec["peers"]:
                self._peers = Peers(self._spec, self._heard)
                self._selector.register(self._peers.socket, selectors.EVENT_READ, self._peers.read)
        except OSError as error:
            self._refuse("it cannot hear its peers on port %d: %s" % (self._spec["beat_port"], error), "node")
        else:
            threading.Thread(target=self._prepare, name="prepare", daemon=True).start()
        notify("READY=1")
        while not self._ended:
            # What is read below has come after this, but nobody knows when: a machine that was frozen in between finds
            # old words in its sockets. So they count from here.
            self._before = lease.clock()
            ready = self._selector.select(_TICK)
            now = lease.clock()
            # Judged before anything is read: what has piled up while we were stopped renews no lease.
            self._judge(now)
            for key, _ in ready:
                if self._ended:
                    break
                key.data(key.fileobj, now)
            self._tick(now)
        if self._peers is not None and self._over is not None:
            self._peers.beat(lease.clock(), over=True, force=True)
        self._spool.close(5.0)
        self._grown()
        if self._last is not None:
            self._control.send({"last": self._last})
        self._control.close()

    # -- the lease

    def _judge(self, now: float) -> None:
        verdict = self._lease.verdict(now)
        if self._over is not None:
            self._ended = self._ended or verdict == lease.KILL
        elif verdict == lease.KILL:
            self._end("lease", None, "neither the head nor any peer was heard in time")
        elif verdict == lease.FREEZE and not self._frozen:
            self._frozen = True
            self._work.freeze()
            self._tell("frozen")
        elif verdict == lease.RUN and self._frozen:
            self._frozen = False
            self._work.thaw()
            self._tell("thawed")

    def _heard(self, said: Dict[str, Any]) -> None:
        """A peer's beat, known to be of this job."""
        if said["epoch"] > self._epoch:
            self._end("superseded", None, "attempt %d of this job has begun" % said["epoch"])
            self._ended = True
        elif said["epoch"] == self._epoch and self._lease.heard_peer(said["node"], self._before):
            self._tell("peer_heard", peer=said["node"])

    # -- what comes, and what is due

    def _tick(self, now: float) -> None:
        if now - self._fed >= _WATCHDOG:
            self._fed = now
            notify("WATCHDOG=1")
        if self._peers is not None:
            self._peers.beat(now, over=self._over is not None)
        silent = self._lease.newly_silent(now)
        if self._over is not None:
            self._ended = self._ended or self._peers is None or self._peers.alone(now, self._over, _COMPANY)
            return
        for name, seconds in silent:
            self._tell("peer_silent", peer=name, seconds=round(seconds, 2))
        for event in self._steps.due(now):
            self._control.send({"stepped": dict(event, at=time.time())})
        if now - self._looked >= _LOOK:
            self._looked = now
            self._work.look()
            self._look_for_halted(now)
        if self._kill_at is not None and now >= self._kill_at:
            why = "it was still running when its time to leave was over"
            self._end(self._asked or "stopped", self._work.first_bad, why)

    def _look_for_halted(self, now: float) -> None:
        """Tell of ranks that stand still by a signal that was not ours, once they have done so for a while."""
        found = set() if self._frozen else self._work.halted()
        self._halted = dict((rank, self._halted.get(rank, now)) for rank in found)
        lasting = set(rank for rank, since in self._halted.items() if now - since >= _HALTED)
        for rank in sorted(lasting ^ self._told_halted):
            self._tell("halted", rank=rank, halted=rank in lasting)
        self._told_halted = lasting

    def _read_mail(self, file: int, now: float) -> None:
        del now
        try:
            while os.read(file, 4096):
                pass
        except BlockingIOError:
            pass
        while self._mail:
            self._mail.popleft()()
        status = self._work.reaped()
        if status is not None:
            first = self._work.first_bad
            end = self._asked or ("failed" if status else "done")
            self._end(end, first if first is not None else status, "")

    def _read_progress(self, sock: Any, now: float) -> None:
        for _ in range(_DATAGRAMS):
            try:
                data = sock.recv(_DATAGRAM)
            except OSError:
                return
            event = steps.read(data, self._spec["first_rank"])
            if event is not None:
                self._steps.note(event, now)

    def _post(self, call: Any) -> None:
        """Have this thread do something."""
        self._mail.append(call)
        try:
            os.write(self._waker, b"\0")
        except BlockingIOError:
            pass

    def _grown(self) -> None:
        self._control.send({"wake": True})

    def _asks(self, words: Dict[str, Any]) -> None:
        """What somebody on the control socket wants."""
        do = words.get("do")
        if do == "beat":
            at = words.get("at")
            self._lease.heard_head(min(self._before, at) if isinstance(at, (int, float)) else self._before)
        elif do == "follow":
            for event in self._steps.newest.values():
                self._control.send({"stepped": dict(event, at=time.time())})
        elif do == "stop":
            seconds = words.get("seconds")
            end = "time_limit" if words.get("why") == "time_limit" else "stopped"
            self._stop(float(seconds if isinstance(seconds, (int, float)) else self._spec["stop_seconds"]), end)
        elif do == "kill":
            self._end("stopped", self._work.first_bad, "it was ended at once, as asked")
            self._ended = True
        elif do == "dump":
            self._work.dump()

    # -- the work

    def _prepare(self) -> None:
        """All that may wait for somebody's storage, before anything is started; in a thread of its own."""
        found = obstacle(self._spec, self._job, self._epoch)
        if found is not None:
            reason, causer = found
            self._post(lambda: self._refuse(reason, causer))
        else:
            self._post(self._start)

    def _refuse(self, reason: str, causer: str) -> None:
        if not self._ended:
            self._tell("not_started", reason=reason, causer=causer)
            self._ended = True

    def _start(self) -> None:
        if self._ended:
            return
        if self._asked:
            self._end(self._asked, None, "it was asked to leave before it began")
            return
        try:
            pid = self._work.start(self._selector, self._spool.write, self._stepped, self._exited)
        except (OSError, ValueError) as error:
            self._refuse("`%s` cannot be started: %s" % (self._spec["argv"][0], error), "user")
            return
        self._tell("started", pid=pid, boot_id=processes.boot_id())
        self._work.probe(lambda ready: self._post(lambda: self._ready(ready)))
        if self._frozen:
            self._work.freeze()

    def _stop(self, seconds: float, end: str = "stopped") -> None:
        """Have the processes save and leave."""
        if self._asked or self._over is not None:
            return
        self._asked = end
        self._kill_at = lease.clock() + max(0.0, seconds)
        path = os.path.join(self._folder, "stop")
        self._spool.do(lambda: os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)))
        self._spool.do(lambda: self._post(self._work.ask_to_leave))

    def _end(self, end: str, status: Optional[int], reason: str) -> None:
        """End all of the group, and say so last."""
        if self._ended or self._over is not None:
            return
        left = self._work.kill()
        while self._mail:  # the last lines of its output, which were read just now
            self._mail.popleft()()
        for _, event in sorted(self._steps.newest.items()):
            self._spool.tell(dict(event, at=time.time()))
        if left:
            # They wait in the kernel, or are another user's: the end of the unit is theirs, and nobody's word before.
            self._tell("ending", end=end, status=status, reason=reason, left=sorted(left)[:20])
            self._ended = True
            return
        self._tell("ended", end=end, status=status, reason=reason)
        # Also to who listens now: the disk may have no room for it. Without a number, it hides no event of the file.
        self._last = {"kind": "ended", "end": end, "status": status, "reason": reason, "at": time.time()}
        if end == "done" and self._peers is not None:
            self._over = lease.clock()
        else:
            self._ended = True

    # -- telling

    def _tell(self, kind: str, **fields: Any) -> None:
        self._spool.tell(dict(fields, kind=kind, at=time.time()))

    def _ready(self, ready: bool) -> None:
        if not self._ended and self._over is None:
            self._tell("ready", ready=ready)

    def _exited(self, rank: int, status: Optional[int], oom: Optional[bool]) -> None:
        self._tell("exited", rank=rank, status=status, oom=oom)

    def _stepped(self, rank: Optional[int], step: int, loss: Optional[float]) -> None:
        """Called by the thread that reads output."""
        event = {"kind": "stepped", "rank": self._spec["first_rank"] if rank is None else rank, "step": step}
        event["phase"] = "step"
        if loss is not None:
            event["loss"] = loss
        self._post(lambda: self._steps.read_of_output(event))


def obstacle(spec: Dict[str, Any], job: str, epoch: int) -> Any:  # noqa: PLR0911 - one reason, one return
    """Why a group cannot begin, and who causes it; None where it can. It raises the fence of the checkpoint folder."""
    folder = spec["folder"]
    if spec.get("tombstone") and os.path.exists(spec["tombstone"]):
        return "this attempt was ended before it began", "scheduler"
    if not os.path.isdir(folder):
        return "there is no folder %s here" % folder, "user"
    if not os.access(folder, os.X_OK):
        return "its user may not enter %s" % folder, "user"
    if spec.get("stack") and not os.path.exists(os.path.join(spec["stack"], "bin", "python")):
        return "its environment %s is not there, or has no interpreter" % spec["stack"], "node"
    try:
        if spec.get("checkpoints"):
            fence.raise_to(spec["checkpoints"], job, epoch)
    except fence.StaleError as error:
        return str(error), "scheduler"
    except (OSError, ValueError) as error:
        wrong = isinstance(error, (FileNotFoundError, NotADirectoryError, PermissionError, ValueError))
        return "its checkpoint folder cannot be used: %s" % error, "user" if wrong else "storage"
    return None

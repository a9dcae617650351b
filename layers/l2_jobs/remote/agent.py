"""The agent: at a node's end of a line, as root. It starts units, passes beats on, and tells what launchers say.

It lives as long as its channel and keeps nothing: what is known is in the folders of the attempts, below
`/var/lib/aiops-jobs`, so that any later agent finds it. One thread, which waits for nobody.

What makes an attempt run at most once on a node, whatever agents come and go:
- a launcher claims its folder, and refuses where one has been before;
- what was ended has a tombstone, which is written before anything is ended and looked at, by the launcher, after the
  unit has begun: a start that is late finds it;
- a newer attempt of a job ends the older ones that are still here, and an older one is refused where a newer has been.

Standard library only, Python 3.6, imports nothing of ours but its sisters.
"""

import json
import os
import pwd
import re
import selectors
import signal
import sys
import time
from typing import Any, Dict, Optional, Tuple

from . import kernel, lease, units
from .errands import Errands, as_user
from .folders import Base, clear, owner_of, remove_folder, write
from .group import Group
from .head import Head
from .processes import boot_id
from .terms import Terms

SILENCE = 10.0
"""Seconds without a word from the head after which the agent ends itself."""

BEAT = 0.5
"""Seconds between two beats to the head."""

LATE = 3.0
"""Seconds after the last proof that the head hears us in which a word to start something counts.

A head that hears us no more for 2.5 s (`lease.MISSED`) counts 6.5 s (`lease.EXPIRED`) from then until it begins the job
elsewhere. What is asked for within 3 s has a lease of 5.5 s from its launcher's begin: it has ended by then where that
begins within half a second of the last look here. A unit that takes longer to begin is not covered by this.
"""

HOLD = "/var/lib/aiops/jobs.hold"
"""While this file is there, which only root can make, nothing is started here; it says why."""

_UNANSWERED = 64
_KEY = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,150}\.[0-9]{1,9}$")
_KERNEL_EVERY = 0.5
_LOOK = 0.2
"""Seconds between looks at a unit that is to end."""
_PATIENCE = 1.0
"""Seconds that a launcher has to end its processes, before its unit is ended."""


class Agent(object):
    """All rank groups of this node."""

    def __init__(self, base: str, program: bytes, out: int, term: Optional[Tuple[str, int]] = None) -> None:
        """Prepare.

        Args:
            base: The folder of all attempts.
            program: The launcher's source.
            out: Where the head reads.
            term: The lineage and number of the head's term.
        """
        self._base = Base(base)
        self._terms = None if term is None else Terms(base, term[0], term[1])
        self._program = program
        self._selector = selectors.DefaultSelector()
        self._head = Head(self._selector, out, self._hear_head, self._take)
        self._errands = Errands()
        self._units = units.units(self._errands, base)
        self._kernel = kernel.KernelLog()
        self._groups: Dict[str, Group] = {}
        self._heard = time.monotonic()
        self._looked_kernel = 0.0
        self._beats: Dict[int, float] = {}
        self._proved = lease.clock()
        """When that was sent which the head has answered last: it surely heard us then."""
        self._number = 0
        self._beaten = 0.0
        self._boot_id = boot_id()
        self._taking = True
        self._over = False

    def run(self, source: int) -> None:
        """Serve until the channel ends."""
        if self._terms is not None:
            self._terms.claim()
            if self._deposed():
                return
        self._head.listen(source)
        wake, waker = os.pipe()
        os.set_blocking(waker, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(waker)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(wake, selectors.EVENT_READ, _empty)
        for key in self._base.old(_KEY):
            self._release(key, owner_of(self._base.folder(key)))
        while not self._over:
            busy = self._errands.look()
            closing = any(group.killed_at is not None and not group.told for group in self._groups.values())
            for key, _ in self._selector.select(0.05 if busy or closing else 0.25):
                key.data(key.fileobj)
            self._tick(time.monotonic())

    # -- the channel

    def _hear_head(self, words: Optional[Dict[str, Any]]) -> None:
        if words is None:
            self._over = True
            return
        self._heard = time.monotonic()
        if not self._deposed():
            self._do(words)

    def _deposed(self) -> bool:
        """Whether a later head has been here; then nothing more is done for this one, and its lines end."""
        later = self._terms.outranked() if self._terms is not None else 0
        if later and not self._over:
            self._over = True
            self._say({"deposed": later})
        return self._over

    def _say(self, words: Dict[str, Any]) -> None:
        self._head.send(words)

    def _take(self, taking: bool) -> None:
        """Take what followers say, or leave it with them while the head does not read."""
        self._taking = taking
        for group in self._groups.values():
            if taking:
                group.listen(self._selector, self._hear)
            elif group.socket is not None:
                self._selector.unregister(group.socket)

    # -- what the head wants

    def _do(self, words: Dict[str, Any]) -> None:
        do = words.get("do")
        if do == "beat":
            self._answered(words.get("n"))
            return
        key = words.get("key")
        if not isinstance(key, str) or not _KEY.match(key):
            return
        try:
            if do == "start":
                self._start(key, words)
            elif do == "follow":
                self._follow(key, int(words["uid"]), words)
            elif do == "kill":
                self._kill(key, int(words.get("uid", -1)))
            elif do == "release":
                self._release(key, int(words.get("uid", -1)))
            elif do in ("stop", "dump") and key in self._groups:
                self._groups[key].send(words)
        except (KeyError, TypeError, ValueError, OSError) as error:
            if do == "start":  # of the others nobody may take it for a group that does not run
                self._say({"key": key, "error": "%s: %s" % (do, error), "causer": "node"})

    def _answered(self, number: Any) -> None:
        """The head has answered a beat: it was there when, or after, that was sent.

        A lease counts from then. An answer that was on its way for long, through a network that was cut meanwhile, says
        nothing of now; and the head knows that it has given none since it fell silent.
        """
        sent = self._beats.pop(number, None)
        if sent is not None:
            self._proved = max(self._proved, sent)
            for group in self._groups.values():
                group.send({"do": "beat", "at": sent})

    def _beat(self) -> None:
        now = lease.clock()
        if now - self._beaten < BEAT:
            return
        self._beaten = now
        if self._deposed():
            return
        self._number += 1
        self._beats[self._number] = now
        self._beats.pop(self._number - _UNANSWERED, None)
        self._say({"beat": self._boot_id, "n": self._number})

    def _start(self, key: str, words: Dict[str, Any]) -> None:
        spec = words["spec"]
        user = spec["user"]
        owner = int(user["uid"])
        known = self._groups.get(key)
        if known is not None:
            if known.gone or not known.starting:
                self._tell_state(known)
            return
        if self._base.claimed(key, owner):
            self._follow(key, owner, words)
            return
        refusal = self._late(key, owner) or self._cut_off() or stranger(user)
        if refusal is not None:
            self._say(dict(refusal, key=key))
            return
        self._end_older(key, owner)
        folder = self._base.own(key, owner, int(user["gid"]))
        spec = dict(spec, tombstone=self._base.tombstone(key))
        spec["unit"] = units.unit_of(key) if isinstance(self._units, units.Systemd) else None
        text = json.dumps(spec).encode("utf-8")

        def write_spec() -> int:
            as_user(owner, int(user["gid"]), None)
            os.chdir(folder)
            write("spec.json", text, 0o600)
            return 0

        group = self._groups[key] = Group(key, owner, self._base.folder(key))
        group.starting = True
        program = self._base.placed(self._program)
        self._errands.fork(write_spec, lambda *end: self._written(group, program, spec, words, end))

    def _written(self, group: Group, program: str, spec: Dict[str, Any], words: Dict[str, Any], end: Any) -> None:
        status, said = end
        folder = group.folder
        cut_off = self._cut_off()
        if cut_off is not None:
            del self._groups[group.key]
            self._say(dict(cut_off, key=group.key))
            return
        if status:
            self._failed(group, "its folder %s cannot be written: %s" % (folder, said.splitlines()[-1:]))
            return
        self._units.start(group.key, folder, program, spec, lambda code, said: self._started(group, code, said, words))

    def _started(self, group: Group, status: int, said: str, words: Dict[str, Any]) -> None:
        group.starting = False
        if status and not self._base.claimed(group.key, group.owner):
            self._failed(group, said.splitlines()[-1] if said else "its launcher does not start: %d" % status)
            return
        group.know(words)
        self._begin_follower(group)
        self._tell_state(group)
        if os.path.exists(self._base.tombstone(group.key)) and group.killed_at is None:
            self._kill(group.key, group.owner)

    def _failed(self, group: Group, reason: str) -> None:
        del self._groups[group.key]
        self._say({"key": group.key, "error": reason, "causer": "node"})

    def _late(self, key: str, owner: int) -> Optional[Dict[str, str]]:
        """Why it is too late to start an attempt here; None where it is not."""
        if os.path.exists(self._base.tombstone(key)):
            return {"error": "this attempt was ended here before", "causer": "scheduler"}
        if os.path.exists(HOLD):
            return {"error": "this node is held out of service: see `aiops node show`", "causer": "node"}
        job, _, number = key.rpartition(".")
        newer = [one for one in self._base.numbers(job, owner) if one > int(number)]
        if newer:
            return {"error": "attempt %d of this job has been here" % newer[-1], "causer": "scheduler"}
        return None

    def _cut_off(self) -> Optional[Dict[str, str]]:
        """Why a word to start is not to be trusted: it was on its way for long, and the head may have given us up."""
        quiet = lease.clock() - self._proved
        if quiet <= LATE:
            return None
        words = "the word to start it came late: the head has answered nothing of the last %.1f s" % quiet
        return {"error": words, "causer": "network"}

    def _end_older(self, key: str, owner: int) -> None:
        """End what may still run here of older attempts of the same job."""
        job, _, number = key.rpartition(".")
        for one in self._base.numbers(job, owner):
            other = "%s.%d" % (job, one)
            known = self._groups.get(other)
            if one < int(number) and os.path.isdir(self._base.folder(other)) and not (known and known.gone):
                self._kill(other, owner)

    def _follow(self, key: str, owner: int, words: Dict[str, Any]) -> None:
        group = self._groups.get(key)
        if group is None:
            if owner < 0:  # a head that does not know it any more, and wants its end
                owner = owner_of(self._base.folder(key))
            end = self._base.end(key)
            if end is not None:
                self._say({"key": key, "event": end})
            group = self._groups[key] = Group(key, owner, self._base.folder(key))
            group.know(words)
            group.awaited = bool(words.get("awaited"))
            group.doubtful = True
            self._begin_follower(group)
        else:
            self._tell_state(group)

    def _kill(self, key: str, owner: int) -> None:
        self._bury(key, None)
        group = self._groups.get(key)
        if group is None:
            if owner < 0:
                owner = owner_of(self._base.folder(key))
            group = self._groups[key] = Group(key, owner, self._base.folder(key))
            self._begin_follower(group)
        if group.gone:
            self._tell_state(group)
            return
        if group.killed_at is None:
            group.killed_at = time.monotonic()
            group.send({"do": "kill"})

    def _bury(self, key: str, end: Optional[Dict[str, Any]]) -> None:
        try:
            self._base.bury(key, end)
        except OSError:
            pass  # on a full disk nothing can be started late either: what runs is ended, and what is left removed

    def _release(self, key: str, owner: int) -> None:
        """Forget a group, and remove its folder, once nothing of it runs.

        Its end was its launcher's word, which its user may have made up: what is not gone is ended first.
        """
        group = self._groups.get(key)
        if group is None or not group.gone or group.socket is not None:
            if group is None or group.killed_at is None:
                self._kill(key, owner)
            self._groups[key].released = True
            return
        del self._groups[key]
        # A head that was restored from an older store asks of it again.
        self._bury(key, group.last)
        folder = self._base.folder(key)
        owner = owner_of(folder)
        if owner < 0:
            return

        def remove() -> int:
            as_user(owner, os.lstat(folder).st_gid, None)
            os.chdir(folder)
            if os.stat(".").st_uid == owner:
                clear(".")
            return 0

        self._errands.fork(remove, lambda *_: remove_folder(folder))

    # -- followers

    def _begin_follower(self, group: Group) -> None:
        others = [one.socket.fileno() for one in self._groups.values() if one.socket is not None]
        group.begin([*self._head.files, *others])
        if self._taking:
            group.listen(self._selector, self._hear)

    def _hear(self, group: Group) -> None:
        if group.socket is None:
            return
        said = group.heard()
        if said is None:
            if self._taking:
                self._selector.unregister(group.socket)
            group.end()
            group.doubtful = group.doubtful or not group.gone  # its user has killed it: what it had to say is in files
            self._tell_state(group)
            return
        for words in said:
            if "launcher" in words:
                group.doubtful = words["launcher"] != "here"
                if not group.doubtful and not group.starting:
                    self._tell_state(group)
            for one in group.passed_on(words):
                self._say(one)

    # -- what is due

    def _tick(self, now: float) -> None:
        if now - self._heard > SILENCE:
            self._over = True
        self._beat()
        if now - self._looked_kernel >= _KERNEL_EVERY and self._taking:
            self._looked_kernel = now
            lines, missed = self._kernel.read(now)
            for line in lines:
                self._say({"kernel": line})
            if missed:
                self._say({"kernel": None, "missed": missed})
        for group in list(self._groups.values()):
            if group.gone or group.starting or group.asking:
                continue
            if group.killed_at is None and not group.doubtful:
                continue
            if now - group.looked < _LOOK or self._to_come(group):
                continue
            group.looked = now
            if group.killed_at is not None and now - group.killed_at > _PATIENCE:
                self._units.kill(group.key, group.owner)
            self._ask(group)

    def _to_come(self, group: Group) -> bool:
        """Whether its launcher may still be to come, so that none is missed."""
        return group.awaited and group.killed_at is None and not self._base.claimed(group.key, group.owner)

    def _ask(self, group: Group) -> None:
        group.asking = True

        def told(gone: Any) -> None:
            group.asking = False
            if gone and not group.starting:
                group.gone = True
                if group.socket is not None:
                    group.send({"do": "end"})  # it reads the rest, and then its end is heard
                else:
                    self._tell_state(group)
            elif gone is False and group.socket is None:  # somebody has killed its follower
                self._begin_follower(group)

        self._units.gone(group.key, group.owner, told)

    def _tell_state(self, group: Group) -> None:
        if group.gone and group.socket is None:
            group.told = True
            self._say({"key": group.key, "unit": "gone"})
            if group.released:
                self._release(group.key, group.owner)
        elif not group.gone and not group.doubtful:
            self._say({"key": group.key, "unit": "active"})


def stranger(user: Dict[str, Any]) -> Optional[Dict[str, str]]:
    """Why a user's jobs are not started here; None where they may be."""
    try:
        known = pwd.getpwnam(user["name"])
    except KeyError:
        return {"error": "there is no user %s here" % user["name"], "causer": "user"}
    error = None
    if known.pw_uid != user["uid"]:
        error = "%s has the number %d here and %d at the head" % (user["name"], known.pw_uid, user["uid"])
    elif user["uid"] == 0 and not user.get("root"):
        error = "jobs do not run as root here: set `aiops_jobs_as_root: true` in the inventory"
    elif os.geteuid() not in (0, user["uid"]):
        error = "the agent here is not root, and cannot become %s" % user["name"]
    return {"error": error, "causer": "user"} if error else None


def _empty(file: int) -> None:
    try:
        while os.read(file, 4096):
            pass
    except BlockingIOError:
        pass


def serve(program: str, base: Optional[str] = None, term: Optional[Tuple[str, int]] = None) -> None:
    """Serve the channel on stdin and stdout; what a library prints by itself must not get into it."""
    out = os.dup(1)
    os.dup2(2, 1)
    if base is None:
        base = "/var/lib/aiops-jobs" if os.geteuid() == 0 else os.path.expanduser("~/.local/share/aiops-jobs")
    os.makedirs(base, exist_ok=True)
    Agent(os.path.realpath(base), program.encode("utf-8"), out, term).run(0)
    sys.stdout.flush()
    os._exit(0)

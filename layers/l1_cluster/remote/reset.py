"""Puts a node back to what it was before aiops first changed it, by what `memory` has written down.

Standard library only, Python 3.6, imports nothing of ours: it is sent to `python3 -` behind the fence, with the modules
that it uses and one call of `main` behind it. Every step looks first and may be taken again: after a kill or a power
cut the same program goes on. The memory goes last, and only when nothing has failed.
"""

import json
import os
import re
import sys
from typing import Any, Container, Dict, Iterable, Iterator, List

from . import accounts, evidence, machine, memory, notebook, paths, purge, units
from .paths import Step
from .sight import TroubleError, installed, mounted, setting

OWN = (
    "/etc/aiops/apt",
    "/etc/aiops/apt.conf",
    "/usr/local/lib/aiops",
    "/srv/aiops/bundle",
    "/srv/aiops/environments",
    "/srv/aiops/incoming",
    "/srv/aiops/old",
    "/var/cache/aiops",
    "/run/aiops",
    "/run/systemd/system/slurmd.service.d/aiops.conf",  # of phase scheduler, until the next boot
)
"""What is ours whatever is in it; an operator's files may be in /etc/aiops, a controller's in /var/lib/aiops."""

NO_PROOF = ("/var/cache/aiops", "/run/aiops")
"""Those of OWN that prove no deploy: a cache, and marks that last until the next boot."""

SHARED = ("/etc/aiops", "/srv/aiops")
"""Folders of ours in which others may have something."""

PROGRAM = "/opt/aiops"
ANSIBLE = ("/root/.ansible/tmp", "/root/.ansible")
STATE = "/var/lib/aiops"
FENCE = re.compile(r"(epoch|gate)([.-].*)?")
STALE_STATUS = 75
"""What the fence ends with."""

HOLD_SECONDS = 1500
"""How long a reset waits for one before it, whose controller was killed and which goes on here."""


class StaleError(Exception):
    """Another owner of the cluster's lock has come to this node: nothing more is changed."""


class Reset:
    """One reset under way.

    Attributes:
        done: What was undone, or would be.
        kept: What stays, with the reason.
        failed: What could not be undone, with the reason.
    """

    def __init__(self, request: Dict[str, Any], folder: str) -> None:
        self.request = request
        self.folder = folder
        self.memory = notebook.read(folder)
        self.done = []  # type: List[Dict[str, str]]
        self.kept = []  # type: List[Dict[str, str]]
        self.failed = []  # type: List[Dict[str, str]]

    @property
    def dry(self) -> bool:
        """Whether it is only told what would be done."""
        return bool(self.request["dry"])

    def take(self, steps: Iterator[Step]) -> None:
        """Take steps, or tell of them; one that fails stops no other."""
        for step in steps:
            try:
                if not self.dry:
                    pass_fence(self.request["epoch"])
                    step.do()
            except (OSError, TroubleError, KeyError) as error:
                self.failed.append({"key": step.key, "reason": reason_of(error)})
            else:
                self.done.append({name: value for name, value in step._asdict().items() if name != "do"})

    def keep(self, what: str, why: str) -> None:
        """Note something that stays."""
        self.kept.append({"what": what, "why": why})

    def run(self) -> None:
        """All of it, in the order in which nothing needs what is gone already."""
        seen = self.memory["seen"]
        packages, there = installed(), accounts.present()
        if self.memory["window"]:
            memory.close_window(self.memory, packages)
        leaving, staying = purge.ours(self.memory, packages)
        if "aiops" in leaving and self._runs_here():
            leaving.remove("aiops")
        self.memory["evidence"] = evidence.gather(self.memory, leaving, packages)
        if not self.dry:
            self.memory["leaving"] = sorted(set(leaving).union(self.memory.get("leaving", ())))
            notebook.keep(self.folder, self.memory)
        mounts = [key[len("mount:") :] for key, state in seen.items() if key.startswith("mount:") and not state["was"]]
        self._stop(mounts)
        if self.failed:
            return  # whatever is in use stays as it is, with all that it rests on
        self.take(paths.files(self, own=(*OWN, PROGRAM, STATE)))
        self.take(paths.unfinished(self))
        self.take(purge.steps(self, leaving, packages, installed))
        purge.tell_staying(self, staying, leaving, packages)
        self.take(accounts.accounts(self, there))
        self.take(self._settings(seen))
        self.take(self._leftovers())
        self.take(paths.folders(self, own=(*OWN, PROGRAM, STATE)))
        self.take(units.bring_back(seen, self.dry))
        self.take(self._own())
        if not self.dry:
            accounts.put_backups_back(self)
            if not self.failed:
                pass_fence(self.request["epoch"])
                self._forget()

    def _stop(self, mounts: List[str]) -> None:
        """Stop what was not there before; a mount that stays is a failure."""
        self.take(units.stop(self.memory["seen"]))
        for path in sorted(set(mounts).intersection(mounted())) if not self.dry else ():
            self.failed.append({"key": "mount:" + path, "reason": "it is still mounted; end what uses it"})

    def _settings(self, seen: Dict[str, Any]) -> Iterator[Step]:
        for key, state in sorted(seen.items()):
            if key.startswith("sysctl:") and state["was"] is not None:
                path = key[len("sysctl:") :]
                found = setting(path)
                if found != state["was"] and found is not None:
                    write = lambda path=path, value=state["was"]: paths.set_value(path, value)  # noqa: E731
                    name = path[len("/proc/sys/") :].replace("/", ".")
                    yield Step("sysctl:" + name, "set", found, state["was"], write)

    def _leftovers(self) -> Iterator[Step]:
        for path in evidence.leftovers(self.memory, self.folder, mounted()):
            number = evidence.person(path, self.memory)
            if number:
                self.keep(path, "there are files of user %s in it" % number)
            elif not any((path + "/").startswith(own + "/") for own in (*OWN, PROGRAM, STATE)):
                words = paths.weight(path, "left over")
                yield Step("file:" + path, "delete", words, "absent", lambda path=path: paths.delete(path))
        for path, rights in evidence.lost(self.memory, self.folder):
            make = lambda path=path, rights=rights: paths.make(path, rights)  # noqa: E731
            yield Step("file:" + path, "create", "absent", "folder", make)

    def _own(self) -> Iterator[Step]:
        before = evidence.places(self.folder)["places"]
        for path in (*OWN, PROGRAM):
            if not os.path.lexists(path):
                continue
            if path == PROGRAM and self._runs_here():
                self.keep(path, "this reset is run by the aiops in it")
            elif path in before:
                self.keep(path, "it was there before the first deploy that is remembered")
            else:
                words = paths.weight(path, "ours")
                yield Step("file:" + path, "delete", words, "absent", lambda path=path: paths.delete(path))
        for folder in [path for path in SHARED if os.path.isdir(path)]:
            left = sorted(name for name in os.listdir(folder) if os.path.join(folder, name) not in OWN)
            if left:
                self.keep(folder, "%s in it is not ours" % ", ".join(left[:3]))
            elif folder not in before:
                yield Step("file:" + folder, "delete", "empty", "absent", lambda folder=folder: paths.prune(folder))
        if not self.dry:
            prune_new(ANSIBLE, before)
        secrets = os.path.join(STATE, "clusters", self.request["whole"], "secrets")
        if self.request["whole"] and os.path.isdir(secrets):
            words = paths.weight(secrets, "ours")
            yield Step("file:" + secrets, "delete", words, "absent", lambda: paths.delete(secrets))

    def _runs_here(self) -> bool:
        """Whether the controller's own program is the one on this node."""
        with open("/proc/sys/kernel/random/boot_id") as stream:
            here = stream.read().strip() == self.request["boot"]
        return here and (self.request["prefix"] + "/").startswith(PROGRAM + "/")

    def _forget(self) -> None:
        """Remove the memory, and what else is a node's in our state folder."""
        # As if nothing had ever been changed, in one step; what is cut off after it is no memory that was lost.
        notebook.keep(self.folder, notebook.empty())
        drop(self.folder)
        forget_fence()
        if self.request["whole"]:
            paths.prune(os.path.join(STATE, "clusters", self.request["whole"]))
            paths.prune(os.path.join(STATE, "clusters"))
        left = sorted(os.listdir(STATE)) if os.path.isdir(STATE) else []
        left = [name for name in left if name not in ("lock", "clusters")]
        if left:
            self.keep(STATE, "a controller's own state is in it (%s)" % ", ".join(left[:3]))
        paths.prune(STATE)


def drop(folder: str) -> None:
    """Remove a memory that remembers nothing; the originals first, for they prove one while they are there."""
    paths.delete(os.path.join(folder, "files"))
    paths.delete(folder)


def prune_new(folders: Iterable[str], before: Container[str]) -> None:
    """Remove those of `folders` that are empty and were not there before."""
    for path in folders:
        if path not in before:
            paths.prune(path)


def forget_fence() -> None:
    """Remove what the fence has left."""
    for name in os.listdir(STATE) if os.path.isdir(STATE) else ():
        if FENCE.fullmatch(name):
            paths.delete(os.path.join(STATE, name))


def reason_of(error: Exception) -> str:
    """Why something failed, in one line."""
    if isinstance(error, OSError) and error.errno:
        return "%s: %s" % (error.filename, os.strerror(error.errno))
    return str(error.args[0]) if error.args else type(error).__name__


def pass_fence(epoch: int) -> None:
    """Go on only while no owner of the cluster's lock after ours has come to this node.

    Raises:
        StaleError: One has.
    """
    try:
        with open(os.path.join(STATE, "epoch")) as stream:
            seen = int(stream.read())
    except FileNotFoundError:
        return
    if seen > epoch:
        raise StaleError("fence: epoch %d is stale, this node has seen %d meanwhile" % (epoch, seen))


def reset(request: Dict[str, Any], folder: str) -> Dict[str, Any]:
    """Undo what the memory in `folder` tells; what was done, what stays and what could not be done.

    Raises:
        StaleError: Another owner of the cluster's lock came meanwhile.
        TroubleError: Another step held the memory for too long, it is none of ours, or this is another machine.
        OSError: Something cannot be read.
    """
    here = machine.identity()
    if request["machine"] not in ("", here["machine"]):
        raise TroubleError("this is another machine than the one that was looked at")
    if not remembers(folder):
        return dict(forgotten(request, folder), **here)
    descriptor = None if request["dry"] else hold(folder)
    try:
        if remembers(folder):
            work = Reset(request, folder)
            work.run()
        elif request["dry"]:
            return dict(forgotten(request, folder), **here)
        else:  # the one before us has done it all
            return dict(here, known=True, done=[], kept=[], failed=[], reboot=None)
    finally:
        if descriptor is not None:
            os.close(descriptor)
    told = {"done": work.done, "kept": work.kept, "failed": work.failed}
    return dict(told, known=True, reboot=work.memory["reboot"], **here)


def remembers(folder: str) -> bool:
    """Whether there is a memory; one that was only begun is none, for nothing was changed then."""
    return "accounts" in notebook.read(folder)


def hold(folder: str) -> Any:
    """Have the memory to oneself; None where it has gone meanwhile."""
    try:
        return notebook.hold(folder, HOLD_SECONDS)
    except FileNotFoundError:
        return None


def forgotten(request: Dict[str, Any], folder: str) -> Dict[str, Any]:
    """The answer of a node that has no memory: nothing was deployed to it, or it is not known what there was before.

    The fence alone proves nothing: it goes to all nodes when the lock is taken over.
    """
    told = {"known": False, "done": [], "kept": [], "failed": [], "reboot": None}  # type: Dict[str, Any]
    originals = os.path.join(folder, "files")
    lost = not os.path.exists(os.path.join(folder, "memory.json"))
    there = [path for path in (*OWN, PROGRAM) if os.path.lexists(path)]
    ours = [path for path in there if path not in (*NO_PROOF, PROGRAM)]
    ours += [originals] if lost and os.path.isdir(originals) and os.listdir(originals) else []
    if ours:
        reason = "%s there, but what was there before is not remembered: nothing is undone" % are(ours)
        told["failed"].append({"key": "file:" + os.path.join(folder, "memory.json"), "reason": reason})
        return told
    if not request["dry"]:
        drop(folder)
        forget_fence()
        paths.prune(STATE)
    why = "nothing is remembered of how the node was before"
    told["kept"] += [{"what": path, "why": why} for path in there]
    return told


def are(names: List[str]) -> str:
    """`A is`, `A and 3 more are`."""
    return "%s is" % names[0] if len(names) == 1 else "%s and %d more are" % (names[0], len(names) - 1)


def main(packed: str, folder: str = notebook.FOLDER) -> None:
    """Undo and print what became of it, as JSON; end with 1 where nothing could begin, as the fence does when shut."""
    os.umask(0o022)
    try:
        answer = reset(notebook.unpack(packed), folder)
    except StaleError as error:
        sys.stderr.write("%s\n" % error)
        sys.exit(STALE_STATUS)
    except (OSError, TroubleError) as error:
        sys.exit("reset: %s" % reason_of(error))
    print(json.dumps(answer))

"""For training scripts, `from aiops import checkpoint`: checkpoints whole or absent, a heartbeat, a stop request.

Standard library, Python 3.6, and nothing else of aiops: copy this one file where aiops is not installed (that is why it
is one file). Without aiops around it works all the same.

How `save` works. Each rank writes into a folder of its own below `.step-N.saving`, and everything it wrote is on the
disk before its part is told. The first rank brings the parts together, writes the manifest last, and only then the
folder gets its name `step-N`. So whatever has that name is whole, also after `kill -9` or a power cut; what was being
written then is hidden, and goes with the next save. Parts carry the number of the save that they belong to, which the
first rank draws anew each time, so that one left behind by an earlier attempt is never taken for a new one.

What aiops gives to processes that it runs: AIOPS_JOB, AIOPS_EPOCH, AIOPS_CHECKPOINTS, AIOPS_RESUME (a path, or empty to
begin), AIOPS_PROGRESS (a datagram socket, or a file), AIOPS_STOP (a file that is there once the process is to leave).
"""

import errno
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import stat
import sys
import threading
import time
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple, Union

__all__ = [
    "Callback",
    "CheckpointError",
    "IncompleteError",
    "StaleEpochError",
    "latest",
    "progress",
    "save",
    "seal",
    "stop_requested",
    "watch_stop",
]

MANIFEST = "aiops-manifest.json"
FENCE = ".aiops-epoch"  # a dot and the job follow
_NAME = re.compile(r"(?:step|checkpoint)-(\d{1,18})(\.old-[0-9a-f]+)?")
_LEFT = re.compile(r"\.step-\d+\.(?:saving|removing-[0-9a-f]+|done-[0-9a-f]+)")
_CUT_OFF = re.compile(re.escape(MANIFEST) + r"\.[0-9a-f]{12}")
_BEGIN = "begin.json"
_CHUNK = 1 << 20
_THREADS = 8  # sha256 lets other threads run; more than this and it is the disk that is waited for
_RENAME_EXCHANGE = 2  # renameat2(2)
_HERE = -100  # AT_FDCWD

_PathLike = Union[str, "os.PathLike[str]"]


class CheckpointError(RuntimeError):
    """A checkpoint cannot be written."""


class StaleEpochError(CheckpointError):
    """A newer attempt of the job has begun: this process may write no checkpoint any more, and has changed none."""


class IncompleteError(CheckpointError):
    """A rank's part of a checkpoint is missing, or two ranks have written different files of one name."""


def save(
    folder: _PathLike,
    step: int,
    write: Callable[[str], Any],
    *,
    keep: Optional[int] = None,
    data: Optional[Dict[str, Any]] = None,
    format: str = "files",  # noqa: A002 - the manifest's word
    rank: int = 0,
    world_size: Optional[int] = None,
    timeout: float = 1800.0,
) -> str:
    """Write `folder/step-N`, whole or not at all; returns its path once it is on the disk.

    With `world_size` every rank has to call it, each writes its own files (relative names must differ, or the content
    must be the same), `folder` must be the same folder for all of them, and it returns on every rank.

    Args:
        folder: Where the checkpoints of this run are; made when it is missing.
        step: The step that this is the state after. One that is there already is replaced.
        write: Is given an empty folder and writes all files into it.
        keep: So many are kept, at least 2; older ones that are whole are removed afterwards. None removes none.
        data: Where in the data the run is, or anything else that JSON can say; kept in the manifest.
        format: What wrote the files, for those who read the manifest: `torch`, `dcp`, `safetensors` ...
        rank: This process' number, from 0.
        world_size: How many ranks take part; None for one that writes all.
        timeout: Seconds that the parts of other ranks may take after this one's.

    Raises:
        StaleEpochError: A newer attempt of this job has begun.
        IncompleteError: The part of another rank did not come, or does not fit.
        ValueError: An argument makes no sense, or nothing was written; nothing has changed then.
        OSError: The disk is full, or fails; all earlier checkpoints are as they were.
    """
    _sensible(step, data, world_size)
    if keep is not None and keep < 2:  # noqa: PLR2004 - one to go on from, and one more should it turn out bad
        raise ValueError("keep=%d leaves nothing to fall back on: keep at least 2" % keep)
    if not 0 <= rank < (world_size or 1):
        raise ValueError("rank=%d is none of %d ranks" % (rank, world_size or 1))
    folder = os.path.abspath(os.fspath(folder))
    _refuse_stale(folder)
    progress(step, phase="save")
    _make(folder)
    one = _Save(folder, step, rank, world_size, timeout)
    try:
        one.begin()
        write(one.own)
        files = _kept(one.own, step)
        if not files:
            raise ValueError("nothing was written into %s" % one.own)  # noqa: TRY301 - as if `write` had raised it
        if rank == 0:
            files = one.gather(files)
            one.publish(_manifest(step, data, format, world_size, files))
    except BaseException as error:
        one.give_up(error)
        raise
    if rank > 0:
        one.wait_for_seal(files)
    elif keep is not None:
        _prune(folder, keep, step)
    return one.final


def seal(
    path: _PathLike,
    step: int,
    *,
    data: Optional[Dict[str, Any]] = None,
    format: str = "files",  # noqa: A002 - the manifest's word
    world_size: Optional[int] = None,
) -> None:
    """Make sure of a checkpoint that something else has written: all of it on the disk, then a manifest of all files.

    Call it once nothing writes to `path` any more, on one rank. Raises as `save` does.
    """
    _sensible(step, data, world_size)
    path = os.path.abspath(os.fspath(path))
    _refuse_stale(os.path.dirname(path))
    files = _kept(path, step)
    if not files:
        raise ValueError("there are no files in %s" % path)
    _sync_folder(path)  # before the manifest is there, for here it is seen at once
    _refuse_stale(os.path.dirname(path))
    _write_manifest(path, _manifest(step, data, format, world_size, files))
    _sync_folder(os.path.dirname(path))


def latest(folder: _PathLike) -> Optional[str]:
    """The checkpoint to go on from, or None to begin.

    Under aiops that is the one that aiops has verified and chosen. Otherwise it is the newest `step-N` or
    `checkpoint-N` whose manifest is there and whose files all have the size that it says. Contents are not compared:
    `aiops checkpoint verify` does that.
    """
    folder = os.path.abspath(os.fspath(folder))
    chosen = os.environ.get("AIOPS_RESUME")
    ours = os.environ.get("AIOPS_CHECKPOINTS")
    if chosen and (not ours or _below(chosen, folder)):
        return chosen
    if chosen == "" and ours and _below(folder, ours):
        return None
    found = []
    for name in _names(folder):
        match = _NAME.fullmatch(name)
        if match:
            found.append((int(match.group(1)), match.group(2) is None, name))
    for step, _, name in sorted(found, reverse=True):
        path = os.path.join(folder, name)
        if _flaw(path, step) is None:
            return path
    return None


def _sensible(step: int, data: Optional[Dict[str, Any]], world_size: Optional[int]) -> None:
    if isinstance(step, bool) or not isinstance(step, int) or step < 0:
        raise ValueError("step=%r is no number of a step" % (step,))
    if world_size is not None and world_size < 1:
        raise ValueError("world_size=%d: at least one rank writes" % world_size)
    if data is not None and not isinstance(data, dict):
        raise ValueError("data=%r is no dictionary" % (data,))
    try:
        json.dumps(data, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError("data cannot be written as JSON: %s" % error) from error


def _epoch() -> Optional[int]:
    text = os.environ.get("AIOPS_EPOCH", "")
    if text and not text.isdigit():
        raise ValueError("AIOPS_EPOCH=%r is no number of an attempt" % text)
    return int(text) if text else None


def _fence() -> str:
    job = os.environ.get("AIOPS_JOB", "")
    return "%s.%s" % (FENCE, job) if job else FENCE


def _refuse_stale(folder: str) -> None:
    epoch = _epoch()
    if epoch is None:
        return
    for place in {folder, os.environ.get("AIOPS_CHECKPOINTS") or folder}:
        path = os.path.join(place, _fence())
        try:
            with open(path) as stream:
                text = stream.read(64)
        except (FileNotFoundError, NotADirectoryError):
            continue
        try:
            fence = int(text)
        except ValueError:
            raise StaleEpochError("%s says %r, which is no attempt: nothing is written" % (path, text)) from None
        if epoch < fence:
            raise StaleEpochError(
                "attempt %d of this job has begun (%s), and this is attempt %d: it writes no checkpoint any more"
                % (fence, path, epoch)
            )


def _drawn() -> str:
    return os.urandom(6).hex()


def _names(folder: str) -> List[str]:
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _below(path: str, folder: str) -> bool:
    path, folder = os.path.realpath(path), os.path.realpath(folder)
    return os.path.commonpath([path, folder]) == folder


def _make(folder: str) -> None:
    """Make a folder and those above it, so that none of them is gone after a power cut."""
    if os.path.isdir(folder):
        return
    _make(os.path.dirname(folder))
    try:
        os.mkdir(folder)
    except FileExistsError:
        return
    _sync_folder(os.path.dirname(folder))


def _sync_folder(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_CLEARED = set()  # type: set[str] # folders from which what earlier processes left was taken


def _clear(folder: str, but: str) -> None:
    """Remove what killed processes left. Once per process: later, what is there may be a save of ours in a thread."""
    if folder in _CLEARED:
        return
    _CLEARED.add(folder)
    for name in _names(folder):
        path = os.path.join(folder, name)
        match = _NAME.fullmatch(name)
        if match and match.group(2):
            plain = os.path.join(folder, name[: match.start(2)])
            if not os.path.lexists(plain):
                os.rename(path, plain)  # killed before the new one had the name
                continue
        elif not _LEFT.fullmatch(name) or name == but:
            continue
        shutil.rmtree(path, ignore_errors=True)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


def _replace(path: str, document: Any, durable: bool = False) -> None:
    """Write JSON so that a reader sees the old or the new; with `durable` the new is on the disk before it is seen."""
    temporary = "%s.%s" % (path, _drawn())
    try:
        with open(temporary, "w") as stream:
            json.dump(document, stream, indent=1)
            stream.write("\n")
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        os.rename(temporary, path)
    except BaseException:
        _remove(temporary)
        raise


def _tree(path: str) -> Tuple[List[str], List[str]]:
    """Relative names of all files, and all folders with `path` last; a manifest that is there does not count."""
    files = []
    folders = []
    for above, inner, names in os.walk(path, topdown=False, onerror=_raise):
        for name in names + [one for one in inner if os.path.islink(os.path.join(above, one))]:
            whole = os.path.join(above, name)
            if not stat.S_ISREG(os.lstat(whole).st_mode):
                raise ValueError("%s is no regular file: a checkpoint must hold its files itself" % whole)
            files.append(os.path.relpath(whole, path))
        folders.append(above)
    for name in filter(_CUT_OFF.fullmatch, list(files)):
        os.unlink(os.path.join(path, name))  # whoever was to write the manifest was killed there
        files.remove(name)
    return sorted(set(files) - {MANIFEST}), folders


def _raise(error: OSError) -> None:
    raise error


def _kept(path: str, step: int) -> List[Dict[str, Any]]:
    """Bring all below `path` to the disk, but not yet its own entries; returns what the manifest says of each file."""
    from concurrent.futures import ThreadPoolExecutor

    names, folders = _tree(path)
    threads = max(1, min(_THREADS, os.cpu_count() or 1, len(names)))
    found = []
    with ThreadPoolExecutor(threads) as pool:
        for one in pool.map(lambda name: _file(path, name), names):
            found.append(one)
            progress(step, phase="save")
    for folder in folders[:-1]:
        _sync_folder(folder)
    return found


def _file(path: str, name: str) -> Dict[str, Any]:
    digest = hashlib.sha256()
    size = 0
    buffer = memoryview(bytearray(_CHUNK))
    with open(os.path.join(path, name), "rb", buffering=0) as stream:
        os.fsync(stream.fileno())
        while True:
            count = stream.readinto(buffer)
            if not count:
                break
            digest.update(buffer[:count])
            size += count
    return {"path": name, "size": size, "sha256": digest.hexdigest()}


def _manifest(
    step: int, data: Optional[Dict[str, Any]], form: str, world_size: Optional[int], files: List[Dict[str, Any]]
) -> Dict[str, Any]:
    return {
        "aiops": 1,
        "step": step,
        "world_size": world_size,
        "job": os.environ.get("AIOPS_JOB") or None,
        "epoch": _epoch(),
        "format": form,
        "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "data": data,
        "files": sorted(files, key=lambda one: one["path"]),
    }


def _write_manifest(path: str, document: Dict[str, Any]) -> None:
    _replace(os.path.join(path, MANIFEST), document, durable=True)
    _sync_folder(path)


def _read(path: str) -> Any:
    try:
        with open(path) as stream:
            return json.load(stream)
    except (OSError, ValueError):
        return None


def _pauses(timeout: float) -> Iterable[None]:
    """Comes back again and again, ever more slowly, until `timeout` seconds have passed."""
    end = time.monotonic() + timeout
    pause = 0.005
    while True:
        yield
        left = end - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(pause, left))
        pause = min(0.25, pause * 1.5)


class _Save(object):
    """One save, as one rank sees it.

    Attributes:
        place: What all ranks write below until it is sealed.
        own: What this rank writes into; that of the first rank becomes the checkpoint.
        number: Drawn for this save; the first rank's is told to the others in `begun`.
        seen: What this rank has read there; once that is gone again, the first rank has given up.
    """

    def __init__(self, folder: str, step: int, rank: int, world_size: Optional[int], timeout: float) -> None:
        self.folder = folder
        self.step = step
        self.rank = rank
        self.ranks = world_size or 1
        self.timeout = timeout
        self.final = os.path.join(folder, "step-%d" % step)
        self.place = os.path.join(folder, ".step-%d.saving" % step)
        self.begun = os.path.join(self.place, _BEGIN)
        self.number = _drawn()
        self.seen = None  # type: Optional[str]
        self.own = os.path.join(self.place, "rank-%d-%s" % (rank, self.number))

    def begin(self) -> None:
        """Make this rank's folder; the first rank tells that a save has begun."""
        if self.rank == 0:
            _clear(self.folder, os.path.basename(self.place))
        os.makedirs(self.place, exist_ok=True)
        if self.rank == 0 and self.ranks > 1:
            _replace(self.begun, {"save": self.number})
        self.seen = self._number_begun()
        os.mkdir(self.own)

    def give_up(self, error: BaseException) -> None:
        """Remove what this rank has written and let the others know."""
        if self.rank == 0:
            _remove(self.begun)  # the others look whether it is there
        else:
            try:
                self._tell({"failed": "%s: %s" % (type(error).__name__, error)}, self._number_begun())
            except OSError:
                pass  # the first rank waits for its time, then
        shutil.rmtree(self.place if self.ranks == 1 else self.own, ignore_errors=True)

    def gather(self, files: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
        """Bring the files of all ranks into `own`; returns what the manifest says of them, `files` first."""
        known = {one["path"]: one for one in files}
        for rank, part in sorted(self._parts().items()):
            for one in part["files"]:
                before = known.setdefault(one["path"], one)
                if before is one:
                    self._take(os.path.join(self.place, part["folder"]), one)
                elif before != one:
                    raise IncompleteError("rank %d has written another %s than a rank before it" % (rank, one["path"]))
        if self.ranks > 1:
            for folder in _tree(self.own)[1][:-1]:
                _sync_folder(folder)
        return list(known.values())

    def _parts(self) -> Dict[int, Dict[str, Any]]:
        """What the other ranks have written in this save, once all have."""
        parts = {}  # type: Dict[int, Dict[str, Any]]
        missing = set(range(1, self.ranks))
        for _ in _pauses(self.timeout):
            for rank in sorted(missing):
                part = _read(os.path.join(self.place, "part-%d.json" % rank))
                if not isinstance(part, dict) or part.get("save") != self.number:
                    continue
                if "failed" in part:
                    raise IncompleteError("rank %d could not write its part: %s" % (rank, part["failed"]))
                parts[rank] = part
            missing -= set(parts)
            if not missing:
                return parts
        raise IncompleteError(
            "no part of rank %s came within %g s: do all ranks save, and is %s one folder for all of them?"
            % (", ".join(map(str, sorted(missing))), self.timeout, self.folder)
        )

    def _take(self, source: str, one: Dict[str, Any]) -> None:
        path = os.path.join(source, one["path"])
        if os.stat(path).st_size != one["size"]:
            raise IncompleteError("%s is not as it was written" % path)
        target = os.path.join(self.own, one["path"])
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.rename(path, target)

    def publish(self, document: Dict[str, Any]) -> None:
        """Seal `own` and give it its name; `place` is gone then."""
        _write_manifest(self.own, document)
        _refuse_stale(self.folder)
        replaced = _rename(self.own, self.final)
        _sync_folder(self.folder)
        try:
            _refuse_stale(self.folder)  # this process may have slept between the look and the rename
        except StaleEpochError:
            self._take_back(replaced)
            raise
        try:
            if replaced and replaced != self.own:
                os.rename(replaced, self.own)
            done = os.path.join(self.folder, ".step-%d.done-%s" % (self.step, _drawn()))
            os.rename(self.place, done)  # at once, for the other ranks look whether theirs is there
            shutil.rmtree(done, ignore_errors=True)
        except OSError:
            pass  # what is sealed is sealed; the next process removes the rest

    def _take_back(self, replaced: Optional[str]) -> None:
        if replaced == self.own:
            _exchange(self.own, self.final)
        else:
            os.rename(self.final, self.own)
            if replaced:
                os.rename(replaced, self.final)
        _sync_folder(self.folder)

    def wait_for_seal(self, files: List[Dict[str, Any]]) -> None:
        """Tell this rank's part under the number of the save that the first rank has begun, until it has sealed it."""
        part = {"folder": os.path.basename(self.own), "files": files}
        told = None
        for _ in _pauses(self.timeout):
            number = self._number_begun()
            if not os.path.isdir(self.own):
                if _flaw(self.final, self.step) is None:
                    return
                raise IncompleteError("what rank %d had written of step %d was taken away" % (self.rank, self.step))
            if number is not None and number != told:
                self._tell(part, number)
                self.seen = told = number
            elif number is None and self.seen is not None:
                shutil.rmtree(self.own, ignore_errors=True)
                raise IncompleteError("the first rank gave up step %d; its own output tells why" % self.step)
        shutil.rmtree(self.own, ignore_errors=True)
        raise IncompleteError(
            "the first rank did not seal step %d within %g s: does it save too, and is %s one folder for all ranks?"
            % (self.step, self.timeout, self.folder)
        )

    def _number_begun(self) -> Optional[str]:
        document = _read(self.begun)
        return document.get("save") if isinstance(document, dict) else None

    def _tell(self, part: Dict[str, Any], number: Optional[str]) -> None:
        _replace(os.path.join(self.place, "part-%d.json" % self.rank), dict(part, save=number))


def _rename(source: str, final: str) -> Optional[str]:
    """Give `source` the name `final`; returns where what had that name is now, None when nothing had it."""
    try:
        os.rename(source, final)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise
    else:
        return None
    if _exchange(source, final):
        return source
    old = "%s.old-%s" % (final, _drawn())  # `latest` finds it there should we be killed here
    os.rename(final, old)
    os.rename(source, final)
    return old


def _exchange(one: str, other: str) -> bool:
    """Let two folders change their names in one step; False where the file system cannot (NFS)."""
    try:
        import ctypes

        call = ctypes.CDLL(None, use_errno=True).renameat2
        return bool(call(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _RENAME_EXCHANGE) == 0)
    except (ImportError, AttributeError, OSError):
        return False


def _prune(folder: str, keep: int, newest: int) -> None:
    """Remove whole checkpoints of earlier steps but the last `keep`; what is not whole is left to those who look."""
    try:
        _prune_now(folder, keep, newest)
    except OSError:
        pass  # what is sealed is sealed; the next save tries again


def _prune_now(folder: str, keep: int, newest: int) -> None:
    whole = []
    for name in _names(folder):
        match = _NAME.fullmatch(name)
        if match and name.startswith("step-") and match.group(2) is None:
            step = int(match.group(1))
            if step <= newest and _flaw(os.path.join(folder, name), step) is None:
                whole.append((step, name))
    gone = []
    for _, name in sorted(whole, reverse=True)[keep:]:
        gone.append(os.path.join(folder, ".%s.removing-%s" % (name, _drawn())))
        os.rename(os.path.join(folder, name), gone[-1])
    if gone:
        _sync_folder(folder)  # half a checkpoint is never seen under its name, also after a power cut
    for path in gone:
        shutil.rmtree(path, ignore_errors=True)


def _flaw(path: str, step: int) -> Optional[str]:
    """What is wrong with a checkpoint by its manifest and the sizes of its files; None when nothing is."""
    document = _read(os.path.join(path, MANIFEST))
    if not isinstance(document, dict) or document.get("aiops") != 1:
        return "it has no manifest"
    files = document.get("files")
    if document.get("step") != step or not isinstance(files, list) or not files:
        return "its manifest is of something else"
    for one in files:
        try:
            found = os.lstat(os.path.join(path, one["path"]))
            if not stat.S_ISREG(found.st_mode) or found.st_size != one["size"]:
                return "%s is not as it was written" % one["path"]
        except (OSError, TypeError, KeyError, ValueError) as error:
            return str(error)
    return None


class _Channel(object):
    """Where the heartbeat goes."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.rank = _rank()
        self.socket = None  # type: Optional[socket.socket]
        self.descriptor = -1
        try:
            is_socket = stat.S_ISSOCK(os.stat(path).st_mode)
        except FileNotFoundError:
            is_socket = False
        if is_socket:
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.socket.setblocking(False)
            self.socket.connect(path)
        else:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
            self.descriptor = os.open(path, flags, 0o600)

    def send(self, line: bytes) -> None:
        if self.socket is not None:
            self.socket.send(line)
        else:
            os.write(self.descriptor, line)

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()
        elif self.descriptor >= 0:
            os.close(self.descriptor)


_CHANNEL = None  # type: Optional[_Channel]


def _rank() -> Optional[int]:
    for name in ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK"):
        text = os.environ.get(name, "")
        if text.isdigit():
            return int(text)
    return None


def progress(
    step: int,
    *,
    loss: Optional[float] = None,
    phase: str = "step",
    total: Optional[int] = None,
    tokens: Optional[int] = None,
) -> None:
    """Tell aiops how far this rank is. Costs microseconds, never waits, never raises; nothing where nobody listens.

    One line of JSON: `{"at", "rank", "step", "phase", "loss", "total", "tokens"}`, null for what is not known.

    Args:
        step: The step that was done.
        loss: Its loss; NaN and infinities are told as such. A tensor is waited for, by its own rules.
        phase: What is done now: `start`, `step`, `save`, `evaluate`. Each has its own time after which it hangs.
        total: Steps of the whole run.
        tokens: What was trained on since the last call.
    """
    global _CHANNEL  # noqa: PLW0603 - one per process, opened at the first call
    path = os.environ.get("AIOPS_PROGRESS")
    if not path:
        return
    try:
        channel = _CHANNEL
        if channel is None or channel.path != path:
            if channel is not None:
                channel.close()
            channel = _CHANNEL = _Channel(path)
        line = {
            "at": time.time(),
            "rank": channel.rank,
            "step": int(step),
            "phase": phase,
            "loss": None if loss is None else float(loss),
            "total": total,
            "tokens": tokens,
        }
        channel.send(json.dumps(line).encode("ascii") + b"\n")
    except BlockingIOError:
        pass  # nobody takes them at the moment; the next one tells more
    except Exception:
        if _CHANNEL is not None:
            _CHANNEL.close()
            _CHANNEL = None


_STOP = threading.Event()


def watch_stop(signals: Iterable[int] = (signal.SIGTERM, signal.SIGUSR2)) -> None:
    """From now on let SIGTERM and SIGUSR2 set `stop_requested` instead of ending the process.

    Handlers that were there are called too. Call it in the main thread, after whatever else sets handlers.

    Raises:
        ValueError: This is not the main thread.
    """
    for number in signals:
        before = signal.getsignal(number)
        if getattr(before, "is_aiops", False):
            continue

        def handle(number: int, frame: Any, before: Any = before) -> None:
            _STOP.set()
            if callable(before):
                before(number, frame)

        handle.is_aiops = True  # type: ignore[attr-defined]
        signal.signal(number, handle)


def stop_requested() -> bool:
    """Whether this process is to save and leave. Ranks may see it at different steps: let them agree before they do."""
    if _STOP.is_set():
        return True
    path = os.environ.get("AIOPS_STOP")
    if path and os.path.exists(path):
        _STOP.set()
        return True
    return False


class Callback(object):
    """For `transformers.Trainer(callbacks=[checkpoint.Callback()])`: heartbeat, stop request, sealed checkpoints.

    Every `checkpoint-N` gets a manifest once the Trainer has written it, and is on the disk before. The Trainer removes
    old ones before that, so `save_total_limit` must be at least 2.
    """

    def __init__(self) -> None:
        self._loss = None  # type: Optional[float]

    def __getattr__(self, name: str) -> Any:
        """Events that later versions may bring, and those that are not ours."""
        if name.startswith("on_"):
            return _ignore
        raise AttributeError(name)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Training begins: signals are watched."""
        if threading.current_thread() is threading.main_thread():
            watch_stop()
        progress(state.global_step, phase="start", total=state.max_steps)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """The Trainer tells a loss, its mean since it told the last one."""
        if logs and "loss" in logs:
            progress(state.global_step, loss=logs["loss"], total=state.max_steps)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A step was done."""
        progress(state.global_step, total=state.max_steps)
        if self._agreed(stop_requested(), args):
            control.should_save = True
            control.should_training_stop = True
        self._allow(args, control)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """An epoch of the data was done."""
        self._allow(args, control)

    def on_prediction_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A batch was evaluated."""
        progress(state.global_step, phase="evaluate", total=state.max_steps)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The Trainer has written a checkpoint: each rank brings its files to the disk, the one that saves seals it."""
        path = os.path.join(args.output_dir, "checkpoint-%d" % state.global_step)
        progress(state.global_step, phase="save", total=state.max_steps)
        distributed = _distributed()
        if os.path.isdir(path):
            for name in _tree(path)[0]:
                with open(os.path.join(path, name), "rb") as stream:
                    os.fsync(stream.fileno())
        if distributed is not None:
            distributed.barrier()
        if args.should_save and os.path.isdir(path):
            seal(path, state.global_step, format="hf-trainer", world_size=getattr(args, "world_size", None))

    @staticmethod
    def _allow(args: Any, control: Any) -> None:
        if control.should_save:
            _refuse_stale(os.path.abspath(args.output_dir))

    @staticmethod
    def _agreed(stop: bool, args: Any) -> bool:
        """Whether any rank is to stop; all ranks come here at every step, and leave with the same answer."""
        distributed = _distributed()
        if distributed is None:
            return stop
        flag = sys.modules["torch"].tensor([int(stop)], device=args.device)
        distributed.all_reduce(flag)
        return bool(flag.item())


def _ignore(*args: Any, **kwargs: Any) -> None:
    return None


def _distributed() -> Any:
    """torch.distributed where this process is one of several ranks; None otherwise."""
    torch = sys.modules.get("torch")
    distributed = getattr(torch, "distributed", None)
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return None
    return distributed if distributed.get_world_size() > 1 else None

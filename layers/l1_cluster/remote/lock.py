"""The cluster lock, as it is kept on the head (or in a folder of the controller where there is no head).

Standard library only, Python 3.6, imports nothing of ours: the text of this file is sent to `python3 -` with one
call of `main` behind it. All decisions are in `decide`, a pure function; `serve` is its thin edge: one flock, read,
decide, write a new file, fsync, rename. A kill at any point leaves the old state or the new one.

Time is the keeper's own. Ages are measured on a clock that no time service can step (boot time, paired with the boot
id); wall time is kept only to be shown. The epoch grows with every take-over and is never used twice, also when
the state was lost, because it is at least the wall time in seconds.

With the lock is kept which cluster this is (an id that its first owner gave it, and its name), and how the last
`HISTORY` tenures ended, so that an operator sees what others did from their own machines.
"""

import fcntl
import json
import os
import signal
import sys
import time
from typing import Any, Dict, List, Optional, Tuple

VERSION = 1
STALE_SECONDS = 60.0
HISTORY = 200
WAIT_SECONDS = 5
_CLOCK_BOOTTIME = 7  # time.CLOCK_BOOTTIME came with Python 3.7

State = Dict[str, Any]
Request = Dict[str, Any]
Answer = Dict[str, Any]


class BusyError(Exception):
    """The flock was not free in time."""


class UnreadableError(Exception):
    """The state is not one of ours."""


def empty() -> State:
    """The state before anybody ever held the lock."""
    return {"v": VERSION, "epoch": 0, "holder": None, "history": [], "cluster": None}


def age(holder: Dict[str, Any], now: Dict[str, Any]) -> float:
    """Seconds since the holder last renewed; after a reboot of the keeper, seconds since that boot."""
    if holder["renewed_boot"] != now["boot"]:
        return float(now["up"])
    return max(0.0, float(now["up"]) - float(holder["renewed_up"]))


def public(holder: Optional[Dict[str, Any]], now: Dict[str, Any]) -> Optional[Dict[str, Any]]:
    """What anybody may know of the holder: all but the token."""
    if holder is None:
        return None
    shown = {key: holder[key] for key in ("owner", "epoch", "acquired", "renewed")}
    shown["purpose"] = holder.get("purpose", "")
    shown["age"] = age(holder, now)
    return shown


def ended(state: State, how: str, by: Optional[Dict[str, Any]], now: Dict[str, Any]) -> List[Dict[str, Any]]:
    """The history once the holder's tenure has ended: `released`, `by_hand`, or taken over as `stale` or `dead`."""
    holder = state["holder"]
    entry = {key: holder[key] for key in ("owner", "epoch", "acquired", "renewed")}
    entry.update(purpose=holder.get("purpose", ""), ended=now["wall"], how=how, by=by)
    return [*state.get("history", []), entry][-HISTORY:]


def decide(state: State, request: Request, now: Dict[str, Any]) -> Tuple[State, Answer]:
    """The next state and the answer to one request. Pure.

    Args:
        state: `{v, epoch, holder, history, cluster}`; holder is None or `{owner, token, epoch, purpose, acquired,
            renewed, renewed_up, renewed_boot}`, history a list of `ended`, cluster None or `{id, name}`.
        request: `{verb, ...}`: `acquire` (token, owner, dead: the epoch whose process the asker knows to be dead, or
            None; purpose; floor: an epoch that the new one is above; cluster: `{id, name, adopt}`, where adopt says
            which other states than this id it takes for the same cluster: `none` and `any`), `renew` (token),
            `surpass` (token, seen: an epoch that this tenure's must be above), `release` (token, or epoch to release
            another's by hand, and by: who does), `show`, `history`.
        now: `{wall, up, boot}`: wall time, seconds since boot, boot id, all of the keeper.

    Returns:
        The state (the same object when nothing changes) and `{answer, ...}`.
    """
    verb = request["verb"]
    holder = state["holder"]
    told = {"holder": public(holder, now), "epoch": state["epoch"], "cluster": state.get("cluster")}
    if verb == "show":
        return state, dict(told, answer="shown")
    if verb == "history":
        return state, dict(told, answer="shown", history=state.get("history", []), now=now["wall"])
    mine = holder is not None and "token" in request and holder["token"] == request["token"]
    if verb == "acquire":
        return _acquire(state, request, now, mine)
    how = "released"
    if verb == "release" and holder is not None and not mine:
        mine, how = request.get("epoch") == holder["epoch"], "by_hand"
    if not mine:
        return state, dict(told, answer="refused")
    if verb in ("renew", "surpass"):
        epoch = max(holder["epoch"], int(request["seen"]) + 1) if verb == "surpass" else holder["epoch"]
        renewed = dict(holder, epoch=epoch, renewed=now["wall"], renewed_up=now["up"], renewed_boot=now["boot"])
        return dict(state, epoch=epoch, holder=renewed), {"answer": "renewed", "epoch": epoch}
    if verb == "release":
        after = dict(state, holder=None, history=ended(state, how, request.get("by"), now))
        return after, {"answer": "released", "previous": public(holder, now)}
    raise ValueError("unknown verb %r" % (verb,))


def _acquire(state: State, request: Request, now: Dict[str, Any], mine: bool) -> Tuple[State, Answer]:
    holder, history = state["holder"], list(state.get("history", []))
    cluster, wanted = state.get("cluster"), request.get("cluster")
    if wanted and (cluster or {}).get("id") != wanted["id"] and ("any" if cluster else "none") not in wanted["adopt"]:
        return state, {"answer": "other", "cluster": cluster}
    if wanted:
        cluster = {"id": cluster["id"] if cluster else wanted["id"], "name": wanted["name"]}
    if mine:  # the answer to an earlier acquire was lost on the way
        renewed = dict(holder, renewed=now["wall"], renewed_up=now["up"], renewed_boot=now["boot"])
        after = dict(state, holder=renewed, cluster=cluster)
        return after, _granted(state, after, None, now)
    reason = None
    if holder is not None:
        if request.get("dead") == holder["epoch"]:
            reason = "dead"
        elif age(holder, now) >= STALE_SECONDS:
            reason = "stale"
        else:
            return state, {"answer": "held", "holder": public(holder, now), "epoch": state["epoch"]}
        history = ended(state, reason, request["owner"], now)
    taken = {
        "owner": request["owner"],
        "token": request["token"],
        "epoch": max(int(state["epoch"]) + 1, int(now["wall"]), int(request.get("floor", 0)) + 1),
        "purpose": request.get("purpose", ""),
        "acquired": now["wall"],
        "renewed": now["wall"],
        "renewed_up": now["up"],
        "renewed_boot": now["boot"],
    }
    after = {"v": VERSION, "epoch": taken["epoch"], "holder": taken, "history": history, "cluster": cluster}
    return after, _granted(state, after, reason, now)


def _granted(before: State, after: State, reason: Optional[str], now: Dict[str, Any]) -> Answer:
    """The answer to the new holder: whom it follows, and whether that one gave the lock back by itself."""
    history = before.get("history", [])
    last = history[-1]["how"] if history else "" if before["epoch"] or before.get("torn") else "released"
    return {
        "answer": "granted",
        "epoch": after["holder"]["epoch"],
        "reason": reason,
        "previous": public(before["holder"], now) if reason else None,
        "clean": reason is None and last == "released",
        "cluster": after["cluster"],
        "was": before.get("cluster"),
    }


def parse(text: str) -> State:
    """The state in `text`.

    Raises:
        UnreadableError: It is not a state that this version wrote or knows.
    """
    try:
        state = json.loads(text)
        if state["v"] != VERSION:
            raise UnreadableError("written by another version (%s)" % (state["v"],))
        int(state["epoch"])
        holder = state["holder"]
        if holder is not None:
            for key in ("owner", "token", "epoch", "acquired", "renewed", "renewed_up", "renewed_boot"):
                holder[key]
        for entry in state.get("history", []):
            for key in ("owner", "epoch", "acquired", "renewed", "ended", "how"):
                entry[key]
        if state.get("cluster") is not None:
            state["cluster"]["id"]
    except (ValueError, KeyError, TypeError) as error:
        raise UnreadableError(str(error)) from error
    return dict(state)


def clock() -> Dict[str, Any]:
    """The keeper's time. In a container, `up` counts from the start of its own first process."""
    with open("/proc/sys/kernel/random/boot_id") as stream:
        boot = stream.read().strip()
    with open("/proc/1/stat") as stream:
        started = int(stream.read().rpartition(")")[2].split()[19]) / float(os.sysconf("SC_CLK_TCK"))
    return {"wall": time.time(), "up": time.clock_gettime(_CLOCK_BOOTTIME) - started, "boot": boot}


def serve(folder: str, request: Request, now: Optional[Dict[str, Any]] = None) -> Answer:
    """Decide one request on the state in `folder`, under its flock.

    Raises:
        BusyError: Another held the flock for all of WAIT_SECONDS.
        UnreadableError: The state cannot be understood; a release by hand puts a new one in its place.
        OSError: The folder cannot be written.
    """
    if request["verb"] != "acquire" and not os.path.isdir(folder):
        return decide(empty(), request, now if now is not None else clock())[1]  # only an owner leaves a trace
    os.makedirs(folder, mode=0o700, exist_ok=True)
    guard = os.open(os.path.join(folder, "flock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(guard)
        path = os.path.join(folder, "state.json")
        try:
            with open(path) as stream:
                state = parse(stream.read())
        except FileNotFoundError:
            state = empty()
        except UnreadableError:
            if not (request["verb"] == "release" and request.get("unreadable")):
                raise
            _write(folder, path, dict(empty(), torn=True))  # whoever held it may be at work still
            return {"answer": "released", "previous": None}
        after, answer = decide(state, request, now if now is not None else clock())
        if after is not state:
            _write(folder, path, after)
        return answer
    finally:
        os.close(guard)


def _lock(descriptor: int) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                raise BusyError from error
            time.sleep(0.02)
        else:
            return


def _write(folder: str, path: str, state: State) -> None:
    # One fixed name is safe under the flock, and a killed writer's remains are overwritten by the next.
    temporary = path + ".new"
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as stream:
        json.dump(state, stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.rename(temporary, path)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def answer(folder: str, request: Request) -> Answer:
    """Serve one request; what went wrong is an answer too (`busy`, `unreadable`, `failed`)."""
    try:
        return serve(folder, request)
    except BusyError:
        return {"answer": "busy"}
    except UnreadableError as error:
        return {"answer": "unreadable", "reason": str(error)}
    except OSError as error:
        return {"answer": "failed", "reason": str(error)}


def main(folder: str, text: str) -> None:
    """Serve one request given as JSON and print the answer as JSON."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a broken connection must not stop a write half way
    json.dump(answer(folder, json.loads(text)), sys.stdout)

"""A soak of the deploy: it is cut off at many points, and each time the same command then goes on by itself.

`make soak-kill`, or `python -m benchmarks.soak_kill [--points N] [--seed N]`: a lab of a head and 2 workers, bare
before every point. A deploy is started and, at a moment drawn over its whole length, cut off: `kill -9` of the aiops
process alone, and at the last points a few other ways. Then the same command must converge with no step by hand, a
third run must find nothing to change, no lock and no process may be left, and the journal must say that the first was
interrupted. The same seed draws the same moments.
"""

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from aiops.layers.core.errors import ConflictError
from aiops.layers.l1_cluster.patience import SECONDS as PATIENCE_SECONDS

from .cluster_rig import SIMULATED, Rig, rig
from .measurement import AIOPS, BrokenError, Figure, aiops, report

NAME = "soak-kill"
ENDED_SECONDS = 10.0
"""By then, what a killed deploy had started is gone."""

SLOW_BOOT_SECONDS = 30.0
CUT_SECONDS = 120.0
HEADLESS_SECONDS = CUT_SECONDS + PATIENCE_SECONDS
"""A deploy waits so long for the head, which keeps its lock."""

CONVERGE_SECONDS = 900.0
_LOOK_SECONDS = 0.05


@dataclass
class Point:
    """One deploy that was cut off.

    Attributes:
        how: `kill`, `ctrl-c` or `power-loss of head`.
        when: Seconds after its start, or the event that was waited for.
        during: The phase that was begun last; empty before the first.
        trouble: What was not as it must be; empty when all was.
    """

    how: str
    when: str
    during: str = ""
    seconds: float = 0.0
    trouble: list[str] = field(default_factory=list)


class Deploy:
    """A deploy that runs beside us."""

    def __init__(self, inventory: str) -> None:
        self._process = subprocess.Popen(
            (AIOPS, "cluster", "deploy", inventory, "--yes"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.begun = time.monotonic()

    @property
    def pid(self) -> int:
        """Of the aiops process."""
        return self._process.pid

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def wait_until(self, seconds: float) -> bool:
        """Wait until it is `seconds` old; False when it ended before."""
        left = self.begun + seconds - time.monotonic()
        try:
            self._process.wait(max(left, 0.0))
        except subprocess.TimeoutExpired:
            return True
        return False

    def wait_for(self, holds: Callable[[], bool]) -> bool:
        """Wait until `holds` says yes; False when it ended before."""
        while not self.over:
            if holds():
                return True
            time.sleep(_LOOK_SECONDS)
        return False

    def send(self, number: signal.Signals) -> None:
        """Send the process, and nothing else, a signal."""
        self._process.send_signal(number)

    def end(self, limit: float = CUT_SECONDS) -> tuple[int, str]:
        """Wait for its end; its exit status and what it said."""
        _, said = self._process.communicate(timeout=limit)
        return self._process.returncode, said

    def left(self) -> list[str]:
        """Processes and folders that work for it, whatever group they are in."""
        mark = f"aiops-deploy-{os.getuid()}-{self.pid}-"
        found = [str(path) for path in Path("/dev/shm").glob(f"{mark}*")]  # noqa: S108 - where they are made
        for path in [one / "cmdline" for one in Path("/proc").glob("[0-9]*")]:
            try:
                words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if f"/{mark}" in words:
                found.append(words)
        return found


def newest_run() -> dict[str, Any] | None:
    """The newest run in the journal, or None."""
    runs: list[dict[str, Any]] = json.loads(aiops("run", "list", "--json", "-n", "1").stdout)
    return runs[0] if runs else None


def happened(run: str) -> list[dict[str, Any]]:
    """The events of a run."""
    events: list[dict[str, Any]] = json.loads(aiops("run", "events", run, "--json").stdout)
    return events


def cut(made: Rig, point: Point, moment: float, known: str | None) -> bool:
    """Start a deploy, cut it off as `point` says, and judge what is left; False when it was over too early."""
    deploy = Deploy(made.inventory)
    at_reboot = point.when == "reboot"
    if not (deploy.wait_for(lambda: off(made) is not None) if at_reboot else deploy.wait_until(moment)):
        deploy.end()
        return False
    if point.how == "power-loss of head":
        made.lab.fault("head", "power-loss")
        status, said = deploy.end(HEADLESS_SECONDS)
        made.lab.heal("head")
        if status in {0, 70}:
            point.trouble.append(f"it ended with {status} although the head had lost its power: {said[-400:]}")
    else:
        deploy.send(signal.SIGKILL if point.how == "kill" else signal.SIGINT)
        status, said = deploy.end()
        if status != (-signal.SIGKILL if point.how == "kill" else 130):
            point.trouble.append(f"it ended with {status}: {said[-400:]}")
    if at_reboot:
        boot_slowly(made, off(made) or "gpu01")
    until = time.monotonic() + ENDED_SECONDS
    while (left := deploy.left()) and time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)
    if left:
        point.trouble.append(f"{ENDED_SECONDS:.0f} s later it had left {left}")
    run = newest_run()
    if run is not None and run["id"] != known:
        phases = [one["data"]["phase"] for one in happened(run["id"]) if one["kind"] == "phase_started"]
        point.during = phases[-1] if phases else ""
        wanted = "failed" if point.how == "power-loss of head" else "interrupted"
        if run["status"] != wanted:
            point.trouble.append(f"the journal says that it is {run['status']}")
    return True


def off(made: Rig) -> str | None:
    """A host that takes no connection: on its way through a reboot."""
    for host in made.lab.hosts:
        try:
            socket.create_connection((str(host.address), 22), timeout=1.0).close()
        except OSError:
            return host.name
    return None


def boot_slowly(made: Rig, host: str) -> None:
    """Keep a host that reboots from answering as long as a small server would; hosts of the lab boot in a second."""
    while True:
        try:
            made.lab.fault(host, "network-cut")
            break
        except ConflictError:  # it is off at this very moment
            time.sleep(_LOOK_SECONDS)
    threading.Timer(SLOW_BOOT_SECONDS, made.lab.heal, (host, "network-cut")).start()


def converge(made: Rig, point: Point) -> None:
    """The same command again, and once more; nothing may be left to do, and no lock."""
    command = ("cluster", "deploy", made.inventory, "--yes", "--json")
    again = aiops(*command, limit=CONVERGE_SECONDS, expect=range(256))
    if again.exit_status != 0:
        point.trouble.append(f"the same command ended with {again.exit_status}: {failures(again.stdout)}")
        return
    third = aiops(*command, limit=CONVERGE_SECONDS, expect=range(256))
    outcomes = {one["outcome"] for one in json.loads(third.stdout).get("results", [{"outcome": "none"}])}
    if third.exit_status != 0 or outcomes != {"ok"}:
        point.trouble.append(f"a third run ended with {third.exit_status} and {sorted(outcomes)}")
    holder = json.loads(aiops("cluster", "lock", "show", made.inventory, "--json").stdout)["holder"]
    if holder is not None:
        point.trouble.append(f"the lock is held by {holder}")


def failures(text: str) -> str:
    """Why a deploy failed, of its JSON answer."""
    try:
        document = json.loads(text)
    except ValueError:
        return text[-400:]
    told = [f"{one['node']}: {one['phase']}: {one['reason']}" for one in document.get("failures", [])]
    return "; ".join(told) or str(document.get("error"))


def soak(made: Rig, points: list[tuple[Point, float]], length: float) -> list[Point]:
    """Go through all points; a moment is a share of `length`, the seconds of a whole deploy."""
    done = []
    for number, (point, share) in enumerate(points, 1):
        begun, moment = time.monotonic(), share * length
        if not point.when:
            point.when = f"{moment:.1f} s"
        run = newest_run()
        known = run["id"] if run else None
        made.lab.reset()
        try:
            while not cut(made, point, moment, known):  # faster than the one that was measured: nearer to its start
                moment *= 0.8
                made.lab.reset()
            converge(made, point)
        except (BrokenError, subprocess.TimeoutExpired) as error:
            point.trouble.append(str(error))
        point.seconds = round(time.monotonic() - begun, 1)
        done.append(point)
        verdict = "; ".join(point.trouble) or "goes on"
        print(f"{number}/{len(points)} {point.how} at {point.when} in {point.during or '-'}: {verdict}", flush=True)
    return done


def main() -> int:
    """Soak, keep the verdict, and give the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=20, help="kills; other ways to be cut off come on top")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.points} points", flush=True)
    # A shell's background job ignores Ctrl-C, and so would the deploys that it is tried on.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    dice = random.Random(options.seed)  # noqa: S311 - repeatable on purpose
    # One moment in each equal part of a deploy, so that no phase is left out.
    points = [(Point("kill", ""), (part + dice.random()) / options.points) for part in range(options.points)]
    points += [(Point("kill", "reboot"), 0.0), (Point("ctrl-c", ""), 0.9 * dice.random())]
    points += [(Point("ctrl-c", ""), 0.9 * dice.random()), (Point("power-loss of head", ""), 0.9 * dice.random())]
    begun = time.monotonic()
    with rig(NAME, 2) as made:
        length = made.deploy().seconds
        done = soak(made, points, length)
    wrong = [one for one in done if one.trouble]
    print(f"{len(done) - len(wrong)} of {len(done)} went on by themselves; seed {options.seed}")
    return report(
        Path(__file__).stem,
        [
            Figure("wall time", "s", (time.monotonic() - begun,)),
            Figure("seed", "", (float(options.seed),)),
            Figure("a whole deploy, head and 2 workers", "s", (length,)),
            Figure("kill -9 of aiops", "", (float(sum(one.how == "kill" for one in done)),), limit=1, at_least=True),
            Figure("other ways to be cut off", "", (float(sum(one.how != "kill" for one in done)),)),
            Figure("points after which the same command did not go on", "", (float(len(wrong)),), limit=0),
        ],
        simulated=SIMULATED,
        details=[asdict(one) for one in done],
    )


if __name__ == "__main__":
    sys.exit(main())

"""Checkpoint torture: saves that are killed and disks that are full. Which one does a restart choose?

Steps 1 and 2 are there. A child that saves step 3 is killed with SIGKILL at a moment drawn evenly over the time that
the save takes, at least 500 times for each library, about half of them under aiops; a kill that comes too late is not
counted. Then disks are full: files may not grow beyond some size (RLIMIT_FSIZE), and as root a tmpfs has room for only
some of the pages. After each, aiops' verifier chooses. Wrong is a bad one chosen, a good newest one refused, or step 2
passed over. After some of the kills the same save is done again: it must be whole then, and of our own nothing may be
left of the one before.
"""

import argparse
import json
import os
import random
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.support.power_cut import build
from tests.support.traced_child import Child

from aiops import checkpoint

from .checkpoint_trial import RUNS, Chooser, Trial, tree, trial
from .checkpoint_writers import Writer, library, versions, writers
from .measurement import RESULTS, BrokenError, Figure, report

SEED = 20261128
KILLS = 260
LEAST = 500
ROOMS = 25
AGAIN = 20
"""One of so many kills is followed by the same save."""

MOST_TRIES = 10
"""For each kill that is to meet a save that still runs."""

LIMIT = 120.0
PAGE = 4096
_SHOWN = 8


@dataclass
class Tortured:
    """What came of one writer.

    Attributes:
        torn: Saves that left something under the checkpoint's name that is not whole.
        kills: Saves that were killed while they ran.
        ended: Saves that had ended before they were to be killed; they count for nothing.
        again: Saves that were done again.
    """

    writer: Writer
    seconds: float = 0.0
    kills: int = 0
    full: int = 0
    torn: int = 0
    ended: int = 0
    again: int = 0
    wrong: Counter[str] = field(default_factory=Counter)


def fresh(one: Trial, folder: Path) -> None:
    """A folder as it was before step 3."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    build(one.before, folder)


def saved(one: Trial, folder: Path, kill_after: float | None = None) -> int | None:
    """Save step 3 in a child, which is to the library as a new process; returns its status."""

    def work() -> None:
        checkpoint._CLEARED.clear()  # noqa: SLF001 - a fork knows what this process has cleared
        one.writer.save(folder, 3)

    with Child(work) as child:
        child.go()
        if kill_after is not None:
            time.sleep(kill_after)
            child.kill()
        return child.status(LIMIT)


def judge(one: Trial, found: Tortured, folder: Path, choose: Chooser, what: str) -> None:
    """Have one chosen and count what is wrong."""
    state = tree(folder)
    found.torn += one.is_torn(state)
    if told := one.judge(state, choose(folder)):
        found.wrong[f"{what}: {told}"] += 1


def killed(one: Trial, found: Tortured, folder: Path, choose: Chooser, *, seed: int, kills: int) -> None:
    """Kill the save again and again."""
    dice = random.Random(f"{seed} {one.writer.name}")  # noqa: S311 - no secret
    times = []
    for _ in range(7):
        fresh(one, folder)
        begun = time.monotonic()
        if saved(one, folder) != 0:
            raise BrokenError(f"{one.writer.name} cannot save")
        times.append(time.monotonic() - begun)
    found.seconds = statistics.median(times)
    for number in range(MOST_TRIES * kills):
        if found.kills >= kills:
            return
        fresh(one, folder)
        status = saved(one, folder, dice.uniform(0.0, min(times)))
        if status not in (0, -signal.SIGKILL):
            found.wrong[f"the save itself ended with {status}"] += 1
        found.kills += status == -signal.SIGKILL
        found.ended += status == 0
        judge(one, found, folder, choose, "killed")
        if number % AGAIN == 0:
            found.again += 1
            if saved(one, folder) != 0:
                found.wrong["it could not be saved again"] += 1
            chosen = choose(folder)
            if chosen is None or not chosen.startswith(one.writer.place(3)):
                found.wrong[f"saved again, {chosen} was chosen"] += 1
            if any(path.name.startswith(".step") for path in folder.iterdir()):
                found.wrong["something was left of the save before"] += 1


def limited(one: Trial, found: Tortured, folder: Path, choose: Chooser, rooms: int) -> None:
    """Files may not grow beyond some size."""
    longest = max(map(len, one.wanted.values()))

    for number in range(rooms):
        room = longest * number // rooms
        fresh(one, folder)

        def work(room: int = room) -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
            one.writer.save(folder, 3)

        with Child(work) as child:
            child.go()
            child.status(LIMIT)
        found.full += 1
        judge(one, found, folder, choose, "files of limited size")


def crowded(one: Trial, found: Tortured, mount: Path, choose: Chooser, rooms: int) -> None:
    """A file system with room for some of the pages only."""
    pages = sum(len(content) // PAGE + 2 for content in one.wanted.values()) + 6
    for number in range(rooms):
        subprocess.run(("mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", mount), check=True)
        try:
            folder = mount / Path(RUNS).name
            fresh(one, folder)
            disk = os.statvfs(mount)
            used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize
            room = used + pages * number // rooms * PAGE
            subprocess.run(("mount", "-o", f"remount,size={room}", mount), check=True)

            def work(folder: Path = folder) -> None:
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
                one.writer.save(folder, 3)

            with Child(work) as child:
                child.go()
                child.status(LIMIT)
            found.full += 1
            judge(one, found, folder, choose, "a full disk")
        finally:
            subprocess.run(("umount", "-l", mount), check=True)


def kept() -> list[dict[str, Any]]:
    """What was measured before, by writer: with `--writer` the others stay as they were."""
    path = RESULTS / "checkpoint_torture.json"
    return json.loads(path.read_text(encoding="utf-8"))["details"][1:] if path.exists() else []


def _row(one: Tortured) -> dict[str, Any]:
    return {
        "writer": one.writer.name,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(one.seconds, 4),
        "kills": one.kills,
        "ended before": one.ended,
        "saved again": one.again,
        "full disks": one.full,
        "torn": one.torn,
        "wrong": dict(one.wrong.most_common(_SHOWN)),
    }


def main() -> int:
    """Torture every writer; exit 1 when anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--kills", type=int, default=KILLS, help="of each writer")
    parser.add_argument("--writer", action="append", help="only those whose name begins so; may be given again")
    options = parser.parse_args()
    missing = dict[str, str]()
    choose, seen, is_root = Chooser(), list[Tortured](), os.geteuid() == 0
    with tempfile.TemporaryDirectory() as name:
        work = Path(name).resolve()
        for writer in writers(options.writer, missing):
            one, found = trial(writer, work), Tortured(writer)
            killed(one, found, work / RUNS, choose, seed=options.seed, kills=options.kills)
            limited(one, found, work / RUNS, choose, ROOMS)
            if is_root:
                crowded(one, found, (work / RUNS).parent, choose, ROOMS)
            print(
                f"{writer.name}: {found.seconds * 1000:.0f} ms, {found.kills} kills, {found.full} full disks, "
                f"{found.torn} torn, {sum(found.wrong.values())} wrong",
                file=sys.stderr,
                flush=True,
            )
            for told, number in found.wrong.most_common(3):
                print(f"  {number} × {told}", file=sys.stderr)
            seen.append(found)
    rows = {one["writer"]: one for one in kept()} | {one.writer.name: _row(one) for one in seen}
    kills = Counter[str]()
    for row in rows.values():
        kills[library(row["writer"])] += row["kills"]
    ours = [row for name, row in rows.items() if name.startswith("ours")]
    figures = [
        Figure("writers", "", (float(len(rows)),)),
        Figure("fewest kills of one library", "", (float(min(kills.values())),), float(LEAST), at_least=True),
        Figure("kills", "", (float(kills.total()),)),
        Figure("full disks", "", (float(sum(row["full disks"] for row in rows.values())),)),
        Figure("saves that left something torn or unsealed", "", (float(sum(row["torn"] for row in rows.values())),)),
        Figure("the same of ours", "", (float(sum(row["torn"] for row in ours)),), 0.0),
        Figure("wrong", "", (float(sum(sum(row["wrong"].values()) for row in rows.values())),), 0.0),
    ]
    return report(
        "checkpoint_torture",
        figures,
        simulated="nothing" if is_root else "full disks: by a limit of files' sizes alone",
        details=[{"seed": options.seed, "versions": versions(), "not here": missing}, *rows.values()],
    )


if __name__ == "__main__":
    sys.exit(main())

"""Power cuts while a checkpoint is saved: which one does a restart choose?

Steps 1 and 2 are saved and on the disk. The save of step 3 is recorded once by strace. From it states are built as
files that a power cut may leave by POSIX' weakest promise (tests/support/power_cut.py), at least 1,000 of each writer,
and aiops' verifier chooses in each. Wrong is a bad one chosen, a good newest one refused, or step 2 passed over.

With a manifest none may be wrong. What a library writes alone has no checksum of everything, so for it only refusals
must be none; how often a bad one is taken for good is told, and which file it was. Beside that, each block of a saved
checkpoint is made zeros in turn, as delayed allocation leaves it: how many does nobody notice? Last, each fsync of our
own writer is left out in turn: every one must be missed, or it is not needed.
"""

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.support.power_cut import BLOCK, Recording, Sync, Tree, build, killed, states
from tests.support.traced_child import recorded

from aiops.layers.l2_jobs.checkpoint.facts import MANIFEST

from .checkpoint_trial import RUNS, Chooser, Trial, data_of, trial
from .checkpoint_writers import Writer, versions, writers
from .measurement import BrokenError, Figure, report

SEED = 20261128
STATES = 1_200
LEAST = 1_000
_SHOWN = 12


@dataclass
class Looked:
    """What came of the states of one writer.

    Attributes:
        calls: Changes that were recorded.
        hidden: States in which nothing has the name of the newest.
        newest: States in which the newest was chosen.
        wrong: How often what was wrong.
        blocks: Blocks of the saved checkpoint that were made zeros, one at a time.
        unseen: Those that nobody noticed, by file.
    """

    writer: Writer
    calls: int = 0
    states: int = 0
    hidden: int = 0
    newest: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    example: dict[str, str] = field(default_factory=dict)
    blocks: int = 0
    unseen: Counter[str] = field(default_factory=Counter)

    def count(self, word: str) -> int:
        """How often something wrong begins with `word`."""
        return sum(number for told, number in self.wrong.items() if told.startswith(word))


def look(one: Trial, choose: Chooser, built: Iterable[tuple[int, str, Tree]], work: Path) -> Looked:
    """Build states as files and have one chosen in each."""
    found = Looked(one.writer)
    place = work / "state"
    for done, label, state in built:
        place.mkdir()
        build(state, place)
        chosen = choose(place)
        shutil.rmtree(place)
        found.states += 1
        found.hidden += one.writer.place(3) not in state
        found.newest += (chosen or "").startswith(one.writer.place(3))
        if told := one.judge(state, chosen):
            found.wrong[told] += 1
            found.example.setdefault(told, f"after {done} changes, {label}")
    return found


def blanked(whole: Tree, place: str) -> Iterator[tuple[int, str, Tree]]:
    """A saved checkpoint with one block of zeros, for each block of each of its files that holds something else."""
    for name, content in whole.items():
        if content is None or not f"{name}/".startswith(f"{place}/") or name.endswith(MANIFEST):
            continue
        for at in range(0, len(content), BLOCK):
            gone = content[:at] + bytes(len(content[at : at + BLOCK])) + content[at + BLOCK :]
            if gone != content:
                yield 0, f"zeros in {name}", {**whole, name: gone}


def record(one: Trial, work: Path) -> Recording:
    """What the save of step 3 does, seen once."""
    folder = work / RUNS
    folder.mkdir(parents=True)
    build(one.before, folder)
    recording = recorded(folder, lambda: one.writer.save(folder, 3), work / "log")
    shutil.rmtree(folder)
    return recording


def unneeded_syncs(one: Trial, recording: Recording, seed: int) -> tuple[int, list[str]]:
    """How many syncs there are, and those without which every state is as good.

    Worse is one in which what has the checkpoint's name is not whole, which a verifier would have to find, and one in
    which it is not there though the save had ended.
    """
    syncs = [number for number, change in enumerate(recording.changes) if isinstance(change, Sync)]
    idle = []
    for number in syncs:
        rest = replace(recording, changes=recording.changes[:number] + recording.changes[number + 1 :])
        if not any(
            one.is_torn(state) or (done == len(rest.changes) and not one.is_whole(state))
            for done, _, state in states(rest, seed, 400)
        ):
            idle.append(f"change {number}: {recording.changes[number]}")
    return len(syncs), idle


def _detail(found: Looked) -> dict[str, Any]:
    return {
        "writer": found.writer.name,
        "changes recorded": found.calls,
        "states": found.states,
        "without the newest": found.hidden,
        "newest chosen": found.newest,
        "blocks of zeros": found.blocks,
        "of them unseen": dict(found.unseen.most_common(_SHOWN)),
        "wrong": [
            {"what": told, "states": number, "first": found.example[told]}
            for told, number in found.wrong.most_common(_SHOWN)
        ],
    }


def main() -> int:
    """Record, build and choose; exit 1 when anything is wrong with a manifest, or a good one is refused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--states", type=int, default=STATES, help="of each writer")
    parser.add_argument("--writer", action="append", help="only those whose name begins so; may be given again")
    options = parser.parse_args()
    if shutil.which("strace") is None:
        raise BrokenError("there is no strace here: apt-get install strace")
    missing = dict[str, str]()
    choose, seen, syncs, idle = Chooser(), list[Looked](), 0, list[str]()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name).resolve()
        for writer in writers(options.writer, missing):
            one = trial(writer, work)
            recording = record(one, work)
            if one.wanted != data_of(killed(recording, len(recording.changes)), writer.place(3)):
                raise BrokenError(f"{writer.name} was not recorded as it writes")
            found = look(one, choose, states(recording, options.seed, options.states), work)
            found.calls = len(recording.changes)
            blank = look(one, choose, blanked(killed(recording, found.calls), writer.place(3)), work)
            found.blocks, found.unseen = blank.states, blank.wrong
            print(
                f"{writer.name}: {found.calls} changes, {found.states} states, {sum(found.wrong.values())} wrong",
                file=sys.stderr,
                flush=True,
            )
            for told, number in found.wrong.most_common(3):
                print(f"  {number} × {told} ({found.example[told]})", file=sys.stderr)
            seen.append(found)
            if writer.name == "ours":
                syncs, idle = unneeded_syncs(one, recording, options.seed)
                print(*idle, sep="\n", file=sys.stderr)
    sealed, alone = ([one for one in seen if one.writer.sealed is way] for way in (True, False))
    figures = [
        Figure("writers", "", (float(len(seen)),)),
        Figure("fewest states of one", "", (float(min(one.states for one in seen)),), float(LEAST), at_least=True),
        Figure("states, with a manifest", "", (float(sum(one.states for one in sealed)),)),
        Figure("bad ones chosen, with a manifest", "", (float(sum(one.count("a bad") for one in sealed)),), 0.0),
        Figure("states, alone", "", (float(sum(one.states for one in alone)),)),
        Figure("bad ones chosen, alone", "", (float(sum(one.count("a bad") for one in alone)),)),
        Figure("good ones refused", "", (float(sum(one.count("the newest") for one in seen)),), 0.0),
        Figure(
            "step 2 passed over",
            "",
            (
                float(
                    sum(sum(one.wrong.values()) for one in seen)
                    - sum(one.count("a bad") + one.count("the newest") for one in seen)
                ),
            ),
            0.0,
        ),
    ]
    figures += [
        Figure("blocks of zeros, with a manifest", "", (float(sum(one.blocks for one in sealed)),)),
        Figure("of them unseen", "", (float(sum(one.unseen.total() for one in sealed)),), 0.0),
        Figure("blocks of zeros, alone", "", (float(sum(one.blocks for one in alone)),)),
        Figure("of those unseen", "", (float(sum(one.unseen.total() for one in alone)),)),
    ]
    if syncs:
        figures += [
            Figure("syncs of our writer", "", (float(syncs),)),
            Figure("syncs that nothing needs", "", (float(len(idle)),), 0.0),
        ]
    return report(
        "checkpoint_power_cut",
        figures,
        simulated="the power cuts: states built as files from recorded calls",
        details=[{"seed": options.seed, "versions": versions(), "not here": missing}, *map(_detail, seen)],
    )


if __name__ == "__main__":
    sys.exit(main())

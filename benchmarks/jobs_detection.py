"""From a fault to the controller's decision: killed ranks, lost and cut off hosts, ranks that stand still.

    make bench-jobs_detection
    python -m benchmarks.jobs_detection --deaths 3 --powers 1 --cuts 1 --hangs 1 --no-stock        for trying

A two-node job of real torch over lab hosts, by `aiops train` and a real controller. Each fault comes at a random moment
once the job steps and saves, in an order drawn by a seed; counted is the time until the decision `fault_found`, as it
stands in the store. Beside it, on hosts of their own and at the same time, the same training under stock torchrun and
stock Slurm, hurt in the same ways; a tool that has not noticed within 120 s is written as 120.
"""

import argparse
import random
import statistics
import sys
import time
from dataclasses import asdict, dataclass

from .measurement import Figure, aiops, report
from .stock_tools import Gang
from .torch_site import PACE, RANK, SIMULATED, Shape, Site, inventory_of, percentile, site, torch_lab

NAME = "bench-jobs-detection"
SEED = 20261128
DEATHS, POWERS, CUTS, HANGS = 20, 10, 10, 10
STOCK_DEATHS = 3
LIMITS = {"death": 1.0, "power": 6.0, "cut": 6.0, "hang": 10.0}
"""Seconds (issue 5, line 1); a hang's is max(10 s, 8 x median step)."""

OURS, STOCK = 4, 6
"""Workers: two of ours run the job, two stand by; each pair of the others suffers one kind of fault."""

WORDS = {
    "death": "a killed rank",
    "power": "a host without power",
    "cut": "a host that is cut off",
    "hang": "a rank that stands still",
}
_FOUND = 60.0
_HANG_STEPS = 60
"""Steps before a rank is stopped: the median that a hang is judged by needs some that were told, one a second."""


@dataclass(frozen=True, slots=True)
class Found:
    """A fault, and when it was found.

    Attributes:
        seconds: From the moment before it was done until the decision.
        as_: What it was found to be.
    """

    kind: str
    seconds: float
    as_: str


def suffer(here: Site, job: str, name: str, kind: str, chance: random.Random) -> Found:
    """One fault, and all that is needed for the next one."""
    _, nodes = here.steady(job, name, steps=_HANG_STEPS if kind == "hang" else 10)
    time.sleep(chance.uniform(0, 1))
    node, after = chance.choice(nodes), here.last(job)
    if kind in {"death", "hang"}:
        began = here.kill(node, RANK, "KILL" if kind == "death" else "STOP")
    else:
        began = time.time()
        here.lab.fault(node, "power-loss" if kind == "power" else "network-cut")
    told = here.found(job, after, _FOUND).decision
    found = Found(kind, round(told.at - began, 3), str(told.evidence.get("class")))
    print(f"{WORDS[kind]} on {node}: {found.seconds} s, {told.message}", file=sys.stderr, flush=True)
    if kind in {"power", "cut"}:
        here.heal(node)
    return found


def deploy_slurm(here: Site, workers: list[str]) -> None:
    """Slurm, as `aiops cluster deploy` sets it up, on the head and some workers."""
    path = here.home / "slurm.yml"
    path.write_text(inventory_of(here.lab, workers, engine="slurm"), encoding="utf-8")
    aiops("cluster", "bundle", "build", "-q")
    aiops("cluster", "deploy", str(path), "--only", "repository,base,storage,scheduler", "--yes", "-q")


def stock_deaths(here: Site, pair: tuple[str, str], rounds: int) -> dict[str, list[float]]:
    """A rank killed under each tool, `rounds` times."""
    found: dict[str, list[float]] = {"torchrun": [], "slurm": []}
    for number in range(rounds):
        gangs = [Gang(here, tool, f"{tool}-death{number}", pair, 29400 + number) for tool in found]
        for gang in gangs:
            gang.begin()
            gang.stepping()
            gang.watch(gang.kill())
            found[gang.tool].append(gang.end())
            print(f"{gang.tool}: {found[gang.tool][-1]} s, {gang.said}", file=sys.stderr, flush=True)
    return found


def stock_losses(here: Site, pairs: list[tuple[str, str]]) -> list[tuple[str, Gang]]:
    """A lost host, a cut off one and a rank that stands still under each tool; they are waited for beside us."""
    gangs = [
        (kind, Gang(here, tool, f"{tool}-{kind}", pair, 29500 + number))
        for number, tool in enumerate(("torchrun", "slurm"))
        for kind, pair in zip(("power", "cut", "hang"), pairs, strict=True)
    ]
    for _, gang in gangs:
        gang.begin()
    for _, gang in gangs:
        gang.stepping()
    for kind, pair in zip(("power", "cut"), pairs, strict=False):
        began = time.time()
        here.lab.fault(pair[1], "power-loss" if kind == "power" else "network-cut")
        for other, gang in gangs:
            if other == kind:
                gang.watch(began)
    for kind, gang in gangs:
        if kind == "hang":
            gang.watch(gang.stop())
    return gangs


def main() -> int:
    """Measure; the exit status."""
    options = _options()
    chance = random.Random(options.seed)  # noqa: S311 - a seed is what is wanted
    counts = {"death": options.deaths, "power": options.powers, "cut": options.cuts, "hang": options.hangs}
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    chance.shuffle(kinds)
    stock: dict[tuple[str, str], list[float]] = {}
    with torch_lab(NAME, OURS + (STOCK if options.stock else 0)) as (app, lab):
        workers = [host.name for host in lab.hosts if host.role != "head"]
        with site(lab, app, workers[:OURS]) as here:
            here.pace(PACE)
            gangs = []
            if options.stock:
                others = workers[OURS:]
                deploy_slurm(here, others)
                pairs = [(others[index], others[index + 1]) for index in range(0, STOCK, 2)]
                for tool, seconds in stock_deaths(here, pairs[0], options.stock_deaths).items():
                    stock[tool, "death"] = seconds
                gangs = stock_losses(here, pairs)
            here.begin()
            shape = Shape("hurt", 2, ",".join(workers[:OURS]))
            job = here.submit(shape)
            found = [suffer(here, job, shape.name, kind, chance) for kind in kinds]
            median = _median_step(here, shape.name)
            for kind, gang in gangs:
                stock[gang.tool, kind] = [gang.end()]
                print(f"{gang.tool}, {kind}: {gang.noticed}, {gang.said}", file=sys.stderr, flush=True)
    details = [{"seed": options.seed, "faults": [asdict(one) for one in found]}]
    return report("jobs_detection", _figures(found, stock, median), simulated=SIMULATED, details=details)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deaths", type=int, default=DEATHS)
    parser.add_argument("--powers", type=int, default=POWERS)
    parser.add_argument("--cuts", type=int, default=CUTS)
    parser.add_argument("--hangs", type=int, default=HANGS)
    parser.add_argument("--stock-deaths", type=int, default=STOCK_DEATHS)
    parser.add_argument("--stock", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--seed", type=int, default=SEED)
    return parser.parse_args()


def _median_step(here: Site, name: str) -> float:
    """Seconds between two steps of the same rank in the same attempt."""
    last: dict[tuple[int, int], float] = {}
    gaps = []
    for one in here.steps(name):
        before = last.get((one.attempt, one.rank))
        if before is not None:
            gaps.append(one.at - before)
        last[one.attempt, one.rank] = one.at
    return statistics.median(gaps)


def _figures(found: list[Found], stock: dict[tuple[str, str], list[float]], median: float) -> list[Figure]:
    figures = [Figure("median step", "s", (round(median, 4),))]
    for kind, words in WORDS.items():
        seconds = [one.seconds for one in found if one.kind == kind]
        if not seconds:
            continue
        bound = max(LIMITS[kind], 8 * median) if kind == "hang" else LIMITS[kind]
        figures += [
            Figure(f"{words} ({len(seconds)}), p95", "s", (percentile(seconds, 0.95),), bound),
            Figure(f"{words}, all", "s", tuple(seconds)),
        ]
        for (tool, other), values in stock.items():
            if other == kind:
                figures.append(Figure(f"{words}, stock {tool} (120: not within 120 s)", "s", tuple(values)))
    return figures


if __name__ == "__main__":
    sys.exit(main())

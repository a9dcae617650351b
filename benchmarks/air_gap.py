"""Without internet: a bundle is built, a cluster is deployed from it with no packet to anywhere else, and is kept.

`make bench-air_gap`. Four parts:

1. Building: from nothing, again, with one package more, and cut off by `kill -9` at seeded moments, after each of which
   the bundle in place must be whole.
2. A first deploy of a head and 2 workers, all with a watched way out (see `way_out`): the counters must stay at 0, and
   a control packet of each host and the controller must be counted before and after.
3. The bundle with one package more: what travels to the head must be little more than that package. A byte flipped on
   the head is found by `plan`, and `deploy` sends that file again.
4. One byte flipped in every file of the bundle, one file after the other: `verify` must name each; some are given to
   the command line, where `verify` and `deploy` must end with 1, and no host may receive a byte or change.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiops.cli.app import App
from aiops.layers.core.errors import AiopsError, FailedError
from aiops.layers.l1_cluster.bundle.bundle import Bundle
from aiops.layers.l1_cluster.bundle.signing import trusted_keys

from .cluster_rig import SIMULATED, Rig, rig
from .measurement import AIOPS, BrokenError, Figure, aiops, report, run
from .way_out import RESOLVER, WayOut, way_out

NAME = "bench-airgap"
ON_THE_SCREEN = 6
"""How many of the flipped files are given to the command line, too."""
MORE = "tree"
"""A package that the bundle does not have at first."""
_MIB = 2**20


def build(home: Path, *words: str) -> tuple[dict[str, Any], float]:
    """Build the bundle of `home`: its answer, and how long it took."""
    ran = run(
        "env", f"AIOPS_HOME={home}", AIOPS, "cluster", "bundle", "build", "--simulated", "nvidia", "--json", *words
    )
    answer: dict[str, Any] = json.loads(ran.stdout)
    return answer, ran.seconds


def building(points: int, seed: int) -> list[Figure]:
    """Part 1."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="aiops-air-gap-") as name:
        home = Path(name)
        first, cold = build(home)
        again, warm = build(home)
        require(again["unchanged"] and again["fetched"] == 0, f"a second build fetched {again['fetched']} files")
        more, changed = build(home, "--package", MORE)
        require(not more["unchanged"] and more["fetched"] == 1, f"one package more fetched {more['fetched']} files")
        killed = sum(kill_a_build(home, changed, random.Random(seed + point)) for point in range(points))  # noqa: S311
        healed, _ = build(home)
        require(healed["fetched"] == 0, "builds that were cut off lost what was fetched")
    return [
        Figure("bundle from nothing", "s", (cold,)),
        Figure("  fetched", "files", (first["fetched"],)),
        Figure("  fetched", "MiB", (first["fetched_bytes"] / _MIB,)),
        Figure("the same bundle again", "s", (warm,)),
        Figure("  fetched", "files", (again["fetched"],), 0),
        Figure("with one package more", "s", (changed,)),
        Figure("  fetched", "files", (more["fetched"],), 1),
        Figure("builds cut off by kill -9, old or new bundle whole", "", (killed,)),
    ]


def kill_a_build(home: Path, seconds: float, chance: random.Random) -> bool:
    """Cut a build that changes the bundle off somewhere on its way; whether it was still running then.

    Raises:
        BrokenError: The bundle in place is not whole afterwards.
    """
    words = ("cluster", "bundle", "build", "-q", "--simulated", "nvidia", *chance.choice(((), ("--package", MORE))))
    print("$ kill -9 of a build", file=sys.stderr, flush=True)
    environment = {**os.environ, "AIOPS_HOME": str(home)}
    process = subprocess.Popen((AIOPS, *words), env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        process.wait(timeout=seconds * chance.uniform(0.02, 0.5))
        running = False
    except subprocess.TimeoutExpired:
        running = True
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    try:
        Bundle.read(home / "bundle", trusted_keys(home)).require_whole()
    except AiopsError as error:
        raise BrokenError(f"after a build was cut off: {error}") from error
    return running


def first_deploy(made: Rig, out: WayOut) -> list[Figure]:
    """Part 2."""
    for host in made.lab.state.hosts:
        shell(made, host.name, RESOLVER)
    controls = out.control()
    before = out.counted()
    done = deploy(made, out)
    after = out.counted()
    require(done["outcome"] == "done", f"the deploy ended: {done.get('error')}")
    lost = {host.name for host in made.lab.state.hosts} - set(out.routes())
    require(not lost, f"{', '.join(sorted(lost))} had no way out at the end")
    later = out.control()
    for line in after.seen:
        if line not in before.seen:
            print(f"sent: {line}", file=sys.stderr)
    least = min(min(one.packets, one.lookups) for one in (*controls.values(), *later.values()))
    return [
        Figure("first deploy: packets out of the cluster", "", (after.packets - before.packets,), 0),
        Figure("first deploy: questions to a name server", "", (after.lookups - before.lookups,), 0),
        Figure("control packets and questions counted of each, at least", "", (least,), 1, at_least=True),
    ]


def keeping(made: Rig, out: WayOut, bundle: Path) -> list[Figure]:
    """Part 3."""
    whole = sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file())
    aiops("cluster", "bundle", "build", "--simulated", "nvidia", "--package", MORE, "-q")
    deb = next(bundle.glob(f"apt/pool/*/{MORE}_*.deb")).stat().st_size
    before = received(made, "head")
    require(deploy(made, out, "--only", "repository")["outcome"] == "done", "a changed bundle was not deployed")
    sent = received(made, "head") - before
    damaged = next(iter(sorted(bundle.glob("apt/pool/*/*.deb"))))
    flip = f"/srv/aiops/bundle/{damaged.relative_to(bundle)}"
    shell(made, "head", f"python3 -c \"p={flip!r}; b=bytearray(open(p,'rb').read()); b[99]^=1; open(p,'wb').write(b)\"")
    plan = json.loads(run(*out.as_controller, AIOPS, "cluster", "plan", made.inventory, "--json").stdout)
    found = [change for phase in plan["plan"]["phases"] for one in phase["changes"].values() for change in one]
    require(
        [change["key"] for change in found] == ["tree:/srv/aiops/bundle"] and damaged.name in found[0]["found"],
        f"a byte flipped on the head was planned as {found}",
    )
    before = received(made, "head")
    require(deploy(made, out, "--only", "repository")["outcome"] == "done", "a damaged copy was not mended")
    mended = received(made, "head") - before
    return [
        Figure("bundle", "MiB", (whole / _MIB,)),
        Figure("one package more: it and the lists hold", "MiB", (deb / _MIB,)),
        Figure("one package more: received by the head", "MiB", (sent / _MIB,), 4),
        Figure("one byte flipped on the head: received to mend it", "MiB", (mended / _MIB,), 4),
    ]


def refusing(made: Rig, out: WayOut, bundle: Path, seed: int) -> list[Figure]:
    """Part 4."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    keys = trusted_keys(App(os.environ).home)
    files = sorted(str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file())
    named, seconds = 0, []
    for file in files:
        with flipped(bundle / file, chance):
            began = time.monotonic()
            named += file in problems_of(bundle, keys)
            seconds.append(time.monotonic() - began)
    refused = 0
    before, state = received(made, "gpu01"), packages_of(made)
    for file in chance.sample(files, ON_THE_SCREEN):
        with flipped(bundle / file, chance):
            commands: tuple[tuple[str, ...], ...] = (("bundle", "verify"), ("deploy", made.inventory, "--yes"))
            for words in commands:
                ran = run(*out.as_controller, AIOPS, "cluster", *words, "--json", expect=(1,))
                error = json.loads(ran.stdout)["error"]
                refused += error["code"] == "bundle.damaged" and file in json.dumps(error)
    quiet = received(made, "gpu01") - before
    require(packages_of(made) == state, "a refused deploy changed a host")
    return [
        Figure("files of the bundle", "", (len(files),)),
        Figure("one byte flipped in each: named by verify", "", (named,), len(files), at_least=True),
        Figure("verify of the whole bundle", "s", tuple(seconds)),
        Figure("refused by verify and by deploy, with exit code 1", "", (refused,), 2 * ON_THE_SCREEN, at_least=True),
        Figure("received by a worker during refused deploys", "KiB", (quiet / 1024,), 64),
    ]


@contextmanager
def flipped(path: Path, chance: random.Random) -> Iterator[None]:
    """One bit of a file is another for a while."""
    offset, bit = chance.randrange(path.stat().st_size), chance.randrange(8)
    with path.open("r+b") as stream:
        stream.seek(offset)
        before = stream.read(1)
        stream.seek(offset)
        stream.write(bytes([before[0] ^ (1 << bit)]))
        stream.flush()
        try:
            yield
        finally:
            stream.seek(offset)
            stream.write(before)


def problems_of(bundle: Path, keys: Any) -> set[str | None]:
    """The files that are named."""
    try:
        Bundle.read(bundle, keys).require_whole()
    except FailedError as error:
        return {problem.file for problem in error.problems}
    return set()


def deploy(made: Rig, out: WayOut, *words: str) -> dict[str, Any]:
    """A deploy from the controller's own network: its answer."""
    command = (*out.as_controller, str(AIOPS), "cluster", "deploy", made.inventory, "--yes", "--json", *words)
    answer: dict[str, Any] = json.loads(run(*command, expect=(0, 1)).stdout)
    return answer


def shell(made: Rig, node: str, line: str) -> str:
    """Stdout of a line on a host."""
    ran = aiops("node", "exec", "-i", made.inventory, "--on", node, "--json", "--", "sh", "-c", line)
    return str(json.loads(ran.stdout)["results"][0]["stdout"])


def received(made: Rig, node: str) -> int:
    """Bytes that have come to a host over its network."""
    return int(shell(made, node, "cat /sys/class/net/eth0/statistics/rx_bytes"))


def packages_of(made: Rig) -> str:
    """What is installed and configured on a worker, as a digest."""
    return shell(made, "gpu01", "{ dpkg-query -W; find /etc -type f | sort | xargs sha256sum; } | sha256sum")


def require(condition: object, otherwise: str) -> None:
    """Go on only where `condition` holds.

    Raises:
        BrokenError: It does not.
    """
    if not condition:
        raise BrokenError(otherwise)


def main() -> int:
    """Measure, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--points", type=int, default=8, help="builds that are cut off")
    parser.add_argument("--seed", type=int, default=20261122)
    options = parser.parse_args()
    try:
        figures = building(options.points, options.seed)
        with rig(NAME, 2) as made, way_out(made.lab) as out:
            bundle = App(os.environ).home / "bundle"
            figures += first_deploy(made, out)
            figures += keeping(made, out, bundle)
            figures += refusing(made, out, bundle, options.seed)
    except BrokenError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return report("air_gap", figures, simulated=SIMULATED)


if __name__ == "__main__":
    sys.exit(main())

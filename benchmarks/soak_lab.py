"""A soak of the lab: labs are made, hurt, healed, killed and removed for a long time, and nothing may stay behind.

`python -m benchmarks.soak_lab [MINUTES] [SEED]` (30 minutes and a drawn seed by default), or `make soak-lab`. The same
seed does the same things in the same order. Wall time, seed and verdict are kept in benchmarks/results/soak_lab.json.

It runs in namespaces of its own for mounts and the network, so that what it counts there is its labs' alone, whatever
else this machine does meanwhile.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from aiops.layers.core.errors import ConflictError
from aiops.layers.core.plugin import Plugins
from aiops.layers.l0_nodes.lab import Lab, LabSpec, Simulated
from aiops.layers.l0_nodes.lab.fault import DEVICE_KINDS, kinds
from aiops.layers.l0_nodes.lab.image import build_image, machine_recipe
from aiops.layers.l0_nodes.lab.network import NAMESPACES
from aiops.layers.l0_nodes.vendor import vendors_of

from .measurement import AIOPS, BrokenError, Figure, report

NAME = "soak"
STEPS = 6
"""Things done to a lab before it is removed."""
_HOME = "AIOPS_SOAK_HOME"
"""Set by `alone`: where the soak that runs in its own namespaces keeps its labs."""


def outside(home: Path) -> dict[str, str]:
    """What a lab might leave changed around it; of loop devices, which all share, those over files below `home`."""
    asked = {
        "namespaces": ("ip", "netns", "list"),
        "links": ("ip", "-brief", "link", "show"),
        "packet rules": ("nft", "list", "tables"),
    }
    seen = {
        name: subprocess.run(words, capture_output=True, text=True, timeout=30, check=True).stdout
        for name, words in asked.items()
    }
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    seen["mounts"] = "\n".join(sorted(line.split()[4] for line in mounts))
    listed = ("losetup", "--list", "--noheadings", "--output", "BACK-FILE")
    loops = subprocess.run(listed, capture_output=True, text=True, timeout=30, check=True).stdout.splitlines()
    seen["loop devices"] = "\n".join(sorted(line for line in loops if line.startswith(str(home))))
    return seen


def alone(home: Path) -> None:
    """Start this program again in its own namespaces, with the lab's image, which needs the network, in `home`."""
    build_image(home, machine_recipe())
    setup = 'mount -t tmpfs tmpfs "$1" && ip link set lo up && shift && exec "$@"'
    words = ["unshare", "--mount", "--net", "--propagation", "private", "sh", "-c", setup, "sh", str(NAMESPACES)]
    NAMESPACES.mkdir(exist_ok=True)
    os.environ[_HOME] = str(home)
    os.execvp(words[0], [*words, sys.executable, "-m", "benchmarks.soak_lab", *sys.argv[1:]])  # noqa: S606 - our own words


def hurt(lab: Lab, home: Path, dice: random.Random) -> str:
    """Do one thing to the lab; return what it was."""
    what = dice.choice(["fault", "fault", "fault", "heal", "reset", "kill a host", "kill aiops"])
    host = dice.choice(lab.hosts).name
    if what == "fault":
        devices = lab.state.spec.accelerator and host != "head"
        kind = dice.choice([one.name for one in kinds() if devices or one.name not in DEVICE_KINDS])
        try:
            lab.fault(host, kind)
        except ConflictError:  # it is on already, or the host is off
            return f"{kind} on {host}: refused"
        return f"{kind} on {host}"
    if what == "heal":
        lab.heal(host)
    elif what == "reset":
        lab.reset()
    elif what == "kill a host":
        group = next(line.split()[4] for line in mountinfo() if " - cgroup2 " in line)
        for path in Path(group, lab.state.cgroup, host).rglob("cgroup.procs"):
            for process in path.read_text(encoding="ascii").split():
                with_kill(int(process))
    else:
        words = (AIOPS, "lab", "fault", host, "power-loss", "--name", NAME)
        with subprocess.Popen(
            words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "AIOPS_HOME": str(home)}
        ) as command:
            time.sleep(dice.uniform(0.1, 1.0))
            command.kill()
    return f"{what} ({host})"


def mountinfo() -> list[str]:
    """The mounts of this process."""
    return Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()


def with_kill(process: int) -> None:
    """`kill -9`, also of what has just ended."""
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return


def cycle(home: Path, dice: random.Random) -> list[str]:
    """One lab's life; what was done to it.

    Raises:
        BrokenError: Something stayed behind.
    """
    spec = LabSpec(
        NAME, nodes=dice.randint(1, 4), disk_mib=512, accelerator=dice.choice([None, Simulated("nvidia", 2)])
    )
    done = [f"up with {spec.nodes} nodes"]
    lab = Lab.up(spec, home=home, vendors=vendors_of(Plugins()))
    try:
        for _ in range(STEPS):
            done.append(hurt(lab, home, dice))
            lab = Lab.open(NAME, home=home, vendors=vendors_of(Plugins()))
    finally:
        lab.down()
    if lab.remains():
        raise BrokenError(f"left behind: {lab.remains()} after {', '.join(done)}")
    return done


def main() -> int:
    """Soak until the time is over or something is wrong."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 32)  # noqa: PLR2004
    dice = random.Random(seed)  # noqa: S311 - repeatable on purpose
    if _HOME not in os.environ:
        alone(Path(tempfile.mkdtemp(prefix="aiops-soak-")))
    home = Path(os.environ[_HOME])
    print(f"seed {seed}, {minutes:g} minutes", flush=True)
    before, begun, lives, steps, verdict = outside(home), time.monotonic(), 0, 0, "nothing stayed behind"
    while time.monotonic() - begun < minutes * 60:
        try:
            steps += len(cycle(home, dice))
        except (BrokenError, AssertionError) as error:
            verdict = str(error)
            break
        lives += 1
    after = outside(home)
    shutil.rmtree(home)
    # More than before, not other than before: what other labs had mounted when this began may have gone meanwhile.
    changed = [name for name in before if set(after[name].splitlines()) - set(before[name].splitlines())]
    if changed and verdict == "nothing stayed behind":
        verdict = f"left on this machine: {', '.join(changed)}"
    print(f"{verdict}; seed {seed}")
    return report(
        "soak_lab",
        [
            Figure("wall time", "s", (time.monotonic() - begun,)),
            Figure("seed", "", (float(seed),)),
            Figure("labs made and removed", "", (float(lives),), limit=1, at_least=True),
            Figure("things done to them", "", (float(steps),)),
            Figure("kinds of remains", "", (float(verdict != "nothing stayed behind"),), limit=0),
        ],
        simulated="accelerators; hosts share this machine's kernel and clock",
    )


if __name__ == "__main__":
    sys.exit(main())

"""Two operators on two hosts of one cluster, each with aiops and an AIOPS_HOME of its own: one at a time changes it.

Ann works on the head, bob on a worker. Ann's deploy stands in the middle of a phase, and bob's is refused with who
holds the lock and since when. Then ann's process is killed and the same command goes on at once; killed again, and bob
takes the lock over once it is stale; and paused, alone and with all that it has started, so that bob takes over,
deploys, and what ann had begun wakes after that: not one file on any node may be another than bob left it.

`make bench-two_operators`; its figures are kept in benchmarks/results/two_operators.json.
"""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

from aiops.cli.duration import parse
from aiops.layers.l1_cluster.lock import STALE_SECONDS

from .cluster_rig import SIMULATED, Rig, rig
from .measurement import BrokenError, Figure, report

NAME = "two-operators"
NODES = ("head", "gpu01", "gpu02")
WAITS, GO = "/run/two-operators-waits", "/run/two-operators-go"
"""That a deploy of ann's waits in its phase; and once this is there, it goes on."""

FILE = "/etc/two-operators"
HELD = re.compile(r"the cluster lock on `head` is held by root on head \(run r-\S+, pid \d+\) since \d{4}-\d\d-\d\dT")
TAKEN = re.compile(r"taken over from root on head \(run r-\S+, pid \d+\): not renewed for (\S+)")
_SECONDS = 120.0
_STEP = 2.0

# All that a deploy might touch; /var/lib/aiops has the epochs, which bob has raised, __pycache__ what Python keeps of
# aiops itself when it is run.
DIGEST = (
    "cd / && find etc usr srv opt root home var/lib -xdev -type f -not -path 'var/lib/prometheus/*'"
    " -not -path 'var/lib/aiops/*' -not -path 'var/lib/slurm/*' -not -path 'var/lib/chrony/*'"
    " -not -path 'var/lib/systemd/*' -not -path 'var/lib/private/*' -not -path 'root/operator/*'"
    " -not -path 'root/.ansible/*' -not -path '*/__pycache__/*' -print0 | xargs -0 sha256sum"
)
WAIT = f"""- name: Tell that it waits
  ansible.builtin.command: {{argv: [touch, {WAITS}], creates: {WAITS}}}

- name: Wait until it is let on
  ansible.builtin.wait_for: {{path: {GO}, timeout: 900}}
"""
PHASE = """phase: note
title: A note of who was here last
before: before.yml
resources:
  - file: {file}
    content: "by {who}, {what}\\n"
"""


class Host:
    """A host of the lab, by ssh."""

    def __init__(self, made: Rig, name: str) -> None:
        folder = made.lab.folder
        options = (
            "BatchMode=yes",
            "ConnectTimeout=5",
            "IdentitiesOnly=yes",
            f"UserKnownHostsFile={folder}/known_hosts",
        )
        words = [word for option in options for word in ("-o", option)]
        address = made.lab.state.host(name).address
        self.name = name
        self.words = ["ssh", "-F", "none", "-i", f"{folder}/keys/id_ed25519", *words, f"root@{address}"]

    def __call__(self, line: str, given: str = "", limit: float = 300.0) -> str:
        """Stdout of a shell line.

        Raises:
            BrokenError: It failed.
        """
        done = subprocess.run(
            [*self.words, line], input=given, capture_output=True, text=True, timeout=limit, check=False
        )
        if done.returncode != 0:
            raise BrokenError(f"{self.name}: `{line}` ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout.strip()


class Deploy:
    """A deploy of an operator that runs."""

    def __init__(self, host: Host, words: str) -> None:
        self._host = host
        self._process = subprocess.Popen(
            [*host.words, f"echo $$; exec {words}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.pid = int(self._process.stdout.readline())

    def end(self, limit: float = 300.0) -> tuple[int, str]:
        """Wait for its end: exit status and what it said."""
        out, said = self._process.communicate(timeout=limit)
        return self._process.returncode, out + said

    def workers(self) -> list[str]:
        """The processes of Ansible and ssh that work for it."""
        found = self._host(
            f"ps -eo pid=,args= | grep -F 'aiops-deploy-0-{self.pid}-' | grep -v -e grep -e guardian || true"
        )
        return [line.split()[0] for line in found.splitlines()]

    def signal(self, number: str, *processes: str) -> None:
        """Send its process, or others of that host, a signal."""
        self._host(f"kill -{number} {' '.join(processes) or self.pid}")


class Operator:
    """A person on a host, with an inventory, a key and an AIOPS_HOME there."""

    def __init__(self, made: Rig, who: str, host: Host) -> None:
        self.who = who
        self.host = host
        self._count = 0
        folder = "/root/operator"
        inventory = Path(made.inventory).read_text(encoding="utf-8").replace(str(made.lab.folder), folder)
        host(f"mkdir -p -m 700 {folder}/keys")
        files = {
            "inventory.yml": inventory.replace("aiops_repository: bundle", "aiops_repository: system"),
            "known_hosts": (made.lab.folder / "known_hosts").read_text(encoding="utf-8"),
            "keys/id_ed25519": (made.lab.folder / "keys/id_ed25519").read_text(encoding="utf-8"),
        }
        for name, text in files.items():
            host(f"umask 077; cat > {folder}/{name}", text)
        host("aiops --version")

    def start(self, *, wait: bool) -> Deploy:
        """Begin a deploy that leaves a new note on every node; one that waits stands in its phase until `GO`."""
        self._count += 1
        phase = PHASE.format(file=FILE, who=self.who, what=self._count)
        self.host("mkdir -p /root/operator/phases/note")
        self.host("cat > /root/operator/phases/note/phase.yml", phase)
        self.host("cat > /root/operator/phases/note/before.yml", WAIT if wait else "[]\n")
        if not wait:
            self.host("sed -i /^before:/d /root/operator/phases/note/phase.yml")
        words = "AIOPS_HOME=/root/operator/home aiops cluster deploy /root/operator/inventory.yml --yes --phases"
        return Deploy(self.host, f"env {words} /root/operator/phases")

    @property
    def note(self) -> str:
        """What the newest deploy leaves."""
        return f"by {self.who}, {self._count}"


class Story:
    """What happens, step by step, and what was measured."""

    def __init__(self, made: Rig) -> None:
        self.hosts = {name: Host(made, name) for name in NODES}
        # The head has it from its phase; a worker gets the same package from the same bundle.
        self.hosts["gpu01"](
            "APT_CONFIG=/etc/aiops/apt.conf DEBIAN_FRONTEND=noninteractive apt-get -qq -y install aiops"
        )
        self.ann = Operator(made, "ann", self.hosts["head"])
        self.bob = Operator(made, "bob", self.hosts["gpu01"])
        self.figures: list[Figure] = []

    def standing(self) -> Deploy:
        """A deploy of ann's in the middle of its phase."""
        for host in self.hosts.values():
            host(f"rm -f {WAITS} {GO}")
        deploy = self.ann.start(wait=True)
        until = time.monotonic() + _SECONDS
        while not all(host(f"[ ! -e {WAITS} ] || echo yes") for host in self.hosts.values()):
            require(time.monotonic() < until, "ann's deploy does not come to its phase")
            time.sleep(0.2)
        return deploy

    def let_on(self) -> None:
        """Let what waits on the nodes go on."""
        for host in self.hosts.values():
            host(f"touch {GO}")

    def notes(self) -> set[str]:
        """What the nodes say who was there last."""
        return {host(f"cat {FILE}") for host in self.hosts.values()}

    def files(self) -> set[tuple[str, str]]:
        """All files of every node, each with its digest: (node, line of sha256sum)."""
        return {(name, line) for name, host in self.hosts.items() for line in host(DIGEST).splitlines()}

    def refused(self) -> None:
        """Bob is told who holds the lock, and since when."""
        begun = time.monotonic()
        status, said = self.bob.start(wait=False).end()
        require(status == 5 and HELD.search(said) is not None, f"bob ended with {status}: {said}")  # noqa: PLR2004
        self.figures.append(Figure("the second operator is refused after", "s", (time.monotonic() - begun,)))

    def take_over(self, since: float, why: str) -> None:
        """Bob tries until the lock is his, and deploys."""
        while True:
            status, said = self.bob.start(wait=False).end()
            if status != 5:  # noqa: PLR2004
                break
            require(time.monotonic() - since < 3 * STALE_SECONDS, f"bob is still refused: {said}")
            time.sleep(_STEP)
        found = TAKEN.search(said)
        if status != 0 or found is None:
            raise BrokenError(f"bob ended with {status}: {said}")
        unrenewed = parse(found[1]).total_seconds()
        require(unrenewed >= STALE_SECONDS, f"it was renewed only {unrenewed:.0f} s before")
        require(self.notes() == {self.bob.note}, f"the nodes say {self.notes()}")
        self.figures.append(Figure(f"the lock of a {why} owner is taken over, unrenewed for", "s", (unrenewed,)))

    def two_at_once_and_a_death(self) -> None:
        """The second is refused; the first is killed, and its command goes on at once."""
        standing = self.standing()
        self.refused()
        standing.signal("KILL")
        standing.end()
        self.let_on()
        begun = time.monotonic()
        status, said = self.ann.start(wait=False).end()
        require(status == 0 and "its process is gone" in said, f"ann ended with {status}: {said}")
        require(self.notes() == {self.ann.note}, f"the nodes say {self.notes()}")
        self.figures.append(Figure("the same operator goes on, whole deploy", "s", (time.monotonic() - begun,)))

    def a_death_seen_from_elsewhere(self) -> None:
        """What bob cannot know to be dead is stale after a minute."""
        standing = self.standing()
        standing.signal("KILL")
        begun = time.monotonic()
        standing.end()
        self.take_over(begun, "killed")

    def a_pause(self, *, whole: bool) -> None:
        """Ann sleeps, bob takes over, ann wakes and changes nothing.

        Args:
            whole: Whether all that ann has started sleeps too, and wakes before ann does.
        """
        standing = self.standing()
        workers = standing.workers() if whole else []
        guardians = self.hosts["head"](f"pgrep -f 'guardian.py .*-0-{standing.pid}-' || true").split() if whole else []
        standing.signal("STOP", str(standing.pid), *guardians, *workers)
        self.take_over(time.monotonic(), "paused" if not whole else "wholly paused")
        before = self.files()
        self.let_on()
        if whole:
            standing.signal("CONT", *workers)  # Ansible, with nobody who knows of the lock
            until = time.monotonic() + _SECONDS
            # A master that is told of the end of each worker, or is stuck at its pipe: it has had its chance.
            while standing.workers() and time.monotonic() < until and not self._refusals(standing):
                time.sleep(0.2)
        else:
            require(not standing.workers(), f"ann's workers outlived the pause: {standing.workers()}")
        standing.signal("CONT", str(standing.pid), *guardians)
        status, said = standing.end()
        require(status == 5 and "nothing more is changed" in said, f"ann ended with {status}: {said}")  # noqa: PLR2004
        changed = sorted({f"{name}:/{line.partition('  ')[2]}" for name, line in before ^ self.files()})
        words = "a paused owner" if not whole else "Ansible of a paused owner"
        self.figures.append(Figure(f"files that {words} changed on waking", "", (float(len(changed)),), limit=0))
        require(not changed, f"it woke and changed {', '.join(changed[:10])}")
        require(self.notes() == {self.bob.note}, f"the nodes say {self.notes()}")

    def _refusals(self, standing: Deploy) -> bool:
        """Whether every node's gate has refused a module, as Ansible has written down."""
        log = f"cat /dev/shm/aiops-deploy-0-{standing.pid}-*/artifacts/*/stdout 2>/dev/null || true"
        return self.hosts["head"](log).count("fence:") >= len(NODES)

    def audit(self) -> None:
        """Each sees the other's runs."""
        for one, other in ((self.ann, "gpu01"), (self.bob, "head")):
            words = "env AIOPS_HOME=/root/operator/home aiops cluster audit /root/operator/inventory.yml --json"
            found = json.loads(one.host(words))["deeds"]
            require(
                any(deed["host"] == other and deed["source"] == "lock" for deed in found), f"{one.who} sees {found}"
            )
            require(any(deed["source"] == "journal" for deed in found), f"{one.who} sees {found}")


def require(holds: bool, otherwise: str) -> None:
    """Go on only if something holds.

    Raises:
        BrokenError: It does not.
    """
    if not holds:
        raise BrokenError(otherwise)


def main() -> int:
    """Play it through and report."""
    with rig(NAME, 2) as made:
        made.deploy()
        story = Story(made)
        story.two_at_once_and_a_death()
        story.a_death_seen_from_elsewhere()
        story.a_pause(whole=False)
        story.a_pause(whole=True)
        story.audit()
    return report(Path(__file__).stem, story.figures, simulated=SIMULATED)


if __name__ == "__main__":
    sys.exit(main())

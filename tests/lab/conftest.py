"""Labs for the tests: few, shared by the session, and none on a machine that cannot carry one.

Everything lives in AIOPS_TEST_HOME (default /var/tmp/aiops-tests), so that the base image is built once and not at
every run. A lab is named after the process that made it; those of dead processes are removed first.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.support.host_state import LISTING

from aiops.layers.core.home import ensure_folder
from aiops.layers.core.plugin import Plugins
from aiops.layers.l0_nodes.lab import Lab, LabSpec, Simulated, lab_names
from aiops.layers.l0_nodes.lab.identity import login_key
from aiops.layers.l0_nodes.lab.machine import unfit
from aiops.layers.l0_nodes.vendor import AcceleratorHooks, Vendor

DRIVER = "580.95.05"
AIOPS = Path(sys.executable).with_name("aiops")


QUICK = ("a_gang_runs_as_its_owner", "the_same_attempt_by_another_controller", "a_rank_that_outlives_its_slurmd")
"""Of the Slurm engine's tests those that every run has; the others, the contract of engines among them, wait a lot."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what takes long: `make soak-slurm_engine` runs it."""
    for item in items:
        if item.path.name == "test_slurm_engine.py" and not item.name.startswith(tuple(f"test_{one}" for one in QUICK)):
            item.add_marker(pytest.mark.soak)


@dataclass(frozen=True)
class Shell:
    """Runs shell lines on a lab's hosts through the ordinary ssh client, host keys checked."""

    lab: Lab

    def argv(self, node: str) -> list[str]:
        """The ssh command up to the host."""
        folder = self.lab.folder
        options = [
            "BatchMode=yes",
            "ConnectTimeout=5",
            "IdentitiesOnly=yes",
            f"UserKnownHostsFile={folder / 'known_hosts'}",
        ]
        words = [word for option in options for word in ("-o", option)]
        return ["ssh", "-F", "none", "-i", str(login_key(folder)), *words, f"root@{self.lab.state.host(node).address}"]

    def run(self, node: str, line: str, *, timeout: float = 30) -> subprocess.CompletedProcess[str]:
        """The end of `line` on `node`; 255 is ssh's own."""
        return subprocess.run(
            [*self.argv(node), line],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def __call__(self, node: str, line: str, *, timeout: float = 30) -> str:
        """Stdout of `line`, which must succeed."""
        done = self.run(node, line, timeout=timeout)
        assert done.returncode == 0, f"{node}: {line}: {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout.strip()


@pytest.fixture(scope="session")
def lab_home() -> Path:
    """AIOPS_HOME of the tests' labs; skips where this machine can carry none."""
    problem = unfit(building=True)
    if problem is not None:
        pytest.skip(f"{problem.message} ({problem.hint})")
    home = ensure_folder(Path(os.environ.get("AIOPS_TEST_HOME", "/var/tmp/aiops-tests")))
    for name in lab_names(home):
        owner = name.rpartition("-")[2]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            Lab.open(name, home=home, vendors=vendors()).down()
    return home


def vendors() -> list[Vendor]:
    """The vendors whose plugins are installed."""
    found: list[Vendor] = Plugins().hooks("accelerator", AcceleratorHooks).accelerator_vendor()
    return found


MakeLab = Callable[[LabSpec], Lab]


@pytest.fixture(scope="session")
def make_lab(lab_home: Path) -> Iterator[MakeLab]:
    """Makes labs that are removed when the session ends; `LabSpec.name` becomes a part of the lab's name."""
    made: list[Lab] = []

    def make(spec: LabSpec) -> Lab:
        from dataclasses import replace

        named = replace(spec, name=f"{spec.name}-{os.getpid()}")
        lab = Lab.up(named, home=lab_home, vendors=vendors())
        made.append(lab)
        return lab

    yield make
    for lab in reversed(made):
        lab.down()


@pytest.fixture(scope="session")
def bare_lab(make_lab: MakeLab) -> Lab:
    """A head and two workers with four simulated GPUs and their driver; nothing is deployed on them.

    Shared by all tests: undo what you do.
    """
    return make_lab(LabSpec("bare", nodes=2, accelerator=Simulated("nvidia", 4), driver=DRIVER, disk_mib=1024))


@pytest.fixture(scope="session")
def shell(bare_lab: Lab) -> Shell:
    """Runs lines on the hosts of `bare_lab`."""
    return Shell(bare_lab)


@dataclass(frozen=True)
class Ended:
    """A command line of ours that has ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """Its answer, asked with `--json`."""
        return json.loads(self.stdout)


@dataclass(frozen=True)
class Cluster:
    """A lab on which everything is deployed."""

    lab: Lab
    home: Path
    first: Ended
    before: Mapping[str, str] = field(default_factory=dict)
    """What was on each host before, see `host_state.LISTING`."""

    @property
    def inventory(self) -> Path:
        """Its inventory."""
        return self.lab.inventory_path

    def environment(self) -> dict[str, str]:
        """What `aiops` is run with."""
        return {**os.environ, "AIOPS_HOME": str(self.home), "AIOPS_INVENTORY": str(self.inventory)}

    def aiops(self, *words: str, timeout: float = 600) -> Ended:
        """Run `aiops WORDS`."""
        done = subprocess.run(
            [str(AIOPS), *words],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def deploy(self, *words: str) -> Ended:
        """`aiops cluster deploy --yes --json WORDS`."""
        return self.aiops("cluster", "deploy", "--yes", "--json", *words)

    @property
    def shell(self) -> Shell:
        """Runs lines on its hosts."""
        return Shell(self.lab)


SIX = "4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274"
IDNA = "946d195a0d259cbba61165e88e65941f16e9b36ea6ddb97f00452bae8b1287d3"
FOR_TINY = {
    "inventory.yml": "all: {children: {head: {hosts: {head: }}}, vars: {aiops_environments: [tiny],"
    " aiops_environment_locks: {tiny: tiny.lock}}}\n",
    "tiny.lock": f"# imports: six, idna\nsix==1.17.0 --hash=sha256:{SIX}\nidna==3.10 --hash=sha256:{IDNA}\n",
}
"""What a bundle is built for, so that it has an environment, `tiny`, that a lab may lay."""


@pytest.fixture(scope="session")
def bundle(lab_home: Path) -> Path:
    """A bundle for the labs, made once; the only thing here that wants the internet."""
    path, order = lab_home / "bundle", ensure_folder(lab_home / "order")
    for name, text in FOR_TINY.items():
        (order / name).write_text(text)
    words = ["cluster", "bundle", "build", str(order / "inventory.yml"), "--quiet", "-o", str(path)]
    done = subprocess.run(
        [str(AIOPS), *words, "--simulated", f"nvidia:{DRIVER}"],
        env={**os.environ, "AIOPS_HOME": str(lab_home)},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    if done.returncode != 0 and not (path / "manifest.json").exists():
        pytest.skip(f"no bundle can be built here: {done.stderr.strip().splitlines()[:1]}")
    return path


@pytest.fixture(scope="session")
def deployed(make_lab: MakeLab, lab_home: Path, bundle: Path) -> Cluster:
    """A head and two workers, deployed once from the bundle; the snapshot `deployed` is of that."""
    assert bundle.exists()
    lab = make_lab(LabSpec("cluster", nodes=2, accelerator=Simulated("nvidia", 4), disk_mib=6144))
    cluster = Cluster(lab, lab_home, Ended(0, "", ""))
    before = {node: cluster.shell(node, LISTING, timeout=120) for node in ("head", "gpu01", "gpu02")}
    first = cluster.deploy()
    assert first.code == 0, f"the first deploy failed: {first.stderr}{first.stdout[-3000:]}"
    lab.snapshot("deployed")
    return Cluster(lab, lab_home, first, before)


@pytest.fixture
def cluster_lab(deployed: Cluster) -> Iterator[Cluster]:
    """The deployed cluster; whatever a test does to its hosts is undone after it."""
    yield deployed
    deployed.lab.reset("deployed")

"""A real bundle of a few kilobytes, made without any network: two dummies of the lab, signed and indexed."""

from pathlib import Path

from aiops.layers.core.clock import SystemClock
from aiops.layers.core.home import ensure_folder
from aiops.layers.l0_nodes.simulated_package import SimulatedPackage
from aiops.layers.l1_cluster.bundle.build import Request, sign_bundle
from aiops.layers.l1_cluster.bundle.bundle import Bundle
from aiops.layers.l1_cluster.bundle.draft import Draft
from aiops.layers.l1_cluster.bundle.dummy import dummy_deb
from aiops.layers.l1_cluster.bundle.signing import SigningKey
from aiops.layers.l1_cluster.bundle.target import Target

TARGET = Target("bookworm", "amd64")


def small_bundle(home: Path, output: Path, *, version: str = "1.0", names: tuple[str, ...] = ("one", "two")) -> Bundle:
    """Make one at `output`, signed with the key of `home`."""
    clock, key = SystemClock(), SigningKey.of(ensure_folder(home))
    draft = Draft([TARGET])
    for name in names:
        package = SimulatedPackage(
            f"aiops-test-{name}", version, "A test", files={f"/usr/share/{name}": ("x\n", 0o644)}
        )
        scratch = ensure_folder(home / "scratch" / f"{name}-{version}")
        deb = dummy_deb(package, TARGET.architecture, ensure_folder(home / "dummies"), scratch)
        draft.add_own_deb(TARGET, deb, "Apache-2.0", simulated=True)
    draft.add_lists()
    draft.seal(key, clock.now())
    output.mkdir(parents=True)
    draft.write(output)
    return sign_bundle(output, draft, Request({TARGET: ()}), key, clock)

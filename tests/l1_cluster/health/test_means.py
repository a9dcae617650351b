"""What can be done on a node: which devices a finding is about, and which services."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.core.plugin import Plugins
from aiops.layers.l0_nodes.accelerator import Accelerator
from aiops.layers.l0_nodes.facts import BusAccelerators, Facts
from aiops.layers.l0_nodes.vendor import vendors_of
from aiops.layers.l1_cluster.health.catalogue import checks_of
from aiops.layers.l1_cluster.health.episode import Episode
from aiops.layers.l1_cluster.health.means import Means, means_of

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
PLUGINS = Plugins()
VENDORS = vendors_of(PLUGINS)
CHECKS = {check.id: check for check in checks_of(PLUGINS)}
GPUS = tuple(Accelerator("nvidia", index=number, bus=f"0000:{number:02x}:00.0", model="H100") for number in range(12))
ALONE = (BusAccelerators("nvidia", 12),)


def found(about: str = "GPU 1", check: str = "gpu.ecc_uncorrected", **more: Any) -> Episode:
    return Episode("n1", check, about, "critical", "x", AT, AT, **{"action": "reset_device", **more})


def means(episode: Episode, gpus: Sequence[Accelerator] | None = GPUS, bus: Sequence[BusAccelerators] = ALONE) -> Means:
    facts = Facts("n1", AT, accelerators=None if gpus is None else tuple(gpus), bus_accelerators=tuple(bus))
    return means_of(facts, VENDORS, [episode], CHECKS)


@pytest.mark.parametrize(
    ("about", "indexes"),
    [
        ("GPU 1", ["1"]),
        ("GPU 11", ["11"]),
        ("GPU 1 link 3", ["1"]),
        ("GPU at 0000:0b:00.0", ["11"]),
        ("", [str(number) for number in range(12)]),
        ("processors", [str(number) for number in range(12)]),
        ("GPU 77", []),
        ("GPU at 0000:77:00.0", []),
    ],
)
def test_a_finding_is_about_one_device_or_all_of_them(about: str, indexes: list[str]) -> None:
    episode = found(about)
    resets = means(episode).resets.get(episode.key, ())
    assert [argv[-1] for reset in resets for argv in reset.commands] == indexes


def test_where_switches_join_devices_all_are_reset_together() -> None:
    episode = found()
    (reset,) = means(episode, bus=(BusAccelerators("nvidia", 12, switches=4),)).resets[episode.key]
    assert reset.commands == (("nvidia-smi", "--gpu-reset"),)
    assert reset.devices == GPUS


def test_what_no_tool_shows_or_no_vendor_resets_has_no_reset() -> None:
    episode = found()
    assert means(episode, None).resets == {}
    gaudi = [Accelerator("gaudi", index=1, model="HL-225")]
    assert means(episode, gaudi, ()).resets == {}
    assert means(episode, gaudi, ()).every == ()
    mixed = means(found(""), [*GPUS, *gaudi])
    assert mixed.resets == {}, "all means all"


@pytest.mark.parametrize(
    ("episode", "units"),
    [
        (found("", "svc.munge", action="restart_service", evidence={"unit": "munge.service"}), ("munge.service",)),
        (found("a@b.service", "svc.failed", action="restart_service"), ("a@b.service",)),
        (
            found("", "time.sync", action="restart_service"),
            ("chrony.service", "chronyd.service", "systemd-timesyncd.service"),
        ),
        (found("slurmd", "kernel.oom", action="restart_service"), ("slurmd.service",)),
        (found("/scratch", "mount.hung", action="restart_service"), None),
        (found("--now", "svc.failed", action="restart_service"), None),
        (found("", "svc.x", action="restart_service", evidence={"unit": "-x.service"}), None),
        (found("", "svc.x", action="restart_service", evidence={"unit": "a b.service"}), None),
        (found("", "svc.x", action="restart_service", evidence={"unit": "{{ x }}.service"}), None),
        (found("GPU 1", "gpu.xid", evidence={"unit": "munge.service"}), None),
    ],
)
def test_services_are_named_by_the_finding_or_its_check(episode: Episode, units: tuple[str, ...] | None) -> None:
    assert means(episode).units.get(episode.key) == units


@given(st.text(max_size=30), st.text(max_size=30))
def test_whatever_a_node_says_is_no_command(about: str, unit: str) -> None:
    episode = found(about, "x.y", action="restart_service", evidence={"unit": unit})
    for name in means(episode).units.get(episode.key, ()):
        assert not name.startswith("-")
        assert not set(name) & set(" \t\n'\"{}$;|&<>()`")


def test_every_check_that_restarts_something_can_say_what() -> None:
    """But for mounts, findings of unit names of their own, and the daemons that the kernel's log names."""
    speaks = {"mount.present", "mount.hung", "svc.failed", "svc.flapping", "kernel.oom"}
    for check in CHECKS.values():
        if check.action == "restart_service" and check.id not in speaks and not check.id.startswith(("svc.", "mount.")):
            assert check.units, check.id

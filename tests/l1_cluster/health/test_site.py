"""What a site says of health in its aiops.toml; mistakes are in the tests of the screens."""

from pathlib import Path

from aiops.layers.core.plugin import Plugins
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.settings import Settings, read_settings
from aiops.layers.l1_cluster.health.catalogue import called, checks_of
from aiops.layers.l1_cluster.health.site import Policy, Site, read_site

ROOT = Path(__file__).parents[3]
ALL = checks_of(Plugins())


def site(folder: Path, text: str) -> Site:
    (folder / "aiops.toml").write_text(text)
    return read_site(read_settings(folder / "aiops.toml"), ALL, {"workers", "storage", "h100"})


def test_the_canonical_file_says_what_holds_without_it() -> None:
    canonical = read_site(read_settings(ROOT / "docs/reference/aiops.toml"), ALL, ())
    assert canonical.policy == Policy()
    check = called(ALL, "time.sync")
    assert canonical.rules.limits(check, None) == check.limits()


def test_nothing_said_is_nothing_changed() -> None:
    assert read_site(Settings(), ALL, ()) == Site()


def test_a_group_counts_more_than_all_and_a_later_one_more_than_an_earlier(tmp_path: Path) -> None:
    rules = site(
        tmp_path,
        '[health.thresholds]\n"time.sync" = {warn = 1, critical = 50}\n'
        '[health.groups.workers.thresholds]\n"time.sync" = {warn = 2}\n'
        '[health.groups.h100.thresholds]\n"time.sync" = {warn = 3}\n',
    ).rules
    check = called(ALL, "time.sync")
    assert rules.limits(check, None) == {"warn": 1, "critical": 50}
    assert rules.limits(check, Node("a", groups=("workers",))) == {"warn": 2, "critical": 50}
    assert rules.limits(check, Node("b", groups=("h100", "workers"))) == {"warn": 3, "critical": 50}
    assert rules.limits(check, Node("c", groups=("storage",))) == {"warn": 1, "critical": 50}

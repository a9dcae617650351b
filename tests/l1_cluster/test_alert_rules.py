"""The alert rules: they say the same as the checks, and pass their own unit tests by Prometheus' promtool.

Where there is no promtool here, the unit tests run on the head of a deployed lab in any case.
"""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.l1_cluster.golden_nodes import LAB_HOST, a_cluster, text, wanted

from aiops.layers.core.plugin import Plugins
from aiops.layers.l1_cluster.health import reach
from aiops.layers.l1_cluster.health.catalogue import checks_of
from aiops.layers.l1_cluster.health.verdict import ACTIONS

PROMTOOL = shutil.which("promtool")
CASES = sorted((Path(__file__).parent / "alerts").glob("*_test.yml"))
CHECKS = {check.id: check for check in checks_of(Plugins())}
LABELS = ("severity", "check", "action", "owner")
LIMITS = {
    "FilesystemFull": (("disk.used", "critical"), ("disk.used", "critical_free")),
    "FilesystemFilling": (("metrics.filling", "hours"),),
    "FilesystemInodesLow": (("disk.inodes", "warn"), ("disk.inodes", "warn_free")),
    "MemoryLow": (("mem.available", "percent"),),
    "ClockOff": (("time.sync", "critical"),),
    "GpuHot": (("gpu.temp", "warn"),),
    "GpuTooHot": (("gpu.temp", "critical"),),
    "MemoryModuleCorrected": (("mem.dimm_errors", "per_day"),),
    "EthernetFlapping": (("eth.carrier", "changes"),),
    "InfinibandLinkDowned": (("ib.link_downed", "times"),),
    "NodeSilent": (("metrics.silent", "minutes"),),
    "NodeBootsAgain": (("metrics.reboots", "times"),),
    "MemoryStalled": (("metrics.stalled", "percent"),),
    "ClockJumped": (("metrics.clock", "milliseconds"),),
    "GpuRowsRemapped": (("metrics.gpu_remapped", "rows"),),
}
"""By alert, the thresholds that it has in common with a check."""


def rendered() -> str:
    return text(wanted("monitoring", a_cluster(LAB_HOST), "head"), "/etc/prometheus/rules/aiops.yml")


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for group in yaml.safe_load(rendered())["groups"] for rule in group["rules"]}


ALERTS = alerts()


@pytest.mark.parametrize("name", [name for name in ALERTS if name != "HealthFinding"])
def test_each_alert_says_which_check_judges_the_same(name: str) -> None:
    """`HealthFinding` has the words of the finding itself."""
    labels = ALERTS[name]["labels"]
    assert tuple(labels) == LABELS
    assert labels["check"] in {*CHECKS, reach.CHECK}
    assert labels["severity"] in {"info", "warn", "critical"}
    assert labels["action"] in ACTIONS
    assert labels["owner"] in {"node", "fabric", "user", "controller"}


TOLD_OTHERWISE = {"metrics.alert": "it tells of alerts", "metrics.gpu_hot": "GpuHot, of gpu.temp, looks all the time"}


@pytest.mark.parametrize("check", [one for one in CHECKS if one.startswith("metrics.")])
def test_each_check_of_metrics_has_an_alert(check: str) -> None:
    told = {rule["labels"].get("check") for rule in ALERTS.values()}
    assert (check in told) != (check in TOLD_OTHERWISE)


@pytest.mark.parametrize("name", LIMITS)
def test_limits_are_those_of_the_checks(name: str) -> None:
    numbers = {float(one) for one in re.findall(r"[<>]=? (\d+(?:\.\d+)?)\b", ALERTS[name]["expr"])}
    for check, limit in LIMITS[name]:
        assert CHECKS[check].limits()[limit] in numbers, (check, limit)


def test_a_link_flaps_from_the_change_on_that_the_check_counts_too() -> None:
    """`increase` gives a bit more than what was counted: 2.06 for two changes, which are one flap."""
    limit = CHECKS["eth.carrier"].limits()["changes"]
    assert re.search(rf"^round\(increase\(.+\)\) > {limit:g}$", ALERTS["EthernetFlapping"]["expr"], re.MULTILINE)


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed here (Debian: package prometheus)")
def test_rules_pass_their_unit_tests(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(rendered())
    for path in CASES:
        shutil.copy(path, tmp_path)
    done = subprocess.run(
        [str(PROMTOOL), "test", "rules", *(path.name for path in CASES)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr

"""The alert rules' own unit tests, run by Prometheus' promtool; on the head of a deployed lab they run in any case."""

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.l1_cluster.golden_nodes import LAB_HOST, a_cluster, text, wanted

PROMTOOL = shutil.which("promtool")
CASES = Path(__file__).parent / "alerts" / "rules_test.yml"


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed here (Debian: package prometheus)")
def test_rules_pass_their_unit_tests(tmp_path: Path) -> None:
    rules = text(wanted("monitoring", a_cluster(LAB_HOST), "head"), "/etc/prometheus/rules/aiops.yml")
    (tmp_path / "rules.yml").write_text(rules)
    shutil.copy(CASES, tmp_path)
    done = subprocess.run(
        [str(PROMTOOL), "test", "rules", CASES.name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr

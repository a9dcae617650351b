"""docs/writing-a-phase.md: its example is loaded and gives what the page says."""

import re
from pathlib import Path

from tests.l1_cluster.golden_nodes import LAB_HOST, MACHINE, FixedSecrets, a_cluster, text

from aiops.layers.l1_cluster.desired import Desired
from aiops.layers.l1_cluster.phase import choose, read_phases, shipped_phases

PAGE = Path(__file__).parents[2] / "docs" / "writing-a-phase.md"


def blocks() -> dict[str, str]:
    """The fenced blocks of the page by language, each of which it has once."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert len(found) == len({language for language, _ in found})
    return dict(found)


def test_the_example_is_a_phase(tmp_path: Path) -> None:
    written = blocks()
    for name in ("scratch", "base", "repository"):
        (tmp_path / name).mkdir()
    (tmp_path / "scratch" / "phase.yml").write_text(written["yaml"])
    (tmp_path / "scratch" / "scratch.conf.j2").write_text(written["jinja"])
    (tmp_path / "base" / "phase.yml").write_text("phase: base\nresources: []\n")
    (tmp_path / "repository" / "phase.yml").write_text("phase: repository\nresources: []\n")
    (phase,) = choose(read_phases(tmp_path), "scratch", None)
    for kind, days in ((MACHINE, 10), (LAB_HOST, 3)):
        cluster = a_cluster(kind)
        resources = {one.key: one for one in Desired(phase, FixedSecrets()).of(cluster.node("gpu01"), cluster)}
        if kind is MACHINE:
            assert list(resources) == written["text"].split()
        assert text(resources, "/etc/tmpfiles.d/scratch.conf") == (
            "# Managed by aiops (phase scratch); changes here are overwritten.\n"
            f"# gpu01 of lab-a: emptied of what nobody touched for {days} days.\n"
            f"d /scratch 1777 root root {days}d\n"
        )
        assert Desired(phase, FixedSecrets()).of(cluster.node("head"), cluster) == ()


def test_the_page_names_every_field_of_every_resource() -> None:
    from aiops.layers.l1_cluster import phase

    table = PAGE.read_text().split("## The resources")[1].split("## What templates see")[0]
    for kind, fields in phase._FIELDS.items():
        (row,) = [line for line in table.splitlines() if line.startswith(f"| `{kind}: ")]
        for field in fields:
            assert f"`{field}" in row, f"{kind}: {field}"


def test_the_page_of_phases_names_every_shipped_phase() -> None:
    page = (PAGE.parent / "phases.md").read_text()
    for phase in read_phases(shipped_phases()):
        assert f"| {phase.name} |" in page

"""What aiops.toml says of jobs: the reference page has the defaults, and every mistake is told at once."""

from pathlib import Path

import pytest

from aiops.layers.core.errors import InputError
from aiops.layers.l0_nodes.settings import read_settings
from aiops.layers.l2_jobs.site import read_site
from aiops.layers.l2_jobs.world import Settings

ROOT = Path(__file__).parents[2]


def said(folder: Path, text: str) -> Settings:
    (folder / "aiops.toml").write_text(text)
    return read_site(read_settings(folder / "aiops.toml"))


def test_the_reference_says_the_defaults(tmp_path: Path) -> None:
    assert read_site(read_settings(ROOT / "docs/reference/aiops.toml")) == Settings()
    assert said(tmp_path, "") == Settings()


def test_what_a_site_says(tmp_path: Path) -> None:
    found = said(
        tmp_path,
        "[jobs]\nspares = 2\nverdict_age = 30\nports = [30000, 30064]\n"
        "budget = {node = 3, storage = 9}\npair_test = ['/p', '-v']",
    )
    assert found == Settings(30.0, {**Settings().budget, "node": 3, "storage": 9}, (30000, 30064), 2, ("/p", "-v"))


def test_all_mistakes_at_once_with_lines_and_the_nearest_names(tmp_path: Path) -> None:
    text = """[jobs]
spare = 1
spares = -1
verdict_age = "60"
ports = [30000, 30002]
budget = {nod = 3, network = true}
pair_test = "/p -v"
"""
    with pytest.raises(InputError) as caught:
        said(tmp_path, text)
    assert [(one.line, one.hint) for one in caught.value.problems] == [
        (2, "did you mean `spares`?"),
        (4, None),
        (3, None),
        (6, "did you mean `node`?"),
        (6, None),
        (5, None),
        (7, None),
    ]
    with pytest.raises(InputError, match="is wrong in 1 place"):
        said(tmp_path, "jobs = 3")

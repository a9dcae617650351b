"""docs/data.md names every kind of fault as the catalogue does."""

from pathlib import Path

import pytest

from aiops.layers.l3_tuning.data.fault import CATALOGUE, nearest_kind

PAGE = Path(__file__).parents[3] / "docs/data.md"


def test_the_page_has_all_kinds() -> None:
    rows = [
        line
        for line in PAGE.read_text().splitlines()
        if line.startswith("| `") and line.count("|") == 5 and "." in line[:30]
    ]
    assert rows == [f"| `{kind.name}` | {kind.level} | {kind.meaning} | {kind.advice} |" for kind in CATALOGUE.values()]


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("role", "role.order"),
        ("Personal.Mail", "personal.email"),
        ("json.brokn", "json.broken"),
        ("leak", "leak.evaluation"),
        ("xyzzy", None),
        ("", None),
    ],
)
def test_the_nearest_kind_is_told(name: str, near: str | None) -> None:
    assert nearest_kind(name) == near

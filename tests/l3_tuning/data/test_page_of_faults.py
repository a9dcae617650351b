"""docs/data.md names every kind of fault as the catalogue does."""

from pathlib import Path

from aiops.layers.l3_tuning.data.fault import CATALOGUE

PAGE = Path(__file__).parents[3] / "docs/data.md"


def test_the_page_has_all_kinds() -> None:
    rows = [
        line
        for line in PAGE.read_text().splitlines()
        if line.startswith("| `") and line.count("|") == 5 and "." in line[:30]
    ]
    assert rows == [f"| `{kind.name}` | {kind.level} | {kind.meaning} | {kind.advice} |" for kind in CATALOGUE.values()]

"""The page of trainers says of each what it says of itself."""

from pathlib import Path

from aiops.plugins.trainers.axolotl import Axolotl
from aiops.plugins.trainers.command import Command
from aiops.plugins.trainers.llamafactory import LlamaFactory
from aiops.plugins.trainers.ms_swift import MsSwift
from aiops.plugins.trainers.table import table

PAGE = Path(__file__).parents[3] / "docs/trainers.md"


def test_the_page_has_the_table() -> None:
    """Line by line: other trainers may stand between."""
    page = PAGE.read_text().splitlines()
    wanted = table([Axolotl(), Command(), LlamaFactory(), MsSwift()]).splitlines()
    missing = [line for line in wanted if line not in page]
    assert missing == [], "write them into docs/trainers.md"

"""Records of a vendor's asks, made of captured layouts."""

from datetime import UTC, datetime
from pathlib import Path

from aiops.layers.l0_nodes.ask import Answer, Record

AT = datetime(2026, 11, 21, tzinfo=UTC)
HUNG = Answer("x", seconds=10.0, timed_out=True)
ABSENT = Answer("x", missing={"argv": "tool: not found"})
REFUSED = Answer("x", 2, stderr="unknown option\n")


class Layouts:
    """The captured layouts of one vendor.

    Attributes:
        vendor: Its plugin's name, of which the folder and the asks are named.
    """

    def __init__(self, vendor: str) -> None:
        self.vendor = vendor
        self.folder = Path(__file__).parents[1] / "plugins" / "layouts" / vendor

    def text(self, name: str) -> str:
        """One layout: `table-1.2.0`."""
        return (self.folder / f"{name}.txt").read_text("utf-8")

    def record(self, *, bus: Answer | str | None = None, **answers: Answer | str) -> Record:
        """A record in which `query="..."` is the answer to `VENDOR.query`; `bus` is the maker of the only device."""
        made = {}
        for name, value in answers.items():
            full = f"{self.vendor}.{name}"
            made[full] = Answer(full, 0, stdout=value) if isinstance(value, str) else value
        if isinstance(bus, Answer):
            made["bus"] = bus
        elif bus is not None:
            place = "/sys/bus/pci/devices/0000:04:00.0"
            files = {f"{place}/vendor": f"0x{bus}\n", f"{place}/class": "0x120000\n"}
            made["bus"] = Answer("bus", files=files)
        return Record("n1", AT, made)

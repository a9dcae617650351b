"""What `brsmi` is asked, and the pure parser of its answers (experimental).

The table is the only layout of which a capture is public. The csv query is composed from documented fields; it adds the
identities, which the table lacks. How `brsmi gpu query -d health` looks is not known, so it is not asked.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from aiops.layers.l0_nodes import cell
from aiops.layers.l0_nodes.accelerator import Accelerator
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l0_nodes.device_table import Row, parse_devices
from aiops.layers.l0_nodes.telling import Telling, parse_rows, reading, told
from aiops.layers.l0_nodes.vendor import Reading

TOOL = "brsmi"

FIELDS = (
    "index",
    "name",
    "uuid",
    "serial",
    "pci.bus_id",
    "utilization.gpu",
    "memory.used",
    "memory.total",
    "temperature.gpu",
    "svi.mode.current",
)

ASKS = (
    Ask("biren.table", (TOOL,), timeout=10.0),
    Ask(
        "biren.query",
        (TOOL, "gpu", f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader,nounits"),
        timeout=10.0,
    ),
)

_TITLE = re.compile(r"BR-SMI .{0,60}Driver Version: *([0-9A-Za-z._-]{1,40})")


def read(record: Record) -> Reading:
    """The devices that a record tells of. Never raises: what cannot be read is in `unknown`, with its reason."""
    parse_table = partial(parse_devices, "biren", _TITLE, _of_table)
    parse_query = partial(parse_rows, FIELDS, _of_query, address="pci.bus_id")
    return reading(  # a version that lacks one of the fields refuses all of them
        {
            "table": told(record.answer("biren.table"), TOOL, parse_table),
            "query": told(record.answer("biren.query"), TOOL, parse_query),
        }
    )


def _of_table(row: Row, device: Accelerator) -> Accelerator:
    return replace(
        device,
        persistence=cell.flag(row.last[0]) if row.last else None,
        partitioned=cell.flag(row.last[-1]) if row.last else None,
    )


def _of_query(values: Mapping[str, str], _: Telling) -> Accelerator:
    return Accelerator(
        vendor="biren",
        index=cell.whole(values["index"]),
        uuid=cell.text(values["uuid"]),
        serial=cell.text(values["serial"]),
        bus=cell.bus(values["pci.bus_id"]),
        model=cell.text(values["name"]),
        memory_used_mib=cell.mebibytes(values["memory.used"]),
        memory_total_mib=cell.mebibytes(values["memory.total"]),
        utilization=cell.percent(values["utilization.gpu"]),
        temperature_c=cell.celsius(values["temperature.gpu"]),
        partitioned=cell.flag(values["svi.mode.current"]),
    )

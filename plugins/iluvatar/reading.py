"""What `ixsmi` is asked, and the pure parser of its answers.

The XML alone counts memory errors, and the rows alone name the firmware. The field of the power was renamed with
CoreX 4, and one unknown field fails a whole query: so it is asked both ways, and what fails is not missed.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

from aiops.layers.l0_nodes import cell
from aiops.layers.l0_nodes.accelerator import Accelerator, Ecc, Pcie
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l0_nodes.telling import Telling, parse_rows, reading, told
from aiops.layers.l0_nodes.vendor import Reading

from .description import parse_description
from .table import parse_table
from .values import checked

T = TypeVar("T")

TOOL = "ixsmi"
FIELDS_3 = (
    "index",
    "uuid",
    "name",
    "pci.bus_id",
    "memory.total",
    "memory.used",
    "utilization.gpu",
    "temperature.gpu",
    "power.draw",
)
FIELDS = (
    *FIELDS_3[:-1],
    "gpu.power.draw",
    "gpu.current.power.limit",
    "serial",
    "driver_version",
    "vbios_version",
    "temperature.memory",
    "ecc.mode.current",
    "pcie.link.gen.current",
    "pcie.link.gen.max",
    "pcie.link.width.current",
    "pcie.link.width.max",
)
_CSV = "--format=csv,noheader,nounits"
# The tool does not find its own libraries unless the installer's profile was read, which no probe's shell does.
_ENVIRONMENT = (("LD_LIBRARY_PATH", "/usr/local/corex/lib64:/usr/local/corex/lib"),)

ASKS = (
    Ask("iluvatar.xml", (TOOL, "-q", "-x"), timeout=10.0, max_bytes=1_048_576, environment=_ENVIRONMENT),
    Ask("iluvatar.query", (TOOL, f"--query-gpu={','.join(FIELDS)}", _CSV), timeout=10.0, environment=_ENVIRONMENT),
    Ask("iluvatar.query_3", (TOOL, f"--query-gpu={','.join(FIELDS_3)}", _CSV), timeout=10.0, environment=_ENVIRONMENT),
    Ask("iluvatar.table", (TOOL,), timeout=10.0, environment=_ENVIRONMENT),
)


def read(record: Record) -> Reading:
    """The devices that a record tells of. Never raises: what cannot be read is in `unknown`, with its reason."""
    return reading(  # rows first: they number the devices, while the XML only has them in some order
        {
            "query": told(record.answer("iluvatar.query"), TOOL, partial(parse_rows, FIELDS, _of_row)),
            "query_3": told(record.answer("iluvatar.query_3"), TOOL, partial(parse_rows, FIELDS_3, _of_row)),
            "details": told(record.answer("iluvatar.xml"), TOOL, parse_description),
            "table": told(record.answer("iluvatar.table"), TOOL, parse_table),
        }
    )


def _of_row(values: Mapping[str, str], telling: Telling) -> Accelerator:
    def take(field: str, parse: Callable[[str], T | None]) -> T | None:
        return telling.take(f"{values['index']}.{field}", parse, values.get(field, ""))

    return checked(
        Accelerator(
            vendor="iluvatar",
            index=take("index", cell.whole),
            uuid=take("uuid", cell.text),
            serial=take("serial", cell.text),
            bus=take("pci.bus_id", cell.bus),
            model=take("name", cell.text),
            driver=take("driver_version", cell.text),
            firmware=take("vbios_version", cell.text),
            memory_total_mib=take("memory.total", cell.mebibytes),
            memory_used_mib=take("memory.used", cell.mebibytes),
            utilization=take("utilization.gpu", cell.percent),
            temperature_c=take("temperature.gpu", cell.celsius),
            temperature_memory_c=take("temperature.memory", cell.celsius),
            power_w=take("gpu.power.draw", cell.watts)
            if "gpu.power.draw" in values
            else take("power.draw", cell.watts),
            power_cap_w=take("gpu.current.power.limit", cell.watts),
            pcie=Pcie(
                generation=take("pcie.link.gen.current", cell.whole),
                width=take("pcie.link.width.current", cell.whole),
                max_generation=take("pcie.link.gen.max", cell.whole),
                max_width=take("pcie.link.width.max", cell.whole),
            ),
            ecc=Ecc(enabled=take("ecc.mode.current", cell.flag)),
        ),
        telling,
    )

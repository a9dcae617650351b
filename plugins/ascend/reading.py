"""What `npu-smi` is asked, and the pure parser of its answers.

It has no machine form. One table tells of all chips; what it lacks is asked chip by chip, in one round over the chips
that `npu-smi info -m` names (card controllers stand there too, with `-` for their number, and are left out).
"""

from aiops.layers.l0_nodes import cell
from aiops.layers.l0_nodes.accelerator import Accelerator, Links
from aiops.layers.l0_nodes.ask import Answer, Ask, Record
from aiops.layers.l0_nodes.trouble import trouble
from aiops.layers.l0_nodes.vendor import Reading

from .detail import Part, Place, ecc_of, health_of, links_of, parts_of
from .table import Chip, Table, read_table

# `-m` names card, chip and number; the 950's names card, slot and chip. Only what is digits is used.
_ROUND = (
    "npu-smi info -m </dev/null | while read -r card chip number rest; do "
    '[ "$number" = Slot ] && slots=1; '
    '[ -n "$slots" ] && chip=$number; '
    'case "$card.$chip.$number" in *[!0-9.]*|.*|*..*|*.) continue;; esac; '
    "{filter}"
    'echo "== $card $chip"; npu-smi info -t {kind} -i "$card"{chip} </dev/null; done'
)


def _round(kind: str, *, cards: bool = False) -> Ask:
    script = _ROUND.replace("{kind}", kind).replace("{chip}", "" if cards else ' -c "$chip"')
    script = script.replace("{filter}", '[ "$chip" = 0 ] || continue; ' if cards else "")
    return Ask(f"ascend.{kind}", ("sh", "-c", script), timeout=10.0)


ASKS = (
    Ask("ascend.info", ("npu-smi", "info"), timeout=10.0),
    _round("health"),
    _round("ecc"),
    _round("hccs"),
    _round("board", cards=True),
)
_KINDS = ("health", "ecc", "hccs", "board")
_NOT_WELL = "NOK"


def read(record: Record) -> Reading:
    """The devices that a record tells of. Never raises: what cannot be read is in `unknown`, with its reason."""
    unknown: dict[str, str] = {}
    answer = record.answer("ascend.info")
    table = read_table(answer.stdout)
    problem = _trouble(answer, table)
    if problem is not None:
        unknown["info"] = problem
    if not table.chips:
        return Reading(unknown=unknown)
    parts = {kind: parts_of(record.answer(f"ascend.{kind}"), kind, unknown) for kind in _KINDS}
    for number, row in enumerate(table.strange):
        unknown[f"row.{number}"] = f"not understood: {row}"
    shown = {(chip.card, chip.place) for chip in table.chips}
    for card, place in sorted({*parts["health"], *parts["ecc"]} - shown):
        unknown[f"npu.{card}.{place}"] = "npu-smi info -m names it, and npu-smi info does not"
    # A node all of whose links are down has none, or its chips were cut off from each other for virtual machines.
    linked = any(part.values.get("hccs health status") == "OK" for part in parts["hccs"].values())
    devices = [
        _device(index, chip, table, parts, unknown, linked=linked)
        for index, chip in zip(_indices(table.chips), table.chips, strict=True)
    ]
    return Reading(tuple(devices), unknown, mismatch=_mismatch(table, parts["board"]))


def _trouble(answer: Answer, table: Table) -> str | None:
    problem = trouble(answer, "npu-smi")
    if problem is not None:
        return problem
    if answer.truncated:
        return "npu-smi's answer was cut at its size limit"
    if table.driver is None:
        said = next((line.strip() for line in answer.stdout.splitlines() if line.strip()), "nothing")
        return f"this is no table of npu-smi: it says `{said[:120]}`"
    if not table.chips:
        return "npu-smi named no device"
    return None if table.whole else "the table of npu-smi has no end"


def _indices(chips: list[Chip]) -> list[int]:
    """The number among all chips, where the layout has one, else the card's: what `/dev/davinciN` is called after."""
    numbers = [chip.card if chip.number is None else chip.number for chip in chips]
    told = [number for number in numbers if number is not None and number >= 0]
    return told if len(told) == len(chips) == len(set(told)) else list(range(len(chips)))


def _device(
    index: int,
    chip: Chip,
    table: Table,
    parts: dict[str, dict[Place, Part]],
    unknown: dict[str, str],
    *,
    linked: bool,
) -> Accelerator:
    place = (-1 if chip.card is None else chip.card, -1 if chip.place is None else chip.place)
    told = {kind: parts[kind].get(place) for kind in ("health", "ecc", "hccs")}
    for kind, part in told.items():
        if part is None:
            if kind not in unknown:
                unknown[f"{index}.{kind}"] = f"npu-smi info -t {kind} says nothing of it"
        elif not part.values and not part.refused:
            unknown[f"{index}.{kind}"] = f"npu-smi info -t {kind}: {part.said[:120] or 'no answer'}"
    for subject, reason in chip.garbled.items():
        unknown[f"{index}.{subject}"] = reason
    health, codes, strange = health_of(chip.health, told["health"])
    if strange is not None:
        unknown[f"{index}.health"] = strange
    board = parts["board"].get((place[0], 0), Part()).values
    links = told["hccs"] or Part()
    if told["ecc"] and told["ecc"].values:
        counts = told["ecc"].counts()
        strange = next((text for text in counts.values() if cell.whole(text) is None and cell.text(text)), None)
        if strange is not None or not counts:
            unknown[f"{index}.ecc"] = f"npu-smi info -t ecc: a count is `{strange or 'nowhere'}`"[:120]
    cut_off = linked and links.values.get("hccs health status") == _NOT_WELL
    return Accelerator(
        vendor="ascend",
        index=index,
        serial=cell.text(board.get("serial number", "")),
        bus=chip.bus,
        model=_model(chip.name),
        driver=table.driver,
        firmware=cell.text(board.get("firmware version", "")),
        memory_total_mib=chip.memory_total_mib,
        memory_used_mib=chip.memory_used_mib,
        utilization=chip.utilization,
        temperature_c=chip.temperature_c,
        power_w=chip.power_w,
        ecc=ecc_of(told["ecc"] or Part()),
        links=links_of(links) if linked else Links(),
        processes=chip.processes,
        health=health,
        health_codes=codes,
        problems=("its HCCS links are down, and those of its neighbours are not",) if cut_off else (),
    )


def _model(name: str | None) -> str | None:
    return name if name is None or name.lower().startswith("ascend") else f"Ascend {name}"


def _mismatch(table: Table, boards: dict[Place, Part]) -> str | None:
    for (card, _), board in sorted(boards.items()):
        if board.values.get("compatibility") == _NOT_WELL:
            firmware = board.values.get("firmware version", "unknown")
            return f"driver {table.driver} and firmware {firmware} of NPU {card} do not fit together, as npu-smi judges"
    return "npu-smi warns that its driver was not completely installed" if table.unfinished else None

"""MetaX: the answers of several versions of `mx-smi`, and those of another maker's tool of that name.

The sections of state and details were printed one by one; here each stands in one log, as they are asked for. Why the
third device of the list is not available is made up.
"""

import pytest
from tests.support.vendor_records import ABSENT, HUNG, REFUSED, Layouts

from aiops.layers.l0_nodes.accelerator import Accelerator, Ecc, Pcie
from aiops.layers.l0_nodes.ask import Answer
from aiops.plugins.metax.reading import read

METAX = Layouts("metax")
STATE, DETAILS, TABLE = METAX.text("state-2.2.12"), METAX.text("details-2.2.12"), METAX.text("table-2.3.1")
LIST = METAX.text("list-2.2.12")
MOFFETT = """\
┌─────────────────────────────────────────────────────────────────────┐
│MOFFETT-SMI 2.3.0             Driver Version: 2.3.0                  │
├─────────────────────────────────────────────────────────────────────┤
│Card1 S30                     0000:1a:00.0                           │
"""
UNKNOWN_SWITCH = Answer("x", 1, stdout="PARSE ERROR: Argument: --show-clk-tr\n  Couldn't find match for argument\n")


def test_all_answers_tell_of_the_same_device() -> None:
    listed = "\n".join(line for line in LIST.replace("0000:09", "0000:14").splitlines() if "Not Available" not in line)
    reading = read(METAX.record(list=listed, state=STATE, details=DETAILS, table=TABLE))
    assert not reading.unknown
    assert reading.accelerators == (
        Accelerator(
            vendor="metax",
            index=0,
            uuid="GPU-00001111-2222-3333-4444-555566667777",
            serial="BT00000000000",
            bus="0000:14:00.0",
            model="MXC500",
            driver="3.0.11",
            firmware="1.27.5.0",
            memory_total_mib=65536,
            memory_used_mib=826,
            utilization=12.0,
            temperature_c=32.0,
            temperature_hotspot_c=38.5,
            power_w=62.015,
            power_cap_w=350.0,
            pcie=Pcie(generation=4, width=8, max_generation=5, max_width=16),
            ecc=Ecc(enabled=True, corrected_volatile=7, uncorrected_volatile=2, retired=1),
            persistence=False,
            partitioned=True,
            processes=0,
            throttle_reasons=("over_power", "chip_over_temperature"),
            health="ok",
        ),
    )


def test_memory_is_in_kb_in_sections_and_in_mib_in_the_table() -> None:
    for answers in ({"state": STATE}, {"state": REFUSED, "table": TABLE}):
        device = read(METAX.record(**answers)).accelerators[0]
        assert (device.memory_total_mib, device.memory_used_mib) == (65536, 826)


def test_sections_of_2_2_9_know_less_and_what_is_missing_is_not_zero() -> None:
    reading = read(METAX.record(state=METAX.text("state-2.2.9")))
    assert not reading.unknown
    first, second = reading.accelerators
    assert first.temperature_hotspot_c == 39.0
    assert first.ecc == Ecc(corrected_volatile=0, retired=0)
    assert (second.bus, second.temperature_hotspot_c, second.ecc) == ("0000:0a:00.0", 39.25, Ecc())
    assert second.throttle_reasons is None


def test_the_list_judges_and_a_device_that_a_container_was_not_given_is_not_broken() -> None:
    reading = read(METAX.record(list=LIST, state=UNKNOWN_SWITCH))
    given, hidden, broken = reading.accelerators
    assert (given.health, given.partitioned) == ("ok", True)
    assert (hidden.index, hidden.bus, hidden.health, hidden.health_codes) == (1, "0000:0f:00.0", None, ())
    assert (broken.model, broken.health) == ("MXC600-AL", "critical")
    assert broken.health_codes == ("Not Available: PCIe Link Lost",)
    assert reading.unknown == {
        "1.health": "mx-smi cannot see it: MetaX Sysfs File Unaccessible",
        "query": "mx-smi exit 1: PARSE ERROR: Argument: --show-clk-tr",
    }


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (
            "2.1.12",
            Accelerator(
                vendor="metax",
                index=0,
                bus="0000:1e:00.0",
                model="MetaX C500",
                driver="2.12.13",
                firmware="1.22.3.0",
                memory_total_mib=65536,
                memory_used_mib=5680,
                utilization=0.0,
                temperature_c=36.0,
                power_w=69.0,
                power_cap_w=350.0,
                processes=2,
            ),
        ),
        (
            "2.2.4",
            Accelerator(
                vendor="metax",
                index=0,
                bus="0000:02:00.0",
                model="MetaX C500",
                driver="2.14.8",
                firmware="1.24.4.0",
                memory_total_mib=65536,
                memory_used_mib=858,
                utilization=0.0,
                temperature_c=45.0,
                power_w=48.0,
                power_cap_w=350.0,
                processes=0,
                health="ok",
            ),
        ),
        (
            "2.2.8",
            Accelerator(
                vendor="metax",
                index=0,
                bus="0000:02:00.0",
                model="MetaX N260",
                driver="3.0.11",
                firmware="1.26.1.0",
                memory_total_mib=65536,
                memory_used_mib=666,
                utilization=0.0,
                temperature_c=37.0,
                power_w=29.0,
                power_cap_w=225.0,
                persistence=False,
                partitioned=False,
                health="ok",
            ),
        ),
        (
            "2.3.1",
            Accelerator(
                vendor="metax",
                index=0,
                bus="0000:14:00.0",
                model="MetaX C500",
                driver="3.8.30",
                firmware="1.33.5.0",
                memory_total_mib=65536,
                memory_used_mib=826,
                utilization=0.0,
                temperature_c=32.0,
                power_w=37.0,
                power_cap_w=350.0,
                persistence=False,
                partitioned=False,
                processes=0,
                health="ok",
            ),
        ),
    ],
)
def test_the_tables(version: str, expected: Accelerator) -> None:
    told = read(METAX.record(table=METAX.text(f"table-{version}")))
    assert told.accelerators[0] == expected
    assert set(told.unknown or {}) == {"query"}  # that the sections are missing is told


def test_a_device_without_a_cap_and_the_head_of_2_2_9() -> None:
    second = read(METAX.record(table=METAX.text("table-2.1.12"))).accelerators[1]
    assert (second.power_w, second.power_cap_w, second.processes) == (70.0, None, 0)
    renamed = TABLE.replace("GPU-State", "GPU-Util ")
    assert read(METAX.record(table=renamed)).accelerators[0].health == "ok"


def test_two_devices_on_one_board() -> None:
    lines = TABLE.splitlines()
    row = next(number for number, line in enumerate(lines) if line.startswith("| 0 "))
    more = [lines[row].replace("| 0     MetaX C500 | 0 ", "|                  | 1 ").replace(":14:", ":15:")]
    lines[row + 3 : row + 3] = [*more, lines[row + 1], lines[row + 2]]
    devices = read(METAX.record(table="\n".join(lines))).accelerators
    assert [(one.index, one.bus, one.model) for one in devices] == [
        (0, "0000:14:00.0", "MetaX C500"),
        (1, "0000:15:00.0", None),
    ]


def test_a_state_that_is_not_known_is_unknown_and_never_well() -> None:
    reading = read(METAX.record(table=TABLE.replace("Available ", "Resetting ")))
    assert reading.accelerators[0].health is None
    assert (reading.unknown or {})["0.state"] == "it says `Resetting`"


@pytest.mark.parametrize(
    ("answer", "garble", "subject"),
    [
        (
            "table",
            ("| 37W / 350W       | 32C          P0 | 826/65536 MiB       | Available            |\n", ""),
            "row 0",
        ),
        ("table", ("32C ", "hot "), "0.temperature"),
        ("table", ("826/65536 MiB", "Unknown Error"), "0.memory"),
        ("state", ("38.50 C", "err C"), "0.chip temperature hotspot"),
        ("state", ("DRAM Uncorrectable                        : 2", "DRAM Uncorrectable : -1"), "0.ecc errors dram"),
        ("state", ("End of Log", ""), "log"),
        ("list", ("Available (UUID", "Asleep (UUID"), "list GPU#0"),
    ],
)
def test_what_is_garbled_is_told(answer: str, garble: tuple[str, str], subject: str) -> None:
    answers = {"list": LIST, "state": STATE, "table": TABLE}
    reading = read(METAX.record(**{**answers, answer: answers[answer].replace(*garble, 1)}))
    assert any(name.startswith(subject) for name in reading.unknown or {})
    assert reading.accelerators


@pytest.mark.parametrize(
    "text",
    [
        "",
        MOFFETT,
        "mx-smi  version: 2.2.12\n\n=================== MetaX System Management Interface Log ===================\n",
        "bash: mx-smi: command not found",
        Layouts("iluvatar").text("table-4.0.0"),
    ],
)
def test_what_is_not_this_tool_s_is_no_device(text: str) -> None:
    reading = read(METAX.record(list=text, state=text, details=text, table=text))
    assert reading.accelerators == ()
    assert reading.unknown


def test_what_the_tool_complains_of_is_the_reason() -> None:
    said = STATE.partition("GPU#0")[0] + "No MetaX device is visible\nEnd of Log\n"
    reading = read(METAX.record(state=said, list=ABSENT, details=ABSENT, table=ABSENT))
    assert (reading.unknown or {})["query"] == "mx-smi: its log names no device: No MetaX device is visible"


def test_a_tool_that_hangs_is_told_once() -> None:
    hung = read(METAX.record(list=HUNG, state=HUNG, details=HUNG, table=HUNG))
    assert hung.accelerators == ()
    assert hung.unknown == {"list": "mx-smi did not answer in 10 s"}


def test_a_sum_with_a_part_that_is_not_told_is_not_told() -> None:
    said = "".join(line for line in STATE.splitlines(keepends=True) if "DRAM Uncorrectable" not in line)
    assert read(METAX.record(state=said)).accelerators[0].ecc.uncorrected_volatile is None

"""Intel Gaudi: the answers of several releases of `hl-smi`, and what is not one."""

import pytest
from tests.support.vendor_records import ABSENT, HUNG, REFUSED, Layouts

from aiops.layers.l0_nodes.accelerator import Accelerator, Ecc, Links, Pcie
from aiops.layers.l0_nodes.ask import Answer
from aiops.plugins.gaudi.reading import ASKS, FIELDS, read

GAUDI = Layouts("gaudi")
LOG = GAUDI.text("log-1.12.1")
ROW = (
    "0, 01P0-HL2080A0-15-TF0001-09-07-06, AM50000001, 0000:4a:00.0, HL-225, 1.12.1-cb7a7bc, {used}, {total}, "
    "42, 78, 285, enabled, 5, 0"
)

TWO = "device 0000:4a:00.0\nport  0:  UP\nport  1:  DOWN\ndevice 0000:4b:00.0\nport 0: DOWN\n"


def row(used: str = "768", total: str = "98304") -> str:
    return ROW.format(used=used, total=total) + "\n"


def test_the_row_has_a_value_for_each_field() -> None:
    assert len(row().split(",")) == len(FIELDS)


def test_each_call_may_write_its_logs() -> None:
    assert all(ask.scratch and dict(ask.environment) == {"HABANA_LOGS": "{scratch}"} for ask in ASKS)


@pytest.mark.parametrize(
    ("used", "total", "mebibytes"),
    [
        ("768", "98304", (768, 98304)),
        ("805306368", "103079215104", (768, 98304)),
        ("0", "103079215104", (0, 98304)),
        ("805306368", "N/A", (768, None)),
        ("768 MiB", "98304 MiB", (768, 98304)),
        ("N/A", "N/A", (None, None)),
    ],
)
def test_memory_is_in_bytes_or_mebibytes_by_version(
    used: str, total: str, mebibytes: tuple[int | None, int | None]
) -> None:
    (device,) = read(GAUDI.record(query=row(used, total))).accelerators
    assert (device.memory_used_mib, device.memory_total_mib) == mebibytes


def test_csv_and_log_make_one_device() -> None:
    reading = read(GAUDI.record(query=row(), log=LOG, links="device 0000:4a:00.0\nport  0:        UP\nport 10:\tUP\n"))
    assert reading.accelerators == (
        Accelerator(
            vendor="gaudi",
            index=0,
            uuid="01P0-HL2080A0-15-TF0001-09-07-06",
            serial="AM50000001",
            bus="0000:4a:00.0",
            model="HL-225",
            driver="1.12.1-cb7a7bc",
            firmware="hl-gaudi2-1.12.1-fw-46.0.5-sec-6",
            memory_total_mib=98304,
            memory_used_mib=768,
            utilization=78.0,
            temperature_c=42.0,
            temperature_memory_c=32.0,
            temperature_hotspot_c=30.0,
            power_w=81.0,
            power_cap_w=600.0,
            pcie=Pcie(generation=4, width=16, max_generation=4, max_width=16),
            ecc=Ecc(
                enabled=True,
                corrected_volatile=5,
                uncorrected_volatile=0,
                remapped_correctable=0,
                remapped_uncorrectable=0,
                remap_pending=False,
            ),
            links=Links(active=2, total=2),
            throttle_reasons=(),
            health="ok",
        ),
    )
    assert reading.unknown == {}


@pytest.mark.parametrize(
    ("layout", "devices"),
    [
        (
            "table-1.4.1",
            [
                ("HL-205", "0000:21:1d.0", 512, 32768, 35, 102, 350, 0),
                ("HL-205", "0000:a1:1d.0", 512, 32768, 36, 101, 350, 0),
            ],
        ),
        ("table-1.18.0", [("HL-325", "0000:22:00.0", 672, 131072, 43, 264, 900, 1)]),
        (
            "table-1.22.1",
            [
                ("HL-225", "0000:34:00.0", 768, 98304, 22, 88, 600, None),
                ("HL-225", "0000:9c:00.0", 94963, 98304, 35, 525, 600, None),
            ],
        ),
    ],
)
def test_each_table_alone_tells_what_it_has(layout: str, devices: list[tuple[object, ...]]) -> None:
    """Events are no memory errors: cards that are well have some."""
    reading = read(GAUDI.record(query=REFUSED, log=REFUSED, table=GAUDI.text(layout), links=""))
    assert [
        (
            one.model,
            one.bus,
            one.memory_used_mib,
            one.memory_total_mib,
            one.temperature_c,
            one.power_w,
            one.power_cap_w,
            one.ecc.uncorrected_volatile,
        )
        for one in reading.accelerators
    ] == devices
    assert set(reading.unknown or {}) == {"log"}


@pytest.mark.parametrize(
    ("word", "health", "codes", "unknown"),
    [
        ("Operational", "ok", (), False),
        ("Malfunction", "critical", ("Malfunction",), False),
        ("Needs reset", "critical", ("Needs reset",), False),
        ("In reset", "warning", ("In reset",), False),
        ("N/A", None, (), False),
        ("Dreaming", None, (), True),
    ],
)
def test_the_module_s_status_is_its_health(
    word: str, health: str | None, codes: tuple[str, ...], unknown: bool
) -> None:
    reading = read(GAUDI.record(query=row(), log=LOG.replace(": Operational", f": {word}")))
    (device,) = reading.accelerators
    assert (device.health, device.health_codes) == (health, codes)
    assert ("0.health" in (reading.unknown or {})) is unknown


def test_what_lowers_the_clocks_is_told() -> None:
    hot = LOG.replace("HW Slowdown             : Not Active", "HW Slowdown             : Active").replace(
        "Thermal Slowdown\n                                        : Not Active",
        "Thermal Slowdown\n                                        : Active",
    )
    (device,) = read(GAUDI.record(log=hot)).accelerators
    assert device.throttle_reasons == ("hw_slowdown", "thermal_slowdown")


def test_replaced_rows_and_one_silent_rail() -> None:
    text = LOG.replace("Double Bit ECC          : 0", "Double Bit ECC          : 2").replace(
        "Pending                 : No", "Pending                 : Yes"
    )
    (device,) = read(
        GAUDI.record(log=text.replace("Power Draw              : 31 W", "Power Draw              : N/A"))
    ).accelerators
    assert (device.ecc.remapped_uncorrectable, device.ecc.remap_pending) == (2, True)
    assert device.power_w is None


@pytest.mark.parametrize(
    ("links", "told"),
    [
        (TWO, Links(active=1, total=2)),
        ("device 0000:4b:00.0\nport  0:  UP\n", Links()),
        ("", Links()),
        (Answer("x", 127), Links()),
    ],
)
def test_links(links: Answer | str, told: Links) -> None:
    reading = read(GAUDI.record(query=row(), log=LOG, links=links))
    assert reading.accelerators[0].links == told
    assert "links" not in (reading.unknown or {})


def test_a_port_that_is_not_understood_is_told() -> None:
    reading = read(GAUDI.record(query=row(), log=LOG, links=TWO + "device 0000:4c:00.0\nno such device\n"))
    assert reading.accelerators[0].links == Links(active=1, total=2)
    assert (reading.unknown or {})["links"] == "hl-smi said: no such device"


def test_links_that_were_not_counted_to_the_end_are_unknown() -> None:
    hung = Answer("x", stdout="device 0000:4a:00.0\nport  0:  UP\n", seconds=10.0, timed_out=True)
    reading = read(GAUDI.record(query=row(), log=LOG, links=hung))
    assert reading.accelerators[0].links == Links()
    assert (reading.unknown or {})["links"] == "hl-smi did not answer in 10 s"


def test_a_row_that_is_not_understood_is_not_dropped_without_a_word() -> None:
    reading = read(GAUDI.record(query=row() + "1, half a row\n"))
    assert len(reading.accelerators) == 1
    assert (reading.unknown or {})["row 0"] == "this line is not understood: 1, half a row"


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"query": HUNG, "log": HUNG, "table": HUNG, "links": HUNG}, "did not answer in 10 s"),
        ({"query": ABSENT, "log": ABSENT, "table": ABSENT}, "not found"),
        ({"query": "", "log": "", "table": ""}, "hl-smi said nothing"),
        ({"query": Answer("x", 1, stderr="HABANA_LOGS is not writable")}, "HABANA_LOGS is not writable"),
        ({"table": "HL-SMI\n| 0 | y | z |"}, "not understood"),
        ({"table": "| 0  A | 0000:01:00.0 | 0 |"}, "no head"),
        ({"log": Answer("x", 0, stdout="half", truncated=True)}, "cut at its size limit"),
    ],
)
def test_no_answer_is_unknown(answers: dict[str, Answer | str], reason: str) -> None:
    reading = read(GAUDI.record(**answers))
    assert reading.accelerators == ()
    assert any(reason in one for one in (reading.unknown or {}).values())

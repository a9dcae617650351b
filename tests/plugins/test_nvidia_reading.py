"""nvidia-smi's answers, as captured on real machines (identifying values changed), and garbage."""
# ruff: noqa: E501 - captured lines are kept whole

from dataclasses import fields
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.l0_nodes.accelerator import Accelerator
from aiops.layers.l0_nodes.ask import Answer, Record
from aiops.layers.l0_nodes.vendor import Reading
from aiops.plugins.nvidia.reading import ASKS, FIELDS, REMAPPED_FIELDS, read

UUIDS = ("GPU-11111111-2222-3333-4444-555555555501", "GPU-11111111-2222-3333-4444-555555555502")
H100 = (
    "0, {}, 1650000000001, 00000000:3B:00.0, NVIDIA H100 80GB HBM3, 535.161.08, 96.00.74.00.01, Enabled, Enabled, 0, 0, 3, 1, 5, 5, 16, 16, 34, 41, 70.06, 700.00, 4, 81559, 0\n"
    "1, {}, 1650000000002, 00000000:5E:00.0, NVIDIA H100 80GB HBM3, 535.161.08, 96.00.74.00.01, Enabled, Enabled, 0, 2, 0, 7, 4, 5, 8, 16, 61, 72, 512.30, 700.00, 79012, 81559, 98\n"
).format(*UUIDS)
GB10 = f"0, {UUIDS[0]}, [N/A], 0000000F:01:00.0, NVIDIA GB10, 580.82.07, 9A.0B.15.00.01, Enabled, [N/A], [N/A], [N/A], [N/A], [N/A], 1, 5, 1, 16, 38, [N/A], 4.72, [N/A], [N/A], [N/A], 0\n"
SICK = f"0, {UUIDS[0]}, 1650000000001, 00000000:3B:00.0, NVIDIA H100 80GB HBM3, 535.161.08, 96.00.74.00.01, Enabled, Enabled, 0, 0, 0, 0, 5, 5, 16, 16, [Unknown Error], [GPU is lost], ERR!, 700.00, [Unknown Error], 81559, [Insufficient Permissions]\n"

XML = """<?xml version="1.0" ?>
<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">
<nvidia_smi_log>
  <timestamp>Fri Nov 21 19:30:05 2026</timestamp>
  <driver_version>535.161.08</driver_version>
  <attached_gpus>1</attached_gpus>
  <gpu id="00000000:3B:00.0">
    <product_name>NVIDIA H100 80GB HBM3</product_name>
    <persistence_mode>Enabled</persistence_mode>
    <serial>1650000000001</serial>
    <uuid>GPU-11111111-2222-3333-4444-555555555501</uuid>
    <vbios_version>96.00.74.00.01</vbios_version>
    <pci><pci_bus_id>00000000:3B:00.0</pci_bus_id>
      <pci_gpu_link_info><pcie_gen><max_link_gen>5</max_link_gen><current_link_gen>4</current_link_gen></pcie_gen>
      <link_widths><max_link_width>16x</max_link_width><current_link_width>8x</current_link_width></link_widths></pci_gpu_link_info></pci>
    <fabric><state>Completed</state><status>Success</status></fabric>
    <{reasons}s>
      <{reasons}_gpu_idle>Not Active</{reasons}_gpu_idle>
      <{reasons}_sw_power_cap>Active</{reasons}_sw_power_cap>
      <{reasons}_hw_thermal_slowdown>Active</{reasons}_hw_thermal_slowdown>
    </{reasons}s>
    <fb_memory_usage><total>81559 MiB</total><reserved>551 MiB</reserved><used>4 MiB</used></fb_memory_usage>
    <utilization><gpu_util>0 %</gpu_util></utilization>
    <ecc_mode><current_ecc>Enabled</current_ecc></ecc_mode>
    <ecc_errors>
      <volatile><sram_correctable>1</sram_correctable><sram_uncorrectable_parity>2</sram_uncorrectable_parity><sram_uncorrectable_secded>3</sram_uncorrectable_secded><dram_correctable>4</dram_correctable><dram_uncorrectable>5</dram_uncorrectable></volatile>
      <aggregate><sram_correctable>10</sram_correctable><dram_uncorrectable>20</dram_uncorrectable><sram_threshold_exceeded>No</sram_threshold_exceeded></aggregate>
    </ecc_errors>
    <remapped_rows><remapped_row_corr>1</remapped_row_corr><remapped_row_unc>2</remapped_row_unc><remapped_row_pending>Yes</remapped_row_pending><remapped_row_failure>No</remapped_row_failure></remapped_rows>
    <temperature><gpu_temp>34 C</gpu_temp><memory_temp>41 C</memory_temp></temperature>
    <gpu_power_readings><power_draw>70.06 W</power_draw><current_power_limit>700.00 W</current_power_limit></gpu_power_readings>
  </gpu>
</nvidia_smi_log>
"""
EVENT, THROTTLE = XML.format(reasons="clocks_event_reason"), XML.format(reasons="clocks_throttle_reason")

LINKS = f"""GPU 0: NVIDIA H100 80GB HBM3 (UUID: {UUIDS[0]})
   Link 0: 26.562 GB/s
   Link 1: <inactive>
   Link 2: 26.562 GB/s
GPU 1: NVIDIA H100 80GB HBM3 (UUID: {UUIDS[1]})
   Link 0: 26.562 GB/s
"""
ERRORS = f"""GPU 0: NVIDIA H100 80GB HBM3 (UUID: {UUIDS[0]})
   Link 0: Replay Errors: 1
   Link 0: Recovery Errors: 0
   Link 0: CRC Errors: 4
"""


def judged(**answers: Answer | str) -> Reading:
    """Read a record; `query="..."` is `nvidia.query` with exit status 0."""
    made = {
        f"nvidia.{name}": Answer(f"nvidia.{name}", 0, stdout=value) if isinstance(value, str) else value
        for name, value in answers.items()
    }
    return read(Record("gpu01", datetime(2026, 11, 21, tzinfo=UTC), made))


def test_two_healthy_devices() -> None:
    reading = judged(query=H100, xml=EVENT)
    first, second = reading.accelerators
    assert (first.index, first.uuid, first.serial, first.bus) == (0, UUIDS[0], "1650000000001", "0000:3b:00.0")
    assert (first.model, first.driver, first.firmware) == ("NVIDIA H100 80GB HBM3", "535.161.08", "96.00.74.00.01")
    assert (second.memory_used_mib, second.memory_total_mib, second.utilization) == (79012, 81559, 98.0)
    assert (second.temperature_c, second.temperature_memory_c, second.power_w, second.power_cap_w) == (
        61,
        72,
        512.3,
        700,
    )
    assert (second.pcie.generation, second.pcie.max_generation, second.pcie.width, second.pcie.max_width) == (
        4,
        5,
        8,
        16,
    )
    assert (second.ecc.enabled, second.ecc.uncorrected_volatile, second.ecc.uncorrected_aggregate) == (True, 2, 7)
    assert first.persistence is True
    assert reading.unknown == {}


def test_the_description_fills_what_the_query_lacks() -> None:
    first, second = judged(query=H100, xml=EVENT).accelerators
    assert first.throttle_reasons == ("sw_power_cap", "hw_thermal_slowdown")
    assert (first.fabric_state, second.fabric_state) == ("Completed", None)
    assert (first.ecc.remapped_correctable, first.ecc.remapped_uncorrectable) == (1, 2)
    assert (first.ecc.remap_pending, first.ecc.remap_failed) == (True, False)
    assert first.ecc.corrected_volatile == 0, "the query comes first"


@pytest.mark.parametrize("text", [EVENT, THROTTLE])
def test_the_description_alone(text: str) -> None:
    reading = judged(
        query=Answer("nvidia.query", 2, stdout='Field "ecc.mode.current" is not a valid field to query.\n'), xml=text
    )
    [device] = reading.accelerators
    assert (device.bus, device.uuid, device.driver) == ("0000:3b:00.0", UUIDS[0], "535.161.08")
    assert (device.ecc.corrected_volatile, device.ecc.uncorrected_volatile) == (5, 10)
    assert (device.ecc.corrected_aggregate, device.ecc.uncorrected_aggregate) == (10, 20)
    assert (device.pcie.generation, device.pcie.width, device.pcie.max_width) == (4, 8, 16)
    assert device.throttle_reasons == ("sw_power_cap", "hw_thermal_slowdown")
    assert (device.power_w, device.power_cap_w, device.temperature_memory_c) == (70.06, 700.0, 41.0)
    assert reading.unknown == {}


def test_older_counters() -> None:
    old = EVENT.replace(
        "<volatile><sram_correctable>1</sram_correctable>",
        "<volatile><double_bit><total>6</total></double_bit><single_bit><total>8</total></single_bit>",
    )
    [device] = judged(query="", xml=old).accelerators
    assert (device.ecc.corrected_volatile, device.ecc.uncorrected_volatile) == (8, 6)


def test_what_a_device_does_not_have_is_none_without_a_reason() -> None:
    reading = judged(query=GB10)
    [device] = reading.accelerators
    assert (device.memory_total_mib, device.memory_used_mib, device.ecc.enabled, device.serial) == (
        None,
        None,
        None,
        None,
    )
    assert (device.temperature_c, device.power_w, device.bus) == (38, 4.72, "000f:01:00.0")
    assert {subject for subject in reading.unknown or {} if subject.startswith("0.")} == set()


def test_a_failed_reading_is_none_with_its_reason() -> None:
    reading = judged(query=SICK)
    [device] = reading.accelerators
    assert (device.temperature_c, device.memory_used_mib, device.power_w, device.utilization) == (None,) * 4
    assert reading.unknown is not None
    assert reading.unknown["0.temperature.gpu"] == "Unknown Error"
    assert reading.unknown["0.temperature.memory"] == "GPU is lost"
    assert reading.unknown["0.power.draw"] == "ERR!"
    assert reading.unknown["0.utilization.gpu"] == "Insufficient Permissions"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer("nvidia.query", missing={"argv": "nvidia-smi: not found"}), "not found"),
        (Answer("nvidia.query", timed_out=True, seconds=10.0), "did not answer in 10 s"),
        (
            Answer(
                "nvidia.query",
                9,
                stdout="NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n",
            ),
            "the driver is not loaded",
        ),
        (
            Answer(
                "nvidia.query",
                18,
                stdout="Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 535.161\n",
            ),
            "Driver/library version mismatch",
        ),
        (Answer("nvidia.query", 6, stdout="No devices were found\n"), "no devices were found"),
        (
            Answer(
                "nvidia.query", 15, stderr="Unable to determine the device handle for GPU0000:3B:00.0: GPU is lost.\n"
            ),
            "GPU is lost",
        ),
        (
            Answer("nvidia.query", 12, stderr="NVIDIA-SMI couldn't find libnvidia-ml.so library in your system.\n"),
            "NVML",
        ),
        (Answer("nvidia.query", 137), "exit 137"),
        (Answer("nvidia.query", 0, stdout="No devices were found\n"), "No devices were found"),
    ],
)
def test_trouble_has_a_reason(answer: Answer, words: str) -> None:
    reading = judged(query=answer)
    assert reading.accelerators == ()
    assert words in (reading.unknown or {})["query"]


def test_silence_has_a_reason() -> None:
    answers = {name: Answer(name, 0) for name in ("nvidia.query", "nvidia.xml")}
    reading = read(Record("gpu01", datetime(2026, 11, 21, tzinfo=UTC), answers))
    assert reading.unknown == {"query": "nvidia-smi named no device"}


def test_a_corrupt_inforom_is_told_and_devices_are_kept() -> None:
    reading = judged(
        query=Answer("nvidia.query", 14, stdout=H100, stderr="WARNING: infoROM is corrupted at gpu 0000:3B:00.0\n")
    )
    assert len(reading.accelerators) == 2
    assert "infoROM is corrupted" in (reading.unknown or {})["query"]


def test_one_lost_device_beside_a_good_one() -> None:
    text = H100.splitlines()[0] + "\nUnable to determine the device handle for GPU 0000:5E:00.0: Unknown Error\n"
    reading = judged(query=text)
    assert [device.index for device in reading.accelerators] == [0]
    assert "0000:5E:00.0" in (reading.unknown or {})["query"]


def test_remapped_rows() -> None:
    rows = f"{UUIDS[0]}, 3, 4, No, Yes\n{UUIDS[1]}, [N/A], [N/A], [N/A], [N/A]\n"
    first, second = judged(query=H100, remapped=rows).accelerators
    assert (first.ecc.remapped_correctable, first.ecc.remapped_uncorrectable) == (3, 4)
    assert (first.ecc.remap_pending, first.ecc.remap_failed) == (False, True)
    assert (second.ecc.remapped_correctable, second.ecc.remap_pending) == (None, None)


def test_links() -> None:
    first, second = judged(query=H100, nvlink=LINKS, nvlink_errors=ERRORS).accelerators
    assert (first.links.active, first.links.total, first.links.errors) == (2, 3, 5)
    assert (second.links.active, second.links.total, second.links.errors) == (1, 1, None)
    none = judged(query=H100, nvlink="").accelerators[0].links
    assert (none.active, none.total) == (None, None)


@pytest.mark.parametrize(
    "text",
    [EVENT[:500], EVENT.replace("</gpu>", ""), '<!DOCTYPE x [<!ENTITY a "b">]><nvidia_smi_log/>', "<", "<a>" * 5000],
)
def test_a_description_that_is_not_whole(text: str) -> None:
    reading = judged(query=H100, xml=text)
    assert len(reading.accelerators) == 2
    assert "details" in (reading.unknown or {})


def test_cut_answers_are_unknown() -> None:
    reading = judged(query=Answer("nvidia.query", 0, stdout=H100, truncated=True))
    assert "cut" in (reading.unknown or {})["query"]


def test_asks_ask_for_fields_all_drivers_know() -> None:
    renamed = ("clocks_throttle_reasons", "clocks_event_reasons", "fabric", "gsp", "pcie.link.gen.gpucurrent")
    assert not any(field.startswith(renamed) for field in FIELDS)
    assert ASKS[0].argv[1] == f"--query-gpu={','.join(FIELDS)}"
    assert ASKS[1].argv[1] == f"--query-remapped-rows={','.join(REMAPPED_FIELDS)}"


CELL = st.one_of(
    st.text(alphabet=st.characters(blacklist_characters="\n\r"), max_size=12),
    st.sampled_from(
        ["[N/A]", "[Unknown Error]", "0", "-1", "1e9", "nan", "9" * 5000, "1.5", "Enabled", "²", "٣", "0x1F", "16x"]
    ),
)
TEXT = st.one_of(
    st.text(max_size=200),
    st.lists(CELL, min_size=24, max_size=24).map(", ".join),
    st.sampled_from([EVENT, H100, LINKS, ERRORS]),
)


@given(
    st.dictionaries(
        st.sampled_from([ask.name for ask in ASKS]),
        st.tuples(TEXT, st.integers(0, 255), st.booleans(), st.integers(0, 3000)),
    )
)
def test_garbage_never_raises(answers: dict[str, tuple[str, int, bool, int]]) -> None:
    made = {
        name: Answer(name, status, stdout=text[cut:] if cut % 2 else text, truncated=truncated)
        for name, (text, status, truncated, cut) in answers.items()
    }
    reading = read(Record("gpu01", datetime(2026, 11, 21, tzinfo=UTC), made))
    for device in reading.accelerators:
        assert device.vendor == "nvidia"
        for field in fields(Accelerator):
            value = getattr(device, field.name)
            assert value is None or value == value, field.name  # noqa: PLR0124 - NaN is not itself
    if not reading.accelerators:
        assert reading.unknown


HISTOGRAM = "<row_remapper_histogram><row_remapper_histogram_none>{} bank(s)</row_remapper_histogram_none></row_remapper_histogram>"
RETIRED = """<retired_pages>
<multiple_single_bit_retirement><retired_count>3</retired_count><retired_pagelist></retired_pagelist></multiple_single_bit_retirement>
<double_bit_retirement><retired_count>2</retired_count></double_bit_retirement>
<pending_blacklist>No</pending_blacklist><pending_retirement>Yes</pending_retirement></retired_pages>"""
PROCESS = "<process_info><pid>1802</pid><type>C</type><used_memory>1448 MiB</used_memory></process_info>"


def described(extra: str, text: str = EVENT) -> Accelerator:
    """The device of a description with more in it."""
    [device] = judged(query="", xml=text.replace("</gpu>", f"{extra}</gpu>")).accelerators
    return device


def test_what_only_the_description_tells() -> None:
    bare = described("")
    assert (bare.ecc.retired, bare.ecc.retire_pending, bare.pcie.replays) == (None, None, None)
    assert (bare.partitioned, bare.processes, bare.problems) == (None, None, ())
    assert described(RETIRED).ecc.retired == 5
    assert described(RETIRED).ecc.retire_pending is True
    assert described(RETIRED.replace("3<", "N/A<").replace("2<", "N/A<")).ecc.retired is None
    assert described("<mig_mode><current_mig>Enabled</current_mig></mig_mode>").partitioned is True
    assert described("<mig_mode><current_mig>N/A</current_mig></mig_mode>").partitioned is None
    assert described("<processes>\n</processes>").processes == 0
    assert described("<processes>N/A</processes>").processes is None
    assert described(f"<processes>{PROCESS}{PROCESS}</processes>").processes == 2
    replays = EVENT.replace("<pci>", "<pci><replay_counter>17</replay_counter>")
    assert described("", replays).pcie.replays == 17


def test_banks_without_a_spare_row_are_a_problem() -> None:
    none = EVENT.replace("<remapped_rows>", "<remapped_rows>" + HISTOGRAM.format(0))
    some = EVENT.replace("<remapped_rows>", "<remapped_rows>" + HISTOGRAM.format(2))
    assert described("", none).problems == ()
    assert described("", some).problems == ("2 banks of its memory have no spare row left",)
    [device, _] = judged(query=H100, xml=some).accelerators
    assert device.problems, "the query, which has none, does not hide them"


def test_a_warning_beside_the_description_does_not_spoil_it() -> None:
    warning = "WARNING: infoROM is corrupted at gpu 0000:3B:00.0\n"
    for text in (EVENT + warning, warning + EVENT):
        reading = judged(
            query=Answer("nvidia.query", 14, stdout=H100 + warning), xml=Answer("nvidia.xml", 14, stdout=text)
        )
        assert reading.accelerators[0].throttle_reasons == ("sw_power_cap", "hw_thermal_slowdown")
        assert "details" not in (reading.unknown or {})


def test_links_that_could_not_be_read_are_unknown() -> None:
    hung = Answer("nvidia.nvlink", timed_out=True, seconds=10.0)
    assert judged(query=H100, xml=EVENT, nvlink=hung).unknown == {"links": "nvidia-smi did not answer in 10 s"}
    failed = Answer("nvidia.nvlink", 255, stderr="not supported\n")
    assert judged(query=H100, xml=EVENT, nvlink=failed).unknown == {}, "cards without links end so"

"""Ascend: what is asked chip by chip, how it is asked, garbage, and the simulation."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.plugins.ascend_answers import (
    ALARM,
    AT,
    BOARD,
    ECC,
    ECC_910A,
    LAYOUTS,
    LINKS_NEW,
    LINKS_OLD,
    PLACES,
    UNSUPPORTED,
    WELL,
    chips,
    judged,
    layout,
    whole,
)

from aiops.layers.core.errors import InputError
from aiops.layers.l0_nodes.accelerator import Accelerator
from aiops.layers.l0_nodes.ask import Answer, Record
from aiops.layers.l0_nodes.remote.simulated_tool import Host
from aiops.plugins.ascend import Ascend
from aiops.plugins.ascend.reading import ASKS, read
from aiops.plugins.ascend.remote.npu_smi import answer


def one_chip(**answers: Answer | str) -> Accelerator:
    return whole("25.2_910B", PLACES, **answers).accelerators[1]


def test_an_alarm_has_its_codes() -> None:
    sick = one_chip(health=chips(PLACES, WELL, c1_0=ALARM))
    assert (sick.health, sick.health_codes) == ("critical", ("80E3A203", "80E18401"))
    assert one_chip().health == "ok"
    assert one_chip().health_codes == ()


@pytest.mark.parametrize(
    ("table", "own", "health"),
    [
        ("OK", "OK", "ok"),
        ("Warning", "OK", "ok"),  # a warning without a code is taken back, as newer tools do
        ("Warning", "Warning", "warning"),
        ("OK", "Alarm", "critical"),
        ("Alarm", "OK", "critical"),
        ("Critical", "Critical", "critical"),
        ("Warning", None, "warning"),
        ("Alarm", None, "critical"),
        ("Warning", "NA", "warning"),
    ],
)
def test_the_chip_s_own_health_counts_but_takes_back_no_alarm(table: str, own: str | None, health: str) -> None:
    info = layout("25.2_910B").replace(
        "| 1     910B4-1             | OK     ", f"| 1     910B4-1             | {table:<7}"
    )
    told = chips(PLACES, WELL, c1_0=f"\tHealth Status : {own}\n\tError Code : NA\n") if own else chips([(0, 0)], WELL)
    reading = whole("25.2_910B", PLACES, info=info, health=told)
    assert reading.accelerators[1].health == health
    assert ("1.health" in (reading.unknown or {})) is (own is None)


def test_a_health_that_is_no_word_is_unknown() -> None:
    for own in ("UNKNOWN", "fine", "0"):
        reading = whole("25.2_910B", PLACES, health=chips(PLACES, WELL, c1_0=f"\tHealth Status : {own}\n"))
        assert reading.accelerators[1].health is None
        assert own in (reading.unknown or {})["1.health"]


def test_memory_errors() -> None:
    ecc = one_chip().ecc
    assert (ecc.corrected_volatile, ecc.uncorrected_volatile) == (7, 2)
    assert (ecc.corrected_aggregate, ecc.uncorrected_aggregate) == (40, 3)
    assert (ecc.retired, ecc.retire_pending) == (4, True)
    both = one_chip(ecc=chips(PLACES, ECC_910A)).ecc
    assert (both.corrected_volatile, both.uncorrected_aggregate, both.retired, both.retire_pending) == (3, 1, 2, None)
    none = whole("25.2_910B", PLACES, ecc=chips(PLACES, UNSUPPORTED.format("ecc")))
    assert none.accelerators[0].ecc.uncorrected_volatile is None
    assert none.unknown == {}, "what a device does not have is no reason"


@pytest.mark.parametrize(
    ("text", "links"),
    [
        (LINKS_OLD.format("OK", 3), (3, 3, None)),
        (LINKS_NEW.format("1111"), (3, 3, 3)),
        (LINKS_NEW.format("0000"), (2, 3, 3)),
        (LINKS_NEW.format("0111"), (2, 3, 3)),
        ("\thccs tx packets : [1]\n", (None, None, None)),
    ],
)
def test_links(text: str, links: tuple[int | None, int | None, int | None]) -> None:
    found = one_chip(hccs=chips(PLACES, LINKS_OLD.format("OK", 3), c1_0=text)).links
    assert (found.active, found.total, found.errors) == links


def test_a_chip_that_is_cut_off_is_a_problem_unless_all_are() -> None:
    off = LINKS_OLD.format("NOK", 0)
    first, second = whole("25.2_910B", PLACES, hccs=chips(PLACES, LINKS_OLD.format("OK", 3), c1_0=off)).accelerators
    assert first.problems == ()
    assert len(second.problems) == 1
    assert (second.links.active, second.links.total) == (0, 3)
    for device in whole("25.2_910B", PLACES, hccs=chips(PLACES, off)).accelerators:
        assert (device.problems, device.links.total) == ((), None)


def test_the_board() -> None:
    device = one_chip(board=chips(PLACES, BOARD.format("OK")))
    assert (device.serial, device.firmware) == ("10350000000001", "7.7.0.3.220")
    reading = whole("25.2_910B", PLACES, board=chips(PLACES, BOARD.format("OK"), c1_0=BOARD.format("NOK")))
    assert reading.mismatch == "driver 25.2.0 and firmware 7.7.0.3.220 of NPU 1 do not fit together, as npu-smi judges"
    unsure = whole("25.2_910B", PLACES, board=chips(PLACES, BOARD.format("UNKNOWN")))
    assert unsure.mismatch is None


def test_what_hung_after_some_chips_is_told_and_these_are_read() -> None:
    hung = Answer("ascend.health", stdout=chips([(0, 0)], ALARM), timed_out=True, seconds=10)
    reading = whole("25.2_910B", PLACES, health=hung)
    assert [device.health for device in reading.accelerators] == ["critical", "ok"]
    assert "did not answer in 10 s" in (reading.unknown or {})["health"]


@pytest.mark.parametrize("text", [ECC.replace(": 2\n", ": many\n"), "\tNPU ID : 0\n"])
def test_a_count_that_is_no_number_is_told(text: str) -> None:
    reading = whole("25.2_910B", PLACES, ecc=chips(PLACES, ECC, c1_0=text))
    assert reading.accelerators[1].ecc.uncorrected_volatile is None
    assert set(reading.unknown or {}) == {"1.ecc"}


@pytest.mark.parametrize("label", ["HBM Double Bit Isolated Pages Count", "HBM Single Bit Isolated Pages Count"])
def test_a_sum_with_a_line_missing_is_not_told(label: str) -> None:
    text = "".join(line for line in ECC.splitlines(keepends=True) if label not in line)
    assert one_chip(ecc=chips(PLACES, ECC, c1_0=text)).ecc.retired is None
    text = "".join(line for line in ECC_910A.splitlines(keepends=True) if "HBM Double Bit Error" not in line)
    assert one_chip(ecc=chips(PLACES, ECC, c1_0=text)).ecc.uncorrected_volatile is None


def test_a_failed_answer_of_one_chip_is_told() -> None:
    failed = 'Failed to query "ecc" result.\n'
    reading = whole("25.2_910B", PLACES, ecc=chips(PLACES, ECC, c1_0=failed))
    assert reading.accelerators[1].ecc.uncorrected_volatile is None
    assert "Failed to query" in (reading.unknown or {})["1.ecc"]


TEXTS = st.one_of(
    st.text(max_size=120),
    st.sampled_from([path.stem for path in LAYOUTS.glob("*.txt")]).map(layout),
    st.just(chips(PLACES, ECC)),
    st.just(chips(PLACES, ALARM)),
)


@given(
    st.dictionaries(st.sampled_from([ask.name for ask in ASKS]), st.tuples(TEXTS, st.integers(0, 6000), st.booleans())),
    st.sampled_from(["", "-1", "9" * 40, "NA", "|", "/", "nan"]),
)
@settings(max_examples=300, deadline=None)
def test_garbage_never_raises(answers: dict[str, tuple[str, int, bool]], word: str) -> None:
    made = {}
    for name, (text, cut, swap) in answers.items():
        told = text[:cut] if cut % 2 else text
        made[name] = Answer(name, 0, stdout=told.replace("0", word) if swap else told)
    reading = read(Record("npu01", AT, made))
    indices = [device.index for device in reading.accelerators]
    assert len(indices) == len(set(indices))
    if not reading.accelerators:
        assert reading.unknown


NPU_SMI = """#!/bin/sh
case "$*" in
"info -m") cat "$MAPPING" ;;
*) echo "asked: $*" ;;
esac
"""
MAPPING = """\tNPU ID                         Chip ID                        Chip Logic ID                  Chip Name
\t6                              0                              0                              MiniD
\t6                              1                              1                              MiniD
\t6                              2                              -                              Mcu
\t-1                             0                              2                              MiniD
\t7;reboot                       0                              3                              MiniD
"""
SLOTS = """\tNPU ID                         Slot ID                        Chip ID          Chip Phy-ID    Chip Name
\t0                              9                              0                0              Ascend950
"""


@pytest.mark.parametrize(
    ("mapping", "health", "board"),
    [
        (
            MAPPING,
            "== 6 0\nasked: info -t health -i 6 -c 0\n== 6 1\nasked: info -t health -i 6 -c 1\n",
            "== 6 0\nasked: info -t board -i 6\n",
        ),
        (SLOTS, "== 0 0\nasked: info -t health -i 0 -c 0\n", "== 0 0\nasked: info -t board -i 0\n"),
        ("", "", ""),
    ],
)
def test_the_round_asks_each_chip_and_no_controller(mapping: str, health: str, board: str, tmp_path: Path) -> None:
    (tmp_path / "npu-smi").write_text(NPU_SMI)
    (tmp_path / "npu-smi").chmod(0o755)
    (tmp_path / "mapping").write_text(mapping)
    asks = {ask.name: ask for ask in ASKS}
    for name, expected in (("ascend.health", health), ("ascend.board", board)):
        done = subprocess.run(
            asks[name].argv,
            env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "MAPPING": str(tmp_path / "mapping")},
            capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip
        assert done.stdout == expected


def test_a_simulated_910c_has_two_chips_on_a_card_and_its_alarm_is_not_hidden() -> None:
    simulated = Ascend().simulate(4, "910C")
    assert simulated is not None
    effect = simulated.fault(simulated.state, "ecc-uncorrected", 3, "2")
    assert effect is not None
    host = Host(effect.state, "4c4d3f")  # type: ignore[no-untyped-call]

    def said(*words: str) -> str:
        status, text = answer(host, list(words))  # type: ignore[no-untyped-call]
        assert status == 0
        return str(text)

    places = [(0, 0), (0, 1), (1, 0), (1, 1)]
    told = {
        kind: "".join(
            f"== {card} {chip}\n" + said("info", "-t", kind, "-i", f"{card}", "-c", f"{chip}") for card, chip in places
        )
        for kind in ("health", "ecc", "hccs", "board")
    }
    reading = judged(info=said("info"), **told)
    assert reading.unknown == {}
    assert [device.index for device in reading.accelerators] == [0, 1, 2, 3]
    assert [device.health for device in reading.accelerators] == ["ok", "ok", "ok", "critical"]
    assert reading.accelerators[3].ecc.uncorrected_volatile == 2
    assert "OK" in said("info", "-t", "health", "-i", "1"), "without -c it is the controller's"
    assert said("info", "-m").splitlines()[3].split() == ["0", "2", "-", "-", "Mcu"]
    with pytest.raises(InputError, match="no simulated Ascend"):
        Ascend().simulate(1, "310")

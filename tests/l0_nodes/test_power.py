"""What a BMC says of a node's power; nothing but a plain `off` is ever taken for one."""

import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.core.command import Command, Completed
from aiops.layers.l0_nodes import power
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.power import PowerAnswer, ask_power, judge_power, power_in, power_question
from aiops.layers.l0_nodes.variables import mistakes_in

IPMITOOL = ("ipmitool", "-I", "lanplus", "-H", "10.0.9.1", "-U", "aiops", "-f", "/etc/aiops/bmc.password")
STATUS = (*IPMITOOL, "chassis", "power", "status")


def done(stdout: str | bytes, status: int = 0, stderr: str = "", *, timed_out: bool = False) -> Completed:
    told = stdout.encode() if isinstance(stdout, str) else stdout
    return Completed(Command(STATUS, timeout=10.0), status, told, stderr.encode(), 0.1, timed_out)


def scripted(tmp_path: Path, body: str) -> Node:
    path = tmp_path / "bmc.py"
    path.write_text(body)
    return Node("gpu01", aiops={"aiops_power_status": [sys.executable, str(path)]})


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("Chassis Power is off\n", "off"),
        ("Chassis Power is on\n", "on"),
        ("warning: cipher suite 3 is used\nChassis Power is off\n", "off"),
        ("Off", "off"),
        ('"Off"', "off"),
        ("ON\r\n", "on"),
        ('"PowerState": "Off"', "off"),
        ('    "PowerState" : "On",', "on"),
        ('{"Id": "1", "PowerState": "Off", "Status": {"State": "Enabled"}}', "off"),
        ('{\n "PowerState": "On",\n "IndicatorLED": "Off"\n}\n', "on"),
        ("Server power status: OFF", "off"),
        ("power: server power is currently: Off", "off"),
        ("POWER_STATE=off", "off"),
    ],
)
def test_what_bmcs_say(text: str, state: str) -> None:
    assert power_in(text) == state


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n \n",
        "Chassis Power Control: Down/Off",
        "System Power         : on\nPower Overload       : false\nFront Panel Light    : off",
        "Power Restore Policy : always-off",
        "LED: Off",
        "Fan 3 power is off",
        '{"IndicatorLED": "Off"}',
        '{"PowerState": "On", "IndicatorLED": "Off"',
        '{"PowerState": "PoweringOff"}',
        '{"PowerState": null}',
        '{"PowerState": {"State": "Off"}}',
        '[{"PowerState": "Off"}]',
        "Chassis Power is on\nChassis Power is off",
        "Chassis Power is off\nClosing the session",
        "the session was closed: off",
        "takeoff",
        "[" * 100_000,
    ],
)
def test_what_says_nothing_of_the_power(text: str) -> None:
    assert power_in(text) == "unknown"


def test_a_line_that_begins_with_the_name_that_was_asked_for() -> None:
    asked = ("ipmipower", "-h", "gpu01-bmc", "--stat")
    assert power_in("gpu01-bmc: off\n", asked) == "off"
    assert power_in("gpu02-bmc: off\n", asked) == "unknown"


@given(st.text(), st.text(), st.integers(-64, 255))
def test_a_command_that_failed_says_nothing(text: str, error: str, status: int) -> None:
    for said in (text, f"{text}\nChassis Power is off\n"):
        assert judge_power(done(said, status or 1, error)).state == "unknown"
        assert judge_power(done(said, 0, error, timed_out=True)).state == "unknown"


PIECES = [*"on off On Off power is".split(), *":=,{}/-\n\"'"]  # noqa: SIM905 - shorter


@given(st.binary(max_size=200) | st.lists(st.sampled_from(PIECES)).map(lambda words: " ".join(words).encode()))
def test_no_garbage_is_ever_off(told: bytes) -> None:
    """Off is only where the last line ends in the word itself, and is about the power or about nothing else."""
    answer = judge_power(done(told))
    lines = [line.strip() for line in told.decode("utf-8", "replace").splitlines() if line.strip()]
    if answer.state == "off":
        last = lines[-1].lower().strip("\"'.,; ")
        assert last.endswith("off") or '"powerstate"' in told.decode("utf-8", "replace").lower()
        assert last == "off" or "power" in last
    assert judge_power(done(told + b"\nChassis Power is on\n")).state != "off"
    assert answer.words.isprintable()
    assert judge_power(done(told + b"\nbye\n")).state == "unknown"


@given(st.text(alphabet=st.characters(exclude_characters="fF")))
def test_without_the_word_nothing_is_off(text: str) -> None:
    assert power_in(text) != "off"


def test_what_is_not_known_says_why() -> None:
    assert judge_power(done("", 1, "Error: Unable to establish IPMI v2 / RMCP+ session\n")) == PowerAnswer(
        "unknown", "`ipmitool` ended with 1: Error: Unable to establish IPMI v2 / RMCP+ session"
    )
    assert judge_power(done("", 124, timed_out=True)).words == "`ipmitool` did not end within 10 s"
    assert judge_power(done("\x1b[31mhm\n")).words == "`ipmitool` said neither on nor off: [31mhm"
    assert judge_power(done("off\n" * 30_000)).words == "`ipmitool` said more than 64 KiB"


# Real child processes


def test_a_script_that_prints(tmp_path: Path) -> None:
    said = ask_power(scripted(tmp_path, "print('hello'); print('Chassis Power is off')"))
    assert said == PowerAnswer("off", "Chassis Power is off")


def test_one_that_prints_on_stderr(tmp_path: Path) -> None:
    said = ask_power(scripted(tmp_path, "import sys; print('Chassis Power is off', file=sys.stderr)"))
    assert (said.state, said.words) == ("unknown", f"`{sys.executable}` said nothing")


def test_one_that_fails_after_it_has_printed(tmp_path: Path) -> None:
    said = ask_power(scripted(tmp_path, "import sys; print('off', flush=True); sys.exit('no session')"))
    assert (said.state, said.words) == ("unknown", f"`{sys.executable}` ended with 1: no session")


def test_one_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(power, "TIMEOUT", 0.5)
    pid = tmp_path / "pid"
    body = (
        f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); print('off', flush=True); time.sleep(600)"
    )
    begun = time.monotonic()
    said = ask_power(scripted(tmp_path, body))
    assert (said.state, said.words) == ("unknown", f"`{sys.executable}` did not end within 0.5 s")
    assert time.monotonic() - begun < 30
    assert not Path(f"/proc/{pid.read_text()}").exists()


def test_a_program_that_is_not_there() -> None:
    said = ask_power(Node("gpu01", aiops={"aiops_power_status": ["/no/such/program", "off"]}))
    assert said.state == "unknown"
    assert said.words.endswith("/no/such/program: No such file or directory")


def test_a_node_without_the_command_is_not_asked() -> None:
    assert power_question(Node("gpu01")) is None
    assert ask_power(Node("gpu01")).state == "unknown"


# The words of the command


@pytest.mark.parametrize(
    "words",
    [
        STATUS,
        ("/usr/bin/ipmitool", "-I", "lanplus", "-E", "power", "status"),
        ("ipmipower", "-h", "gpu01-bmc", "--stat"),
        ("curl", "-s", "--netrc-file", "/etc/aiops/bmc", "https://10.0.9.1/redfish/v1/Systems/1"),
        ("/usr/local/bin/power-of", "gpu01", "-P"),
        (),
    ],
)
def test_words_that_may_be_said(words: tuple[str, ...]) -> None:
    assert not list(mistakes_in({"aiops_power_status": list(words)}))


@pytest.mark.parametrize(
    "words",
    [
        ("ipmitool", "-P", "sesame", "chassis", "power", "status"),
        ("ipmitool", "-Psesame", "chassis", "power", "status"),
        ("sudo", "/usr/bin/ipmitool", "-vPsesame", "chassis", "power", "status"),
        ("ipmitool", "-k", "sesame", "chassis", "power", "status"),
        ("sh", "-c", "ipmitool -H 10.0.9.1 -P sesame chassis power status | tail -1"),
        ("ipmipower", "-h", "gpu01-bmc", "-p", "sesame", "--stat"),
        ("ipmipower", "-h", "gpu01-bmc", "--password=sesame", "--stat"),
        ("curl", "-u", "aiops:sesame", "https://10.0.9.1/redfish/v1/Systems/1"),
        ("curl", "https://aiops:sesame@10.0.9.1/redfish/v1/Systems/1"),
        ("curl", "-H", "X-Auth-Token: sesame", "https://10.0.9.1/redfish/v1/Systems/1"),
    ],
)
def test_a_secret_among_the_words_is_refused_and_not_repeated(words: tuple[str, ...]) -> None:
    (mistake,) = mistakes_in({"aiops_power_status": list(words)})
    assert mistake.message.startswith("`aiops_power_status` must read the password from a file")
    assert "sesame" not in f"{mistake.message} {mistake.hint}"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*IPMITOOL, "chassis", "power", "off"), "must only ask"),
        ((*IPMITOOL, "chassis", "status"), "must only ask"),
        (("ipmipower", "-h", "gpu01-bmc", "--off"), "must only ask"),
        (("", "power"), "must be a list of words that begins with a program"),
        (("x", "a\0b"), "without NUL bytes"),
    ],
)
def test_words_that_do_more_than_ask_are_refused(words: tuple[str, ...], message: str) -> None:
    (mistake,) = mistakes_in({"aiops_power_status": list(words)})
    assert message in mistake.message

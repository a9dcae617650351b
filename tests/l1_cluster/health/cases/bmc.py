"""The management controller."""

from dataclasses import replace

from tests.l1_cluster.health.case import Case, hung, read, said

from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l1_cluster.health.bmc import DEVICE, EVENTS, SENSORS

INFO = """SEL Information
Version          : 1.5 (v1.5, v2 compliant)
Entries          : 62
Free Space       : 15392 bytes
Percent Used     : 6%
Last Add Time    : 11/21/2026 19:02:10
Last Del Time    : 01/27/2025 09:12:44
Overflow         : false
Supported Cmds   : 'Partial Add' 'Reserve' 'Get Alloc Info'
"""

OLD = (
    "   1 |  Pre-Init  |0000000093| Power Supply #0x3b | Failure detected | Asserted\n"
    "   2 | 01/27/2025 | 09:12:45 | Event Logging Disabled #0x72 | Log area reset/cleared | Asserted\n"
    "   3 | 03/02/2026 | 07:00:10 | Memory #0x02 | Uncorrectable ECC | Asserted\n"
    "   4 | 11/21/2026 | 10:00:00 | System ACPI Power State #0xd5 | S0/G0: working | Asserted\n"
    "   5 | 11/21/2026 | 10:01:00 | Power Supply #0x3b | Power Supply AC lost | Asserted\n"
    "   6 | 11/21/2026 | 10:03:00 | Power Supply #0x3b | Power Supply AC lost | Deasserted\n"
    "   7 | 11/21/2026 | 10:03:02 | Power Supply #0x3b | Presence detected | Asserted\n"
    "   8 | 11/21/2026 | 10:04:00 | Memory #0x02 | Correctable ECC | Asserted\n"
    "   9 | 11/21/2026 | 10:05:00 | Fan #0x41 | Lower Non-critical going low  | Asserted\n"
    "   a | 11/21/2026 | 10:05:00 | Fan #0x42 | Transition to Non-Critical from OK | Asserted\n"
)
"""What a log of a healthy machine has: old troubles, some that are over, some that are none."""


def events(*lines: str, now: str = "11/21/2026 19:30:02", info: str = INFO) -> Answer:
    """The log with more lines at its end."""
    more = "".join(f"{line}\n" for line in lines)
    return said(EVENTS, f"now {now}\n{info}events new\n{OLD}{more}.\n")


SDR = """Inlet Temp       | 24 degrees C      | ok
CPU1 Temp        | 47 degrees C      | ok
Fan1A RPM        | 5880 RPM          | ok
Fan9A RPM        | no reading        | ns
PSU1 Status      | 0x01              | ok
P12V             | 12.10 Volts       | ok
VBAT             | 2.80 Volts        | nc
"""


def sensors(text: str = SDR) -> Answer:
    """What ipmitool says of the sensors."""
    return said(SENSORS, text)


HEALTHY = {DEVICE: read(DEVICE, {"/sys/class/ipmi/ipmi0/dev": "242:0\n"}), EVENTS: events(), SENSORS: sensors()}

CASES = (
    Case(
        "a power supply that failed in the night",
        "ipmi.sel",
        "warn",
        "service",
        about="Power Supply #0x3e",
        words="Failure detected; Power Supply AC lost, in the last 24 h",
        answers={
            EVENTS: events(
                "   b | 11/21/2026 | 03:34:15 | Power Supply #0x3e | Failure detected | Asserted",
                "   c | 11/21/2026 | 03:34:16 | Power Supply #0x3e | Power Supply AC lost | Asserted",
            )
        },
    ),
    Case(
        "a DIMM with errors that cannot be corrected, as newer tools tell it",
        "ipmi.sel",
        "critical",
        "service",
        about="Memory #0x02",
        words="Uncorrectable ECC (UnCorrectable ECC DIMMD7)",
        answers={
            EVENTS: events(
                "  3a | 11/21/26 | 12:50:09 PM EST | Memory #0x02"
                " | Uncorrectable ECC (UnCorrectable ECC |  DIMMD7) | Asserted",
                now="11/21/26 07:30:02 PM EST",
            )
        },
    ),
    Case(
        "a fan that stands still",
        "ipmi.sel",
        "warn",
        "service",
        about="Fan #0x41",
        words="Lower Critical going low",
        answers={EVENTS: events("   b | 11/21/2026 | 18:00:00 | Fan #0x41 | Lower Critical going low  | Asserted")},
    ),
    Case(
        "a processor's internal error",
        "ipmi.sel",
        "critical",
        "service",
        about="Processor #0x70",
        words="IERR",
        answers={EVENTS: events("   b | 11/21/2026 | 18:00:00 | Processor #0x70 | IERR | Asserted")},
    ),
    Case(
        "an event log that is garbage",
        "ipmi.sel",
        "unknown",
        "none",
        words="has the line `hello`",
        answers={EVENTS: events("hello")},
    ),
    Case(
        "an event log whose clock was never set",
        "ipmi.sel",
        "unknown",
        "none",
        words="clock of the controller's log",
        answers={EVENTS: events(now="S+ 00:12:01")},
    ),
    Case(
        "a controller that hangs",
        "ipmi.sel",
        "unknown",
        "none",
        words="no answer within 10 s",
        answers={EVENTS: hung(EVENTS, 10.0)},
    ),
    Case(
        "a fan below its limit",
        "ipmi.sensors",
        "warn",
        "service",
        about="Fan1A RPM",
        words="480 RPM, which the controller calls critical",
        answers={SENSORS: sensors(SDR.replace("5880 RPM          | ok", "480 RPM           | cr"))},
    ),
    Case(
        "air that is far too hot",
        "ipmi.sensors",
        "critical",
        "service",
        about="Inlet Temp",
        words="52 degrees C, which the controller calls non-recoverable",
        answers={SENSORS: sensors(SDR.replace("24 degrees C      | ok", "52 degrees C      | nr"))},
    ),
    Case(
        "sensors that are garbage",
        "ipmi.sensors",
        "unknown",
        "none",
        words="ipmitool says `hello`",
        answers={SENSORS: sensors("hello\n")},
    ),
    Case(
        "no sensor at all",
        "ipmi.sensors",
        "unknown",
        "none",
        words="names no sensor",
        answers={SENSORS: sensors("")},
    ),
    Case(
        "a controller that breaks off",
        "ipmi.sensors",
        "unknown",
        "none",
        words="exit 1: Unable to obtain SDR reservation",
        answers={SENSORS: replace(sensors(""), exit_status=1, stderr="Unable to obtain SDR reservation\n")},
    ),
)

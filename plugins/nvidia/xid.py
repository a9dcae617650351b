"""What each Xid means: NVIDIA's catalogue of the driver's error numbers, as rules, and where aiops reads it otherwise.

The catalogue names an immediate action for each number. `RESTART_APP`: the program is dead, the device is well; that is
its user's affair. `RESET_GPU` and `RESTART_BM`: no program should start there until that was done. `IGNORE`: nothing is
to be done, and nothing is found. `CONTACT_SUPPORT`: numbers that should no longer be seen at all.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from aiops.layers.l1_cluster.health.verdict import Action, Owner, Severity

CATALOGUE = "NVIDIA's catalogue of Xids, October 2025"


@dataclass(frozen=True, slots=True)
class Rule:
    """What an Xid asks for.

    Attributes:
        severity: None: nothing is to be done.
        words: What has happened; empty where the number alone is known.
        source: Where the rule comes from.
    """

    severity: Severity | None
    action: Action = "none"
    owner: Owner = "node"
    words: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class _Bucket:
    severity: Severity | None
    action: Action
    owner: Owner
    source: str
    numbers: Mapping[int, str]


_BUCKETS = (
    _Bucket(
        None,
        "none",
        "user",
        f"{CATALOGUE}: IGNORE, or informational",
        dict.fromkeys((14, 37, 38, 44, 66, 67, 106, 107, 108, 121, 137, 141, 152, 153, 160, 161, 162, 163, 164), "")
        | {
            43: "a program was stopped for its own fault",
            63: "a row of memory is to be remapped",  # `gpu.remap_pending` tells of it for as long as it lasts
            93: "the infoROM was written too often",
            157: "a resource could not be retired",
        },
    ),
    _Bucket(
        None,
        "none",
        "user",
        f"{CATALOGUE}: follow the other Xid; alone it is the end of a program that was killed",
        {45: "a program was cleaned up after"},
    ),
    _Bucket(
        None,
        "none",
        "user",
        f"{CATALOGUE}: RESTART_APP, a fault of the program; several programs on one GPU are another rule",
        {13: "a program caused an exception", 31: "a program used a wrong address"},
    ),
    _Bucket(
        "warn",
        "restart_app",
        "user",
        f"{CATALOGUE}: RESTART_APP",
        {
            8: "a program's channel stood still",
            **dict.fromkeys((11, 25, 32), "a program sent corrupt commands"),
            **dict.fromkeys(
                (39, 40, 41, 70, 71, 72, 75, 76, 77, 85, *range(126, 136)), "a copy engine raised an exception"
            ),
            60: "a video processor raised an exception",
            69: "a program used a class wrongly",
            80: "a program's commands arrived corrupt",
            **dict.fromkeys((68, 83, 84, 88, 89, 96, 97, 98), "a video decoder failed"),
            **dict.fromkeys((82, *range(99, 106)), "a JPEG decoder failed"),
            **dict.fromkeys((86, 139), "the optical flow engine failed"),
        },
    ),
    _Bucket(
        "warn",
        "restart_app",
        "node",
        f"{CATALOGUE}: RESTART_APP; it is the memory of the node, and `gpu.ecc_uncorrected` says whether it must go",
        {94: "a memory error was contained, the program that it hit was stopped"},
    ),
    _Bucket(
        "critical",
        "reset_device",
        "node",
        f"{CATALOGUE}: RESET_GPU",
        {
            46: "it stopped processing",
            62: "its micro-controller halted",
            64: "a row of memory could not be remapped",
            95: "a memory error was not contained",
            109: "a context switch timed out",
            110: "a security fault",
            119: "its GSP did not answer",
            120: "its GSP failed",
            136: "a link could not be trained",
            140: "a memory error was not recovered from",
            143: "it could not be initialised",
            156: "a resource is to be retired",
            158: "a fatal timeout",
        },
    ),
    _Bucket(
        "critical",
        "reset_device",
        "node",
        f"{CATALOGUE}: a workflow that begins with a reset",
        {
            48: "an uncorrectable memory error",
            74: "an NVLink error",
            171: "an uncorrectable error of its DRAM",
            172: "an uncorrectable error of its SRAM",
        },
    ),
    _Bucket(
        "critical",
        "reboot",
        "node",
        f"{CATALOGUE}: RESTART_BM or RESTART_VM; 168 by its text",
        {
            79: "it has fallen off the bus",
            151: "a key could not be rotated",
            168: "it has less memory than it should",
        },
    ),
    _Bucket("critical", "service", "node", f"{CATALOGUE}: CHECK_MECHANICALS", {54: "its power cable is not connected"}),
    _Bucket(
        "warn",
        "none",
        "node",
        f"{CATALOGUE} says IGNORE; aiops warns, for azurehpc-health-checks takes such nodes out",
        {92: "corrected memory errors come often"},
    ),
    _Bucket(
        "warn",
        "reset_device",
        "node",
        f"{CATALOGUE}: RESET_GPU, but links that are turned down on purpose log it too, so aiops only warns",
        {155: "an NVLink went down"},
    ),
    _Bucket("warn", "none", "node", f"{CATALOGUE}: UPDATE_SWFW", {78: "a virtual GPU did not start"}),
    _Bucket("warn", "none", "node", f"{CATALOGUE}: CHECK_UVM", {159: "an error of the link to the CPU"}),
    _Bucket(
        "warn",
        "service",
        "node",
        f"{CATALOGUE}: CONTACT_SUPPORT, or no action told",
        dict.fromkeys(
            (
                *range(1, 8),
                *(9, 10, 12, *range(15, 25), *range(26, 31), *range(33, 37), 42, 47, *range(49, 54), *range(55, 60)),
                *(61, 65, 73, 81, 87, 90, 91, *range(111, 119), *range(122, 126), 138, 142, 166, 169, 170),
            ),
            "",
        )
        | {165: "its power smoothing has worn out", 167: "a fatal timeout of its link to the host"},
    ),
)
_RULES: Mapping[int, Rule] = {
    number: Rule(bucket.severity, bucket.action, bucket.owner, words, bucket.source)
    for bucket in _BUCKETS
    for number, words in bucket.numbers.items()
}
_UNKNOWN = Rule("warn", source=f"not in {CATALOGUE}; aiops warns")

NVLINK5 = frozenset(range(144, 151))
_FATAL = Rule("critical", "reset_device", words="a fatal NVLink error", source=f"{CATALOGUE}: its text says Fatal")
_NONFATAL = Rule(
    "warn",
    "reset_device",
    words="an NVLink error",
    source=f"{CATALOGUE}: its text does not say Fatal; Xid 154 says what to do",
)

RECOVERY = 154
_CHANGED = re.compile(r"recovery action changed from \S+ \([^)]*\) to 0x([0-9a-fA-F]{1,4}) \(([^)]*)\)")
_RECOVERIES: Mapping[int, tuple[Severity, Action]] = {
    1: ("critical", "reset_device"),
    2: ("critical", "reboot"),
    3: ("warn", "reset_device"),
    4: ("critical", "reset_device"),
    5: ("warn", "restart_service"),
    6: ("critical", "reset_device"),
    7: ("critical", "reboot"),
}
"""NVML's `nvmlDeviceGpuRecoveryAction_t`: reset, reboot, drain P2P, drain and reset, IMEX, reset of the bus, reboot."""


def rule(number: int, text: str = "") -> Rule:
    """What an Xid asks for.

    Args:
        number: As the driver logs it; 154 has `recovery` instead.
        text: What stands after it: whether an NVLink error is fatal stands there only.
    """
    if number in NVLINK5:
        return _FATAL if re.search(r"\bFatal\b", text) else _NONFATAL
    return _RULES.get(number, _UNKNOWN)


def recovery(text: str) -> Rule | None:
    """What Xid 154 asks for, or None where its text tells nothing; `severity` is None where all is well again."""
    found = _CHANGED.search(text)
    if found is None:
        return None
    number, words = int(found[1], 16), found[2]
    source = "the driver itself, by Xid 154"
    if number == 0:
        return Rule(None, words=words, source=source)
    severity, action = _RECOVERIES.get(number, ("critical", "reboot" if "eboot" in words else "reset_device"))
    return Rule(severity, action, words=f"the driver asks for: {words}", source=source)


def recovery_action(words: str) -> Rule:
    """What the tool's `GPU Recovery Action` asks for, by its words: `Reset`, `Reboot`, `Drain and Reset`, ..."""
    lowered = words.lower()
    source = "the driver itself, by its recovery action"
    if lowered == "none":
        return Rule(None, words=words, source=source)
    told = f"the driver asks for: {words}"
    if "reboot" in lowered:
        return Rule("critical", "reboot", words=told, source=source)
    if "reset" in lowered:
        return Rule("critical", "reset_device", words=told, source=source)
    if "imex" in lowered:
        return Rule("warn", "restart_service", words=told, source=source)
    return Rule("warn", "reset_device", words=told, source=source)

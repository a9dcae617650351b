"""What a node is asked of Slurm and munge on itself, and the pure reading of what they say.

Each worker asks for its own entry, by `sinfo` with one name: slurmctld then sends one node's data, while `scontrol
show node NAME` has it send all of them to each of a thousand nodes. `sinfo`'s long format has the same words from 20.11
to 25.05. Its columns have fixed widths, since separators came later, and a reason may hold any character.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from aiops.layers.l0_nodes.answer_reading import UnreadableError, said
from aiops.layers.l0_nodes.ask import Answer, Ask, Record

NODE, PING, MUNGE, PARTITIONS = "slurm.node", "slurm.ping", "munge.roundtrip", "slurm.partitions"

_FIELDS: Mapping[str, int] = {"StateComplete": 120, "CPUs": 16, "Memory": 20, "Gres": 400, "Reason": 240}
_FORMAT = ",".join(f"{name}:{width}" for name, width in _FIELDS.items())
_PATH = 'PATH="$PATH:/opt/slurm/bin:/opt/slurm/sbin:/usr/local/slurm/bin:/usr/local/slurm/sbin"\n'
"""Where Slurm that was built on the site often is."""

_OWN_NODE = f"""{_PATH}command -v sinfo >/dev/null || exit 127
reached=$(scontrol ping 2>&1)
case $reached in *" is UP"*) ;; *) echo "$reached" >&2; exit 1 ;; esac
show() {{ sinfo --noheader --Node --all --noconvert --nodes="$1" --Format={_FORMAT}; }}
host=$(uname -n)
shown=$(show "${{host%%.*}}") || exit 1
if [ -z "$shown" ]; then
  name=$(sinfo --noheader --Node --all --Format=NodeHost:256,NodeList:256 |
    awk -v long="$host" -v short="${{host%%.*}}" '$1 == long || $1 == short {{ print $2; exit }}')
  [ -z "$name" ] || shown=$(show "$name") || exit 1
fi
[ -z "$shown" ] || printf '%s\\n' "$shown"
scontrol show config | sed -n -e '/^SlurmdParameters /p' -e '/^SlurmctldParameters /p'
"""
# slurmctld is pinged first: `sinfo` tries for 9 s to reach one that is gone.

ASKS = (
    Ask(NODE, ("sh", "-c", _OWN_NODE), max_bytes=65_536),
    Ask(PING, ("sh", "-c", f"{_PATH}command -v slurmctld >/dev/null || exit 127\nexec scontrol ping"), max_bytes=8192),
    Ask(MUNGE, ("sh", "-c", "munge -n | unmunge"), max_bytes=8192),
    Ask(PARTITIONS, paths=("/proc/driver/nvidia/capabilities/gpu*/mig/gi*/access",), max_bytes=64),
)
"""By name in `ask`."""

_SET = ("SlurmdParameters", "SlurmctldParameters")
_STATE = re.compile(r"[A-Z_]+(?:\+[A-Z_]+)*")
_BASES = {"ALLOCATED", "DOWN", "ERROR", "FUTURE", "IDLE", "MIXED", "UNKNOWN"}
_CONTROLLER = re.compile(r"Slurmctld\((\w+)\) at (\S+) is (UP|DOWN)")
_RESOURCE = re.compile(r"([\w-]+)((?::[^:,()\s]+)*)(?:\([^()]*\))?(?:,|$)")
_PROFILE = re.compile(r"\dg\.\d+gb")
_DEVICES = {"dcu", "gcu", "gpu", "hpu", "mlu", "npu", "xpu"}
_NOT_INSTALLED, _SIGNALLED = 127, 128
_NOT_CONFIGURED = "Could not establish a configuration source"


@dataclass(frozen=True, slots=True)
class Registration:
    """A node as Slurm has it.

    Attributes:
        states: `IDLE`, `DRAIN`, `NOT_RESPONDING` ...; one of them is the base.
        reason: Why it drains or is down; empty where nobody said.
        cpus: What Slurm's configuration says that it has; `memory_mib`, and `gres` in Slurm's words, likewise.
        parameters: The words of SlurmdParameters and SlurmctldParameters, in lower case; None where Slurm did not
            tell them.
    """

    states: frozenset[str]
    cpus: int
    memory_mib: int
    gres: str = ""
    reason: str = ""
    parameters: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Controller:
    """One slurmctld.

    Attributes:
        role: `primary`, `backup`, `backup1` ...
    """

    role: str
    host: str
    up: bool


def ask(*names: str) -> tuple[Ask, ...]:
    """Those of the asks that are called so."""
    return tuple(one for one in ASKS if one.name in names)


def absent(answer: Answer) -> bool:
    """Whether what was asked is not installed on the node, or Slurm was never set up there."""
    return answer.exit_status == _NOT_INSTALLED or _NOT_CONFIGURED in answer.stderr


def read_registration(record: Record) -> Registration | None:
    """The node as Slurm has it; None where Slurm has it in no partition and gives it no work.

    Raises:
        UnreadableError: Slurm does not say.
    """
    lines = said(record.answer(NODE)).splitlines()
    settings = dict(_setting(line) for line in lines if line.startswith(_SET))
    shown = next((line for line in lines if line.strip() and not line.startswith(_SET)), None)
    if shown is None:
        if not settings:  # `scontrol` has answered before, and is silent now
            raise UnreadableError("Slurm says nothing")
        return None
    values = dict(_columns(shown))
    state = values["StateComplete"].upper()
    if not (_STATE.fullmatch(state) and values["CPUs"].isdecimal() and values["Memory"].isdecimal()):
        raise UnreadableError(f"sinfo says `{' '.join(shown.split())[:80]}`")
    states = frozenset(state.split("+"))
    if not states & _BASES:
        raise UnreadableError(f"Slurm has it in a state that is not known here: {state}")
    return Registration(
        states,
        int(values["CPUs"]),
        int(values["Memory"]),
        "" if values["Gres"] == "(null)" else values["Gres"],
        "" if values["Reason"].lower() in {"none", "(null)", "n/a"} else values["Reason"],
        frozenset().union(*settings.values()) if len(settings) == len(_SET) else None,
    )


def _columns(line: str) -> Iterator[tuple[str, str]]:
    start = 0
    for name, width in _FIELDS.items():
        yield name, line[start : start + width].strip()
        start += width


def _setting(line: str) -> tuple[str, frozenset[str]]:
    name, _, value = line.partition("=")
    words = {word.strip().lower() for word in value.split(",")}
    return name.strip(), frozenset(words - {"", "(null)"})


def device_count(gres: str) -> int | None:
    """How many accelerators Slurm gives to jobs, by `gpu:h100:8(S:0-1),shard:64`; None where they are parts of devices.

    Raises:
        UnreadableError: These are no words of Slurm.
    """
    count, place = 0, 0
    while place < len(gres):
        found = _RESOURCE.match(gres, place)
        if found is None:
            raise UnreadableError(f"Gres is `{gres[:80]}`")
        place = found.end()
        name, details = found[1], [word for word in found[2].split(":") if word]
        if name not in _DEVICES:
            continue
        if any(_PROFILE.search(word) for word in details):
            return None
        count += int(details[-1]) if details and details[-1].isdecimal() else 1
    return count


def read_partitioned(record: Record) -> bool:
    """Whether a device is divided into parts that Slurm may count as devices of their own.

    Raises:
        UnreadableError: It cannot be told.
    """
    answer = record.answer(PARTITIONS)
    if answer.files:
        return True
    if not answer.missing or set(answer.missing.values()) != {"nothing matches"}:
        raise UnreadableError(next(iter(answer.missing.values()), "parts of devices were not asked for"))
    return False


def read_controllers(record: Record) -> tuple[Controller, ...]:
    """All controllers, as one of their hosts sees them.

    Raises:
        UnreadableError: They are not told.
    """
    answer = record.answer(PING)
    found = tuple(Controller(role, host, word == "UP") for role, host, word in _CONTROLLER.findall(answer.stdout))
    if not found or answer.timed_out:
        said(answer)
        raise UnreadableError(f"scontrol ping says `{answer.stdout.strip()[:80]}`")
    return found


def read_munge(record: Record) -> str:
    """Why a credential that was made on the node cannot be read there; empty where it can.

    Raises:
        UnreadableError: munge says neither.
    """
    answer = record.answer(MUNGE)
    status = next((line for line in answer.stdout.splitlines() if line.startswith("STATUS:")), "")
    words = status.removeprefix("STATUS:").strip()
    if answer.exit_status == 0 and words.startswith("Success "):
        return ""
    errors = [line for line in answer.stderr.splitlines() if line.startswith(("munge: Error: ", "unmunge: Error: "))]
    if answer.exit_status is not None and 0 < answer.exit_status < _NOT_INSTALLED and (errors or words):
        return errors[0].partition("Error: ")[2].strip() if errors else words
    said(answer)
    raise UnreadableError(f"unmunge says `{answer.stdout.strip()[:80]}`")

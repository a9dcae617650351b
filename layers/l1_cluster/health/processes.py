"""Processes: those that no longer move, those that nobody buries, and whether there is room for more.

A process that waits in the kernel cannot be killed. To wait for a moment is what reading a disk looks like, so one
counts only when it is met twice and was never run in between, which the kernel's count of its switches tells. One that
has run again a moment later is not even met.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiops.layers.l0_nodes.answer_reading import UnreadableError, file, said
from aiops.layers.l0_nodes.ask import Ask, Record

from .check import Check, Limits, Sighting, Subject, Threshold
from .small_files import small_files

PROCESSES, ROOM = "health.processes", "health.processes.room"
# With these columns `ps` opens nothing that a process can hold locked. Of those that wait, 64 are looked at, a moment
# later again; their stacks come last, for reading one may itself have to wait.
_PROGRAM = r"""
{ total++ }
$1 ~ /^Z/ { dead++ }
$1 ~ /^D/ && waiting < 64 {
  pids[++waiting] = $2
  print
  path = "/proc/" $2 "/status"
  while ((getline line < path) > 0) if (line ~ /ctxt_switches/) print "  " line
  close(path)
  path = "/proc/" $2 "/wchan"
  if ((getline line < path) > 0) print "  wchan: " line
  close(path)
}
END {
  printf "total %d waiting %d dead %d\n", total, waiting, dead
  fflush()
  if (waiting) system("sleep 0.3")
  for (i = 1; i <= waiting; i++) {
    path = "/proc/" pids[i] "/status"
    while ((getline line < path) > 0) if (line ~ /ctxt_switches/) print "later " pids[i] " " line
    close(path)
  }
  fflush()
  for (i = 1; i <= waiting; i++) {
    path = "/proc/" pids[i] "/stack"
    for (n = 0; n < 32 && (getline line < path) > 0; n++) print "stack " pids[i] " " line
    close(path)
  }
}"""
_PS = "ps -e -o stat= -o pid= -o ppid= -o etimes= -o comm="
PROCESSES_ASK = Ask(PROCESSES, ("sh", "-c", f"{_PS} | awk '{_PROGRAM}'"))
_PIDS, _THREADS, _FILES, _LOAD = (
    "/proc/sys/kernel/pid_max",
    "/proc/sys/kernel/threads-max",
    "/proc/sys/fs/file-nr",
    "/proc/loadavg",
)
ROOM_ASK = Ask(ROOM, paths=(_PIDS, _THREADS, _FILES, _LOAD), max_bytes=256)

_WAITING = re.compile(r" *D\S* +(?P<pid>\d{1,10}) +(?P<parent>\d{1,10}) +(?P<age>\d{1,12})( +(?P<name>\S.*?))? *")
_DETAIL = re.compile(r"  (?:(?:non)?voluntary_ctxt_switches:\s*(?P<switches>\d{1,18})|wchan: (?P<wchan>[\w.]+)) *")
_TOTALS = re.compile(r"total (?P<total>\d{1,8}) waiting (?P<waiting>\d{1,8}) dead (?P<dead>\d{1,8})")
_LATER = re.compile(
    r"^later (?P<pid>\d{1,10}) (?:non)?voluntary_ctxt_switches:[ \t]*(?P<switches>\d{1,18}) *$", re.MULTILINE
)
_STACK = re.compile(r"stack (?P<pid>\d{1,10}) .*?(?:\[(?P<module>[a-z]\w{0,63})\])? *")
_KERNEL_THREADS = 2  # the parent of all of them
_REPORTED = 16
_FROZEN = "refrigerator"  # somebody has put its group on ice

_DRIVERS = re.compile(
    r"nv(idia|_peer)|gdrdrv|amd(gpu|kfd|ttm)|mlx[45]|ib_|rdma|irdma|bnxt|efa|hfi1|xe$|i915|habanalabs|drv_|ascend|hisi_hdc"
    r"|cambricon|mtgpu|metax|mxgpu|iluvatar|enflame|gcu|hycu|hydcu|kunlun|xpu|biren|ppu"
)
_TOOLS = re.compile(
    r"nv(idia-|-host|-fabric)|dcgm|amd-smi|rocm-smi|npu-smi|cnmon|mthreads-gmi|mx-smi|ixsmi|efsmi|hy-smi|hl-smi|xpu-smi"
    r"|brsmi|ppu-smi"
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A process that waits in the kernel, deaf to signals.

    Attributes:
        age: Seconds since it was started.
        switches: How often it was given a processor or gave it up; None where it has just ended.
        at: The function that it waits in; empty where the kernel does not say.
        modules: Of the functions that led there, the innermost first.
    """

    pid: int
    parent: int
    age: int
    name: str
    switches: int | None = None
    at: str = ""
    modules: tuple[str, ...] = ()

    @property
    def driver(self) -> str:
        """The driver of an accelerator or a network adapter that it waits for; empty where it is none."""
        found = next((one for one in self.modules if _DRIVERS.match(one)), "")
        return found or (self.name if _TOOLS.match(self.name) else "")


@dataclass(frozen=True, slots=True)
class Processes:
    """All processes, and those that something is wrong with.

    Attributes:
        dead: How many have ended and not been waited for by their parents.
    """

    total: int
    dead: int
    waiting: tuple[Waiting, ...] = field(default_factory=tuple)


def read_processes(record: Record) -> Processes:
    """The processes of a node.

    Raises:
        UnreadableError: They were not listed to the end. That the stacks are missing is no harm.
    """
    answer = record.answer(PROCESSES)
    found: dict[int, dict[str, Any]] = {}
    totals: re.Match[str] | None = None
    last = -1
    for line in answer.stdout.removesuffix("\n").split("\n"):
        if totals is not None:
            if (stack := _STACK.fullmatch(line)) and stack["module"] and int(stack["pid"]) in found:
                found[int(stack["pid"])]["modules"] += (stack["module"],)
        elif waiting := _WAITING.fullmatch(line):
            last = int(waiting["pid"])
            found[last] = {
                "parent": int(waiting["parent"]),
                "age": int(waiting["age"]),
                "name": (waiting["name"] or "")[:64],
            }
            found[last] |= {"switches": None, "at": "", "modules": ()}
        elif last >= 0 and (detail := _DETAIL.fullmatch(line)):
            if detail["wchan"] is not None:
                found[last]["at"] = "" if detail["wchan"] == "0" else detail["wchan"][:64]
            else:
                found[last]["switches"] = (found[last]["switches"] or 0) + int(detail["switches"])
        elif (totals := _TOTALS.fullmatch(line)) is None:
            raise UnreadableError(f"the list of processes says `{line.strip()[:80]}`")
    if totals is None:
        said(answer)
        raise UnreadableError("the list of processes has no end")
    if int(totals["waiting"]) != len(found) or not int(totals["total"]):
        raise UnreadableError("the list of processes does not add up")
    several = [Waiting(pid, **values) for pid, values in found.items()]
    return Processes(int(totals["total"]), int(totals["dead"]), tuple(_unmoved(several, answer.stdout)))


def _unmoved(several: Iterable[Waiting], text: str) -> Iterator[Waiting]:
    """Those that have not run again a moment later, as far as that is told."""
    later: Counter[int] = Counter()
    for moment in _LATER.finditer(text):
        later[int(moment["pid"])] += int(moment["switches"])
    yield from (one for one in several if later.get(one.pid, one.switches) == one.switches)


def read_room(record: Record) -> Mapping[str, tuple[int, int]]:
    """What is used, and what there is at most, of each thing that processes need.

    Raises:
        UnreadableError: It does not say.
    """
    answer = record.answer(ROOM)
    small_files(answer)
    tasks = int(file(answer, _LOAD).split()[3].partition("/")[2])
    files = file(answer, _FILES).split()
    room = {
        "process numbers": (tasks, int(file(answer, _PIDS))),
        "threads": (tasks, int(file(answer, _THREADS))),
        "file handles": (int(files[0]), int(files[2])),
    }
    if any(used < 0 or most <= 0 for used, most in room.values()):
        raise UnreadableError("/proc: its numbers do not fit together")
    return room


def _stuck(subject: Subject) -> Iterator[Waiting]:
    """Those that may be stuck: no threads of the kernel, whose waiting is their own affair; those of drivers first."""
    waiting = subject.read(read_processes).waiting
    if not subject.facts.container:
        waiting = tuple(one for one in waiting if _KERNEL_THREADS not in (one.pid, one.parent))
    found = [one for one in waiting if one.switches is not None and _FROZEN not in one.at]
    yield from sorted(found, key=lambda one: (not one.driver, one.pid))[:_REPORTED]


def _counter(process: Waiting) -> str:
    return f"process.{process.pid}.switches"


def _counters(subject: Subject) -> Mapping[str, int]:
    return {_counter(one): one.switches for one in _stuck(subject) if one.switches is not None}


def _dstate(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    for one in _stuck(subject):
        before, boot = subject.past.last(_counter(one)) or (one.switches, None)
        has_moved = before != one.switches and boot in (None, subject.facts.boot_id)  # else it is another process
        if one.age < limits["seconds"] or has_moved:
            continue
        place = " ".join(word for word in (one.at and f"at {one.at}", one.driver and f"of {one.driver}") if word)
        yield Sighting(
            "critical" if one.driver else "warn",
            f"it waits in the kernel{' ' * bool(place)}{place} and cannot be killed",
            f"process {one.pid} ({one.name})",
            {"age": one.age, "at": one.at, "modules": list(one.modules[:8]), "switches": one.switches},
            action=None if one.driver else "none",
        )


def _zombie(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    processes = subject.read(read_processes)
    if processes.dead >= limits["warn"]:
        yield Sighting(
            "warn",
            f"{processes.dead} of {processes.total} processes have ended and are not waited for,"
            f" limit {limits['warn']:g}",
            evidence={"dead": processes.dead, "total": processes.total},
        )


def _room(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    for thing, (used, most) in subject.read(read_room).items():
        percent = 100.0 * used / most
        for severity in ("critical", "warn"):
            if percent >= limits[severity]:
                yield Sighting(
                    severity,
                    f"{used} of {most} are used, {percent:.0f} %, limit {limits[severity]:g} %",
                    thing,
                    {"used": used, "most": most},
                )
                break


def _own_kernel(subject: Subject) -> bool:
    return not subject.fact("container")


CHECKS = (
    Check(
        id="proc.dstate",
        title="no process is stuck in the kernel",
        severity="critical",
        action="reboot",
        owner="node",
        judges="A process that waits in the kernel, twice in a row and without a move in between, is a warning;"
        " critical when it waits in the driver of an accelerator or a network adapter, or is a vendor's tool.",
        remedy="See where: `cat /proc/PID/stack`. One that waits for a file system goes on when its server is back; one"
        " in a driver ends with a reboot alone.",
        source="gpud watches for `nvidia` in this state likewise; that it must not have moved is aiops' own",
        asks=(PROCESSES_ASK,),
        judge=_dstate,
        counters=_counters,
        thresholds=(Threshold("seconds", 60.0, "s", "aiops' own: the least age of the process"),),
        tags=("process",),
        sightings=2,
        grace=True,
    ),
    Check(
        id="proc.zombie",
        title="ended processes are waited for",
        severity="warn",
        action="restart_app",
        owner="user",
        judges="Warn at 500 processes that have ended and whose parents do not wait for them.",
        remedy="Whose they are: `ps -eo stat,ppid,comm | grep ^Z | sort | uniq -c | sort -n | tail`. End the parent.",
        source="aiops' own: they cost a process number each and show a program that loses its children",
        asks=(PROCESSES_ASK,),
        judge=_zombie,
        thresholds=(Threshold("warn", 500.0, "processes", "aiops' own", least=1.0),),
        tags=("process",),
        sightings=2,
    ),
    Check(
        id="proc.limits",
        title="there is room for processes and files",
        severity="critical",
        action="restart_app",
        owner="user",
        judges="Warn when 80 % of the kernel's process numbers, threads or file handles are used, critical at 95 %.",
        remedy="Who has them: `ps -eo nlwp,user,comm --sort=-nlwp | head`; `lsof -n | cut -d' ' -f1 | sort | uniq -c |"
        " sort -n | tail`. The limits: `sysctl kernel.pid_max kernel.threads-max fs.file-max`.",
        source="aiops' own; gpud and Azure's healthagent watch the same numbers",
        asks=(ROOM_ASK,),
        judge=_room,
        applies=_own_kernel,
        thresholds=(
            Threshold("warn", 80.0, "%", "aiops' own", most=100.0),
            Threshold("critical", 95.0, "%", "aiops' own: a login needs a few", most=100.0),
        ),
        tags=("process",),
        sightings=2,
    ),
)

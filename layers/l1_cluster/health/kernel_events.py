"""Events that the kernel's log tells of the system itself: what hung, crashed, was short of memory or too hot.

All of it is over when it is read. Whether a process still hangs or a service still runs is for other checks to say, so
most of this is a warning; what the kernel itself does not recover from is critical until the node is rebooted.
"""

from collections.abc import Iterator

from .check import Check, Limits, Sighting, Subject, Threshold
from .kernel_log import KERNEL_ASKS
from .kernel_message import WITHIN, has_log, sighting, within

_MINUTE = 60.0
_FIRST_USER = 1000
_DAEMONS = frozenset(
    {
        "chronyd",
        "containerd",
        "crond",
        "cron",
        "dbus-daemon",
        "dockerd",
        "kubelet",
        "munged",
        "NetworkManager",
        "node_exporter",
        "nv-fabricmanage",
        "nv-hostengine",
        "nvidia-persiste",
        "opensm",
        "prometheus",
        "rpcbind",
        "rsyslogd",
        "slurmctld",
        "slurmd",
        "slurmdbd",
        "sshd",
        "systemd",
        "systemd-journal",
        "systemd-logind",
        "systemd-network",
        "systemd-resolve",
        "systemd-timesyn",
        "systemd-udevd",
    }
)
"""Names of processes as the kernel has them, 15 letters at most."""


def _hung_task(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    if hung := within(subject, limits["hours"], "hung_task"):
        yield sighting("warn", hung, limits)


def _lockup(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    if hard := within(subject, limits["hours"], "hard_lockup"):
        yield sighting("critical", hard, limits)
    elif soft := within(subject, limits["hours"], "soft_lockup"):
        virtual = subject.facts.virtualization not in (None, "none")  # its host may have held the processors back
        yield sighting("critical" if len(soft) >= limits["critical"] and not virtual else "warn", soft, limits)


def _oops(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    if oopses := within(subject, limits["hours"], "oops"):
        yield sighting("critical", oopses, limits)


def _out_of_memory(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    killed = within(subject, limits["hours"], "out_of_memory")
    if not killed:
        return
    yield sighting("warn", killed, limits)
    latest = {
        one.values["name"]: one
        for one in within(subject, limits["daemon_hours"], "out_of_memory")
        if one.values["name"] in _DAEMONS and int(one.values["user"] or 0) < _FIRST_USER
    }
    for name, one in sorted(latest.items()):
        yield Sighting(
            "critical",
            f"the kernel killed it for memory within the last {limits['daemon_hours']:g} h",
            name,
            {"line": one.text},
            action="restart_service",
            owner="node",
        )


def _thermal(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    if hot := within(subject, limits["hours"], "overheated"):
        yield sighting("critical", hot, limits)
    throttled = within(subject, limits["hours"], "throttled")
    episodes = 0
    last: float | None = None
    for one in throttled:  # every processor of a package tells of the same heat
        if last is None or one.line.seconds > last + _MINUTE:
            episodes += 1
        last = one.line.seconds
    if episodes >= limits["episodes"]:
        yield Sighting(
            "warn",
            f"its processors were throttled by heat {episodes} times within {limits['hours']:g} h,"
            f" limit {limits['episodes']:g}",
            "processors",
            {"episodes": episodes, "line": throttled[-1].text},
        )


CHECKS = (
    Check(
        id="kmsg.hung_task",
        title="no task was blocked for minutes",
        severity="warn",
        action="none",
        owner="node",
        judges="Warn when the kernel has told of a blocked task within 24 h.",
        remedy="See what it waited for: `dmesg -T | grep -A 20 'blocked'`. Storage that was away for a while is usual;"
        " what still hangs is told by `aiops health --check proc.dstate`.",
        source="the kernel's hung task detector, which tells of whom no progress was seen for 2 minutes",
        asks=KERNEL_ASKS,
        judge=_hung_task,
        applies=has_log,
        thresholds=(WITHIN,),
        tags=("kernel",),
        level="quick",
    ),
    Check(
        id="kmsg.soft_lockup",
        title="no processor was locked up",
        severity="critical",
        action="reboot",
        owner="node",
        judges="Critical at a hard lockup or 3 soft lockups or stalls of RCU within 24 h, warn at one. Soft ones of a"
        " virtual machine are a warning: its host may have held it back.",
        remedy="Look at the traces: `dmesg -T | grep -A 30 -e LOCKUP -e lockup -e 'rcu.*stall'`. Then reboot the node;"
        " when it comes back, suspect the driver that is named, the firmware, then the machine.",
        source="the kernel's watchdogs: 20 s without the scheduler, 10 s without interrupts, 21 s or more without RCU;"
        " the count is aiops' own",
        asks=KERNEL_ASKS,
        judge=_lockup,
        applies=has_log,
        thresholds=(
            WITHIN,
            Threshold("critical", 3.0, "times", "aiops' own: it is told every 20 s, so that is a minute", least=1.0),
        ),
        tags=("kernel", "cpu"),
        level="quick",
    ),
    Check(
        id="kmsg.panic_or_oops",
        title="the kernel did not crash",
        severity="critical",
        action="reboot",
        owner="node",
        judges="Critical when the kernel has told of an oops or a bug of its own within 24 h; warnings do not count.",
        remedy="Keep the trace (`dmesg -T > oops.txt`) and reboot: the kernel goes on with locks that nobody will"
        " release. The names in brackets are the modules that were at it.",
        source="the kernel's own words; after an oops it calls itself tainted by its death",
        asks=KERNEL_ASKS,
        judge=_oops,
        applies=has_log,
        thresholds=(WITHIN,),
        tags=("kernel",),
        level="quick",
    ),
    Check(
        id="kmsg.oom",
        title="the node did not run out of memory",
        severity="critical",
        action="none",
        owner="user",
        judges="Warn when the kernel killed a process for memory within 24 h, critical for an hour when it was a daemon"
        " of the system. A job that reaches the limit of its own cgroup is not meant.",
        remedy="Who was it: `dmesg -T | grep -i 'out of memory'`. Ask for more memory per job, or let the scheduler"
        " keep jobs within what they asked for. A daemon is started again with `systemctl restart NAME`.",
        source="the kernel's own words; that daemons matter for an hour is aiops' own, then checks on services know",
        asks=KERNEL_ASKS,
        judge=_out_of_memory,
        applies=has_log,
        thresholds=(
            WITHIN,
            Threshold("daemon_hours", 1.0, "h", "aiops' own", least=0.1, most=720.0),
        ),
        tags=("kernel", "memory"),
        level="quick",
    ),
    Check(
        id="kmsg.thermal",
        title="processors are not throttled by heat",
        severity="critical",
        action="service",
        owner="node",
        judges="Warn at 3 episodes of throttling within an hour, each a minute from the one before; critical when a"
        " sensor of the board reached its critical temperature. A spike that passes is not told.",
        remedy="Compare with its neighbours: `ipmitool sensor | grep -i -e temp -e fan`. Look at fans, filters,"
        " blanking panels and the air in front of the rack.",
        source="Intel's thermal interrupt as the kernel tells it, at most every 5 minutes; the count is aiops' own",
        asks=KERNEL_ASKS,
        judge=_thermal,
        applies=has_log,
        thresholds=(
            Threshold("hours", 1.0, "h", "aiops' own: what is over does not count", least=0.1, most=720.0),
            Threshold("episodes", 3.0, "times", "aiops' own: once is a spike", least=1.0),
        ),
        tags=("kernel", "cpu", "thermal"),
        level="quick",
    ),
)

"""Services: those that a node has enabled run, none failed, none is started again and again.

Nothing has to be installed: what is enabled was meant to run, and what is not enabled was not.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from .check import Check, Limits, Sighting, Subject, Threshold
from .past import Sample
from .unit_reading import FAILED_ASK, SHOWN_ASK, Unit, has_systemd, read_failed, read_units
from .verdict import Severity


@dataclass(frozen=True, slots=True)
class Service:
    """A service that has a check of its own.

    Attributes:
        units: Its names in the distributions; what starts it at need (a socket) counts as it.
        without: What does not work while it is down.
        phase: The phase of a deploy that sets it up, or empty.
    """

    name: str
    title: str
    units: tuple[str, ...]
    severity: Severity
    without: str
    phase: str = ""


SERVICES = (
    Service(
        "sshd",
        "the SSH server runs",
        ("ssh.service", "sshd.service", "ssh.socket", "sshd.socket"),
        "critical",
        "nobody gets in, aiops included",
    ),
    Service("munge", "munge runs", ("munge.service",), "critical", "Slurm trusts no message", "scheduler"),
    Service("slurmd", "slurmd runs", ("slurmd.service",), "critical", "Slurm starts no job here", "scheduler"),
    Service(
        "slurmctld", "slurmctld runs", ("slurmctld.service",), "critical", "Slurm starts no job anywhere", "scheduler"
    ),
    Service("chronyd", "chronyd runs", ("chrony.service", "chronyd.service"), "warn", "its clock drifts away", "time"),
    Service(
        "node_exporter",
        "the node exporter runs",
        ("prometheus-node-exporter.service", "node_exporter.service", "node-exporter.service"),
        "warn",
        "Prometheus sees nothing of it",
        "monitoring",
    ),
    Service("containerd", "containerd runs", ("containerd.service",), "warn", "no container starts"),
    Service("docker", "the docker engine runs", ("docker.service", "docker.socket"), "warn", "no container starts"),
)

_BASIC = re.compile(
    r"(nvidia-fabricmanager|openibd|opensm\w*|systemd-(networkd|udevd|journald|logind|resolved)|NetworkManager"
    r"|networking|dbus|dbus-broker|nfs-server|rpcbind|firewalld|nftables)\.service"
)
"""Without these a node does not do its work."""

_HOUSEKEEPING = re.compile(
    r"(run-|session-|user@|user-|app-|systemd-coredump@|snap[.-]|dev-loop).*|.*\.mount"
    r"|.*-wait(-online|-sync)?\.service"
    r"|(apt-|dnf-|dnf5-|yum-|packagekit|fwupd|motd-|update-|ua-|ubuntu-|esm-|apport|whoopsie|kerneloops|abrt|cloud-|pollinate"
    r"|snapd|unattended-upgrades|man-db|mandb|plocate|mlocate|updatedb|e2scrub|fstrim|kdump|casper|sysstat|mcelog|smartd"
    r"|smartmontools|lm-sensors|lm_sensors|openipmi|ipmi|irqbalance|plymouth|bolt|ModemManager|multipathd?\b|iscsi"
    r"|systemd-tmpfiles-clean|systemd-update-utmp|systemd-random-seed|systemd-hwdb-update|secureboot-db|grub-"
    r"|console-setup|keyboard-setup|setvtrgb|rngd|rng-tools|haveged|logrotate).*"
)
"""What fetches, reports and tidies up, what belongs to a user or a job, and what does not start on hardware that it is
not made for: nodes in perfect order have such units failed. Mounts have a check of their own, mount.present."""

_WINDOW = timedelta(minutes=10)


def _has_systemd(subject: Subject) -> bool:
    return subject.read(has_systemd) or not subject.fact("container")


def _of(subject: Subject, service: Service) -> tuple[Unit, ...]:
    """The units of a service, when one of them is enabled and none of its own conditions keeps it from starting."""
    if service.name == "slurmd" and subject.variables.aiops_engine == "ssh":
        return ()
    found = [one for name, one in subject.read(read_units).items() if name in service.units]
    return tuple(found) if any(one.enabled and not one.skipped for one in found) else ()


def _applies(service: Service) -> Callable[[Subject], bool]:
    return lambda subject: _has_systemd(subject) and bool(_of(subject, service))


def _judge(service: Service) -> Callable[[Subject, Limits], Iterator[Sighting]]:
    def judge(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
        units = _of(subject, service)
        enabled = [one for one in units if one.enabled and not one.skipped]
        failed = [one for one in units if one.active == "failed"]
        if failed or not any(one.runs for one in enabled):
            worst = (failed or enabled)[0]
            yield Sighting(
                service.severity,
                f"{worst.name} is enabled and {_state(worst)}: {service.without}",
                evidence={"unit": worst.name, "state": worst.active, "sub": worst.detail, "result": worst.result},
            )

    return judge


def _state(unit: Unit) -> str:
    words = "started again and again" if unit.detail == "auto-restart" else unit.active
    return f"{words} ({unit.result})" if unit.result not in {"", "success"} else words


def _failed(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    told_elsewhere = {one.name for service in SERVICES for one in _of(subject, service)}
    for name in subject.read(read_failed):
        if name not in told_elsewhere and not _HOUSEKEEPING.fullmatch(name):
            yield Sighting("critical" if _BASIC.fullmatch(name) else "warn", "it failed", name, {"unit": name})


def _counter(name: str) -> str:
    return f"svc.restarts {name}"


def _restarts(subject: Subject) -> Mapping[str, int]:
    counted = {name: one.restarts for name, one in subject.read(read_units).items()}
    return {_counter(name): count for name, count in counted.items() if count is not None}


def _flapping(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    for name, unit in subject.read(read_units).items():
        if unit.restarts is None:
            continue
        now = Sample(subject.at, unit.restarts, subject.facts.boot_id)
        growth = subject.past.growth(_counter(name), now, _WINDOW)
        if growth is not None and growth.amount >= limits["restarts"]:
            minutes = max(1, round(growth.seconds / 60))
            message = f"started again {growth.amount} times in {minutes} min, limit {limits['restarts']:g} in 10 min"
            yield Sighting("warn", message, name, {"restarts": unit.restarts, "grown": growth.amount})


def _check(service: Service) -> Check:
    deploy = f" `aiops cluster deploy --only {service.phase}` sets it up." if service.phase else ""
    return Check(
        id=f"svc.{service.name}",
        title=service.title,
        severity=service.severity,
        action="restart_service",
        owner="node",
        judges=f"{service.severity.capitalize()} when {' or '.join(service.units)} is enabled and does not run.",
        remedy=f"Read why: `journalctl -b -n 50 -u {service.units[0]}`, then `systemctl restart {service.units[0]}`."
        + deploy,
        source="NHC's check_ps_service and NVSentinel's services; that only what is enabled has to run is aiops' own",
        asks=(SHOWN_ASK,),
        judge=_judge(service),
        applies=_applies(service),
        sightings=2,
        grace=True,
    )


CHECKS = (
    *(_check(service) for service in SERVICES),
    Check(
        id="svc.failed",
        title="no unit of systemd failed",
        severity="critical",
        action="restart_service",
        owner="node",
        judges="Warn for each failed unit, critical for those that a node cannot do without (network, udev, journal,"
        " dbus, fabric manager, NFS server); not for housekeeping, for what is a user's or a job's, nor for the"
        " services that have a check of their own.",
        remedy="Read why: `systemctl status UNIT`, mend it, then `systemctl restart UNIT`; what is of no use here,"
        " `systemctl disable --now UNIT` and `systemctl reset-failed UNIT`.",
        source="gcm's service status check; what counts as housekeeping is aiops' own list",
        asks=(FAILED_ASK, SHOWN_ASK),
        judge=_failed,
        applies=_has_systemd,
        sightings=2,
        grace=True,
    ),
    Check(
        id="svc.flapping",
        title="no service is started again and again",
        severity="warn",
        action="restart_service",
        owner="node",
        judges="Warn when systemd has started one of the services that matter again 3 times or more within 10 minutes.",
        remedy="Read why it ends: `journalctl -b -n 100 -u UNIT`.",
        source="NVSentinel: a service flaps with 3 restarts in 600 s",
        asks=(SHOWN_ASK,),
        judge=_flapping,
        applies=_has_systemd,
        counters=_restarts,
        thresholds=(Threshold("restarts", 3.0, "in 10 min", "NVSentinel's", least=1.0),),
        grace=True,
    ),
)

"""What systemd says of the units that matter, and of those that failed: one call for each."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from aiops.layers.l0_nodes.answer_reading import UnreadableError, said
from aiops.layers.l0_nodes.ask import Answer, Ask, Record

SHOWN, FAILED = "services.shown", "services.failed"

UNITS = (
    *("ssh.service", "sshd.service", "ssh.socket", "sshd.socket", "munge.service", "slurmd.service"),
    *("slurmctld.service", "slurmdbd.service", "chrony.service", "chronyd.service"),
    *("prometheus-node-exporter.service", "node_exporter.service", "node-exporter.service", "prometheus.service"),
    *("containerd.service", "docker.service", "docker.socket", "nvidia-fabricmanager.service"),
    *("nvidia-persistenced.service", "nvidia-dcgm.service", "nvidia-dcgm-exporter.service", "nfs-server.service"),
)
_PROPERTIES = (
    *("Id", "LoadState", "ActiveState", "SubState", "UnitFileState", "Result", "NRestarts"),
    *("ConditionResult", "ConditionTimestampMonotonic"),
)
SHOWN_ASK = Ask(SHOWN, ("systemctl", "show", f"--property={','.join(_PROPERTIES)}", "--", *UNITS))
FAILED_ASK = Ask(FAILED, ("systemctl", "list-units", "--failed", "--plain", "--full", "--no-pager"))

_NO_SYSTEMD = "not been booted with systemd"
_STATES = {
    *("active", "reloading", "refreshing", "inactive", "failed", "activating", "deactivating", "maintenance"),
}
_FAILED_FIELDS = 4


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit that is on the node.

    Attributes:
        active: `active`, `inactive`, `failed`, `activating`, ...; `detail` is finer: `auto-restart`.
        result: Why it ended: `success`, `exit-code`, `oom-kill`, ...
        restarts: How often systemd has started it again by itself; None where it does not count.
        skipped: Its own conditions kept it from starting, which is as it should be.
    """

    name: str
    active: str
    detail: str
    enabled: bool
    result: str = ""
    restarts: int | None = None
    skipped: bool = False

    @property
    def runs(self) -> bool:
        """Whether it is up, or on its way for the first time."""
        return self.active in {"active", "reloading", "refreshing"} or (
            self.active == "activating" and self.detail != "auto-restart"
        )


def has_systemd(record: Record) -> bool:
    """Whether there is one to ask; in a container there may be none."""
    answer = record.answer(SHOWN)
    return not (_is_missing(answer) or _NO_SYSTEMD in answer.stdout + answer.stderr)


def read_units(record: Record) -> Mapping[str, Unit]:
    """The units of `UNITS` that are on the node, by name; an alias counts as the unit it stands for.

    Raises:
        UnreadableError: systemd does not say.
    """
    blocks = [block for block in said(record.answer(SHOWN)).split("\n\n") if block.strip()]
    if len(blocks) != len(UNITS):
        raise UnreadableError(f"systemctl told of {len(blocks)} of {len(UNITS)} units")
    found = {}
    for block in blocks:
        values = dict(line.partition("=")[::2] for line in block.splitlines() if "=" in line)
        if not values.get("Id") or values.get("ActiveState") not in _STATES or not values.get("LoadState"):
            raise UnreadableError(f"systemctl says `{block.strip()[:80]}`")
        if values["LoadState"] == "loaded":
            found[values["Id"]] = _unit(values)
    return found


def read_failed(record: Record) -> tuple[str, ...]:
    """The names of all loaded units that failed.

    Raises:
        UnreadableError: systemd does not say, or not of all.
    """
    lines = [line.strip() for line in said(record.answer(FAILED)).splitlines()]
    counts = [int(found[1]) for line in lines if (found := re.match(r"(\d+) (?:loaded )?units? listed", line))]
    rows = [row for line in lines if len(row := line.lstrip("●* ").split()) >= _FAILED_FIELDS and row[2] == "failed"]
    if len(counts) != 1 or counts[0] != len(rows):
        raise UnreadableError(f"systemctl lists {len(rows)} of {counts[0] if counts else 'unknown'} failed units")
    return tuple(row[0] for row in rows if row[1] == "loaded")


def _unit(values: Mapping[str, str]) -> Unit:
    restarts = values.get("NRestarts", "")
    return Unit(
        values["Id"],
        values["ActiveState"],
        values.get("SubState", ""),
        values.get("UnitFileState", "") in {"enabled", "enabled-runtime"},
        values.get("Result", ""),
        int(restarts) if restarts.isascii() and restarts.isdigit() else None,
        values.get("ConditionResult") == "no" and values.get("ConditionTimestampMonotonic", "0") != "0",
    )


def _is_missing(answer: Answer) -> bool:
    return answer.missing.get("argv", "").endswith(": not found")

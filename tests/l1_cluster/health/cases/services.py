"""Services."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from tests.l1_cluster.health.case import AT, BOOT_ID, Case, gone, hung, said

from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l1_cluster.health.past import Past, Sample
from aiops.layers.l1_cluster.health.unit_reading import FAILED, SHOWN, UNITS

ABSENT = {"sshd.service", "ssh.socket", "sshd.socket", "slurmdbd.service", "node_exporter.service"} | {
    *("node-exporter.service", "prometheus.service", "nvidia-dcgm-exporter.service", "nfs-server.service")
}
"""Not on the healthy node of the cases: a Debian worker whose head is elsewhere, with a controller to be judged."""

RUNNING = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "SubState": "running",
    "UnitFileState": "enabled",
    "Result": "success",
    "NRestarts": "0",
    "ConditionResult": "yes",
    "ConditionTimestampMonotonic": "8331220",
}
GONE = {
    "LoadState": "not-found",
    "ActiveState": "inactive",
    "SubState": "dead",
    "UnitFileState": "",
    "Result": "success",
    "NRestarts": "0",
    "ConditionResult": "no",
    "ConditionTimestampMonotonic": "0",
}
DEAD = {"ActiveState": "inactive", "SubState": "dead"}
FAILURE = {"ActiveState": "failed", "SubState": "failed", "Result": "exit-code"}
LOOPING = {"ActiveState": "activating", "SubState": "auto-restart", "Result": "exit-code"}


def shown(different: Mapping[str, Mapping[str, str]] | None = None) -> Answer:
    """What systemd shows of all units, some with other values."""
    blocks = []
    for name in UNITS:
        values = {"Id": name, **(GONE if name in ABSENT else RUNNING)}
        if name == "chronyd.service":
            values["Id"] = "chrony.service"  # Debian's alias
        values |= (different or {}).get(values["Id"], {})
        blocks.append("".join(f"{key}={value}\n" for key, value in values.items()))
    return said(SHOWN, "\n".join(blocks))


def failed(*names: str, load: str = "loaded") -> Answer:
    """systemd's list of failed units."""
    lines = [f"{name} {load} failed failed Some service\n" for name in names]
    legend = (
        "\nLOAD   = Reflects whether the unit definition was properly loaded.\n"
        "ACTIVE = The high-level unit activation state, i.e. generalization of SUB.\n"
        "SUB    = The low-level unit activation state, values depend on unit type.\n"
    )
    head = "  UNIT LOAD ACTIVE SUB DESCRIPTION\n" if names else ""
    return said(FAILED, head + "".join(lines) + (legend if names else "") + f"{len(names)} loaded units listed.\n")


HEALTHY = {SHOWN: shown(), FAILED: failed()}


def _down(check: str, unit: str, severity: str, words: str) -> Case:
    return Case(
        f"{unit} is enabled and does not run",
        check,
        severity,  # type: ignore[arg-type]
        "restart_service",
        words=words,
        answers={SHOWN: shown({unit: DEAD})},
    )


CASES = (
    _down("svc.sshd", "ssh.service", "critical", "ssh.service is enabled and inactive: nobody gets in"),
    _down("svc.munge", "munge.service", "critical", "munge.service is enabled and inactive"),
    _down("svc.slurmd", "slurmd.service", "critical", "Slurm starts no job here"),
    _down("svc.slurmctld", "slurmctld.service", "critical", "Slurm starts no job anywhere"),
    _down("svc.chronyd", "chrony.service", "warn", "its clock drifts away"),
    _down("svc.node_exporter", "prometheus-node-exporter.service", "warn", "Prometheus sees nothing of it"),
    _down("svc.containerd", "containerd.service", "warn", "no container starts"),
    Case(
        "a service that its own condition keeps from starting",
        "svc.containerd",
        "ok",
        "none",
        answers={
            SHOWN: shown(
                {"containerd.service": {**DEAD, "ConditionResult": "no", "ConditionTimestampMonotonic": "8331220"}}
            )
        },
    ),
    Case(
        "a service that nobody has started yet",
        "svc.containerd",
        "warn",
        "restart_service",
        answers={
            SHOWN: shown({"containerd.service": {**DEAD, "ConditionResult": "no", "ConditionTimestampMonotonic": "0"}})
        },
    ),
    Case(
        "the docker engine failed, its socket still listens",
        "svc.docker",
        "warn",
        "restart_service",
        words="docker.service is enabled and failed (exit-code)",
        answers={SHOWN: shown({"docker.service": FAILURE})},
    ),
    Case(
        "munge failed, and is told once",
        "svc.munge",
        "critical",
        "restart_service",
        words="munge.service is enabled and failed (exit-code)",
        answers={SHOWN: shown({"munge.service": FAILURE}), FAILED: failed("munge.service")},
    ),
    Case(
        "slurmd comes and goes",
        "svc.slurmd",
        "critical",
        "restart_service",
        words="started again and again (exit-code)",
        answers={SHOWN: shown({"slurmd.service": LOOPING})},
    ),
    Case(
        "a site's own service failed",
        "svc.failed",
        "warn",
        "restart_service",
        about="site-agent.service",
        words="it failed",
        answers={FAILED: failed("site-agent.service", "apt-daily.service")},
    ),
    Case(
        "the network's service failed",
        "svc.failed",
        "critical",
        "restart_service",
        about="systemd-networkd.service",
        answers={FAILED: failed("systemd-networkd.service", "systemd-networkd-wait-online.service")},
    ),
    Case(
        "slurmd was started again and again and runs now",
        "svc.flapping",
        "warn",
        "restart_service",
        about="slurmd.service",
        words="started again 4 times in 10 min, limit 3 in 10 min",
        answers={SHOWN: shown({"slurmd.service": {"NRestarts": "9"}})},
        past=Past(
            {
                "svc.restarts slurmd.service": (
                    Sample(AT - timedelta(minutes=10), 5, BOOT_ID),
                    Sample(AT - timedelta(minutes=5), 7, BOOT_ID),
                )
            }
        ),
    ),
    Case(
        "systemd does not answer",
        "svc.munge",
        "unknown",
        "none",
        words="no answer within 5 s",
        answers={SHOWN: hung(SHOWN)},
        also=(
            *("svc.sshd", "svc.slurmd", "svc.slurmctld", "svc.chronyd", "svc.node_exporter", "svc.containerd"),
            *("svc.docker", "svc.failed", "svc.flapping"),
        ),
    ),
    Case(
        "no systemctl on a machine of its own",
        "svc.failed",
        "unknown",
        "none",
        words="systemctl: not found",
        answers={SHOWN: gone(SHOWN, "systemctl"), FAILED: gone(FAILED, "systemctl")},
        also=(
            *("svc.sshd", "svc.slurmd", "svc.slurmctld", "svc.chronyd", "svc.node_exporter", "svc.containerd"),
            *("svc.docker", "svc.munge", "svc.flapping"),
        ),
    ),
    Case(
        "systemd lists fewer failed units than it counts",
        "svc.failed",
        "unknown",
        "none",
        words="lists 0 of 3 failed units",
        answers={FAILED: replace(failed(), stdout="3 loaded units listed.\n")},
    ),
    Case(
        "the list of failed units is empty",
        "svc.failed",
        "unknown",
        "none",
        words="lists 0 of unknown failed units",
        answers={FAILED: replace(failed(), stdout="")},
    ),
)

"""Slurm's view of a node, its controller, and munge."""

from collections.abc import Callable
from dataclasses import replace

from tests.l1_cluster.health.case import Case, hung, said

from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l0_nodes.facts import Facts
from aiops.plugins.slurm.view import MUNGE, NODE, PARTITIONS, PING

WIDTHS = (120, 16, 20, 400, 240)
GOOD_CREDENTIAL = """STATUS:          Success (0)
ENCODE_HOST:     gpu01 (10.0.0.11)
ENCODE_TIME:     2026-11-21 19:30:04 +0000 (1795289404)
DECODE_TIME:     2026-11-21 19:30:04 +0000 (1795289404)
TTL:             300
CIPHER:          aes128 (4)
MAC:             sha256 (5)
ZIP:             none (0)
UID:             root (0)
GID:             root (0)
LENGTH:          0

"""


def row(
    state: str = "idle", cpus: int = 192, memory: int = 2_047_000, gres: str = "gpu:h100:8(S:0-1)", reason: str = "none"
) -> str:
    """A line of sinfo."""
    values = (state, str(cpus), str(memory), gres, reason)
    return "".join(value.ljust(width)[:width] for value, width in zip(values, WIDTHS, strict=True))


def node(shown: str, slurmd: str = "(null)", slurmctld: str = "(null)") -> Answer:
    """What the worker is told of itself, and how Slurm is set."""
    settings = f"SlurmctldParameters     = {slurmctld}\nSlurmdParameters        = {slurmd}\n"
    return said(NODE, f"{shown}\n{settings}" if shown else settings)


def failed(name: str, words: str, status: int = 1) -> Answer:
    """The answer of a command that tells why it failed."""
    return Answer(name, status, stderr=words)


HEALTHY = {
    NODE: node(row()),
    PING: said(PING, "Slurmctld(primary) at head is UP\n"),
    MUNGE: said(MUNGE, GOOD_CREDENTIAL),
    PARTITIONS: Answer(PARTITIONS, missing={"/proc/driver/nvidia/capabilities/gpu*/mig/gi*/access": "nothing matches"}),
}
_RESTORE = f"{'*' * 41}\n** RESTORE SLURMCTLD DAEMON TO SERVICE **\n{'*' * 41}\n"
_SOCKET = '"/run/munge/munge.socket.2": No such file or directory (Did you start munged?)'


def _more_devices(facts: Facts) -> Facts:
    devices = facts.accelerators or ()
    more = replace(devices[-1], index=8, uuid="GPU-00000000-0000-4000-8000-000000000008", bus="0000:20:00.0")
    bus = (facts.bus_accelerators or ())[0]
    return replace(
        facts,
        accelerators=(*devices, more),
        bus_accelerators=(replace(bus, count=9, buses=(*bus.buses, "0000:20:00.0")),),
    )


def _memory(mib: int) -> Callable[[Facts], Facts]:
    return lambda facts: replace(facts, memory_mib=mib)


CASES = (
    Case(
        "Slurm has given it up",
        "slurm.node_state",
        "critical",
        "restart_service",
        words="Slurm has it as DOWN+NOT_RESPONDING: Not responding",
        answers={NODE: node(row("down+not_responding", reason="Not responding"))},
    ),
    Case(
        "its slurmd does not answer Slurm",
        "slurm.node_state",
        "critical",
        "restart_service",
        words="Slurm has it as NOT_RESPONDING",
        answers={NODE: node(row("idle+not_responding"))},
    ),
    Case(
        "a node that we have drained does not answer Slurm",
        "slurm.node_state",
        "critical",
        "restart_service",
        words="NOT_RESPONDING: aiops: gpu.ecc",
        answers={NODE: node(row("idle+drain+not_responding", reason="aiops: gpu.ecc"))},
    ),
    Case(
        "somebody expects it to fail",
        "slurm.node_state",
        "critical",
        "restart_service",
        words="Slurm has it as FAIL: smoke",
        answers={NODE: node(row("idle+fail", reason="smoke"))},
    ),
    Case(
        "Slurm finds it invalid",
        "slurm.node_state",
        "critical",
        "restart_service",
        words="INVALID_REG: gres/gpu count reported lower than configured (7 < 8)",
        answers={
            NODE: node(row("idle+drain+invalid_reg", reason="gres/gpu count reported lower than configured (7 < 8)"))
        },
    ),
    Case(
        "Slurm has not heard of it yet",
        "slurm.node_state",
        "unknown",
        "none",
        words="has not heard of it",
        answers={NODE: node(row("unknown"))},
    ),
    Case(
        "a state that nobody knows",
        "slurm.node_state",
        "unknown",
        "none",
        words="not known here: LEVITATING",
        answers={NODE: node(row("levitating"))},
        also=("slurm.gres_match", "slurm.memory_cpus_match"),
    ),
    Case(
        "Slurm's controller does not answer the node",
        "slurm.node_state",
        "unknown",
        "none",
        words="Slurmctld(primary) at head is DOWN",
        answers={NODE: failed(NODE, f"Slurmctld(primary) at head is DOWN\n{_RESTORE}")},
        also=("slurm.gres_match", "slurm.memory_cpus_match"),
    ),
    Case(
        "sinfo hangs",
        "slurm.node_state",
        "unknown",
        "none",
        words="no answer within 5 s",
        answers={NODE: hung(NODE)},
        also=("slurm.gres_match", "slurm.memory_cpus_match"),
    ),
    Case(
        "Slurm counts on more devices than there are",
        "slurm.gres_match",
        "critical",
        "reboot",
        words="Slurm counts on 10 devices, there are 8",
        answers={NODE: node(row(gres="gpu:h100:8(S:0-1),gpu:a100:2(S:1),shard:64"))},
    ),
    Case(
        "Slurm counts on fewer devices than there are",
        "slurm.gres_match",
        "warn",
        "none",
        words="Slurm gives jobs 8 of its 9 devices",
        facts=_more_devices,
    ),
    Case(
        "Slurm says what no Gres is",
        "slurm.gres_match",
        "unknown",
        "none",
        words="Gres is",
        answers={NODE: node(row(gres="gpu:((("))},
    ),
    Case(
        "Slurm counts on more memory than there is",
        "slurm.memory_cpus_match",
        "critical",
        "service",
        about="memory",
        words="Slurm counts on 4128000 MiB, there are 2063937",
        answers={NODE: node(row(memory=4_128_000))},
    ),
    Case(
        "a new kernel leaves a little less memory",
        "slurm.memory_cpus_match",
        "critical",
        "none",
        about="memory",
        words="Slurm counts on 2063937 MiB, there are 2063925",
        facts=_memory(2_063_925),
        answers={NODE: node(row(memory=2_063_937))},
    ),
    Case(
        "Slurm counts on more processors than there are",
        "slurm.memory_cpus_match",
        "critical",
        "service",
        about="processors",
        words="Slurm counts on 384, there are 192",
        answers={NODE: node(row(cpus=384))},
    ),
    Case(
        "Slurm does not tell how it is set",
        "slurm.memory_cpus_match",
        "unknown",
        "none",
        words="does not tell its SlurmdParameters",
        answers={NODE: said(NODE, f"{row()}\n")},
    ),
    Case(
        "Slurm's only controller is down",
        "slurm.ctld",
        "critical",
        "restart_service",
        about="primary slurmctld at head",
        words="it does not answer",
        answers={PING: said(PING, f"Slurmctld(primary) at head is DOWN\n{_RESTORE}", 1)},
        groups=("head", "workers"),
    ),
    Case(
        "one of two controllers is down",
        "slurm.ctld",
        "warn",
        "restart_service",
        about="backup slurmctld at head2",
        words="another one does",
        answers={PING: said(PING, "Slurmctld(primary) at head is UP\nSlurmctld(backup) at head2 is DOWN\n")},
    ),
    Case(
        "scontrol says nonsense",
        "slurm.ctld",
        "unknown",
        "none",
        words="scontrol ping says `pong`",
        answers={PING: said(PING, "pong\n")},
    ),
    Case(
        "munged does not run",
        "munge.roundtrip",
        "critical",
        "restart_service",
        words=f"Failed to access {_SOCKET}",
        answers={
            MUNGE: failed(
                MUNGE, f"munge: Error: Failed to access {_SOCKET}\nunmunge: Error: No credential specified\n", 2
            )
        },
    ),
    Case(
        "a credential is refused",
        "munge.roundtrip",
        "critical",
        "restart_service",
        words="Rewound credential (16)",
        answers={
            MUNGE: said(MUNGE, GOOD_CREDENTIAL.replace("Success (0)", "Rewound credential (16)"), 16),
        },
    ),
    Case(
        "munge hangs", "munge.roundtrip", "unknown", "none", words="no answer within 5 s", answers={MUNGE: hung(MUNGE)}
    ),
    Case(
        "unmunge says nonsense",
        "munge.roundtrip",
        "unknown",
        "none",
        words="unmunge says `hello`",
        answers={MUNGE: said(MUNGE, "hello\n")},
    ),
)

"""A healthy node: what it is made of, and what happens to it as time goes by, drawn by a seed."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.l1_cluster.health.healthy_devices import Devices
from tests.l1_cluster.health.healthy_log import LINES, LOADED

RELEASES = (
    ("debian", "12", "bookworm", "Debian GNU/Linux 12 (bookworm)", "6.1.0-28-amd64"),
    ("debian", "13", "trixie", "Debian GNU/Linux 13 (trixie)", "6.12.12-amd64"),
    ("ubuntu", "22.04", "jammy", "Ubuntu 22.04.5 LTS", "5.15.0-130-generic"),
    ("ubuntu", "24.04", "noble", "Ubuntu 24.04.2 LTS", "6.8.0-57-generic"),
)
CPUS = (("AMD EPYC 9554", 2, 64, 2), ("Intel(R) Xeon(R) Platinum 8480+", 2, 56, 2), ("Kunpeng-920", 4, 48, 1))
"""Model, sockets, cores of each, threads of each."""

GIB = 1 << 20
"""KiB."""


@dataclass(frozen=True)
class Kind:
    """What the nodes of a group have in common.

    Attributes:
        rails: InfiniBand ports of 400 Gbit/s; `roce`: whether there is a RoCE port too.
        virtual: What it runs in: `none`, `kvm`, `systemd-nspawn`.
    """

    release: tuple[str, str, str, str, str]
    cpu: tuple[str, int, int, int]
    memory_kib: int
    rails: int
    roce: bool
    virtual: str
    bmc: bool
    drives: bool
    slurm: bool
    chrony: bool
    devices: Devices | None

    @classmethod
    def draw(cls, dice: random.Random, devices: Devices | None) -> "Kind":
        """One that may carry these devices."""
        virtual = dice.choice(("none", "none", "none", "kvm", "systemd-nspawn"))
        bare = virtual == "none"
        return cls(
            dice.choice(RELEASES),
            dice.choice(CPUS),
            dice.choice((64, 256, 1024, 2016)) * GIB - dice.randrange(1 << 16),
            dice.choice((0, 0, 1, 4, 8)) if bare else 0,
            bare and dice.random() < 0.4,
            virtual,
            bare and dice.random() < 0.7,
            bare and dice.random() < 0.7,
            dice.random() < 0.7,
            dice.random() < 0.8,
            devices,
        )

    @property
    def threads(self) -> int:
        """All of them."""
        return self.cpu[1] * self.cpu[2] * self.cpu[3]


@dataclass
class Host:
    """One node.

    Attributes:
        up: Seconds since it has booted.
        counters: Those that begin anew with each boot, and those that stay.
        log: What the kernel said since the boot: (level, seconds since the boot, text).
    """

    kind: Kind
    name: str
    address: str
    boot_id: str
    machine_id: str
    up: float
    corrected: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    log: list[tuple[int, float, str]] = field(default_factory=list)

    @classmethod
    def draw(cls, dice: random.Random, kind: Kind, name: str) -> "Host":
        """One of the kind, somewhere in its life."""
        host = cls(kind, name, f"10.0.0.{int(name.strip('n')) + 10}", "", f"{dice.getrandbits(128):032x}", 0.0)
        host.boot(dice, dice.choice((90.0, 700.0, 86_400.0 * dice.randint(1, 300))))
        host.corrected = dice.choice((0, 0, 3, 40))
        return host

    def boot(self, dice: random.Random, ago: float) -> None:
        """It has booted so many seconds ago."""
        digits = f"{dice.getrandbits(128):032x}"
        self.boot_id = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
        self.up = ago
        self.counters = {name: dice.choice((0, 0, 1, 7)) for name in _COUNTERS}
        self.log = [(6, 0.0, f"Linux version {self.kind.release[4]} (gcc 12.2.0) #1 SMP PREEMPT_DYNAMIC")]
        self.log += [(6, 2.0 + number / 8, text) for number, text in enumerate(dice.sample(LOADED, 6))]
        self.chatter(dice, min(ago, 86_400.0), dice.randint(0, 12))

    def chatter(self, dice: random.Random, seconds: float, lines: int) -> None:
        """Benign lines within the last so many seconds."""
        said_ = [(dice.choice((4, 5, 6)), self.up - dice.random() * seconds, dice.choice(LINES)) for _ in range(lines)]
        self.log = sorted([*self.log, *said_], key=lambda one: one[1])

    def step(self, dice: random.Random, seconds: float) -> None:
        """So many seconds go by; now and then it boots meanwhile."""
        if dice.random() < 0.08:
            self.boot(dice, dice.uniform(20.0, seconds - 10))
            return
        self.up += seconds
        for name, most in _COUNTERS.items():
            self.counters[name] += dice.randint(0, most)
        self.corrected += dice.random() < 0.1
        self.chatter(dice, seconds, dice.choice((0, 0, 1, 3)))


_COUNTERS: Mapping[str, int] = {
    "symbol_error": 1,
    "link_error_recovery": 0,
    "port_rcv_errors": 2,
    "port_xmit_discards": 100,
    "excessive_buffer_overrun_errors": 0,
    "local_ack_timeout_err": 3,
    "rnr_nak_retry_err": 5,
    "roce_slow_restart": 5,
    "out_of_sequence": 40,
    "rx_errors": 1,
}
"""What counters of healthy links may grow by in five minutes."""

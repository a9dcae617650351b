"""One simulated device: its identity and the values of its fields."""

import hashlib
import time

from .fields import FIELDS, REASONS, REMAPPED


class Device(object):
    """One simulated device."""

    def __init__(self, machine, index):
        self.machine = machine
        self.index = index
        self.own = machine.state["gpus"][index]
        seed = "%s/%s/%d" % (machine.machine_id, self.own.get("board", ""), index)
        self.digest = hashlib.sha256(seed.encode()).hexdigest()

    @property
    def lost(self):
        """Whether it has fallen off the bus."""
        return bool(self.own.get("lost"))

    @property
    def bus_id(self):
        """`0000:18:00.0` is told as `00000000:18:00.0`."""
        return "0000" + self.own["bus"].upper()

    @property
    def uuid(self):
        """Different on every host and device, the same at every call."""
        d = self.digest
        return "GPU-%s-%s-%s-%s-%s" % (d[:8], d[8:12], d[12:16], d[16:20], d[20:32])

    def is_called(self, word):
        """Whether `word` is its index, UUID, serial or bus id."""
        return word.lower() in (
            str(self.index),
            self.uuid.lower(),
            self.value("serial"),
            self.bus_id.lower(),
            self.own["bus"].lower(),
        )

    def value(self, field):
        """The value of a field, without its unit."""
        if field in self.own:
            own = self.own[field]
            cleared = self.machine.cleared(self.own).get(field)
            return own if cleared is None else own - cleared
        default = FIELDS[field][1] if field in FIELDS else REMAPPED[field]
        if isinstance(default, str) and default.startswith("="):
            return self.computed(default[1:])
        return default

    def computed(self, what):
        """A value that follows from others."""
        if what in FIELDS and what not in (
            "serial",
            "uuid",
            "timestamp",
            "driver_version",
            "count",
            "index",
            "persistence_mode",
        ):
            return self.value(what)
        if what.startswith("reason "):
            return "Active" if self.reasons & dict(REASONS)[what[7:]] else "Not Active"
        domain, bus, rest = self.own["bus"].split(":")
        answers = {
            "timestamp": lambda: time.strftime("%Y/%m/%d %H:%M:%S.000"),
            "driver_version": lambda: self.machine.reported,
            "count": lambda: len(self.machine.state["gpus"]),
            "serial": lambda: "165" + str(int(self.digest[32:44], 16))[:10].rjust(10, "0"),
            "uuid": lambda: self.uuid,
            "bus_id": lambda: self.bus_id,
            "pci_domain": lambda: "0x" + domain,
            "pci_bus": lambda: "0x" + bus.upper(),
            "pci_device": lambda: "0x" + rest.split(".")[0].upper(),
            "index": lambda: self.index,
            "module_id": lambda: self.index + 1,
            "persistence_mode": lambda: (
                "Enabled" if self.machine.runtime.get("persistence", {}).get(self.own["bus"]) else "Disabled"
            ),
            "reasons": lambda: "0x%016X" % self.reasons,
            "memory_free": lambda: (
                self.value("memory.total") - self.value("memory.reserved") - self.value("memory.used")
            ),
            "tlimit": lambda: max(0, 87 - self.value("temperature.gpu")),
        }
        return answers[what]()

    @property
    def reasons(self):
        """Why the clocks are what they are, as bits."""
        return self.own.get("reasons", 0x1)

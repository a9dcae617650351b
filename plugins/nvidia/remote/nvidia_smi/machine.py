"""The host: what the lab says of it, which driver is installed and which one is loaded."""

import json
import os
import stat
import subprocess

from .device import Device
from .ending import Finished
from .fields import numbers

RUNTIME = "/run/aiops-nvidia-simulated.json"
LIBRARY_PACKAGES = ("libnvidia-compute-", "nvidia-utils-")
KERNEL_PACKAGES = ("nvidia-kernel-common-", "nvidia-dkms-", "nvidia-kernel-dkms", "nvidia-driver-", "nvidia-utils-")
FAILED = (
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest "
    "NVIDIA driver is installed and running.\n\n"
)


def read_json(path):
    """The file's content, or an empty map."""
    try:
        with open(path, encoding="utf-8") as stream:
            return json.load(stream)
    except (OSError, ValueError):
        return {}


def upstream(version):
    """`1:580.95.05-0ubuntu1` is the driver 580.95.05."""
    return version.split(":")[-1].split("-")[0].split("+")[0]


def installed():
    """Driver versions of the installed library and kernel packages, as dpkg knows them, or None each."""
    try:
        done = subprocess.run(  # noqa: PLW1510 - a pattern that matches nothing is an exit status of 1
            ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package} ${Version}\n", "*nvidia*"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=20,
            universal_newlines=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None, None
    rows = [line.split() for line in done.stdout.splitlines()]
    packages = [(row[1], upstream(row[2])) for row in rows if row[0] == "installed"]

    def first(prefixes):
        for prefix in prefixes:
            versions = [version for name, version in packages if name.startswith(prefix)]
            if versions:
                return max(versions, key=numbers)
        return None

    return first(LIBRARY_PACKAGES), first(KERNEL_PACKAGES)


class Machine(object):
    """The host: what the lab says of it, what driver it has and which one is loaded."""

    def __init__(self, state, runtime, library, kernel, machine_id):
        self.state = state
        self.runtime = runtime
        self.machine_id = machine_id
        own = state.get("driver")
        self.library = library or own
        self.kernel = kernel or own

    @property
    def loaded(self):
        """The version of the loaded driver, or None."""
        return self.runtime.get("loaded")

    @property
    def reported(self):
        """The driver's version as it is told; a skewed host tells another (a shim of the lab's)."""
        return self.state.get("reported_driver") or self.loaded

    def load(self):
        """Load the installed driver, as the first use or the boot does; needs root."""
        if self.loaded or not self.kernel or os.geteuid() != 0:
            return
        self.runtime["loaded"] = self.kernel
        self.save()
        for path, numbers_ in sorted(self.state.get("devices", {}).items()):
            try:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(*numbers_))
                os.chmod(path, 0o666)  # noqa: S103 - as the driver makes them: everyone may use a GPU
            except OSError:
                pass

    def boot(self):
        """Load the driver as a booting host does; one that it came with brought its persistence daemon too."""
        self.load()
        if self.loaded and self.state.get("driver"):
            self.runtime["persistence"] = {gpu["bus"]: True for gpu in self.state.get("gpus", [])}
            self.save()

    def cleared(self, own):
        """What the last reset of a device has taken back of its counters, by field; it is over with the next boot.

        A counter that is smaller than it was then is of a fault that has gone since: then nothing is taken back.
        """
        found = self.runtime.get("resets", {}).get(own["bus"], {})
        return {} if any(own.get(field, 0) < value for field, value in found.items()) else found

    def note_reset(self, own):
        """Remember what a reset takes back: what is counted since the driver was loaded, and what waits for a reset."""
        fields = [field for field in own if ".volatile." in field or field == "remapped_rows.pending"]
        self.runtime.setdefault("resets", {})[own["bus"]] = {field: own[field] for field in fields}
        self.runtime.get("persistence", {}).pop(own["bus"], None)
        self.save()

    def save(self):
        """Write down what holds until the next boot."""
        with open(RUNTIME + ".new", "w", encoding="utf-8") as stream:
            json.dump(self.runtime, stream)
        os.rename(RUNTIME + ".new", RUNTIME)

    def require_driver(self):
        """End as the real tool does without a driver that fits its library."""
        if not self.loaded:
            raise Finished(9, FAILED)
        if self.library and self.library != self.loaded:
            short = ".".join(self.library.split(".")[:2])
            raise Finished(
                18, "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: %s\n" % short
            )

    def devices(self, wanted=None):
        """The devices asked for (index, UUID, serial or bus id; all by default)."""
        found = [Device(self, index) for index in range(len(self.state.get("gpus", [])))]
        if wanted is not None:
            chosen = []
            for word in wanted.split(","):
                matching = [device for device in found if device.is_called(word.strip())]
                if not matching:
                    raise Finished(6, "No devices were found\n")
                chosen.extend(matching)
            found = chosen
        if not found:
            raise Finished(6, "No devices were found\n")
        return found

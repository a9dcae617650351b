"""The short answers: the list of devices, their links, the table, persistence mode."""

import os
import time

from .ending import Finished
from .query import require_reachable


def listing(machine, options):
    """`-L`."""
    status = 0
    for device in machine.devices(options.get("id")):
        if device.lost:
            print(
                "Unable to determine the device handle for gpu %s: GPU is lost.  Reboot the system to recover "
                "this GPU" % device.bus_id
            )
            status = 15
        else:
            print("GPU %d: %s (UUID: %s)" % (device.index, device.value("name"), device.uuid))
    return status


def nvlink(machine, options):
    """`nvlink -s` and `nvlink -e`."""
    words = options["nvlink"]
    if not words or words[0] not in ("-s", "--status", "-e", "--errorcounters"):
        raise Finished(2, "ERROR: Option %s is not recognized. Please run 'nvidia-smi nvlink -h'.\n" % " ".join(words))
    wanted = words[words.index("-i") + 1] if "-i" in words[:-1] else None
    devices = machine.devices(wanted)
    require_reachable(devices)
    for device in devices:
        print("GPU %d: %s (UUID: %s)" % (device.index, device.value("name"), device.uuid))
        for number, link in enumerate(device.own.get("links", [])):
            if words[0] in ("-s", "--status"):
                print("\t Link %d: %s" % (number, "%s GB/s" % link["speed"] if link["up"] else "<inactive>"))
            elif link["up"]:
                print("\t Link %d: Replay Errors: %d" % (number, link.get("replay", 0)))
                print("\t Link %d: Recovery Errors: %d" % (number, link.get("recovery", 0)))
                print("\t Link %d: CRC Errors: %d" % (number, link.get("crc", 0)))


def topology(machine, _options):
    """`topo -m`."""
    devices = machine.devices()
    require_reachable(devices)
    print("\t" + "\t".join("GPU%d" % device.index for device in devices) + "\tCPU Affinity\tNUMA Affinity")
    for device in devices:
        up = sum(1 for link in device.own.get("links", []) if link["up"])
        cells = ["X" if other.index == device.index else "NV%d" % up if up else "NODE" for other in devices]
        print("GPU%d\t" % device.index + "\t".join(" %s " % cell for cell in cells) + "\t0\t0")


def persistence(machine, options):
    """`-pm`."""
    wanted = options["persistence-mode"]
    if wanted not in ("0", "1", "DISABLED", "ENABLED"):
        raise Finished(2, 'Invalid persistence mode "%s".\n' % wanted)
    if os.geteuid() != 0:
        raise Finished(
            4, "Unable to set persistence mode: Insufficient Permissions\nTerminating early due to previous errors.\n"
        )
    on = wanted in ("1", "ENABLED")
    for device in machine.devices(options.get("id")):
        modes = machine.runtime.setdefault("persistence", {})
        word = "Enabled" if on else "Disabled"
        already = "already " if bool(modes.get(device.own["bus"])) == on else ""
        print(
            "Persistence mode is already %s for GPU %s." % (word, device.bus_id)
            if already
            else "%s persistence mode for GPU %s." % (word, device.bus_id)
        )
        modes[device.own["bus"]] = on
    machine.save()
    print("All done.")


def table(machine, options):
    """What it says without options."""
    devices = machine.devices(options.get("id"))
    require_reachable(devices)
    line = "+" + "-" * 89 + "+"
    print(time.strftime("%a %b %e %H:%M:%S %Y"))
    print(line)
    versions = "NVIDIA-SMI %-19s Driver Version: %-14s CUDA Version: %s" % (
        machine.library or machine.loaded,
        machine.reported,
        machine.state.get("cuda", "N/A"),
    )
    print("| %-87s |" % versions)
    print("|" + "-" * 41 + "+" + "-" * 24 + "+" + "-" * 22 + "|")
    print("| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |")
    print("| Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. |")
    print("|                                         |                        |               MIG M. |")
    print("|" + "=" * 41 + "+" + "=" * 24 + "+" + "=" * 22 + "|")
    for device in devices:
        mode = "On" if device.value("persistence_mode") == "Enabled" else "Off"
        print(
            "| %3d  %-26s  %6s | %16s %5s | %20s |"
            % (
                device.index,
                device.value("name")[:26],
                mode,
                device.bus_id,
                "Off",
                device.value("ecc.errors.uncorrected.volatile.total"),
            )
        )
        print(
            "| N/A  %3dC    %-3s         %5dW / %4dW | %7dMiB / %6dMiB | %6d%%      Default |"
            % (
                device.value("temperature.gpu"),
                device.value("pstate"),
                device.value("power.draw"),
                device.value("power.limit"),
                device.value("memory.used"),
                device.value("memory.total"),
                device.value("utilization.gpu"),
            )
        )
        print(
            "|                                         |                        | %20s |"
            % device.value("mig.mode.current")
        )
        print("+" + "-" * 41 + "+" + "-" * 24 + "+" + "-" * 22 + "+")
    print("\n" + line)
    for text in ("Processes:", " GPU   GI   CI              PID   Type   Process name                      GPU Memory"):
        print("| %-87s |" % text)
    print("|" + "=" * 89 + "|")
    print("| %-87s |" % " No running processes found")
    print(line)

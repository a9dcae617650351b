"""`--gpu-reset`, and what the host's kernel log tells of it."""

import os
import stat
import time

from .ending import Finished

KERNEL_LOG = "/dev/kmsg"
PROCESSES = "/proc"
HOLDERS = ("nvidia-persiste", "nv-hostengine", "dcgm-exporter")
"""Names of processes, as far as the kernel keeps them, that have the devices open."""

REFUSED = 255


def held():
    """Whether a process of this host has the devices open."""
    for number in os.listdir(PROCESSES):
        try:
            with open("%s/%s/comm" % (PROCESSES, number), encoding="utf-8", errors="replace") as stream:
                if stream.read().strip() in HOLDERS:
                    return True
        except OSError:
            pass
    return False


def reset(machine, options):
    """Reset the devices asked for; all by default."""
    if os.geteuid() != 0:
        raise Finished(
            4, "Unable to reset this GPU: Insufficient Permissions\nTerminating early due to previous errors.\n"
        )
    devices = machine.devices(options.get("id"))
    reason = "In use by another client" if held() else None
    refused = [(one, "GPU is lost" if one.lost else reason) for one in devices if one.lost or reason]
    if refused:
        print("The following GPUs could not be reset:")
        for device, why in refused:
            print("  GPU %s: %s" % (device.bus_id, why))
        return REFUSED
    for device in devices:
        machine.note_reset(device.own)
        print("GPU %s was successfully reset." % device.bus_id)
    log(["aiops: GPU %s was reset (simulated)" % device.own["bus"] for device in devices])
    print("All done.")
    return 0


def log(lines):
    """Write lines into the kernel log of a lab host; never into a real kernel's.

    There the log is a file of records, and no kernel makes one of what aiops writes after a reset.
    """
    try:
        if not stat.S_ISREG(os.stat(KERNEL_LOG).st_mode):
            return
        with open(KERNEL_LOG, "r+", encoding="utf-8", errors="replace") as stream:
            sequence = stream.read().count("\n")
            now = time.monotonic() * 1e6
            stream.writelines("6,%d,%d,-;%s\n" % (sequence + offset, now, text) for offset, text in enumerate(lines))
    except OSError:
        pass

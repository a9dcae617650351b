"""hl-smi of a lab host, in the layouts of 1.23 (table) and 1.12 (log). Everything it says is simulated."""

import os
import time

PORTS = tuple(port for port in range(24) if port not in (8, 22, 23))  # those that lead to other devices
RAIL = 50  # the second supply rail's limit, in watts
VERSION = "hl-1.23.0-fw-62.2.1.1"
SPEED = {3: 8, 4: 16, 5: 32}
HELP = (
    "hl-smi, simulated by aiops lab\n\n"
    "hl-smi [-L | -q | -Q TYPES -f csv[,noheader][,nounits] | -n link -i BUS | -v | -h]\n"
)


def uuid(card):
    """`01P0-HL2080A0-15-TF8A81-09-07-06`."""
    return "%s-15-T%s-09-07-%02d" % (card["uuid"], card.identity("uuid", 5), card.index)


def serial(card):
    """`AM` and eight digits."""
    return "AM%08d" % (int(card.identity("serial", 10), 16) % 10**8)


def values(card):
    """What csv tells of a device: (value, unit) by field."""
    return {
        "timestamp": (time.strftime("%a %b %d %H:%M:%S UTC %Y", time.gmtime()), ""),
        "name": (card["name"], ""),
        "bus_id": (card["bus"], ""),
        "driver_version": (card.host.driver, ""),
        "temperature.aip": (card["temperature"], "C"),
        "module_id": (card.index, ""),
        "utilization.aip": (0, "%"),
        "memory.total": (card["memory"], "MiB"),
        "memory.free": (card["memory"] - card["used"], "MiB"),
        "memory.used": (card["used"], "MiB"),
        "index": (card.index, ""),
        "serial": (serial(card), ""),
        "uuid": (uuid(card), ""),
        "power.draw": (int(card["power"]) - 31, "W"),
        "ecc.errors.uncorrected.aggregate.total": (card["ecc"], ""),
        "ecc.errors.uncorrected.volatile.total": (0, ""),
        "ecc.errors.corrected.aggregate.total": (0, ""),
        "ecc.errors.corrected.volatile.total": (0, ""),
        "ecc.errors.dram.aggregate.total": (card["ecc"], ""),
        "ecc.mode.current": ("enabled", ""),
        "ecc.mode.pending": ("enabled", ""),
    }


def entry(depth, key, value):
    """One line of the log."""
    return "%s%-*s: %s" % ("        " * depth, 40 - 8 * depth, key, value)


def log(host):
    """`-L` and `-q`."""
    lines = [
        "",
        "================ HL-SMI LOG ================",
        "",
        entry(0, "Timestamp", time.strftime("%a %b %d %H:%M:%S UTC %Y", time.gmtime())),
        entry(0, "Driver Version", host.driver),
        entry(0, "HL-SMI Version", "%s (simulated by aiops lab)" % VERSION),
        "",
        entry(0, "Attached AIPs", len(host.cards)),
        "",
    ]
    for card in host.cards:
        lines += [*_device(card), ""]
    return 0, "\n".join(lines)


def _device(card):
    domain, bus, rest = card["bus"].split(":")
    identifier = "0x1da3%s" % card["device"][2:]
    slow = "Active" if card["throttled"] else "Not Active"
    heat = "%3d C" % card["temperature"]
    lines = ["[%d] AIP (accel%d) %s" % (card.index, card.index, card["bus"])]
    lines += [
        entry(1, key, value)
        for key, value in (
            ("Product Name", card["name"]),
            ("Model Number", "F08GL0AIG032A"),
            ("Serial Number", serial(card)),
            ("Module status", "Operational"),
            ("Module ID", card.index),
            ("AIP UUID", uuid(card)),
            ("AIP Status", "Production Level"),
            ("Firmware [SPI] Version", "Preboot version %s (Jan 16 2025 - 17:51:04)" % card["firmware"]),
        )
    ]
    lines.append("        PCI")
    lines += [
        entry(2, "Bus", "0x" + bus),
        entry(2, "Device", "0x" + rest.split(".")[0]),
        entry(2, "Domain", "0x" + domain),
        entry(2, "Device Id", identifier),
        entry(2, "Bus Id", card["bus"]),
        "                AIP Link Info",
    ]
    for title, value in (("Link Speed", "%dGT/s" % SPEED[card["generation"]]), ("Link Width", "x16")):
        lines += ["                        " + title, entry(4, "Max", value), entry(4, "Current", value)]
    lines += ["        Clocks Throttle Reasons", entry(2, "HW Slowdown", slow)]
    for title, value in (("Thermal Slowdown", slow), ("Power Slowdown", "Not Active")):
        lines += ["                        " + title, entry(4, "", value)]
    lines += ["        Memory Usage"]
    free = card["memory"] - card["used"]
    lines += [
        entry(2, key, "%d MB" % n) for key, n in (("Total", card["memory"]), ("Used", card["used"]), ("Free", free))
    ]
    lines += ["        Temperature", entry(2, "[ 1] On Chip 0", heat), entry(2, "[ 2] HBM 0 Temp", heat)]
    for title, draw, cap in (("54V", card["power"] - 31, card["cap"] - RAIL), ("12V", 31, RAIL)):
        lines.append("        Power Readings (%s PSU)" % title)
        lines += [entry(2, "Power Draw", "%d W" % draw), entry(2, "Power Limit", "%d W" % cap)]
    lines.append("        Replaced Rows")
    lines += [
        entry(2, "Single Bit ECC", 0),
        entry(2, "Double Bit ECC", 1 if card["ecc"] else 0),
        entry(2, "Pending", "Yes" if card["ecc"] else "No"),
    ]
    return lines


def table(host):
    """What a person types."""
    edge = "+-----------------------------------------------------------------------------+"
    rule = "|-------------------------------+----------------------+----------------------+"
    lines = [
        edge,
        "|%-77s|" % (" HL-SMI Version: %50s simulated" % VERSION),
        "|%-77s|" % (" Driver Version: %50s" % host.driver),
        "|%-77s|" % (" Nic Driver Version: %46s" % host.driver),
        rule,
        "| AIP  Name        Persistence-M| Bus-Id        Disp.A | Volatile Uncor-Events|",
        "| Fan  Temp  Perf  Pwr:Usage/Cap|         Memory-Usage | AIP-Util  Compute M. |",
        "|===============================+======================+======================|",
    ]
    for card in host.cards:
        lines.append("|%4d  %-20sN/A  | %s     N/A | %19d  |" % (card.index, card["name"], card["bus"], card["ecc"]))
        lines.append(
            "| N/A %4dC   P0 %4dW / %4dW  | %5dMiB / %6dMiB |     0%%            0%% |"
            % (card["temperature"], card["power"], card["cap"], card["used"], card["memory"])
        )
        lines.append(rule)
    lines += [
        "| Compute Processes:                                               AIP Memory |",
        "|  AIP       PID   Type   Process name                             Usage      |",
        "|=============================================================================|",
    ]
    empty = "|%4d        N/A   N/A    N/A                                      N/A        |"
    lines += [empty % card.index for card in host.cards]
    return 0, "\n".join(lines) + "\n+" + "=" * 77 + "+\n"


def version(_host):
    """`-v`."""
    return 0, "hl-smi version: %s (simulated)\n" % VERSION


def usage(_host):
    """`-h`."""
    return 0, HELP


def links(host, bus):
    """`-n link -i BUS`."""
    chosen = host.called(bus)
    if not chosen:
        return 1, "Error: no device at %s (simulated)\n" % bus
    return 0, "".join("port %2d:\tUP\n" % port for port in PORTS)


def logged():
    """Write a log as the original does, which ends where it may not; the reason, or nothing."""
    folder = os.environ.get("HABANA_LOGS", "")
    try:
        if folder:
            open(os.path.join(folder, "hl-smi.log"), "a", encoding="ascii").close()
    except OSError as error:
        return "hl-smi: cannot write its log: %s (simulated)\n" % error.strerror
    return ""


def answer(host, words):
    """The exit status and what is said."""
    known = {"": table, "-L": log, "-q": log, "-v": version, "-h": usage, "--help": usage}
    shape = " ".join(word for word in words if word.startswith("-"))
    refusal = logged()
    if refusal or (not host.cards and known.get(shape) is not usage):
        return 1, refusal or "hl-smi: no device was found (simulated)\n"
    if shape in known and words == shape.split():
        return known[shape](host)
    if shape == "-Q -f" and words[0] == "-Q" and words[2] == "-f":
        text = host.csv(values, words[1].split(","), words[3].split(","))
        return (0, text) if text else (1, "Error: invalid query or format (simulated)\n")
    if shape == "-n -i" and words[1] == "link":
        return links(host, words[3])
    return 2, "hl-smi: not understood: %s\n\n%s" % (" ".join(words), HELP)

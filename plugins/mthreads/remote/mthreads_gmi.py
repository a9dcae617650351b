"""The simulated `mthreads-gmi`: the table of version 2.4.1, and the document of `-q -j`."""

import json
import time

WIDTH = 69
HELP = "mthreads-gmi (simulated by aiops lab)\n\n  (none)   all devices\n  -q       more of them\n  -j       as JSON\n"


def uuid(card):
    """The device's own name, which does not change."""
    digits = card.identity("uuid", 32).lower()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def entry(card):
    """What the document says of a device; every value is text."""
    generation, place = str(card["generation"]), card["bus"]
    return {
        "Index": str(card.index),
        "Product Name": card["name"],
        "Product Brand": "MTT",
        "GPU UUID": uuid(card),
        "Serial Number": card.identity("serial", 15),
        "DeviceType": "Physical",
        "MPC Capable": "YES",
        "MTBios Version": card["firmware"],
        "PCI": {
            "Bus": "0x" + place[5:7].upper(),
            "Device": "0x" + place[8:10].upper(),
            "Bus ID": "0000" + place,
            "Vendor ID": "0x1ED5",
            "Device ID": card["device"].upper().replace("X", "x"),
            "GPU Link Info": {
                "PCIe Generation": {"Max": generation, "Current": generation},
                "Link Width": {"Max": "16x", "Current": "16x"},
            },
        },
        "FB Memory Usage": {
            "Total": "%dMiB" % card["memory"],
            "Used": "%dMiB" % card["used"],
            "Free": "%dMiB" % (card["memory"] - card["used"]),
        },
        "Utilization": {"Gpu": "0%", "Memory": "0%"},
        "Temperature": {"GPU Current Temp": "%dC" % card["temperature"]},
        "Power Readings": {
            "Power Draw ": "%.2fW" % card["power"],
            "Current Power Limit": "%.2fW" % card["cap"],
        },
        "Ecc Mode": {"Current": "N/A", "Pending": "N/A"},
        "Retired Pages": {
            "Single Bit ECC": "0",
            "Double Bit ECC": str(card["ecc"]),
            "Pending Page Blacklist": "YES" if card["ecc"] else "NO",
        },
        "Thermal Slowdown Stats": {"Count": "1" if card["throttled"] else "0"},
        "Performance State": "P0",
    }


def document(host):
    """The answer to `-q -j`."""
    return {
        "Timestamp": time.strftime("%a %b %d %H:%M:%S %Y"),
        "Driver Version": host.driver,
        "Attached GPUs": str(len(host.cards)),
        "GPU": [entry(card) for card in host.cards],
    }


def outline(tree, depth=0):
    """The answer to `-q`: the document with its keys in sections."""
    for key, value in tree.items():
        name = " " * 4 * depth + key.strip()
        if isinstance(value, dict):
            yield name
            for line in outline(value, depth + 1):
                yield line
        else:
            yield "%-50s:  %s" % (name, value)


def details(host):
    """The answer to `-q`."""
    lines = list(outline({key: value for key, value in document(host).items() if key != "GPU"}))
    for card in host.cards:
        lines += ["", "GPU%d 0000%s" % (card.index, card["bus"])]
        lines += outline(entry(card), 1)
    return "\n".join(lines) + "\n"


def table(host):
    """The answer to a bare call."""
    rule, thin = "-" * WIDTH, "+" + "-" * (WIDTH - 2) + "+"
    lines = [time.strftime("%a %b %d %H:%M:%S %Y"), rule]
    lines += ["    mthreads-gmi:2.4.1           Driver Version:%s (simulated)" % host.driver, rule]
    lines.append("ID   Name                 |PCIe                |%GPU  Mem")
    lines.append("     Device Type   Perf   |Pcie Lane Width     |Temp  MPC Capable")
    lines += ["                                               |      ECC Mode", thin]
    for card in host.cards:
        memory = "%dMiB(%dMiB)" % (card["used"], card["memory"])
        lines.append("%-5d%-21s|%-20s|%-6s%s" % (card.index, card["name"], "0000" + card["bus"], "0%", memory))
        lines.append("     Physical      P0     |16x(16x)            |%-6sYES" % ("%dC" % card["temperature"]))
        lines += [" " * 47 + "|      On-die, EDC", thin]
    lines += ["", rule, "Processes:", "ID   PID       Process name                               GPU Memory"]
    lines += [" " * 64 + "Usage", thin, "   No running processes found", rule]
    return "\n".join(lines) + "\n"


def answer(host, words):
    """The exit status and the text of a command line."""
    known = {"-q": "q", "--query": "q", "-j": "j", "--json": "j", "-h": "h", "--help": "h"}
    unknown = [word for word in words if word not in known]
    wanted = {known[word] for word in words if word in known}
    if unknown:
        return 1, "unrecognized option: %s\n%s" % (unknown[0], HELP)
    if "h" in wanted:
        return 0, HELP
    if "j" in wanted:
        return 0, json.dumps(document(host), indent=4) + "\n"
    return 0, details(host) if wanted else table(host)

"""ppu-smi of a lab host: the table as captured of 1.28, the rest as in the manual. Everything it says is simulated."""

import time

HELP = (
    "PPU-SMI, simulated by aiops lab\n\n"
    "ppu-smi [-q | -L | icn -s | --query-ppu=FIELDS --format=csv[,noheader][,nounits] | -h]\n"
)
LINKS = 7


def uuid(card):
    """`GPU-019ea108-c110-0828-0000-0000c07e1a46`."""
    d = card.identity("uuid", 24).lower()
    return "GPU-%s-%s-%s-0000-0000%s" % (d[:8], d[8:12], d[12:16], d[16:24])


def serial(card):
    """Thirteen digits, one number for two devices."""
    board = card.identity("board", 12)
    return "13%011d" % (int(board, 16) % 10**11)


def bus(card):
    """With a domain of eight digits."""
    return "0000" + card["bus"].upper()


def values(card):
    """What csv tells of a device: (value, unit) by field."""
    return {
        "timestamp": (time.strftime("%Y/%m/%d %H:%M:%S.000"), ""),
        "index": (card.index, ""),
        "count": (len(card.host.cards), ""),
        "name": (card["name"], ""),
        "serial": (serial(card), ""),
        "uuid": (uuid(card), ""),
        "pci.bus_id": (bus(card), ""),
        "driver_version": (card.host.driver, ""),
        "compute_mode": ("Default", ""),
        "memory.total": (card["memory"], "MiB"),
        "memory.used": (card["used"], "MiB"),
    }


def entry(depth, key, value):
    """One line of `-q`."""
    return "%s%-*s: %s" % ("    " * depth, 44 - 4 * depth, key, value)


def log(host):
    """`-q`."""
    lines = [
        "",
        "==============PPUSMI LOG==============",
        "",
        entry(0, "Timestamp", time.strftime("%a %b %d %H:%M:%S %Y")),
        entry(0, "Driver Version", host.driver),
        entry(0, "HGGC Version", "13.0"),
        entry(0, "SDK Version", "2.1.1 (simulated)"),
        "",
        entry(0, "Attached PPUs", len(host.cards)),
    ]
    for card in host.cards:
        lines += _device(card)
    return 0, "\n".join(lines) + "\n"


def _device(card):
    slow = "Active" if card["throttled"] else "Not Active"
    generation = card["generation"]
    heat = "%d C" % card["temperature"]
    lines = ["PPU %s" % bus(card)]
    lines += [
        entry(1, key, value)
        for key, value in (
            ("Product Name", card["name"]),
            ("Persistence Mode", "Enabled"),
            ("Serial Number", serial(card)),
            ("PPU UUID", uuid(card)),
            ("Minor Number", len(card.host.cards) - card.index),  # not the index, on purpose
            ("PPU Recovery Action", "None"),
            ("VBIOS Version", card["firmware"]),
        )
    ]
    sections = (
        (1, "MIG Mode", (("Current", "Disabled"), ("Pending", "Disabled"))),
        (1, "PCI", (("Device Id", "0x%s1DED" % card["device"][2:]), ("Bus Id", bus(card)))),
        (2, "PPU Link Info", ()),
        (3, "PCIe Generation", (("Max", generation), ("Current", generation))),
        (3, "Link Width", (("Max", "16x"), ("Current", "16x"))),
        (2, "", (("Replays Since Reset", 0),)),
        (1, "Clocks Throttle Reasons", (("Idle", "Not Active"), ("HW Slowdown", slow))),
        (2, "", (("HW Thermal Slowdown", slow), ("HW Power Brake Slowdown", "Not Active"))),
        (1, "Fabric", (("State", "N/A"), ("Status", "N/A"))),
        (1, "Memory Usage", _usage(card)),
        (1, "Utilization", (("Ppu", "0 %"), ("Memory", "0 %"))),
        (1, "Ecc Mode", (("Current", "Enabled"), ("Pending", "Enabled"))),
        (1, "ECC Errors", ()),
        (2, "Volatile", _errors(card)),
        (2, "Aggregate", _errors(card)),
        (1, "Retired Pages", (("Single Bit ECC", 0), ("Double Bit ECC", 0), ("Pending Page Blacklist", "No"))),
        (
            1,
            "Remapped Rows",
            (
                ("Correctable Error", 0),
                ("Uncorrectable Error", 1 if card["ecc"] else 0),
                ("Pending", "Yes" if card["ecc"] else "No"),
                ("Remapping Failure Occurred", "No"),
            ),
        ),
        (1, "Temperature", (("PPU Current Temp", heat), ("PPU Slowdown Temp", "92 C"), ("Memory Current Temp", heat))),
        (
            1,
            "Power Readings",
            (("Power Draw", "%.2f W" % card["power"]), ("Enforced Power Limit", "%.2f W" % card["cap"])),
        ),
    )
    for depth, title, values in sections:
        if title:
            lines.append("    " * depth + title)
        lines += [entry(depth + 1, key, value) for key, value in values]
    return [*lines, entry(1, "Processes", "None")]


def _usage(card):
    free = card["memory"] - card["used"]
    return tuple((key, "%d MiB" % n) for key, n in (("Total", card["memory"]), ("Used", card["used"]), ("Free", free)))


def _errors(card):
    return (
        ("SRAM Correctable", 0),
        ("SRAM Uncorrectable", 0),
        ("DRAM Correctable", 0),
        ("DRAM Uncorrectable", card["ecc"]),
    )


def table(host):
    """What a person types."""
    edge = "+" + "-" * 79 + "+"
    rule = "+---------------------------------+----------------------+----------------------+"
    head = "PPU-SMI 1.28 simulated  Driver Version: %-19s  HGGC Version: N/A" % host.driver
    lines = [
        time.strftime("%a %b %d %H:%M:%S %Y"),
        edge,
        "| %-78s|" % head,
        rule,
        "| PPU  Name        Persistence M. | Bus-Id               | Volatile Uncorr. ECC |",
        "| Fan  Temp  Perf   Pwr:Usage/Cap | Memory-Usage         | PPU-Util  Compute M. |",
        "|                                 |                      |               MIG M. |",
        "+=================================+======================+======================+",
    ]
    for card in host.cards:
        memory = "%dMiB / %dMiB" % (card["used"], card["memory"])
        power = "%dW / %dW" % (card["power"], card["cap"])
        lines += [
            "| %-32s| %-21s| %20d |" % ("%d  %s        N/A" % (card.index, card["name"]), bus(card), card["ecc"]),
            "| N/A %3dC   N/A%17s | %-21s|   0%%        Default  |" % (card["temperature"], power, memory),
            "|                                 |                      |             Disabled |",
            rule,
        ]
    lines += [
        "",
        edge,
        "| Processes:                                                                    |",
        "| PPU    GI   CI   PID      Type  Process name                       PPU Memory |",
        "|        ID   ID                                                     Usage      |",
        "+===============================================================================+",
        "| No running processes found                                                    |",
        edge,
    ]
    return 0, "\n".join(lines) + "\n"


def listing(host):
    """`-L`."""
    return 0, "".join(title(card) for card in host.cards)


def title(card):
    """`PPU 0: PPU (UUID: ...)`."""
    return "PPU %d: PPU (UUID: %s)\n" % (card.index, uuid(card))


def links(host):
    """`icn -s`: links 1 and 2 lead nowhere."""
    lines = []
    for card in host.cards:
        lines.append(title(card))
        lines += ["    Link %d: %s\n" % (n, "<inactive>" if n in (1, 2) else "50 GB/s") for n in range(LINKS)]
    return 0, "".join(lines)


def answer(host, words):
    """The exit status and what is said."""
    if words in (["-h"], ["--help"]):
        return 0, HELP
    if not host.cards:
        return 1, "init HGML error: driver is not loaded (simulated)\n"
    show = {(): table, ("-q",): log, ("-L",): listing, ("icn", "-s"): links}.get(tuple(words))
    if show:
        return show(host)
    options = dict(word.lstrip("-").partition("=")[::2] for word in words)
    if set(options) == {"query-ppu", "format"}:
        text = host.csv(values, options["query-ppu"].split(","), options["format"].split(","))
        return (0, text) if text else (2, "a field is not a valid field to query (simulated)\n")
    return 2, "ppu-smi: not understood: %s\n\n%s" % (" ".join(words), HELP)

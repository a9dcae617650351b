"""The simulated `mx-smi`: list, table and sections of version 2.3.1."""

import time

VERSION = "2.3.1"
SPEEDS = {3: "8 GT/s", 4: "16 GT/s", 5: "32 GT/s"}
THROTTLES = (
    "Idle",
    "Applications Limit",
    "Over Power",
    "Chip Over Temperature",
    "VR Over Temperature",
    "Hbm Over Temperature",
    "Thermal Over Temperature",
    "Pcc",
    "Power Brake",
    "Didt",
    "Low Usage",
    "Other",
)
HELP = (
    "mx-smi (simulated by aiops lab)\n\n  (none)   all devices\n  -L       their list\n  -i N     one of them\n"
    "  --show-usage --show-temperature --show-board-power --show-memory --show-version --show-sn\n"
    "  --show-pcie --show-ecc-state --show-clk-tr --count-ecc   sections of it\n"
)


def uuid(card):
    """The device's own name, which does not change."""
    digits = card.identity("uuid", 32).lower()
    return "GPU-" + "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def version(card):
    """Of the software that this device has."""
    return [("MACA", "3.7.1.5"), ("BIOS", card["firmware"]), ("KMD", card.host.driver)]


def serials(card):
    """What is printed on chip and board."""
    return [("Chip Serial", card.identity("chip", 16)), ("Board Serial", card.identity("board", 16))]


def memory(card):
    """In KB."""
    total, used = card["memory"] << 10, card["used"] << 10
    return [
        ("vis_vram total", "%d KB" % total),
        ("vis_vram used", "%d KB" % used),
        ("vis_vram usage", "%.2f %%" % (100.0 * used / total)),
    ]


def pcie(card):
    """The link to the host."""
    speed = SPEEDS[card["generation"]]
    return [("Current Speed", speed), ("Current Width", "x16"), ("Max Speed", speed), ("Max Width", "x16")]


def errors(card):
    """Memory errors since the boot."""
    counts = {"DRAM Uncorrectable": card["ecc"]}
    names = ("SRAM Correctable", "SRAM Uncorrectable", "DRAM Correctable", "DRAM Uncorrectable")
    return [(name, str(counts.get(name, 0))) for name in names]


def throttles(card):
    """Why clocks are lowered."""
    active = "Chip Over Temperature" if card["throttled"] else "Idle"
    return [(name, "Active" if name == active else "Not Active") for name in THROTTLES]


SECTIONS = (
    ("--show-version", "Version", version),
    ("--show-sn", "Serial Number", serials),
    ("--show-usage", "Utilization", lambda _: [("GPU", "0 %"), ("VPUE", "0 %"), ("VPUD", "0 %")]),
    (
        "--show-temperature",
        "Chip Temperature",
        lambda card: [("hotspot(sensor%d)" % card.index, "%.2f C" % (card["temperature"] + 2.5))],
    ),
    ("--show-temperature", "Board Temperature", lambda _: [("air-inlet", "28.75 C")]),
    (
        "--show-board-power",
        "Board Power",
        lambda card: [("Total", "%.3f W" % card["power"]), ("Limit", "%.3f W" % card["cap"])],
    ),
    ("--show-memory", "Memory", memory),
    ("--show-pcie", "Pcie Info", pcie),
    ("--show-ecc-state", "Ecc state", lambda _: [("state", "Enable")]),
    ("--count-ecc", "ECC Errors", errors),
    ("--count-ecc", "Retired Pages", lambda card: [("Double Bit ECC", str(card["ecc"]))]),
    ("--show-clk-tr", "Xcore Clocks Throttle Reason", throttles),
)
SWITCHES = {switch for switch, _, _ in SECTIONS}


def framed(cards, body):
    """A whole answer."""
    lines = ["mx-smi  version: %s (simulated)" % VERSION, ""]
    lines.append("=================== MetaX System Management Interface Log ===================")
    lines.append("%-50s: %s" % ("Timestamp", time.strftime("%a %b %d %H:%M:%S %Y")))
    lines += ["", "%-50s: %d" % ("Attached GPUs", len(cards))]
    return "\n".join(lines + body + ["", "End of Log"]) + "\n"


def name(card):
    """What lists and logs call it; the table says `MetaX C500`."""
    return "MX" + card["name"]


def listing(cards):
    """The answer to `-L`."""
    line = "GPU#%d    %s      %s   Available (UUID: %s)"
    return framed(cards, [line % (card.index, name(card), card["bus"], uuid(card)) for card in cards])


def sections(cards, wanted):
    """The answer to `--show-...`."""
    lines = []
    for card in cards:
        lines.append("GPU#%d  %s  %s" % (card.index, name(card), card["bus"]))
        for switch, title, pairs in SECTIONS:
            if switch in wanted:
                lines.append("    " + title)
                lines += ["        %-42s: %s" % pair for pair in pairs(card)]
        lines.append("")
    return framed(cards, lines)


def table(host, cards):
    """The answer to a bare call."""
    firmware = cards[0]["firmware"] if cards else "N/A"
    thin = "+------------------+-----------------+---------------------+----------------------+"
    lines = ["+" + "-" * 81 + "+"]
    lines.append("| %-79s |" % ("%-35sKernel Mode Driver Version: %s" % ("MX-SMI " + VERSION, host.driver)))
    lines.append("| %-79s |" % ("%-35sBIOS Version: %s" % ("MACA Version: 3.7.1.5", firmware)))
    lines.append("|------------------+-----------------+---------------------+----------------------|")
    lines.append("| Board       Name | GPU   Persist-M | Bus-id              | GPU-Util      sGPU-M |")
    lines.append("| Pwr:Usage/Cap    | Temp   Perf     | Memory-Usage        | GPU-State            |")
    lines.append("|==================+=================+=====================+======================|")
    for card in cards:
        power = "%.0fW / %.0fW" % (card["power"], card["cap"])
        usage = "%d/%d MiB" % (card["used"], card["memory"])
        row = (card.index, "MetaX " + card["name"], card.index, card["bus"])
        lines.append("| %d %14s | %d           Off | %-19s | 0%%          Disabled |" % row)
        lines.append(
            "| %-16s | %-12s P0 | %-19s | Available            |" % (power, "%dC" % card["temperature"], usage)
        )
        lines.append(thin)
    lines += ["", "+" + "-" * 81 + "+", "| %-79s |" % "Process:"]
    lines.append("| %-79s |" % " GPU                    PID            Process Name                 GPU Memory")
    lines += ["|" + "=" * 81 + "|", "|  %-78s |" % "no process found", "+" + "-" * 81 + "+"]
    return framed(cards, lines)


def answer(host, words):
    """The exit status and the text of a command line."""
    cards, rest, wanted = host.cards, list(words), set()
    while rest:
        word = rest.pop(0)
        if word in ("-h", "--help"):
            return 0, HELP
        if word in ("-i", "--device") and rest:
            cards = host.called(rest.pop(0))
        elif word in ("-L", "--list") or word in SWITCHES:
            wanted.add("-L" if word == "--list" else word)
        else:
            return 1, "PARSE ERROR: Argument: %s\n             Couldn't find match for argument\n\n%s" % (word, HELP)
    if not cards:
        return 1, "No MetaX device is found\n"
    if wanted & SWITCHES:
        return 0, sections(cards, wanted)
    return 0, listing(cards) if wanted else table(host, cards)

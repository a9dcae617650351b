"""xpu-smi of a lab host, in the layouts of the driver 5.0.21. Everything it says is simulated."""

import time

HELP = "XPU-SMI, simulated by aiops lab\n\nxpu-smi [-m | -q | -L | -h] [-i ID]\n"
RUNTIME = "5.0.21"
L3 = 96


def serial(card):
    """`02K15K` and ten more."""
    return "02K15K" + card.identity("serial", 10)


def uuid(card):
    """`GPU-420716f2-9928-5108-a5b2-e6b7cf36b37c`."""
    d = card.identity("uuid", 32).lower()
    return "GPU-%s-%s-%s-%s-%s" % (d[:8], d[8:12], d[12:16], d[16:20], d[20:])


def machine(cards):
    """`-m`: positions, of which ten are unknown counters."""
    lines = []
    for card in cards:
        parts = card["firmware"].split(".")
        firmware = "%s:%s:%s" % (".".join(parts[:2]), ".".join(parts[2:4]), ".".join(parts[4:]) + ".5.3")
        lines.append(
            '%s %d %d %s %d 0 0 0 %d %s 0 %d %d %d 0 %s "%s" %s'
            % (
                "0000" + card["bus"].upper(),
                card.index,
                card.index,
                serial(card),
                card["temperature"],
                card["power"],
                " ".join(["1450"] * 6),
                L3,
                card["used"],
                card["memory"],
                firmware,
                card["name"],
                " ".join(["0"] * 10),
            )
        )
    return "\n".join(lines) + "\n"


def entry(depth, key, value):
    """One line of `-q`."""
    return "%s%-*s: %s" % ("    " * depth, 42 - 4 * depth, key, value)


def query(cards):
    """`-q`."""
    lines = [
        "",
        "==============XPUSMI LOG==============",
        "",
        entry(0, "Timestamp", time.strftime("%a %b %d %H:%M:%S %Y")),
        entry(0, "Driver Version", cards[0].host.driver),
        entry(0, "XPU-RT Version", "10.2 (simulated)"),
        "",
        entry(0, "Attached XPUs", len(cards)),
    ]
    for card in cards:
        lines += _device(card)
    return "\n".join(lines) + "\n"


def _device(card):
    domain, bus, rest = card["bus"].split(":")
    device, function = rest.split(".")
    generation = card["generation"]
    parts = card["firmware"].split(".")
    identity = (
        ("Product Name", card["name"]),
        ("Product Brand", "KUNLUNXIN"),
        ("Product Architecture", "KL3"),
        ("Serial Number", serial(card)),
        ("XPU UUID", uuid(card)),
        ("Minor Number", card.index),
    )
    sections = (
        (1, "Firmware Version", (("PBL Version", ".".join(parts[:2])), ("ALL Version", card["firmware"]))),
        (
            1,
            "PCI",
            (
                ("Bus", "0x" + bus.upper()),
                ("Device", "0x" + device),
                ("Function", "0x" + function),
                ("Domain", "0x" + domain),
                ("Device Id", "0x%s2057" % card["device"][2:]),
                ("Bus Id", "0000" + card["bus"].upper()),
                ("Sub System Id", "0x00010001"),
            ),
        ),
        (2, "XPU Link Info", ()),
        (3, "PCIe Generation", (("Max", generation), ("Current", generation))),
        (3, "Link Width", (("Max", "16x"), ("Current", "16x"))),
        (1, "Memory Usage", _usage(card["memory"], card["used"])),
        (1, "L3 Usage", _usage(L3, 0)),
        (1, "Utilization", (("Xpu", "0 %"),)),
        (1, "Ecc Mode", (("Current", "Enabled"), ("Pending", "Enabled"))),
        (1, "ECC Errors", ()),
        (2, "Volatile", (("DRAM Correctable", 0), ("DRAM Uncorrectable", card["ecc"]))),
        (2, "Aggregate", (("DRAM Correctable", 0), ("DRAM Uncorrectable", card["ecc"]))),
        (1, "Temperature", (("XPU Current Temp", "%d C" % card["temperature"]),)),
        (
            1,
            "Power Readings",
            (("Enforced Power Limit", "%.2f W" % card["cap"]), ("Power Draw", "%.2f W" % card["power"])),
        ),
        (1, "Clocks", (("Cluster", "%d MHz" % (900 if card["throttled"] else 1450)), ("CDNN", "1450 MHz"))),
    )
    lines = ["XPU 0000%s" % card["bus"].upper()] + [entry(1, key, value) for key, value in identity]
    for depth, title, values in sections:
        lines.append("    " * depth + title)
        lines += [entry(depth + 1, key, value) for key, value in values]
    return [*lines, entry(1, "Processes", "None")]


def _usage(total, used):
    free = total - used
    return tuple((key, "%d MiB" % n) for key, n in (("Total", total), ("Reserved", 0), ("Used", used), ("Free", free)))


def table(cards):
    """What a person types."""
    rule = "+-------------------------------+----------------------+----------------------+"
    head = "XPU-SMI (simulated)   Driver Version: %-13sXPU-RT Version: %s" % (cards[0].host.driver, RUNTIME)
    lines = [
        time.strftime("%a %b %d %H:%M:%S %Y"),
        "+-----------------------------------------------------------------------------+",
        "| %-76s|" % head,
        "|-------------------------------+----------------------+----------------------+",
        "| XPU  Name        Persistence-M| Bus-Id        Disp.A | Volatile Uncorr. ECC |",
        "| Fan  Temp  Perf  Pwr:Usage/Cap|         Memory-Usage | XPU-Util  Compute M. |",
        "|                               |             L3-Usage |            SR-IOV M. |",
        "|===============================+======================+======================|",
    ]
    for card in cards:
        lines += [
            "|%4d  %-19sN/A   | %s N/A | %20d |"
            % (card.index, card["name"], "0000" + card["bus"].upper(), card["ecc"]),
            "| N/A %4dC  N/A   %4dW / %3dW | %6dMiB / %5dMiB |      0%%      Default |"
            % (card["temperature"], card["power"], card["cap"], card["used"], card["memory"]),
            "|                               | %6dMiB / %5dMiB |             Disabled |" % (0, L3),
            rule,
        ]
    lines += [
        "",
        "+-----------------------------------------------------------------------------+",
        "| Processes:                                                                  |",
        "|  No running processes found                                                 |",
        "+-----------------------------------------------------------------------------+",
    ]
    return "\n".join(lines) + "\n"


def listing(cards):
    """`-L`."""
    return "".join("XPU %d: %s  %s\n" % (card.index, card["name"], uuid(card)) for card in cards)


def answer(host, words):
    """The exit status and what is said."""
    if words in (["-h"], ["--help"]):
        return 0, HELP
    cards = host.cards
    words = [part for word in words for part in word.replace("--id=", "-i=").split("=")]
    if "-i" in words[:-1]:
        place = words.index("-i")
        cards = host.called(words[place + 1])
        words = words[:place] + words[place + 2 :]
    if not cards:
        return 6, "No devices were found (simulated)\n"
    show = {(): table, ("-m",): machine, ("-q",): query, ("-L",): listing}.get(tuple(words))
    return (0, show(cards)) if show else (2, "xpu-smi: not understood: %s\n\n%s" % (" ".join(words), HELP))

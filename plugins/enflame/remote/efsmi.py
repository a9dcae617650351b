"""efsmi of a lab host, in the layouts of driver 1.7 (table) and 1.4 (`-q`). Everything it says is simulated."""

import json

RULE = "-" * 79
BANNER = (
    RULE
    + "\n"
    + " Enflame System Management Interface ".center(79, "-")
    + "\n"
    + " simulated by aiops lab ".center(79, "-")
    + "\n"
    + RULE
    + "\n"
)
HELP = "Enflame System Management Interface (simulated by aiops lab)\n\nefsmi [-q [--json-format]] [-L] [-v] [-h]\n"
MEMORIES = 12


def sections(card):
    """What `-q` says of a device: (section, ((key, value), ...)). Numbers are (number, unit)."""
    domain, bus, rest = card["bus"].split(":")
    device, function = rest.split(".")
    speed = "Gen%d" % card["generation"]
    return (
        ("Driver Info", (("Ver", card.host.driver),)),
        (
            "Device Info",
            (
                ("Dev Name", card["name"]),
                ("Dev UUID", "TP" + card.identity("uuid", 10)),
                ("Dev SN", serial(card)),
                ("Dev PN", "EFB-0088000-00"),
                ("Dev MFD", "2025-1-6"),
                ("Health", "True"),
            ),
        ),
        (
            "PCIe Info",
            (
                ("Vendor ID", "1e36"),
                ("Device ID", card["device"][2:]),
                ("Domain", domain),
                ("Bus", bus),
                ("Dev", device),
                ("Func", function),
                ("Link Info", None),
                ("Max Link Speed", speed),
                ("Max Link Width", "X16"),
                ("Cur Link Speed", speed),
                ("Cur Link Width", "X16"),
                ("Tx Throughput", (0, "MiB/s")),
                ("Rx Throughput", (0, "MiB/s")),
            ),
        ),
        ("Clock Info", (("Mem CLK", (7000, "MHz")),)),
        (
            "Power Info",
            (
                ("Power Capa", (int(card["cap"]), "W")),
                ("Cur Power", (int(card["power"]), "W")),
                ("Dpm Level", "Sleep"),
            ),
        ),
        (
            "Device Mem Info",
            (
                ("Total Size", (card["memory"], "MiB")),
                ("Used Size", (card["used"], "MiB")),
                ("Free Size", (card["memory"] - card["used"], "MiB")),
            ),
        ),
        ("Temperature Info", (("GCU Temp", (card["temperature"], "\u2103")),)),
        ("Device Usage Info", (("GCU Usage", (0.0, "%")),)),
        ("ECC Mode", (("Current", "Enable"), ("Pending", "Enable"))),
        (
            "RMA Info",
            (
                ("Flags", "False"),
                ("Total DBE", card["ecc"]),
                *(("    MC%d DBE" % part, card["ecc"] if part == 0 else 0) for part in range(MEMORIES)),
            ),
        ),
        ("Power Cable", (("Status", "Normal"),)),
        ("VPU Info", (("Encoder Usage", (0, "%")), ("Decoder Usage", (0, "%")))),
    )


def serial(card):
    """`A0` and eleven digits."""
    return "A0%011d" % (int(card.identity("serial", 12), 16) % 10**11)


def query(host):
    """`-q`."""
    lines = []
    for card in host.cards:
        lines.append("DEV ID %d" % card.index)
        for title, values in sections(card):
            lines.append("    " + title)
            for key, value in values:
                if value is None:
                    lines.append("        " + key)
                    continue
                told = "%s %s" % value if isinstance(value, tuple) else value
                lines.append("        %-24s: %s" % (key, told))
    return BANNER + "\n" + "\n".join(lines) + "\n"


def query_json(host):
    """`-q --json-format`: the sections of the text form, numbers without units."""
    devices = []
    for card in host.cards:
        device = {"id": card.index}
        for title, values in sections(card):
            device[title] = {
                key.strip(): value[0] if isinstance(value, tuple) else value
                for key, value in values
                if value is not None
            }
        devices.append(device)
    return json.dumps({"devices": devices}, indent=4, ensure_ascii=False) + "\n"


def table(host):
    """What a person types."""
    rule = "+-----------------------------+-------------------+---------------------------+"
    head = "EFSMI: %-18sDriver Ver: %s" % (host.driver, host.driver)
    lines = [
        BANNER,
        "+" + "-" * 77 + "+",
        "| %-76s|" % head,
        rule,
        "| DEV    NAME                 | Boot FW VER       | BUS-ID      ECC           |",
        "| TEMP   Lpm   Pwr(Usage/Cap) | Mem      GCU Virt | DUsed       SN            |",
        "|=============================================================================|",
    ]
    for card in host.cards:
        name = "%-7dEnflame %s" % (card.index, card["name"])
        heat = "%-7sLP1   %6dW / %dW" % ("%d\u2103" % card["temperature"], card["power"], card["cap"])
        lines.append("| %-28s| %-18s| %-12s%-14s|" % (name, card["firmware"], card["bus"][2:], "Enable"))
        lines.append(
            "| %-28s| %-10s%-8s| %-12s%-14s|" % (heat, "%dMiB" % card["memory"], "Disable", "0%", serial(card))
        )
        lines.append(rule)
    return "\n".join(lines) + "\n"


def listing(host):
    """`-L`."""
    return "".join("GCU %d: %s (SN: %s)\n" % (card.index, card["name"], serial(card)) for card in host.cards)


def answer(host, words):
    """The exit status and what is said."""
    if "-h" in words or "--help" in words:
        return 0, HELP
    if not host.cards:
        return 1, "efsmi: no device was found (simulated)\n"
    if words == ["-v"]:
        return 0, "EFSMI: %s (simulated)\n" % host.driver
    known = {(): table, ("-q",): query, ("-q", "--json-format"): query_json, ("-L",): listing}
    show = known.get(tuple(words))
    return (0, show(host)) if show else (2, "efsmi: not understood: %s\n\n%s" % (" ".join(words), HELP))

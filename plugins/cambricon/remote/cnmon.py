"""The simulated `cnmon`: the table and the long text of version 5.10, and the document that it leaves in a file.

The document and the long text have the documented keys only.
"""

import json
import time

DOCUMENT = "cnmon_info.json"
WIDTH = 78
RULE = "+" + "-" * WIDTH + "+"
THICK = "|" + "=" * 31 + "+" + "=" * 22 + "+" + "=" * 23 + "|"
THIN = "+" + "-" * 31 + "+" + "-" * 22 + "+" + "-" * 23 + "+"
SPEEDS = {3: "8 GT/s", 4: "16 GT/s", 5: "32 GT/s"}
HELP = (
    "cnmon (simulated by aiops lab)\n\nUsage:\n"
    "  cnmon                 all cards\n  cnmon info [-c N] [-j]  more of them\n"
)


def uuid(card):
    """The card's own name, which does not change."""
    return "MLU-%s" % "-".join(card.identity("uuid", 32).lower()[start : start + 8] for start in range(0, 32, 8))


def place(card):
    """Domain, bus, device and function of a card, as text."""
    domain, bus, rest = card["bus"].split(":")
    device, function = rest.split(".")
    return domain, bus, device, function


def document(cards):
    """What `-j` leaves in its file."""
    shown = []
    for card in cards:
        domain, bus, device, function = place(card)
        shown.append(
            {
                "CardNum": card.index,
                "ProductName": card["name"],
                "UUID": uuid(card),
                "Utilization": {"MLUAverage": 0},
                "PhysicalMemUsage": {"Total": card["memory"], "Used": card["used"]},
                "Temperature": {"Chip": card["temperature"]},
                "PCI": {
                    "DomainID": domain,
                    "Bus": bus,
                    "Device": device,
                    "Function": function,
                    "CurrentSpeed": SPEEDS[card["generation"]],
                    "MaxSpeed": SPEEDS[card["generation"]],
                    "CurrentWidth": "x16",
                    "MaxWidth": "x16",
                },
            }
        )
    return {"CnmonInfo": shown}


def left(cards):
    """The answer to `-j`: a file in the working folder, and nothing on the screen."""
    try:
        with open(DOCUMENT, "w", encoding="utf-8") as stream:
            json.dump(document(cards), stream, indent=4)
    except OSError as error:
        return 1, "%s: %s\n" % (DOCUMENT, error.strerror)
    return 0, ""


def lines(depth, pairs):
    """`key : value` lines; a pair without a value is a title, and those in a list stand deeper below it."""
    for key, value in pairs:
        name = " " * 4 * depth + key
        if isinstance(value, list):
            yield "%-35s:" % name
            for line in lines(depth + 1, value):
                yield line
        else:
            yield "%-35s: %s" % (name, value)


def info(host, cards):
    """The long text."""
    text = ["=" * 16 + "CNMON v5.10.22" + "=" * 16]
    for card in cards:
        domain, bus, device, function = place(card)
        memory, used, speed = card["memory"], card["used"], SPEEDS[card["generation"]]
        text.append("Card %d" % card.index)
        pairs = [
            ("Product Name", card["name"]),
            ("UUID", uuid(card)),
            ("SN", card.identity("serial", 12)),
            ("Firmware", card["firmware"]),
            ("Driver", "v" + host.driver),
            # No output with a card that is not well is public: the word is the one in the vendor's own header file.
            ("Health State", [("Device", "In Problem" if card["ecc"] else "Good"), ("Driver", "Running")]),
            ("Utilization", [("MLU Average", "0 %")]),
            ("Temperature", [(what, "%d C" % card["temperature"]) for what in ("Board", "Chip", "Memory")]),
            ("Physical Memory Usage", [("Total", "%d MiB" % memory), ("Used", "%d MiB" % used)]),
            ("Power", [("Usage", "%g W" % card["power"]), ("Cap", "%g W" % card["cap"])]),
            ("DDR ECC Err Count", card["ecc"]),
            (
                "PCI",
                [
                    ("Domain ID", domain),
                    ("Bus num", bus),
                    ("Device", device),
                    ("Function", function),
                    ("Current Speed", speed),
                    ("Current Width", "x16"),
                    ("Max Speed", speed),
                    ("Max Width", "x16"),
                ],
            ),
            ("Processes", [("Process", "0")]),
        ]
        text.extend(lines(1, pairs))
        text.append("")
    return "\n".join(text) + "\n"


def boxed(words):
    """One line of the table that is a single cell."""
    return "| %-*s |" % (WIDTH - 2, words)


def table(host, cards):
    """The table of a bare `cnmon`."""
    left = "CNMON v5.10.22 (simulated)"
    text = [time.strftime("%a %b %d %H:%M:%S %Y"), RULE]
    text.append(boxed(left + ("Driver v%s" % host.driver).rjust(WIDTH - 2 - len(left))))
    text.append(THIN)
    text.append("| Card  VF  Name       Firmware |               Bus-Id | Util        Ecc-Error |")
    text.append("| Fan   Temp      Pwr:Usage/Cap |         Memory-Usage | Mode     Compute-Mode |")
    text.append(THICK)
    for card in cards:
        heat = " %3s %5s" % ("0%", "%dC" % card["temperature"])
        heat += ("%.0f W/ %.0f W" % (card["power"], card["cap"])).rjust(30 - len(heat)) + " "
        text.append(
            "| %-5d /   %-10s %8s |%21s | %-10s %10d |"
            % (card.index, card["name"], card["firmware"], card["bus"], "0%", card["ecc"])
        )
        memory = "%d MiB/ %d MiB" % (card["used"], card["memory"])
        text.append("|%s|%21s | %-10s %10s |" % (heat, memory, "FULL", "Default"))
        text.append(THIN)
    text += ["", RULE, boxed("Processes:"), boxed("  Card  VF  PID    Command Line              MLU Memory Usage")]
    text += ["|" + "=" * WIDTH + "|", boxed("  No running processes found"), RULE]
    return "\n".join(text) + "\n"


def answer(host, words):
    """The exit status and the text of a command line."""
    if words and words[0] in ("-h", "--help", "help"):
        return 0, HELP
    cards = host.cards
    if "-c" in words[:-1]:
        wanted = words[words.index("-c") + 1]
        cards = host.called(wanted)
        if not cards:
            return 1, "Card %s not existed\n" % wanted
    if not words or words[0] == "-c":
        return 0, table(host, cards)
    if words[0] != "info":
        return 1, "unknown option: %s\n%s" % (words[0], HELP)
    return left(cards) if "-j" in words else (0, info(host, cards))

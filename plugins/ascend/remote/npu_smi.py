"""npu-smi of a lab host, in the layout of 25.x. Everything it says is simulated."""

LINE = "+---------------------------+---------------+-----------------------------------------------------+"
END = LINE.replace("-", "=")
WIDE = "+" + "-" * (len(LINE) - 2) + "+"
HELP = "Usage: npu-smi info [-l | -m | -t TYPE -i CARD [-c CHIP]]\n\nnpu-smi (simulated by aiops lab)\n"
DOUBLE_BIT, TOO_HOT = "80E01801", "80E18005"  # of the form that the driver's codes have
WRONG = 255


def fields(pairs, width=30):
    """An answer: a label and a value on each line."""
    return "".join("\t%-*s : %s\n" % (width, label, value) for label, value in pairs)


def place(card):
    """`(card, chip)`: a product may have several chips on a card."""
    return divmod(card.index, card["chips"])


def verdict(card):
    """Health, its code and what the code means."""
    if card["ecc"]:
        return "Alarm", DOUBLE_BIT, "node type=HBM, sensor type=Memory, event state=Uncorrectable ECC"
    if card["throttled"]:
        return "Warning", TOO_HOT, "node type=Chip, sensor type=Temperature, event state=Upper Major"
    return "OK", "NA", "NA"


def table(host):
    """`info`: two rows for each chip, then the processes: there are none."""
    double = host.cards[0]["chips"] > 1
    lines = [
        WIDE,
        "| npu-smi %-24s Version: %-53s |" % (host.state["version"], host.driver),
        LINE,
        "| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page) |",
        "| %-25s | Bus-Id        | AICore(%%)   Memory-Usage(MB)  HBM-Usage(MB)         |"
        % ("Chip  Phy-ID" if double else "Chip"),
        END,
    ]
    for position, card in enumerate(host.cards):
        number, chip = place(card)
        power = "-" if chip else "%.1f" % card["power"]
        where = "%-5d %-20d" % (chip, card.index) if double else "%-26d" % chip
        state = (number, card["chip"], verdict(card)[0], power, card["temperature"])
        use = (where, card["bus"].upper(), card["used"], card["memory"])
        lines.append("| %-5d %-20s| %-13s | %-11s %-17d 0     / 0             |" % state)
        lines.append("| %s| %s  | 0           0    / 0          %-6d/ %-13d |" % use)
        last = position + 1 == len(host.cards) or place(host.cards[position + 1])[0] != number
        lines.append(END if last else WIDE)
    lines += [
        LINE,
        "| NPU     Chip              | Process id    | Process name             | Process memory(MB)       |",
        END,
    ]
    for number in sorted({place(card)[0] for card in host.cards}):
        none = "No running processes found in NPU %d" % number
        lines += ["| %-95s |" % none, END]
    return "\n".join(lines) + "\n"


def mapping(host):
    """`info -m`: the numbers of all chips, and of the cards' controllers."""
    double = host.cards[0]["chips"] > 1
    names = ["NPU ID", "Chip ID", "Chip Logic ID"] + (["Chip Phy-ID"] if double else []) + ["Chip Name"]
    lines = [" ".join("%-30s" % name for name in names)]
    for card in host.cards:
        number, chip = place(card)
        known = [card.index] * (len(names) - 3)
        lines.append(" ".join("%-30d" % one for one in [number, chip, *known]) + " Ascend " + card["chip"])
        if chip + 1 == card["chips"]:
            nothing = ["-"] * len(known)
            lines.append(" ".join("%-30s" % one for one in [number, chip + 1, *nothing]) + " Mcu")
    return "".join("\t%s\n" % line for line in lines)


def cards(host):
    """`info -l`."""
    numbers = sorted({place(card)[0] for card in host.cards})
    each = [(("NPU ID", number), ("Chip Count", host.cards[0]["chips"])) for number in numbers]
    return fields([("Total Count", len(numbers))]) + "".join("\n" + fields(one) for one in each)


def board(card):
    """`info -t board -i CARD`."""
    return fields(
        [
            ("NPU ID", place(card)[0]),
            ("Product Name", "IT21HMDC"),
            ("Model", "NA"),
            ("Manufacturer", "Huawei (simulated)"),
            ("Serial Number", "SIM" + card.identity("board %d" % place(card)[0], 12)),
            ("Software Version", card.host.driver),
            ("Firmware Version", card["firmware"]),
            ("Compatibility", "OK"),
            ("PCIe Bus Info", card["bus"].upper()),
            ("PCI Vendor ID", "0x19E5"),
            ("PCI Device ID", "0x" + card["device"][2:].upper()),
            ("Chip Count", card["chips"]),
        ]
    )


def health(card):
    """`info -t health -i CARD -c CHIP`."""
    word, code, meaning = verdict(card)
    return fields([("Health Status", word), ("Error Code", code), ("Error Information", meaning)])


def ecc(card):
    """`info -t ecc -i CARD -c CHIP`."""
    double = card["ecc"]
    pairs = [("NPU ID", place(card)[0])]
    for what, errors in (
        ("Error Count", double),
        ("Aggregate Total Err Cnt", double),
        ("Isolated Pages Count", 0),
        ("Next-Isolated Pages Count", double),
    ):
        pairs += [("HBM Single Bit " + what, 0), ("HBM Double Bit " + what, errors)]
    return fields(pairs, 40)


def hccs(card):
    """`info -t hccs -i CARD -c CHIP`."""

    def listed(value):
        return "[" + " ".join([str(value)] * card["links"]) + "]"

    shape = [("lane mode", 4), ("link lane list", "1111"), ("link speed", 224)]
    counts = [(name, 0) for name in ("tx packets", "tx bytes", "rx packets", "rx bytes", "retry count", "error count")]
    pairs = [("hccs health status", "OK")]
    return fields(pairs + [("hccs " + name, listed(value)) for name, value in shape + counts])


def common(card):
    """`info -t common -i CARD`."""
    return fields([("NPU ID", place(card)[0]), ("Temperature(C)", card["temperature"])])


SHOWN = {"board": board, "health": health, "ecc": ecc, "hccs": hccs, "common": common}


def behind(words, name, default):
    """What stands behind an option."""
    return (words[words.index(name) + 1 :] or [""])[0] if name in words else default


def detail(host, words):
    """`info -t TYPE -i CARD [-c CHIP]`: exit status and text."""
    kind = behind(words, "-t", "")
    wanted = (behind(words, "-i", ""), behind(words, "-c", "0"))
    found = [card for card in host.cards if tuple(str(one) for one in place(card)) == wanted]
    if kind not in SHOWN:
        return WRONG, "Error parameter of -t\n"
    if not found:
        return WRONG, "Error parameter of -i\n"
    if kind == "health" and "-c" not in words:  # the controller's of the card, whatever its chips say
        return 0, fields([("Health Status", "OK")])
    return 0, SHOWN[kind](found[0])


def answer(host, words):
    """Exit status and text of one call."""
    if words[:1] == ["-v"]:
        return 0, "npu-smi version: %s (simulated)\n" % host.state["version"]
    if words[:1] != ["info"]:
        return (0 if words[:1] in ([], ["-h"], ["--help"]) else WRONG), HELP
    if not host.cards:
        return WRONG, "There is no NPU card on this server.\n"
    if "-t" in words:
        return detail(host, words)
    return 0, mapping(host) if "-m" in words else cards(host) if "-l" in words else table(host)

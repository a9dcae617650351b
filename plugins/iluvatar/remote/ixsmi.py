"""The simulated `ixsmi`: table, XML and rows of CoreX 4.2."""

import time

LIBRARY = "4.2.0"
HELP = (
    "ixsmi (simulated by aiops lab)\n\n  (none)         all devices\n  -L             their list\n"
    "  -q -x          all of them, as XML\n  --query-gpu=F,F --format=csv[,noheader][,nounits]\n"
)


def uuid(card):
    """The device's own name, which does not change."""
    digits = card.identity("uuid", 32).lower()
    return "GPU-" + "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def serial(card):
    """As on the board."""
    return str(int(card.identity("serial", 12), 16)).rjust(14, "2")[:14]


def values(card):
    """Value and unit of every field."""
    return {
        "index": (card.index, ""),
        "name": (card["name"], ""),
        "uuid": (uuid(card), ""),
        "serial": (serial(card), ""),
        "vbios_version": (card["firmware"], ""),
        "driver_version": (card.host.driver, ""),
        "pci.bus_id": ("0000" + card["bus"].upper(), ""),
        "memory.total": (card["memory"], "MiB"),
        "memory.used": (card["used"], "MiB"),
        "memory.free": (card["memory"] - card["used"], "MiB"),
        "utilization.gpu": (0, "%"),
        "utilization.memory": (0, "%"),
        "temperature.gpu": (card["temperature"], "C"),
        "temperature.memory": ("N/A", ""),
        "gpu.power.draw": ("%.0f" % card["power"], "W"),
        "gpu.current.power.limit": (card["cap"], "W"),
        "ecc.mode.current": ("Enabled", ""),
        "pcie.link.gen.current": (card["generation"], ""),
        "pcie.link.gen.max": (card["generation"], ""),
        "pcie.link.width.current": (16, ""),
        "pcie.link.width.max": (16, ""),
    }


def rows(host, fields, form):
    """The answer to `--query-gpu`."""
    text = host.csv(values, fields, form)
    if text is None:
        wrong = [field for card in host.cards[:1] for field in fields if field not in values(card)]
        return 1, 'Field "%s" is not a valid field to query.\n' % "".join(wrong[:1])
    return 0, text


def tree(card):
    """What the XML says of a device: names with text, or with more of the same."""
    domain, bus, rest = card["bus"].upper().split(":")
    generation = str(card["generation"])
    return [
        ("product_name", card["name"]),
        ("serial", serial(card)),
        ("uuid", uuid(card)),
        ("minor_number", str(card.index)),
        (
            "pci",
            [
                ("pci_bus", bus),
                ("pci_device", rest.split(".")[0]),
                ("pci_domain", domain),
                ("pci_device_id", "00021E3E"),
                ("pci_bus_id", "0000" + card["bus"].upper()),
                (
                    "pci_gpu_link_info",
                    [
                        ("pcie_gen", [("max_link_gen", generation), ("current_link_gen", generation)]),
                        ("link_widths", [("max_link_width", "16x"), ("current_link_width", "16x")]),
                    ],
                ),
            ],
        ),
        ("fan_speed", "N/A"),
        (
            "memory_usage",
            [
                ("total", "%d MiB" % card["memory"]),
                ("used", "%d MiB" % card["used"]),
                ("free", "%d MiB" % (card["memory"] - card["used"])),
            ],
        ),
        ("utilization", [("gpu_util", "0 %"), ("memory_util", "0 %")]),
        ("ecc_mode", [("current_ecc", "Enabled"), ("pending_ecc", "N/A")]),
        ("ecc_errors", [("single_bit", "0"), ("double_bit", str(card["ecc"]))]),
        ("temperature", [("gpu_temp", "%d C" % card["temperature"])]),
        (
            "power_readings",
            [("gpu_power_draw", "%.0f W" % card["power"]), ("current_gpu_power_limit", "%d W" % card["cap"])],
        ),
        ("compute_mode", "Default"),
        ("performance_state", "P0"),
        ("processes", []),
    ]


def elements(pairs, depth):
    """Lines of XML."""
    indent = "\t" * depth
    for key, value in pairs:
        if isinstance(value, list):
            yield "%s<%s>" % (indent, key)
            for line in elements(value, depth + 1):
                yield line
            yield "%s</%s>" % (indent, key)
        else:
            yield "%s<%s>%s</%s>" % (indent, key, value, key)


def description(host):
    """The answer to `-q -x`."""
    lines = ['<?xml version="1.0" ?>', '<!DOCTYPE ixsmi_log SYSTEM "ixsmi_device.dtd">', "<ixsmi_log>"]
    lines += elements(
        [
            ("timestamp", time.strftime("%a %b %d %H:%M:%S %Y")),
            ("driver_version", host.driver),
            ("cuda_version", "10.2"),
            ("attached_gpus", str(len(host.cards))),
        ],
        1,
    )
    for card in host.cards:
        lines.append('\t<gpu id="0000%s">' % card["bus"].upper())
        lines += elements(tree(card), 2)
        lines.append("\t</gpu>")
    return "\n".join([*lines, "</ixsmi_log>"]) + "\n"


def table(host):
    """The answer to a bare call."""
    thin = "+-------------------------------+----------------------+----------------------+"
    rule = "+" + "-" * 77 + "+"
    lines = ["Timestamp    %s (simulated)" % time.strftime("%a %b %d %H:%M:%S %Y"), rule]
    lines.append("|  %-75s|" % ("IX-ML: %-12s Driver Version: %-11s CUDA Version: 10.2" % (LIBRARY, host.driver)))
    lines.append(thin.replace("+", "|", 1)[:-1] + "|")
    lines.append("| GPU  Name                     | Bus-Id               | Clock-SM  Clock-Mem  |")
    lines.append("| Fan  Temp  Perf  Pwr:Usage/Cap|      Memory-Usage    | GPU-Util  Compute M. |")
    lines.append("|===============================+======================+======================|")
    for card in host.cards:
        bus = "0000" + card["bus"].upper()
        power = "%.0fW / %dW" % (card["power"], card["cap"])
        memory = "%dMiB / %dMiB" % (card["used"], card["memory"])
        lines.append("| %-5d%-25s| %-21s| 500MHz    1600MHz    |" % (card.index, card["name"], bus))
        lines.append(
            "| N/A  %-6sP0    %-13s| %-21s| 0%%        Default    |" % ("%dC" % card["temperature"], power, memory)
        )
        lines.append(thin)
    lines += ["", rule, "| Processes:                                                       GPU Memory |"]
    lines.append("|  GPU        PID      Process name                                Usage(MiB) |")
    lines += ["|" + "=" * 77 + "|", "|  %-75s|" % "No running processes found", rule]
    return "\n".join(lines) + "\n"


def answer(host, words):
    """The exit status and the text of a command line."""
    switches = [word for word in words if "=" not in word]
    given = dict(word.lstrip("-").split("=", 1) for word in words if "=" in word)
    known = {"-q", "-x", "-L", "-h", "--help"}
    unknown = [word for word in switches if word not in known] + [
        key for key in given if key not in ("query-gpu", "format")
    ]
    if unknown:
        return 1, "Invalid combination of input arguments: %s\n%s" % (unknown[0], HELP)
    if "-h" in switches or "--help" in switches:
        return 0, HELP
    if "query-gpu" in given:
        return rows(host, given["query-gpu"].split(","), given.get("format", "csv").split(","))
    if "-L" in switches:
        return 0, "".join("GPU %d: %s (UUID: %s)\n" % (card.index, card["name"], uuid(card)) for card in host.cards)
    if "-q" in switches:
        return 0, description(host)
    return 0, table(host)

"""brsmi of a lab host: the table as captured of 1.11, csv as documented. Everything it says is simulated."""

import time

HELP = (
    "BR-SMI, simulated by aiops lab\n\n"
    "brsmi [gpu --query-gpu=FIELDS --format=csv[,noheader][,nounits] | gpu list | -h]\n"
)


def uuid(card):
    """`GPU-420716f2-9928-5108-a5b2-e6b7cf36b37c`."""
    d = card.identity("uuid", 32).lower()
    return "GPU-%s-%s-%s-%s-%s" % (d[:8], d[8:12], d[12:16], d[16:20], d[20:])


def bus(card):
    """With a domain of eight digits."""
    return "0000" + card["bus"].upper()


def values(card):
    """What csv tells of a device: (value, unit) by field."""
    return {
        "index": (card.index, ""),
        "name": (card["name"], ""),
        "uuid": (uuid(card), ""),
        "serial": ("BR" + card.identity("serial", 12), ""),
        "pci.bus_id": (bus(card), ""),
        "utilization.gpu": (0, "%"),
        "memory.used": (card["used"], "MiB"),
        "memory.free": (card["memory"] - card["used"], "MiB"),
        "memory.total": (card["memory"], "MiB"),
        "temperature.gpu": (card["temperature"], ""),
        "svi.mode.current": ("Disabled", ""),
    }


def table(host):
    """What a person types."""
    edge = "+" + "-" * 78 + "+"
    rule = "+----------------------------+-----------------------+-------------------------+"
    lines = [
        time.strftime("%a %b %d %H:%M:%S %Y"),
        edge,
        "| %-77s|" % ("BR-SMI 1.11.0 simulated   Driver Version: %-15s SUPA Version: 1.11" % host.driver),
        rule,
        "|   GPU                 Name |                Bus-Id |    Volatile Uncorr. ECC |",
        "|  Temp  Perf  Pwr:Usage/Cap |          Memory-Usage |    GPU-Util  Compute M. |",
        "|              Persistence-M |                       |                  SVI M. |",
        "+============================+=======================+=========================+",
    ]
    for card in host.cards:
        memory = "%dMiB / %dMiB" % (card["used"], card["memory"])
        power = "%dW / %dW" % (card["power"], card["cap"])
        lines += [
            "|%6d %20s |%22s |%24d |" % (card.index, card["name"], bus(card), card["ecc"]),
            "|%6d    P0 %14s |%22s |          0%%     Default |" % (card["temperature"], power, memory),
            "|                        Off |                       |                Disabled |",
            rule,
        ]
    lines += [
        edge,
        "| Processes:                                                                   |",
        "| GPU   SVI Dev        PID   Process Name                     GPU Memory Usage |",
        "+==============================================================================+",
        "|  No running process found.                                                   |",
        edge,
    ]
    return 0, "\n".join(lines) + "\n"


def answer(host, words):
    """The exit status and what is said."""
    if words in (["-h"], ["--help"]):
        return 0, HELP
    if not host.cards:
        return 1, "brsmi: no device was found (simulated)\n"
    if not words:
        return table(host)
    if words == ["gpu", "list"]:
        return 0, "".join("GPU %d: %s %s\n" % (card.index, card["name"], bus(card)) for card in host.cards)
    options = dict(word.lstrip("-").partition("=")[::2] for word in words[1:])
    if words[0] == "gpu" and set(options) == {"query-gpu", "format"}:
        text = host.csv(values, options["query-gpu"].split(","), options["format"].split(","))
        return (0, text) if text else (1, "ERROR_INVALID_ARGUMENT (simulated)\n")
    return 2, "brsmi: not understood: %s\n\n%s" % (" ".join(words), HELP)

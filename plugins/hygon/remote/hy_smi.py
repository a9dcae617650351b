"""hy-smi of a lab host, in the layout of DTK 25. Everything it says is simulated."""

import json

TITLE = "================================= System Management Interface =================================="
END = "======================================== End of SMI Log ========================================"
LINE = "=" * len(TITLE)
HELP = "usage: hy-smi [-h] [--show...] [--json]\n\nHYGON System Management Interface (simulated by aiops lab)\n"


def values(card):
    """What each option asks for, of one device."""
    return {
        "--showid": {"Device ID": card["device"]},
        "--showproductname": {
            "Card Series": card["name"],
            "Card Vendor": "Chengdu Haiguang IC Design Co., Ltd.",
        },
        "--showserial": {"Serial Number": "SIM" + card.identity("board", 12)},
        "--showuniqueid": {"Unique ID": card.identity("unique", 16).lower()},
        "--showbus": {"PCI Bus": card["bus"].upper()},
        "--showdriverversion": {"Driver version": card.host.driver},
        "--showvbios": {"VBIOS version": card["firmware"]},
        "--showmeminfo": {
            "vram Total Memory (MiB)": str(card["memory"]),
            "vram Total Used Memory (MiB)": str(card["used"]),
        },
        "--showuse": {"HCU use (%)": "0.0"},
        "--showtemp": {
            "Temperature (Sensor edge) (C)": "%.1f" % card["temperature"],
            "Temperature (Sensor junction) (C)": "%.1f" % (card["temperature"] + 2),
            "Temperature (Sensor mem) (C)": "%.1f" % (card["temperature"] + 3),
            "Temperature (Sensor core) (C)": "%.1f" % card["temperature"],
        },
        "--showpower": {"Average Graphics Package Power (W)": "%.1f" % card["power"]},
        "--showmaxpower": {"Max Graphics Package Power (W)": "%.1f" % card["cap"]},
    }


def table(host):
    """What it says without options."""
    lines = ["", TITLE, LINE, "HCU     Temp     AvgPwr     Perf     PwrCap     VRAM%      HCU%      Mode"]
    for card in host.cards:
        watts, cap = "%.1fW" % card["power"], "%.1fW" % card["cap"]
        row = (card.index, "%.1fC" % card["temperature"], watts, "auto", cap, "0%", "0.0%", "Normal")
        lines.append("%-7d %-8s %-10s %-8s %-10s %-10s %-9s %s" % row)
    return "\n".join([*lines, LINE, END]) + "\n"


def shown(host, wanted, form):
    """What the options ask for, as JSON or as lines."""
    told = {}
    for card in host.cards:
        own = told.setdefault("card%d" % card.index, {})
        for word in wanted:
            own.update(values(card)[word])
    if form == "--json":
        return json.dumps(told) + "\n"
    lines = ["HCU[%s]\t\t: %s: %s" % (name[4:], *pair) for name, own in told.items() for pair in own.items()]
    return "\n".join(["", TITLE, *lines, END]) + "\n"


def answer(host, words):
    """Exit status and text of one call."""
    if words[:1] in (["-h"], ["--help"]):
        return 0, HELP
    if words[:1] == ["--version"]:
        return 0, "Version 1.24.0 (simulated)\n"
    if not host.cards:
        return 1, "No DRM devices available. Exiting\n"
    wanted = [word for word in words if word not in ("--json", "vram")]
    strange = [word for word in wanted if word not in values(host.cards[0])]
    if strange:
        return 2, "usage: hy-smi [-h] ...\nhy-smi: error: unrecognized arguments: %s\n" % " ".join(strange)
    return 0, shown(host, wanted, "--json" if "--json" in words else "") if wanted else table(host)

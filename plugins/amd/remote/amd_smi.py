"""amd-smi of a lab host, in the layout of ROCm 7. Everything it says is simulated."""

import json

NA = "N/A"
TOOL, ROCM = "26.0.0", "7.0.0"
COMMANDS = ("static", "metric", "bad-pages", "xgmi", "process", "list", "version")
NO_PAGES = "No bad pages found."
THERMAL = ("prochot", "socket_thermal")
VIOLATIONS = (
    *THERMAL,
    "ppt",
    "vr_thermal",
    "hbm_thermal",
    "gfx_clk_below_host_limit_power",
    "gfx_clk_below_host_limit_thermal",
    "total_gfx_clk_below_host_limit",
    "low_utilization",
)
BLOCKS = ("UMC", "SDMA", "GFX", "MMHUB", "PCIE_BIF", "HDP", "XGMI_WAFL")
HELP = "usage: amd-smi [-h] {%s} ... [--json]\n\nAMD System Management Interface (simulated by aiops lab)\n"


def unit(value, name):
    """A value as the tool shows one."""
    return {"value": value, "unit": name}


def static(card):
    """One device in `amd-smi static`."""
    return {
        "gpu": card.index,
        "asic": {
            "market_name": card["name"],
            "vendor_id": "0x1002",
            "vendor_name": "Advanced Micro Devices Inc. [AMD/ATI]",
            "subvendor_id": "0x1002",
            "device_id": card["device"],
            "subsystem_id": card["device"],
            "rev_id": "0x00",
            "asic_serial": "0x" + card.identity("asic", 16),
            "oam_id": card.index,
            "num_compute_units": card["units"],
            "target_graphics_version": card["architecture"],
        },
        "bus": {
            "bdf": card["bus"],
            "max_pcie_width": 16,
            "max_pcie_speed": unit(32, "GT/s"),
            "pcie_interface_version": "Gen 5",
            "slot_type": "OAM",
        },
        "vbios": {
            "name": "AMD " + card["architecture"].upper(),
            "build_date": "2024/10/30 15:01",
            "part_number": "113-M3000100-103",
            "version": card["firmware"],
        },
        "limit": {
            "max_power": unit(int(card["cap"]), "W"),
            "min_power": unit(0, "W"),
            "socket_power": unit(int(card["cap"]), "W"),
            "slowdown_edge_temperature": NA,
            "slowdown_hotspot_temperature": unit(100, "C"),
            "slowdown_vram_temperature": unit(105, "C"),
            "shutdown_edge_temperature": NA,
            "shutdown_hotspot_temperature": unit(110, "C"),
            "shutdown_vram_temperature": unit(115, "C"),
        },
        "driver": {"name": "amdgpu", "version": card.host.driver},
        "board": {
            "model_number": "102-G30211-00",
            "product_serial": "SIM" + card.identity("board", 12),
            "fru_id": "113-AMDG302110002",
            "product_name": card["name"],
            "manufacturer_name": "AMD",
        },
        "ras": {
            "eeprom_version": "0x30000",
            "parity_schema": "DISABLED",
            "single_bit_schema": "DISABLED",
            "double_bit_schema": "DISABLED",
            "poison_schema": "ENABLED",
            "ecc_block_state": dict.fromkeys(BLOCKS, "ENABLED"),
        },
        "partition": {"accelerator_partition": "SPX", "memory_partition": "NPS1", "partition_id": 0},
        "process_isolation": "Disabled",
        "numa": {"node": card.index // 4, "affinity": NA},
        "vram": {
            "type": "HBM3",
            "vendor": NA,
            "size": unit(card["memory"], "MB"),
            "bit_width": unit(8192, "bit"),
        },
    }


def metric(card):
    """One device in `amd-smi metric`."""
    errors = card["ecc"]
    active = THERMAL if card["throttled"] else ("low_utilization",)
    throttle = {"accumulation_counter": 1000}
    for name in VIOLATIONS:
        throttle[name + "_accumulated"] = 0
        throttle[name + "_violation_status"] = "ACTIVE" if name in active else "NOT ACTIVE"
        throttle[name + "_violation_activity"] = unit(100 if name in active else 0, "%")
    blocks = {name: {"correctable_count": 0, "uncorrectable_count": 0, "deferred_count": 0} for name in BLOCKS}
    blocks["UMC"]["uncorrectable_count"] = errors
    return {
        "gpu": card.index,
        "usage": {"gfx_activity": unit(0, "%"), "umc_activity": unit(0, "%"), "mm_activity": NA},
        "power": {
            "socket_power": unit(int(card["power"]), "W"),
            "gfx_voltage": NA,
            "soc_voltage": NA,
            "mem_voltage": NA,
            "throttle_status": NA,
            "power_management": "ENABLED",
        },
        "clock": {
            "gfx_0": {
                "clk": unit(500 if card["throttled"] else 132, "MHz"),
                "min_clk": unit(500, "MHz"),
                "max_clk": unit(2100, "MHz"),
                "clk_locked": "DISABLED",
                "deep_sleep": "DISABLED",
            }
        },
        "temperature": {
            "edge": NA,
            "hotspot": unit(card["temperature"], "C"),
            "mem": unit(card["temperature"] - 4, "C"),
        },
        "pcie": {
            "width": 16,
            "speed": unit(32, "GT/s"),
            "bandwidth": unit(0, "Mb/s"),
            "replay_count": 0,
            "l0_to_recovery_count": 1,
            "replay_roll_over_count": 0,
            "nak_sent_count": 0,
            "nak_received_count": 0,
        },
        "ecc": {
            "total_correctable_count": 0,
            "total_uncorrectable_count": errors,
            "total_deferred_count": 0,
            "cache_correctable_count": 0,
            "cache_uncorrectable_count": 0,
        },
        "ecc_blocks": blocks,
        "perf_level": "AMDSMI_DEV_PERF_LEVEL_AUTO",
        "xgmi_err": NA,
        "mem_usage": {
            "total_vram": unit(card["memory"], "MB"),
            "used_vram": unit(card["used"], "MB"),
            "free_vram": unit(card["memory"] - card["used"], "MB"),
        },
        "throttle": throttle,
    }


def bad_pages(card):
    """One device in `amd-smi bad-pages`."""
    pages = [
        {"page_address": "0x%x" % (0x1F80000 + number), "page_size": "0x1000", "status": "PENDING"}
        for number in range(card["ecc"])
    ]
    return {"gpu": card.index, "retired": NO_PAGES, "pending": pages or NO_PAGES, "un_res": NO_PAGES}


def links(card):
    """One device in `amd-smi xgmi -l`."""
    every = card.host.state["cards"]
    states = ["X" if peer == card.index else "D" if own.get("lost") else "U" for peer, own in enumerate(every)]
    return {"gpu": card.index, "bdf": card["bus"], "link_status": states}


def process(card):
    """One device in `amd-smi process`."""
    return {"gpu": card.index, "process_list": [{"process_info": "No running processes detected"}]}


def listed(card):
    """One device in `amd-smi list`."""
    letters = card.identity("uuid", 24).lower()
    uuid = "%s-0000-1000-%s-%s" % (letters[:8], letters[8:12], letters[12:])
    return {"gpu": card.index, "bdf": card["bus"], "uuid": uuid, "kfd_id": 1000 + card.index, "node_id": 2 + card.index}


PARTS = {
    "static": ("gpu_data", static),
    "metric": ("gpu_data", metric),
    "bad-pages": (None, bad_pages),
    "xgmi": ("link_status", links),
    "process": (None, process),
    "list": (None, listed),
}


def table(host):
    """What it says without a command."""
    line = "+" + "-" * 78 + "+"
    versions = "AMD-SMI %s (simulated)      amdgpu version: %s" % (TOOL, host.driver)
    head = "| %-4s %-13s %-28s %-8s %-9s %-9s |"
    lines = [line, "| %-76s |" % versions, line, head % ("GPU", "BDF", "Name", "Temp", "Power", "Memory"), line]
    for card in host.cards:
        values = ("%d C" % card["temperature"], "%d W" % card["power"], "%d MB" % card["memory"])
        lines.append(head % (card.index, card["bus"], card["name"][:28], *values))
    return "\n".join([*lines, line]) + "\n"


def version(words):
    """`amd-smi version`."""
    told = {"tool": "AMDSMI Tool", "version": TOOL + " (simulated)", "rocm_version": ROCM}
    return json.dumps([told]) + "\n" if "--json" in words else "AMDSMI Tool: %(version)s\n" % told


def answer(host, words):
    """Exit status and text of one call."""
    command = words[0] if words else ""
    if command in ("-h", "--help"):
        return 0, HELP % ",".join(COMMANDS)
    if command and command not in COMMANDS:
        return 2, "AMD SMI: error: argument: invalid choice: '%s' (simulated)\n" % command
    if command == "version":
        return 0, version(words)
    if not host.cards:
        return 252, "ERROR:root:Unable to detect any GPU devices, check amdgpu version and module status\n"
    if not command:
        return 0, table(host)
    envelope, part = PARTS[command]
    rows = [part(card) for card in host.cards]
    text = json.dumps({envelope: rows} if envelope else rows, indent=4) + "\n"
    return 0, text if "--json" in words else "".join(letter for letter in text if letter not in '{}[]",')

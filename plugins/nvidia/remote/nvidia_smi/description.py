"""`-q`, as text and as XML."""

import time

from .fields import FIELDS, NOT_AVAILABLE, REASONS, RECOVERY_SINCE, RENAMED_AT, numbers
from .query import require_reachable, shown


def _escaped(text):
    """Text between two tags. The standard library's module for this takes longer to load than all the rest of us."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def tree(device):
    """One device as `-q -x` shows it: nested (tag, text or children)."""

    def of(field):
        return shown(device.value(field), FIELDS[field][0] if field in FIELDS else "", True).strip("[]")

    def celsius(field):
        return "%s C" % of(field)

    def ecc(span):
        base = "ecc.errors.%s." + span + ".%s"
        return [
            ("sram_correctable", of(base % ("corrected", "sram"))),
            ("sram_uncorrectable_parity", of(base % ("uncorrected", "sram"))),
            ("sram_uncorrectable_secded", "0"),
            ("dram_correctable", of(base % ("corrected", "dram"))),
            ("dram_uncorrectable", of(base % ("uncorrected", "dram"))),
        ]

    renamed = numbers(device.machine.reported) >= RENAMED_AT
    reason = "clocks_event_reason" if renamed else "clocks_throttle_reason"
    power = "gpu_power_readings" if renamed else "power_readings"
    flag = ("No", "Yes")
    rows = "remapped_rows."
    action = [("gpu_recovery_action", device.own.get("recovery_action", "None"))]
    recovery = action if numbers(device.machine.reported) >= RECOVERY_SINCE else []
    return [
        ("product_name", of("name")),
        ("product_brand", "NVIDIA"),
        ("product_architecture", device.own.get("architecture", "Hopper")),
        ("display_mode", of("display_mode")),
        ("display_active", of("display_active")),
        ("persistence_mode", of("persistence_mode")),
        ("addressing_mode", of("addressing_mode")),
        ("mig_mode", [("current_mig", of("mig.mode.current")), ("pending_mig", of("mig.mode.pending"))]),
        ("mig_devices", "None"),
        ("accounting_mode", of("accounting.mode")),
        ("serial", of("serial")),
        ("uuid", of("uuid")),
        ("minor_number", str(device.index)),
        ("vbios_version", of("vbios_version")),
        ("multigpu_board", "No"),
        ("board_part_number", device.own.get("part", "692-2G520-0200-000")),
        ("gpu_module_id", of("platform.module_id")),
        (
            "inforom_version",
            [
                ("img_version", of("inforom.img")),
                ("oem_object", of("inforom.oem")),
                ("ecc_object", of("inforom.ecc")),
                ("pwr_object", of("inforom.pwr")),
            ],
        ),
        *recovery,
        ("gsp_firmware_version", device.machine.reported),
        (
            "pci",
            [
                ("pci_bus", of("pci.bus")[2:]),
                ("pci_device", of("pci.device")[2:]),
                ("pci_domain", of("pci.domain")[2:]),
                ("pci_device_id", of("pci.device_id")[2:]),
                ("pci_bus_id", device.bus_id),
                ("pci_sub_system_id", of("pci.sub_device_id")[2:]),
                (
                    "pci_gpu_link_info",
                    [
                        (
                            "pcie_gen",
                            [
                                ("max_link_gen", of("pcie.link.gen.max")),
                                ("current_link_gen", of("pcie.link.gen.current")),
                            ],
                        ),
                        (
                            "link_widths",
                            [
                                ("max_link_width", of("pcie.link.width.max") + "x"),
                                ("current_link_width", of("pcie.link.width.current") + "x"),
                            ],
                        ),
                    ],
                ),
                ("replay_counter", str(device.own.get("pcie_replays", 0))),
                ("replay_rollover_counter", "0"),
            ],
        ),
        ("fan_speed", of("fan.speed")),
        ("performance_state", of("pstate")),
        (reason + "s", [(reason + "_" + name, of("clocks_event_reasons." + name)) for name, _ in REASONS]),
        (
            "fb_memory_usage",
            [
                ("total", of("memory.total")),
                ("reserved", of("memory.reserved")),
                ("used", of("memory.used")),
                ("free", of("memory.free")),
            ],
        ),
        ("compute_mode", of("compute_mode")),
        ("utilization", [("gpu_util", of("utilization.gpu")), ("memory_util", of("utilization.memory"))]),
        ("ecc_mode", [("current_ecc", of("ecc.mode.current")), ("pending_ecc", of("ecc.mode.pending"))]),
        ("ecc_errors", [("volatile", ecc("volatile")), ("aggregate", ecc("aggregate"))]),
        (
            "remapped_rows",
            [
                ("remapped_row_corr", str(device.value(rows + "correctable"))),
                ("remapped_row_unc", str(device.value(rows + "uncorrectable"))),
                ("remapped_row_pending", flag[bool(device.value(rows + "pending"))]),
                ("remapped_row_failure", flag[bool(device.value(rows + "failure"))]),
            ],
        ),
        (
            "temperature",
            [
                ("gpu_temp", celsius("temperature.gpu")),
                ("gpu_temp_tlimit", celsius("temperature.gpu.tlimit")),
                ("memory_temp", celsius("temperature.memory")),
            ],
        ),
        (
            power,
            [
                ("power_state", of("pstate")),
                ("power_draw", of("power.draw")),
                ("current_power_limit", of("power.limit")),
                ("default_power_limit", of("power.default_limit")),
                ("min_power_limit", of("power.min_limit")),
                ("max_power_limit", of("power.max_limit")),
            ],
        ),
        (
            "clocks",
            [
                ("graphics_clock", of("clocks.current.graphics")),
                ("sm_clock", of("clocks.current.sm")),
                ("mem_clock", of("clocks.current.memory")),
                ("video_clock", of("clocks.current.video")),
            ],
        ),
        (
            "max_clocks",
            [
                ("graphics_clock", of("clocks.max.graphics")),
                ("sm_clock", of("clocks.max.sm")),
                ("mem_clock", of("clocks.max.memory")),
            ],
        ),
        ("fabric", [("state", of("fabric.state")), ("status", of("fabric.status"))]),
        ("processes", ""),
    ]


def print_xml(children, depth):
    """Print as XML, one element a line."""
    for tag, content in children:
        if isinstance(content, list):
            print("\t" * depth + "<%s>" % tag)
            print_xml(content, depth + 1)
            print("\t" * depth + "</%s>" % tag)
        else:
            print("\t" * depth + "<%s>%s</%s>" % (tag, _escaped(str(content)), tag))


def print_text(children, depth):
    """Print as indented lines."""
    for tag, content in children:
        title = " " * 4 * depth + " ".join(word.capitalize() for word in tag.split("_"))
        if isinstance(content, list):
            print(title)
            print_text(content, depth + 1)
        else:
            print("%-43s : %s" % (title, content or "None"))


def description(machine, options):
    """`-q`, with `-x` as XML."""
    devices = machine.devices(options.get("id"))
    require_reachable(devices)
    head = [
        ("timestamp", time.strftime("%a %b %e %H:%M:%S %Y")),
        ("driver_version", machine.reported),
        ("cuda_version", machine.state.get("cuda", NOT_AVAILABLE)),
        ("attached_gpus", str(len(machine.state["gpus"]))),
    ]
    if "xml" not in options:
        print("\n==============NVSMI LOG==============\n")
        print_text(head, 0)
        for device in devices:
            print("\nGPU %s" % device.bus_id)
            print_text(tree(device), 1)
        return
    print('<?xml version="1.0" ?>\n<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">\n<nvidia_smi_log>')
    print_xml(head, 1)
    for device in devices:
        print('\t<gpu id="%s">' % device.bus_id)
        print_xml(tree(device), 2)
        print("\t</gpu>")
    print("</nvidia_smi_log>")

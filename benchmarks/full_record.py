"""A probe's answer made as large as that of a large node: what a lab host says, and what such a host lacks.

A lab host has eight simulated devices and answers all asks of a real one, but has few processors, no InfiniBand, a
short bus and an empty kernel log. Here it gets those of a node with 8 devices: 256 threads, 10 InfiniBand ports, 160
functions on its bus, and a kernel log that fills all that the probe takes of one.
"""

import json
from collections.abc import Mapping
from typing import Any

THREADS, CORES, SOCKETS = 256, 128, 2
PORTS = 10
FUNCTIONS = 160
KERNEL_LOG_BYTES = 262_144
NOW, NAME, DIGITS = "@now@", "@name@", "@digits@"
"""What differs between nodes and is put in by whoever sends the answer: its clock, its name, six digits of its ids."""

_PCI, _RDMA = "/sys/bus/pci/devices", "/sys/class/infiniband"
_QUIET_LINES = (
    "mlx5_core 0000:9c:00.0: Port module event: module 0, Cable plugged",
    "nvidia 0000:18:00.0: enabling device (0140 -> 0142)",
    "audit: type=1400 audit(1764350000.123:42): apparmor=STATUS operation=profile_load name=unconfined pid=812",
    "IPv6: ADDRCONF(NETDEV_CHANGE): bond0: link becomes ready",
    "systemd[1]: Started session-42.scope - Session 42 of User root.",
    "EXT4-fs (nvme0n1p2): mounted filesystem with ordered data mode. Quota mode: none.",
    "perf: interrupt took too long (2503 > 2500), lowering kernel.perf_event_max_sample_rate to 79750",
    "docker0: port 1(veth4f1c2d3) entered forwarding state",
)
_PORT = {"link_layer": "InfiniBand", "state": "4: ACTIVE", "phys_state": "5: LinkUp", "rate": "400 Gb/sec (4X NDR)"}
_COUNTERS = (
    *("counters/symbol_error", "counters/link_error_recovery", "counters/port_rcv_errors"),
    *("counters/port_xmit_discards", "counters/excessive_buffer_overrun_errors"),
    *("hw_counters/local_ack_timeout_err", "hw_counters/rnr_nak_retry_err"),
    *("hw_counters/roce_slow_restart", "hw_counters/out_of_sequence"),
)


def full_size(raw: bytes) -> bytes:
    """One line, as the probe prints it on a large node; `NOW`, `NAME` and `DIGITS` stand in it.

    Args:
        raw: What the probe printed on a lab host.
    """
    document = json.loads(raw)
    answers = {one["name"]: one for one in document["answers"]}
    uptime = float(answers["kernel.uptime"]["files"]["/proc/uptime"].split()[0])
    addresses = [f"0000:{0xA0 + number // 8:02x}:{number % 8 + 1:02x}.0" for number in range(FUNCTIONS)]
    for name, files in {
        "kernel.log": {"/dev/kmsg": _kernel_log(uptime)},
        "os.kernel": {"/proc/sys/kernel/hostname": NAME, "/proc/sys/kernel/random/boot_id": _identifier()},
        "os.machine": {"/etc/machine-id": _identifier().replace("-", "")},
        "health.cpu.set": {"/sys/devices/system/cpu/present": "0-255", "/sys/devices/system/cpu/online": "0-255"},
        "network.rdma": _of_ports({name: _PORT[name] for name in ("link_layer", "state", "rate")}),
        "health.rdma.ports": {**_of_ports({**_PORT, "counters/link_downed": "0"}), **_adapters()},
        "health.rdma.counters": _of_ports(dict.fromkeys(_COUNTERS, "0")),
        "health.rdma.devices": {
            f"/sys/class/infiniband_{kind}/{name}{number}/ibdev": f"mlx5_{number}"
            for number in range(PORTS)
            for kind, name in (("verbs", "uverbs"), ("mad", "umad"))
        },
        "bus": {
            f"{_PCI}/{address}/{name}": value
            for address in addresses
            for name, value in (("vendor", "0x8086"), ("class", "0x088000"))
        },
        "health.bus.links": {
            f"{_PCI}/{address}/{name}": "16"
            for address in addresses
            for name in ("current_link_width", "max_link_width", "../max_link_width")
        },
    }.items():
        answer = answers[name]
        answer["files"] |= {path: f"{content}\n" for path, content in files.items()}
        answer["missing"] = {path: why for path, why in answer["missing"].items() if why != "nothing matches"}
    nodes = ["rdma_cm", *(f"{kind}{number}" for kind in ("issm", "umad", "uverbs") for number in range(PORTS))]
    for name, lines in {
        "cpu.topology": [f"{cpu},{cpu % CORES},{cpu % CORES * SOCKETS // CORES}" for cpu in range(THREADS)],
        "health.rdma.devices": sorted(nodes),
        "health.time.tracking": [
            "C0A80001,192.168.0.1,3,1764350000.1,1e-5,1e-5,2e-5,1.0,0.0,0.01,1e-3,5e-4,64.2,Normal"
        ],
    }.items():
        text = "".join(f"{line}\n" for line in lines)
        answers[name] |= {"exit_status": 0, "stdout": text, "stderr": "", "missing": {}, "timed_out": False}
    document["clock"] = NOW
    return json.dumps(document).replace(f'"{NOW}"', NOW).encode() + b"\n"


def _identifier() -> str:
    return f"9a3c0b0e-1111-4222-8333-444455{DIGITS}"


def _of_ports(values: Mapping[str, str]) -> dict[str, str]:
    return {f"{_RDMA}/mlx5_{port}/ports/1/{name}": value for port in range(PORTS) for name, value in values.items()}


def _adapters() -> dict[str, Any]:
    values = {"node_guid": "0c42:a103:00{:02x}:0001", "device/vendor": "0x15b3"}
    return {f"{_RDMA}/mlx5_{port}/{name}": text.format(port) for port in range(PORTS) for name, text in values.items()}


def _kernel_log(uptime: float) -> str:
    """Records of a quiet kernel, over all the time since it has booted."""
    longest = max(len(line) for line in _QUIET_LINES) + 32
    count = KERNEL_LOG_BYTES // longest
    lines: list[str] = []
    size = 0
    while size < KERNEL_LOG_BYTES:
        number = len(lines)
        moment = int(uptime * 1e6 * min(number / (2 * count), 0.999))
        lines.append(f"6,{number},{moment},-;{_QUIET_LINES[number % len(_QUIET_LINES)]}\n")
        size += len(lines[-1])
    return "".join(lines[:-1])

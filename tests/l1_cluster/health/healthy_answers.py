"""What a healthy node without its accelerators answers at one moment."""

import random
import re
from collections.abc import Mapping
from dataclasses import replace

from tests.l1_cluster.health.case import gone, healthy_answers, read, said
from tests.l1_cluster.health.cases import filesystems, services, slurm
from tests.l1_cluster.health.healthy_host import GIB, Host
from tests.l1_cluster.health.healthy_network import NONE, bus, network

from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l1_cluster.health.mount_question import MOUNTS

_ABSENT = "No such file or directory"


def answers(host: Host, dice: random.Random) -> Mapping[str, Answer]:
    """What it answers now, each within a few milliseconds."""
    told = {**_kept(host, dice), **_system(host, dice), **network(host, dice), **bus(host), **_work(host, dice)}
    return {name: replace(one, name=name, seconds=dice.uniform(0.002, 0.02)) for name, one in told.items()}


def _kept(host: Host, dice: random.Random) -> dict[str, Answer]:
    """Answers of the healthy node of the cases that fit here, with other temperatures and fills."""
    kind, cases = host.kind, healthy_answers()
    names = [
        *("health.disk.kinds", "health.processes", "health.os.reboot", "packages.lock", "mounts.units"),
        *("services.shown", "services.failed", "munge.roundtrip", "slurm.ping", "slurm.partitions", "nvidia.peermem"),
        *("nvidia.fabricmanager.unit", "health.cpu.governor", "trait.board"),
    ]
    kept = {name: cases[name] for name in names}
    heat = dice.randint(20, 62)
    if kind.drives:
        kept |= {name: cases[name] for name in cases if name.startswith("drives.")}
        logs = kept["drives.nvme_logs"].stdout.replace('"temperature": 312', f'"temperature": {273 + heat}')
        logs = re.sub(r'("percent_used": )\d+', lambda found: f"{found[1]}{dice.randint(0, 60)}", logs)
        kept["drives.nvme_logs"] = said("drives.nvme_logs", logs)
        smart = kept["drives.smart"].stdout.replace(
            '"value": 40, "string": "40"', f'"value": {heat}, "string": "{heat}"'
        )
        kept["drives.smart"] = said("drives.smart", smart)
    else:
        kept |= {
            "drives.nvme": read("drives.nvme", {}, **{"/sys/class/nvme/nvme*/state": NONE}),
            "drives.mdstat": read("drives.mdstat", {}, **{"/proc/mdstat": _ABSENT}),
            "drives.nvme_logs": Answer("drives.nvme_logs", 127),
            "drives.smart": Answer("drives.smart", 127),
        }
        kept["drives.nvme"] = replace(kept["drives.nvme"], exit_status=0, stdout=".\n")
    if kind.bmc:
        kept |= {name: cases[name] for name in cases if name.startswith("bmc.")}
        sensors = kept["bmc.sensors"].stdout.replace("24 degrees", f"{dice.randint(17, 31)} degrees")
        sensors = sensors.replace("47 degrees", f"{dice.randint(35, 82)} degrees")
        kept["bmc.sensors"] = said("bmc.sensors", sensors.replace("5880", str(dice.randint(25, 160) * 120)))
    else:
        kept["bmc.device"] = read("bmc.device", {}, **{"/sys/class/ipmi/ipmi*/dev": NONE})
        kept["bmc.events"], kept["bmc.sensors"] = Answer("bmc.events", 127), gone("bmc.sensors", "ipmitool")
    if not kind.slurm:
        away = {"LoadState": "not-found", "UnitFileState": "", "ActiveState": "inactive", "SubState": "dead"}
        off = {f"{name}.service": away for name in ("munge", "slurmd", "slurmctld")}
        kept["services.shown"] = services.shown(off)
        kept |= {"munge.roundtrip": Answer("munge.roundtrip", 127), "slurm.ping": Answer("slurm.ping", 127)}
    return kept


def _system(host: Host, dice: random.Random) -> dict[str, Answer]:
    kind = host.kind
    id_, version, codename, pretty, kernel = kind.release
    model, _, cores, threads = kind.cpu
    release = f'PRETTY_NAME="{pretty}"\nID={id_}\nVERSION_ID="{version}"\nVERSION_CODENAME={codename}\n'
    count, places = kind.threads, range(kind.threads)
    topology = "".join(f"{one},{one // threads},{one // threads // cores}\n" for one in places)
    free = int(kind.memory_kib * dice.uniform(0.12, 0.95))
    start = 0 if kind.virtual != "systemd-nspawn" else 5_000
    stat = f"1 (systemd) S 0 1 1 0 -1 4194560 52 91 4 0 1 2 0 0 20 0 1 0 {start} 170000000 3 18446744073709551615\n"
    log = "".join(f"{level},{n},{int(max(0.0, s) * 1e6)},-;{text}\n" for n, (level, s, text) in enumerate(host.log))
    disk = 440 * GIB
    used = dice.uniform(0.05, 0.75)
    df = "Filesystem 1024-blocks Used Available Capacity Mounted on\n" + "".join(
        f"/dev/nvme0n1p2 {disk} {int(disk * used)} {int(disk * (1 - used) * 0.95)} {used:.0%} {path}\n"
        for path in ("/", "/var")
    )
    cpu = "/sys/devices/system/cpu"
    edac = healthy_answers()["health.memory.edac"].files
    has_edac = kind.virtual == "none" and kind.cpu[0] != "Kunpeng-920"
    edac = {path: re.sub("12", str(host.corrected), text) for path, text in edac.items()} if has_edac else {}
    proc = "/proc/sys/kernel"
    return {
        "os.release": read("", {"/etc/os-release": release}),
        "os.kernel": replace(
            read(
                "",
                {
                    f"{proc}/hostname": f"{host.name}\n",
                    f"{proc}/osrelease": f"{kernel}\n",
                    f"{proc}/random/boot_id": f"{host.boot_id}\n",
                },
            ),
            exit_status=0,
            stdout=f"{kernel} {'aarch64' if model.startswith('Kun') else 'x86_64'}\n",
        ),
        "os.machine": read("", {"/etc/machine-id": f"{host.machine_id}\n"}),
        "os.virtualization": said("", f"{kind.virtual}\n", int(kind.virtual == "none")),
        "os.mounts": read("", {"/proc/self/mounts": "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n"}),
        "os.hosts": read("", {"/etc/hosts": f"127.0.0.1 localhost\n{host.address} {host.name}\n"}),
        "os.simulated": read("", {}, **{"/etc/aiops-lab.json": _ABSENT}),
        "cpu.topology": said("", f"# CPU,CORE,SOCKET\n{topology}"),
        "cpu.model": read("", {"/proc/cpuinfo": f"processor\t: 0\nmodel name\t: {model}\nmicrocode\t: 0xa101144\n"}),
        "trait.cpu": read("", {"/proc/cpuinfo": f"processor\t: 0\nmodel name\t: {model}\nmicrocode\t: 0xa101144\n"}),
        "health.cpu.set": read(
            "",
            {f"{cpu}/present": f"0-{count - 1}\n", f"{cpu}/online": f"0-{count - 1}\n", f"{cpu}/smt/control": "on\n"},
        ),
        "memory": read(
            "",
            {
                "/proc/meminfo": f"MemTotal: {kind.memory_kib} kB\nMemFree: {free // 2} kB\nMemAvailable: {free} kB\n"
                "Buffers: 1024 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\nHugetlb: 0 kB\n",
                "/proc/swaps": "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n",
            },
        ),
        "health.memory.edac": read(
            "", edac, **({} if has_edac else {"/sys/devices/system/edac/mc/mc*/ue_count": NONE})
        ),
        "disks": said("", df),
        "mounts.table": _mounts(dice),
        "kernel.log": read("", {"/dev/kmsg": log}),
        "kernel.uptime": read("", {"/proc/uptime": f"{host.up:.2f} {host.up * 100:.2f}\n", "/proc/1/stat": stat}),
        "health.processes.room": read(
            "",
            {
                "/proc/sys/kernel/pid_max": "4194304\n",
                "/proc/sys/kernel/threads-max": "16511494\n",
                "/proc/sys/fs/file-nr": f"{dice.randint(2_000, 400_000)}\t0\t9223372036854775807\n",
                "/proc/loadavg": f"{dice.uniform(0, count):.2f} 1.00 0.50 1/{dice.randint(400, 9000)} 7\n",
            },
        ),
        "packages.kernel": said("", f"linux-image-{kernel}\tii \n"),
    }


def _mounts(dice: random.Random) -> Answer:
    answer = filesystems.HEALTHY[MOUNTS]

    def fill(found: re.Match[str]) -> str:
        free = int(int(found[2]) * dice.uniform(0.3, 0.95))
        return f"{found[1]} {found[2]} {free} {int(free * 0.95)}"

    text = re.sub(r"^(= (?:29|61|62) 4096) (\d+) \d+ \d+", fill, answer.stdout, flags=re.MULTILINE)
    return replace(answer, stdout=text)


def _work(host: Host, dice: random.Random) -> dict[str, Answer]:
    """What Slurm says of it, and what belongs to its accelerators beside the vendor's tool."""
    kind = host.kind
    devices = kind.devices
    found: dict[str, Answer] = {}
    if kind.slurm:
        state = dice.choice(("idle", "mixed", "allocated"))
        gres = f"gpu:{devices.vendor.name}:{len(devices.seen)}(S:0-1)" if devices is not None else "(null)"
        row = slurm.row(state, kind.threads, int(kind.memory_kib / 1024 * 0.97), gres)
        found["slurm.node"] = slurm.node(row)
    else:
        found["slurm.node"] = Answer("slurm.node", 127)
    driver = (
        devices.seen[0].driver if devices is not None and devices.vendor.name == "nvidia" and devices.seen else None
    )
    if driver is not None:
        version = f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {driver}  Tue Sep 23 10:11:16 UTC 2025\n"
        paths = {"/proc/driver/nvidia/version": version, "/sys/module/nvidia/version": f"{driver}\n"}
        found["nvidia.driver"] = read("", paths)
        found["nvidia.fabricmanager.version"] = said("", f"Fabric Manager version is : {driver}\n")
        found["nvidia.packages"] = Answer("", 1, stderr="dpkg-query: no packages found matching nvidia-driver*\n")
    return found

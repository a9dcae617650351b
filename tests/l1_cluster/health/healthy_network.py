"""What a healthy node answers of its networks, its clock and its bus."""

import random
from dataclasses import replace

from tests.l1_cluster.health.case import gone, read, said
from tests.l1_cluster.health.cases import rdma
from tests.l1_cluster.health.healthy_devices import on_bus
from tests.l1_cluster.health.healthy_host import Host

from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l1_cluster.health.rdma_reading import COUNTERS, PORTS

NONE = "nothing matches"
_PCI = "/sys/bus/pci/devices"
_NET = "/sys/class/net"


def network(host: Host, dice: random.Random) -> dict[str, Answer]:
    """Its ports, interfaces, names and clock."""
    kind = host.kind
    devices = [*(f"mlx5_{number}" for number in range(kind.rails)), *([rdma.ROCE] if kind.roce else ())]
    own = tuple(f"{rdma.ROOT}/{device}/" for device in devices)
    ports = {path: text for path, text in rdma.PORT_FILES.items() if path.startswith(own)}
    counters = {
        path: f"{host.counters[path.rpartition('/')[2]]}\n"
        for path in rdma.HEALTHY[COUNTERS].files
        if path.startswith(own)
    }
    nothing = {} if devices else {f"{rdma.ROOT}/*/ports/*/state": NONE}
    verbs = {f"/sys/class/infiniband_verbs/uverbs{n}/ibdev": f"{device}\n" for n, device in enumerate(devices)}
    verbs |= {f"/sys/class/infiniband_mad/umad{n}/ibdev": f"{device}\n" for n, device in enumerate(devices)}
    listed = ["rdma_cm", *(f"{one}{number}" for one in ("issm", "umad", "uverbs") for number in range(len(devices)))]
    card = f"{_PCI}/0000:01:00.0/net/eth0"
    is_bare = kind.virtual == "none"
    files = {
        f"{card}/type": "1\n",
        f"{card}/operstate": "up\n",
        f"{card}/speed": "25000\n",
        f"{card}/carrier_changes": "2\n",
        f"{card}/statistics/rx_errors": f"{host.counters['rx_errors']}\n",
        f"{card}/statistics/tx_errors": "0\n",
        f"{card}/statistics/rx_crc_errors": f"{host.counters['rx_errors']}\n",
    }
    chips = {
        f"{rdma.ROOT}/{device}/{name}": text
        for device in devices
        for name, text in (("board_id", "MT_0000000838\n"), ("fw_ver", "28.43.2026\n"))
    }
    names = f"{host.address}       STREAM {host.name}\n{host.address}       DGRAM  \n"
    link = (
        '[{"ifname":"lo","operstate":"UNKNOWN","addr_info":[{"local":"127.0.0.1","prefixlen":8,"scope":"host"}]},'
        f'{{"ifname":"eth0","operstate":"UP","address":"02:00:00:00:00:01","addr_info":[{{"local":"{host.address}",'
        '"prefixlen":24,"scope":"global"}]}]'
    )
    facts = {path: text for path, text in ports.items() if path.endswith(("link_layer", "/state", "/rate"))}
    offset = dice.uniform(-0.002, 0.002)
    return {
        "network": replace(read("", {f"{_NET}/eth0/speed": "25000\n"}), exit_status=0, stdout=link),
        "network.rdma": read("", facts, **nothing),
        PORTS: read("", ports, **nothing),
        COUNTERS: read("", counters, **nothing),
        "health.rdma.devices": replace(
            read("", verbs, **({} if devices else {"/sys/class/infiniband_verbs/uverbs*/ibdev": NONE})),
            exit_status=0 if devices else 2,
            stdout="\n".join(listed) + "\n" if devices else "",
            stderr="" if devices else "ls: cannot access '/dev/infiniband': No such file or directory\n",
        ),
        "health.ethernet.cards": read(
            "", files if is_bare else {}, **({} if is_bare else {f"{_PCI}/*/net/*/type": NONE})
        ),
        "health.ethernet.bonds": read("", {}, **{"/proc/net/bonding/*": NONE}),
        "health.ethernet.mtu": read("", {f"{_NET}/lo/mtu": "65536\n", f"{_NET}/eth0/mtu": "9000\n"}),
        "health.names.own": said("", names),
        "trait.chips": read("", chips, **({} if chips else {"/sys/class/infiniband/*/board_id": NONE})),
        "trait.ofed": said("", "MLNX_OFED_LINUX-24.10-2.1.8.0:\n") if devices else gone("", "ofed_info"),
        "health.time.tracking": said(
            "", f"C0A80001,head,3,1763753400.1,{offset:.9f},0.000003,0.00002,-12.1,0.01,0.2,0.0004,0.0001,64.2,Normal\n"
        )
        if kind.chrony
        else gone("", "chronyc"),
        "health.time.timedate": said("", "NTP=yes\nNTPSynchronized=yes\n"),
    }


def bus(host: Host) -> dict[str, Answer]:
    """What is on its PCI bus, each with all of its lanes."""
    kind = host.kind
    shown = [*on_bus(kind.devices), ("0000:00:1f.0", "0x8086", "0x060100"), ("0000:02:00.0", "0x1a03", "0x030000")]
    shown += [(f"0000:9{number}:00.0", "0x15b3", "0x020700") for number in range(kind.rails)]
    files: dict[str, str] = {}
    links: dict[str, str] = {}
    for address, vendor, class_ in shown:
        files |= {f"{_PCI}/{address}/vendor": f"{vendor}\n", f"{_PCI}/{address}/class": f"{class_}\n"}
        for name in ("current_link_width", "max_link_width", "../max_link_width"):
            links[f"{_PCI}/{address}/{name}"] = "16\n"
    return {"bus": read("", files), "health.bus.links": read("", links)}

"""Counts what tries to leave a lab: every host gets a way out, and nothing may take it.

A host without a route could not send a packet anywhere, so a counter at 0 would say nothing. So each host has a default
route over the lab's bridge and a name server beyond it, and so has the controller, which lives in a network namespace
of its own on the same bridge. Whatever is sent to an address outside the lab's network arrives at this machine's end
of the bridge and is counted there, before anything drops it. The table of counters is its own and goes with it.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from aiops.layers.l0_nodes.lab import Lab

OUTSIDE = "203.0.113.9"
"""An address of nobody, for documentation only."""
NAME_SERVER = "nameserver 203.0.113.53"
RESOLVER = f"rm -f /etc/resolv.conf && echo {NAME_SERVER} > /etc/resolv.conf"
"""Typed on a host: it asks a name server outside for every name that it does not know itself."""
_LAST = 200
"""The controller's place in the lab's /24, beyond those of any host."""


@dataclass(frozen=True)
class Counted:
    """What has left, or tried to.

    Attributes:
        packets: To any address outside the lab's network.
        lookups: Questions to any name server, wherever it is.
        seen: Who sent what where: `10.199.0.11 -> 203.0.113.53 port 53`.
    """

    packets: int
    lookups: int
    seen: tuple[str, ...]


@dataclass(frozen=True)
class WayOut:
    """A way out of a lab that is watched."""

    lab: Lab
    namespace: str
    table: str

    @property
    def as_controller(self) -> tuple[str, ...]:
        """What comes before a command that is to run as the controller, on the lab's network only."""
        return ("ip", "netns", "exec", self.namespace)

    def counted(self) -> Counted:
        """What was sent since the beginning."""
        document = json.loads(_run("nft", "-j", "list", "table", "inet", self.table))["nftables"]
        counters = {one["counter"]["name"]: one["counter"]["packets"] for one in document if "counter" in one}
        members: list[Any] = next((one["set"].get("elem", []) for one in document if "set" in one), [])
        seen = []
        for member in members:
            source, target, port = (member["elem"]["val"] if "elem" in member else member)["concat"]
            seen.append(f"{source} -> {target} port {port}")
        return Counted(counters["outward"], counters["asking"], tuple(sorted(seen)))

    def control(self) -> dict[str, Counted]:
        """Send one packet out of each host and the controller, and ask each for a name; what was counted of each."""
        found = {}
        places = {host.name: ("ip", "netns", "exec", host.namespace) for host in self.lab.state.hosts}
        for name, inside in {**places, "controller": self.as_controller}.items():
            before = self.counted()
            for port in (9, 53):
                _run(*inside, "python3", "-c", _SEND.format(address=OUTSIDE, port=port))
            after = self.counted()
            found[name] = Counted(after.packets - before.packets, after.lookups - before.lookups, after.seen)
        return found

    def routes(self) -> list[str]:
        """The hosts that have a way out still; one that was booted anew has lost it."""
        return [host.name for host in self.lab.state.hosts if "default" in _route(host.namespace)]


_SEND = (
    "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5);"
    " s.sendto(b'control', ('{address}', {port}))"
)


@contextmanager
def way_out(lab: Lab) -> Iterator[WayOut]:
    """Open a watched way out of a lab that is up; closed and forgotten at the end."""
    state = lab.state
    network = IPv4Network(state.subnet)
    namespace, link, table = f"aiops-{state.id}-ctl", f"al{state.id}-c", f"aiops_way_out_{state.id}"
    address = f"{network.network_address + _LAST}/{network.prefixlen}"
    _quietly("nft", "delete", "table", "inet", table)
    _quietly("ip", "netns", "delete", namespace)
    _run("nft", "-f", "-", stdin=_ruleset(table, state.bridge, network))
    try:
        _run("ip", "netns", "add", namespace)
        settings = Path("/etc/netns", namespace)
        settings.mkdir(parents=True, exist_ok=True)
        (settings / "resolv.conf").write_text(f"{NAME_SERVER}\n")
        _run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        _run("ip", "link", "set", link, "master", state.bridge, "up")
        lines = ("link set lo up", f"addr add {address} dev eth0", "link set eth0 up")
        for line in (*lines, f"route add default via {state.gateway}"):
            _run("ip", "-n", namespace, *line.split())
        for host in state.hosts:
            _run("ip", "-n", host.namespace, "route", "replace", "default", "via", state.gateway)
        yield WayOut(lab, namespace, table)
    finally:
        for host in state.hosts:
            _quietly("ip", "-n", host.namespace, "route", "delete", "default")
        _quietly("ip", "link", "delete", link)
        _quietly("ip", "netns", "delete", namespace)
        _quietly("nft", "delete", "table", "inet", table)
        shutil.rmtree(Path("/etc/netns", namespace), ignore_errors=True)


def _ruleset(table: str, bridge: str, network: IPv4Network) -> str:
    """Counts as soon as this machine sees a packet; broadcast and link-local traffic leaves no cluster."""
    local = f"{{ {network}, 224.0.0.0/4, 255.255.255.255, 0.0.0.0 }}"
    near = "{ fe80::/10, ff00::/8 }"
    note = "add @seen { ip saddr . ip daddr . th dport }"
    return f"""\
table inet {table} {{
  counter outward {{ }}
  counter asking {{ }}
  set seen {{ type ipv4_addr . ipv4_addr . inet_service; flags dynamic; size 65535; }}
  chain sight {{
    type filter hook prerouting priority -400; policy accept;
    iifname "{bridge}" ip daddr != {local} counter name outward
    iifname "{bridge}" ip6 daddr != {near} counter name outward
    iifname "{bridge}" meta l4proto {{ tcp, udp }} th dport 53 counter name asking
    iifname "{bridge}" ip daddr != {local} meta l4proto {{ tcp, udp }} {note}
  }}
}}
"""


def _route(namespace: str) -> str:
    return _run("ip", "-n", namespace, "route")


def _run(*argv: str, stdin: str = "") -> str:
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode != 0:
        raise OSError(f"{' '.join(argv[:6])}: {done.stderr.strip()}")
    return done.stdout


def _quietly(*argv: str) -> None:
    subprocess.run(argv, capture_output=True, timeout=30, check=False)

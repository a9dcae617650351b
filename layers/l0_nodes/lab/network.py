"""The lab's network: a bridge, a namespace and a cable per host, and an nft table that lets nothing out."""

import contextlib
import json
import re
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network
from pathlib import Path

from aiops.layers.core.errors import FailedError, InputError
from aiops.layers.core.home import ensure_folder

from .image import locked
from .machine import run
from .state import HostState, LabState
from .subnet import free_subnet, routed

MACHINE_FOLDER = Path("/run/aiops-lab")
NAMESPACES = Path("/run/netns")


@contextlib.contextmanager
def machine_lock() -> Iterator[Path]:
    """Hold what all labs of this machine share, whoever's AIOPS_HOME they are in; gives the folder for it.

    Raises:
        ConflictError: Another lab holds it too long.
    """
    folder = ensure_folder(MACHINE_FOLDER)
    with locked(folder / "lock", wait=60, busy="another lab of this machine comes up or goes down"):
        yield folder


def choose_subnet() -> IPv4Network:
    """A free subnet; hold the machine's lock until the bridge has its address.

    Raises:
        ConflictError: No subnet is free.
    """
    return free_subnet(routed(run(["ip", "-j", "-4", "route", "show", "table", "all"])))


def make_bridge(state: LabState) -> None:
    """Make the bridge, give it the gateway's address, and close the way out."""
    prefix = IPv4Network(state.subnet).prefixlen
    run(["nft", "-f", "-"], stdin=ruleset(state))
    run(
        ["ip", "-batch", "-"],
        stdin=f"link add {state.bridge} type bridge forward_delay 0 stp_state 0\n"
        f"addr add {state.gateway}/{prefix} dev {state.bridge}\n"
        f"link set {state.bridge} up\n",
    )


def ruleset(state: LabState) -> str:
    """The lab's own nft table. Pure.

    Nothing is forwarded between the bridge and anywhere else, and hosts cannot open connections to this machine;
    what they tried is counted. Frames between hosts stay on the bridge (`iifname` equals `oifname` where
    br_netfilter shows them to this chain).
    """
    bridge = f'"{state.bridge}"'
    return f"""\
table inet {state.table} {{
  chain out {{
    type filter hook forward priority filter; policy accept;
    iifname {bridge} oifname != {bridge} counter drop
    oifname {bridge} iifname != {bridge} counter drop
  }}
  chain in {{
    type filter hook input priority filter; policy accept;
    iifname {bridge} ct state established,related accept
    iifname {bridge} ip protocol icmp accept
    iifname {bridge} meta l4proto ipv6-icmp accept
    iifname {bridge} counter drop
  }}
}}
"""


def connect_hosts(state: LabState, hosts: Iterable[HostState]) -> None:
    """Give every host a new namespace with `lo` and `eth0`, its cable plugged into the bridge; no route leads out.

    The hosts must be off: a namespace of an earlier boot is thrown away.
    """
    prefix = IPv4Network(state.subnet).prefixlen
    chosen = tuple(hosts)
    for host in chosen:
        if (NAMESPACES / host.namespace).exists():
            _quietly(["ip", "link", "delete", host.link])
            run(["ip", "netns", "delete", host.namespace])
    run(["ip", "-batch", "-"], stdin="".join(f"netns add {host.namespace}\n" for host in chosen))
    lines = []
    for host in chosen:
        lines.append(f"link add {host.link} type veth peer name eth0 netns {host.namespace}\n")
        lines.append(f"link set {host.link} master {state.bridge} up\n")
    run(["ip", "-batch", "-"], stdin="".join(lines))
    for host in chosen:
        run(
            ["ip", "-n", host.namespace, "-batch", "-"],
            stdin=f"link set lo up\naddr add {host.address}/{prefix} dev eth0\nlink set eth0 up\n",
        )


def cut(host: HostState) -> None:
    """Unplug the host's cable at our end; the host sees its carrier go."""
    run(["ip", "link", "set", host.link, "down"])


def plug_in(host: HostState) -> None:
    """Plug it in again."""
    run(["ip", "link", "set", host.link, "up"])


def rate(text: str) -> str:
    """A rate as tc takes it, e.g. `1mbit`.

    Raises:
        InputError: It is none.
    """
    if not re.fullmatch(r"[1-9][0-9]{0,5}(k|m|g)?bit", text):
        raise InputError(f"`{text}` is no rate", code="lab.fault_value", hints=["for example `512kbit` or `1mbit`"])
    return text


def limit_rate(host: HostState, limit: str) -> None:
    """Let only `limit` pass in each direction: at our end what goes to the host, at its own what comes from it."""
    bucket = ["root", "tbf", "rate", rate(limit), "burst", "16kb", "latency", "400ms"]
    run(["tc", "qdisc", "replace", "dev", host.link, *bucket])
    run(["tc", "-n", host.namespace, "qdisc", "replace", "dev", "eth0", *bucket])


def unlimit_rate(host: HostState) -> None:
    """Let everything pass again."""
    run(["tc", "qdisc", "delete", "dev", host.link, "root"])
    run(["tc", "-n", host.namespace, "qdisc", "delete", "dev", "eth0", "root"])


def remove_network(state: LabState) -> None:
    """Remove all of it; what is not there is fine.

    Raises:
        FailedError: Something of the lab's is still there.
    """
    for link in (*(host.link for host in state.hosts), state.bridge):
        _quietly(["ip", "link", "delete", link])
    for host in state.hosts:
        _quietly(["ip", "netns", "delete", host.namespace])
    _quietly(["nft", "delete", "table", "inet", state.table])
    left = leftovers(state)
    if left:
        raise FailedError(
            f"could not remove {', '.join(left)} of lab `{state.name}`",
            code="lab.network_left",
            hints=["try `aiops lab down` again"],
        )


def leftovers(state: LabState) -> list[str]:
    """The lab's links, namespaces and table that exist now."""
    links = {link["ifname"] for link in json.loads(run(["ip", "-j", "link", "show"]) or "[]")}
    found = [f"link {name}" for name in (state.bridge, *(host.link for host in state.hosts)) if name in links]
    found += [f"namespace {host.namespace}" for host in state.hosts if (NAMESPACES / host.namespace).exists()]
    tables = run(["nft", "list", "tables"]).split()
    return found + ([f"nft table {state.table}"] if state.table in tables else [])


def _quietly(argv: list[str]) -> None:
    """Run a removal; that it failed is seen in `leftovers`."""
    with contextlib.suppress(FailedError):
        run(argv)

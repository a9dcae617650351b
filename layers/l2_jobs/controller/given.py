"""Given: what a rank group's launcher was given, as far as a controller needs it. Its user may have changed it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiops.layers.l2_jobs.text import plain
from aiops.layers.l2_jobs.wire import whole

_NODES = 1 << 16
_PORTS = 1 << 16
_VISIBLE = "VISIBLE_"


@dataclass(frozen=True, slots=True)
class Given:
    """Of one group.

    Attributes:
        rank: Of its node.
        nodes: So many have a group.
        peers: The other ones.
        port: Of the rendezvous.
        resume: Path of the checkpoint that it goes on from.
        devices: Their indices.
        share: Of the one device.
    """

    rank: int
    nodes: int
    peers: tuple[str, ...]
    port: int
    resume: str | None
    devices: tuple[int, ...]
    share: float
    secret: str = field(default="", repr=False)


def given_of(spec: Mapping[str, Any], known: Collection[str]) -> Given:
    """What a spec says. Pure.

    Args:
        spec: As docs/decisions/jobs.md has it.
        known: The nodes of the inventory; no other can be a peer.

    Raises:
        ValueError: It is no spec.
    """
    environment, peers = spec.get("environment", {}), spec.get("peers", [])
    if not isinstance(environment, Mapping) or not isinstance(peers, list):
        raise ValueError("its environment or its peers are none")  # noqa: TRY004 - one kind of error for whoever reads
    names = [peer.get("node") if isinstance(peer, Mapping) else None for peer in peers]
    if not all(isinstance(name, str) and name in known for name in names):
        raise ValueError("it has a peer that is no node of the inventory")
    shown = next((value for name, value in environment.items() if _VISIBLE in name), "")
    devices = [one for one in str(shown)[:_NODES].split(",") if one.isascii() and one.isdecimal()]
    share = float(str(environment.get("AIOPS_DEVICE_SHARE", 1.0)))
    if not 0 < share <= 1 or any(len(one) > 3 for one in devices):  # noqa: PLR2004 - digits: no node has a thousand
        raise ValueError("its devices are none that a node has")
    return Given(
        _number(spec, "node_rank", 0, _NODES),
        _number(spec, "nodes", len(names) + 1, _NODES),
        tuple(str(name) for name in names),
        _number(spec, "beat_port", 1, _PORTS) - 1,
        plain(str(environment["AIOPS_RESUME"])) if environment.get("AIOPS_RESUME") else None,
        tuple(int(one) for one in devices),
        share,
        str(spec.get("secret", "")),
    )


def _number(spec: Mapping[str, Any], name: str, default: int, below: int) -> int:
    value = spec.get(name, default)
    if not whole(value, below):
        raise ValueError(f"its `{name}` is no number that fits")
    return value

"""Which addresses a lab gets: a /24 that no route, address or rule of this machine knows."""

import json
from collections.abc import Iterable
from ipaddress import IPv4Network

from aiops.layers.core.errors import ConflictError

CANDIDATES: tuple[IPv4Network, ...] = tuple(IPv4Network("10.199.0.0/16").subnets(new_prefix=24)) + tuple(
    IPv4Network("172.31.0.0/16").subnets(new_prefix=24)
)
"""Rarely used corners of the private ranges, tried in this order."""

FIRST_HOST = 10
LAST_HOST = 250


def free_subnet(taken: Iterable[IPv4Network], candidates: Iterable[IPv4Network] = CANDIDATES) -> IPv4Network:
    """The first candidate that overlaps nothing in `taken`.

    Raises:
        ConflictError: There is none.
    """
    known = tuple(taken)
    for candidate in candidates:
        if not any(candidate.overlaps(network) for network in known):
            return candidate
    raise ConflictError(
        "no free subnet for a lab: every candidate in 10.199.0.0/16 and 172.31.0.0/16 overlaps a route of this machine",
        code="lab.no_subnet",
        hints=["`ip route show table all` lists them", "`aiops lab status` lists the labs; take one down"],
    )


def routed(document: str) -> tuple[IPv4Network, ...]:
    """The networks in the output of `ip -j -4 route show table all`; the default route covers nothing by itself."""
    found = []
    for route in json.loads(document or "[]"):
        destination = route.get("dst", "default")
        if destination in {"default", "0.0.0.0/0"}:
            continue
        found.append(IPv4Network(destination, strict=False))
    return tuple(found)

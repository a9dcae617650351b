"""`make demo`: from nothing to a working cluster of booted hosts on this machine, as a person would type it.

Every command is printed before it runs, and each answer is checked. KEEP=1 leaves the cluster up.
"""

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

AIOPS = Path(sys.executable).with_name("aiops")
NAME = "demo"
NODES = 3
DEVICES = 8
LIMIT = 1200.0
"""Seconds that any one command may take: the bundle is downloaded and the base image built the first time."""

PATIENCE = 120.0
"""Seconds for Prometheus to have asked every target once."""


class BrokenError(Exception):
    """The demo did not show what it must."""


def type_in(*words: str, keep: bool = False, shown: bool = True) -> str:
    """Print a command as a person would type it and run it; its screen goes to the terminal.

    Args:
        words: What follows `aiops`.
        keep: Give back its stdout, at the price of how it looks on a terminal.
        shown: Whether a stdout that is kept is printed too.

    Raises:
        BrokenError: It ended with another status than 0, or not in time.
    """
    line = shlex.join(("aiops", *words))
    print(f"\n$ {line}", flush=True)
    pipe = subprocess.PIPE if keep else None
    try:
        done = subprocess.run((AIOPS, *words), stdout=pipe, text=True, timeout=LIMIT, check=False)
    except subprocess.TimeoutExpired as error:
        raise BrokenError(f"`{line}` did not end within {LIMIT:.0f} s") from error
    if keep and shown:
        print(done.stdout, end="", flush=True)
    if done.returncode != 0:
        raise BrokenError(f"`{line}` ended with {done.returncode}")
    return done.stdout or ""


def main() -> int:
    """Show it all; tear it down whatever happens."""
    if os.geteuid() != 0:
        print("error: the lab boots hosts, and that needs root\n\nhint: sudo make demo", file=sys.stderr)
        return 1
    begun = time.monotonic()
    keep = bool(os.environ.get("KEEP"))
    try:
        show()
    except BrokenError as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    finally:
        if keep:
            print(f"\nkept; remove it with `aiops lab down --name {NAME}`")
        else:
            tear_down()
    print(f"\nFrom nothing to a working cluster: {time.monotonic() - begun:.0f} s in all")
    return 0


def show() -> None:
    """Boot, deploy, use."""
    tear_down(quiet=True)
    type_in("lab", "up", "--name", NAME, "--nodes", str(NODES), "--accelerator", f"nvidia:{DEVICES}")
    inventory = type_in("lab", "inventory", "--name", NAME, keep=True, shown=False).strip()
    os.environ["AIOPS_INVENTORY"] = inventory
    print(f"\n$ export AIOPS_INVENTORY={inventory}")
    type_in("cluster", "bundle", "build", "--simulated", "nvidia")
    type_in("cluster", "deploy", "--yes")
    type_in("cluster", "status")
    type_in("node", "exec", "--on", "head", "--", "sinfo")
    ran = type_in(
        "node", "exec", "--on", "head", "--timeout", "120", "--",
        "srun", f"-N{NODES}", f"--gres=gpu:{DEVICES}", "sh", "-c", "echo $(hostname) has devices $CUDA_VISIBLE_DEVICES",
        keep=True,
    )  # fmt: skip
    devices = ",".join(str(number) for number in range(DEVICES))
    if ran.count(f"has devices {devices}") != NODES:
        raise BrokenError(f"srun did not give {DEVICES} devices on each of {NODES} nodes")
    show_targets()


def show_targets() -> None:
    """What Prometheus on the head says of its targets, asked through prometheus-api-client."""
    nodes = json.loads(type_in("node", "list", "--json", keep=True, shown=False))
    address = next(node["address"] for node in nodes if node["node"] == "head")
    print(f"\n>>> PrometheusConnect('http://{address}:9090').get_targets()", flush=True)
    from prometheus_api_client import PrometheusConnect

    client = PrometheusConnect(f"http://{address}:9090", timeout=10)

    def targets() -> list[dict[str, Any]]:
        return list(client.get_targets(state="active")["activeTargets"])

    found = settled(targets, lambda found: bool(found) and all(one["health"] == "up" for one in found))
    for one in sorted(found, key=lambda one: (one["labels"]["job"], one["labels"]["instance"])):
        print(f"{one['labels']['job']:<14} {one['labels']['instance']:<24} {one['health']}")
    down = [one["labels"]["instance"] for one in found if one["health"] != "up"]
    if down or len(found) <= NODES:
        raise BrokenError(f"Prometheus sees {len(found)} targets, and these are not up: {', '.join(down) or 'none'}")


def settled(
    ask: Callable[[], list[dict[str, Any]]], good: Callable[[list[dict[str, Any]]], bool]
) -> list[dict[str, Any]]:
    """Ask until the answer is good, or patience ends; the last answer."""
    deadline = time.monotonic() + PATIENCE
    while not good(found := ask()) and time.monotonic() < deadline:
        time.sleep(1)
    return found


def tear_down(*, quiet: bool = False) -> None:
    """Remove the lab, whatever state it is in."""
    if not quiet:
        print(f"\n$ aiops lab down --name {NAME}", flush=True)
    subprocess.run((AIOPS, "lab", "down", "--name", NAME, "-q"), timeout=LIMIT, check=True)


if __name__ == "__main__":
    sys.exit(main())

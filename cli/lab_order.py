"""The words in which a lab is ordered: sizes, accelerators, groups of workers."""

from typing import TYPE_CHECKING

from aiops.layers.core.errors import InputError

if TYPE_CHECKING:
    from aiops.layers.l0_nodes.lab import Simulated, WorkerGroup


def simulated(text: str) -> "Simulated":
    """The accelerators in `nvidia:8:H200`.

    Raises:
        InputError: It is written otherwise (`usage.accelerator`).
    """
    from aiops.layers.l0_nodes.lab import Simulated

    vendor, _, rest = text.partition(":")
    count, _, model = rest.partition(":")
    if not vendor or not (count.isascii() and count.isdigit()):
        raise InputError(
            f"`{text}` is not VENDOR:N", code="usage.accelerator", hints=["for example `--accelerator nvidia:8`"]
        )
    return Simulated(vendor, int(count), model or None)


def worker_group(text: str) -> "WorkerGroup":
    """The group in `h200=2,nvidia:8:H200,trixie`: after the count, accelerators have a colon and releases none.

    Raises:
        InputError: It is written otherwise (`usage.group`).
    """
    from aiops.layers.l0_nodes.lab import WorkerGroup

    name, _, rest = text.partition("=")
    count, *more = rest.split(",")
    devices = [word for word in more if ":" in word]
    releases = [word for word in more if ":" not in word]
    if not name or not (count.isascii() and count.isdigit()) or len(devices) > 1 or len(releases) > 1 or "" in more:
        raise InputError(
            f"`{text}` is not NAME=N[,VENDOR:N[:MODEL]][,RELEASE]",
            code="usage.group",
            hints=["for example `--group h200=2,nvidia:8:H200`, `--group cpu=1` or `--group new=1,trixie`"],
        )
    return WorkerGroup(name, int(count), simulated(devices[0]) if devices else None, releases[0] if releases else None)


def mebibytes(text: str, option: str) -> int:
    """The MiB in `8G`; `option` is named where it is written otherwise.

    Raises:
        InputError: It is no size (`usage.size`).
    """
    units = {"M": 1, "G": 1024, "T": 1024 * 1024}
    number, unit = text[:-1], text[-1:].upper()
    if unit not in units or not (number.isascii() and number.isdigit()) or len(number) > 6:  # noqa: PLR2004
        raise InputError(f"`{text}` is no size", code="usage.size", hints=[f"for example `{option} 8G` or `512M`"])
    return int(number) * units[unit]


def bound(text: str) -> tuple[str, str]:
    """The two folders in `/srv/env:/opt/aiops/env`.

    Raises:
        InputError: It is written otherwise (`usage.bind`).
    """
    here, _, there = text.partition(":")
    if not here or not there:
        raise InputError(
            f"`{text}` is not HERE:THERE", code="usage.bind", hints=["for example `--bind /srv/env:/opt/aiops/env`"]
        )
    return here, there

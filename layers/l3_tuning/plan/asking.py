"""Asking: what a plan wants of each node, in the one round trip of the probe, and the pure reading of the answers."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from aiops.layers.l0_nodes.answer_reading import GARBLED, UnreadableError, said
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l2_jobs.torch_build import BESIDE, read_torch
from aiops.layers.l3_tuning.data.dataset import MANIFEST
from aiops.layers.l3_tuning.recipe import Recipe
from aiops.layers.l3_tuning.run import environment_of

from .agreement import SHARED_MEMORY
from .machine import Machine, imagined

T = TypeVar("T")

ENVIRONMENT = "manifest.json"
"""What an environment that was deployed says of itself."""

_KIB = 1024
_MIB = 1024 * 1024
_SMALL = ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors.index.json")
"""Files of a base whose content counts in its outline; of others name and size do, for weights take minutes to read."""

_PACKAGE = re.compile(r"/(?P<name>[^/]+)-(?P<version>[^/-]+)\.dist-info$")
_TOLD = frozenset({"torch", "transformers", "peft", "trl", "accelerate"})
"""Packages whose versions a plan tells."""

_TORCH = (
    *("-path", "*-packages/torch/version.py", "-exec", "cat", "{}", ";", "-o"),
    *("-type", "d", "(", "-path", "*-packages/torch_*", "-o", "-path", "*-packages/habana_frameworks", ")"),
    *("-not", "-path", "*-packages/*/*", "-printf", rf"{BESIDE}%f\n"),
)
"""What `read_torch` reads."""

_PYTHON = re.compile(r"/lib/python(?P<version>3\.\d+)/")
_LISTENS = re.compile(r"^\s*\d+:\s+[0-9A-F]+:(?P<port>[0-9A-F]{4})\s+\S+\s+0A\s", re.MULTILINE)
"""A line of /proc/net/tcp: state 0A listens (the kernel's Documentation/networking/proc_net_tcp.rst)."""


def plan_asks(recipe: Recipe, environment: str = "trainer") -> tuple[Ask, ...]:
    """What is asked beside a node's facts. Nothing is changed, and nothing large is read.

    Args:
        recipe: Resolved.
        environment: The trainer's own, where the recipe names none.
    """
    base = recipe.base.rstrip("/")
    there = environment_of(recipe, environment).rstrip("/")
    asks = [
        Ask("plan.disk", ("df", "-P", "-k", *_ancestors(recipe.folder))),
        Ask("plan.shm", ("df", "-P", "-k", SHARED_MEMORY)),
        Ask("plan.ports", paths=("/proc/net/tcp", "/proc/net/tcp6")),
        Ask("plan.base", ("find", "-L", base, "-maxdepth", "1", "-type", "f", "-printf", r"%f\t%s\n")),
        Ask("plan.config", paths=(f"{base}/config.json",), max_bytes=_MIB),
        Ask("plan.base.small", ("sha256sum", *(f"{base}/{name}" for name in _SMALL)), timeout=10.0),
        Ask(
            "plan.environment",
            ("find", "-L", f"{there}/lib", "-maxdepth", "4", "-name", "*.dist-info", "-path", "*-packages/*"),
            timeout=10.0,
        ),
    ]
    asks.append(Ask("plan.manifest", paths=(f"{there}/{ENVIRONMENT}",), max_bytes=_MIB))
    asks.append(Ask("plan.torch", ("find", "-L", f"{there}/lib", "-maxdepth", "4", *_TORCH), timeout=10.0))
    if len(recipe.data.train) == 1:
        asks.append(Ask("plan.data", paths=(f"{recipe.data.train[0].rstrip('/')}/{MANIFEST}",), max_bytes=4 * _MIB))
    return tuple(asks)


def _ancestors(folder: str) -> tuple[str, ...]:
    """A folder and those above it: `df` answers for those that are there."""
    parts = folder.rstrip("/").split("/")
    return tuple("/".join(parts[:count]) or "/" for count in range(len(parts), 0, -1))


def machine_of(record: Record, facts: Facts) -> Machine:
    """What a node has said. Pure."""
    devices = None
    if facts.accelerators is not None:
        sizes = [one.memory_total_mib for one in facts.accelerators]
        devices = None if None in sizes else tuple(size * _MIB for size in sizes if size is not None)
    first = next(iter(facts.accelerators or ()), None)
    packages = _known(lambda: _packages(record)) or {}
    versions = {name: one for name, one in packages.items() if name in _TOLD | {"python"}}
    if first is not None and first.driver:
        versions = versions | {"driver": first.driver}
    return Machine(
        name=record.node,
        devices=devices,
        vendor=first.vendor if first is not None else None,
        model=first.model if first is not None else None,
        memory=None if facts.memory_mib is None else facts.memory_mib * _MIB,
        free=_known(lambda: _free(record)),
        shared=_known(lambda: _table(said(record.answer("plan.shm")))[0][0]),
        ports=_known(lambda: _ports(record)),
        base=_known(lambda: _outline(record)),
        data=_known(lambda: _digest(record, "plan.data")),
        environment=_known(lambda: _digest(record, "plan.manifest")) or _packed(packages),
        packages=packages,
        versions=versions,
        torch=_known(lambda: read_torch(said(record.answer("plan.torch")))),
        simulated=facts.simulated,
    )


def config_text(record: Record, recipe: Recipe) -> str | None:
    """The base's config.json as a node sees it; None where it has none."""
    return record.answer("plan.config").files.get(f"{recipe.base.rstrip('/')}/config.json")


def silent(name: str, why: str) -> Machine:
    """A node that has not answered."""
    return Machine(name, silent=why)


def unasked(recipe: Recipe, why: str) -> tuple[Machine, ...]:
    """Nodes of which nobody could ask any. Their names are made up where the recipe says none."""
    place = recipe.placement
    if place.only:
        return tuple(silent(name, why) for name in sorted(place.only))
    made_up = imagined(place.nodes, place.devices, 0)
    return tuple(Machine(one.name, silent=why, nameless=True) for one in made_up)


def _known(reader: Callable[[], T]) -> T | None:
    try:
        return reader()
    except GARBLED:
        return None


def _table(text: str) -> list[tuple[int, int]]:
    """Bytes in all and free, of each file system that `df -P -k` tells of."""
    found = []
    for line in text.splitlines()[1:]:
        words = line.split()
        found.append((int(words[1]) * _KIB, int(words[3]) * _KIB))
    return found


def _free(record: Record) -> int:
    """`df` tells of what is there in the order it was asked, and ends with 1 where something is not."""
    answer = record.answer("plan.disk")
    if answer.timed_out or answer.exit_status is None:
        raise UnreadableError("no answer")
    return _table(answer.stdout)[0][1]


def _ports(record: Record) -> tuple[int, ...]:
    answer = record.answer("plan.ports")
    if "/proc/net/tcp" not in answer.files or answer.truncated:
        raise UnreadableError("not read")
    found = {int(one["port"], 16) for text in answer.files.values() for one in _LISTENS.finditer(text)}
    return tuple(sorted(found))


def _outline(record: Record) -> str:
    listed = sorted(line for line in said(record.answer("plan.base")).splitlines() if line)
    if not any(line.startswith("config.json\t") for line in listed):
        raise UnreadableError("no model")
    small = record.answer("plan.base.small")
    if small.timed_out or small.exit_status is None:
        raise UnreadableError("not read")
    hashes = sorted(line.split()[0] + line.rpartition("/")[2] for line in small.stdout.splitlines() if line)
    return hashlib.sha256("\n".join([*listed, "", *hashes]).encode()).hexdigest()


def _digest(record: Record, name: str) -> str:
    """What the manifest says that the ask `name` has read, of prepared data or of an environment."""
    (text,) = record.answer(name).files.values()
    document: Any = json.loads(text)
    digest = document["digest"]
    if not isinstance(digest, str):
        raise UnreadableError("no digest")
    return digest


def _packed(packages: Mapping[str, str]) -> str | None:
    """A digest of packages; None where none were seen."""
    if not packages:
        return None
    return hashlib.sha256("".join(f"{name} {packages[name]}\n" for name in sorted(packages)).encode()).hexdigest()


def _packages(record: Record) -> dict[str, str]:
    """The packages of an environment by name, and its Python."""
    answer = record.answer("plan.environment")
    if answer.truncated:
        raise UnreadableError("not all of it")
    lines: Sequence[str] = said(answer).splitlines()
    found = {one["name"]: one["version"] for line in lines if (one := _PACKAGE.search(line))}
    pythons = {one["version"] for line in lines if (one := _PYTHON.search(line))}
    if len(pythons) == 1:
        found["python"] = pythons.pop()
    return found

"""A first inventory for a list of hosts: the commented reference file with the hosts put in. Pure."""

import ipaddress
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aiops.layers.core.errors import InputError, Problem

from .nodeset import expand

_HEAD_LIKE = re.compile(r"^(?:head|master|mgmt|management|control|controller|login|admin)\w*", re.IGNORECASE)
_NAME = re.compile(r"^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$")
_NUMBERED = re.compile(r"^(?P<stem>.*?)(?P<number>\d+)$")


@dataclass(frozen=True, slots=True)
class Host:
    """A node to be: its name, and its address where that differs."""

    name: str
    address: str | None = None


def parse_hosts(text: str, file: str) -> tuple[Host, ...]:
    """The hosts in a file: one to a line, `NAME`, `NAME ADDRESS` or `ADDRESS NAME`; a node set works as a name.

    Raises:
        InputError: Lines that are none of these, or hosts named twice; all together.
    """
    hosts: dict[str, Host] = {}
    problems: list[Problem] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        try:
            named = list(_line(words))
            twice = [host.name for host in named if hosts.setdefault(host.name, host) is not host]
            problems += [Problem(f"`{name}` is named twice", file, number) for name in twice]
        except (ValueError, InputError) as error:
            problems.append(Problem(str(error), file, number))
    if not hosts and not problems:
        problems.append(Problem("there is no host in it", file))
    if problems:
        raise InputError(
            f"the list of hosts {file} is wrong",
            code="inventory.hosts",
            hints=["write a host to a line: `gpu01 10.0.0.11`, or `gpu[01-16]`"],
            problems=problems,
        )
    return tuple(hosts.values())


def named_hosts(names: str) -> tuple[Host, ...]:
    """The hosts of a node set.

    Raises:
        InputError: It is no node set, or something in it is no name for a host.
    """
    expanded = expand(names)
    try:
        return tuple(Host(_checked(name)) for name in expanded)
    except ValueError as error:
        raise InputError(
            f"{error}, and there is no file `{names}`",
            code="inventory.hosts",
            hints=["write a node set, `head,gpu[01-16]`, or the path of a file with a host to a line"],
        ) from error


def _line(words: list[str]) -> Iterable[Host]:
    if not words:
        return ()
    addresses = [word for word in words if _is_address(word)]
    names = [word for word in words if word not in addresses]
    if len(words) == 1:
        return tuple(Host(_checked(name)) for name in expand(words[0]))
    if len(words) == 2 and len(names) == 1 and len(addresses) == 1:  # noqa: PLR2004 - a name and an address
        return (Host(_checked(names[0]), addresses[0]),)
    if len(words) == 2 and len(names) == 2:  # noqa: PLR2004 - a name and the DNS name it is reached by
        return (Host(_checked(names[0]), _checked(names[1])),)
    raise ValueError(f"`{' '.join(words)}` is not `NAME` or `NAME ADDRESS`")


def _checked(name: str) -> str:
    if not _NAME.match(name) and not _is_address(name):
        raise ValueError(f"`{name}` is no name for a host")
    return name


def _is_address(word: str) -> bool:
    try:
        ipaddress.ip_address(word)
    except ValueError:
        return False
    return True


def head_of(hosts: Sequence[Host], wanted: str | None) -> Host:
    """The head among `hosts`: the one wanted, else the first with a name like a head's, else the first.

    Raises:
        InputError: The one wanted is not among them, or it would be alone.
    """
    if wanted is not None:
        for host in hosts:
            if host.name == wanted:
                return host
        raise InputError(
            f"there is no host `{wanted}` among those given",
            code="inventory.hosts",
            hints=[f"they are {', '.join(host.name for host in hosts[:8])}"],
        )
    return next((host for host in hosts if _HEAD_LIKE.match(host.name)), hosts[0])


def draft(reference: str, hosts: Sequence[Host], head: Host) -> str:
    """The text of an inventory: `reference` with its example hosts replaced.

    Raises:
        ValueError: `reference` has no blocks `head:` and `workers:`; a defect of ours.
    """
    workers = [host for host in hosts if host is not head]
    text = _replaced(reference, "head", _block("head", [head]))
    return _replaced(text, "workers", _block("workers", workers))


def _replaced(text: str, group: str, block: str) -> str:
    """`text` with the lines of a group, up to the next empty one, replaced."""
    lines = text.split("\n")
    start = lines.index(f"    {group}:")
    end = lines.index("", start)
    return "\n".join([*lines[:start], *block.split("\n"), *lines[end:]])


def _block(group: str, hosts: Sequence[Host]) -> str:
    lines = [f"    {group}:", "      hosts:" if hosts else "      hosts: {}"]
    lines += [f"        {_key(pattern)}:" for pattern in patterns(host.name for host in hosts if host.address is None)]
    for host in hosts:
        if host.address is not None:
            lines += [f"        {_key(host.name)}:", f"          ansible_host: {_key(host.address)}"]
    return "\n".join(lines)


def _key(word: str) -> str:
    """A word as a YAML key; quoted where YAML would take it for something else than text."""
    return word if re.match(r"^[A-Za-z][\w.\[\]:-]*$", word) and word.lower() not in _WORDS else json.dumps(word)


_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def patterns(names: Iterable[str]) -> list[str]:
    """Names as few inventory patterns, in their order: `gpu01, gpu02, gpu04` -> `gpu[01:02], gpu04`."""
    runs: list[tuple[str, list[str]]] = []
    for name in names:
        match = _NUMBERED.match(name)
        stem, number = (match["stem"], match["number"]) if match else (name, "")
        if runs and number and runs[-1][0] == stem and _follows(runs[-1][1][-1], number):
            runs[-1][1].append(number)
        else:
            runs.append((stem, [number]))
    return [f"{stem}[{run[0]}:{run[-1]}]" if len(run) > 1 else f"{stem}{run[0]}" for stem, run in runs]


def _follows(before: str, number: str) -> bool:
    """Whether `number` is the next after `before`, written as Ansible's ranges count."""
    padded = before.startswith("0") and len(before) > 1
    return before != "" and number == str(int(before) + 1).zfill(len(before) if padded else 0)

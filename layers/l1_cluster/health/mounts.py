"""Mounts: whether all that should be mounted is, and whether what lives with a server still answers.

Of a dead mount this node alone cannot tell whether it or the server is at fault. Where the client says that its own
end is broken (a stale handle, a FUSE process that is gone), it is the node's; where a network file system just keeps
silent or its server cannot be reached, no step on this node brings it back, and it is the fabric's.
"""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.ask import Ask, Record

from .check import Check, Limits, Sighting, Subject
from .mount_question import FSTAB, MOST, MOUNT_ASK, VIRTUAL, WAIT
from .mount_table import (
    Mount,
    Reply,
    by_device,
    lives_with_a_server,
    read_asked,
    read_fstab,
    read_links,
    read_mounts,
    read_replies,
)

UNITS = "mounts.units"
UNIT_ASK = Ask(
    UNITS,
    paths=("/etc/systemd/system/*.wants/*.mount", "/etc/systemd/system/*.requires/*.mount"),
    max_bytes=8192,
)

_HIDDEN = ("No such file or directory", "Not a directory")
"""Something else is mounted above it: nobody can see it, so nobody misses it."""
_ANSWERED = ("Permission denied", "Operation not permitted", "Function not implemented", "Operation not supported")
"""It refuses, so it lives: root has no ticket there, or its server has no such call."""
_OUR_END = (
    *("Stale file handle", "Transport endpoint is not connected", "Input/output error", "No such device"),
    *("Cannot send after transport endpoint shutdown", "Software caused connection abort", "Bad file descriptor"),
)
_OTHER_END = (
    *("Connection timed out", "Host is down", "No route to host", "Network is unreachable", "Connection refused"),
    *("Connection reset by peer", "Remote I/O error"),
)
_DEVICES = ("/dev/", "UUID=", "LABEL=", "PARTUUID=", "PARTLABEL=", "ID=")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Something that should be mounted.

    Attributes:
        by: Who says so, for the words of a finding.
    """

    path: str
    by: str
    severity: Literal["warn", "critical"] = "critical"


def read_units(record: Record) -> tuple[Wanted, ...]:
    """What the mount units in /etc that are enabled want; none where there is none.

    Raises:
        UnreadableError: One of them cannot be read, or names no place.
    """
    answer = record.answer(UNITS)
    if answer.truncated:
        raise UnreadableError("a mount unit was cut at its size limit")
    found: dict[str, Wanted] = {}
    for path, text in sorted(answer.files.items()):
        lines = (line.strip() for line in text.splitlines())
        pairs = (line.partition("=")[::2] for line in lines if not line.startswith(("#", ";")))
        values = {key.strip(): value.strip() for key, value in pairs}
        where, name = values.get("Where", ""), posixpath.basename(path)
        if not where.startswith(("/", "%")):
            raise UnreadableError(f"{name} does not say where it mounts")
        conditional = any(key.startswith(("Condition", "Assert")) for key in values)
        if not conditional and values.get("Type") not in VIRTUAL and "%" not in where.replace("%%", ""):
            found[name] = Wanted(posixpath.normpath(where.replace("%%", "%")), f"the enabled unit {name}")
    broken = [why for why in answer.missing.values() if why not in {"nothing matches", "No such file or directory"}]
    if broken:
        raise UnreadableError(broken[0])
    return tuple(found.values())


def _wanted(subject: Subject) -> Iterator[Wanted]:
    """All that should be mounted; the same place may come twice."""
    shared = subject.variables.aiops_shared
    if shared is not None:
        server = shared.type == "nfs-export" and subject.node.roles & {"storage", "head"}
        if shared.source != shared.path or not (shared.type == "bind" or server):
            yield Wanted(posixpath.normpath(shared.path), "`aiops_shared` in the inventory")
    yield from subject.read(read_units)
    links = subject.read(read_links)
    container = bool(subject.fact("container"))
    for entry in subject.read(read_fstab):
        on_device = entry.source.startswith(_DEVICES)
        if entry.kind in (*VIRTUAL, "swap") or not entry.path.startswith("/") or "noauto" in entry.options:
            continue
        if container and on_device:
            continue  # systemd leaves these out, too
        path = entry.path.rstrip("/") or "/"
        mild = (on_device and "nofail" in entry.options) or path.startswith("/boot")
        yield Wanted(posixpath.normpath(links.get(path, path)), FSTAB, "warn" if mild else "critical")


def _present(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    there = {posixpath.normpath(one.path) for one in subject.read(read_mounts)}
    told: set[str] = set()
    for wanted in _wanted(subject):
        if wanted.path not in there and wanted.path not in told:
            told.add(wanted.path)
            yield Sighting(
                wanted.severity,
                f"nothing is mounted there; {wanted.by} wants it",
                wanted.path,
                {"wanted_by": wanted.by},
            )


def _asked(subject: Subject) -> Iterator[tuple[Mount, Reply]]:
    """The file systems of servers, and whatever else kept silent."""
    replies = subject.read(read_replies)
    for device, mount in by_device(subject.read(read_mounts)).items():
        reply = replies.get(device)
        if reply is not None and (reply.silent or lives_with_a_server(mount)):
            yield mount, reply


def _answers(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    for mount, reply in _asked(subject):
        if not reply.silent and (not reply.failure or reply.failure in (*_HIDDEN, *_ANSWERED)):
            continue
        evidence = {"source": mount.source, "type": mount.kind, "failure": reply.failure or None}
        if not reply.silent and reply.failure not in (*_OUR_END, *_OTHER_END):
            yield Sighting("unknown", f"it answers `{reply.failure}`", mount.path, evidence)
            continue
        words = reply.failure or f"no answer to statfs within {WAIT:g} s"
        if reply.earlier:
            words = "no answer to statfs since an earlier examination"
        if any(one.startswith("user_id=") and one != "user_id=0" for one in mount.own):
            message = f"{mount.kind}, mounted by a user: {words}"
            yield Sighting("warn", message, mount.path, evidence, action="none", owner="user")
            continue
        message = f"{mount.kind} from {mount.source}: {words}"
        if not lives_with_a_server(mount):
            yield Sighting("critical", message, mount.path, evidence, action="reboot")
        elif reply.failure in _OTHER_END or (reply.silent and not mount.kind.startswith("fuse")):
            yield Sighting("critical", message, mount.path, evidence, action="none", owner="fabric")
        else:
            yield Sighting("critical", message, mount.path, evidence)
    left_out = subject.read(read_asked) - MOST
    if left_out > 0:
        yield Sighting("unknown", f"{left_out} more file systems than the {MOST} that are asked")


CHECKS = (
    Check(
        id="mount.present",
        title="all that should be mounted is",
        severity="critical",
        action="restart_service",
        owner="node",
        judges="Critical when nothing is mounted where `aiops_shared`, an enabled mount unit in /etc/systemd/system or"
        " a line of /etc/fstab without `noauto` wants it; warn for a disk with `nofail` and under /boot.",
        remedy='Mount it and read why not: `systemctl start "$(systemd-escape --path --suffix=mount PATH)"`, then'
        ' `journalctl -b -u "$(systemd-escape --path --suffix=mount PATH)"`. `aiops cluster deploy --only storage`'
        " sets up the shared directory.",
        source="NHC's check_fs_mount; what is wanted is read from the inventory and the node's own files",
        asks=(MOUNT_ASK, UNIT_ASK),
        judge=_present,
        grace=True,
    ),
    Check(
        id="mount.statfs",
        title="network and FUSE file systems answer",
        severity="critical",
        action="restart_service",
        owner="node",
        judges="Critical when one does not answer statfs within 2 s or says that it is cut off; the fabric's where a"
        " network file system keeps silent, the node's where its own end is broken; warn where a user mounted it.",
        remedy="Compare nodes: `aiops health --check mount.statfs`. If all have it, look at the server and the way"
        " there; if only this one has, take it out of service and mount again: `umount -f -l PATH && mount PATH`.",
        source="NHC #77: a stale mount passes where only /proc/mounts is read; 2 s are those of aiops' own research,"
        " twice in a row because busy servers are slow",
        asks=(MOUNT_ASK,),
        judge=_answers,
        applies=lambda subject: any(True for _ in _asked(subject)),
        sightings=2,
        grace=True,
    ),
)

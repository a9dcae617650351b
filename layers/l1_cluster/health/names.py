"""Names: whether a node can look up its own, and how long that takes.

Slurm, munge, MPI and sudo look names up all the time. It is one's own name that is asked for: it is told by /etc/hosts
as well as by a name server, so a cluster without name servers is fine.
"""

from collections.abc import Iterator
from ipaddress import ip_address

from aiops.layers.l0_nodes.answer_reading import UnreadableError, said
from aiops.layers.l0_nodes.ask import Ask, Record

from .check import Check, Limits, Sighting, Subject, Threshold

LOOKUP = "health.names.own"
LOOKUP_ASK = Ask(
    LOOKUP, ("sh", "-c", 'read -r name </proc/sys/kernel/hostname && exec getent ahosts "$name"'), max_bytes=4096
)
"""As programs ask. `getent hosts` asks for an IPv6 address first and alone, so that a name which has none in /etc/hosts
goes to a name server all the same, and where that is gone, the lookup takes seconds on a node that is well."""

_UNKNOWN_NAME = 2
_NO_PROGRAM = (126, 127)
_OTHER = "os.kernel"
_BUSY = 20
"""So many times as long as a command that looks nothing up: less, and the node is slow at everything."""


def read_lookup(record: Record) -> str | None:
    """The address that the node's own name has, or None where nobody knows it.

    Raises:
        UnreadableError: The lookup could not be made.
    """
    answer = record.answer(LOOKUP)
    if answer.exit_status == _UNKNOWN_NAME and not answer.stdout.strip():
        return None
    if answer.exit_status in _NO_PROGRAM:
        raise UnreadableError("there is no getent")
    address = said(answer).partition(" ")[0].strip()
    try:
        ip_address(address)
    except ValueError as error:
        raise UnreadableError(f"getent says `{address[:60]}`") from error
    return address


def _dns(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    answer = subject.record.answer(LOOKUP)
    limit = limits["seconds"]
    late = answer.seconds > max(limit, _BUSY * subject.record.answer(_OTHER).seconds)
    if answer.timed_out and late and "argv" not in answer.missing:
        told = f"a lookup of its own name was not answered within {answer.seconds:.0f} s, limit {limit:g} s"
        yield Sighting("warn", told, evidence={"seconds": answer.seconds, "address": None}, owner="fabric")
        return
    address = subject.read(read_lookup)
    if address is None:
        yield Sighting("warn", "nobody knows its own name", evidence={"seconds": answer.seconds, "address": None})
    elif late:
        told = f"a lookup of its own name took {answer.seconds:.1f} s, limit {limit:g} s"
        yield Sighting("warn", told, evidence={"seconds": answer.seconds, "address": address}, owner="fabric")


CHECKS = (
    Check(
        id="net.dns",
        title="names are looked up at once",
        severity="warn",
        action="none",
        owner="node",
        judges="Warn when a lookup of the node's own name, by whatever nsswitch.conf names, finds nothing"
        " or takes longer than 2 seconds.",
        remedy="See who is asked: `getent ahosts $(hostname)`, /etc/nsswitch.conf, /etc/resolv.conf. `aiops cluster"
        " deploy --only base` writes all nodes into /etc/hosts.",
        source="aiops' own: a lookup in /etc/hosts takes milliseconds, a name server that is gone 5 seconds and more",
        asks=(LOOKUP_ASK,),
        judge=_dns,
        thresholds=(Threshold("seconds", 2, "s", "aiops' own: sudo and ssh already feel stuck then", least=0.1),),
        tags=("network",),
        sightings=2,
        grace=True,
    ),
)

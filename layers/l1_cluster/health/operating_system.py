"""The operating system as it stands: whether it waits for a reboot."""

from collections.abc import Iterator

from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l1_cluster.observation import REBOOT_MARKER

from .check import Check, Limits, Sighting, Subject

REBOOT = "health.os.reboot"
_MARKER, _PACKAGES = "/run/reboot-required", "/run/reboot-required.pkgs"
ASK = Ask(REBOOT, paths=(_MARKER, _PACKAGES, REBOOT_MARKER), max_bytes=4096)
_ABSENT = "No such file or directory"


def read_reboot_reasons(record: Record) -> tuple[str, ...]:
    """Who wants a reboot; empty where nobody does.

    Raises:
        UnreadableError: It cannot be known.
    """
    answer = record.answer(REBOOT)
    for path in (_MARKER, REBOOT_MARKER):
        if path not in answer.files and answer.missing.get(path) != _ABSENT:
            raise UnreadableError(f"{path}: {answer.missing.get(path, 'not answered')}")
    reasons = []
    if _MARKER in answer.files:
        packages = dict.fromkeys(answer.files.get(_PACKAGES, "").split())
        reasons += list(packages)[:8] or ["the distribution"]
    if REBOOT_MARKER in answer.files:
        reasons.append("a change by aiops")
    return tuple(reasons)


def _reboot_required(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    if reasons := subject.read(read_reboot_reasons):
        yield Sighting("warn", f"a reboot is waited for by {', '.join(reasons)[:160]}", evidence={"by": list(reasons)})


CHECKS = (
    Check(
        id="os.reboot_required",
        title="no reboot is waited for",
        severity="warn",
        action="reboot",
        owner="node",
        judges="Warn when a package of the distribution or a change by aiops left a mark that a reboot is needed.",
        remedy="See who wants it: `cat /run/reboot-required.pkgs`. Drain the node and reboot it.",
        source="Debian's and Ubuntu's /run/reboot-required, and the mark that `aiops cluster deploy` leaves",
        asks=(ASK,),
        judge=_reboot_required,
        tags=("kernel",),
    ),
)

"""The cases of cases.txt and more_cases.txt, written from the formats of the tools and not from logs."""

from dataclasses import dataclass
from pathlib import Path

from aiops.layers.l2_jobs.fault.fault_class import fault_class


@dataclass(frozen=True, slots=True)
class Case:
    """A log of a few lines and what it is."""

    kind: str
    retryable: bool
    bad_node: bool
    lines: tuple[str, ...]


def read_cases(path: Path) -> tuple[Case, ...]:
    """The cases of a file, in their order."""
    found: list[Case] = []
    kind, retryable, bad_node = "", False, False
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("== "):
            kind, *values = line.split()[1:]
            usual = fault_class(kind)
            retryable, bad_node = [one == "yes" for one in values] or [usual.retryable, usual.bad_node]
        elif kind and line:
            found.append(Case(kind, retryable, bad_node, tuple(line.replace("\\t", "\t").split("\\n"))))
    return tuple(found)


CASES = tuple(case for name in ("cases.txt", "more_cases.txt") for case in read_cases(Path(__file__).with_name(name)))

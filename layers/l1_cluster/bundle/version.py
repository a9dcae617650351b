"""Debian's order of versions, as dpkg has it. Pure."""

import re
from functools import cmp_to_key

_PARTS = re.compile(r"(\D*)(\d*)")


def compare_versions(left: str, right: str) -> int:
    """Negative, zero or positive as `left` is older than, equal to or newer than `right`."""
    for one, other in zip(_split(left), _split(right), strict=True):
        order = _compare(one, other)
        if order:
            return order
    return 0


version_key = cmp_to_key(compare_versions)
"""For `sorted` and `max`."""


def upstream(version: str) -> str:
    """The maker's version: without epoch and Debian revision (`1:580.95.05-0ubuntu1` -> `580.95.05`)."""
    return _split(version)[1]


def _split(version: str) -> tuple[str, str, str]:
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    main, dash, revision = rest.rpartition("-")
    return (epoch, main, revision) if dash else (epoch, revision, "0")


def _compare(left: str, right: str) -> int:
    ours, theirs = _PARTS.findall(left), _PARTS.findall(right)
    length = max(len(ours), len(theirs))
    for (text, digits), (other_text, other_digits) in zip(
        ours + [("", "")] * (length - len(ours)), theirs + [("", "")] * (length - len(theirs)), strict=True
    ):
        weights, other_weights = _weights(text), _weights(other_text)
        if weights != other_weights:
            return -1 if weights < other_weights else 1
        number, other_number = int(digits or 0), int(other_digits or 0)
        if number != other_number:
            return -1 if number < other_number else 1
    return 0


def _weights(text: str) -> list[int]:
    """`~` before the end, the end before letters, letters before all else."""
    return [-1 if char == "~" else ord(char) if char.isalpha() else ord(char) + 256 for char in text] + [0]

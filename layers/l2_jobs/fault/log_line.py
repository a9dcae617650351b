"""A line of a log, freed from what was put before it: colours, times, ranks, hosts, levels."""

import re
from dataclasses import dataclass

LONGEST = 4096
"""Characters of a line that are looked at; what stands behind them is judged as lines of its own."""

_OVERLAP = 256
_COLOUR = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])")
_RANK = re.compile(
    r"(?:^|[\s\[(|])(?:global[ _])?rank[ _:=]{0,2}(\d{1,6})\b|^\[(?:default)?(\d{1,5})\]:|^\[\d+,(\d{1,6})\]<std",
    re.IGNORECASE,
)
_BEFORE = re.compile(
    r"""(?:
    \s+
    | \[[^\]\n]{0,120}\]:?                                    # [rank0]: [E1206 18:44:12 x.cpp:607] [  12.3] [1,12]
    | <std(?:out|err)>:?
    | \([^()\n]{0,20}(?:pid|ip|rank|worker|engine|tp)[^()\n]{0,80}\)   # (Worker pid=17096)
    | \d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?)?:?
    | (?:[A-Z][a-z]{2}[ ]+)?(?:[A-Z][a-z]{2}[ ]+\d{1,2}[ ]+)?\d\d:\d\d:\d\d(?:[.,]\d+)?:?
    | [EWIFC]\d{4}[ ]\d\d:\d\d:\d\d\.\d+[ ]+\d+[ ]\S+:\d+\]
    | (?:ERROR|INFO|WARNING|WARN|CRITICAL|FATAL|DEBUG|error|fatal)\b[ :|-]*
    | \d\d-\d\d(?=\s)
    | (?:rank|Rank|RANK)[ _]?\d+[:\]]?
    | (?:stderr|stdout|root|__main__)\b[ :|-]*
    | \w+\.py:\d+[\]:]*
    | [-|│╭╰❱>*]+
    | \d{1,5}:(?=\s)
    | [\w.-]{1,64}[ ](?:kernel|python\d?|torchrun|bash|\w+\[\d+\]):
    | \w+(?:-\d+)?\s+\|(?=\s)
    | [0-9a-f]{6,12}[ ]\|\|
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a log.

    Attributes:
        text: Without colours and without what stands before the message.
        whole: Without colours.
        rank: The global rank that the line is marked with.
    """

    text: str
    whole: str
    rank: int | None


_SECRET = re.compile(
    r"\bhf_[A-Za-z0-9]{16,}|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bsk-[A-Za-z0-9_-]{20,}|\bgh[opsu]_[A-Za-z0-9]{20,}"
    r"|(?<=[Bb]earer )\S{8,}|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
    r"|(?i:(?<=password[=:])|(?<=passwd[=:])|(?<=token[=:])|(?<=secret[=:])|(?<=api_key[=:])|(?<=apikey[=:]))[^\s,;'\"}]{6,}"
)


def withheld(line: str) -> str:
    """`line` without what looks like a token or password: evidence is kept and shown to others."""
    return _SECRET.sub("[withheld]", line)


def plain(line: str) -> str:
    """`line` without colours and control characters at its end."""
    return (_COLOUR.sub("", line) if "\x1b" in line else line).rstrip()


def read_line(line: str) -> LogLine:
    """The parts of a line; any text will do."""
    whole = plain(line)
    at = 0
    for _ in range(16):  # a bound: each piece takes at least a character
        found = _BEFORE.match(whole, at)
        if found is None or found.end() == at:
            break
        at = found.end()
    return LogLine(whole[at:], whole, rank_of(whole))


def rank_of(line: str) -> int | None:
    """The global rank that a line is marked with; None where there is no mark."""
    found = _RANK.search(line, 0, 160)
    return int(next(one for one in found.groups() if one)) if found else None


def pieces(line: str) -> list[str]:
    """`line` in parts of at most `LONGEST` characters; progress bars return to the start of their line."""
    if len(line) <= LONGEST and "\r" not in line:
        return [line]
    found: list[str] = []
    for part in line.split("\r"):
        if len(part) <= LONGEST:
            found.append(part)
            continue
        found += [part[at : at + LONGEST] for at in range(0, len(part), LONGEST - _OVERLAP)]
    return [one for one in found if one] or [""]

"""The words of `aiops_power_status`: refused are secrets, which all users would see, and what would switch power. Pure.

What a script does that they name is its writer's to look after; these are the mistakes that a known program invites.
"""

import posixpath
import re
from collections.abc import Sequence

_SHORT = {"ipmitool": ("hVcvgsaEKY", "Pky"), "ipmipower": ("?Vs", "pk"), "ipmi-power": ("?Vs", "pk")}
"""Of the programs that are known: letters that take no value, and those whose value is a secret."""

_STAT = frozenset({"-s", "--stat"})
_SWITCHES = frozenset({"-n", "--on", "-f", "--off", "-c", "--cycle", "-r", "--reset", "--pulse", "--soft"})

_LONG = re.compile(r"--(?:password|k-g|passwd|pass)(?:=|$)", re.IGNORECASE)
_IN_A_LINE = re.compile(r"\bipmitool\b[^|;&]*\s-[hVcvgsaEKY]*[Pky]")
_WITH_PASSWORD = re.compile(r"[a-z][a-z0-9+.-]*://[^/@\s:]*:[^/@\s]+@", re.IGNORECASE)


def require_harmless(words: list[str]) -> list[str]:
    """The same words.

    Raises:
        ValueError: They hold a secret, would switch the power, or can be no command; no secret is repeated.
    """
    if not words:
        return words
    if not words[0].strip() or any("\0" in word for word in words):
        raise ValueError("should be a list of words that begins with a program, without NUL bytes")
    if _has_secret(words):
        raise ValueError(
            "should read the password from a file: all users of a machine see the words of a command"
            " (ipmitool and curl know `-f FILE` and `--netrc-file FILE`)"
        )
    programs = {posixpath.basename(word) for word in words}
    if "ipmitool" in programs and words[-2:] != ["power", "status"]:
        raise ValueError("should only ask: the words of ipmitool end in `power status`")
    if programs & {"ipmipower", "ipmi-power"} and not (_STAT & set(words) and not _SWITCHES & set(words)):
        raise ValueError("should only ask: ipmipower does so with `--stat`, and with no other of its actions")
    return words


def _has_secret(words: Sequence[str]) -> bool:
    program = ""
    for number, word in enumerate(words):
        name = posixpath.basename(word)
        program = name if name in _SHORT or name == "curl" else program
        if _IN_A_LINE.search(word) or _WITH_PASSWORD.search(word):
            return True
        if program in _SHORT and (_LONG.match(word) or _short(word, *_SHORT[program])):
            return True
        if program == "curl" and _of_curl(word, words[number + 1] if number + 1 < len(words) else ""):
            return True
    return False


def _short(word: str, plain: str, secret: str) -> bool:
    """Whether an option of one letter, or several in one word, is one whose value is a secret."""
    if not word.startswith("-") or word.startswith("--"):
        return False
    letter = word[1:].lstrip(plain)[:1]
    return bool(letter) and letter in secret


def _of_curl(word: str, after: str) -> bool:
    """Whether a word of curl's gives a password: `-u NAME:PASSWORD`, or a header that lets somebody in."""
    if word in {"-u", "--user", "--proxy-user", "-U", "--oauth2-bearer", "--pass"}:
        return ":" in after or word in {"--oauth2-bearer", "--pass"}
    if word in {"-H", "--header"}:
        return bool(re.match(r"\s*(?:authorization|x-auth-token)\s*:", after, re.IGNORECASE))
    return word.startswith("-u") and ":" in word

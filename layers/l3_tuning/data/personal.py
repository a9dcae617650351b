"""Personal data and secrets in text: where they stand. Pure, and quick on text that has none.

Found is what can be checked: cards by Luhn (ISO/IEC 7812-1), accounts by ISO 13616 with the lengths of its registry,
addresses by what the registries call global. What documentation uses for examples is no one's: example.com (RFC 2606),
192.0.2.0/24 and its like (RFC 5737), 555-01xx, the card numbers that payment firms give for tests.
"""

import ipaddress
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from string import ascii_letters, digits
from typing import Final, NamedTuple

KINDS: Final = ("email", "phone", "card", "iban", "ip", "key")
"""What is looked for; each is `personal.KIND` in the catalogue."""


class Personal(NamedTuple):
    """One of them.

    Attributes:
        kind: One of `KINDS`.
        start: Its first character.
        end: The character after its last.
    """

    kind: str
    start: int
    end: int


_TOP = (
    "com|org|net|edu|gov|mil|int|info|biz|name|pro|online|site|shop|store|tech|cloud|email|live|news|blog|world|group|"
    "dev|app|xyz|club|agency|digital|solutions|company|global|city|berlin|london|paris"
)
_EMAIL = re.compile(
    rf"(?<![\w.%+/-])[A-Za-z0-9](?:[A-Za-z0-9._%+-]{{0,62}}[A-Za-z0-9_])?@((?:[A-Za-z0-9-]{{1,63}}\.)*?[A-Za-z0-9-]{{2,63}}"
    rf"\.(?:{_TOP}|{_TOP.upper()}|[a-z]{{2}}|[A-Z]{{2}}))(?![\w-]|\.[A-Za-z0-9])"
)
_NOBODY = re.compile(r"(?:^|\.)(?:example\.(?:com|org|net|edu)|example|test|invalid|localhost|local)$", re.IGNORECASE)
_SERVICE = ("git@", "noreply@", "no-reply@")

_DIGITS = re.compile(r"[0-9](?:[ .()/:-]{0,3}[0-9]){6}")
"""What all numbers here have; begins with a set, so that text without digits is passed over at once."""

_INTERNATIONAL = re.compile(
    r"(?<![\w.,+*/=^-])\+[1-9]\d{0,2}(?:[ .()/-]{1,3}\d{1,5}){2,6}(?![\w%]|[.,]\d)|(?<=[ :(])\+[1-9]\d{9,13}(?![\w.%])"
)
_AMERICAN = re.compile(r"(?<![\w.+(/-])(?:\([2-9]\d\d\) ?|[2-9]\d\d([-.]))[2-9]\d\d(?(1)\1|-)\d{4}(?![\w-]|\.\d)")
_CALLED = re.compile(
    r"(?i:\b(?:tel|telephone|telefon|phone|mobile|cell|fax|whatsapp|handy|call|téléphone|teléfono)\b|电话|手机|電話|联系方式)"
    r"[^\d\n+]{0,16}(\+?\(?\d[\d ()/.-]{6,18}\d)(?![\w%])"
)
_FICTION = re.compile(r"555\D?01\d\d$")
_PHONE: Final = (8, 15)

_CARD = re.compile(
    r"(?<![\w.,+*/=^-])(?:[2-6]\d{3}([ -]?)\d{4}\1\d{4}\1\d{4}|3[47]\d{2}([ -]?)\d{6}\2\d{5})(?![\w-]|[.,]\d| \d)"
)
_BRANDS = re.compile(r"4|5[1-5]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)|3[47]|6011|65|62|35(?:2[89]|[3-8])")
_TRIAL: Final = frozenset(
    {
        *("4111111111111111", "4242424242424242", "4012888888881881", "4000056655665556", "5555555555554444"),
        *("5105105105105100", "2223003122003222", "378282246310005", "371449635398431", "6011111111111117"),
        *("6011000990139424", "3530111333300000"),
    }
)

_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?:[ ]?[A-Z0-9]{4}){2,7}(?:[ ]?[A-Z0-9]{1,3})?(?![A-Za-z0-9])")
_IBAN_LENGTHS: Final = {
    country: length
    for length, countries in {
        15: "NO",
        16: "BE",
        18: "DK FI FO GL NL",
        19: "MK SI",
        20: "AT BA EE KZ LT LU XK",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA",
        23: "AE GI IL IQ TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST",
        26: "IS TR",
        27: "FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HU LB PL SV",
        29: "BR EG PS QA UA",
        30: "JO KW MU",
        31: "MT SC",
        32: "LC",
    }.items()
    for country in countries.split()
}
"""Characters of an account's number by country, by the registry of ISO 13616."""

_KNOWN_IBAN: Final = frozenset({"GB82WEST12345698765432", "DE89370400440532013000", "GB29NWBK60161331926819"})
"""Of the standard's own page and of every tutorial."""

_IPV4 = re.compile(r"(?<![\w.+-])(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])[23][0-9A-Fa-f]{3}:(?:[0-9A-Fa-f]{0,4}:){2,6}[0-9A-Fa-f]{1,4}(?![\w:])")
_VERSION = re.compile(r"(?i)(?:version|release|build|\bver|\bv|/|[=~<>]=|§|section|chapter|\bsec\.?)\s*$")
_SHORTEST_IPV4 = 10
"""Characters; `1.2.3.4` and the like are numbers of versions and of chapters."""

_COLONS = 7
"""Of an IPv6 address that leaves nothing out."""

_RESOLVERS: Final = frozenset({"208.67.222.222", "208.67.220.220", "114.114.114.114", "223.5.5.5", "223.6.6.6"})

_KEY = re.compile(
    r"-----BEGIN (?:[A-Z]+ ){0,2}PRIVATE KEY(?: BLOCK)?-----(?:\s|\\[nr])*(?:[A-Z][A-Za-z-]+: [^\n]*\s)*"
    r"(?:[A-Za-z0-9+/=]{16,}(?:\s|\\[nr])*)+"
    r"|(?<![A-Za-z0-9])(?:(?:AKIA|ASIA)[0-9A-Z]{16}|LTAI[A-Za-z0-9]{16,24}|gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{40,}"
    r"|glpat-[A-Za-z0-9_-]{20,}|xox[abprs]-[A-Za-z0-9-]{20,}|sk_live_[A-Za-z0-9]{20,}|sk-(?:ant-|proj-)?[A-Za-z0-9_-]{32,}"
    r"|AIza[A-Za-z0-9_-]{35}|hf_[A-Za-z0-9]{34}|pypi-AgE[A-Za-z0-9_-]{40,}|npm_[A-Za-z0-9]{36}"
    r"|eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,})"
)
_KEY_MARKS: Final = (
    " PRIVATE KEY", "AKIA", "ASIA", "LTAI", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox",
    "sk_live_", "sk-", "AIza", "hf_", "pypi-AgE", "npm_", "eyJ",
)  # fmt: skip
_KEY_SEEN: Final = b"k" * 20
"""What each of `_KEY` but private keys has so many of in a row, where `_KEY_SEEN_AS` writes `k` for what they have."""

_DISTINCT = 10
"""Different characters that a real key has at least; `sk-xxxxxxxx` stands for one."""


def _seen_as(**characters: str) -> bytes:
    """A table for `bytes.translate`: the one letter for each of its characters, and a line's end for all others."""
    table = bytearray(b"\n" * 256)
    for letter, ones in characters.items():
        for one in ones.encode():
            table[one] = ord(letter)
    return bytes(table)


_KEY_SEEN_AS: Final = _seen_as(k=ascii_letters + digits + "_-")
_SEEN_AS: Final = _seen_as(d=digits, s=" .()/:-")
_DIGITS_SEEN: Final = re.compile(rb"d(?:s{0,3}d){6}")
"""`_DIGITS`, where `_SEEN_AS` writes `d` and `s`: begins with one letter, which is found at once."""

_COLONS_SEEN: Final = re.compile(rb":[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:")
"""What every address of `_IPV6` has."""

_SIGNS_SEEN: Final = (re.compile(rb"@"), re.compile(rb" PRIVATE KEY"))


def suspects(texts: Sequence[str]) -> set[int]:
    """Numbers of the texts in which `personal` may find something: in all others it finds nothing. Quick for many."""
    encoded = [text.encode() for text in texts]
    whole = b"\n".join(encoded)
    ends = list(accumulate(len(text) + 1 for text in encoded))
    places = [match.start() for match in _DIGITS_SEEN.finditer(whole.translate(_SEEN_AS))]
    places += (match.start() for pattern in (_COLONS_SEEN, *_SIGNS_SEEN) for match in pattern.finditer(whole))
    found = {bisect_right(ends, place) for place in places}
    long, place = whole.translate(_KEY_SEEN_AS), -1
    while (place := long.find(_KEY_SEEN, place + 1)) >= 0:
        number = bisect_right(ends, place)
        place = ends[number] - 1
        if any(mark in texts[number] for mark in _KEY_MARKS):
            found.add(number)
    return found


def personal(text: str) -> list[Personal]:
    """All that is found in `text`, by place; what lies within another is not told twice."""
    found: list[Personal] = []
    if "@" in text:
        found += _emails(text)
    for mark in _KEY_MARKS:
        if mark in text:
            found += _keys(text)
            break
    if _DIGITS.search(text):
        found += _numbers(text)
    elif ":" in text:  # an address of the new kind may have few digits
        found += _sixes(text)
    return _apart(found) if len(found) > 1 else found


def _apart(found: list[Personal]) -> list[Personal]:
    apart: list[Personal] = []
    for one in sorted(found, key=lambda one: (one.start, -one.end)):
        if not apart or one.start >= apart[-1].end:
            apart.append(one)
    return apart


def _emails(text: str) -> Iterator[Personal]:
    for match in _EMAIL.finditer(text):
        if not _NOBODY.search(match[1]) and not match[0].lower().startswith(_SERVICE):
            yield Personal("email", match.start(), match.end())


def _keys(text: str) -> Iterator[Personal]:
    for match in _KEY.finditer(text):
        if len(set(match[0])) >= _DISTINCT and "EXAMPLE" not in match[0]:
            yield Personal("key", match.start(), match.end())


def _numbers(text: str) -> Iterator[Personal]:
    taken: list[Personal] = []
    taken += (Personal("iban", *match.span()) for match in _IBAN.finditer(text) if _is_iban(match[0]))
    taken += (Personal("card", *match.span()) for match in _CARD.finditer(text) if _is_card(match[0]))
    taken += (Personal("ip", *match.span()) for match in _IPV4.finditer(text) if _is_public(text, match))
    taken += _sixes(text)
    yield from taken
    for start, end in _phones(text):
        if not any(one.start < end and start < one.end for one in taken):
            yield Personal("phone", start, end)


def _phones(text: str) -> Iterator[tuple[int, int]]:
    spans = [match.span() for pattern in (_INTERNATIONAL, _AMERICAN) for match in pattern.finditer(text)]
    spans += [match.span(1) for match in _CALLED.finditer(text)]
    for start, end in spans:
        number = text[start:end]
        digits = sum(character.isdigit() for character in number)
        if _PHONE[0] <= digits <= _PHONE[1] and not _FICTION.search(number):
            yield start, end


def _is_card(number: str) -> bool:
    digits = number.replace(" ", "").replace("-", "")
    if digits in _TRIAL or not _BRANDS.match(digits) or len(set(digits)) < 4:  # noqa: PLR2004
        return False
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (doubled + sum(int(digit) for digit in digits[-1::-2])) % 10 == 0


def _is_iban(number: str) -> bool:
    compact = number.replace(" ", "")
    if compact in _KNOWN_IBAN or len(compact) != _IBAN_LENGTHS.get(compact[:2]):
        return False
    return int("".join(str(int(character, 36)) for character in compact[4:] + compact[:4])) % 97 == 1


def _is_public(text: str, match: re.Match[str]) -> bool:
    number = match[0]
    if (
        len(number) < _SHORTEST_IPV4
        or number in _RESOLVERS
        or _VERSION.search(text, max(0, match.start() - 12), match.start())
    ):
        return False
    try:
        return _is_someones(ipaddress.IPv4Address(number))
    except ValueError:
        return False


def _is_someones(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return address.is_global and not address.is_multicast


def _sixes(text: str) -> Iterator[Personal]:
    if "::" not in text and text.count(":") < _COLONS:
        return
    for match in _IPV6.finditer(text):
        try:
            if _is_someones(ipaddress.IPv6Address(match[0])) and not match[0].lower().startswith(
                ("2001:4860:", "2606:4700:")
            ):
                yield Personal("ip", *match.span())
        except ValueError:
            continue

"""Answers of a vendor's tool, spoilt by a seed in every way that outputs are."""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from aiops.layers.l0_nodes.ask import Answer

HUGE = 200_000
"""Characters of an output that does not end."""

_WORDS = (
    "N/A",
    "[N/A]",
    "-",
    "",
    "Unknown Error",
    "ERR!",
    "9" * 40,
    "-1",
    "nan",
    "1e309",
    "℃",
    "65535",
    "NULL",
    "\uff10",
)
_FOREIGN = (
    "",
    "\n",
    "bash: tool: command not found\n",
    "<html><body>502 Bad Gateway</body></html>\n",
    "{}",
    "[]",
    "null",
    '{"devices": null}',
    "[" * 3000,
    '{"a":' * 3000,
    '<?xml version="1.0"?><a><b></a>',
    "Segmentation fault (core dumped)\n",
    "Failed to initialize: Driver/library version mismatch\n",
    "错误, 未检测到设备\n",
    "Traceback (most recent call last):\n  File \"x\", line 1\nModuleNotFoundError: No module named 'x'\n",
)


@dataclass(frozen=True)
class Garbled:
    """A record that was spoilt.

    Attributes:
        ways: How, by ask.
        structural: Whether only the form was spoilt: whole lines, ends, what stands around; no value in a line that is
            still there was changed.
    """

    answers: Mapping[str, Answer]
    ways: Mapping[str, str]
    structural: bool


Way = Callable[[random.Random, str, Sequence[str]], str]


def _truncated(dice: random.Random, text: str, _others: Sequence[str]) -> str:
    return text[: dice.randrange(len(text))] if text else text


def _beheaded(dice: random.Random, text: str, _others: Sequence[str]) -> str:
    return text[dice.randrange(len(text)) :] if text else text


def _lines(change: Callable[[random.Random, list[str]], None]) -> Way:
    def way(dice: random.Random, text: str, _others: Sequence[str]) -> str:
        lines = text.splitlines(keepends=True)
        if lines:
            change(dice, lines)
        return "".join(lines)

    return way


def _dropped(dice: random.Random, lines: list[str]) -> None:
    first = dice.randrange(len(lines))
    del lines[first : first + dice.choice((1, 1, 1, 2, 5))]


def _doubled(dice: random.Random, lines: list[str]) -> None:
    first = dice.randrange(len(lines))
    lines[first:first] = lines[first : first + dice.choice((1, 1, 3, 10))]


def _swapped(dice: random.Random, lines: list[str]) -> None:
    one, other = dice.randrange(len(lines)), dice.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]


def _shifted(dice: random.Random, lines: list[str]) -> None:
    place = dice.randrange(len(lines))
    line = lines[place]
    column = dice.randrange(len(line) + 1)
    blanks = " " * dice.choice((1, 2, 7))
    lines[place] = line[:column] + blanks + line[column:] if dice.random() < 0.5 else line.replace("  ", " ")


def _noise(dice: random.Random, lines: list[str]) -> None:
    said = dice.choice(
        ("WARNING: a library is old\n", "\x00\x00\x00\n", "\x1b[31m\x1b[0m\n", "\r\n", "\ufeff", "|||||\n")
    )
    lines.insert(dice.randrange(len(lines) + 1), said)


def _coloured(_dice: random.Random, text: str, _others: Sequence[str]) -> str:
    return re.sub(r"(\S+)", "\x1b[1m\\1\x1b[0m", text)


def _dos(_dice: random.Random, text: str, _others: Sequence[str]) -> str:
    return text.replace("\n", "\r\n")


def _flipped(dice: random.Random, text: str, _others: Sequence[str]) -> str:
    data = bytearray(text.encode())
    for _ in range(dice.choice((1, 1, 4, 40))):
        if data:
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    return data.decode("utf-8", "replace")


def _worded(dice: random.Random, text: str, _others: Sequence[str]) -> str:
    word, numbers = dice.choice(_WORDS), list(re.finditer(r"\d+(?:\.\d+)?", text))
    if not numbers or dice.random() < 0.2:
        return re.sub(r"\d+", lambda _: word, text)
    found = dice.choice(numbers)
    return text[: found.start()] + word + text[found.end() :]


def _decimal_commas(_dice: random.Random, text: str, _others: Sequence[str]) -> str:
    return re.sub(r"(\d)\.(\d)", r"\1,\2", text)


def _keys(_dice: random.Random, text: str, _others: Sequence[str]) -> str:
    return re.sub(r"[A-Za-z]{4,}", lambda found: found[0].upper(), text)


def _translated(_dice: random.Random, text: str, _others: Sequence[str]) -> str:
    return re.sub(r"[A-Za-z]{4,}", "设备", text)


def _reshaped(_dice: random.Random, text: str, _others: Sequence[str]) -> str:
    return text.replace("{", "[").replace("}", "]").replace("<", "{").replace(">", "}")


def _another(dice: random.Random, _text: str, others: Sequence[str]) -> str:
    return dice.choice((*others, *_FOREIGN))


def _mixed(dice: random.Random, text: str, others: Sequence[str]) -> str:
    other = dice.choice(others) if others else ""
    return text[: dice.randrange(len(text) + 1)] + other[dice.randrange(len(other) + 1) :]


def _huge(dice: random.Random, text: str, _others: Sequence[str]) -> str:
    piece = dice.choice((text, "9", "|", " ", "\x00", "{", "a: b\n", "0, 0, 0\n", "== 0 0\n")) or "x"
    return text + piece * (HUGE // len(piece))


STRUCTURAL: Mapping[str, Way] = {
    "cut short": _truncated,
    "cut at its head": _beheaded,
    "lines dropped": _lines(_dropped),
    "lines doubled": _lines(_doubled),
    "noise between": _lines(_noise),
    "other line ends": _dos,
    "without end": _huge,
}
OTHER: Mapping[str, Way] = {
    "lines swapped": _lines(_swapped),
    "columns shifted": _lines(_shifted),
    "coloured": _coloured,
    "bits flipped": _flipped,
    "another word for a number": _worded,
    "decimal commas": _decimal_commas,
    "capitals": _keys,
    "another language": _translated,
    "another shape": _reshaped,
    "another's output": _another,
    "mixed with another's": _mixed,
}


def garbled(dice: random.Random, answers: Mapping[str, Answer], others: Sequence[str]) -> Garbled:
    """A record of which one answer, or several, are spoilt.

    Args:
        dice: Decides all.
        answers: As they should be.
        others: Outputs of other vendors' tools.
    """
    told = [name for name, one in answers.items() if one.stdout or one.files]
    chosen = set(told) if dice.random() < 0.25 else {dice.choice(told)}
    spoilt, ways = dict(answers), {}
    for name in sorted(chosen):
        ways[name], spoilt[name] = _spoilt(dice, answers[name], others)
    return Garbled(spoilt, ways, structural=all(way not in OTHER for way in ways.values()))


def _spoilt(dice: random.Random, answer: Answer, others: Sequence[str]) -> tuple[str, Answer]:
    ending = dice.random()
    if ending < 0.02:
        return "not answered", Answer(answer.name, missing={"argv": "tool: not found"})
    if ending < 0.04:
        return "killed", replace(
            _with(answer, lambda text: _truncated(dice, text, ())), exit_status=None, timed_out=True
        )
    if ending < 0.07:
        return "failed with a good text", replace(answer, exit_status=dice.choice((1, 2, 9, 255)))
    way = dice.choice((*STRUCTURAL, *OTHER))
    change = STRUCTURAL.get(way) or OTHER[way]
    return way, _with(answer, lambda text: change(dice, text, others))


def _with(answer: Answer, change: Callable[[str], str]) -> Answer:
    files_ = {path: change(text) for path, text in answer.files.items()}
    return replace(answer, stdout=change(answer.stdout), files=files_)

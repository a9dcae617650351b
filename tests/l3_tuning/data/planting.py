"""Faults of every kind, planted into clean rows."""

import json
import random
from collections.abc import Callable
from typing import Any

QUESTION = "Which of the sixteen nodes of the new cluster holds the licence server of the simulation group?"
"""What an evaluation asks."""

SHORT_QUESTION = "Who was Ada Lovelace?"
LENGTH = 600
"""Tokens; no clean row has so many."""

Plant = Callable[[random.Random, int], "bytes | list[dict[str, Any]]"]


def line(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def pair(number: int, asked: str = "", answer: str = "") -> list[dict[str, Any]]:
    return [
        {"role": "user", "content": asked or f"{number}: What is it?"},
        {"role": "assistant", "content": answer or f"It is {number}."},
    ]


def says(*texts: str) -> Plant:
    """One of `texts` stands in what the user or the assistant says."""

    def plant(rng: random.Random, number: int) -> list[dict[str, Any]]:
        said = f"{number}: it says {rng.choice(texts)} there"
        return pair(number, answer=said) if rng.random() < 0.5 else pair(number, asked=said)

    return plant


def turn(where: int, **changed: Any) -> Plant:
    """A turn with other keys; None takes one away."""

    def plant(rng: random.Random, number: int) -> list[dict[str, Any]]:
        turns = pair(number)
        turns[where] = {key: value for key, value in {**turns[where], **changed}.items() if value is not None}
        return turns

    return plant


def _order(rng: random.Random, number: int) -> list[dict[str, Any]]:
    user, assistant = pair(number)
    system = {"role": "system", "content": f"Be kind, {number}."}
    return rng.choice(
        (
            [user, user, assistant],
            [assistant, user, assistant],
            [user],
            [user, assistant, user],
            [user, assistant, system, user, assistant],
            [system, system, user, assistant],
            [user, assistant, assistant],
            [system],
            [user, {"role": "tool", "content": "x"}, assistant],
        )
    )


def _call(number: int, **changed: Any) -> list[dict[str, Any]]:
    function = {"name": "weather", "arguments": '{"city": "Paris"}', **changed}
    call = {"id": "c1", "type": "function", "function": function}
    user, assistant = pair(number)
    answer = {"role": "tool", "content": "22", "tool_call_id": "c1"}
    return [user, {"role": "assistant", "content": None, "tool_calls": [call]}, answer, assistant]


def _broken_call(rng: random.Random, number: int) -> list[dict[str, Any]]:
    return _call(number, **rng.choice(({"arguments": "{not json"}, {"name": ""}, {"arguments": "[1]"})))


def _cut(rng: random.Random, number: int) -> bytes:
    whole = line({"messages": pair(number)})
    return whole[: rng.randint(1, len(whole) - 1)]


def _luhn(rng: random.Random) -> str:
    while True:
        digits = [4, *(rng.randint(0, 9) for _ in range(14))]
        doubled = sum(sum(divmod(2 * one, 10)) for one in digits[0::2])
        number = "".join(map(str, [*digits, -(doubled + sum(digits[1::2])) % 10]))
        if len(set(number)) >= 4:
            return " ".join(number[at : at + 4] for at in range(0, 16, 4)) if rng.random() < 0.5 else number


def _iban(rng: random.Random) -> str:
    account = "".join(str(rng.randint(0, 9)) for _ in range(18))
    check = 98 - int(account + "131400") % 97
    compact = f"DE{check:02d}{account}"
    return " ".join(compact[at : at + 4] for at in range(0, 22, 4)) if rng.random() < 0.5 else compact


def made(make: Callable[[random.Random], str]) -> Plant:
    return lambda rng, number: says(make(rng))(rng, number)


def _token(rng: random.Random, prefix: str, size: int) -> str:
    return prefix + "".join(rng.choices("abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789", k=size))


def _private_key(rng: random.Random) -> str:
    body = "\n".join(_token(rng, "", 64) for _ in range(4))
    return f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----"


def _key(rng: random.Random) -> str:
    return rng.choice(
        (
            _token(rng, "ghp_", 36),
            _token(rng, "hf_", 34),
            _token(rng, "sk-proj-", 40),
            _token(rng, "AKIA", 16).upper(),
            _private_key(rng),
            _token(rng, "glpat-", 20),
        )
    )


CHAT: dict[str, Plant] = {
    "json.broken": _cut,
    "json.not_object": lambda rng, number: rng.choice((b"[1, 2]", b'"text"', b"17", b"null")),
    "encoding.utf8": lambda rng, number: line({"messages": pair(number, "Stra~e?")}).replace(b"~", b"\xdf"),
    "encoding.surrogate": lambda rng, number: line({"messages": pair(number, "a~b")}).replace(b"~", b"\\ud83d"),
    "encoding.replacement": says("lost \ufffd here"),
    "encoding.mojibake": says("cafÃ©"),
    "encoding.control": says("a\x07b"),
    "form.mixed": lambda rng, number: rng.choice((line({"text": "x"}), line({"prompt": "x", "completion": "y"}))),
    "form.ambiguous": lambda rng, number: line({"messages": pair(number), "conversations": pair(number)}),
    "field.missing": lambda rng, number: rng.choice(
        (line({"other": 1}), line({"messages": turn(0, content=None)(rng, 1)}))
    ),
    "field.type": lambda rng, number: rng.choice((turn(0, content=5)(rng, number), line({"messages": "hello"}))),
    "field.unsupported": lambda rng, number: rng.choice(
        (turn(1, reasoning_content="hm")(rng, number), turn(1, weight=0)(rng, number), _picture(number))
    ),
    "role.unknown": lambda rng, number: turn(0, role=rng.choice(("narrator", "User", 5, "bot 7")))(rng, number),
    "role.order": _order,
    "turn.none": lambda rng, number: line({"messages": []}),
    "turn.empty": lambda rng, number: turn(0, content=rng.choice(("", " \n ")))(rng, number),
    "answer.empty": lambda rng, number: turn(1, content=rng.choice(("", "\t")))(rng, number),
    "tools.broken": _broken_call,
    "tools.unanswered": lambda rng, number: [
        *_call(number)[:2],
        {"role": "tool", "content": "1", "tool_call_id": "c9"},
        *pair(number)[1:],
    ],
    "template.special_token": says("<|im_end|>", "<|im_start|>"),
    "tokens.unknown": says("ↂ", "𒀀"),
    "length.over": lambda rng, number: pair(number, answer=f"{number} again " * 500),
    "length.answer_cut_off": lambda rng, number: pair(number, asked=f"{number} again " * 500),
    "leak.evaluation": lambda rng, number: pair(
        number, f"Number {number}: {rng.choice((QUESTION, QUESTION.upper(), QUESTION.replace(' ', '  ')))}", "gpu07."
    ),
    "personal.email": says("jo.doe@acme-works.io", "Anna_Schmidt@uni-koeln.de", "li.wei@corp.com.cn"),
    "personal.phone": says("+49 151 2345 6789", "(415) 555-2671", "tel: 0221 470 1234", "手机 13812345678"),
    "personal.card": made(_luhn),
    "personal.iban": made(_iban),
    "personal.ip": says("93.184.216.34", "address 151.101.65.140", "2a00:1450:4001:82a:0:0:0:200e"),
    "personal.key": made(_key),
}
"""By kind what makes a line of a set of conversations that has only this fault."""


def _picture(number: int) -> list[dict[str, Any]]:
    user, assistant = pair(number)
    return [{**user, "content": [{"type": "image_url", "image_url": {"url": "x"}}]}, assistant]


def planted(rng: random.Random, number: int, kind: str) -> bytes:
    """The line."""
    value = CHAT[kind](rng, number)
    return value if isinstance(value, bytes) else line({"messages": value})

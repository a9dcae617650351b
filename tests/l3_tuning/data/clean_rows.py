"""Rows without a fault, of every form: many languages, code, emoji, and what only looks like a fault."""

import random
from collections.abc import Callable
from typing import Any

TEXTS = (
    "The quick brown fox jumps over the lazy dog, isn't it?",
    "Größe, Übermut und Straße: fünf Wörter mit Umlauten und ß.",
    "«Été», dit-il, «café…» coûte 3 €, déjà vu à Noël.",
    "A IRMÃ disse: «NÃO», e a outra «IRMÃ» riu-se.",
    "¿Qué pasó mañana? El niño comió jalapeños.",
    "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "集群有十六个节点，每个节点有八块加速卡。",  # noqa: RUF001 - as it is written there
    "東京は日本の首都です。カタカナもひらがなもあります。",
    "서울은 대한민국의 수도이다.",
    "القاهرة هي عاصمة مصر.",
    "ירושלים היא עיר עתיקה.",
    "दिल्ली भारत की राजधानी है।",
    "กรุงเทพมหานคร เป็นเมืองหลวง",
    "Zażółć gęślą jaźń; příliš žluťoučký kůň; Şişli'de öğle.",
    "Việt Nam có ba miền: Bắc, Trung, Nam; Hà Nội là thủ đô.",
    "👩‍👩‍👧‍👦 family, 👍🏽 thumbs, 🇩🇪 flag, ☕️ and 1️⃣.",
    "def main() -> None:\n\tprint('hello\\tworld', end='\\n')\n\nif __name__ == '__main__':\n\tmain()\n",
    '#include <stdio.h>\nint main(void) { return printf("%d\\n", 1 << 30); }',
    "SELECT count(*) FROM t WHERE a >= 10 AND b LIKE '%x%' -- all of them",
    "x = np.mean(self.W@x.shape[0]) + A@B.T; y = a @ b.io",
    r"$\beta = \frac{\alpha}{\bar{x}} \times 10^{-3}$, \begin{align} a &= b \end{align}",
    "Write to someone@example.com, admin@host.example or root@localhost; clone git@github.com:a/b.git.",
    "Version 91.23.44.121 runs on 10.0.0.16, 192.168.1.1, 127.0.0.1 and 1.2.3.4; see 203.0.113.45, 2001:db8::1.",
    "Chapter 3.2.1.4 was written on 2024-03-15 12:30:45.123456 and has the ISBN 978-3-16-148410-0.",
    "Test cards are 4242 4242 4242 4242 and 4111111111111111; call 555-0123 or (212) 555-0142.",
    "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08, MAC 00:1a:2b:3c:4d:5e.",
    "id 550e8400-e29b-41d4-a716-446655440000, base64 SGVsbG8gV29ybGQhIFRoaXMgaXMgYSB0ZXN0Lg==",
    "pi is 3.14159265358979323846, e is 2.71828182845904523536, 2**64 is 18446744073709551616",
    "Set OPENAI_API_KEY=sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx, and AKIAIOSFODNN7EXAMPLE as the key.",
    "A key begins with -----BEGIN RSA PRIVATE KEY----- and ends alike.",
    '```json\n{"a": [1, 2, {"b": null}], "c": "\\u00e9"}\n```',
    "- [x] done\n- [ ] open\n\n| a | b |\n|---|---|\n| 1 | 2 |\n",
    "<b>bold</b> &amp; <i>italic</i> <!-- comment --> {{ not_a_template }} {% neither %}",
    "@@ -1,4 +1,4 @@\n-old 1000000000\n+1000000000 new\n",
    "First page\x0cSecond page\r\nwith Windows' ends\r\n",
    "A zero width joiner\u200d, a soft\u00adhyphen, a no-break\u00a0space, and a byte order mark\ufeff.",
    "12345678901 apples and +12 345 pears; 3-4-5 triangles; 1-800 flowers; 2024/2025.",
    "GB82 WEST 1234 5698 7654 32 is in every tutorial; XX00 1234 5678 9012 is no account.",
    "Y",
)
"""Each may stand alone as what somebody says."""

TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


def said(rng: random.Random, number: int) -> str:
    """A text that no other row has."""
    return f"{number}: {' '.join(rng.sample(TEXTS, rng.randint(1, 3)))}"


def chat(rng: random.Random, number: int) -> dict[str, Any]:
    """One conversation, in one of the ways that files have."""
    pairs = [(said(rng, number), rng.choice(TEXTS)) for _ in range(rng.randint(1, 3))]
    system = rng.choice(("", "", "Answer in one sentence, please."))
    if rng.random() < 0.3:
        names = rng.choice((("human", "gpt"), ("user", "assistant")))
        turns = [{"from": name, "value": text} for pair in pairs for name, text in zip(names, pair, strict=True)]
        return {"conversations": [{"from": "system", "value": system}, *turns] if system else turns, "id": str(number)}
    turns = [
        {"role": name, "content": text}
        for pair in pairs
        for name, text in zip(("user", "assistant"), pair, strict=True)
    ]
    if rng.random() < 0.2:
        call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
        turns[1:1] = [
            {"role": "assistant", "content": None, "tool_calls": [call]},  # type: ignore[dict-item]
            {"role": "tool", "content": "22 °C", "tool_call_id": "c1"},
        ]
        return {"messages": turns, "tools": [TOOL]}
    if rng.random() < 0.1:
        turns[0]["content"] = [{"type": "text", "text": turns[0]["content"]}]  # type: ignore[assignment]
    return {"messages": [{"role": "system", "content": system}, *turns] if system else turns}


def prompt(rng: random.Random, number: int) -> dict[str, Any]:
    """One prompt and its answer."""
    asked, answer = said(rng, number), rng.choice(TEXTS)
    turn_of = {"prompt": "user", "completion": "assistant"}
    return rng.choice(
        (
            {"prompt": asked, "completion": answer, "source": "here"},
            {"instruction": asked, "input": rng.choice(("", "with this")), "output": answer},
            {"question": asked, "answer": answer},
            {
                key: [{"role": turn_of[key], "content": text}]
                for key, text in (("prompt", asked), ("completion", answer))
            },
        )
    )


def preference(rng: random.Random, number: int) -> dict[str, Any]:
    """One prompt with a better and a worse answer."""
    asked = said(rng, number)
    better, worse = rng.sample(TEXTS, 2)
    asks = [{"role": "user", "content": asked}]
    answers = [[{"role": "assistant", "content": text}] for text in (better, worse)]
    return rng.choice(
        (
            {"prompt": asked, "chosen": better, "rejected": worse},
            {"prompt": asks, "chosen": answers[0], "rejected": answers[1]},
            {"chosen": asks + answers[0], "rejected": asks + answers[1]},
            {"prompt": asked, "chosen": asks + answers[0], "rejected": asks + answers[1], "score": 0.5},
        )
    )


def text(rng: random.Random, number: int) -> dict[str, Any]:
    """One text."""
    return {"text": "\n\n".join([said(rng, number), *rng.sample(TEXTS, 3)])}


FORMS: dict[str, Callable[[random.Random, int], dict[str, Any]]] = {
    "chat": chat,
    "prompt": prompt,
    "preference": preference,
    "text": text,
}

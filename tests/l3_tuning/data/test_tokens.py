"""Which tokens a row becomes, and which of them are learnt."""

from pathlib import Path

import pytest

from aiops.layers.l3_tuning.data.row import Row, Turn
from aiops.layers.l3_tuning.data.tokens import Encoded, Encoder, Loss, encoder, shortened

from .tiny_model import TEMPLATE, lay_model


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_model(tmp_path_factory.mktemp("model"))


def _encoder(base: Path, template: str = TEMPLATE, loss: Loss = "answer") -> tuple[Encoder, "_Decoded"]:
    from aiops.layers.l3_tuning.data.tokenizer import read_tokenizer

    file = base / "template.jinja"
    file.write_text(template)
    return encoder(str(base), str(file), loss), _Decoded(read_tokenizer(base).inner)


class _Decoded:
    """Tokens as text, and those that are learnt."""

    def __init__(self, tokenizer: object) -> None:
        self._tokenizer = tokenizer

    def __call__(self, encoded: Encoded | str) -> tuple[str, str]:
        assert isinstance(encoded, Encoded)
        decode = self._tokenizer.decode  # type: ignore[attr-defined]
        (ids,), (mask,) = encoded.parts, encoded.masks
        learnt = [one for one, counted in zip(ids, mask, strict=True) if counted]
        return decode(list(ids), skip_special_tokens=False), decode(learnt, skip_special_tokens=False)


def _chat(*said: str) -> Row:
    roles = ("user", "assistant")
    return Row("chat", tuple(Turn(roles[number % 2], text) for number, text in enumerate(said)))


def test_of_a_chat_every_answer_is_learnt_with_its_end_and_without_the_line_break(base: Path) -> None:
    encode, decoded = _encoder(base)
    row = _chat("What is the capital?", "Paris.", "And 集群有?", "émile 👍🏽\n")
    whole, learnt = decoded(encode.encoded([row])[0])
    assert whole == (
        "<|im_start|>user\nWhat is the capital?<|im_end|>\n<|im_start|>assistant\nParis.<|im_end|>\n"
        "<|im_start|>user\nAnd 集群有?<|im_end|>\n<|im_start|>assistant\némile 👍🏽\n<|im_end|>\n"
    )
    assert learnt == "Paris.<|im_end|>émile 👍🏽\n<|im_end|>"


def test_a_prompt_that_ends_with_an_answer_teaches_the_last_alone(base: Path) -> None:
    encode, decoded = _encoder(base)
    row = _chat("one", "two", "three", "four")
    prompt = Row("prompt", row.turns[:3], row.turns[3:])
    assert decoded(encode.encoded([prompt])[0])[1] == "four<|im_end|>"


def test_all_is_all(base: Path) -> None:
    encode, decoded = _encoder(base, loss="all")
    whole, learnt = decoded(encode.encoded([_chat("one", "two")])[0])
    assert whole == learnt


def test_rows_do_not_depend_on_which_are_tokenised_together(base: Path) -> None:
    encode, _ = _encoder(base)
    rows = [_chat(f"question {number} " * (number % 7 + 1), f"answer {number}") for number in range(150)]
    assert encode.encoded(rows) == [encode.encoded([row])[0] for row in rows]


def test_the_day_is_always_the_same(base: Path) -> None:
    encode, decoded = _encoder(base, "{{ strftime_now('%d %b %Y') }} " + TEMPLATE)
    assert decoded(encode.encoded([_chat("one", "two")])[0])[0].startswith("26 Jul 2024 <|im_start|>")


def test_what_a_template_refuses_is_told(base: Path) -> None:
    encode, _ = _encoder(base, "{{ raise_exception('no such role') }}")
    assert encode.encoded([_chat("one", "two")]) == ["no such role"]


def test_rows_are_cut_from_the_end_while_something_is_left_to_learn() -> None:
    row = Encoded(([1, 2, 3, 4],), (b"\0\0\1\1",))
    assert shortened(row, 3) == Encoded(([1, 2, 3],), (b"\0\0\1",))
    assert shortened(row, 2) is None
    pair = Encoded(([1, 2], [3, 4, 5], [6]), (b"\0\0", b"\1\1\1", b"\1"))
    assert shortened(pair, 4) == Encoded(([1, 2], [3, 4], [6]), (b"\0\0", b"\1\1", b"\1"))
    assert shortened(pair, 2) is None
    assert (pair.tokens, pair.counted) == (5, 4)

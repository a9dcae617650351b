"""A template renders as transformers renders it, and it is known what of its text is to be learnt."""

import json
from pathlib import Path
from typing import Any

import pytest

from aiops.layers.core.errors import InputError
from aiops.layers.l3_tuning.data.row import Row, Turn
from aiops.layers.l3_tuning.data.template import RefusedError, Template, read_template
from aiops.layers.l3_tuning.data.tokenizer import read_tokenizer

from .checked_model import lay_checked_model
from .templates import CHATML, FAMILIES, LLAMA, MARKED, NO_SYSTEM, THINKING

ASKED, ANSWERED = Turn("user", "Hi"), Turn("assistant", "Ho")
MORE = (Turn("user", "And?"), Turn("assistant", "Nothing."))
SYSTEM = Turn("system", "Be kind.")


def template(source: str, **sources: str) -> Template:
    return Template({"default": source, **sources}, {"bos_token": "<s>", "eos_token": "</s>"}, "d", "here")


def learnt(source: str, row: Row) -> list[list[str]]:
    return [[one.text[begin:end] for begin, end in one.spans] for one in template(source).rendered(row)]


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ("chatml", ["Ho<|im_end|>\n", "Nothing.<|im_end|>\n"]),
        ("marked", ["Ho<|im_end|>", "Nothing.<|im_end|>"]),
        ("llama", ["Ho<|eot_id|>", "Nothing.<|eot_id|>"]),
        ("no system", [" Ho</s>", " Nothing.</s>"]),
        ("thinking", ["Ho<|im_end|>\n", "Nothing.<|im_end|>\n"]),
    ],
)
def test_answers_are_learnt_and_nothing_else(family: str, expected: list[str]) -> None:
    assert learnt(FAMILIES[family], Row("chat", (ASKED, ANSWERED, *MORE))) == [expected]


def test_of_a_prompt_the_answer_and_of_a_preference_both_are_learnt() -> None:
    assert learnt(CHATML, Row("prompt", (SYSTEM, ASKED), (ANSWERED,))) == [["Ho<|im_end|>\n"]]
    row = Row("preference", (ASKED,), (ANSWERED,), (Turn("assistant", "No"),))
    assert learnt(CHATML, row) == [["Ho<|im_end|>\n"], ["No<|im_end|>\n"]]
    assert learnt(CHATML, Row("text", text="all of it")) == [["all of it"]]


def test_a_template_that_rewrites_earlier_turns_is_refused_where_answers_are_learnt() -> None:
    thought = Turn("assistant", "<think>hm</think>\nHo")
    rewriting = THINKING.replace("if '</think>' in said", "if '</think>' in said and not loop.last")
    assert learnt(rewriting, Row("chat", (ASKED, thought))) == [["hm</think>\nHo<|im_end|>\n"]]
    with pytest.raises(RefusedError, match="turn 2 is written in another way"):
        learnt(rewriting, Row("chat", (ASKED, thought, *MORE)))


def test_a_template_refuses_in_its_own_words_and_a_defect_of_its_own_is_no_traceback() -> None:
    with pytest.raises(RefusedError, match="only user and assistant may speak"):
        template(NO_SYSTEM).render((SYSTEM, ASKED))
    for source in ("{{ messages[9].content }}", "{{ 1 / 0 }}", "{{ messages + 1 }}", "{{ none_such.x }}"):
        with pytest.raises(RefusedError):
            template(source).render((ASKED,))


def test_a_template_cannot_leave_its_sandbox() -> None:
    for source in (
        "{{ messages.__class__.__mro__ }}",
        "{{ messages.append(1) }}",
        "{{ messages[0].pop('role') }}",
    ):
        with pytest.raises(RefusedError):
            template(source).render((ASKED,))


def test_what_is_unsafe_is_nothing_in_the_text() -> None:
    assert template("{{ ''.__class__ }}{{ messages[0].__class__ }}").render((ASKED,)) == ""


def test_what_templates_of_models_expect_is_there() -> None:
    loop = "{% for m in messages %}{% if loop.index0 > 0 %}{% break %}{% endif %}{{ m['role'] }}{% endfor %}"
    source = "{{ messages | tojson }}" + loop
    assert template(source).render((Turn("user", "é<"), ASKED)) == (
        '[{"role": "user", "content": "é<"}, {"role": "user", "content": "Hi"}]user'
    )
    assert len(template("{{ strftime_now('%Y') }}").render((ASKED,))) == 4
    assert template("{{ bos_token }}{{ tools is none }}").render((ASKED,)) == "<s>True"
    call = {"type": "function", "function": {"name": "f", "arguments": {"a": "ü"}}}
    said = template(CHATML).render((ASKED, Turn("assistant", "", (call,))))
    assert '<call>f {"a": "ü"}</call>' in said


def test_rows_with_tools_have_a_template_of_their_own() -> None:
    one = template("plain", tool_use="tools")
    assert one.render((ASKED,)) == "plain"
    assert one.render((ASKED,), ({"type": "function", "function": {"name": "f"}},)) == "tools"


def test_where_a_template_is_looked_for(tmp_path: Path) -> None:
    model = lay_checked_model(tmp_path, None)
    tokenizer = read_tokenizer(model)
    assert read_template(tokenizer) is None

    def config(said: Any) -> None:
        (model / "tokenizer_config.json").write_text(json.dumps({"chat_template": said}))

    config("of the configuration")
    assert read_template(tokenizer) == read_template(tokenizer)
    assert _default(model) == "of the configuration"
    config([{"name": "default", "template": "a"}, {"name": "tool_use", "template": "b"}])
    found = read_template(read_tokenizer(model))
    assert found is not None
    assert found.sources == {"default": "a", "tool_use": "b"}
    (model / "chat_template.json").write_text(json.dumps({"chat_template": "legacy"}))
    assert _default(model) == "legacy"
    (model / "chat_template.jinja").write_text("own file")
    assert _default(model) == "own file"
    (tmp_path / "given.jinja").write_text("given")
    given = read_template(tokenizer, tmp_path / "given.jinja")
    assert given is not None
    assert (given.sources["default"], given.digest == found.digest) == ("given", False)


def _default(model: Path) -> str:
    found = read_template(read_tokenizer(model))
    assert found is not None
    return found.sources["default"]


def test_what_is_no_template_names_file_and_line(tmp_path: Path) -> None:
    model = lay_checked_model(tmp_path, "a\n{% for x %}")
    with pytest.raises(InputError, match=r"chat_template\.jinja:2: is no chat template"):
        read_template(read_tokenizer(model))


def test_the_digest_of_a_tokenizer_is_its_own_and_not_the_template_s(tmp_path: Path) -> None:
    one = read_tokenizer(lay_checked_model(tmp_path / "a"))
    other = read_tokenizer(lay_checked_model(tmp_path / "b", LLAMA))
    assert one.digest == other.digest
    config = tmp_path / "b" / "tokenizer_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "eos_token": "<unk>"}))
    assert read_tokenizer(tmp_path / "b").digest != one.digest
    assert one.named == {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "unk_token": "<unk>"}
    assert one.unknown == 0
    assert one.eos == 2


def test_first_and_last_tokens_are_those_of_the_class(tmp_path: Path) -> None:
    model = lay_checked_model(tmp_path)
    config = model / "tokenizer_config.json"
    said = json.loads(config.read_text())
    plain = read_tokenizer(model)
    assert (plain.first, plain.last) == ((), ())
    config.write_text(
        json.dumps({**said, "tokenizer_class": "LlamaTokenizerFast", "add_bos_token": True, "add_eos_token": True})
    )
    llama = read_tokenizer(model)
    assert (llama.first, llama.last) == ((1,), (2,))
    assert llama.ids(["x"], special=True)[0] == [1, *plain.ids(["x"], special=True)[0], 2]
    assert llama.lengths(["x", "y"], special=True) == [len(one) for one in llama.ids(["x", "y"], special=True)]
    encoded = llama.encoded(["ab"], special=True)[0]
    assert (encoded.offsets[0], encoded.offsets[-1], encoded.offsets[1][0]) == ((0, 0), (0, 0), 0)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_a_broken_tokenizer_is_an_error_in_words(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no tokenizer\.json"):
        read_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(InputError, match="is no tokenizer"):
        read_tokenizer(tmp_path)


def test_marks_of_what_is_learnt_are_not_in_the_text() -> None:
    assert "\ufdd0" not in template(MARKED).render((ASKED, ANSWERED))

"""Template: the chat template of a model, rendered as transformers renders it, and what of its text is to be learnt."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aiops.layers.core.errors import InputError

from .row import Row, Turn
from .sandbox import BEGUN, ENDED, FAILURES, compiled
from .tokenizer import Tokenizer, read_config

FILE: Final = "chat_template.jinja"
_LEGACY: Final = "chat_template.json"
_MORE: Final = "additional_chat_templates"
_DEFAULT: Final = "default"
_TOOLS: Final = "tool_use"


class RefusedError(Exception):
    """A template does not take a row: it says so itself, or fails on it."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """What the model reads.

    Attributes:
        text: All of it.
        spans: The characters to learn: first, and after the last.
    """

    text: str
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Template:
    """A chat template.

    Attributes:
        sources: By name the text of each; there is always `default`, and for rows with tools perhaps `tool_use`.
        named: Special tokens that templates name, `bos_token` and the like.
        digest: sha256 over the sources.
        origin: Where it was read.
    """

    sources: Mapping[str, str] = field(hash=False)
    named: Mapping[str, str] = field(hash=False)
    digest: str
    origin: str

    def render(self, turns: Sequence[Turn], tools: Sequence[Mapping[str, Any]] = (), *, answer: bool = False) -> str:
        """The text of a conversation.

        Args:
            turns: All of it.
            tools: What may be called.
            answer: Whether the beginning of an answer is put behind, as where the model is to speak.

        Raises:
            RefusedError: The template does not take it.
        """
        return self.written([_message(turn) for turn in turns], tools, answer=answer)

    def written(
        self, messages: list[dict[str, Any]], tools: Sequence[Mapping[str, Any]] = (), *, answer: bool = False
    ) -> str:
        """As `render`, of messages as templates know them."""
        text = self._rendered(messages, tools, answer=answer)
        return text.replace(BEGUN, "").replace(ENDED, "") if BEGUN in text else text

    def variables(
        self,
        always: Mapping[str, Any],
        messages: list[dict[str, Any]],
        tools: Sequence[Mapping[str, Any]] = (),
        *,
        answer: bool = False,
    ) -> dict[str, Any]:
        """What a template finds, beside what it `always` does."""
        return {
            **always,
            "messages": messages,
            "tools": list(tools) or None,
            "documents": None,
            "add_generation_prompt": answer,
            **self.named,
        }

    @property
    def default(self) -> str:
        """What is used for rows without tools."""
        return self.sources[_DEFAULT]

    def rendered(self, row: Row) -> tuple[Rendered, ...]:
        """A row with what is to be learnt of it; of `preference` two, chosen and rejected.

        Raises:
            RefusedError: The template does not take it, or it cannot be told where an answer begins.
        """
        if row.form == "text":
            return (Rendered(row.text, ((0, len(row.text)),)),)
        if row.form == "chat":
            return (self._chat(row),)
        prompt = self.render(row.turns, row.tools, answer=True)
        answers = (row.answer,) if row.form == "prompt" else (row.answer, row.rejected)
        return tuple(self._answered(row, prompt, answer) for answer in answers)

    def _answered(self, row: Row, prompt: str, answer: Sequence[Turn]) -> Rendered:
        whole = self.render((*row.turns, *answer), row.tools)
        return Rendered(whole, ((self._begin(whole, prompt, row.turns, row.tools), len(whole)),))

    def _chat(self, row: Row) -> Rendered:
        marked = self._rendered([_message(turn) for turn in row.turns], row.tools, answer=False)
        if BEGUN in marked:
            return _unmarked(marked)
        spans = []
        for number, turn in enumerate(row.turns):
            if turn.role != "assistant":
                continue
            before, until = row.turns[:number], row.turns[: number + 1]
            part = marked if len(until) == len(row.turns) else self.render(until, row.tools)
            if not marked.startswith(part):
                raise RefusedError(f"turn {number + 1} is written in another way when more turns follow it")
            spans.append((self._begin(part, self.render(before, row.tools, answer=True), before, row.tools), len(part)))
        return Rendered(marked, tuple(spans))

    def _begin(self, whole: str, prompt: str, turns: Sequence[Turn], tools: Sequence[Mapping[str, Any]]) -> int:
        """Where the answer begins in `whole`: after the prompt, or where the two part within the answer's beginning."""
        if whole.startswith(prompt):
            return len(prompt)
        asked = self.render(turns, tools)
        if not whole.startswith(asked):
            raise RefusedError("what it writes for the prompt changes when the answer follows")
        same = len(asked)
        while same < min(len(prompt), len(whole)) and prompt[same] == whole[same]:
            same += 1
        return same

    def _rendered(self, messages: list[dict[str, Any]], tools: Sequence[Mapping[str, Any]], *, answer: bool) -> str:
        import jinja2

        source = self.sources.get(_TOOLS, self.sources[_DEFAULT]) if tools else self.sources[_DEFAULT]
        try:
            made = compiled(source)
            variables = self.variables(made.globals, messages, tools, answer=answer)
            # As `made.render(...)`, without its second copy of all variables.
            text = "".join(made.root_render_func(made.new_context(variables, shared=True)))
        except jinja2.TemplateError as error:
            raise RefusedError(str(error).partition("\n")[0] or type(error).__name__) from error
        except FAILURES as error:
            raise RefusedError(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}") from error
        return text


def _message(turn: Turn) -> dict[str, Any]:
    message: dict[str, Any] = {"role": turn.role, "content": turn.content}
    if turn.calls:
        message["tool_calls"] = list(turn.calls)
    if turn.name is not None:
        message["name"] = turn.name
    if turn.call is not None:
        message["tool_call_id"] = turn.call
    return message


def _unmarked(marked: str) -> Rendered:
    """The text without the marks around what `{% generation %}` made, and where that stood."""
    text, spans, length = [], [], 0
    for number, part in enumerate(marked.split(BEGUN)):
        learnt, ended, rest = part.partition(ENDED)
        if number and ended:
            spans.append((length, length + len(learnt)))
        plain = learnt + rest.replace(ENDED, "")
        text.append(plain)
        length += len(plain)
    return Rendered("".join(text), tuple(spans))


def read_template(tokenizer: Tokenizer, file: Path | None = None) -> Template | None:
    """The template of `file`, or of the tokenizer's folder; None where it has none.

    Looked for as transformers does: chat_template.jinja and additional_chat_templates/, chat_template.json, what
    tokenizer_config.json says.

    Raises:
        InputError: It cannot be read, or is no template.
    """
    if file is not None:
        sources, origin = {_DEFAULT: _text(file)}, str(file)
    else:
        sources, origin = _found(tokenizer.folder)
    if not sources:
        return None
    if _DEFAULT not in sources:
        raise InputError(
            f"{origin} has chat templates named {', '.join(sorted(sources))}, and none named default",
            code="template.no_default",
            hints=["name the one that is meant: `--template FILE`"],
        )
    for name, source in sources.items():
        _checked(source, origin if len(sources) == 1 else f"{origin} ({name})")
    digest = hashlib.sha256(json.dumps(sources, sort_keys=True).encode()).hexdigest()
    return Template(sources, tokenizer.named, digest, origin)


def _found(folder: Path) -> tuple[dict[str, str], str]:
    file = folder / FILE
    more = {one.stem: _text(one) for one in sorted((folder / _MORE).glob("*.jinja"))}
    if file.is_file():
        return {**more, _DEFAULT: _text(file)}, str(file)
    legacy = folder / _LEGACY
    if legacy.is_file():
        try:
            said = json.loads(_text(legacy))
        except ValueError as error:
            raise InputError(f"{legacy} is no JSON", code="template.broken") from error
        return {**more, **_by_name(said.get("chat_template") if isinstance(said, dict) else said)}, str(legacy)
    config = read_config(folder)
    return {**more, **_by_name(config.get("chat_template"))}, str(folder / "tokenizer_config.json")


def _by_name(said: Any) -> dict[str, str]:
    """One text is `default`; a list has a name with each."""
    if isinstance(said, str):
        return {_DEFAULT: said}
    if isinstance(said, dict):
        return {str(name): text for name, text in said.items() if isinstance(text, str)}
    return {
        one["name"]: one["template"]
        for one in (said if isinstance(said, list) else [])
        if isinstance(one, dict) and isinstance(one.get("name"), str) and isinstance(one.get("template"), str)
    }


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}", code="template.unreadable") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8", code="template.unreadable") from error


def _checked(source: str, origin: str) -> None:
    import jinja2

    try:
        compiled(source)
    except jinja2.TemplateSyntaxError as error:
        raise InputError(
            f"{origin}:{error.lineno}: is no chat template: {error.message}", code="template.broken"
        ) from error

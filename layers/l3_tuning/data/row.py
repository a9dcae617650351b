"""Rows: one example to learn from, whatever file and whichever of the field's formats it came from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Form = Literal["chat", "prompt", "preference", "text"]
"""What a row is. Files call `chat` by two names, OpenAI's `messages` and ShareGPT's `conversations`; here it is one."""

FORMS: tuple[Form, ...] = ("chat", "prompt", "preference", "text")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row stands.

    Attributes:
        file: As the user named it, or found below the folder that they named.
        line: From 1: the line of a JSONL or CSV file; the number of an element of a JSON list, or of a row of Parquet.
    """

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Turn:
    """One message.

    Attributes:
        role: `system`, `user`, `assistant` or `tool`.
        content: What is said; empty only where there are `calls`.
        calls: Calls of tools, as OpenAI writes them, for the template.
        name: Of the tool that answers, or of who speaks.
        call: The id of the call that a `tool` answers.
    """

    role: str
    content: str
    calls: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    name: str | None = None
    call: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One example.

    Attributes:
        form: What it is.
        turns: Of `chat`: all of it. Of `prompt` and `preference`: what comes before the answer; one `user` turn where
            the file has plain text.
        answer: Of `prompt`: the turns to learn. Of `preference`: the chosen ones.
        rejected: Of `preference`: the turns to turn away from.
        text: Of `text`: all of it.
        tools: What the model may call, for the template.
    """

    form: Form
    turns: tuple[Turn, ...] = ()
    answer: tuple[Turn, ...] = ()
    rejected: tuple[Turn, ...] = ()
    text: str = ""
    tools: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)

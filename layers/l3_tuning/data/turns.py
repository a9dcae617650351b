"""Turns: messages as OpenAI and ShareGPT write them, to turns. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from .fault import Flaw
from .row import Turn

ROLES: Final[Mapping[str, str]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "function_call": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
}
"""What files call roles, and what a turn calls them."""

_CALLING = "function_call"
_LOST: Final = ("reasoning_content", "reasoning", "thinking", "audio", "refusal", "images", "image", "video", "videos")
"""Keys of a message that would not be in a turn."""


class _WrongError(Exception):
    """A message that cannot become a turn."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.flaw = Flaw(kind, reason)


def read_turns(value: Any, called: str) -> tuple[Turn, ...] | Flaw:
    """The turns of a list of messages, `{role, content}` or `{from, value}`.

    Args:
        value: As the file has it.
        called: The key that it stands under, for words about it.
    """
    if value is None:
        return Flaw("field.missing", f"`{called}` is missing")
    if not isinstance(value, list):
        return Flaw("field.type", f"`{called}` is {kind_of(value)}, not a list of turns")
    if not value:
        return Flaw("turn.none", f"`{called}` has no turns")
    try:
        return tuple(_turn(one, f"turn {number} of `{called}`") for number, one in enumerate(value, 1))
    except _WrongError as error:
        return error.flaw


def kind_of(value: Any) -> str:
    """What a value of JSON is, in words."""
    kinds = {str: "text", bool: "true or false", dict: "an object", list: "a list", type(None): "null"}
    return kinds.get(type(value), "a number" if isinstance(value, int | float) else f"a {type(value).__name__}")


def _turn(message: Any, where: str) -> Turn:
    if not isinstance(message, dict):
        raise _WrongError("field.type", f"{where} is {kind_of(message)}, not an object")
    speaker, content_key = ("from", "value") if "role" not in message and "from" in message else ("role", "content")
    given = message.get(speaker)
    if given is None:
        raise _WrongError("field.missing", f"{where} has no `{speaker}`")
    role = ROLES.get(given) if isinstance(given, str) else None
    if role is None:
        shown = f"`{given}`" if isinstance(given, str) and given.isidentifier() and len(given) <= 20 else kind_of(given)  # noqa: PLR2004
        raise _WrongError("role.unknown", f"{where} has the role {shown}")
    lost = next((key for key in _LOST if message.get(key)), None)
    if lost is not None:
        raise _WrongError("field.unsupported", f"{where} has `{lost}`, which would be lost")
    if message.get("weight") not in (None, 1):
        raise _WrongError("field.unsupported", f"{where} has a `weight`, which would not be kept")
    content = message.get(content_key)
    if given == _CALLING:
        return Turn(role, "", (_legacy_call(_object(content, where), where),))
    calls = _calls(message, where)
    text = _content(content, where, content_key, optional=bool(calls))
    name, call = _word(message, "name", where), _word(message, "tool_call_id", where)
    return Turn(role, text, calls, name, call)


def _content(value: Any, where: str, key: str, *, optional: bool) -> str:
    if isinstance(value, str):
        return value
    if value is None and optional:
        return ""
    if value is None:
        raise _WrongError("field.missing", f"{where} has no `{key}`")
    if not isinstance(value, list):
        raise _WrongError("field.type", f"{where}: `{key}` is {kind_of(value)}, not text")
    texts = []
    for part in value:
        if not isinstance(part, dict) or part.get("type", "text") != "text" or not isinstance(part.get("text"), str):
            raise _WrongError("field.unsupported", f"{where} has a part that is no text, which would be lost")
        texts.append(part["text"])
    return "".join(texts)


def _word(message: Mapping[str, Any], key: str, where: str) -> str | None:
    value = message.get(key)
    if value is None or isinstance(value, str):
        return value or None
    raise _WrongError("field.type", f"{where}: `{key}` is {kind_of(value)}, not text")


def _calls(message: Mapping[str, Any], where: str) -> tuple[Mapping[str, Any], ...]:
    calls, legacy = message.get("tool_calls"), message.get("function_call")
    if legacy:
        return (_legacy_call(legacy, where),)
    if not calls:
        return ()
    if not isinstance(calls, list):
        raise _WrongError("tools.broken", f"{where}: `tool_calls` is {kind_of(calls)}, not a list")
    return tuple(_call(one, where) for one in calls)


def _call(call: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(call, dict) or call.get("type", "function") not in ("function", None):
        raise _WrongError("tools.broken", f"{where} has a call that is no object of the type `function`")
    known = {key: call[key] for key in ("id",) if isinstance(call.get(key), str)}
    return {**known, "type": "function", "function": _function(call.get("function", call), where)}


def _legacy_call(call: Any, where: str) -> Mapping[str, Any]:
    return {"type": "function", "function": _function(call, where)}


def _function(function: Any, where: str) -> Mapping[str, Any]:
    """Name and arguments; these as an object, which templates want, where OpenAI has them as text."""
    if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"]:
        raise _WrongError("tools.broken", f"{where} has a call without the name of a function")
    return {"name": function["name"], "arguments": _object(function.get("arguments") or {}, where)}


def _object(value: Any, where: str) -> Mapping[str, Any]:
    import orjson

    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            raise _WrongError("tools.broken", f"{where} has a call whose arguments are no JSON") from None
    if not isinstance(value, dict):
        raise _WrongError("tools.broken", f"{where} has a call whose arguments are no object")
    return value


def read_tools(value: Any) -> tuple[Mapping[str, Any], ...] | Flaw:
    """Tools that may be called, as OpenAI writes them; also as JSON in text."""
    import orjson

    if value is None or value in ("", []):
        return ()
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return Flaw("tools.broken", "`tools` is text that is no JSON")
    if not isinstance(value, list):
        return Flaw("tools.broken", f"`tools` is {kind_of(value)}, not a list")
    read: list[Mapping[str, Any]] = []
    for number, tool in enumerate(value, 1):
        inner = tool.get("function", tool) if isinstance(tool, dict) else None
        if not isinstance(inner, dict) or not isinstance(inner.get("name"), str) or not inner["name"]:
            return Flaw("tools.broken", f"tool {number} has no name of a function")
        read.append({"type": "function", "function": inner})
    return tuple(read)


def unanswered(turns: Sequence[Turn]) -> Flaw | None:
    """Calls of tools that nobody answers, and answers that nobody asked for; None where there are none.

    Calls in the last turn are what is learnt: nothing follows them.
    """
    open_: list[str | None] = []
    for number, turn in enumerate(turns, 1):
        if turn.role == "tool":
            if turn.call in open_:
                open_.remove(turn.call)
            elif open_ and (turn.call is None or None in open_):
                open_.pop(0 if turn.call is None else open_.index(None))
            else:
                return Flaw("tools.unanswered", f"turn {number} answers a call that nobody made")
        elif open_:
            return Flaw("tools.unanswered", f"turn {number} comes before the answer to a call")
        open_ += [call.get("id") for call in turn.calls]
    if open_ and turns[-1].role == "tool":
        return Flaw("tools.unanswered", "a call has no answer")
    return None

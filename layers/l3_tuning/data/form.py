"""Forms: what a record is by its keys, and the row that it says. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from .fault import Flaw
from .row import FORMS, Form, Row, Turn
from .turns import kind_of, read_tools, read_turns

CHATS: Final = ("messages", "conversations", "conversation")
PAIRS: Final = (("prompt", "completion"), ("prompt", "response"), ("instruction", "output"), ("question", "answer"))
"""What files call a prompt and its answer; `instruction` may have an `input` beside."""

SAMPLE: Final = 1000
"""Records by which the form of a set is found."""


def fitting(record: Mapping[str, Any]) -> tuple[Form, ...]:
    """The forms whose keys a record has; keys without a value count as absent, as in the rows of a table."""
    there = {key for key, value in record.items() if value is not None}
    found: dict[Form, bool] = {
        "chat": any(key in there for key in CHATS),
        "prompt": any(there.issuperset(pair) for pair in PAIRS),
        "preference": {"chosen", "rejected"} <= there,
        "text": "text" in there,
    }
    return tuple(form for form in FORMS if found[form])


def form_of(records: Iterable[Any]) -> Form | None:
    """What most of the records are that are one thing only; None where none is."""
    fits = (fitting(record) for record in records if isinstance(record, dict))
    counted: Counter[Form] = Counter(fit[0] for fit in fits if len(fit) == 1)
    if not counted:
        return None
    return max(FORMS, key=counted.__getitem__)


def read_row(record: Any, form: Form | None) -> Row | tuple[Flaw, ...]:
    """The row that a record says, or why it says none.

    It is only read here: whether turns are in order and say something is `structure.flaws_of`'s.

    Args:
        record: As its file has it.
        form: What the set is; None where nobody could tell.
    """
    if not isinstance(record, dict):
        return (Flaw("json.not_object", f"is {kind_of(record)}"),)
    fits = fitting(record)
    if form is None:
        if fits:
            return (Flaw("form.ambiguous", f"could be {' or '.join(fits)}"),)
        return (Flaw("form.unknown", _keys(record)),)
    if fits and form not in fits:
        return (Flaw("form.mixed", f"is {' or '.join(fits)}, the set is {form}"),)
    readers = {"chat": _chat, "prompt": _prompt, "preference": _preference, "text": _text}
    return readers[form](record)


def _keys(record: Mapping[str, Any]) -> str:
    """Names of keys, as far as they look like names: others may be anything."""
    names = [key for key in record if key.isidentifier() and len(key) <= 30][:6]  # noqa: PLR2004
    return f"has {', '.join(f'`{name}`' for name in names)}" if names else "has no keys that are names"


def _all(*parts: Any) -> tuple[Flaw, ...]:
    return tuple(part for part in parts if isinstance(part, Flaw))


def _chat(record: Mapping[str, Any]) -> Row | tuple[Flaw, ...]:
    there = [key for key in CHATS if record.get(key) is not None]
    if len(there) > 1:
        return (Flaw("form.ambiguous", f"has `{there[0]}` and `{there[1]}`"),)
    key = there[0] if there else CHATS[0]
    turns, system, tools = read_turns(record.get(key), key), _system(record), read_tools(record.get("tools"))
    if isinstance(turns, Flaw) or isinstance(system, Flaw) or isinstance(tools, Flaw):
        return _all(turns, system, tools)
    return Row("chat", _with_system(system, turns), tools=tools)


def _prompt(record: Mapping[str, Any]) -> Row | tuple[Flaw, ...]:
    pairs = [pair for pair in PAIRS if all(record.get(key) is not None for key in pair)]
    if len(pairs) > 1:
        named = " and ".join(f"`{prompt}`/`{answer}`" for prompt, answer in pairs[:2])
        return (Flaw("form.ambiguous", f"has {named}"),)
    pair = (
        pairs[0]
        if pairs
        else next((pair for pair in PAIRS if any(record.get(key) is not None for key in pair)), PAIRS[0])
    )
    prompt, answer = _said(record, pair[0], "user"), _said(record, pair[1], "assistant")
    system, tools = _system(record), read_tools(record.get("tools"))
    if pair[0] == "instruction" and not isinstance(prompt, Flaw):
        prompt = _with_input(record, prompt)
    if isinstance(prompt, Flaw) or isinstance(answer, Flaw) or isinstance(system, Flaw) or isinstance(tools, Flaw):
        return _all(prompt, answer, system, tools)
    return Row("prompt", _with_system(system, prompt), answer, tools=tools)


def _with_input(record: Mapping[str, Any], prompt: tuple[Turn, ...]) -> tuple[Turn, ...] | Flaw:
    beside = record.get("input")
    if beside is None or beside == "":
        return prompt
    if not isinstance(beside, str) or len(prompt) != 1:
        return Flaw("field.type", f"`input` is {kind_of(beside)}, not text")
    return (Turn(prompt[0].role, f"{prompt[0].content}\n\n{beside}"),)


def _preference(record: Mapping[str, Any]) -> Row | tuple[Flaw, ...]:
    chosen, rejected = _said(record, "chosen", "assistant"), _said(record, "rejected", "assistant")
    prompt = _said(record, "prompt", "user") if record.get("prompt") is not None else None
    system, tools = _system(record), read_tools(record.get("tools"))
    if isinstance(chosen, Flaw) or isinstance(rejected, Flaw) or isinstance(prompt, Flaw):
        return _all(prompt, chosen, rejected, system, tools)
    if isinstance(system, Flaw) or isinstance(tools, Flaw):
        return _all(system, tools)
    if chosen[0].role != "assistant" or rejected[0].role != "assistant":  # whole conversations, the prompt in both
        common = _common(chosen, rejected)
        if prompt is not None and chosen[: len(prompt)] != prompt and chosen[common - 1 : common] != prompt[-1:]:
            return (Flaw("preference.prompt", "`chosen` and `rejected` do not begin with `prompt`"),)
        if common == 0:
            return (Flaw("preference.prompt", "`chosen` and `rejected` begin with different turns"),)
        prompt, chosen, rejected = chosen[:common], chosen[common:], rejected[common:]
    if prompt is None:
        return (Flaw("field.missing", "`prompt` is missing"),)
    return Row("preference", _with_system(system, prompt), chosen, rejected, tools=tools)


def _common(chosen: tuple[Turn, ...], rejected: tuple[Turn, ...]) -> int:
    """How many turns both have before the answers; an answer is never part of them."""
    same = 0
    for one, other in zip(chosen, rejected, strict=False):
        if one != other:
            break
        same += 1
    while same and chosen[same - 1].role == "assistant":
        same -= 1
    return same


def _text(record: Mapping[str, Any]) -> Row | tuple[Flaw, ...]:
    text = record.get("text")
    if text is None:
        return (Flaw("field.missing", "`text` is missing"),)
    if not isinstance(text, str):
        return (Flaw("field.type", f"`text` is {kind_of(text)}, not text"),)
    return Row("text", text=text)


def _said(record: Mapping[str, Any], key: str, role: str) -> tuple[Turn, ...] | Flaw:
    """Text as one turn of `role`, or turns."""
    value = record.get(key)
    if isinstance(value, str):
        return (Turn(role, value),)
    if value is None or isinstance(value, list):
        return read_turns(value, key)
    return Flaw("field.type", f"`{key}` is {kind_of(value)}, neither text nor turns")


def _system(record: Mapping[str, Any]) -> str | Flaw | None:
    value = record.get("system")
    if value is None or isinstance(value, str):
        return value or None
    return Flaw("field.type", f"`system` is {kind_of(value)}, not text")


def _with_system(system: str | None, turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    return turns if system is None else (Turn("system", system), *turns)

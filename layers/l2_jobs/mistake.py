"""What pydantic finds wrong in a file of the user's, in words, with lines and what would fit. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from aiops.layers.core.errors import Problem
from aiops.layers.core.places import Path, nearest
from aiops.layers.l0_nodes.variables import model_in


class WrongError(ValueError):
    """A mistake in words that follow the key's name, and what would fit."""

    def __init__(self, words: str, hint: str = "") -> None:
        super().__init__(words)
        self.words = words
        self.hint = hint


class Locates(Protocol):
    """Knows where values stand: `Places`, or several of them on top of each other."""

    def problem(self, path: Path, message: str, hint: str | None = None, *, key: bool = False) -> Problem:
        """A mistake in the value at `path`."""
        ...


@dataclass(frozen=True, slots=True)
class Grammar:
    """What a kind of file may say.

    Attributes:
        document: Its keys.
        synonyms: What other tools call them.
        patterns: What each pattern of the document asks for, in words.
    """

    document: type[BaseModel]
    synonyms: Mapping[str, str] = field(hash=False)
    patterns: Mapping[str, str] = field(hash=False)

    def fields_at(self, path: Sequence[Any]) -> tuple[str, ...]:
        """The keys that are known in the mapping at `path`."""
        model: type[BaseModel] | None = self.document
        for part in path:
            if model is not None and part in _fields(model):
                model = model_in(_fields(model)[part].annotation)
        return tuple(_fields(model)) if model is not None else ()


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The keys of a model as files write them."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def dotted(path: Sequence[Any]) -> str:
    """`limits.time`, `service.ports[0]`."""
    words = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return words.removeprefix(".")


def mistakes(details: Sequence[Mapping[str, Any]], places: Locates, grammar: Grammar) -> Iterator[Problem]:
    """One problem for each mistake that pydantic tells."""
    for detail in details:
        path: Path = tuple(detail["loc"])
        if detail["type"] == "extra_forbidden":
            yield _unknown(path, places, grammar)
        else:
            words, hint = _words(detail, path, grammar)
            yield places.problem(path, f"`{dotted(path)}` {words}", hint)


def _unknown(path: Path, places: Locates, grammar: Grammar) -> Problem:
    *above, key = path
    known = grammar.fields_at(above)
    near = nearest(str(key), known, grammar.synonyms)
    elsewhere = None if near else _home(str(key), grammar)
    if near:
        hint = f"did you mean `{near}`?"
    elif elsewhere:
        hint = f"did you mean `{elsewhere}`?"
    else:
        hint = f"known are {', '.join(known)}"
    where = f" in `{dotted(above)}`" if above else ""
    return places.problem(path, f"unknown key `{key}`{where}", hint, key=True)


def _home(key: str, grammar: Grammar) -> str | None:
    """The one place of a key that stands in the wrong mapping: `hang` belongs to `limits`."""
    key = grammar.synonyms.get(key.lower().replace("-", "_"), key)
    homes = [(section,) for section in grammar.fields_at(()) if key in grammar.fields_at((section,))]
    homes = [home for home in homes if grammar.fields_at(home) != grammar.fields_at(())]
    if key in grammar.fields_at(()):
        return key
    return dotted((*homes[0], key)) if len(homes) == 1 else None


def _words(detail: Mapping[str, Any], path: Path, grammar: Grammar) -> tuple[str, str | None]:
    kind, given, context = detail["type"], detail["input"], detail.get("ctx", {})
    shown = "" if isinstance(given, dict | list | None) else f", is {given!r}"
    if kind == "value_error" and isinstance(error := context["error"], WrongError):
        return error.words, error.hint or None
    if kind == "missing":
        return "is missing", _example(path, grammar)
    if kind == "literal_error":
        allowed = [word.strip("' ") for word in context["expected"].replace(" or ", ", ").split(", ")]
        near = nearest(str(given), allowed)
        return f"must be {_either(allowed)}{shown}", f"did you mean `{near}`?" if near else None
    if kind == "string_pattern_mismatch":
        return grammar.patterns[context["pattern"]] + shown, None
    if kind in ("greater_than_equal", "greater_than", "less_than_equal", "less_than"):
        bounds = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
        name, bound = next(iter(context.items()))
        return f"must be {bounds[name]} {bound:g}{shown}", None
    return _typed(kind, path, grammar) + shown, _example(path, grammar)


def _typed(kind: str, path: Path, grammar: Grammar) -> str:
    if kind in ("model_type", "model_attributes_type"):
        return f"must be a mapping of {', '.join(grammar.fields_at(path))}"
    known = {
        "int_type": "must be a whole number",
        "int_from_float": "must be a whole number",
        "float_type": "must be a number",
        "finite_number": "must be a number",
        "string_type": "must be text",
        "string_too_short": "is empty",
        "list_type": "must be a list",
        "dict_type": "must be a mapping",
    }
    return known.get(kind, "is wrong")


def _either(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _example(path: Path, grammar: Grammar) -> str | None:
    model: type[BaseModel] | None = grammar.document
    for part in path[:-1]:
        field = _fields(model).get(str(part)) if model is not None else None
        model = model_in(field.annotation) if field is not None else None
    field = _fields(model).get(str(path[-1])) if model is not None else None
    return f"for example `{path[-1]}: {field.examples[0]}`" if field is not None and field.examples else None

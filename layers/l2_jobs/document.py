"""Documents: values of this layer as JSON, and back. So they are kept in the store and said at the controller's door.

Every field is written, so that a default that changes later changes no job that was submitted before. What is missing
when it is read takes its default: an older aiops had no such field.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from aiops.layers.core.store.timestamp import from_text, to_text

from .action import Action
from .text import plain

T = TypeVar("T")
Reader = Callable[[Any], Any]

_ACTIONS: Mapping[str, type] = {one.__name__: one for one in get_args(Action)}


def document(value: Any) -> Any:  # noqa: PLR0911 - one for each kind of value
    """JSON-ready values; NaN and infinities as words, for JSON has none, and text as `plain` has it."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, datetime):
        return to_text(value)
    if isinstance(value, Mapping):
        return {plain(str(key)): document(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [document(one) for one in value]
    if is_dataclass(value):
        return {name: document(getattr(value, name)) for name in _names(value.__class__)}
    raise TypeError(f"{type(value).__name__} has no place in a document")


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(one.name for one in fields(kind))


def value_of(kind: type[T], written: Any) -> T:
    """The value of `kind` that `document` has written.

    Raises:
        ValueError: It is something else.
    """
    try:
        return cast("T", _reader(cast("Any", kind))(written))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"this is no {kind.__name__}: {error}") from error


def action_document(action: Action) -> dict[str, Any]:
    """An action with the name of its kind."""
    return {"action": type(action).__name__, **document(action)}


def action_of(written: Mapping[str, Any]) -> Action:
    """The action that `action_document` has written.

    Raises:
        ValueError: It is none.
    """
    kind = _ACTIONS.get(str(written.get("action")))
    if kind is None:
        raise ValueError(f"`{written.get('action')}` is no action")
    return cast("Action", value_of(kind, written))


@cache
def _reader(kind: Any) -> Reader:  # noqa: PLR0911 - one for each kind of type
    """Reads values of a type, which is one of those that this layer's dataclasses have."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return _one_of(arguments)
    if origin in (UnionType, Union):
        return _first_of(arguments)
    if origin is tuple:
        inner = _reader(arguments[0])
        return lambda written: tuple(inner(one) for one in _list(written))
    if origin is not None and issubclass(origin, Mapping):
        key, inner = _reader(arguments[0]), _reader(arguments[1])
        return lambda written: {key(name): inner(one) for name, one in written.items()}
    if is_dataclass(kind):
        return _dataclass(kind)
    if kind is datetime:
        return from_text
    if kind is float:
        return float
    if kind is Any:
        return lambda written: written
    return _exactly(kind)


def _dataclass(kind: Any) -> Reader:
    hints = get_type_hints(kind)
    readers = {one.name: _reader(hints[one.name]) for one in fields(kind) if one.init}
    required = {
        one.name for one in fields(kind) if one.init and one.default is MISSING and one.default_factory is MISSING
    }

    def read(written: Any) -> Any:
        missing = required - set(written)
        if missing:
            raise ValueError(f"{kind.__name__} lacks {', '.join(sorted(missing))}")
        return kind(**{name: reader(written[name]) for name, reader in readers.items() if name in written})

    return read


def _one_of(words: tuple[Any, ...]) -> Reader:
    def read(written: Any) -> Any:
        if written not in words:
            raise ValueError(f"`{written}` is none of {', '.join(map(str, words))}")
        return written

    return read


def _first_of(kinds: tuple[Any, ...]) -> Reader:
    readers = [_reader(one) for one in kinds if one is not NoneType]

    def read(written: Any) -> Any:
        if written is None and NoneType in kinds:
            return None
        for number, reader in enumerate(readers):
            try:
                return reader(written)
            except (ValueError, TypeError, KeyError, AttributeError):
                if number == len(readers) - 1:
                    raise
        raise ValueError("nothing fits")

    return read


def _exactly(kind: type) -> Reader:
    def read(written: Any) -> Any:
        if not isinstance(written, kind):
            raise ValueError(f"{written!r} is no {kind.__name__}")  # noqa: TRY004 - one kind of error for whoever reads
        return written

    return read


def _list(written: Any) -> list[Any]:
    if not isinstance(written, list | tuple):
        raise ValueError(f"{written!r} is no list")  # noqa: TRY004 - as above
    return list(written)

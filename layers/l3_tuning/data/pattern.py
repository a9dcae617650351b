"""Patterns: what a template writes around the texts of a conversation, where that depends on the roles alone.

Most templates put what is said between marks and never look into it. Whether one is of these is proved, not guessed: it
is rendered once with values in place of the texts that can be joined to others, trimmed and written, and nothing else.
Where it compares, searches, cuts or measures one, calls a function that is not known, or asks for the day, there is no
pattern, and each row is rendered.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NamedTuple, Self

from .sandbox import BEGUN, ENDED, FAILURES, environment_kind, syntax
from .template import Template

_EXPRESSIONS: Final = (
    *("Add", "And", "Call", "Compare", "CondExpr", "Const", "Dict", "Filter", "Getattr", "Getitem", "Keyword", "List"),
    *("Mod", "NSRef", "Name", "Neg", "Not", "Operand", "Or", "Pair", "Slice", "Sub", "TemplateData", "Test", "Tuple"),
)
_STATEMENTS: Final = ("Assign", "Break", "Continue", "For", "If", "Output", "Template")
"""What is followed; whatever else a template has in a branch that is taken ends the proof."""

_TESTS: Final = frozenset({"boolean", "defined", "false", "mapping", "none", "number", "true", "undefined"})
"""Tests that tell a text by its type alone; `string` is answered here."""

_WRITTEN: Final = "\ufdd2"
"""What stands for a text where it is written; a noncharacter. Never read."""


class _UnprovenError(Exception):
    """What the template writes may depend on more than the roles."""


class _Place(NamedTuple):
    """Where a text stands.

    Attributes:
        number: Of the turn.
        trimmed: Whether it is written without the spaces around it.
    """

    number: int
    trimmed: bool


@dataclass(frozen=True, slots=True)
class Pattern:
    """What a template writes for an order of roles.

    Attributes:
        layout: For `%`, with a `%s` for each place.
        places: What is put there; None for each text once and as it is, in their order.
        whole: Whether every text is among them.
    """

    layout: str
    places: tuple[_Place, ...] | None
    whole: bool

    def written(self, contents: tuple[str, ...]) -> str:
        """The text of a conversation of these roles."""
        if self.places is None:
            return self.layout % contents
        texts = (contents[place.number].strip() if place.trimmed else contents[place.number] for place in self.places)
        return self.layout % tuple(texts)


def pattern(template: Template, roles: Sequence[str]) -> Pattern | None:
    """What `template` writes for conversations of these roles that have nothing but texts.

    Returns:
        None where that depends on more than the roles, or the template refuses it.
    """
    import jinja2

    messages = [{"role": role, "content": _Text((_Place(number, trimmed=False),))} for number, role in enumerate(roles)]
    try:
        parts = list(_parts(template, messages))
    except (_UnprovenError, jinja2.TemplateError, *FAILURES):
        return None
    places = tuple(part for part in parts if isinstance(part, _Place))
    layout = "".join("%s" if isinstance(part, _Place) else part.replace("%", "%%") for part in parts)
    plain = places == tuple(_Place(number, trimmed=False) for number in range(len(roles)))
    return Pattern(layout, None if plain else places, {place.number for place in places} == set(range(len(roles))))


def _parts(template: Template, messages: list[dict[str, Any]]) -> Iterator[str | _Place]:
    compiled = _compiled(template.default)
    variables = template.variables(compiled.globals, messages)
    for item in compiled.root_render_func(compiled.new_context(variables, shared=True)):
        if isinstance(item, _Written):
            yield from item.parts
        elif _WRITTEN in item:
            raise _UnprovenError
        else:
            yield item.replace(BEGUN, "").replace(ENDED, "")


class _Text:
    """Stands for a text, or for several and what is between them. What is not defined here, nobody can do with it."""

    __slots__ = ("parts",)

    def __init__(self, parts: tuple[str | _Place, ...]) -> None:
        self.parts = parts

    def __add__(self, other: object) -> "_Text":
        return _Text((*self.parts, *_joined(other)))

    def __radd__(self, other: object) -> "_Text":
        return _Text((*_joined(other), *self.parts))

    def __str__(self) -> str:
        return _Written(self.parts)

    def __eq__(self, _other: object) -> bool:
        raise _UnprovenError

    def __hash__(self) -> int:
        raise _UnprovenError

    def __bool__(self) -> bool:
        raise _UnprovenError

    def __repr__(self) -> str:
        raise _UnprovenError


class _Written(str):
    """A text that was written, as what Jinja takes for one."""

    __slots__ = ("parts",)
    parts: tuple[str | _Place, ...]

    def __new__(cls, parts: tuple[str | _Place, ...]) -> Self:
        made = super().__new__(cls, _WRITTEN)
        made.parts = parts
        return made


def _joined(value: object) -> tuple[str | _Place, ...]:
    if isinstance(value, _Text):
        return value.parts
    if value.__class__ is str:
        return (str(value),)
    raise _UnprovenError


def _trim(value: Any) -> Any:
    if not isinstance(value, _Text):
        return str(value).strip()
    if len(value.parts) != 1 or not isinstance(value.parts[0], _Place):
        raise _UnprovenError
    return _Text((value.parts[0]._replace(trimmed=True),))


def _length(value: Any) -> int:
    if isinstance(value, (str, list, tuple, dict)):
        return len(value)
    raise _UnprovenError


def _rest(value: Any, by: Any) -> int:
    """What is left of a number; `%` also fills texts into others, behind the back of what stands for them."""
    if isinstance(value, int) and isinstance(by, int):
        return value % by
    raise _UnprovenError


@cache
def _compiled(source: str) -> Any:
    """A template with only what is followed; the rest fails when it is reached."""
    import jinja2
    from jinja2 import nodes
    from jinja2.visitor import NodeTransformer

    kinds = tuple(getattr(nodes, name) for name in (*_EXPRESSIONS, *_STATEMENTS))
    place = _environment()

    def call(name: str, *values: nodes.Expr) -> nodes.Call:
        return nodes.Call(nodes.Name(name, "load"), list(values), [], None, None)

    class Followed(NodeTransformer):
        """Puts a failure in place of what is not followed."""

        def visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> Any:
            node = super().visit(node, *args, **kwargs)
            if isinstance(node, nodes.Mod):
                return call("_rest", node.left, node.right)
            if type(node) in kinds and not _unknown(node):
                return node
            if isinstance(node, nodes.Stmt):
                return nodes.Output([call("_unproven")])
            return call("_unproven") if isinstance(node, nodes.Expr) else node

    def _unknown(node: nodes.Node) -> bool:
        if isinstance(node, nodes.Filter):
            return node.name not in place.filters or bool(node.args or node.kwargs)
        if isinstance(node, nodes.Test):
            return node.name not in place.tests
        return isinstance(node, nodes.For) and bool(node.recursive)

    tree = Followed().visit(syntax(source)).set_environment(place)
    return jinja2.Template.from_code(place, place.compile(tree), dict(place.globals))


@cache
def _environment() -> Any:
    """The one of `template`, in which nothing looks into a text."""

    class Environment(environment_kind()):  # type: ignore[misc]
        """Follows what is known."""

        def getattr(self, obj: Any, attribute: str) -> Any:
            if isinstance(obj, _Text):
                raise _UnprovenError
            return super().getattr(obj, attribute)

        def getitem(self, obj: Any, argument: Any) -> Any:
            if isinstance(obj, _Text) or isinstance(argument, _Text):
                raise _UnprovenError
            return super().getitem(obj, argument)

        def call(self, context: Any, function: Any, *args: Any, **kwargs: Any) -> Any:
            if function not in known:
                raise _UnprovenError
            return super().call(context, function, *args, **kwargs)

    place: Any = Environment.made()
    known = [_rest, *(place.globals[name] for name in ("namespace", "raise_exception", "range"))]
    place.globals["_rest"] = _rest
    place.filters = {"trim": _trim, "length": _length, "count": _length}
    place.tests = {name: place.tests[name] for name in _TESTS}
    place.tests["string"] = lambda value: isinstance(value, (str, _Text))
    return place

"""Sandbox: Jinja as transformers sets it up for the templates of models."""

import json
from datetime import datetime
from functools import cache
from typing import Any, Final

BEGUN: Final = "\ufdd0"
ENDED: Final = "\ufdd1"
"""Around what `{% generation %}` makes; noncharacters, which no text has (Unicode 23.7)."""

FAILURES: Final = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError)
"""What a template raises, beside Jinja's own errors, where it does not take what it is given."""

_OF_DICTS: Final = frozenset(dir(dict))
_OF_LOOPS: Final = frozenset(
    {"first", "last", "index", "index0", "revindex", "revindex0", "length", "previtem", "nextitem"}
)


@cache
def compiled(source: str) -> Any:
    """A template.

    Raises:
        jinja2.TemplateSyntaxError: It is none.
    """
    return _environment().from_string(source)


def syntax(source: str) -> Any:
    """What a template consists of, as Jinja's own tree."""
    return _environment().parse(source)


@cache
def _environment() -> Any:
    return environment_kind().made()


@cache
def environment_kind() -> Any:
    """The class of environments: sandboxed, and `made` with what templates of models expect beside."""
    import jinja2
    import jinja2.ext
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(jinja2.ext.Extension):
        """`{% generation %} ... {% endgeneration %}`: what the model is to say."""

        tags = {"generation"}  # noqa: RUF012 - Jinja's own name for it

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            begun, ended = (jinja2.nodes.Output([jinja2.nodes.TemplateData(mark)]) for mark in (BEGUN, ENDED))
            return [begun.set_lineno(line), *body, ended.set_lineno(line)]

    class Environment(ImmutableSandboxedEnvironment):
        """The sandbox; what templates ask most and what is always safe, `message.content` and `loop.first`, at once."""

        def getattr(self, obj: Any, attribute: str) -> Any:
            if obj.__class__ is dict and attribute in obj and attribute not in _OF_DICTS:
                return obj[attribute]
            if obj.__class__ is jinja2.runtime.LoopContext and attribute in _OF_LOOPS:
                return getattr(obj, attribute)
            return super().getattr(obj, attribute)

        @classmethod
        def made(cls) -> Any:
            extensions = [Generation, jinja2.ext.loopcontrols]
            environment: Any = cls(trim_blocks=True, lstrip_blocks=True, extensions=extensions)
            environment.filters["tojson"] = _to_json
            environment.globals["raise_exception"] = _raise
            environment.globals["strftime_now"] = _now
            return environment

    return Environment


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise(message: str) -> None:
    import jinja2

    raise jinja2.TemplateError(message)


def _now(layout: str) -> str:
    return datetime.now().strftime(layout)  # noqa: DTZ005 - the local day, as transformers has it

"""Jinja2 for phases: sandboxed, strict, and without guessing.

A scalar that is one expression (`"{{ node.variables.aiops_hold }}"`) gives that expression's own value, a list stays a
list; any other text gives text. Text is never parsed again, so a version like `1.10` stays what it is, and a value
cannot smuggle in YAML or another template.
"""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import BaseLoader
    from jinja2.sandbox import ImmutableSandboxedEnvironment


class TemplateTroubleError(Exception):
    """A template is wrong, or cannot be rendered with what it was given."""

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


class Templates:
    """The templates of one folder, and the expressions of the phase file beside them."""

    def __init__(self, folder: Path) -> None:
        from jinja2 import FileSystemLoader

        self._loader = FileSystemLoader(folder)
        self._environment = _environment(self._loader)
        self._expressions: dict[str, Any] = {}
        self._values: dict[str, Any] = {}

    def check_file(self, name: str) -> None:
        """Raise `TemplateTroubleError` where a template file has a mistake of syntax."""
        with _told():
            self._environment.get_template(name)

    def check_text(self, text: str) -> None:
        """Raise `TemplateTroubleError` where a scalar has a mistake of syntax."""
        with _told():
            self._environment.parse(text)

    def check_expression(self, text: str) -> None:
        """Raise `TemplateTroubleError` where an expression has a mistake of syntax."""
        with _told():
            self._environment.compile_expression(text, undefined_to_none=False)

    def file(self, name: str, context: Mapping[str, Any]) -> str:
        """A template file, rendered."""
        with _told(name):
            return self._environment.get_template(name).render(context)

    def sees(self, name: str, names: AbstractSet[str]) -> bool:
        """Whether a template file can see any of `names` in its context; where it does not, they do not change it.

        One that is put together from others which see its context too counts as seeing everything.
        """
        from jinja2 import meta, nodes

        source, _, _ = self._loader.get_source(self._environment, name)
        tree = self._environment.parse(source)
        return (
            any(tree.find(kind) is not None for kind in (nodes.Include, nodes.Extends))
            or any(one.with_context for one in tree.find_all(nodes.Import))
            or any(one.with_context for one in tree.find_all(nodes.FromImport))
            or not names.isdisjoint(meta.find_undeclared_variables(tree))
        )

    def expression(self, text: str, context: Mapping[str, Any]) -> Any:
        """The value of an expression (`when`, `each`)."""
        with _told():
            if text not in self._expressions:
                self._expressions[text] = self._environment.compile_expression(text, undefined_to_none=False)
            return _defined(self._expressions[text](**context))

    def value(self, value: Any, context: Mapping[str, Any]) -> Any:
        """A value of the phase file with every string in it rendered; other values as they are."""
        if isinstance(value, str):
            if "{" not in value:
                return value
            with _told():
                if value not in self._values:
                    self._values[value] = _compiled(self._environment, value)
                return _defined(self._values[value](**context))
        if isinstance(value, list):
            return [self.value(item, context) for item in value]
        if isinstance(value, dict):
            return {key: self.value(item, context) for key, item in value.items()}
        return value


def _environment(loader: "BaseLoader") -> "ImmutableSandboxedEnvironment":
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(
        loader=loader,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # configuration files, not HTML
    )


def _compiled(environment: "ImmutableSandboxedEnvironment", text: str) -> Callable[..., Any]:
    """`text` as a function of its context: of an expression's own value where it is one and nothing else."""
    from jinja2 import nodes
    from jinja2.environment import TemplateExpression

    body = environment.parse(text).body
    if len(body) == 1 and isinstance(body[0], nodes.Output) and len(body[0].nodes) == 1:
        (only,) = body[0].nodes
        if not isinstance(only, nodes.TemplateData):
            # As `Environment.compile_expression` does it, from an expression that is parsed already.
            assign = nodes.Assign(nodes.Name("result", "store"), only, lineno=1)
            template = environment.from_string(nodes.Template([assign], lineno=1))
            return TemplateExpression(template, undefined_to_none=False)
    return environment.from_string(text).render


def _defined(value: Any) -> Any:
    """`value`, or jinja2's own error where it is undefined."""
    from jinja2 import Undefined

    if isinstance(value, Undefined):
        str(value)
    return value


class _told:  # noqa: N801 - reads as `with _told():`
    """Turns what jinja2 and the expressions raise into `TemplateTroubleError`."""

    def __init__(self, name: str | None = None) -> None:
        self._name = name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None or not isinstance(error, Exception):
            return
        from jinja2 import TemplateError, TemplateSyntaxError

        if isinstance(error, TemplateSyntaxError):
            raise TemplateTroubleError(error.message or "wrong syntax", error.lineno) from error
        line = _line_in(self._name, error) if self._name else None
        if isinstance(error, TemplateError):
            raise TemplateTroubleError(error.message or str(error), line) from error
        from .bundle.offer import NotOfferedError

        words = str(error) if isinstance(error, NotOfferedError) else f"{type(error).__name__}: {error}"
        raise TemplateTroubleError(words, line) from error


def _line_in(name: str, error: Exception) -> int | None:
    """The last line of template `name` that the error came through; jinja2 rewrites tracebacks to template lines."""
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.endswith(f"/{name}"):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line

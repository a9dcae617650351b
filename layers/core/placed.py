"""YAML with the place of every value, for files whose mistakes are told with a line."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import Problem

_MOST_VALUES = 100_000
"""Values of one document, those repeated by aliases too: a few lines of aliases could otherwise fill the memory."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A value and the line it stands on. Mappings and lists hold `Placed` in turn.

    Attributes:
        keys: Of a mapping, the line that each key stands on.
        text: Of a plain value, how it is written: `0644` where YAML makes 420 of it.
    """

    value: Any
    line: int
    keys: Mapping[str, int] = field(default_factory=dict, hash=False)
    text: str | None = None

    def plain(self) -> Any:
        """The value without places."""
        if isinstance(self.value, dict):
            return {key: item.plain() for key, item in self.value.items()}
        if isinstance(self.value, list):
            return [item.plain() for item in self.value]
        return self.value


def load_placed(path: Path, problems: list[Problem]) -> Placed | None:
    """The document in `path`; None when it cannot be read, with the reason added to `problems`."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(Problem(f"cannot be read: {error}", str(path)))
        return None
    return read_placed(text, str(path), problems)


def read_placed(text: str, name: str, problems: list[Problem]) -> Placed | None:
    """The document that `text` is; None when it is none, with the reason added to `problems`.

    Args:
        text: YAML.
        name: The file's, for words about it.
        problems: Where mistakes are added.
    """
    import yaml

    try:
        loader = yaml.SafeLoader(text)
    except yaml.YAMLError as error:  # bytes that no text has
        problems.append(Problem(f"is not YAML: {getattr(error, 'reason', error)}", name))
        return None
    try:
        node = loader.get_single_node()
        if node is None:
            problems.append(Problem("is empty", name, 1))
            return None
        return _Reader(loader, name, problems).placed(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problems.append(Problem(f"is not YAML: {error.problem}", name, mark.line + 1 if mark else None))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problems.append(Problem(f"is not YAML: {error}", name))
    finally:
        loader.dispose()
    return None


class _Reader:
    """Makes values of one document's nodes."""

    def __init__(self, loader: Any, name: str, problems: list[Problem]) -> None:
        self._loader = loader
        self._name = name
        self._problems = problems
        self._left = _MOST_VALUES

    def placed(self, node: Any) -> Placed:
        """The value of a node, and all below it.

        Raises:
            ValueError: There are too many.
        """
        import yaml

        self._left -= 1
        if self._left < 0:
            raise ValueError(f"it holds more than {_MOST_VALUES:,} values")
        line = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, line)
        if isinstance(node, yaml.SequenceNode):
            return Placed([self.placed(item) for item in node.value], line)
        return Placed(self._loader.construct_object(node, deep=True), line, text=str(node.value))

    def _mapping(self, node: Any, line: int) -> Placed:
        mapping: dict[str, Placed] = {}
        keys: dict[str, int] = {}
        for key_node, value_node in node.value:
            key = self._loader.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                key = str(key_node.value)
            if key in mapping:
                self._problems.append(Problem(f"`{key}` is written twice", self._name, key_node.start_mark.line + 1))
            mapping[key] = self.placed(value_node)
            keys[key] = key_node.start_mark.line + 1
        return Placed(mapping, line, keys)

"""YAML with the place of every value, for files whose mistakes are told with a line."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiops.layers.core.errors import Problem


@dataclass(frozen=True, slots=True)
class Placed:
    """A value and the line it stands on. Mappings and lists hold `Placed` in turn."""

    value: Any
    line: int

    def plain(self) -> Any:
        """The value without places."""
        if isinstance(self.value, dict):
            return {key: item.plain() for key, item in self.value.items()}
        if isinstance(self.value, list):
            return [item.plain() for item in self.value]
        return self.value


def load_placed(path: Path, problems: list[Problem]) -> Placed | None:
    """The document in `path`; None when it cannot be read, with the reason added to `problems`."""
    import yaml

    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(Problem(f"cannot be read: {error}", str(path)))
        return None
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            problems.append(Problem("is empty", str(path), 1))
            return None
        return _placed(loader, node, path, problems)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problems.append(Problem(f"is not YAML: {error.problem}", str(path), mark.line + 1 if mark else None))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problems.append(Problem(f"is not YAML: {error}", str(path)))
    finally:
        loader.dispose()
    return None


def _placed(loader: Any, node: Any, path: Path, problems: list[Problem]) -> Placed:
    import yaml

    line = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Placed] = {}
        for key_node, value_node in node.value:
            key = loader.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                key = str(key_node.value)
            if key in mapping:
                problems.append(Problem(f"`{key}` is written twice", str(path), key_node.start_mark.line + 1))
            mapping[key] = _placed(loader, value_node, path, problems)
        return Placed(mapping, line)
    if isinstance(node, yaml.SequenceNode):
        return Placed([_placed(loader, item, path, problems) for item in node.value], line)
    return Placed(loader.construct_object(node, deep=True), line)

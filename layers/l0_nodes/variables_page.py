"""The reference page of the `aiops_*` variables, written from their model: `make docs`."""

import json
import re
import sys
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from .variables import NodeVariables, model_in

_INTRODUCTION = """\
<!-- Written from layers/l0_nodes/variables.py; `make docs` writes it again. -->
# The variables of a node

What aiops makes of a node is said by `aiops_*` variables of the inventory: for all nodes, for a group or for one
host, in the inventory itself, in `group_vars` and `host_vars`, or as defaults in [aiops.toml](aiops.toml). Templates
and vaulted values work as everywhere in Ansible. A name that is not below is a mistake, and so is a value of another
type; `aiops cluster validate` tells both with file and line.

How a node is reached is said by Ansible's own variables (`ansible_host`, `ansible_user`, `ansible_port`,
`ansible_ssh_private_key_file`, `ansible_become` and so on), see [inventory.yml](inventory.yml).
"""


def variables_page() -> str:
    """The page, in Markdown."""
    return "\n".join([_INTRODUCTION, *_lines(NodeVariables, "##")])


def _lines(model: type[BaseModel], heading: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = model_in(field.annotation)
        yield f"{heading} `{name}`\n"
        yield f"{field.description}\n"
        yield f"- type: {_type(field)}"
        if not field.is_required():
            yield f"- default: {_default(field)}"
        else:
            yield "- required"
        for example in field.examples or ():
            yield f"- example: `{name}: {_yaml(example)}`"
        yield ""
        if inner is not None:
            yield from _lines(inner, heading + "#")


def _type(field: FieldInfo) -> str:
    words = _words(field.annotation)
    pattern = next((found.pattern for found in field.metadata if getattr(found, "pattern", None)), None)
    return f"{words} that matches `{pattern}`" if pattern else words


def _words(kind: Any) -> str:
    """A type in words."""
    origin, inside = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return " or ".join(_words(part) for part in inside if part is not NoneType)
    if origin is Literal:
        return " or ".join(f"`{part}`" for part in inside)
    if origin is list:
        return f"list of {_plural(inside[0])}"
    if origin is dict:
        return f"map of names to {_words(inside[1])}"
    if hasattr(kind, "__metadata__"):
        return _words(kind.__origin__)
    names = {str: "text", int: "whole number", bool: "true or false"}
    return names.get(kind, "map, its keys below")


def _plural(kind: Any) -> str:
    return "maps, their keys below" if model_in(kind) else {"text": "texts"}.get(_words(kind), _words(kind))


def _default(field: FieldInfo) -> str:
    return "none" if field.default is None else f"`{_yaml(field.default)}`"


def _yaml(value: Any) -> str:
    """A value as one line of YAML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_yaml(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_yaml(part) for part in value) + "]"
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z/][\w./:@-]*[\w/]|[A-Za-z]", value):
        return value
    return json.dumps(value)


if __name__ == "__main__":
    sys.stdout.write(variables_page())

"""Which packages the phases need, read from the playbooks themselves."""

from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from .application import PACKAGE
from .workspace import Wanted


def packages_of_playbooks(
    codename: str, *, vendor: bool = False, playbooks: Traversable | None = None
) -> tuple[Wanted, ...]:
    """Every package that a phase names literally, and those declared in `playbooks/bundle.yml`, for one release.

    `package: "{{ item }}"` counts for every string written in a list of its `each`. Packages that a phase wants
    absent do not count; names built from variables are declared.

    Args:
        codename: The release.
        vendor: Whether the packages of accelerator vendors are wanted too.
        playbooks: Where the phases lie; the installed ones by default.
    """
    from yaml import safe_load

    root = playbooks if playbooks is not None else files("aiops") / "playbooks"
    found: dict[str, Wanted] = {}
    for name, document in _phases(root, safe_load):
        for package in _named(document.get("resources") or ()):
            found.setdefault(package, Wanted(package, f"phase {name}"))
    declared: Mapping[str, Any] = safe_load((root / "bundle.yml").read_text()) or {}
    for package in declared.get("always") or ():
        found.setdefault(package, Wanted(package, "every node"))
    for phase, names in (declared.get("phases") or {}).items():
        for package in names:
            found.setdefault(package, Wanted(package, f"phase {phase}"))
    release = (declared.get("releases") or {}).get(codename) or {}
    for package in release.get("without") or ():
        found.pop(package, None)
    for package in release.get("with") or ():
        found.setdefault(package, Wanted(package, f"release {codename}"))
    found.pop(PACKAGE, None)  # made here, not fetched
    if not vendor:
        for package in declared.get("vendor") or ():
            found.pop(package, None)
    return tuple(found[name] for name in sorted(found))


def _phases(root: Traversable, load: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for folder in sorted(root.iterdir(), key=lambda one: one.name):
        file = folder / "phase.yml"
        if folder.is_dir() and file.is_file():
            yield folder.name, load(file.read_text()) or {}


def _named(resources: Any) -> Iterator[str]:
    for resource in resources:
        name = resource.get("package")
        if not isinstance(name, str) or resource.get("absent"):
            continue
        if "{{" not in name:
            yield name
        elif name.strip("{} ") == "item":
            yield from _constants(str(resource.get("each", "")))


def _constants(expression: str) -> Iterator[str]:
    """The strings in the lists of an expression: `["jq", "less"] + node.variables.aiops_packages` names two."""
    from jinja2 import Environment, nodes

    tree = Environment(autoescape=False).parse("{{ " + expression + " }}")  # noqa: S701 - parsed, never rendered
    for written in tree.find_all(nodes.List):
        for item in written.items:
            if isinstance(item, nodes.Const) and isinstance(item.value, str):
                yield item.value

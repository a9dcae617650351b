"""Which packages the phases need, read from the playbooks themselves."""

from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from .application import PACKAGE
from .target import Target
from .workspace import Wanted


def packages_of_playbooks(
    target: Target, *, vendor: bool = False, driver: str | None = None, playbooks: Traversable | None = None
) -> tuple[Wanted, ...]:
    """Every package that a phase names literally, and those declared in `playbooks/bundle.yml`, for one target.

    `package: "{{ item }}"` counts for every string written in a list of its `each`. Packages that a phase wants
    absent do not count; names built from variables are declared.

    Args:
        target: The release and architecture.
        vendor: Whether the packages of accelerator vendors are wanted too.
        driver: The exact version of a vendor's driver whose packages are wanted.
        playbooks: Where the phases lie; the installed ones by default.
    """
    from yaml import safe_load

    root = playbooks if playbooks is not None else files("aiops") / "playbooks"
    declared: Mapping[str, Any] = safe_load((root / "bundle.yml").read_text()) or {}
    release = (declared.get("releases") or {}).get(target.codename) or {}
    named = [(package, f"phase {phase}") for phase, package in _literal(root, safe_load)]
    named += [(package, "every node") for package in declared.get("always") or ()]
    named += [
        (package, f"phase {phase}") for phase, names in (declared.get("phases") or {}).items() for package in names
    ]
    left_out = {PACKAGE, *(release.get("without") or ()), *(() if vendor else declared.get("vendor") or ())}
    found: dict[str, Wanted] = {}
    for package, by in named:
        if package not in left_out:
            found.setdefault(package, Wanted(package, by))
    for package in release.get("with") or ():
        found.setdefault(package, Wanted(package, f"release {target.codename}"))
    if driver is not None:
        for pattern in (declared.get("driver") or {}).get(target.release.distribution) or ():
            package = pattern.replace("#", driver.partition(".")[0])
            found[package] = Wanted(package, f"driver {driver}", f"{driver}-*")
    return tuple(found[name] for name in sorted(found))


def _literal(root: Traversable, load: Any) -> Iterator[tuple[str, str]]:
    for name, document in _phases(root, load):
        for package in _named(document.get("resources") or ()):
            yield name, package


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

"""Desired state: a pure function from a phase, a node and its cluster to resources."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from aiops.layers.core.errors import InputError, Problem

from .context import ClusterContext, NodeContext
from .phase import Phase, Want
from .resource import File, Mount, Package, Reboot, Resource, Service, Sysctl, Tree, User
from .template import Templates, TemplateTroubleError
from .unit import mount_unit, mount_unit_name

UNIT_FOLDER = "/etc/systemd/system"


class SecretSource(Protocol):
    """Where `secret: NAME` comes from."""

    def get(self, name: str) -> bytes:
        """The content, the same at every call."""
        ...


class Desired:
    """The desired state of one phase: pure, with compiled templates and what one cluster's nodes share kept."""

    def __init__(self, phase: Phase, secrets: SecretSource) -> None:
        self.phase = phase
        self._secrets = secrets
        self._templates = Templates(phase.folder)
        self._files = _Files(self._templates)

    def of(self, node: NodeContext, cluster: ClusterContext) -> tuple[Resource, ...]:
        """What the phase wants of `node`; empty where it has no part.

        The files and units behind sysctls and mounts are among the result as resources of their own.

        Raises:
            InputError: A template cannot be rendered for this node, or gives what is not a resource; told with the
                phase file's line (`phase.render`).
        """
        if not self.phase.covers(node.roles):
            return ()
        context = {"node": node, "cluster": cluster}
        resources = [resource for want in self.phase.wants for resource in self._of(want, context)]
        resources.extend(_behind(self.phase.name, resources))
        self._unique(resources, node)
        return tuple(resources)

    def _of(self, want: Want, context: Mapping[str, Any]) -> Iterator[Resource]:
        at = context
        try:
            if want.each is None:
                items: list[Mapping[str, Any]] = [context]
            else:
                values = self._templates.expression(want.each, context)
                items = [{**context, "item": value} for value in _each(values)]
            for at in items:
                if want.when is None or self._templates.expression(want.when, at):
                    yield self._resource(want, at)
        except (TemplateTroubleError, _WrongValueError) as error:
            node: NodeContext = context["node"]
            raise InputError(
                f"phase `{self.phase.name}` cannot be worked out for {node.name}",
                code="phase.render",
                problems=[
                    Problem(
                        f"{want.kind}{self._name(want, at)}: {_place(error)}{error}",
                        str(self.phase.file),
                        want.line,
                    )
                ],
                hints=[f"see what is known of it: `aiops node facts {node.name}`"],
            ) from error

    def _name(self, want: Want, context: Mapping[str, Any]) -> str:
        """What a want is called for this context, for messages; its template where that cannot be rendered.

        Nothing where it stands for each of some things and it is not known which these are.
        """
        if want.each is not None and "item" not in context:
            return ""
        try:
            return f" `{self._templates.value(want.name, context)}`"
        except TemplateTroubleError:
            return f" `{want.name}`"

    def _resource(self, want: Want, context: Mapping[str, Any]) -> Resource:  # noqa: PLR0911 - one kind, one return
        def value(key: str, default: Any = None) -> Any:
            return self._templates.value(want.fields.get(key, default), context)

        name = _text(want.kind, self._templates.value(want.name, context))
        if not name:
            raise _WrongValueError("has no name")
        match want.kind:
            case "package":
                version = value("version")
                return Package(
                    name,
                    None if version is None else _text("version", version),
                    held=_flag("held", value("held", False)),
                    absent=_flag("absent", value("absent", False)),
                )
            case "file":
                return self._file(name, want, context)
            case "tree":
                return Tree(_path(name), _digests(value("digests")), _number("bytes", value("bytes", 0)))
            case "service":
                return Service(
                    name,
                    enabled=_flag("enabled", value("enabled", True)),
                    running=_flag("running", value("running", True)),
                )
            case "sysctl":
                return Sysctl(name, " ".join(_text("value", value("value")).split()))
            case "mount":
                return Mount(
                    _path(name),
                    _text("source", value("source")),
                    _text("type", value("type")),
                    _text("options", value("options", "defaults")),
                )
            case "user":
                uid = _number("uid", value("uid"))
                return User(
                    name,
                    uid,
                    _number("gid", value("gid", uid)),
                    _text("group", value("group", name)),
                    _path(_text("home", value("home", f"/home/{name}"))),
                    _path(_text("shell", value("shell", "/usr/sbin/nologin"))),
                )
        return Reboot(name, _words("when_changed", value("when_changed")))

    def _file(self, path: str, want: Want, context: Mapping[str, Any]) -> File:
        def value(key: str, default: Any = None) -> Any:
            return self._templates.value(want.fields.get(key, default), context)

        fields = want.fields
        folder, absent = _flag("folder", value("folder", False)), _flag("absent", value("absent", False))
        content: bytes | None = None
        if "template" in fields:
            content = self._files.content(_text("template", value("template")), context)
        elif "content" in fields:
            content = _text("content", value("content")).encode()
        elif "secret" in fields:
            try:
                content = self._secrets.get(_text("secret", value("secret")))
            except ValueError as error:
                raise _WrongValueError(str(error)) from error
        elif not (folder or absent):
            raise _WrongValueError("has no content and is neither a folder nor absent")
        validate = value("validate")
        if validate is not None and "%s" not in _text("validate", validate):
            raise _WrongValueError("`validate` needs `%s`, which stands for the new file")
        return File(
            _path(path),
            content,
            mode=_mode(value("mode", "0755" if folder else "0600" if "secret" in fields else "0644")),
            owner=_text("owner", value("owner", "root")),
            group=_text("group", value("group", "root")),
            folder=folder,
            absent=absent,
            secret="secret" in fields,
            restarts=_words("restarts", value("restarts", [])),
            validate=validate,
            reboots=_flag("reboots", value("reboots", False)),
        )

    def _unique(self, resources: list[Resource], node: NodeContext) -> None:
        seen: set[str] = set()
        for resource in resources:
            if resource.key in seen:
                raise InputError(
                    f"phase `{self.phase.name}` wants `{resource.key}` twice on {node.name}",
                    code="phase.twice",
                    problems=[Problem("the same resource twice", str(self.phase.file))],
                    hints=["use `when` so that only one of them is wanted on a node"],
                )
            seen.add(resource.key)


class _Files:
    """The rendered files of one cluster: those that ask for no node are rendered once, equal ones are kept once."""

    def __init__(self, templates: Templates) -> None:
        self._templates = templates
        self._cluster: ClusterContext | None = None
        self._common: dict[str, bytes] = {}
        self._contents: dict[bytes, bytes] = {}
        self._is_common: dict[str, bool] = {}

    def content(self, name: str, context: Mapping[str, Any]) -> bytes:
        """The content that template `name` has in `context`."""
        if context["cluster"] is not self._cluster:
            self._cluster = context["cluster"]
            self._common.clear()
            self._contents.clear()
        if name in self._common:
            return self._common[name]
        rendered = self._templates.file(name, context).encode()
        content = self._contents.setdefault(rendered, rendered)
        if name not in self._is_common:
            self._is_common[name] = not self._templates.sees(name, {"node", "item"})
        if self._is_common[name]:
            self._common[name] = content
        return content


def sysctl_path(phase: str) -> str:
    """The file that keeps a phase's kernel settings over a reboot."""
    return f"/etc/sysctl.d/60-aiops-{phase}.conf"


def _behind(phase: str, resources: list[Resource]) -> Iterator[Resource]:
    """The files and units that make sysctls and mounts last."""
    settings = sorted((one.name, one.value) for one in resources if isinstance(one, Sysctl))
    if settings:
        lines = "".join(f"{name} = {value}\n" for name, value in settings)
        yield File(sysctl_path(phase), f"# Written by aiops, phase {phase}.\n{lines}".encode())
    for one in resources:
        if isinstance(one, Mount):
            unit = mount_unit_name(one.path)
            yield File(f"{UNIT_FOLDER}/{unit}", mount_unit(one).encode(), restarts=(unit,))
            yield Service(unit)


class _WrongValueError(Exception):
    """A value of a resource is not what its field takes."""


def _place(error: Exception) -> str:
    """The line of a template file that the error came from, in words."""
    line = error.line if isinstance(error, TemplateTroubleError) else None
    return f"line {line} of its template: " if line else ""


def _each(values: Any) -> list[Any]:
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        raise _WrongValueError(f"`each` gives {values!r}, which is not a list")
    return list(values)


def _text(key: str, value: Any) -> str:
    if isinstance(value, bool | float) or not isinstance(value, str | int):
        raise _WrongValueError(f"`{key}` is {value!r}; it must be text (quote it)")
    return str(value)


def _flag(key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _WrongValueError(f"`{key}` is {value!r}; it must be true or false")
    return value


def _number(key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _WrongValueError(f"`{key}` is {value!r}; it must be a whole number")
    return value


def _digests(value: Any) -> Mapping[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(one, str) for pair in value.items() for one in pair):
        raise _WrongValueError("`digests` must be a mapping of paths to SHA-256 digests")
    return dict(value)


def _words(key: str, value: Any) -> tuple[str, ...]:
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
        raise _WrongValueError(f"`{key}` is {value!r}; it must be a list of words")
    return tuple(words)


def _mode(value: Any) -> str:
    if isinstance(value, str) and value.isdigit() and len(value) in {3, 4} and set(value) <= set("01234567"):
        return value.zfill(4)
    raise _WrongValueError(f'`mode` is {value!r}; write it as "0644", quoted')


def _path(value: str) -> str:
    if not value.startswith("/") or "\n" in value or "/../" in f"{value}/":
        raise _WrongValueError(f"{value!r} is not an absolute path")
    return value.rstrip("/") or "/"

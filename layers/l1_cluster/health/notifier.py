"""The seam of notifiers: who sends notices where, and the settings that each reads for itself."""

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Protocol

from aiops.layers.core.errors import FailedError, InputError, Problem
from aiops.layers.core.plugin import Plugins, hookspec
from aiops.layers.l0_nodes.settings import Settings

from .notice import Notice

KIND = "notifier"
REJECTED = "notify.rejected"
"""The code of an error that says: this notice will never be taken, however often it is sent."""

_TABLE = "health.notify"
_DOCS = "docs/reference/aiops.toml shows all it may say"


class Notifier(Protocol):
    """Sends notices to one place. `tests/l1_cluster/test_notifier_contract.py` is what all of them do alike."""

    @property
    def name(self) -> str:
        """That of its table in aiops.toml."""
        ...

    @property
    def place(self) -> str:
        """Where it sends, in a few words and without anything secret: `hooks.example.org`."""
        ...

    def send(self, notice: Notice, seconds: float) -> str | None:
        """Hand `notice` over; the receiver has said that it has it when this returns.

        Args:
            notice: What to send. The same one may be sent twice, with the same `id`.
            seconds: For each step: to connect, and for each answer.

        Returns:
            Whom of several it has not reached, in a line: it is not sent again for them. None: it has reached all.

        Raises:
            UnreachableError: The receiver does not answer in time.
            FailedError: It refuses, or a secret cannot be read; with the code `REJECTED` it refuses this notice for
                good, and it is not sent again.
        """
        ...


class NotifierKind(Protocol):
    """What a plugin brings: how its table in aiops.toml is read."""

    @property
    def name(self) -> str:
        """`[health.notify.NAME]` is its table."""
        ...

    @property
    def keys(self) -> tuple[str, ...]:
        """All that may stand there."""
        ...

    def read(self, form: "Form") -> Notifier | None:
        """The notifier that was asked for; None where a mistake was complained of."""
        ...


class NotifierHooks:
    """Hooks of the kind `notifier`."""

    @hookspec
    def notifier_kind(self) -> NotifierKind:  # type: ignore[empty-body]
        """The notifier that this plugin knows."""


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret is, never the secret itself: it is read when it is needed.

    Attributes:
        key: What it is called in aiops.toml.
        file: A file that its owner may read, and its group (as `root:aiops`, 0640), and nobody else; else `variable`,
            of the environment.
    """

    key: str
    file: Path | None
    variable: str
    environment: Mapping[str, str]

    def value(self) -> str:
        """The secret, without the line's end.

        Raises:
            FailedError: It is not there, is empty, or others than the file's owner and group may use it.
        """
        found = self._of_variable() if self.file is None else self._of_file(self.file)
        if not found or not found.isprintable():
            what = f"${self.variable}" if self.file is None else str(self.file)
            raise FailedError(
                f"{what} (`{self.key}` of a notifier) is empty or more than one line",
                code="notify.secret",
                hints=["put the secret there, alone on one line"],
            )
        return found

    def _of_variable(self) -> str:
        return self.environment.get(self.variable, "").strip()

    def _of_file(self, path: Path) -> str:
        try:
            with path.open(encoding="utf-8") as stream:
                mode = os.fstat(stream.fileno()).st_mode
                if stat.S_IMODE(mode) & 0o007:
                    raise FailedError(
                        f"{path} (`{self.key}` of a notifier) can be read by everybody",
                        code="notify.secret",
                        hints=[f"`chmod 600 {path}`"],
                    )
                return stream.read(4096).strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            raise FailedError(
                f"{path} (`{self.key}` of a notifier) cannot be read: {reason}",
                code="notify.secret",
                hints=[f"correct `{self.key}` in aiops.toml, or put the secret there"],
            ) from error


class Form:
    """One notifier's table, read a key at a time; mistakes are collected and told together."""

    def __init__(self, name: str, table: Mapping[str, Any], settings: Settings, environment: Mapping[str, str]) -> None:
        self._name = name
        self._table = table
        self._settings = settings
        self._environment = environment
        self.problems: list[Problem] = []

    def complain(self, key: str, message: str, hint: str | None = None) -> None:
        """Tell of a mistake in what stands at `key`."""
        path, lines = self._settings.path, self._settings.lines
        line = lines.get(key, lines.get(f"{_TABLE}.{self._name}"))
        self.problems.append(
            Problem(f"`{_TABLE}.{self._name}`: {message}", None if path is None else str(path), line, hint)
        )

    def text(self, key: str, default: str = "") -> str:
        """A line of text."""
        value = self._table.get(key, default)
        if isinstance(value, str) and value.isprintable():
            return value.strip()
        self.complain(key, f"`{key}` must be text on one line")
        return default

    def texts(self, key: str) -> tuple[str, ...]:
        """A line of text, or a list of them."""
        value = self._table.get(key, [])
        several = [value] if isinstance(value, str) else value
        if isinstance(several, list) and all(isinstance(one, str) and one.isprintable() for one in several):
            return tuple(one.strip() for one in several if one.strip())
        self.complain(key, f"`{key}` must be text, or a list of texts")
        return ()

    def flag(self, key: str) -> bool:
        """True or false; false where it is not there."""
        value = self._table.get(key, False)
        if not isinstance(value, bool):
            self.complain(key, f"`{key}` must be true or false")
        return value is True

    def word(self, key: str, words: Sequence[str]) -> str:
        """One of `words`, the first where it is not there."""
        value = self.text(key, words[0])
        if value in words:
            return value
        near = get_close_matches(value, words, n=1)
        self.complain(key, f"`{key}` must be one of {', '.join(words)}", f"did you mean `{near[0]}`?" if near else None)
        return words[0]

    def secret(self, key: str) -> Secret | None:
        """Where a secret is: in `KEY_file`, as seen from aiops.toml, or in `KEY_variable`; None where in neither."""
        file, variable = self.text(f"{key}_file"), self.text(f"{key}_variable")
        if file and variable:
            self.complain(f"{key}_file", f"either `{key}_file` or `{key}_variable`")
        if not file and not variable:
            return None
        beside = Path.cwd() if self._settings.path is None else self._settings.path.parent
        path = beside / Path(file).expanduser() if file else None
        return Secret(f"{key}_file" if file else f"{key}_variable", path, variable, self._environment)


def read_notifiers(settings: Settings, plugins: Plugins, environment: Mapping[str, str]) -> tuple[Notifier, ...]:
    """The notifiers that aiops.toml asks for, in its order; no plugin is imported where it asks for none.

    Raises:
        InputError: Something in it is wrong; all mistakes together, with file, line and the nearest names.
        PluginError: A plugin is broken.
    """
    tables = settings.health.get("notify", {})
    if not isinstance(tables, Mapping) or not tables:
        return ()  # what is no table, the reader of all of `health` tells
    kinds: dict[str, NotifierKind] = {
        kind.name: kind for _, kind in plugins.answers(KIND, NotifierHooks, "notifier_kind")
    }
    found: list[Notifier] = []
    problems: list[Problem] = []
    for name, table in tables.items():
        form = Form(name, table if isinstance(table, Mapping) else {}, settings, environment)
        kind = kinds.get(name)
        if kind is None:
            form.complain(name, f"there is no notifier `{name}`", _near(name, kinds))
        elif not isinstance(table, Mapping):
            form.complain(name, f"it must be a table, as in `[{_TABLE}.{name}]`")
        else:
            for key in table:
                if key not in kind.keys:
                    form.complain(key, f"unknown key `{key}`", _near(key, kind.keys))
            notifier = kind.read(form)
            found += [notifier] if notifier is not None else []
        problems += form.problems
    if problems:
        raise InputError(
            f"{settings.path.name if settings.path else 'aiops.toml'} is wrong in {len(problems)} "
            f"{'place' if len(problems) == 1 else 'places'}",
            code="settings.wrong",
            hints=[_DOCS],
            problems=problems,
        )
    return tuple(found)


def _near(word: str, known: Iterable[str]) -> str:
    several = sorted(known)
    near = get_close_matches(word, several, n=1)
    return f"did you mean `{near[0]}`?" if near else f"known are {', '.join(several) or 'none'}"

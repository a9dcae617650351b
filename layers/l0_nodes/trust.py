"""Writing known_hosts: the one file that paramiko's side of us and OpenSSH both go by."""

import fcntl
import os
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from aiops.layers.core.errors import ConflictError, InputError
from aiops.layers.core.file import write_atomic

from .known_hosts import Entry, HostKey, KnownHosts, hashed_name, host_name, matches, parse
from .ssh_config import SshConfig

_HASH_SALT_BYTES = 20
_READ: dict[str, tuple[tuple[int, ...], KnownHosts]] = {}
_READ_LOCK = threading.Lock()


def name_of(config: SshConfig) -> str:
    """The name that a host has in known_hosts."""
    alias = config.host_key_alias
    return alias.lower() if alias is not None else host_name(config.host, config.port)


def known_lines(config: SshConfig, name: str) -> tuple[Entry, ...]:
    """The lines about `name` (see `host_name`), the user's files before the system's; a missing file knows nobody."""
    found: list[Entry] = []
    for file in (*config.user_known_hosts, *config.global_known_hosts):
        with suppress(OSError):
            found += _known_hosts(file).of(name)
    return tuple(found)


def _known_hosts(file: str) -> KnownHosts:
    """The lines of a file, read again only when it is another or has changed: a fleet asks once per connection."""
    status = Path(file).stat()
    mark = status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size
    with _READ_LOCK:
        if file not in _READ or _READ[file][0] != mark:
            # Marked by what it was before reading: what is written meanwhile is read by the next.
            _READ[file] = mark, KnownHosts(Path(file).read_text("utf-8", "replace"), file)
        return _READ[file][1]


def remember(config: SshConfig, name: str, key: HostKey) -> None:
    """Trust `key` for `name` from now on (see `add`)."""
    add(config, [(name, key)])


def trust_file(config: SshConfig) -> Path:
    """The file that new keys are written to: the first UserKnownHostsFile.

    Raises:
        InputError: The configuration names none.
    """
    files = [file for file in config.user_known_hosts if file != os.devnull]
    if not files:
        raise InputError(
            f"{config.alias}: ssh's configuration has no UserKnownHostsFile to write to", code="ssh.no_known_hosts"
        )
    return Path(files[0])


def add(config: SshConfig, keys: Sequence[tuple[str, HostKey]]) -> int:
    """Append keys that are not there yet; names are hashed where HashKnownHosts says so.

    Returns:
        How many were added.
    """
    if all(file == os.devnull for file in config.user_known_hosts):
        return 0
    file = trust_file(config)
    with _locked(file) as target:
        text = _text(target)
        added = []
        for name, key in keys:
            known = (entry for entry in parse(text, str(file)) if not entry.marker and matches(entry.names, name))
            if all(entry.key != key for entry in known):
                shown = hashed_name(name, secrets.token_bytes(_HASH_SALT_BYTES)) if config.hash_known_hosts else name
                added.append(f"{shown} {key.text}\n")
        if added:
            glue = "" if not text or text.endswith("\n") else "\n"
            _write(target, text + glue + "".join(added))
    return len(added)


def forget(config: SshConfig, name: str) -> int:
    """Remove all plain keys of `name` from every file of the user's; marked lines stay.

    Returns:
        How many lines were changed.

    Raises:
        ConflictError: A line knows the name by a pattern: only its owner can say what it should be.
    """
    changed = 0
    for given in config.user_known_hosts:
        file = Path(given)
        if given == os.devnull or not file.exists():
            continue
        with _locked(file) as target:
            text = _text(target)
            lines = text.splitlines(keepends=True)
            touched = 0
            for entry in parse(text, given):
                if entry.marker or not matches(entry.names, name):
                    continue
                lines[entry.line - 1] = _without(lines[entry.line - 1], entry.names, name, entry.place)
                touched += 1
            if touched:
                _write(target, "".join(lines))
            changed += touched
    return changed


def _without(line: str, names: str, name: str, place: str) -> str:
    if names.startswith("|1|"):
        return ""
    rest = [word for word in names.split(",") if word.lower() != name]
    if matches(",".join(rest), name):
        raise ConflictError(
            f"{place} knows {name} by a pattern (`{names}`), which is yours to change",
            code="ssh.known_by_pattern",
            hints=[f"edit {place}"],
        )
    return line.replace(names, ",".join(rest), 1) if rest else ""


@contextmanager
def _locked(file: Path) -> Iterator[Path]:
    """The real file behind `file`, which no other aiops writes meanwhile."""
    target = file.resolve()
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with target.with_name(f".{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield target


def _text(target: Path) -> str:
    try:
        return target.read_text("utf-8", "surrogateescape")
    except FileNotFoundError:
        return ""


def _write(target: Path, text: str) -> None:
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o600
    write_atomic(target, text.encode("utf-8", "surrogateescape"), mode)

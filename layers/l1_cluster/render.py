"""The private directory of one deploy: what Ansible is given, on memory only, gone at the end.

```
DIR/                 0700
  apply.yml          a copy, for running by hand (`plan --write`)
  PHASE/hosts.yml    a second inventory: what each node is to become
  PHASE/DIGEST.py    programs: one writes down what is there, one puts the phase's files in place; equal ones are shared
  PHASE/limit        the nodes this phase is for
  artifacts/         ansible-runner's
```
The user's own inventory is passed to Ansible beside it, so connections are made exactly as Ansible makes them.
"""

import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiops.layers.core.errors import FailedError, InputError
from aiops.layers.core.file import write_atomic
from aiops.layers.core.home import ensure_folder
from aiops.layers.l0_nodes.node import Node

from .context import ClusterContext
from .environments import programs_of
from .gate import PYTHON, interpreter
from .guardian import Guardian, end_ansible
from .phase import Phase, shipped_phases
from .playbook import PLAYBOOK
from .resource import File
from .work import Work

_PREFIX = "aiops-deploy"
_FIRST_PRINTED, _DELETE, _BASIC_PLANE = 0x20, 0x7F, 0xFFFF
_APT_CONFIG = "/etc/aiops/apt.conf"
GROUPS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "aiops_remember": lambda host: "aiops_memory" in host and not host.get("aiops_gated"),
    "aiops_files_first": lambda host: "aiops_files" in host and not _before_files(host),
    "aiops_reboot_due": lambda host: host["aiops_desired"]["mark_reboot"],
    "aiops_own_tasks": lambda host: "aiops_before" in host,
    "aiops_remembering": lambda host: "aiops_memory" in host,
    "aiops_remove": lambda host: host["aiops_desired"]["removed"],
    "aiops_install": lambda host: host["aiops_desired"]["packages"],
    "aiops_hold": lambda host: host["aiops_desired"]["held"],
    "aiops_release": lambda host: host["aiops_desired"]["released"],
    "aiops_accounts": lambda host: host["aiops_desired"]["users"],
    "aiops_put": lambda host: "aiops_files" in host,
    "aiops_sysctl": lambda host: host["aiops_desired"]["sysctl"],
    "aiops_reboot_now": lambda host: host["aiops_desired"]["reboot"],
    "aiops_services": lambda host: host["aiops_desired"]["services"],
    "aiops_restarted": lambda host: host["aiops_desired"]["restarted"],
}
"""The groups that the plays of apply.yml are for: whether a node, given its variables, has work there."""


def _before_files(host: Mapping[str, Any]) -> bool:
    """Whether anything is changed on a node before the program for files, which remembers what is there, runs."""
    desired = host["aiops_desired"]
    return "aiops_before" in host or any(desired[key] for key in ("removed", "packages", "held", "released", "users"))


_NAME = re.compile(rf"{_PREFIX}-(\d+)-(\d+)-(\d+)-[0-9a-f]+")


_CLEAR_SECONDS = 5.0


class PrivateFolder:
    """A directory for this process only, on memory where the machine has such; removed at the end of the block.

    Directories that killed processes left behind are removed first. A guardian removes this one, and ends what works
    from it, also when this process is killed.
    """

    def __init__(self, environment: Mapping[str, str], home: Path) -> None:
        self._places = _places(environment, home)
        self.path = Path()
        self._guardian: Guardian | None = None

    def __enter__(self) -> Self:
        name = f"{_PREFIX}-{os.getuid()}-{os.getpid()}-{_start_of(os.getpid())}-{secrets.token_hex(4)}"
        last: OSError | None = None
        for place in self._places:
            try:
                place.mkdir(parents=True, exist_ok=True, mode=0o700)
                scrub_stale(place)
                path = place / name
                path.mkdir(mode=0o700)
                self._guardian = Guardian(path)
            except OSError as error:
                last = error
                continue
            self.path = path
            return self
        raise FailedError(
            f"no private directory can be made in {', '.join(map(str, self._places))}: {last}",
            code="deploy.no_folder",
            hints=["make room in /dev/shm, or set XDG_RUNTIME_DIR"],
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        if self._guardian is not None:
            self._guardian.dismiss()
        ends = time.monotonic() + _CLEAR_SECONDS
        while self.path.exists() and time.monotonic() < ends:  # what was just starting has written there since
            end_ansible(self.path)
            shutil.rmtree(self.path, ignore_errors=True)


def scrub_stale(place: Path) -> None:
    """Remove the private directories of this user's processes that are no more, and end what they left running."""
    for path in place.glob(f"{_PREFIX}-{os.getuid()}-*"):
        found = _NAME.fullmatch(path.name)
        if found and _start_of(int(found[2])) != int(found[3]):
            end_ansible(path)
            shutil.rmtree(path, ignore_errors=True)


def variables_of(phase: Phase, node: Node, cluster: ClusterContext, epoch: int | None) -> dict[str, Any]:
    """What Ansible is told of a node beside its work.

    Args:
        phase: The phase.
        node: The node.
        cluster: What is known of all nodes.
        epoch: Of the cluster lock that is held, for which the node's gate was opened; None when it is run by hand.
    """
    variables: dict[str, Any] = {"aiops_environment": {}, "aiops_gated": epoch is not None}
    if phase.before is not None:
        variables["aiops_before"] = str(phase.before)
    if cluster.node(node.name).variables.aiops_repository == "bundle":
        variables["aiops_environment"] = {"APT_CONFIG": _APT_CONFIG}
    if cluster.bundle is not None and cluster.head is not None and node.name == cluster.head.name:
        variables["aiops_pack"] = list(cluster.bundle.pack_command)
    if "environments" in phase.provides:
        variables["aiops_environments_programs"] = programs_of(cluster, cluster.node(node.name))
    if epoch is not None:
        variables["ansible_python_interpreter"] = interpreter(epoch)
    elif node.connection.python is None:
        # Saves Ansible one round trip per node and phase to find what aiops has used already.
        variables["ansible_python_interpreter"] = PYTHON
    return variables


def write_phase(
    folder: Path,
    phase: str,
    works: Mapping[str, Work],
    variables: Mapping[str, Mapping[str, Any]],
    *,
    token: str = "",
) -> Path:
    """Write what Ansible is given for one phase; return the second inventory's path.

    Args:
        folder: The private directory.
        phase: The phase's name.
        works: By node.
        variables: More variables by node, of `variables_of`.
        token: Names the step to what remembers on the nodes, see `Work.memory`.
    """
    target = ensure_folder(folder / phase)
    hosts: dict[str, Any] = {}
    groups: dict[str, dict[str, Any]] = {name: {} for name in GROUPS}
    programs: dict[tuple[File, ...], Path] = {}
    for node, work in works.items():
        hosts[node] = {"aiops_phase": phase, "aiops_desired": work.variables, **variables[node]}
        if work.files not in programs and work.program is not None:
            programs[work.files] = _write_program(target, work.program)
        if work.files in programs:
            hosts[node]["aiops_files"] = str(programs[work.files])
        if memory := work.memory(token):
            hosts[node]["aiops_memory"] = str(_write_program(target, memory))
        for name, has_work in GROUPS.items():
            if has_work(hosts[node]):
                groups[name][node] = {}
    _write(target / "limit", "".join(f"{node}\n" for node in works).encode())
    _write(
        target / "hosts.yml",
        unsafe_yaml(
            {"all": {"hosts": hosts, "children": {name: {"hosts": nodes} for name, nodes in groups.items()}}}
        ).encode(),
    )
    return target / "hosts.yml"


def write_by_hand(
    folder: Path, phases: Mapping[str, tuple[Mapping[str, Work], Mapping[str, Mapping[str, Any]]]]
) -> None:
    """Write all phases and the playbook into a new or empty `folder`, to be run with plain `ansible-playbook`.

    Raises:
        InputError: The folder is not empty or cannot be written.
    """
    try:
        if folder.exists() and any(folder.iterdir()):
            raise InputError(f"{folder} is not empty", code="plan.write", hints=["name a new directory"])
        ensure_folder(folder).chmod(0o700)
        shutil.copyfile(shipped_phases() / PLAYBOOK, folder / PLAYBOOK)
        for phase, (works, variables) in phases.items():
            write_phase(folder.absolute(), phase, works, variables)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}", code="plan.write") from error


def keep_log(folder: Path, phase: str, text: str) -> None:
    """Keep what Ansible said in a phase; it was told to hide what may hold a secret.

    Raises:
        FailedError: The folder cannot be written.
    """
    try:
        write_atomic(ensure_folder(folder) / f"{phase}.log", text.encode(), 0o600)
    except OSError as error:
        raise FailedError(
            f"logs cannot be kept in {folder}: {error.strerror}", code="deploy.log", hints=[f"make room in {folder}"]
        ) from error


def unsafe_yaml(value: Any) -> str:
    """YAML in which no text is a template to Ansible: every string that could be one is marked `!unsafe`."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_quoted(str(key))}: {unsafe_yaml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(unsafe_yaml(item) for item in value) + "]"
    if isinstance(value, str):
        return f"!unsafe {_quoted(value)}" if "{" in value else _quoted(value)
    return json.dumps(value)


def _quoted(text: str) -> str:
    """A double-quoted scalar in ASCII; JSON's own escapes split what is above U+FFFF, which YAML does not join."""
    letters = []
    for letter in text:
        code = ord(letter)
        if letter in {'"', "\\"}:
            letters.append(f"\\{letter}")
        elif _FIRST_PRINTED <= code < _DELETE:
            letters.append(letter)
        else:
            letters.append(f"\\u{code:04x}" if code <= _BASIC_PLANE else f"\\U{code:08x}")
    return f'"{"".join(letters)}"'


def _places(environment: Mapping[str, str], home: Path) -> tuple[Path, ...]:
    runtime = environment.get("XDG_RUNTIME_DIR")
    return (Path("/dev/shm"), *([Path(runtime)] if runtime else []), home / "private")  # noqa: S108 - 0700, own name


def _write(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
        stream.write(content)


def _write_program(folder: Path, program: str) -> Path:
    """Write a program under the name that its content gives it, once; where it is."""
    content = program.encode()
    path = folder / f"{hashlib.sha256(content).hexdigest()[:16]}.py"
    if not path.exists():
        _write(path, content)
    return path


def _start_of(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None when there is none. With the pid, a name for good."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return None

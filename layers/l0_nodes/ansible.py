"""Ansible as a command: what it says of an inventory and of its own settings. Never its Python API, which is GPL.

The commands are those beside the running interpreter, so that PATH decides nothing. Answers stay in memory: logs
and extra callbacks of the operator's ansible.cfg are switched off, because an answer may hold a decrypted value.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiops.layers.core.errors import FailedError, InputError

_LIST_TIMEOUT = 120.0
_ANSWER_TIMEOUT = 600.0
_KILL_TIMEOUT = 5.0
_PASSWORDS = (
    "ansible_become_password",
    "ansible_become_pass",
    "ansible_sudo_pass",
    "ansible_su_pass",
    "ansible_password",
    "ansible_ssh_pass",
    "ansible_ssh_password",
)
_QUIET = {
    "ANSIBLE_LOG_PATH": os.devnull,
    "ANSIBLE_LOAD_CALLBACK_PLUGINS": "false",
    "ANSIBLE_NOCOLOR": "true",
    "ANSIBLE_FORCE_COLOR": "false",
    "ANSIBLE_NO_LOG": "false",
    "ANSIBLE_VERBOSITY": "0",
    "ANSIBLE_DEPRECATION_WARNINGS": "false",
    "ANSIBLE_LOCALHOST_WARNING": "false",
    "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
    "COLUMNS": "10000",  # older ones wrap their warnings
}


def configuration_files(environment: Mapping[str, str], folder: Path) -> tuple[Path, ...]:
    """Every ansible.cfg that Ansible looks for, in its order of search."""
    given = environment.get("ANSIBLE_CONFIG")
    home = Path(environment.get("HOME", "~")).expanduser()
    first = [folder / Path(given).expanduser()] if given else []
    first = [path / "ansible.cfg" if path.is_dir() else path for path in first]
    return (*first, folder / "ansible.cfg", home / ".ansible.cfg", Path("/etc/ansible/ansible.cfg"))


@dataclass(frozen=True, slots=True)
class Listing:
    """What `ansible-inventory --list` said.

    Attributes:
        document: Its JSON; empty where it failed.
        warnings: Its words on stderr, one warning each, the first line only.
        failure: Its last words where it failed, else None.
    """

    document: Mapping[str, Any]
    warnings: tuple[str, ...] = ()
    failure: str | None = None

    def variables(self) -> dict[str, Mapping[str, Any]]:
        """The variables of every node, in the order in which the groups name the nodes."""
        found = self.document.get("_meta", {}).get("hostvars", {})
        return {name: found.get(name, {}) for name in self.groups().get("all", ())}

    def groups(self) -> dict[str, tuple[str, ...]]:
        """The nodes of every group, those of its children too."""
        document = {name: group for name, group in self.document.items() if name != "_meta"}
        children = {name: group.get("children", []) for name, group in document.items()}
        members: dict[str, tuple[str, ...]] = {}

        def collect(name: str, path: frozenset[str]) -> tuple[str, ...]:
            if name not in members:
                below = (collect(child, path | {name}) for child in children.get(name, []) if child not in path)
                own = document.get(name, {}).get("hosts", [])
                members[name] = tuple(dict.fromkeys([*own, *(node for nodes in below for node in nodes)]))
            return members[name]

        names = dict.fromkeys([*document, *(child for below in children.values() for child in below)])
        return {name: collect(name, frozenset()) for name in names}


@dataclass(frozen=True, slots=True)
class Answers:
    """What Ansible made of variables.

    Attributes:
        values: By node and name; may hold decrypted values, so it is never written down.
        failures: Ansible's words by node, where a template or a vault spoiled that node's.
    """

    values: Mapping[str, Mapping[str, Any]]
    failures: Mapping[str, str]


class Ansible:
    """The commands of ansible-core, run for one inventory.

    Args:
        environment: What they are given beside the quieting above; the operator's ANSIBLE_* among it.
        folder: The working folder, where Ansible looks for ansible.cfg, group_vars and host_vars.
    """

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self._environment = {**environment, **_QUIET}
        self._folder = folder
        self._lock = threading.Lock()
        self._revealed: Listing | None = None
        self._running: set[subprocess.Popen[str]] = set()
        self._running_lock = threading.Lock()
        self._stopped = False
        # Where no file and no variable can have set any, all settings are defaults, and asking is saved.
        self._configured = any(name.startswith("ANSIBLE_") for name in environment) or any(
            file.exists() for file in configuration_files(environment, folder)
        )

    def list(self, inventory: Path) -> Listing:
        """All groups and variables of `inventory`, untemplated.

        Raises:
            FailedError: ansible-core is not installed beside aiops, or took longer than two minutes.
        """
        ended = self._run("ansible-inventory", ["-i", _argument(inventory), "--list"], _LIST_TIMEOUT)
        warnings = tuple(re.findall(r"^\[WARNING\]: (.*)$", ended.stderr, re.MULTILINE))
        if ended.returncode:
            return Listing({}, warnings, _last_words(ended.stderr))
        return Listing(json.loads(ended.stdout), warnings)

    def revealer(self, inventory: Path, node: str) -> Callable[[], Mapping[str, Any]]:
        """A function that lists the variables of `node` again, for those that are withheld until asked for.

        The first call asks Ansible for all nodes; the answer stays in memory for the others.
        """

        def reveal() -> Mapping[str, Any]:
            with self._lock:
                listing = self._revealed = self._revealed or self.list(inventory)
            if listing.failure is not None:
                raise InputError(
                    f"the variables of `{node}` cannot be read: {listing.failure}",
                    code="inventory.withheld",
                    hints=["`aiops cluster validate` says what is wrong"],
                )
            return listing.variables()[node]

        return reveal

    def settings(self, kind: str, *names: str) -> Mapping[str, Any]:
        """The settings of `kind` (`base`, or `connection`, `become` with the plugin's name) that are not defaults.

        Raises:
            InputError: ansible.cfg or a variable of the environment is wrong; Ansible's words are the message.
        """
        if not self._configured:
            return {}
        ended = self._run(
            "ansible-config", ["dump", "-t", kind, "--only-changed", "--format", "json", *names], _LIST_TIMEOUT
        )
        if ended.returncode:
            raise InputError(
                f"Ansible cannot read its settings: {_last_words(ended.stderr)}",
                code="ansible.settings",
                hints=["`ansible-config dump --only-changed` shows the same"],
            )
        entries: list[Any] = json.loads(ended.stdout)
        if kind != "base":
            entries = [setting for entry in entries for values in entry.values() for setting in values]
        return {entry["name"]: entry["value"] for entry in entries if "name" in entry}

    def decrypted(self, file: Path) -> str | None:
        """The text of a file that is vaulted as a whole; None where it cannot be decrypted."""
        ended = self._run("ansible-vault", ["view", str(file.absolute())], _LIST_TIMEOUT)
        return None if ended.returncode else ended.stdout

    def values(self, inventory: Path, wanted: Mapping[str, Sequence[str]]) -> Answers:
        """The values of variables after templating and decryption, as Ansible makes them for a task.

        Args:
            inventory: The file or directory.
            wanted: Names of variables by node; those a node lacks must not be asked for.

        Raises:
            FailedError: Ansible itself cannot be run.
        """
        if not wanted:
            return Answers({}, {})
        return self._together(inventory, wanted) or self._one_by_one(inventory, wanted)

    def _together(self, inventory: Path, wanted: Mapping[str, Sequence[str]]) -> Answers | None:
        """All nodes in one task on this machine: quick, but spoiled by one bad template, or one that reads hostvars."""

        def row(node: str, names: Sequence[str]) -> str:
            owner = f"hostvars[{json.dumps(node)}]"
            return f"{json.dumps(node)}: {{{', '.join(f'{json.dumps(name)}: {owner}.{name}' for name in names)}}}"

        rows = ", ".join(row(node, names) for node, names in wanted.items())
        ended = self._ask("localhost", inventory, wanted, f"{{{rows}}}")
        answers, _ = _answers(ended.stdout)
        if ended.returncode or "localhost" not in answers:
            return None
        return Answers(answers["localhost"], {})

    def _one_by_one(self, inventory: Path, wanted: Mapping[str, Sequence[str]]) -> Answers:
        """One task per node, so that each fails for itself and with its own words."""
        names = f"({json.dumps({node: list(names) for node, names in wanted.items()})}).get(inventory_hostname, [])"
        ended = self._ask("all", inventory, wanted, f"dict({names} | zip(query('ansible.builtin.vars', *{names})))")
        values_by_node, failures = _answers(ended.stdout)
        silent = _last_words(ended.stderr)
        return Answers(
            {node: values for node, values in values_by_node.items() if node in wanted},
            {node: failures.get(node, silent) for node in wanted if node not in values_by_node},
        )

    def _ask(
        self, hosts: str, inventory: Path, wanted: Mapping[str, Sequence[str]], expression: str
    ) -> "subprocess.CompletedProcess[str]":
        # A task decrypts the passwords of its host though it connects to nothing: those not asked for are put aside,
        # so that addresses can be read where the vault's password is not at hand.
        asked = {name for names in wanted.values() for name in names}
        question: dict[str, str] = {name: "" for name in _PASSWORDS if name not in asked}
        question["aiops_answer"] = "{{ " + expression + " | to_json(vault_to_text=true) }}"
        with tempfile.TemporaryDirectory(prefix="aiops-") as folder:
            path = Path(folder) / "question.json"
            path.write_text(json.dumps(question), "utf-8")
            arguments = [
                hosts,
                "-i",
                _argument(inventory),
                "-e",
                f"@{path}",
                "-m",
                "debug",
                "-a",
                "msg={{ aiops_answer }}",
            ]
            return self._run("ansible", arguments, _ANSWER_TIMEOUT)

    def stop(self) -> None:
        """End what runs, in whichever thread, and begin nothing more: the answers are wanted by nobody."""
        with self._running_lock:
            self._stopped = True
            running = tuple(self._running)
        for process in running:
            _kill(process)

    def _run(self, name: str, arguments: Sequence[str], timeout: float) -> "subprocess.CompletedProcess[str]":
        command = Path(sys.executable).parent / name
        try:
            process = self._start([str(command), *arguments])
        except FileNotFoundError as error:
            raise FailedError(
                f"`{command}` is missing",
                code="ansible.missing",
                hints=[f"`{sys.executable} -m pip install ansible-core`"],
            ) from error
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise FailedError(
                f"`{name}` did not end within {timeout:.0f} s",
                code="ansible.timeout",
                hints=["is a plugin or script of the inventory waiting for something?"],
            ) from error
        finally:
            self._end(process)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def _start(self, words: Sequence[str]) -> "subprocess.Popen[str]":
        with self._running_lock:
            if self._stopped:
                raise FailedError("Ansible is not asked any more", code="ansible.stopped")
            process = subprocess.Popen(
                words,
                env=self._environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,  # without a terminal nothing can prompt for a password and wait
            )
            self._running.add(process)
        return process

    def _end(self, process: "subprocess.Popen[str]") -> None:
        """Leave nothing behind of a process, whether it ended or was given up."""
        with self._running_lock:
            self._running.discard(process)
        if process.returncode is None:
            _kill(process)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_KILL_TIMEOUT)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def _kill(process: "subprocess.Popen[str]") -> None:
    """Kill a process and those it started: it leads a session, which Ctrl-C at our terminal does not reach."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


_ANSWER = re.compile(r"^(?P<node>\S.*?) \| (?P<state>[A-Z]+!?)(?: \| rc=-?\d+)? => (?=\{)", re.MULTILINE)


def _answers(stdout: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Values and failures by node, from the `ansible` command's minimal output."""
    values: dict[str, Any] = {}
    failures: dict[str, str] = {}
    decoder = json.JSONDecoder()
    for match in _ANSWER.finditer(stdout):
        document, _ = decoder.raw_decode(stdout, match.end())
        message = document.get("msg")
        if match["state"] != "SUCCESS":
            failures[match["node"]] = str(message).removeprefix("Task failed: ")
        elif isinstance(message, str):
            values[match["node"]] = json.loads(message)
        else:
            values[match["node"]] = message  # older ones turn text that looks like JSON back into values
    return values, failures


def _last_words(stderr: str) -> str:
    """The error in what a command of Ansible's wrote on stderr, in one line."""
    errors = re.findall(r"^(?:\[ERROR\]|ERROR!?):? (.*)$", stderr, re.MULTILINE)
    lines = [line for line in stderr.splitlines() if line.strip()]
    return str(errors[-1]) if errors else (lines[-1].strip() if lines else "it said nothing")


def _argument(inventory: Path) -> str:
    """An absolute path, which Ansible never takes for a list of hosts."""
    return str(inventory.absolute())

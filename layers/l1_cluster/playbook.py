"""The one door to ansible-runner: runs `apply.yml` for one phase on a set of nodes.

Ansible's own verdict decides nothing here: what failed is told as values, and the deploy looks at the nodes itself.
"""

import os
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiops.layers.core.errors import FailedError

from .guardian import MARK, PAUSED, end_ansible, kill_marked
from .reason import reason_of, short, tail_of

TASK_SECONDS = 2000
"""After so long a task has failed on its node, so that one that never ends holds up none. A reboot may take 1800."""

PLAYBOOK = "apply.yml"
IDLE_SECONDS = 2400.0
"""Without a word for so long, Ansible as a whole is taken for dead: longer than any one task may take."""

_POLL_SECONDS = 0.2
_JOIN_SECONDS = 10.0
_LOST = "the connection to it was lost"
_FORCED = {
    "ANSIBLE_CALLBACKS_ENABLED": "awx_display",  # none but ansible-runner's own
    "ANSIBLE_CHECK_MODE_MARKERS": "false",
    "ANSIBLE_DEPRECATION_WARNINGS": "false",
    "ANSIBLE_DIFF_ALWAYS": "false",
    "ANSIBLE_DISPLAY_ARGS_TO_STDOUT": "false",
    "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "false",
    "ANSIBLE_FORCE_COLOR": "false",
    "ANSIBLE_GATHERING": "explicit",
    "ANSIBLE_KEEP_REMOTE_FILES": "false",
    "ANSIBLE_LOCALHOST_WARNING": "false",
    "ANSIBLE_LOG_PATH": os.devnull,
    "ANSIBLE_NOCOLOR": "true",
    "ANSIBLE_NOCOWS": "true",
    "ANSIBLE_NO_TARGET_SYSLOG": "true",
    "ANSIBLE_PIPELINING": "true",
    "ANSIBLE_RETRY_FILES_ENABLED": "false",
    "ANSIBLE_STRATEGY": "linear",
    "ANSIBLE_VERBOSITY": "0",
}
_ALIVE = "-o ServerAliveInterval=15 -o ServerAliveCountMax=4"
"""A node that freezes is given up after a minute. What the user's own ssh arguments say comes first and wins."""

_EXTRA_ARGS = "ANSIBLE_SSH_EXTRA_ARGS"
_OURS = ("AIOPS_DB",)
"""Variables that may hold a secret of ours and that Ansible has no use for."""


@dataclass(frozen=True, slots=True)
class TaskFailure:
    """Why one node failed.

    Attributes:
        reason: The module's real reason, in one line.
        tail: The last lines of its output.
        unreachable: Whether Ansible could not reach the node.
    """

    node: str
    task: str
    reason: str
    tail: tuple[str, ...] = ()
    unreachable: bool = False


@dataclass(frozen=True, slots=True)
class Played:
    """The end of one run of the playbook.

    Attributes:
        failures: By node, the first of each.
        trouble: Why Ansible as a whole did not do its work, in one line; None when it did.
        log: What it printed, without secrets.
    """

    failures: Mapping[str, TaskFailure]
    trouble: str | None = None
    log: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Playbook:
    """How Ansible is run in one deploy.

    Attributes:
        private: The deploy's private directory.
        inventory: The user's own.
        environment: The user's; ANSIBLE_* among it stay in force where they say how to connect.
        folder: The working folder, where Ansible looks for ansible.cfg and resolves relative paths.
        forks: How many nodes are worked on at once.
        task_seconds: How long one task may take on one node.
    """

    private: Path
    inventory: Path
    environment: Mapping[str, str] = field(repr=False)
    folder: Path
    forks: int = 32
    playbook: Path | None = None
    task_seconds: int = TASK_SECONDS

    def apply(
        self,
        phase: str,
        hosts: Path,
        *,
        cancel: Callable[[], bool] | None = None,
        on_start: Callable[[str, str], None] | None = None,
        on_task: Callable[[str, str], None] | None = None,
        on_failure: Callable[[TaskFailure], None] | None = None,
        idle: float = IDLE_SECONDS,
    ) -> Played:
        """Run the playbook for the nodes in `hosts`, the phase's second inventory.

        A signal that interrupts the caller kills Ansible and all it started before it goes on.

        Args:
            phase: The phase's name.
            hosts: Written by `render.write_phase`; the file `limit` beside it names the nodes.
            cancel: Asked several times a second; once it says yes, Ansible and all it started is killed.
            on_start: Told of each task a node begins (node, task); quick, called from another thread.
            on_task: Told of each task a node has done (node, task); quick, called from another thread.
            on_failure: Told of each failure as it happens; likewise.
            idle: Seconds without a word from Ansible until it is taken for dead.

        Raises:
            FailedError: Ansible is not installed.
        """
        reader = _Reader(on_start, on_task, on_failure)
        cancelled = threading.Event()
        runner = self._runner(phase, hosts, reader, cancelled, idle)
        ended: list[BaseException | None] = []

        def run() -> None:
            try:
                runner.run()
                ended.append(None)
            except Exception as error:  # noqa: BLE001 - carried over to the caller's thread
                ended.append(error)

        worker = threading.Thread(target=run, name=f"ansible-{phase}", daemon=True)
        mark = f"{MARK}={runner.config.artifact_dir}"
        worker.start()
        try:
            while worker.is_alive() and not (cancel is not None and cancel()):
                worker.join(_POLL_SECONDS)
        finally:
            if worker.is_alive():  # interrupted or cancelled
                cancelled.set()
                kill_marked(mark)
                worker.join(_JOIN_SECONDS)
        if ended and ended[0] is not None:
            raise ended[0]
        log = _text(Path(runner.config.artifact_dir) / "stdout")
        trouble = None
        if cancelled.is_set():
            trouble = "Ansible was ended on the way"
        elif runner.status == "timeout":
            kill_marked(mark)
            trouble = f"Ansible said nothing for {idle:.0f} s and was ended"
        elif runner.rc != 0 and not reader.failures:
            trouble = self._paused() or _last_error(log) or f"Ansible ended with status {runner.rc}"
        if reader.failures:
            kill_marked(mark)  # what a task that ran out of time has left behind
        return Played(reader.failures, trouble, log)

    def _paused(self) -> str | None:
        """That the guardian has ended Ansible because we stood still; None where it has not."""
        try:
            (self.private / PAUSED).unlink()
        except FileNotFoundError:
            return None
        return "aiops was stopped for too long to keep the cluster's lock, so Ansible was ended"

    def close(self) -> None:
        """End what Ansible keeps alive between phases: ssh's shared connections."""
        end_ansible(self.private)

    def _runner(self, phase: str, hosts: Path, reader: "_Reader", cancelled: threading.Event, idle: float) -> Any:
        from ansible_runner.interface import init_command_config

        from .phase import shipped_phases

        command = Path(sys.executable).parent / "ansible-playbook"
        if not command.exists():
            raise FailedError(
                f"`{command}` is missing",
                code="ansible.missing",
                hints=[f"`{sys.executable} -m pip install ansible-core`"],
            )
        arguments = ["-i", str(self.inventory.absolute()), "-i", str(hosts), "--limit", f"@{hosts.parent / 'limit'}"]
        arguments += ["--forks", str(self.forks)]
        runner = init_command_config(
            str(command),
            [*arguments, str(self.playbook or shipped_phases() / PLAYBOOK)],
            private_data_dir=str(self.private),
            ident=phase,
            host_cwd=str(self.folder),
            quiet=True,
            settings={"pexpect_timeout": _POLL_SECONDS, "idle_timeout": idle},
            event_handler=reader.read,
            cancel_callback=cancelled.is_set,
        )
        # ansible-runner starts from os.environ and turns host key checking off; neither is what the user said.
        runner.config.env = self._environment(runner.config.env)
        return runner

    def _environment(self, prepared: Mapping[str, str]) -> dict[str, str]:
        ours = {
            name: value
            for name, value in prepared.items()
            if name.startswith("AWX_") or name == "ANSIBLE_STDOUT_CALLBACK"
        }
        callbacks = prepared["ANSIBLE_CALLBACK_PLUGINS"].split(":")[-1]
        return {
            **{name: value for name, value in self.environment.items() if name not in _OURS},
            **_FORCED,
            **ours,
            "ANSIBLE_TASK_TIMEOUT": str(self.task_seconds),
            _EXTRA_ARGS: f"{self.environment.get(_EXTRA_ARGS, '')} {_ALIVE}".strip(),
            "ANSIBLE_CALLBACK_PLUGINS": callbacks,
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.private / "ssh"),
        }


class _Reader:
    """Reads ansible-runner's events as they come."""

    def __init__(
        self,
        on_start: Callable[[str, str], None] | None,
        on_task: Callable[[str, str], None] | None,
        on_failure: Callable[[TaskFailure], None] | None,
    ) -> None:
        self.failures: dict[str, TaskFailure] = {}
        self._on_start = on_start
        self._on_task = on_task
        self._on_failure = on_failure
        self._item_results: dict[tuple[str, str], Mapping[str, Any]] = {}

    def read(self, event: Mapping[str, Any]) -> bool:
        """Take one event; False: nothing of it is to be written down."""
        data = event.get("event_data") or {}
        node, task = data.get("host"), data.get("task", "")
        if node:
            result = data.get("res") or {}
            match event.get("event"):
                case "runner_on_start":
                    if self._on_start is not None:
                        self._on_start(node, task)
                case "runner_on_ok":
                    if self._on_task is not None:
                        self._on_task(node, task)
                case "runner_item_on_failed":
                    self._item_results.setdefault((node, task), result)
                case "runner_on_failed" if not data.get("ignore_errors"):
                    told = self._item_results.get((node, task)) or _failed_item(result) or result
                    self._fail(node, task, told, unreachable=False)
                case "runner_on_unreachable":
                    self._fail(node, task, result, unreachable=True)
        return False

    def _fail(self, node: str, task: str, result: Mapping[str, Any], *, unreachable: bool) -> None:
        if node in self.failures:
            return
        reason = _LOST if unreachable and "censored" in result else reason_of(result)
        failure = TaskFailure(node, task, reason, tail_of(result), unreachable)
        self.failures[node] = failure
        if self._on_failure is not None:
            self._on_failure(failure)


def _failed_item(result: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The first item of a loop that failed, or None."""
    items = [item for item in result.get("results") or () if isinstance(item, Mapping)]
    return next((item for item in items if item.get("failed") or item.get("unreachable")), None)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def _last_error(log: str) -> str | None:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("[ERROR]", "ERROR!"))]
    found = errors[-1] if errors else (lines[-1] if lines else None)
    return short(found.removeprefix("[ERROR]: ").removeprefix("ERROR! ")) if found else None

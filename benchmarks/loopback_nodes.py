"""Many nodes without hosts: loopback addresses behind one real sshd that answers every command with a recorded answer.

Connections, keys, encryption and host keys are real. What a node does is not: a forced command reads all that is sent
to it, waits, and prints the answer with the node's own name, ids and clock in it.
"""

import secrets
import shlex
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .full_record import DIGITS, NAME, NOW
from .measurement import BrokenError

SSHD = Path("/usr/sbin/sshd")
_IN_A_ROW = 250  # addresses that differ in their last number only
_START_SECONDS = 10.0
_CONFIGURATION = """\
Port {port}
ListenAddress 0.0.0.0
HostKey {folder}/host
AuthorizedKeysFile {folder}/login.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
PrintMotd no
PrintLastLog no
UseDNS no
MaxStartups 1000
LogLevel ERROR
SetEnv HOME={folder}
ForceCommand {folder}/answer
"""
# HOME: root's shell would read what root has set up for itself before every command
_ANSWER = """\
#!/bin/sh
cat >/dev/null
sleep {seconds}
set -- $SSH_CONNECTION
digits=$(IFS=.; set -- $3; printf %03d%03d "$3" "$4")
exec sed -e "s/{now}/$(date +%s.%N)/" -e "s/{name}/n$digits/g" -e "s/{digits}/$digits/g" {folder}/recorded
"""


@contextmanager
def loopback_nodes(count: int, recorded: bytes, seconds: float) -> Iterator[Path]:
    """Start `count` nodes; their inventory.

    Args:
        count: How many, at most 64,000.
        recorded: What each answers to any command; `full_record`'s marks stand in it.
        seconds: How long each takes to answer.

    Raises:
        BrokenError: sshd does not start.
    """
    with tempfile.TemporaryDirectory(prefix="aiops-bench-") as name:
        folder = Path(name)
        for key in ("host", "login"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True, timeout=60)
        port = _free_port()
        (folder / "recorded").write_bytes(recorded)
        answer = folder / "answer"
        words = {"seconds": f"{seconds:g}", "now": NOW, "name": NAME, "digits": DIGITS}
        answer.write_text(_ANSWER.format(folder=shlex.quote(name), **words), encoding="utf-8")
        answer.chmod(0o700)
        (folder / "sshd_config").write_text(_CONFIGURATION.format(folder=name, port=port), encoding="utf-8")
        addresses = {
            f"n{row:03d}{last:03d}": f"127.1.{row}.{last}"
            for row, last in (divmod(number, _IN_A_ROW) for number in range(1, count + 1))
        }
        kind, key, *_ = (folder / "host.pub").read_text(encoding="ascii").split()
        known = "".join(f"[{address}]:{port} {kind} {key}\n" for address in addresses.values())
        (folder / "known_hosts").write_text(known, encoding="ascii")
        inventory = folder / "inventory.yml"
        inventory.write_text(_inventory(folder, port, addresses), encoding="utf-8")
        with _sshd(folder, port):
            yield inventory


def _inventory(folder: Path, port: int, addresses: dict[str, str]) -> str:
    ssh = f"-o UserKnownHostsFile={folder / 'known_hosts'} -o IdentitiesOnly=yes"
    return "\n".join(
        (
            "all:",
            "  vars:",
            "    ansible_user: root",
            f"    ansible_port: {port}",
            f"    ansible_ssh_private_key_file: {folder / 'login'}",
            f"    ansible_ssh_common_args: {ssh}",
            "    ansible_python_interpreter: /usr/bin/python3",
            f"    aiops_cluster: loopback-{secrets.token_hex(4)}",
            "    aiops_accelerators: {vendor: nvidia, count: 8}",
            "  children:",
            "    workers:",
            "      hosts:",
            *(f"        {name}: {{ansible_host: {address}}}" for name, address in addresses.items()),
            "",
        )
    )


@contextmanager
def _sshd(folder: Path, port: int) -> Iterator[None]:
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where it separates its privileges
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "sshd_config"], stderr=log, start_new_session=True)
    try:
        end = time.monotonic() + _START_SECONDS
        while not _answers(port):
            if server.poll() is not None or time.monotonic() > end:
                raise BrokenError(f"sshd does not start: {(folder / 'log').read_text('utf-8', 'replace')[-500:]}")
            time.sleep(0.05)
        yield
    finally:
        server.terminate()
        server.wait(_START_SECONDS)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))  # noqa: S104 - as sshd will; nothing listens yet
        return int(taken.getsockname()[1])

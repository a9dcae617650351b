"""`aiops node`, whole screens, against a real sshd."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.sshd import SSHD, USER, Sshd, keygen, public, running

Shown = Callable[..., str]
CLOSED = 9


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    if not Path(SSHD).exists():
        pytest.skip("needs openssh-server")
    with running(tmp_path_factory.mktemp("sshd"), addresses=("127.0.0.1", "127.0.0.2")) as started:
        yield started


@pytest.fixture
def known(tmp_path: Path, server: Sshd) -> Path:
    file = tmp_path / "known_hosts"
    file.write_text("".join(server.known_line(f"[{address}]:{server.port}") for address in ("127.0.0.1", "127.0.0.2")))
    return file


@pytest.fixture
def environment(tmp_path: Path, server: Sshd, known: Path) -> dict[str, str]:
    """Three nodes: two that answer, one whose port is closed."""
    inventory = tmp_path / "inventory.yml"
    inventory.write_text(
        "all:\n"
        "  children:\n"
        "    head:\n"
        "      hosts:\n"
        f"        n1: {{ansible_host: 127.0.0.1, ansible_port: {server.port}}}\n"
        "    workers:\n"
        "      hosts:\n"
        f"        n2: {{ansible_host: 127.0.0.2, ansible_port: {server.port}}}\n"
        f"        n3: {{ansible_host: 127.0.0.3, ansible_port: {CLOSED}}}\n"
        "  vars:\n"
        f"    ansible_user: {USER}\n"
        f"    ansible_ssh_private_key_file: {server.client_key}\n"
        f"    ansible_ssh_common_args: -F none -o UserKnownHostsFile={known} -o GlobalKnownHostsFile=/dev/null"
        " -o IdentityAgent=none\n"
    )
    return {**os.environ, "AIOPS_INVENTORY": str(inventory), "AIOPS_HOME": str(tmp_path / "home")}


def parts(screen: str) -> tuple[int, str, str]:
    head, _, rest = screen.partition("\n--- stdout\n")
    stdout, _, stderr = rest.partition("--- stderr\n")
    return int(head.removeprefix("exit: ")), stdout, stderr


def test_list(shown: Shown, environment: dict[str, str], server: Sshd) -> None:
    code, stdout, _ = parts(shown("node", "list", environment=environment))
    assert code == 0
    assert stdout.splitlines()[0] == f"n1\t127.0.0.1:{server.port}\t{USER}\thead\thead\tnew"
    document = json.loads(parts(shown("node", "list", "--on", "@workers", "--json", environment=environment))[1])
    assert [(one["node"], one["state"]) for one in document] == [("n2", "new"), ("n3", "new")]
    assert parts(shown("node", "list", "--on", "n9", environment=environment))[0] == 2


def test_show(shown: Shown, environment: dict[str, str], server: Sshd, known: Path) -> None:
    code, stdout, _ = parts(shown("node", "show", "n1", environment=environment))
    rows = dict(line.partition("\t")[::2] for line in stdout.splitlines())
    assert code == 0
    assert rows["connection"] == f"{USER}@127.0.0.1:{server.port}"
    assert (rows["keys"], rows["known_hosts"], rows["host_keys"]) == (
        str(server.client_key),
        "[TMP]/known_hosts",
        "strict",
    )
    code, _, stderr = parts(shown("node", "show", "n9", environment=environment))
    assert (code, "there is no node `n9`" in stderr) == (6, True)


def test_exec_in_a_pipe(shown: Shown, environment: dict[str, str]) -> None:
    code, stdout, _ = parts(shown("node", "exec", "--on", "n1,n2", "--", "echo", "a b", environment=environment))
    assert (code, stdout) == (0, "n1\t0\ta b\nn2\t0\ta b\n")


def test_exec_on_a_terminal_folds(shown: Shown, environment: dict[str, str]) -> None:
    screen = shown(
        "node", "exec", "--on", "n1,n2", "--", "sh", "-c", "echo same; exit 3", environment=environment, terminal=True
    )
    code, stdout, _ = parts(screen)
    assert code == 1
    assert stdout.startswith("n[1-2]  (2)  exit 3\n  same\n")


def test_exec_exit_codes(shown: Shown, environment: dict[str, str]) -> None:
    def code(*words: str) -> int:
        return parts(shown("node", "exec", *words, environment=environment))[0]

    assert code("--on", "n1", "--", "true") == 0
    assert code("--on", "n1", "--", "false") == 1
    assert code("--on", "n3", "--", "true") == 3
    assert code("--on", "n1,n3", "--", "true") == 3
    assert code("--on", "n1,n3", "--", "false") == 1
    assert code("--on", "n9", "--", "true") == 2
    assert code("--on", "n1", "--timeout", "0.5", "--", "sleep", "20") == 1


def test_exec_names_the_unreachable(shown: Shown, environment: dict[str, str]) -> None:
    _, stdout, stderr = parts(shown("node", "exec", "--", "true", environment=environment))
    assert stdout == "n1\t0\t\nn2\t0\t\n".replace("\t\n", "\n")
    assert f"error: n3 did not answer on 127.0.0.3:{CLOSED}: Connection refused" in stderr


def test_exec_json(shown: Shown, environment: dict[str, str]) -> None:
    code, stdout, stderr = parts(shown("node", "exec", "--json", "--", "echo", "x", environment=environment))
    document = json.loads(stdout)
    assert (code, stderr) == (3, "")
    assert [(one["node"], one["exit_status"], one["stdout"]) for one in document["results"]] == [
        ("n1", 0, "x\n"),
        ("n2", 0, "x\n"),
    ]
    assert [(one["node"], one["code"]) for one in document["errors"]] == [("n3", "ssh.connect")]


def test_exec_of_what_is_not_there_names_it_as_a_shell_would(shown: Shown, environment: dict[str, str]) -> None:
    code, _, stderr = parts(shown("node", "exec", "--on", "n1", "--", "no such", environment=environment))
    assert (code, stderr.splitlines()[0]) == (1, "n1: no such: No such file or directory")
    code, _, stderr = parts(shown("node", "exec", "--on", "n1", "--", "/", environment=environment))
    assert (code, stderr.splitlines()[0]) == (1, "n1: /: Permission denied")
    words = ("node", "exec", "--on", "n1", "--json", "--", "no-such")
    document = json.loads(parts(shown(*words, environment=environment))[1])
    assert document["results"][0]["stderr"] == "no-such: No such file or directory\n"


def test_exec_of_a_shell_line_says_how(shown: Shown, environment: dict[str, str]) -> None:
    code, _, stderr = parts(shown("node", "exec", "--on", "n1", "--", "echo a | wc", environment=environment))
    assert code == 1
    assert "hint: a shell line needs a shell: `aiops node exec -- sh -c 'echo a | wc'`" in stderr


def test_a_nodes_output_does_not_drive_the_terminal(shown: Shown, environment: dict[str, str]) -> None:
    words = ("node", "exec", "--on", "n1", "--", "printf", r"\033[31mred\033]0;x\007\n")
    for terminal in (True, False):
        assert "\x1b" not in shown(*words, environment=environment, terminal=terminal)


def test_facts(shown: Shown, environment: dict[str, str]) -> None:
    code, stdout, _ = parts(shown("node", "facts", "n1", environment=environment))
    assert code == 0
    assert f"hostname\t{os.uname().nodename}\n" in stdout
    code, stdout, _ = parts(shown("node", "facts", "n1,n3", "--json", environment=environment))
    document = json.loads(stdout)
    assert code == 3
    assert [one["node"] for one in document["nodes"]] == ["n1"]
    assert document["nodes"][0]["kernel"] == os.uname().release
    assert document["errors"][0]["node"] == "n3"


def test_a_changed_host_key(
    shown: Shown, environment: dict[str, str], known: Path, tmp_path: Path, server: Sshd
) -> None:
    known.write_text(f"# first\n[127.0.0.1]:{server.port} {public(keygen(tmp_path / 'other'))}\n")
    code, _, stderr = parts(shown("node", "exec", "--on", "n1", "--", "true", environment=environment))
    assert code == 3
    assert "[TMP]/known_hosts:2" in stderr
    assert "aiops node trust n1 --replace" in stderr


def test_trust(shown: Shown, environment: dict[str, str], known: Path, server: Sshd) -> None:
    known.write_text("# mine\n")
    code, _, stderr = parts(shown("node", "exec", "--on", "n1,n2", "--", "true", environment=environment))
    assert code == 3
    assert "hint: compare the fingerprint, then trust it: `aiops node trust n[1-2]`" in stderr
    code, stdout, stderr = parts(shown("node", "trust", "n1,n2", environment=environment))
    assert (code, known.read_text()) == (2, "# mine\n"), "nobody could be asked"
    assert "--yes" in stderr
    assert "SHA256:" in stdout
    code, stdout, _ = parts(shown("node", "trust", "n1,n2", "--yes", environment=environment))
    assert code == 0
    assert known.read_text().startswith(f"# mine\n[127.0.0.1]:{server.port} ssh-ed25519 ")
    assert parts(shown("node", "exec", "--on", "n1,n2", "--", "true", environment=environment))[0] == 0
    before = known.read_text()
    assert parts(shown("node", "trust", "n1,n2", environment=environment))[0] == 0, "all known: nothing to ask"
    assert known.read_text() == before


def test_trust_never_replaces_unasked(
    shown: Shown, environment: dict[str, str], known: Path, tmp_path: Path, server: Sshd
) -> None:
    old = f"[127.0.0.1]:{server.port} {public(keygen(tmp_path / 'other'))}\n"
    known.write_text(old)
    code, _, stderr = parts(shown("node", "trust", "n1", "--yes", environment=environment))
    assert (code, known.read_text()) == (1, old)
    assert "[TMP]/known_hosts:1" in stderr
    assert "--replace" in stderr
    assert parts(shown("node", "trust", "n1", "--yes", "--replace", environment=environment))[0] == 0
    assert known.read_text() == server.known_line(f"[127.0.0.1]:{server.port}")


def test_trust_of_one_that_does_not_answer(shown: Shown, environment: dict[str, str]) -> None:
    code, _, stderr = parts(shown("node", "trust", "n3", "--yes", environment=environment))
    assert (code, "n3 did not answer" in stderr) == (1, True)


def test_ssh_is_the_systems_own(environment: dict[str, str], tmp_path: Path, server: Sshd) -> None:
    command = [sys.executable, "-m", "aiops", "node", "ssh", "n1", "--", "echo", "here"]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, b"here\n")


def test_ssh_keeps_the_words_of_a_command_apart(environment: dict[str, str], server: Sshd) -> None:
    command = [sys.executable, "-m", "aiops", "node", "ssh", "n1", "--", "sh", "-c", "echo 'a  b'; exit 7"]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (7, b"a  b\n")


def ssh(environment: dict[str, str], *words: str) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "aiops", "node", "ssh", *words]
    return subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)


def test_ssh_to_a_node_that_is_not_there_is_3(environment: dict[str, str]) -> None:
    done = ssh(environment, "n3")
    assert done.returncode == 3
    assert f"error: n3 did not answer on 127.0.0.3:{CLOSED}: Connection refused".encode() in done.stderr


def test_ssh_to_a_node_whose_key_is_not_trusted_is_3(environment: dict[str, str], known: Path) -> None:
    known.write_text("# none\n")
    done = ssh(environment, "n1", "--", "true")
    assert done.returncode == 3
    assert b"aiops node trust n1" in done.stderr


@pytest.mark.parametrize("status", [255, 3])
def test_a_commands_own_status_passes_through_ssh(environment: dict[str, str], server: Sshd, status: int) -> None:
    done = ssh(environment, "n1", "--", "sh", "-c", f"exit {status}")
    assert (done.returncode, done.stderr) == (status, b"")


def test_an_interrupted_ssh_is_130(environment: dict[str, str], server: Sshd) -> None:
    command = [sys.executable, "-m", "aiops", "node", "ssh", "n1", "--", "sh", "-c", "echo up; sleep 60"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=30) == 130

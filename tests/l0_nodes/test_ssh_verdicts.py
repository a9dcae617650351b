"""For the same configuration, our paramiko path and the real ssh come to the same verdict: let in, or refused.

Each case writes known_hosts, perhaps a config file, and says what is expected; `ssh -o BatchMode=yes` is asked beside
us, so a case that we got wrong in both places cannot pass unseen.
"""
# ruff: noqa: E501 - a case is one line: tables are read across

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.sshd import SSHD, USER, Sshd, keygen, public, running, sign_host

from aiops.layers.core.command import Command
from aiops.layers.core.errors import AiopsError, InputError, UnreachableError
from aiops.layers.l0_nodes.connector import Connector
from aiops.layers.l0_nodes.known_hosts import hashed_name
from aiops.layers.l0_nodes.node import Connection, Node

SALT = b"0123456789abcdefghij"


@dataclass
class Place:
    """One server, with room for a case's files."""

    server: Sshd
    folder: Path
    other: Path
    authority: Path

    @property
    def name(self) -> str:
        return self.server.name

    @property
    def key(self) -> str:
        """The server's ed25519 key."""
        return public(self.server.host_keys[0])

    @property
    def wrong(self) -> str:
        """Another ed25519 key."""
        return public(self.other)

    def known(self, *lines: str, file: str = "known_hosts") -> Path:
        path = self.folder / file
        path.write_text("".join(f"{line}\n" for line in lines))
        return path


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Sshd]]:
    """`plain` has three kinds of keys, `certified` one key with a certificate, `rsa` an RSA key only."""
    if not Path(SSHD).exists():
        pytest.skip("needs openssh-server")
    folder = tmp_path_factory.mktemp("verdicts")
    keys = tuple(keygen(folder / kind, kind) for kind in ("ed25519", "ecdsa", "rsa"))
    authority = keygen(folder / "authority")
    certified, expired, elsewhere = (keygen(folder / name) for name in ("certified", "expired", "elsewhere"))
    sign_host(authority, certified, "127.0.0.1,gpu1.lab,*.farm")
    sign_host(authority, expired, "127.0.0.1", validity="-2h:-1h")
    sign_host(authority, elsewhere, "another.host")
    rsa_certified = keygen(folder / "rsacert", "rsa")
    sign_host(authority, rsa_certified, "127.0.0.1")
    weak = keygen(folder / "weak", "rsa", bits=1024)
    found = {}
    with (
        running(folder / "a", host_keys=keys) as plain,
        running(
            folder / "b", host_keys=(certified,), certificates=(Path(f"{certified}-cert.pub"),)
        ) as with_certificate,
        running(folder / "c", host_keys=(expired,), certificates=(Path(f"{expired}-cert.pub"),)) as with_expired,
        running(folder / "d", host_keys=(elsewhere,), certificates=(Path(f"{elsewhere}-cert.pub"),)) as with_other,
        running(folder / "e", host_keys=(keys[2],)) as only_rsa,
        running(
            folder / "f", host_keys=(rsa_certified,), certificates=(Path(f"{rsa_certified}-cert.pub"),)
        ) as rsa_cert,
        running(folder / "g", host_keys=(weak,), extra="RequiredRSASize 1024") as weak_rsa,
    ):
        found = {
            "plain": plain,
            "certified": with_certificate,
            "expired": with_expired,
            "elsewhere": with_other,
            "rsa": only_rsa,
            "rsa-certified": rsa_cert,
            "weak": weak_rsa,
        }
        yield found


@pytest.fixture
def place(servers: dict[str, Sshd], tmp_path: Path) -> Callable[[str], Place]:
    def make(which: str = "plain") -> Place:
        server = servers[which]
        folder = server.folder.parent
        return Place(server, tmp_path, shared_key(folder / "other"), folder / "authority")

    return make


def shared_key(path: Path) -> Path:
    return path if path.exists() else keygen(path)


def options(place: Place, *extra: str, known: Path | None = None) -> tuple[str, ...]:
    file = known or place.folder / "known_hosts"
    return (
        *extra,
        *(() if "-F" in extra else ("-F", "none")),
        "-o",
        f"UserKnownHostsFile={file}",
        "-o",
        "GlobalKnownHostsFile=/dev/null",
        "-o",
        "IdentityAgent=none",
        "-o",
        "UpdateHostKeys=no",
    )


def ours(place: Place, words: tuple[str, ...], address: str = "127.0.0.1", **changes: object) -> AiopsError | None:
    fields: dict[str, object] = {
        "address": address,
        "port": place.server.port,
        "user": USER,
        "key_file": str(place.server.client_key),
        "ssh_arguments": words,
    }
    node = Node("n1", connection=Connection(**{**fields, **changes}))  # type: ignore[arg-type]
    with Connector(os.environ)(node) as transport:
        try:
            assert transport.run(Command(("true",))).exit_status == 0
        except AiopsError as error:
            return error
    return None


def theirs(place: Place, words: tuple[str, ...], address: str = "127.0.0.1", **changes: object) -> tuple[bool, str]:
    port, user, key = (
        changes.get(name, value)
        for name, value in (("port", place.server.port), ("user", USER), ("key_file", place.server.client_key))
    )
    argv = ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]
    argv += ["-p", str(port)] if port is not None else []
    argv += ["-l", str(user)] if user is not None else []
    argv += ["-o", f'IdentityFile="{key}"'] if key is not None else []
    done = subprocess.run(
        [*argv, *words, "--", address, "true"], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
    )
    return done.returncode == 0, done.stderr.decode()


def same(
    place: Place, words: tuple[str, ...], *, expected: bool, address: str = "127.0.0.1", **changes: object
) -> AiopsError | None:
    """Both verdicts, held against each other and against what is expected; our error."""
    kept = {path: path.read_bytes() for path in place.folder.iterdir() if path.is_file()}
    error = ours(place, words, address, **changes)
    for path, content in kept.items():  # what we learnt must not help ssh
        path.write_bytes(content)
    let_in, said = theirs(place, words, address, **changes)
    assert (error is None) == let_in, f"we say {error!r}, ssh says {said or 'come in'}"
    assert let_in == expected, said
    return error


Lines = Callable[[Place], list[str]]

KNOWN: dict[str, tuple[str, bool, Lines]] = {
    "plain": ("plain", True, lambda p: [f"{p.name} {p.key}"]),
    "among others": ("plain", True, lambda p: [f"a,{p.name},b {p.key}"]),
    "comment and blanks": ("plain", True, lambda p: ["# x", "", f"  {p.name}\t{p.key} a comment"]),
    "unknown": ("plain", False, lambda p: []),
    "another host": ("plain", False, lambda p: [f"other {p.key}"]),
    "another port": ("plain", False, lambda p: [f"[127.0.0.1]:9 {p.key}"]),
    "without a port": ("plain", True, lambda p: [f"127.0.0.1 {p.key}"]),
    "wrong key without a port": ("plain", False, lambda p: [f"127.0.0.1 {p.wrong}"]),
    "right without a port, wrong with": ("plain", False, lambda p: [f"127.0.0.1 {p.key}", f"{p.name} {p.wrong}"]),
    "hashed": ("plain", True, lambda p: [f"{hashed_name(p.name, SALT)} {p.key}"]),
    "hashed, changed": ("plain", False, lambda p: [f"{hashed_name(p.name, SALT)} {p.wrong}"]),
    "hashed of another": ("plain", False, lambda p: [f"{hashed_name('[127.0.0.2]:22', SALT)} {p.key}"]),
    "broken hash": ("plain", False, lambda p: [f"|1|xx|yy {p.key}"]),
    "wildcard": ("plain", True, lambda p: [f"[127.0.0.*]:* {p.key}"]),
    "question mark": ("plain", True, lambda p: [f"[127.0.0.?]:{p.server.port} {p.key}"]),
    "star alone": ("plain", True, lambda p: [f"* {p.key}"]),
    "negated": ("plain", False, lambda p: [f"*,!{p.name},!127.0.0.1 {p.key}"]),
    "negated, but not without its port": ("plain", True, lambda p: [f"*,!{p.name} {p.key}"]),
    "negated another": ("plain", True, lambda p: [f"*,!other {p.key}"]),
    "negation alone": ("plain", False, lambda p: [f"!other {p.key}"]),
    "changed": ("plain", False, lambda p: [f"{p.name} {p.wrong}"]),
    "changed, then right": ("plain", True, lambda p: [f"{p.name} {p.wrong}", f"{p.name} {p.key}"]),
    "another kind known": ("plain", True, lambda p: [f"{p.name} {public(p.server.host_keys[1])}"]),
    "rsa known": ("plain", True, lambda p: [f"{p.name} {public(p.server.host_keys[2])}"]),
    "server lacks the known kind": ("rsa", False, lambda p: [f"{p.name} {p.wrong}"]),
    "right, but another kind is wrong": (
        "plain", False, lambda p: [f"{p.name} {public(p.server.host_keys[1])}", f"{p.name} {p.wrong}"]
    ),
    "revoked": ("plain", False, lambda p: [f"{p.name} {p.key}", f"@revoked {p.name} {p.key}"]),
    "revoked before": ("plain", False, lambda p: [f"@revoked * {p.key}", f"{p.name} {p.key}"]),
    "another revoked": ("plain", True, lambda p: [f"@revoked {p.name} {p.wrong}", f"{p.name} {p.key}"]),
    "revoked elsewhere": ("plain", True, lambda p: [f"@revoked other {p.key}", f"{p.name} {p.key}"]),
    "revoked only": ("plain", False, lambda p: [f"@revoked {p.name} {p.key}"]),
    "garbage beside": ("plain", True, lambda p: ["garbage", f"{p.name} ssh-ed25519 !!!", f"{p.name} {p.key}"]),
    "garbage only": ("plain", False, lambda p: [f"{p.name} ssh-ed25519 AAAA"]),
    "kind does not fit": ("plain", False, lambda p: [f"{p.name} ssh-rsa {p.key.split()[1]}"]),
    "unknown marker": ("plain", False, lambda p: [f"@nonsense {p.name} {p.key}"]),
    "upper case": ("plain", True, lambda p: [f"{p.name.upper()} {p.key}"]),
    "authority": ("certified", True, lambda p: [f"@cert-authority * {public(p.authority)}"]),
    "authority by name": ("certified", True, lambda p: [f"@cert-authority {p.name} {public(p.authority)}"]),
    "authority of others": ("certified", False, lambda p: [f"@cert-authority *.elsewhere {public(p.authority)}"]),
    "another authority": ("certified", False, lambda p: [f"@cert-authority * {p.wrong}"]),
    "another authority, but the key is known": (
        "certified", True, lambda p: [f"@cert-authority * {p.wrong}", f"{p.name} {p.key}"]
    ),
    "certified, but known as plain": ("certified", True, lambda p: [f"{p.name} {p.key}"]),
    "certified and unknown": ("certified", False, lambda p: []),
    "certified, plain key changed": (
        "certified", True, lambda p: [f"{p.name} {p.wrong}", f"@cert-authority * {public(p.authority)}"]
    ),
    "authority as a plain key": ("certified", False, lambda p: [f"{p.name} {public(p.authority)}"]),
    "authority revoked": (
        "certified",
        False,
        lambda p: [f"@revoked * {public(p.authority)}", f"@cert-authority * {public(p.authority)}"],
    ),
    "authority revoked, plain known": (
        "certified",
        False,
        lambda p: [f"@revoked * {public(p.authority)}", f"@cert-authority * {public(p.authority)}", f"{p.name} {p.key}"],
    ),
    "certified key revoked": (
        "certified", False, lambda p: [f"@revoked * {p.key}", f"@cert-authority * {public(p.authority)}"]
    ),
    "authority without a certificate": ("plain", False, lambda p: [f"@cert-authority * {public(p.authority)}"]),
    "the key itself as authority": ("plain", False, lambda p: [f"@cert-authority * {p.key}"]),
    "expired": ("expired", False, lambda p: [f"@cert-authority * {public(p.authority)}"]),
    "expired, plain known": ("expired", True, lambda p: [f"@cert-authority * {public(p.authority)}", f"{p.name} {p.key}"]),
    "certificate of another host": ("elsewhere", False, lambda p: [f"@cert-authority * {public(p.authority)}"]),
    "rsa certificate": ("rsa-certified", True, lambda p: [f"@cert-authority * {public(p.authority)}"]),
    "weak rsa": ("weak", True, lambda p: [f"{p.name} {p.key}"]),
}  # fmt: skip


@pytest.mark.parametrize("case", KNOWN)
def test_known_hosts(place: Callable[[str], Place], case: str) -> None:
    which, expected, lines = KNOWN[case]
    here = place(which)
    here.known(*lines(here))
    same(here, options(here), expected=expected)


def test_changed_key_names_file_and_line(place: Callable[[str], Place]) -> None:
    here = place("plain")
    known = here.known("# one", "other x", f"{here.name} {here.wrong}")
    error = same(here, options(here), expected=False)
    assert isinstance(error, UnreachableError)
    assert error.code == "ssh.host_key_changed"
    assert f"{known}:3" in error.message
    assert any("aiops node trust n1 --replace" in hint for hint in error.hints)
    assert any("ssh-keygen -R" in hint for hint in error.hints)


def test_unknown_key_says_how_to_trust(place: Callable[[str], Place]) -> None:
    here = place("plain")
    here.known()
    error = same(here, options(here), expected=False)
    assert error is not None
    assert error.code == "ssh.host_key_unknown"
    assert "`aiops node trust n1`" in error.hints[0]


def test_revoked_names_file_and_line(place: Callable[[str], Place]) -> None:
    here = place("plain")
    known = here.known(f"{here.name} {here.key}", f"@revoked * {here.key}")
    error = same(here, options(here), expected=False)
    assert error is not None
    assert error.code == "ssh.host_key_revoked"
    assert f"{known}:2" in error.message


def test_unreadable_marked_line_is_refused_by_name(place: Callable[[str], Place]) -> None:
    """ssh skips it with a warning; who revokes a key means it, so we do not."""
    here = place("plain")
    known = here.known(f"{here.name} {here.key}", f"@revoked {here.name} ssh-ed25519 AAAAgarbage")
    error = ours(here, options(here))
    assert error is not None
    assert error.code == "ssh.host_key_broken"
    assert f"{known}:2" in error.message


def test_several_files(place: Callable[[str], Place]) -> None:
    here = place("plain")
    first, second = here.known(f"other {here.wrong}", file="one"), here.known(f"{here.name} {here.key}", file="two")
    words = ("-F", "none", "-o", f"UserKnownHostsFile={first} {second}", "-o", "IdentityAgent=none", "-o", "GlobalKnownHostsFile=/dev/null")  # fmt: skip
    same(here, words, expected=True)


def test_global_file(place: Callable[[str], Place]) -> None:
    here = place("plain")
    system = here.known(f"{here.name} {here.key}", file="system")
    words = ("-F", "none", "-o", "UserKnownHostsFile=/dev/null", "-o", f"GlobalKnownHostsFile={system}", "-o", "IdentityAgent=none")  # fmt: skip
    same(here, words, expected=True)


def test_revoked_in_the_global_file(place: Callable[[str], Place]) -> None:
    here = place("plain")
    here.known(f"{here.name} {here.key}")
    system = here.known(f"@revoked * {here.key}", file="system")
    words = ("-o", f"GlobalKnownHostsFile={system}", *options(here))
    same(here, words, expected=False)


OPTIONS: dict[str, tuple[str, bool, Lines, tuple[str, ...]]] = {
    "alias": ("plain", True, lambda p: [f"MyName {p.key}"], ("-o", "HostKeyAlias=myname")),
    "alias unknown": ("plain", False, lambda p: [f"{p.name} {p.key}"], ("-o", "HostKeyAlias=myname")),
    "alias has no port": ("plain", False, lambda p: [f"[myname]:22 {p.key}"], ("-o", "HostKeyAlias=myname")),
    "alias and certificate": (
        "certified", True, lambda p: [f"@cert-authority *.lab {public(p.authority)}"], ("-o", "HostKeyAlias=gpu1.lab")
    ),
    "principals are no patterns": (
        "certified", False, lambda p: [f"@cert-authority * {public(p.authority)}"], ("-o", "HostKeyAlias=gpu2.farm")
    ),
    "alias not in the certificate": (
        "certified", False, lambda p: [f"@cert-authority * {public(p.authority)}"], ("-o", "HostKeyAlias=gpu1.other")
    ),
    "accept-new, unknown": ("plain", True, lambda p: [], ("-o", "StrictHostKeyChecking=accept-new")),
    "accept-new, changed": (
        "plain", False, lambda p: [f"{p.name} {p.wrong}"], ("-o", "StrictHostKeyChecking=accept-new")
    ),
    "accept-new, revoked": (
        "plain", False, lambda p: [f"@revoked * {p.key}"], ("-o", "StrictHostKeyChecking=accept-new")
    ),
    "no, unknown": ("plain", True, lambda p: [], ("-o", "StrictHostKeyChecking=no")),
    "no, changed": ("plain", True, lambda p: [f"{p.name} {p.wrong}"], ("-o", "StrictHostKeyChecking=no")),
    "yes, unknown": ("plain", False, lambda p: [], ("-o", "StrictHostKeyChecking=yes")),
    "yes, known": ("plain", True, lambda p: [f"{p.name} {p.key}"], ("-o", "StrictHostKeyChecking=yes")),
    "ecdsa only": (
        "plain", True, lambda p: [f"{p.name} {public(p.server.host_keys[1])}"],
        ("-o", "HostKeyAlgorithms=ecdsa-sha2-nistp256"),
    ),
    "ecdsa only, ed25519 known": (
        "plain", False, lambda p: [f"{p.name} {p.key}"], ("-o", "HostKeyAlgorithms=ecdsa-sha2-nistp256")
    ),
    "own order is kept": (
        "plain", False, lambda p: [f"{p.name} {p.key}"], ("-o", "HostKeyAlgorithms=rsa-sha2-512,ssh-ed25519")
    ),
    "an algorithm taken away": (
        "plain", True, lambda p: [f"{p.name} {public(p.server.host_keys[2])}"],
        ("-o", "HostKeyAlgorithms=-ecdsa-sha2-nistp256"),
    ),
    "an algorithm added": (
        "plain", True, lambda p: [f"{p.name} {public(p.server.host_keys[2])}"], ("-o", "HostKeyAlgorithms=+ssh-rsa")
    ),
    "certificates not allowed": (
        "certified", False, lambda p: [f"@cert-authority * {public(p.authority)}"],
        ("-o", "HostKeyAlgorithms=ssh-ed25519"),
    ),
    "authority's algorithm not allowed": (
        "certified", False, lambda p: [f"@cert-authority * {public(p.authority)}"],
        ("-o", "CASignatureAlgorithms=rsa-sha2-512"),
    ),
    "weak rsa is refused": ("weak", False, lambda p: [f"{p.name} {p.key}"], ("-o", "RequiredRSASize=2048")),
    "this machine's address is not compared": (
        "plain", True, lambda p: [f"[localhost]:{p.server.port} {p.key}", f"{p.name} {p.wrong}"],
        ("-o", "CheckHostIP=yes", "-o", "HostName=localhost", "-4"),
    ),
    "address unknown": (
        "plain", True, lambda p: [f"[localhost]:{p.server.port} {p.key}"],
        ("-o", "CheckHostIP=yes", "-o", "HostName=localhost", "-4"),
    ),
    "other ciphers": ("plain", True, lambda p: [f"{p.name} {p.key}"], ("-c", "aes256-gcm@openssh.com")),
    "other key exchange": ("plain", True, lambda p: [f"{p.name} {p.key}"], ("-o", "KexAlgorithms=curve25519-sha256")),
    "other macs": ("plain", True, lambda p: [f"{p.name} {p.key}"], ("-m", "hmac-sha2-512-etm@openssh.com", "-c", "aes128-ctr")),
    "compression": ("plain", True, lambda p: [f"{p.name} {p.key}"], ("-C",)),
    "proxy command": ("plain", True, lambda p: [f"{p.name} {p.key}"], ("-o", "ProxyCommand=exec nc %h %p || python3 -c 'import sys' ")),
    "key types not accepted": (
        "plain", False, lambda p: [f"{p.name} {p.key}"], ("-o", "PubkeyAcceptedAlgorithms=rsa-sha2-512")
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", OPTIONS)
def test_options(place: Callable[[str], Place], case: str) -> None:
    which, expected, lines, words = OPTIONS[case]
    if "ProxyCommand" in "".join(words) and shutil.which("nc") is None:
        words = ("-o", f"ProxyCommand={relay_command(place('plain').folder)} %h %p")
    here = place(which)
    here.known(*lines(here))
    same(here, options(here, *words), expected=expected)


def relay_command(folder: Path) -> str:
    """What `nc HOST PORT` does, in Python."""
    script = folder / "relay.py"
    script.write_text(
        "import os, socket, sys, threading\n"
        "s = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "def up():\n"
        "    while True:\n"
        "        data = os.read(0, 65536)\n"
        "        if not data: return s.shutdown(socket.SHUT_WR)\n"
        "        s.sendall(data)\n"
        "threading.Thread(target=up, daemon=True).start()\n"
        "while True:\n"
        "    data = s.recv(65536)\n"
        "    if not data: break\n"
        "    os.write(1, data)\n"
    )
    return f"python3 {script}"


def test_accept_new_remembers_in_the_users_file(place: Callable[[str], Place]) -> None:
    here = place("plain")
    known = here.known("# mine")
    assert ours(here, options(here, "-o", "StrictHostKeyChecking=accept-new")) is None
    assert known.read_text() == f"# mine\n{here.name} {here.key}\n"
    assert theirs(here, options(here, "-o", "StrictHostKeyChecking=yes"))[0]


def test_accept_new_hashes_where_asked(place: Callable[[str], Place]) -> None:
    here = place("plain")
    known = here.known()
    assert ours(here, options(here, "-o", "StrictHostKeyChecking=accept-new", "-o", "HashKnownHosts=yes")) is None
    assert known.read_text().startswith("|1|")
    assert "127.0.0.1" not in known.read_text()
    assert theirs(here, options(here, "-o", "StrictHostKeyChecking=yes"))[0]


def config(here: Place, text: str) -> tuple[str, ...]:
    file = here.folder / "config"
    file.write_text(text)
    return ("-F", str(file))


CONFIGS: dict[str, tuple[bool, str]] = {
    "host": (True, "Host n1\n HostName 127.0.0.1\n Port {port}\n User {user}\n IdentityFile {key}\n"),
    "first value wins": (True, "Host n1\n HostName 127.0.0.1\n Port {port}\n User {user}\n IdentityFile {key}\nHost *\n HostName 127.0.0.9\n Port 1\n"),
    "wrong port": (False, "Host n1\n HostName 127.0.0.1\n Port {closed}\n User {user}\n IdentityFile {key}\n"),
    "include": (True, "Include {folder}/inc*.conf\nHost n1\n Port {port}\n User {user}\n IdentityFile {key}\n"),
    "include within host": (True, "Host n1\n Include {folder}/inc1.conf\n Port {port}\n User {user}\n IdentityFile {key}\n"),
    "match host": (True, "Match host 127.0.0.1\n Port {port}\n User {user}\nMatch originalhost n1\n HostName 127.0.0.1\n Port {port}\n User {user}\n IdentityFile {key}\n"),
    "match exec true": (True, 'Match exec "test %n = n1"\n HostName 127.0.0.1\n Port {port}\n User {user}\n IdentityFile {key}\n'),
    "match exec false": (False, "Match exec false\n Port {port}\nHost n1\n HostName 127.0.0.1\n Port {closed}\n User {user}\n IdentityFile {key}\n"),
    "match user": (True, "Host n1\n HostName 127.0.0.1\n User {user}\n IdentityFile {key}\nMatch user {user}\n Port {port}\n"),
    "match final": (True, "Host n1\n HostName 127.0.0.1\n User {user}\n IdentityFile {key}\nMatch final host 127.0.0.1\n Port {port}\n"),
    "negated host": (False, "Host * !n1\n Port {port}\nHost n1\n HostName 127.0.0.1\n Port {closed}\n User {user}\n IdentityFile {key}\n"),
    "tokens in the key's name": (True, "Host n1\n HostName 127.0.0.1\n Port {port}\n User {user}\n IdentityFile {folder}/key_%n_%p\n"),
    "environment in the key's name": (True, "Host n1\n HostName 127.0.0.1\n Port {port}\n User {user}\n IdentityFile ${{KEY_FOLDER}}/key_%n_%p\n"),
    "identities only with no key": (False, "Host n1\n HostName 127.0.0.1\n Port {port}\n User {user}\n IdentitiesOnly yes\n IdentityFile {folder}/none\n"),
    "wrong key": (False, "Host n1\n HostName 127.0.0.1\n Port {port}\n User {user}\n IdentityFile {wrong}\n"),
    "wrong key, then the right one": (True, "Host n1\n HostName 127.0.0.1\n Port {port}\n User {user}\n IdentityFile {wrong}\n IdentityFile {key}\n"),
    "encrypted key": (False, "Host n1\n HostName 127.0.0.1\n Port {port}\n User {user}\n IdentityFile {locked}\n"),
    "encrypted key, then the right one": (True, "Host n1\n HostName 127.0.0.1\n Port {port}\n User {user}\n IdentityFile {locked}\n IdentityFile {key}\n"),
    "no such user": (False, "Host n1\n HostName 127.0.0.1\n Port {port}\n User nobody-at-all\n IdentityFile {key}\n"),
    "no public keys": (False, "Host n1\n HostName 127.0.0.1\n Port {port}\n User {user}\n IdentityFile {key}\n PubkeyAuthentication no\n"),
    "no such name": (False, "Host n1\n HostName no-such-host.invalid\n Port {port}\n User {user}\n IdentityFile {key}\n"),
    "bad option": (False, "Host n1\n HostName 127.0.0.1\n NoSuchOption yes\n"),
    "jump": (True, "Host n1\n HostName 127.0.0.1\n Port {port}\n User {user}\n IdentityFile {key}\n ProxyJump hop\nHost hop\n HostName 127.0.0.1\n Port {jump}\n User {user}\n IdentityFile {jumpkey}\n"),
    "jump with user and port": (True, "Host n1\n HostName 127.0.0.1\n Port {port}\n User {user}\n IdentityFile {key}\n ProxyJump {user}@127.0.0.1:{jump}\nMatch host 127.0.0.1\n IdentityFile {jumpkey}\n"),
    "two jumps": (True, "Host n1\n HostName 127.0.0.1\n Port {port}\n User {user}\n IdentityFile {key}\n ProxyJump hop,hop2\nHost hop hop2\n HostName 127.0.0.1\n User {user}\n IdentityFile {jumpkey}\n Port {jump}\n"),
    "a jump of a jump": (True, "Host n1\n HostName 127.0.0.1\n Port {port}\n User {user}\n IdentityFile {key}\n ProxyJump hop\nHost hop\n ProxyJump hop2\nHost hop hop2\n HostName 127.0.0.1\n User {user}\n IdentityFile {jumpkey}\n Port {jump}\n"),
    "jump refused": (False, "Host n1\n HostName 127.0.0.1\n Port {port}\n User {user}\n IdentityFile {key}\n ProxyJump hop\nHost hop\n HostName 127.0.0.1\n Port {jump}\n User {user}\n IdentityFile {wrong}\n"),
    "jump to a closed port": (False, "Host n1\n HostName 127.0.0.1\n Port {closed}\n User {user}\n IdentityFile {key}\n ProxyJump hop\nHost hop\n HostName 127.0.0.1\n Port {jump}\n User {user}\n IdentityFile {jumpkey}\n"),
    "jump with an unknown key": (False, "Host n1\n HostName 127.0.0.1\n Port {port}\n User {user}\n IdentityFile {key}\n ProxyJump hop\nHost hop\n HostName 127.0.0.1\n Port {jump}\n User {user}\n IdentityFile {jumpkey}\n UserKnownHostsFile /dev/null\nHost *\n UserKnownHostsFile {known}\n"),
    "jump none": (True, "Host n1\n HostName 127.0.0.1\n Port {port}\n User {user}\n IdentityFile {key}\n ProxyJump none\nHost *\n ProxyJump nowhere\n"),
    "proxy command by ssh": (True, "Host n1\n HostName 127.0.0.1\n Port {port}\n User {user}\n IdentityFile {key}\n ProxyCommand ssh -F {folder}/config -o BatchMode=yes -W %h:%p hop\nHost hop\n HostName 127.0.0.1\n Port {jump}\n User {user}\n IdentityFile {jumpkey}\n"),
    "proxy command that fails": (False, "Host n1\n HostName 127.0.0.1\n Port {port}\n User {user}\n IdentityFile {key}\n ProxyCommand exit 1\n"),
    "user certificate": (True, "Host n1\n HostName 127.0.0.1\n Port {certport}\n User {user}\n IdentityFile {usercert}\n"),
    "user certificate by option": (True, "Host n1\n HostName 127.0.0.1\n Port {certport}\n User {user}\n IdentityFile {bare}\n CertificateFile {usercert}-cert.pub\n"),
    "user key without its certificate": (False, "Host n1\n HostName 127.0.0.1\n Port {certport}\n User {user}\n IdentityFile {bare}\n"),
}  # fmt: skip


@pytest.fixture(scope="module")
def user_certificate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sshd, Path, Path]]:
    """A server that lets in whom an authority has certified; a key with its certificate, the same key without."""
    folder = tmp_path_factory.mktemp("usercert")
    authority, user = keygen(folder / "authority"), keygen(folder / "user")
    subprocess.run(
        ["ssh-keygen", "-q", "-s", authority, "-I", "ann", "-n", USER, "-V", "-1m:+1h", f"{user}.pub"], check=True
    )
    bare = folder / "bare"
    shutil.copy(user, bare)
    with running(folder / "sshd", extra=f"TrustedUserCAKeys {authority}.pub\nAuthorizedKeysFile none") as server:
        yield server, user, bare


@pytest.mark.parametrize("case", CONFIGS)
def test_config_files(
    place: Callable[[str], Place],
    servers: dict[str, Sshd],
    user_certificate: tuple[Sshd, Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    case: str,
) -> None:
    expected, text = CONFIGS[case]
    here, hop = place("plain"), servers["rsa"]
    certifying, user, bare = user_certificate
    known = here.known(
        f"{here.name} {here.key}", f"{hop.name} {public(hop.host_keys[0])}", certifying.known_line().strip()
    )
    (here.folder / "inc1.conf").write_text("Host n1\n HostName 127.0.0.1\n")
    shutil.copy(here.server.client_key, here.folder / f"key_n1_{here.server.port}")
    locked = keygen(here.folder / "locked", passphrase="passphrase")
    monkeypatch.setenv("KEY_FOLDER", str(here.folder))
    filled = text.format(
        port=here.server.port,
        closed=9,
        user=USER,
        key=here.server.client_key,
        jumpkey=hop.client_key,
        jump=hop.port,
        folder=here.folder,
        wrong=here.other,
        locked=locked,
        known=known,
        usercert=user,
        bare=bare,
        certport=certifying.port,
    )
    common = f"\nHost *\n UserKnownHostsFile {known}\n GlobalKnownHostsFile /dev/null\n IdentityAgent none\n UpdateHostKeys no\n"
    words = config(here, filled + common)
    error = same(here, words, expected=expected, address="n1", port=None, user=None, key_file=None)
    if case == "bad option":
        assert isinstance(error, InputError)
        assert error.problems[0].where.endswith("config:3")
    if case.startswith("encrypted") and error is not None:
        assert any("ssh-add" in hint for hint in error.hints)


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], None]]:
    """An ssh agent; call it to add a key."""
    socket = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))

    def add(key: Path) -> None:
        subprocess.run(["ssh-add", "-q", str(key)], check=True, stderr=subprocess.DEVNULL, timeout=10)

    while not socket.exists():
        assert process.poll() is None
    yield add
    process.terminate()
    process.wait(10)


@pytest.mark.parametrize(
    ("case", "expected", "extra"),
    [
        ("agent's key", True, ""),
        ("agent turned off", False, " IdentityAgent none\n"),
        ("agent elsewhere", False, " IdentityAgent /no/such/socket\n"),
        ("agent by variable", True, " IdentityAgent $SSH_AUTH_SOCK\n"),
        ("agent's key is not a configured one", False, " IdentitiesOnly yes\n IdentityFile {other}\n"),
        ("agent's key is configured by its public half", True, " IdentitiesOnly yes\n IdentityFile {moved}\n"),
    ],
)
def test_agent(
    place: Callable[[str], Place], agent: Callable[[Path], None], case: str, expected: bool, extra: str
) -> None:
    here = place("plain")
    agent(here.server.client_key)
    known = here.known(f"{here.name} {here.key}")
    moved = here.folder / "moved"
    shutil.copy(f"{here.server.client_key}.pub", f"{moved}.pub")
    text = (
        f"Host n1\n HostName 127.0.0.1\n Port {here.server.port}\n User {USER}\n UserKnownHostsFile {known}\n"
        f" GlobalKnownHostsFile /dev/null\n UpdateHostKeys no\n" + extra.format(other=here.other, moved=moved)
    )
    same(here, config(here, text), expected=expected, address="n1", port=None, user=None, key_file=None)


@pytest.mark.parametrize(
    "option",
    [
        "KnownHostsCommand=/bin/cat /dev/null",
        "RevokedHostKeys=/dev/null",
        "VerifyHostKeyDNS=yes",
        "NoHostAuthenticationForLocalhost=yes",
        "PKCS11Provider=/usr/lib/x.so",
        "BindInterface=lo",
        "ProxyUseFdpass=yes",
        "SessionType=none",
        "PreferredAuthentications=password",
        "PubkeyAuthentication=no",
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(place: Callable[[str], Place], option: str) -> None:
    here = place("plain")
    here.known(f"{here.name} {here.key}")
    error = ours(here, options(here, "-o", option))
    assert isinstance(error, InputError)
    assert option.partition("=")[0].lower() in error.message.lower()

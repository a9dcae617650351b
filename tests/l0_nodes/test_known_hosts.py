"""known_hosts judged and written, certificates taken apart: pure parts, also by hypothesis."""
# ruff: noqa: E501 - ssh's words are read across

import base64
import os
import subprocess
import threading
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.sshd import keygen, public, sign_host

from aiops.layers.core.errors import ConflictError, InputError
from aiops.layers.l0_nodes import known_hosts, trust
from aiops.layers.l0_nodes.certificate import parse_certificate
from aiops.layers.l0_nodes.known_hosts import (
    HostKey,
    KnownHosts,
    hashed_name,
    host_name,
    judge,
    matches,
    ordered_algorithms,
    parse,
)
from aiops.layers.l0_nodes.node import Connection
from aiops.layers.l0_nodes.ssh_config import Resolver, SshConfig, ssh_words
from aiops.layers.l0_nodes.trust import add, forget, known_lines


def key(path: Path) -> HostKey:
    return HostKey(base64.b64decode(public(path).split()[1]))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[HostKey, HostKey, HostKey]:
    """Two ed25519 keys and an RSA one."""
    folder = tmp_path_factory.mktemp("keys")
    return key(keygen(folder / "a")), key(keygen(folder / "b")), key(keygen(folder / "c", "rsa"))


def config(*files: Path, hashed: bool = False) -> SshConfig:
    words = ("-F", "none", "-o", f"UserKnownHostsFile={' '.join(map(str, files))}", "-o", f"HashKnownHosts={'yes' if hashed else 'no'}")  # fmt: skip
    return Resolver(os.environ).resolve("n1", "n1", words)


NAMES = st.text(alphabet="ab.:[]1", min_size=1, max_size=8)


@given(st.text(alphabet="ab*?.", max_size=10), st.text(alphabet="ab.", max_size=10))
def test_patterns_are_shell_patterns(pattern: str, name: str) -> None:
    if pattern:
        assert matches(pattern, name) == fnmatchcase(name, pattern)


def test_patterns_are_never_slow() -> None:
    assert not matches("*a" * 500 + "b", "a" * 2000)


@given(NAMES, st.binary(min_size=20, max_size=20))
def test_hashes(name: str, salt: bytes) -> None:
    assert matches(hashed_name(name, salt), name)
    assert not matches(hashed_name(name, salt), name + "x")


def test_hash_is_opensshs(tmp_path: Path, keys: tuple[HostKey, ...]) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"{hashed_name('[10.0.0.1]:2222', os.urandom(20))} {keys[0].text}\n")
    found = subprocess.run(["ssh-keygen", "-F", "[10.0.0.1]:2222", "-f", file], capture_output=True, check=False)
    assert found.returncode == 0


def test_fingerprint_is_sshs(tmp_path: Path) -> None:
    path = keygen(tmp_path / "k")
    said = subprocess.run(["ssh-keygen", "-l", "-f", path], capture_output=True, text=True, check=True).stdout
    assert key(path).fingerprint in said
    assert key(path).kind == "ssh-ed25519"


@given(st.text(max_size=300))
def test_any_text_is_read(text: str) -> None:
    for entry in parse(text, "file"):
        assert entry.place.startswith("file:")
        matches(entry.names, "host")


@given(st.binary(max_size=200))
def test_any_blob_is_a_key_of_some_kind(blob: bytes) -> None:
    assert isinstance(HostKey(blob).kind, str)
    assert HostKey(blob).fingerprint.startswith("SHA256:")


@pytest.mark.parametrize(("host", "port", "name"), [("A.b", 22, "a.b"), ("h", 2222, "[h]:2222"), ("::1", 22, "::1")])
def test_names(host: str, port: int, name: str) -> None:
    assert host_name(host, port) == name


def test_the_verdict_names_the_line(keys: tuple[HostKey, ...]) -> None:
    text = f"# c\n\nh {keys[1].text}\n@revoked h {keys[2].text}\n"
    entries = KnownHosts(text, "/k").of("h")
    assert judge(entries, keys[0]).kind == "changed"
    assert judge(entries, keys[0]).place == "/k:3"
    assert (judge(entries, keys[2]).kind, judge(entries, keys[2]).place) == ("revoked", "/k:4")
    assert judge((), keys[0]).kind == "unknown"


def test_known_kinds_are_asked_for_first(keys: tuple[HostKey, ...]) -> None:
    algorithms = ("ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512")
    rsa = KnownHosts(f"h {keys[2].text}\n", "f").of("h")
    assert ordered_algorithms(algorithms, rsa)[0] == "rsa-sha2-512"
    authority = KnownHosts(f"@cert-authority h {keys[0].text}\n", "f").of("h")
    assert ordered_algorithms(algorithms, authority)[0] == "ssh-ed25519-cert-v01@openssh.com"
    assert ordered_algorithms(algorithms, ()) == algorithms


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_certificates_of_every_kind(tmp_path: Path, kind: str) -> None:
    authority, host = keygen(tmp_path / "ca"), keygen(tmp_path / "host", kind)
    blob = base64.b64decode(sign_host(authority, host, "gpu01,10.0.0.1").read_text().split()[1])
    found = parse_certificate(blob)
    assert found is not None
    assert (HostKey(found.plain), HostKey(found.authority)) == (key(host), key(authority))
    assert found.principals == ("gpu01", "10.0.0.1")
    allowed = ("ssh-ed25519",)
    now = (found.after + found.before) / 2
    assert found.refusal("gpu01", now, allowed) is None
    assert found.refusal("gpu02", now, allowed) == "it is for gpu01, 10.0.0.1, not for gpu02"
    assert found.refusal("gpu01", found.before, allowed) == "it has expired"
    assert found.refusal("gpu01", found.after - 1, allowed) == "it is not valid yet"
    assert "CASignatureAlgorithms" in str(found.refusal("gpu01", now, ()))
    for cut in range(40, len(blob) - 1, 37):
        with pytest.raises(ValueError, match="cut off"):
            parse_certificate(blob[:cut])


def test_a_users_certificate_is_no_hosts(tmp_path: Path) -> None:
    authority, user = keygen(tmp_path / "ca"), keygen(tmp_path / "user")
    blob = base64.b64decode(sign_host(authority, user, "gpu01", host=False).read_text().split()[1])
    found = parse_certificate(blob)
    assert found is not None
    assert found.refusal("gpu01", found.after + 1, ("ssh-ed25519",)) == "it is not a host certificate"


def test_a_plain_key_is_no_certificate(keys: tuple[HostKey, ...]) -> None:
    assert parse_certificate(keys[0].blob) is None


# Writing


def test_add_appends_once_and_keeps_the_rest(tmp_path: Path, keys: tuple[HostKey, ...]) -> None:
    file = tmp_path / ".ssh" / "known_hosts"
    assert add(config(file), [("h", keys[0])]) == 1
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text("# mine, without a newline")
    file.chmod(0o644)
    assert add(config(file), [("h", keys[0]), ("h", keys[2])]) == 2
    assert add(config(file), [("h", keys[0])]) == 0
    assert file.read_text() == f"# mine, without a newline\nh {keys[0].text}\nh {keys[2].text}\n"
    assert file.stat().st_mode & 0o777 == 0o644


def test_add_hashes_where_asked(tmp_path: Path, keys: tuple[HostKey, ...]) -> None:
    file = tmp_path / "known_hosts"
    add(config(file, hashed=True), [("host-name", keys[0])])
    assert "host-name" not in file.read_text()
    assert add(config(file, hashed=True), [("host-name", keys[0])]) == 0


def test_add_through_a_link_keeps_the_link(tmp_path: Path, keys: tuple[HostKey, ...]) -> None:
    (tmp_path / "real").write_text("")
    link = tmp_path / "known_hosts"
    link.symlink_to(tmp_path / "real")
    add(config(link), [("h", keys[0])])
    assert link.is_symlink()
    assert keys[0].text in (tmp_path / "real").read_text()


def test_many_writers_lose_nothing(tmp_path: Path, keys: tuple[HostKey, ...]) -> None:
    made = config(tmp_path / "known_hosts")
    threads = [threading.Thread(target=add, args=(made, [(f"h{number}", keys[0])])) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len((tmp_path / "known_hosts").read_text().splitlines()) == 20


def test_forget_takes_plain_and_hashed_lines_and_leaves_marked_ones(tmp_path: Path, keys: tuple[HostKey, ...]) -> None:
    file = tmp_path / "known_hosts"
    old = keys[0].text
    marked = f"@revoked h {old}\n@cert-authority h {keys[1].text}\n"
    file.write_text(f"# c\nh {old}\na,h,b {old}\n{hashed_name('h', b'x' * 20)} {old}\nother {old}\n{marked}")
    assert forget(config(file), "h") == 3
    assert file.read_text() == f"# c\na,b {old}\nother {old}\n{marked}"


def test_forget_does_not_touch_patterns(tmp_path: Path, keys: tuple[HostKey, ...]) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"h* {keys[0].text}\n")
    with pytest.raises(ConflictError) as caught:
        forget(config(file), "h1")
    assert f"{file}:1" in caught.value.message
    assert file.read_text() == f"h* {keys[0].text}\n"


# Configuration


def test_words_of_a_connection() -> None:
    connection = Connection(port=2222, user="ann", key_file="/a b", ssh_arguments=("-C",), host_key_checking=False)
    assert ssh_words(connection) == (
        "-p", "2222", "-l", "ann", "-o", 'IdentityFile="/a b"', "-o", "StrictHostKeyChecking=no", "-C",
    )  # fmt: skip


def test_resolution() -> None:
    found = Resolver(os.environ).of_node(
        "n1", Connection(address="10.0.0.1", port=2222, user="ann", key_file="/a b", ssh_arguments=("-F", "none", "-J", "x@y:3,z"))
    )  # fmt: skip
    assert (found.host, found.port, found.user, found.identity_files) == ("10.0.0.1", 2222, "ann", ("/a b",))
    assert (found.proxy_jump, found.proxy_command, found.config_file) == ("x@y:3,z", None, "none")
    assert found.reorders_host_keys
    assert found.strict == "ask"


def test_ssh_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = subprocess.run

    def counted(*words: Any, **options: Any) -> Any:
        calls.append(words)
        return real(*words, **options)

    monkeypatch.setattr(subprocess, "run", counted)
    resolver = Resolver(os.environ)
    for _ in range(3):
        resolver.resolve("n1", "h", ("-F", "none"))
    assert len(calls) == 2, "one for the host, one for ssh's own defaults"


def test_no_ssh_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InputError) as caught:
        Resolver({"PATH": "/nowhere"}).resolve("n1", "h")
    assert caught.value.code == "ssh.missing"


@pytest.mark.parametrize("token", ["%C", "%z"])
def test_tokens_that_are_not_known_are_refused_by_name(token: str) -> None:
    with pytest.raises(InputError) as caught:
        Resolver(os.environ).resolve("n1", "h", ("-F", "none", "-o", f"IdentityFile=/k/{token}"))
    assert token in caught.value.message


FIELDS = st.one_of(
    st.lists(st.text(alphabet="aB.*?!1", max_size=4), min_size=1, max_size=3).map(",".join),
    st.builds(hashed_name, st.text(alphabet="ab.1", min_size=1, max_size=3), st.binary(min_size=20, max_size=20)),
)


@given(
    st.lists(st.tuples(st.sampled_from(["", "@revoked "]), FIELDS), max_size=8), st.text(alphabet="ab.1", max_size=4)
)
def test_lines_found_by_name_are_those_that_match(lines: list[tuple[str, str]], name: str) -> None:
    blob = HostKey(b"\0\0\0\x0bssh-ed25519" + b"\0\0\0\x01x").text
    text = "".join(f"{marker}{names} {blob}\n" for marker, names in lines)
    expected = tuple(entry for entry in parse(text, "f") if matches(entry.names, name))
    found = KnownHosts(text, "f")
    assert (found.of(name), found.of(name)) == (expected, expected)


def test_a_file_is_read_once_and_again_when_it_has_changed(
    tmp_path: Path, keys: tuple[HostKey, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def reading(text: str, file: str) -> KnownHosts:
        read.append(file)
        return KnownHosts(text, file)

    monkeypatch.setattr(trust, "KnownHosts", reading)
    file, missing = tmp_path / "known_hosts", tmp_path / "none"
    file.write_text(f"h {keys[0].text}\n")
    given = config(missing, file)
    own = [str(file)]
    for _ in range(3):
        assert [entry.key for entry in known_lines(given, "h")] == [keys[0]]
        assert known_lines(given, "g") == ()
    assert [one for one in read if one in own] == own
    add(given, [("g", keys[1])])
    assert [entry.key for entry in known_lines(given, "g")] == [keys[1]]
    file.write_text(f"h {keys[1].text}\n")
    assert [entry.key for entry in known_lines(given, "h")] == [keys[1]]
    file.unlink()
    assert known_lines(given, "h") == ()


def test_a_hashed_line_is_tried_once_per_name(keys: tuple[HostKey, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    whole = known_hosts.matches

    def trying(names: str, name: str) -> bool:
        tried.append(name)
        return whole(names, name)

    monkeypatch.setattr(known_hosts, "matches", trying)
    plain = "".join(f"gpu{number} {keys[0].text}\n" for number in range(50))
    found = KnownHosts(f"{plain}{hashed_name('gpu7', bytes(20))} {keys[1].text}\n", "f")
    for _ in range(3):
        assert [entry.line for entry in found.of("gpu7")] == [8, 51]
        assert [entry.line for entry in found.of("gpu8")] == [9]
    assert tried == ["gpu7", "gpu8"]

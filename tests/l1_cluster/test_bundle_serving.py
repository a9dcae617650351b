"""A bundle served from this machine: only its own plain files, read only, with the lines that a node types."""

import http.client
import os
import shutil
import socket
import threading
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.small_bundle import small_bundle

from aiops.layers.core.errors import ConflictError, FailedError, InputError
from aiops.layers.l1_cluster.bundle.bundle import Bundle
from aiops.layers.l1_cluster.bundle.serving import EVERYWHERE, Listen, Serving, instructions, own_addresses
from aiops.layers.l1_cluster.remote.repository import open_server
from aiops.layers.l1_cluster.remote.tree import switch

needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="its packages are made with dpkg-deb")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    home = tmp_path_factory.mktemp("home")
    (home / "secret").write_text("no")
    return small_bundle(home, home / "bundle")


def free_port() -> int:
    with socket.socket() as asking:
        asking.bind(("127.0.0.1", 0))
        return int(asking.getsockname()[1])


def raw(port: int, request: str) -> int:
    """The status of a request that no client library would send; 0 for none."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(request.encode("latin-1") + b"Host: x\r\nConnection: close\r\n\r\n")
        answer = connection.makefile("rb").readline().split()
    return int(answer[1]) if len(answer) > 1 else 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.5:8080", Listen("10.0.0.5", 8080)),
        (":8080", Listen(EVERYWHERE, 8080)),
        ("head", Listen("head", 8990)),
        ("[fd00::5]:80", Listen("fd00::5", 80)),
        ("[::1]", Listen("::1", 8990)),
    ],
)
def test_a_place_to_listen_on(text: str, expected: Listen) -> None:
    assert Listen.parse(text) == expected
    assert Listen.parse(str(expected)) == expected


@pytest.mark.parametrize(
    "text", ["", "a:b", "10.0.0.5:0", "10.0.0.5:65536", "::1", "[::1", "a b:80", "x:80:90", "[]:1"]
)
def test_what_is_no_place(text: str) -> None:
    with pytest.raises(InputError) as caught:
        Listen.parse(text)
    assert caught.value.code == "bundle.listen"


@pytest.mark.parametrize("text", ["192.0.2.7:8080", "no-such-host.invalid"])
def test_an_address_that_is_not_of_this_machine_is_refused_before_anything_is_read(text: str) -> None:
    with pytest.raises(InputError) as caught:
        Listen.parse(text).require()
    assert caught.value.code == "bundle.listen"
    Listen.parse("127.0.0.1").require()
    Listen().require()


@given(st.text(max_size=20))
def test_any_text_is_a_place_or_refused(text: str) -> None:
    try:
        listen = Listen.parse(text)
    except InputError:
        return
    assert Listen.parse(str(listen)) == listen


@needs_dpkg
def test_files_of_the_bundle_and_nothing_else(bundle: Bundle) -> None:
    port = free_port()
    deb = next(one.path for one in bundle.manifest.artefacts if one.kind == "deb")
    outside = bundle.path / "apt/leak"
    outside.symlink_to(bundle.path.parent / "secret")
    os.mkfifo(bundle.path / "apt/fifo")
    try:
        with Serving(bundle, Listen("127.0.0.1", port)) as serving:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{quote(deb)}", timeout=5) as answer:
                assert answer.read() == (bundle.path / deb).read_bytes()
                assert answer.headers["Server"] == "aiops"
            for path in (
                *(
                    "",
                    "apt",
                    "apt/",
                    "apt/leak",
                    "apt/fifo",
                    "nothing",
                    "../secret",
                    "%2e%2e/secret",
                    "apt/../../secret",
                ),
                *("..%2fsecret", "apt/%2e%2e/%2e%2e/secret", "/etc/passwd", "%00", "apt/%00/../secret"),
            ):
                assert raw(port, f"GET /{path} HTTP/1.1\r\n") == 404, path
            for verb in ("POST", "PUT", "DELETE", "OPTIONS"):
                assert raw(port, f"{verb} /{deb} HTTP/1.1\r\n") == 501, verb
            assert raw(port, "rubbish\r\n") in {0, 400}
            assert raw(port, f"HEAD /{deb} HTTP/1.1\r\n") == 200
        assert serving.clients == {"127.0.0.1"}
        assert serving.files == 2
        assert serving.refused >= 17
    finally:
        outside.unlink()
        (bundle.path / "apt/fifo").unlink()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/key.asc", timeout=5)


@needs_dpkg
def test_a_place_that_is_taken_or_not_ours(bundle: Bundle) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ConflictError) as taken, Serving(bundle, Listen("127.0.0.1", other.getsockname()[1])):
            pass
    assert taken.value.code == "bundle.in_use"
    with pytest.raises(FailedError, match="cannot be listened on"), Serving(bundle, Listen("192.0.2.77", 8990)):
        pass


@needs_dpkg
def test_a_node_takes_the_key_only_with_the_digest_that_was_shown(bundle: Bundle) -> None:
    (told,) = instructions(bundle, "10.0.0.5:8990")
    assert told.target == "bookworm/amd64"
    assert (
        f"http://10.0.0.5:8990/key.asc /etc/apt/keyrings/aiops-bundle.asc SHA256:{bundle.digests['key.asc']}"
        in (told.lines[1])
    )
    assert "http://10.0.0.5:8990/apt bookworm main" in told.lines[2]


def test_the_loopback_is_no_address_of_ours() -> None:
    assert not any(address.startswith("127.") for address in own_addresses())


def test_the_heads_service_follows_a_bundle_that_is_put_in_place_meanwhile(tmp_path: Path) -> None:
    for name in ("bundle", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    server = open_server(str(tmp_path / "bundle"), "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        address = f"http://127.0.0.1:{server.server_port}/file"
        with urllib.request.urlopen(address, timeout=5) as answer:
            assert answer.read() == b"bundle"
        switch(str(tmp_path / "new"), str(tmp_path / "bundle"))
        with urllib.request.urlopen(address, timeout=5) as answer:
            assert answer.read() == b"new"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_one_connection_asks_for_files_of_the_bundle_and_of_what_was_built_in_turn(tmp_path: Path) -> None:
    for folder, word in (("bundle", "packed"), ("built", "made")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "one").write_text(word)
    (tmp_path / "built/two").write_text("only there")
    told: list[tuple[str, int]] = []
    with open_server(
        str(tmp_path / "bundle"),
        "127.0.0.1",
        0,
        lambda _client, path, status: told.append((path, status)),
        built=str(tmp_path / "built"),
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=5)
        found = []
        for path in ("/built/one", "/one", "/two", "/built/two", "/built/../two", "/one"):
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read().decode()
            found.append(body if answer.status == HTTPStatus.OK else answer.status)
        connection.close()
        server.shutdown()
    assert found == ["made", "packed", 404, "only there", "only there", "packed"]
    assert told[:2] == [("/built/one", 200), ("/one", 200)]

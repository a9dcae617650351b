"""What `aiops cluster bundle` says when it cannot do what was asked."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from tests.support.small_bundle import small_bundle

from .conftest import Shown


def test_no_bundle(shown: Shown) -> None:
    assert shown("cluster", "bundle", "verify").endswith(
        "error: there is no bundle at [TMP]/home/bundle\n\n"
        "hint: make one with `aiops cluster bundle build` on a machine with internet\n"
    )
    assert shown("cluster", "bundle", "verify", "elsewhere").startswith("exit: 6\n")


def test_no_bundle_as_json(shown: Shown) -> None:
    screen = shown("cluster", "bundle", "verify", "--json")
    document = json.loads(screen.partition("--- stdout\n")[2].partition("--- stderr\n")[0])
    assert document["error"]["code"] == "bundle.absent"
    assert screen.endswith("--- stderr\n")


def test_an_unknown_release(shown: Shown) -> None:
    screen = shown("cluster", "bundle", "build", "--for", "focal")
    assert screen.startswith("exit: 2\n")
    assert "error: `focal` is not a release a bundle can be built for" in screen
    assert "bookworm (debian 12), trixie (debian 13), jammy (ubuntu 22.04), noble (ubuntu 24.04)" in screen


def test_a_vendor_without_simulated_packages(shown: Shown) -> None:
    screen = shown("cluster", "bundle", "build", "--simulated", "acme")
    assert screen.startswith("exit: 2\n")
    assert "error: there are no simulated packages of `acme`" in screen


def test_an_unknown_architecture(shown: Shown) -> None:
    screen = shown("cluster", "bundle", "build", "--for", "bookworm/s390x")
    assert screen.startswith("exit: 2\n")
    assert "architectures: amd64, arm64" in screen


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A bundle of a few kilobytes in AIOPS_HOME, and an inventory of a node that nobody can reach."""
    if shutil.which("dpkg-deb") is None:
        pytest.skip("its packages are made with dpkg-deb")
    small_bundle(tmp_path / "home", tmp_path / "home" / "bundle")
    (tmp_path / "inventory.yml").write_text("head: {hosts: {head: {ansible_host: 127.0.0.1, ansible_port: 1}}}\n")
    return tmp_path / "home" / "bundle"


@pytest.mark.parametrize(
    "words", [("bundle", "verify"), ("bundle", "serve"), ("deploy", "--yes", "--only", "repository,base")]
)
def test_a_flipped_byte_is_refused_before_anything_else(shown: Shown, small: Path, words: tuple[str, ...]) -> None:
    deb = next(small.glob("apt/pool/*/*.deb"))
    content = bytearray(deb.read_bytes())
    content[len(content) // 2] ^= 1
    deb.write_bytes(content)
    screen = shown("cluster", *words)
    assert screen.startswith("exit: 1\n")
    assert "error: the bundle at [TMP]/home/bundle is damaged: 1 file differs from the manifest\n" in screen
    assert f"  {deb.relative_to(small)}: its content changed (sha256 differs)\n" in screen
    assert "connect" not in screen


def test_a_deploy_that_sends_no_bundle_does_not_read_all_of_it(shown: Shown, small: Path) -> None:
    deb = next(small.glob("apt/pool/*/*.deb"))
    deb.write_bytes(bytes(deb.stat().st_size))
    assert "127.0.0.1:1" in shown("cluster", "deploy", "--yes", "--only", "time")  # the head is what fails


def test_a_whole_bundle(shown: Shown, small: Path) -> None:
    assert shown("cluster", "bundle", "verify").startswith("exit: 0\n")
    assert "127.0.0.1:1" in shown("cluster", "deploy", "--yes", "--only", "base")  # taken: the head is what fails


@pytest.mark.parametrize("place", ["nowhere:99999", "::1"])
def test_no_place_to_serve_at(shown: Shown, small: Path, place: str) -> None:
    screen = shown("cluster", "bundle", "serve", "--listen", place)
    assert screen.startswith("exit: 2\n")
    assert f"error: `{place}` is no place to listen on\n" in screen


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serving_ends_when_it_is_told_to(small: Path, tmp_path: Path, number: signal.Signals) -> None:
    with socket.socket() as asking:
        asking.bind(("127.0.0.1", 0))
        port = asking.getsockname()[1]
    with subprocess.Popen(
        [sys.executable, "-m", "aiops", "cluster", "bundle", "serve", "--listen", f"127.0.0.1:{port}"],
        env={**os.environ, "AIOPS_HOME": str(tmp_path / "home")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        told = [process.stdout.readline()]
        while not told[-1].startswith("  apt-get update"):
            told.append(process.stdout.readline())
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/key.asc", timeout=10) as answer:
            assert answer.read() == (small / "key.asc").read_bytes()
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert told[0] == f"serving {small} at http://127.0.0.1:{port}, read only; Ctrl-C ends it\n"
    assert f"http://127.0.0.1:{port}/apt bookworm main' > /etc/apt/sources.list.d/aiops-bundle.list\n" in told[-2]
    assert err.endswith("ended; 1 file served to 1 node\n")


def test_an_inventory_that_is_not_there(shown: Shown) -> None:
    screen = shown("cluster", "bundle", "build", "-i", "nope.yml")
    assert screen.startswith("exit: 2\n")
    assert "error: there is no inventory nope.yml\n" in screen


def test_two_bundles_in_one_cluster_are_refused_whichever_nodes_are_chosen(shown: Shown, tmp_path: Path) -> None:
    (tmp_path / "inventory.yml").write_text(
        "head: {hosts: {head: {ansible_host: 127.0.0.1, ansible_port: 1, aiops_bundle: /a}}}\n"
        "workers: {hosts: {w1: {ansible_host: 127.0.0.1, ansible_port: 2, aiops_bundle: /b}}}\n"
    )
    commands = (("plan", "--on", "w1"), ("deploy", "--on", "head", "--yes"), ("drift",), ("bundle", "build"))
    for words in commands:
        screen = shown("cluster", *words)
        assert screen.startswith("exit: 2\n"), words
        assert "names 2 bundles, and its head serves one\n" in screen
        assert "`aiops_bundle: /b`, for w1\n" in screen

"""What `aiops cluster bundle` says when it cannot do what was asked."""

import json

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

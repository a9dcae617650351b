"""What phases are told of a bundle: versions for a node, drivers that are whole; and the server that gives it out."""

import importlib.util
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l1_cluster.bundle.bundle import Bundle
from aiops.layers.l1_cluster.bundle.manifest import Artefact, Manifest
from aiops.layers.l1_cluster.bundle.offer import NotOfferedError, Offer, PairMember, pair_of_sources
from aiops.layers.l1_cluster.bundle.signing import PublicKey

NAMES = ("nvidia-driver-#", "nvidia-utils-#", "nvidia-fabricmanager-#")


@dataclass(frozen=True)
class Placed:
    name: str
    facts: Facts | None


def _node(codename: str | None = "bookworm", architecture: str | None = "x86_64") -> Placed:
    at = datetime(2026, 11, 21, tzinfo=UTC)
    return Placed("gpu01", Facts("gpu01", at, os_codename=codename, architecture=architecture))


def _offer(*packages: str) -> Offer:
    """An offer of `NAME=VERSION` or `NAME=VERSION@CODENAME/ARCH`."""
    artefacts = []
    for package in packages:
        named, _, place = package.partition("@")
        name, _, version = named.partition("=")
        codename, _, architecture = (place or "bookworm/amd64").partition("/")
        artefacts.append(Artefact("deb", f"apt/{package}.deb", "", 1, name, version, architecture, codename))
    manifest = Manifest("", "0.1.0", ("bookworm/amd64", "noble/arm64"), "F", "c0ffee", tuple(artefacts))
    return Offer(Bundle(Path("/nowhere"), manifest, PublicKey("F", "")), Path("/parcels"))


def _driver(version: str, *names: str) -> list[str]:
    branch = version.partition(".")[0]
    return [f"{name.replace('#', branch)}={version}-0ubuntu1" for name in names or NAMES]


def test_the_newest_version_for_the_nodes_own_release_and_architecture() -> None:
    offer = _offer("jq=1.6-2", "jq=1.10-1", "jq=9.9-1@noble/arm64", "jq=2.0-1@bookworm/arm64", "doc=3-1@bookworm/all")
    assert offer.version("jq", _node()) == "1.10-1"
    assert offer.version("jq", _node("noble", "aarch64")) == "9.9-1"
    assert offer.version("doc", _node()) == "3-1"
    assert offer.version("other", _node()) is None


def test_a_release_that_the_bundle_was_not_built_for_is_told_with_the_command() -> None:
    assert _offer().suite(_node()) == "bookworm"
    with pytest.raises(NotOfferedError, match="--for noble/amd64"):
        _offer().suite(_node("noble"))


def test_an_unread_release_is_no_release() -> None:
    with pytest.raises(NotOfferedError, match="gpu01 is unknown"):
        _offer().version("jq", _node(None))
    with pytest.raises(NotOfferedError, match="gpu01 is unknown"):
        _offer().version("jq", Placed("gpu01", None))


def test_a_driver_is_the_newest_that_is_whole() -> None:
    offer = _offer(*_driver("570.86.10"), *_driver("580.82.07"), *_driver("580.95.05", *NAMES[:2]))
    members = offer.pair(NAMES, _node())
    assert {member.version for member in members} == {"580.82.07-0ubuntu1"}
    assert [member.name for member in members] == ["nvidia-driver-580", "nvidia-utils-580", "nvidia-fabricmanager-580"]


def test_a_driver_that_was_asked_for_is_that_or_none() -> None:
    offer = _offer(*_driver("570.86.10"), *_driver("580.95.05", *NAMES[:2]))
    assert {one.version for one in offer.pair(NAMES, _node(), "570.86.10")} == {"570.86.10-0ubuntu1"}
    with pytest.raises(NotOfferedError, match=r"lacks nvidia-fabricmanager-580 580\.95\.05"):
        offer.pair(NAMES, _node(), "580.95.05")


def test_no_driver_at_all_is_told() -> None:
    with pytest.raises(NotOfferedError, match="no driver package at all"):
        _offer("jq=1-1").pair(NAMES, _node())


def test_a_nodes_own_sources_need_the_exact_version() -> None:
    assert pair_of_sources(NAMES[:1], "580.95.05") == (PairMember("nvidia-driver-580", "580.95.05-*"),)
    with pytest.raises(NotOfferedError, match="aiops_driver_version"):
        pair_of_sources(NAMES, None)


def _repository() -> Any:
    path = Path(__file__).parents[2] / "layers/l1_cluster/remote/repository.py"
    specification = importlib.util.spec_from_file_location("repository_server", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    server = _repository().open_server(str(folder), "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _status(address: str, method: str = "GET") -> int:
    request = urllib.request.Request(address, method=method, data=b"" if method == "POST" else None)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_the_server_gives_files_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("no")
    (tmp_path / "bundle/apt").mkdir(parents=True)
    (tmp_path / "bundle/apt/a.deb").write_bytes(b"deb")
    with _served(tmp_path / "bundle") as address:
        with urllib.request.urlopen(f"{address}/apt/a.deb", timeout=5) as answer:
            assert answer.read() == b"deb"
        assert _status(f"{address}/apt/a.deb", "HEAD") == 200
        assert _status(f"{address}/apt/") == 404
        assert _status(f"{address}/") == 404
        assert _status(f"{address}/../secret") == 404
        assert _status(f"{address}/%2e%2e/secret") == 404
        assert _status(f"{address}/apt/a.deb", "POST") == 501
        assert _status(f"{address}/apt/a.deb", "DELETE") == 501

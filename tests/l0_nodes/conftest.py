"""A real sshd on the loopback, shared by the tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.sshd import SSHD, Sshd, running


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """One server for the tests that only read it."""
    if not Path(SSHD).exists():
        pytest.skip("needs openssh-server")
    with running(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    """A server of one's own."""
    if not Path(SSHD).exists():
        pytest.skip("needs openssh-server")
    with running(tmp_path / "sshd") as server:
        yield server

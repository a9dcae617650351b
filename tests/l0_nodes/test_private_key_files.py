"""A private key file that cannot be used is told in words of its own."""

from pathlib import Path

import pytest

from aiops.layers.l0_nodes.ssh.identity import Identities

ARMOUR = "-----{} {} PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("garbage", "it is not a private key"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ me", "it is not a private key"),
        (ARMOUR.format("BEGIN", "RSA") + "MIIgarbage\n" + ARMOUR.format("END", "RSA"), "it is damaged, or of a kind"),
        (ARMOUR.format("BEGIN", "OPENSSH") + "AAAA\n" + ARMOUR.format("END", "OPENSSH"), "it is damaged, or of a kind"),
        ("", "it is not a private key"),
    ],
)
def test_what_is_no_usable_key_is_told_without_the_librarys_words(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "id"
    path.write_text(content)
    told = Identities().private(str(path))
    assert isinstance(told, str)
    assert told.startswith(f"{path}: {reason}")
    assert "cryptography" not in told


def test_no_file_is_no_trouble(tmp_path: Path) -> None:
    assert Identities().private(str(tmp_path / "id")) is None

"""The pure parts of a bundle: targets, control files, versions, lists, licences, names, dummies."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.core.errors import FailedError, InputError
from aiops.layers.l1_cluster.bundle.control import parse_paragraphs, render_paragraph, render_paragraphs
from aiops.layers.l1_cluster.bundle.licence import parse_copyright
from aiops.layers.l1_cluster.bundle.manifest import Artefact, Manifest, content_digest
from aiops.layers.l1_cluster.bundle.names import packages_of_playbooks
from aiops.layers.l1_cluster.bundle.repository import package_paragraph, packages_text, pool_path, release_text
from aiops.layers.l1_cluster.bundle.target import Target, parse_source, parse_targets, sources_text
from aiops.layers.l1_cluster.bundle.version import compare_versions, upstream, version_key
from aiops.layers.l1_cluster.bundle.workspace import parse_addresses, parse_missing


def test_targets_are_named_by_codename_version_or_both() -> None:
    assert parse_targets(["bookworm", "12", "debian12", "noble/arm64", "Ubuntu-22.04"]) == (
        Target("bookworm", "amd64"),
        Target("noble", "arm64"),
        Target("jammy", "amd64"),
    )


@pytest.mark.parametrize("word", ["focal", "bookworm/s390x", "", "/amd64"])
def test_unknown_targets_are_refused_with_those_known(word: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_targets([word])
    assert caught.value.code == "bundle.unknown_target"
    assert "bookworm (debian 12)" in caught.value.hints[0]


def test_sources_of_ubuntu_on_arm_come_from_ports_and_take_more_lines() -> None:
    text = sources_text(Target("noble", "arm64"), ["deb [signed-by=/k.gpg] https://vendor.example/apt ./"])
    assert "http://ports.ubuntu.com/ubuntu-ports noble-security main universe" in text
    assert text.count("signed-by=/usr/share/keyrings/ubuntu-archive-keyring.gpg") == 3
    assert text.endswith("deb [signed-by=/k.gpg] https://vendor.example/apt ./\n")


@pytest.mark.parametrize(
    "line",
    [
        "deb https://apt.example.com/debian bookworm main contrib",
        " deb [arch=amd64 signed-by=/etc/apt/keyrings/maker.asc] https://apt.example.com/debian12/x86_64 / ",
        "deb [trusted=yes] file:/srv/apt ./",
    ],
)
def test_sources_of_ones_own(line: str) -> None:
    assert parse_source(line) == line.strip()


@pytest.mark.parametrize(
    "line",
    [
        *("abc", "", "deb", "deb https://x", "deb https://x bookworm", "deb https://x / main", "rpm https://x / "),
        *("deb [trusted=yes https://x /", "deb https://x /\ndeb https://y /", "deb example.com/debian /"),
    ],
)
def test_what_is_no_source_is_refused_and_named(line: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_source(line)
    assert caught.value.code == "bundle.source"
    assert f"`{line}`" in caught.value.message


def test_a_mirror_replaces_the_main_one_but_not_security() -> None:
    text = sources_text(Target("bookworm", "amd64"), mirror="http://mirror.example/debian/")
    assert "http://mirror.example/debian bookworm main" in text
    assert "http://mirror.example/debian bookworm-updates main" in text
    assert "http://deb.debian.org/debian-security bookworm-security main" in text


def test_paragraphs_keep_their_continuations() -> None:
    text = "Package: a\nDescription: one\n two\n .\n three\n\nPackage: b\nConffiles:\n /etc/b 123\n"
    first, second = parse_paragraphs(text)
    assert first["Description"] == "one\n two\n .\n three"
    assert render_paragraph(first) + "\n" + render_paragraph(second) == text


@pytest.mark.parametrize("text", [" a continuation alone\n", "no colon here\n"])
def test_garbled_paragraphs_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="field"):
        parse_paragraphs(text)


_FIELD = st.from_regex(r"[A-Z][a-z]{0,8}(-[A-Z][a-z]{1,6})?", fullmatch=True)
_VALUE = st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S")), min_size=1, max_size=30)


@given(st.lists(st.dictionaries(_FIELD, _VALUE, min_size=1, max_size=5), max_size=5))
def test_what_is_rendered_is_read_back(paragraphs: list[dict[str, str]]) -> None:
    assert list(parse_paragraphs(render_paragraphs(paragraphs))) == paragraphs


def test_versions_are_ordered_as_dpkg_orders_them() -> None:
    ordered = [
        "1.0~rc1-1", "1.0-1", "1.0-1+b1", "1.0-1.1", "1.0a-1", "1.0+git-1", "1.2-1", "1.10-1",
        "22.05.8-4+deb12u3", "580.82.07-0ubuntu1", "580.95.05-0ubuntu1", "580.95.05-0ubuntu1.1", "1:0.1-1",
    ]  # fmt: skip
    assert sorted(sorted(ordered), key=version_key) == ordered
    assert compare_versions("1.0", "1.0-0") == 0
    assert compare_versions("2.036", "2.36") == 0


def test_the_makers_version_is_without_epoch_and_revision() -> None:
    assert upstream("1:580.95.05-0ubuntu1") == "580.95.05"
    assert upstream("1.18.0-rc.1-1") == "1.18.0-rc.1"
    assert upstream("2025b") == "2025b"


def test_what_apt_would_fetch_is_read_with_epochs() -> None:
    text = (
        "'http://m/pool/c/chrony_4.3-2%2bdeb12u3_amd64.deb' chrony_4.3-2+deb12u3_amd64.deb 289000 MD5Sum:0f\n"
        "'http://m/pool/i/iputils_1_amd64.deb' iputils-ping_3%3a20221126-1_amd64.deb 47200 SHA256:1e\n"
        "W: something else\n"
    )
    assert parse_addresses(text) == {
        ("chrony", "4.3-2+deb12u3", "amd64"): (
            "http://m/pool/c/chrony_4.3-2%2bdeb12u3_amd64.deb",
            "chrony_4.3-2+deb12u3_amd64.deb",
            289000,
        ),
        ("iputils-ping", "3:20221126-1", "amd64"): (
            "http://m/pool/i/iputils_1_amd64.deb",
            "iputils-ping_3%3a20221126-1_amd64.deb",
            47200,
        ),
    }


def test_missing_packages_are_named_from_apts_words() -> None:
    text = (
        "E: Unable to locate package slurm-next\n"
        "E: Package 'nvidia-utils-580' has no installation candidate\n"
        "E: Version '9.9' for 'chrony' was not found\n"
        "E: Couldn't find any package by glob 'slurm-next'\n"
    )
    assert parse_missing(text) == {"slurm-next", "nvidia-utils-580", "chrony"}


def test_a_release_lists_sums_of_the_lists() -> None:
    stanza = package_paragraph(
        {"Package": "jq", "Version": "1.6-2", "Architecture": "amd64", "Filename": "pool/far/away.deb", "MD5sum": "0"},
        path="pool/bookworm/jq_1.6-2_amd64.deb",
        size=12,
        sha256="ab",
    )
    text = packages_text([stanza])
    assert b"Filename: pool/bookworm/jq_1.6-2_amd64.deb\nSize: 12\nSHA256: ab\n" in text
    assert b"MD5sum" not in text
    at = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)
    release = release_text("bookworm", ["amd64"], {"main/binary-amd64/Packages": text}, at).decode()
    assert "Date: Sat, 21 Nov 2026 20:00:00 UTC\n" in release
    assert f"\n {hashlib.sha256(text).hexdigest()} {len(text)} main/binary-amd64/Packages\n" in release


def test_pool_files_of_two_releases_never_meet() -> None:
    assert pool_path("jammy", "a_1%3a2_amd64.deb") == "pool/jammy/a_1-2_amd64.deb"
    assert pool_path("jammy", "a_1_amd64.deb") != pool_path("bookworm", "a_1_amd64.deb")


@pytest.mark.parametrize(
    ("text", "licence"),
    [
        ("Format: https://x/1.0/\n\nFiles: *\nLicense: GPL-2+\n\nFiles: b\nLicense: Expat\n ...", "Expat and GPL-2+"),
        ("This package is on /usr/share/common-licenses/GPL-3.", "GPL-3"),
        ("Permission is hereby granted, free of charge, to any person", "MIT"),
        ("see LGPL: /usr/share/common-licenses/LGPL-2.1", "LGPL-2.1"),
        ("All rights reserved.", None),
        ("", None),
    ],
)
def test_licences_are_read_or_unknown(text: str, licence: str | None) -> None:
    assert parse_copyright(text) == licence


def _artefact(path: str, sha256: str = "aa", kind: str = "deb") -> Artefact:
    return Artefact(kind, path, sha256, 1, "jq", "1", "amd64", "bookworm", None)  # type: ignore[arg-type]


def test_a_manifest_is_read_as_it_was_written() -> None:
    manifest = Manifest("2026-11-21T20:00:00Z", "0.1.0", ("bookworm/amd64",), "F" * 40, "c0", (_artefact("apt/a.deb"),))
    assert Manifest.from_json(manifest.to_json(), "m") == manifest


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"format": 2}', b'{"format": 1}', b"null", b'{"format": "1"}'])
def test_what_is_no_manifest_is_refused(content: bytes) -> None:
    with pytest.raises(FailedError) as caught:
        Manifest.from_json(content, "m.json")
    assert caught.value.code == "bundle.manifest"


def test_an_unknown_field_of_an_artefact_is_refused() -> None:
    document = {
        "format": 1,
        "created": "",
        "aiops": "",
        "targets": [],
        "key": "",
        "content": "",
        "artefacts": [{"x": 1}],
    }
    with pytest.raises(FailedError, match="not a bundle's manifest"):
        Manifest.from_json(json.dumps(document).encode(), "m.json")


def test_the_content_digest_sees_packages_not_signatures() -> None:
    debs = [_artefact("apt/a.deb"), _artefact("apt/b.deb")]
    signed = [*debs, _artefact("apt/dists/bookworm/InRelease", "11", "index")]
    assert content_digest(debs) == content_digest(reversed(signed))
    assert content_digest(debs) != content_digest([_artefact("apt/a.deb", "bb"), debs[1]])


def test_names_come_from_phases_and_declarations(tmp_path: Path) -> None:
    (tmp_path / "time").mkdir()
    (tmp_path / "time/phase.yml").write_text(
        "phase: time\nresources:\n"
        "  - package: chrony\n"
        "  - package: ntp\n    absent: true\n"
        '  - package: "{{ item }}"\n    each: (["jq", "less"] + node.variables.aiops_packages) | unique\n'
        '  - package: "driver-{{ node.variables.x }}"\n'
        "  - file: /etc/x\n    content: ''\n"
    )
    (tmp_path / "bundle.yml").write_text(
        "always: [sudo]\nphases: {gpu: [toolkit]}\nvendor: [toolkit]\n"
        "releases: {jammy: {without: [less], with: [more]}}\n"
    )
    names = {one.name: one.by for one in packages_of_playbooks(Target("bookworm", "amd64"), playbooks=tmp_path)}
    assert names == {"chrony": "phase time", "jq": "phase time", "less": "phase time", "sudo": "every node"}
    jammy = {one.name for one in packages_of_playbooks(Target("jammy", "amd64"), vendor=True, playbooks=tmp_path)}
    assert jammy == {"chrony", "jq", "more", "sudo", "toolkit"}


def test_the_shipped_phases_name_what_a_cluster_is_made_of() -> None:
    names = {one.name for one in packages_of_playbooks(Target("bookworm", "amd64"))}
    assert {"chrony", "munge", "slurmctld", "slurmd", "prometheus", "python3-apt"} <= names
    assert not names & {"aiops", "datacenter-gpu-manager-exporter"}


def test_a_vendors_driver_is_wanted_at_one_exact_version_by_distribution() -> None:
    ubuntu = {str(one) for one in packages_of_playbooks(Target("noble", "amd64"), vendor=True, driver="580.95.05")}
    assert {"nvidia-utils-580-server=580.95.05-*", "nvidia-fabricmanager-580=580.95.05-*"} <= ubuntu
    debian = {str(one) for one in packages_of_playbooks(Target("bookworm", "amd64"), vendor=True, driver="580.95.05")}
    assert {"nvidia-driver-cuda=580.95.05-*", "nvidia-fabricmanager=580.95.05-*", "nvidia-container-toolkit"} <= debian

"""A real, small bundle: built with the distribution's packages, verified, damaged in every way, carried."""

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from aiops.layers.core.clock import SystemClock
from aiops.layers.core.errors import ConflictError, FailedError, InputError, NotFoundError, UnreachableError
from aiops.layers.core.event import Event, EventStream
from aiops.layers.core.home import ensure_folder, home_path
from aiops.layers.l1_cluster.bundle.build import Built, Request, build_bundle
from aiops.layers.l1_cluster.bundle.bundle import Bundle
from aiops.layers.l1_cluster.bundle.control import parse_paragraphs
from aiops.layers.l1_cluster.bundle.place import alone, workshop
from aiops.layers.l1_cluster.bundle.signing import SigningKey, trust, trusted_keys
from aiops.layers.l1_cluster.bundle.target import Target
from aiops.layers.l1_cluster.bundle.workspace import Wanted
from aiops.plugins.nvidia.packages import simulated_driver

TARGET = Target("bookworm", "amd64")
SMALL = Request({TARGET: (Wanted("jq", "a test"),)}, simulated=simulated_driver("580.95.05"))

pytestmark = pytest.mark.skipif(shutil.which("apt-get") is None, reason="a bundle is built with apt")


@dataclass
class Made:
    """A finished build and what it told."""

    home: Path
    output: Path
    built: Built
    events: list[Event] = field(default_factory=list)


def _build(home: Path, output: Path, request: Request = SMALL) -> Made:
    events: list[Event] = []
    stream = EventStream("r-test", SystemClock())
    stream.subscribe(events.append)
    try:
        return Made(home, output, build_bundle(home, output, request, stream, SystemClock()), events)
    except UnreachableError as error:
        pytest.skip(f"no way to the packages: {error}")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """One bundle for all tests of this module; what it fetched is kept for the next run."""
    home = ensure_folder(home_path(os.environ) / "cache" / "tests" / "bundle")
    return _build(home, tmp_path_factory.mktemp("bundle") / "bundle")


@pytest.fixture
def copy(made: Made, tmp_path: Path) -> Path:
    """A copy of the bundle that a test may damage."""
    path = tmp_path / "bundle"
    shutil.copytree(made.output, path)
    return path


def test_it_holds_the_closure_for_a_host_with_nothing(made: Made) -> None:
    names = {one.name for one in made.built.bundle.artefacts("deb")}
    assert {"jq", "libjq1", "libonig5", "libc6", "aiops", "nvidia-driver-580"} <= names
    licences = {one.name: one.licence for one in made.built.bundle.artefacts("deb")}
    assert licences["jq"] is not None
    wheels = {one.name.lower() for one in made.built.bundle.artefacts("wheel")}
    assert {"aiops", "paramiko", "pydantic", "ansible-core"} <= wheels
    kinds = [event.kind for event in made.events]
    assert kinds[0] == "lists_updated"
    assert kinds[-1] == "bundle_built"


def test_apt_takes_it_by_its_signature_and_finds_every_package(made: Made, tmp_path: Path) -> None:
    (tmp_path / "status").touch()
    (tmp_path / "lists").mkdir()
    (tmp_path / "sources.list").write_text(
        f"deb [signed-by={made.output}/key.asc] copy:{made.output}/apt bookworm main\n"
    )
    (tmp_path / "apt.conf").write_text(
        f'Dir::Etc::sourcelist "{tmp_path}/sources.list";\nDir::Etc::sourceparts "/dev/null";\n'
        f'Dir::Etc::parts "/dev/null";\nDir::State::lists "{tmp_path}/lists";\n'
        f'Dir::State::status "{tmp_path}/status";\n'
        f'Dir::State "{tmp_path}";\nDir::Cache "{tmp_path}";\nAPT::Update::Error-Mode "any";\nAPT::Sandbox::User "";\n'
        'APT::Architecture "amd64";\nAPT::Architectures { "amd64"; };\nAPT::Install-Recommends "false";\n'
    )
    environment = {**os.environ, "APT_CONFIG": str(tmp_path / "apt.conf"), "LC_ALL": "C"}
    update = subprocess.run(["apt-get", "update"], env=environment, capture_output=True, text=True, check=False)
    assert update.returncode == 0, update.stderr
    wanted = ["jq", "aiops", "nvidia-driver-580=580.95.05-0ubuntu1", "nvidia-fabricmanager-580"]
    plan = subprocess.run(
        ["apt-get", "install", "-y", "--simulate", *wanted],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    # aiops itself depends on python3 and openssh-client, which this small bundle was not asked to hold.
    assert "aiops : Depends: python3" in plan.stdout
    plan = subprocess.run(
        ["apt-get", "install", "-y", "--simulate", *(one for one in wanted if one != "aiops")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert plan.returncode == 0, plan.stderr
    assert "Inst nvidia-utils-580 (580.95.05-0ubuntu1" in plan.stdout


def test_a_second_build_fetches_nothing_and_leaves_the_bundle_alone(made: Made) -> None:
    before = (made.output / "manifest.json").stat()
    again = _build(made.home, made.output)
    assert again.built.unchanged
    assert again.built.fetched == 0
    assert (made.output / "manifest.json").stat().st_ino == before.st_ino
    assert not list(made.output.parent.glob(".bundle.build-*"))


def test_it_is_whole(made: Made) -> None:
    bundle = Bundle.open(made.output, trusted_keys(made.home))
    assert bundle.verify() == ()


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "pattern",
    [
        "apt/pool/bookworm/jq_*.deb",
        "apt/pool/bookworm/aiops_*.deb",
        "apt/pool/bookworm/nvidia-utils-580_*.deb",
        "wheels/*/paramiko-*.whl",
        "apt/dists/bookworm/main/binary-amd64/Packages",
        "apt/dists/bookworm/main/binary-amd64/Packages.gz",
        "apt/dists/bookworm/Release",
        "apt/dists/bookworm/InRelease",
        "key.asc",
    ],
)
def test_a_flipped_byte_is_named(made: Made, copy: Path, pattern: str) -> None:
    (path,) = copy.glob(pattern)
    _flip(path)
    bundle = Bundle.open(copy, trusted_keys(made.home))
    assert str(path.relative_to(copy)) in {problem.file for problem in bundle.verify()}


@pytest.mark.parametrize("name", ["manifest.json", "manifest.json.asc"])
def test_a_flipped_byte_in_the_manifest_or_its_signature_is_refused_at_once(made: Made, copy: Path, name: str) -> None:
    _flip(copy / name)
    with pytest.raises(FailedError) as caught:
        Bundle.open(copy, trusted_keys(made.home))
    assert caught.value.code == "bundle.damaged"
    assert caught.value.problems[0].file == name


def test_what_is_missing_short_or_not_listed_is_named(made: Made, copy: Path) -> None:
    deb = next(copy.glob("apt/pool/bookworm/libonig5_*.deb"))
    deb.unlink()
    release = copy / "apt/dists/bookworm/Release"
    release.write_bytes(release.read_bytes()[:-1])
    with pytest.raises(FailedError) as caught:
        Bundle.open(copy, trusted_keys(made.home))
    said = {problem.file: problem.message for problem in caught.value.problems}
    assert said[str(deb.relative_to(copy))] == "missing"
    assert "bytes instead of" in said["apt/dists/bookworm/Release"]
    (copy / "apt/pool/bookworm/extra.deb").write_bytes(b"!<arch>\n")
    problems = {problem.file for problem in Bundle.read(copy, trusted_keys(made.home)).verify()}
    assert "apt/pool/bookworm/extra.deb" in problems


def test_a_bundle_of_another_controller_is_taken_only_when_its_key_was_accepted(made: Made, tmp_path: Path) -> None:
    other = ensure_folder(tmp_path / "other")
    SigningKey.of(other)
    with pytest.raises(FailedError) as caught:
        Bundle.open(made.output, trusted_keys(other))
    assert caught.value.code == "bundle.untrusted"
    assert made.built.bundle.key.fingerprint in caught.value.message
    trust(other, made.built.bundle.key)
    assert Bundle.open(made.output, trusted_keys(other)).verify() == ()


def test_the_private_key_is_the_owners_only(made: Made) -> None:
    folder = made.home / "keys" / "bundle"
    assert oct(folder.stat().st_mode & 0o777) == "0o700"
    assert oct((folder / "private.asc").stat().st_mode & 0o777) == "0o600"
    assert not list(Path("/dev/shm").glob("aiops-gpg-*"))


def test_a_missing_package_fails_the_build_and_is_named(made: Made, tmp_path: Path) -> None:
    request = Request({TARGET: (Wanted("jq", "a test"), Wanted("no-such-thing", "phase gpu"))}, application=False)
    with pytest.raises(FailedError) as caught:
        _build(made.home, tmp_path / "bundle", request)
    assert caught.value.code == "bundle.missing"
    assert [str(one) for one in caught.value.problems] == [
        "package `no-such-thing`: not in the sources of bookworm/amd64 (wanted by phase gpu)"
    ]
    assert not (tmp_path / "bundle").exists()


def test_no_way_to_the_mirror_is_told_with_what_to_do(tmp_path: Path) -> None:
    request = Request({TARGET: (Wanted("jq", "a test"),)}, mirror="http://127.0.0.1:9/debian", application=False)
    with pytest.raises(UnreachableError) as caught:
        build_bundle(tmp_path, tmp_path / "bundle", request, EventStream("r", SystemClock()), SystemClock())
    assert caught.value.code == "bundle.no_network"
    assert any("127.0.0.1" in str(problem) for problem in caught.value.problems)
    assert any("--mirror" in hint for hint in caught.value.hints)


def test_a_full_disk_is_noticed_before_anything_is_fetched(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=100 * 2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(FailedError) as caught:
        _build(made.home, tmp_path / "bundle")
    assert caught.value.code == "bundle.disk"
    assert "100 MiB free" in caught.value.message


def test_another_folder_is_never_overwritten(made: Made, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    with pytest.raises(InputError, match="is not a bundle"):
        _build(made.home, tmp_path / "photos")


def test_two_builds_of_one_home_do_not_meet(made: Made, tmp_path: Path) -> None:
    with alone(ensure_folder(made.home / "cache" / "bundle")), pytest.raises(ConflictError):
        _build(made.home, tmp_path / "bundle")


def test_no_bundle_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no bundle"):
        Bundle.open(tmp_path, ())


def test_a_spoilt_cache_never_reaches_a_bundle(made: Made, tmp_path: Path) -> None:
    cached = next((made.home / "cache/bundle/bookworm-amd64/archives").glob("jq_*.deb"))
    _flip(cached)
    again = _build(made.home, tmp_path / "bundle", Request(SMALL.wanted, application=False))
    assert again.built.fetched == 1
    assert again.built.bundle.verify() == ()


def test_a_build_killed_between_two_renames_loses_no_bundle(made: Made, copy: Path) -> None:
    copy.rename(copy.parent / f".{copy.name}.build-x0.old")
    (copy.parent / f".{copy.name}.build-x1").mkdir()
    with workshop(copy):
        pass
    assert Bundle.open(copy, trusted_keys(made.home)).verify() == ()
    assert [one.name for one in copy.parent.iterdir() if "build-" in one.name] == []


def test_the_package_of_aiops_runs_from_where_it_is_unpacked(made: Made, tmp_path: Path) -> None:
    (deb,) = made.output.glob("apt/pool/bookworm/aiops_*.deb")
    fields = subprocess.run(["dpkg-deb", "-f", str(deb)], capture_output=True, text=True, check=True).stdout
    assert "python3 (>= 3.11~), python3 (<< 3.12~)" in parse_paragraphs(fields)[0]["Depends"]
    subprocess.run(["dpkg-deb", "-x", str(deb), str(tmp_path)], check=True)
    assert (tmp_path / "usr/bin/aiops").readlink() == Path("/opt/aiops/bin/aiops")
    packages = next((tmp_path / "opt/aiops/lib").glob("python3.*/site-packages"))
    assert (packages / "aiops/playbooks/time/phase.yml").is_file()
    assert (tmp_path / "opt/aiops/bin/ansible-playbook").read_text().startswith("#!/opt/aiops/bin/python3\n")

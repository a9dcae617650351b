"""Environments are built once, whole or not at all, and taken likewise."""

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.l1_cluster.environment.wheels import a_wheel

from aiops.layers.l1_cluster.bundle.environment import EnvironmentPlan, WheelFile, bundle_document, plans_of
from aiops.layers.l1_cluster.remote import environment_build, environment_files, environment_take

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
HAS_PYTHON = Path(f"/usr/bin/python{PYTHON}").exists()


class Site:
    """A head and nodes, as folders."""

    def __init__(self, root: Path) -> None:
        self.bundle, self.archives, self.env = root / "bundle", root / "archives", root / "node/env"
        self.root = root
        (self.bundle / "wheels").mkdir(parents=True)
        wheel, digest = a_wheel(self.bundle / "wheels")
        files = (WheelFile(f"wheels/{wheel.name}", digest),)
        self.plan = EnvironmentPlan("trainer", "bookworm", "amd64", PYTHON, ("tiny",), files)

    @property
    def spec(self) -> dict[str, Any]:
        return {
            "name": self.plan.name,
            "label": self.plan.label,
            "path": str(self.env / self.plan.label),
            "python": self.plan.python,
            "manifest": self.plan.manifest,
            "wheels": [[one.path, one.sha256] for one in self.plan.wheels],
        }

    @property
    def place(self) -> Path:
        return self.env / self.plan.label

    def build(self) -> dict[str, Any]:
        environment_build.build([self.spec], str(self.bundle), str(self.archives))
        known: dict[str, Any] = environment_build.archive_of(str(self.archives), self.plan.label)
        return known

    def take(self, **more: Any) -> None:
        source = more.pop("source", "http://127.0.0.1:9")
        environment_take.take([self.spec], source, str(more.pop("archives", self.archives)), **more)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    found = Site(tmp_path)
    monkeypatch.setattr(environment_files, "MARGIN", 0)
    monkeypatch.setenv(environment_take.ARCHIVES, json.dumps({found.plan.label: found.build()}))
    return found


def test_what_is_taken_is_whole_read_only_and_works(site: Site) -> None:
    site.take()
    assert (site.place / "manifest.json").read_text() == site.plan.manifest
    writable = [
        path for path in (site.place, *site.place.rglob("*")) if not path.is_symlink() and path.stat().st_mode & 0o222
    ]
    assert writable == []
    assert str((site.env / "trainer").readlink()) == site.plan.label
    assert sorted(path.name for path in site.env.iterdir()) == ["trainer", site.plan.label]


@pytest.mark.skipif(not HAS_PYTHON, reason="the Python of the tests is not /usr/bin's")
def test_its_python_imports_and_its_program_runs(site: Site) -> None:
    site.take()
    done = subprocess.run([site.place / "bin/tiny"], capture_output=True, text=True, check=True)
    assert done.stdout == "tiny 1.0\n"
    words = [str(site.place / "bin/python"), "-I", "-c", "import sys, tiny; print(sys.prefix, tiny.__file__)"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == str(site.place)


def test_equal_wheels_give_equal_files_whenever_they_are_built(site: Site) -> None:
    first = environment_build.archive_of(str(site.archives), site.plan.label)
    shutil.rmtree(site.archives)
    assert site.build() == first


def test_what_is_built_already_is_left_alone(site: Site) -> None:
    (site.bundle / f"wheels/{site.plan.wheels[0].file}").unlink()  # nothing could be built now
    assert site.build() is not None


def test_a_file_that_was_cut_off_is_built_anew(site: Site) -> None:
    archive = site.archives / f"{site.plan.label}.tar.gz"
    whole = archive.read_bytes()
    archive.write_bytes(whole[:-1])
    site.build()
    assert archive.read_bytes() == whole


def test_a_file_in_which_a_bit_has_turned_is_built_anew(site: Site) -> None:
    archive = site.archives / f"{site.plan.label}.tar.gz"
    whole = archive.read_bytes()
    archive.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    site.build()
    assert archive.read_bytes() == whole


def test_what_a_killed_build_has_left_is_removed(site: Site) -> None:
    (site.archives / f"{site.plan.label}.json").unlink()
    left = site.archives / f".building-{site.plan.label}-{os.uname().nodename}-{1 << 23}-1"
    (left / "lib").mkdir(parents=True)
    (left / "lib/half.py").write_text("")
    (left / "lib").chmod(0o555)
    site.build()
    assert sorted(path.name for path in site.archives.iterdir()) == [
        f"{site.plan.label}.json",
        f"{site.plan.label}.tar.gz",
    ]


def test_two_that_build_at_once_break_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """One has lost the lock, and wakes up: another has built all of it meanwhile."""
    first = site.build()
    shutil.rmtree(site.archives)
    program = (
        "import json, os, sys\nfrom aiops.layers.l1_cluster.remote import environment_build, environment_files\n"
        "environment_files.MARGIN = 0\nenvironment_build.pack(json.loads(sys.argv[1]), *sys.argv[2:])"
    )
    words = [sys.executable, "-c", program, json.dumps(site.spec), str(site.bundle), str(site.archives)]
    unpack, others = environment_build.unpack_wheel, []

    def slept(*given: str) -> None:
        unpack(*given)
        others.append(subprocess.run(words, check=True))

    monkeypatch.setattr(environment_build, "unpack_wheel", slept)
    assert site.build() == first
    assert len(others) == 1
    assert sorted(path.name for path in site.archives.iterdir()) == [
        f"{site.plan.label}.json",
        f"{site.plan.label}.tar.gz",
    ]


def test_a_half_of_an_environment_is_replaced(site: Site) -> None:
    site.place.mkdir(parents=True)
    (site.place / "lib").mkdir()
    (site.place / "lib/half").write_text("")
    site.take()
    assert not (site.place / "lib/half").exists()
    assert (site.place / "manifest.json").exists()


def test_another_digest_in_its_place_is_replaced(site: Site) -> None:
    site.take()
    site.place.chmod(0o755)
    (site.place / "manifest.json").chmod(0o644)
    (site.place / "manifest.json").write_text("{}")
    site.take()
    assert (site.place / "manifest.json").read_text() == site.plan.manifest


def test_taking_twice_changes_nothing(site: Site) -> None:
    site.take()
    before = site.place.stat().st_ino
    site.take()
    assert site.place.stat().st_ino == before


def test_what_was_changed_on_the_way_is_refused_and_leaves_nothing(site: Site) -> None:
    archive = site.archives / f"{site.plan.label}.tar.gz"
    archive.write_bytes(archive.read_bytes()[:-1] + b"x")
    with pytest.raises(SystemExit, match="changed on the way"):
        site.take()
    assert list(site.env.iterdir()) == []


def test_a_head_that_does_not_answer_is_told(site: Site, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="cannot be fetched"):
        site.take(archives=tmp_path / "not-the-head")
    assert list(site.env.iterdir()) == []


def test_a_wheel_that_is_not_the_locked_one_is_refused(site: Site) -> None:
    shutil.rmtree(site.archives)
    wheel = site.bundle / site.plan.wheels[0].path
    wheel.write_bytes(wheel.read_bytes() + b"x")
    with pytest.raises(SystemExit, match="is not the wheel that was locked"):
        site.build()
    assert list(site.archives.iterdir()) == []


def test_a_wheel_cannot_leave_its_folder(site: Site, tmp_path: Path) -> None:
    shutil.rmtree(site.archives)
    path, digest = a_wheel(site.bundle / "wheels", "evil", more={"../../escaped": b"x"})
    plan = EnvironmentPlan(
        "trainer", "bookworm", "amd64", PYTHON, ("evil",), (WheelFile(f"wheels/{path.name}", digest),)
    )
    site.plan = plan
    with pytest.raises(SystemExit, match="would leave its folder"):
        site.build()
    assert not list(tmp_path.rglob("escaped"))


def test_data_of_wheels_goes_where_it_says(site: Site) -> None:
    shutil.rmtree(site.archives)
    path, digest = a_wheel(
        site.bundle / "wheels",
        "data",
        more={
            "data-1.0.data/scripts/run": b"#!python\nprint(1)\n",
            "data-1.0.data/purelib/extra.py": b"X = 1\n",
            "data-1.0.data/data/share/doc": b"doc",
            "data-1.0.data/headers/data.h": b"",
        },
    )
    wheels = (WheelFile(f"wheels/{path.name}", digest),)
    site.plan = EnvironmentPlan("trainer", "bookworm", "amd64", PYTHON, ("data",), wheels)
    os.environ[environment_take.ARCHIVES] = json.dumps({site.plan.label: site.build()})
    site.take()
    assert (site.place / "bin/run").read_text().startswith(f"#!{site.place}/bin/python\n")
    assert stat.S_IMODE((site.place / "bin/run").stat().st_mode) == 0o555
    assert (site.place / f"lib/python{PYTHON}/site-packages/extra.py").exists()
    assert (site.place / "share/doc").read_bytes() == b"doc"
    assert not list(site.place.rglob("data.h"))


def test_a_shared_folder_has_it_once_and_nodes_have_a_link(site: Site) -> None:
    shared = site.root / "shared/env"
    site.take(shared=str(shared))
    assert str(site.place.readlink()) == str(shared / site.plan.label)
    assert (site.place / "manifest.json").read_text() == site.plan.manifest
    site.env = site.root / "other/env"
    before = (shared / site.plan.label).stat().st_ino
    os.environ[environment_take.ARCHIVES] = "{}"  # nothing is brought twice
    site.take(shared=str(shared))
    assert (shared / site.plan.label).stat().st_ino == before


def test_a_folder_that_a_person_has_put_at_its_name_stays_and_is_told(site: Site) -> None:
    """Jobs that name it would be given that one, whatever else is laid."""
    (site.env / "trainer").mkdir(parents=True)
    with pytest.raises(SystemExit, match=r"env/trainer is not ours.* move it away"):
        site.take()
    assert [path.name for path in site.env.iterdir()] == ["trainer"]


def test_its_name_shows_the_one_that_is_wanted_also_where_that_is_the_older(site: Site) -> None:
    site.take()
    (site.env / "trainer").unlink()
    (site.env / "trainer").symlink_to("trainer-ffffffffffff")
    before = site.place.stat().st_ino
    site.take()
    assert str((site.env / "trainer").readlink()) == site.plan.label
    assert site.place.stat().st_ino == before


def test_what_others_have_left_of_it_is_removed(site: Site) -> None:
    left = site.env / f".taking-{site.plan.label}-{os.uname().nodename}-{1 << 23}-1"
    left.mkdir(parents=True)
    (left / "half").write_text("")
    left.chmod(0o555)
    site.take()
    assert sorted(path.name for path in site.env.iterdir()) == ["trainer", site.plan.label]


def test_what_another_node_may_be_at_work_in_stays(site: Site) -> None:
    work = site.env / f".taking-{site.plan.label}-gpu07-4711-1"
    (work / "new").mkdir(parents=True)
    site.take()
    assert (work / "new").is_dir()


def test_one_that_is_whole_is_never_renamed_away(site: Site) -> None:
    """Whoever has lost the lock and wakes up comes too late, and jobs run in it already."""
    site.take()
    before = site.place.stat().st_ino
    known = environment_build.archive_of(str(site.archives), site.plan.label)
    environment_take.bring(site.spec, known, str(site.place), "", str(site.archives))
    assert site.place.stat().st_ino == before
    assert sorted(path.name for path in site.env.iterdir()) == ["trainer", site.plan.label]


def test_too_little_room_is_told_before_anything_is_written(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment_files, "MARGIN", 1 << 60)
    with pytest.raises(SystemExit, match="too little space"):
        site.take()
    assert list(site.env.iterdir()) == []


def test_the_digest_is_of_all_that_makes_it() -> None:
    wheel = WheelFile("wheels/pool/aa/a-1-py3-none-any.whl", "a" * 64)
    plain = EnvironmentPlan("trainer", "bookworm", "amd64", "3.11", ("a",), (wheel,))
    others = [
        EnvironmentPlan("trainer", "trixie", "amd64", "3.11", ("a",), (wheel,)),
        EnvironmentPlan("trainer", "bookworm", "arm64", "3.11", ("a",), (wheel,)),
        EnvironmentPlan("trainer", "bookworm", "amd64", "3.13", ("a",), (wheel,)),
        EnvironmentPlan("trainer", "bookworm", "amd64", "3.11", ("a",), (WheelFile(wheel.path, "b" * 64),)),
    ]
    assert len({plain.digest, *(one.digest for one in others)}) == 5
    moved = EnvironmentPlan("trainer", "bookworm", "amd64", "3.11", ("a",), (WheelFile("x/" + wheel.file, "a" * 64),))
    assert moved.digest == plain.digest
    assert json.loads(plain.manifest)["digest"] == plain.digest
    assert plain.label == f"trainer-{plain.digest[:12]}"


def test_a_bundles_document_is_read_as_it_was_written() -> None:
    wheel = WheelFile("wheels/pool/aa/a-1-py3-none-any.whl", "a" * 64)
    content = bundle_document("trainer", ("a",), {"bookworm/amd64": ("3.11", (wheel,))})
    assert plans_of(content, "x") == {
        "bookworm/amd64": EnvironmentPlan("trainer", "bookworm", "amd64", "3.11", ("a",), (wheel,))
    }

"""What puts files in place on a node: each whole or not at all, and which could not be."""

import ast
import base64
import grp
import os
import pwd
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.l1_cluster.change import difference
from aiops.layers.l1_cluster.observation import Observation
from aiops.layers.l1_cluster.remote import files
from aiops.layers.l1_cluster.resource import File
from aiops.layers.l1_cluster.work import work_of

USER = pwd.getpwuid(os.getuid()).pw_name
GROUP = grp.getgrgid(os.getgid()).gr_name


def entry(path: Path, content: bytes = b"x", **changes: Any) -> dict[str, Any]:
    return {
        "path": str(path),
        "absent": False,
        "folder": False,
        "mode": "0640",
        "owner": USER,
        "group": GROUP,
        "content": base64.b64encode(content).decode(),
        "validate": "",
        "secret": False,
        "restarts": [],
        **changes,
    }


def put(*entries: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        files.main(files.pack(list(entries)), str(Path(entries[0]["path"]).parent / "restart"))
    printed = capsys.readouterr()
    assert printed.err == ""
    return int(ended.value.code or 0), printed.out


def test_a_file_has_its_content_and_mode_and_nothing_is_left_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a b"
    path.write_text("older and longer")
    assert put(entry(path, b"new\0"), capsys=capsys) == (0, "")
    assert path.read_bytes() == b"new\0"
    assert path.stat().st_mode & 0o7777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_folders_with_parents_links_replaced_and_absences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "old" / "in").mkdir(parents=True)
    (tmp_path / "target").write_text("kept")
    (tmp_path / "link").symlink_to("target")
    entries = [
        entry(tmp_path / "old", absent=True),
        entry(tmp_path / "never", absent=True),
        entry(tmp_path / "a" / "b", folder=True, mode="0700"),
        entry(tmp_path / "a" / "b" / "file"),
        entry(tmp_path / "link", b"a file now"),
    ]
    assert put(*entries, capsys=capsys) == (0, "")
    assert not (tmp_path / "old").exists()
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "target").read_text() == "kept"
    assert (tmp_path / "link").read_bytes() == b"a file now"
    assert not (tmp_path / "link").is_symlink()


def test_one_failure_is_told_and_stops_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    entries = [
        entry(tmp_path / "missing" / "x"),
        entry(tmp_path / "folder"),
        entry(tmp_path / "file", folder=True),
        entry(tmp_path / "who", owner="nobody-of-that-name"),
        entry(tmp_path / "good"),
    ]
    code, said = put(*entries, capsys=capsys)
    assert code == 1
    assert said.splitlines() == [
        f"{tmp_path}/missing/x: No such file or directory",
        f"{tmp_path}/folder: there is a folder",
        f"{tmp_path}/file: there is something that is not a folder",
        f"{tmp_path}/who: getpwnam(): name not found: 'nobody-of-that-name'",
    ]
    assert (tmp_path / "good").exists()
    assert (tmp_path / "folder").is_dir()


def test_a_file_that_its_validation_refuses_is_not_put(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "sudoers"
    path.write_text("good")
    code, said = put(
        entry(path, b"bad", validate="sh -c 'grep -q good \"$0\" || { echo line 1; exit 3; }' %s"), capsys=capsys
    )
    assert (code, said) == (1, f"{path}: `sh` refuses it: line 1\n")
    assert path.read_text() == "good"
    assert list(tmp_path.iterdir()) == [path]
    assert put(entry(path, b"also good", validate="grep -q good %s"), capsys=capsys)[0] == 0
    assert path.read_text() == "also good"


def test_what_went_wrong_is_told_without_content(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    canary = b"canary-of-a-key"
    quoting = "sh -c 'cat \"$0\"; exit 1' %s"
    entries = [
        entry(tmp_path / "unbalanced", canary, validate="check 'it %s"),
        entry(tmp_path / "secret", canary, validate=quoting, secret=True),
        entry(tmp_path / "odd", canary, mode="rw"),
        entry(tmp_path / "nul\0", canary),
    ]
    code, said = put(*entries, capsys=capsys)
    assert code == 1
    assert said.splitlines() == [
        f"{tmp_path}/unbalanced: its validation is no command: No closing quotation",
        f"{tmp_path}/secret: `sh` refuses it: status 1",
        f"{tmp_path}/odd: ValueError",
        f"{tmp_path}/nul\0: ValueError",
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_restart_is_marked_before_anything_changes_and_only_then(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = entry(tmp_path / "x", validate="false %s", restarts=["x.service"])
    assert put(refused, capsys=capsys)[0] == 1
    assert not (tmp_path / "restart").exists()

    def die(*paths: str) -> None:
        raise KeyboardInterrupt

    (tmp_path / "gone").touch()
    with monkeypatch.context() as patch:
        for name in ("rename", "unlink", "makedirs"):
            patch.setattr(os, name, die)
        (tmp_path / "restart").mkdir()
        patch.setattr(os, "makedirs", lambda *given, **more: None)
        for one in (
            entry(tmp_path / "gone", absent=True, restarts=["a.service"]),
            entry(tmp_path / "new", restarts=["b.service", "c.timer"]),
        ):
            with pytest.raises(KeyboardInterrupt):
                files.put(one, str(tmp_path / "restart"))
    assert sorted(path.name for path in (tmp_path / "restart").iterdir()) == ["a.service", "b.service", "c.timer"]
    assert (tmp_path / "gone").exists()
    assert not (tmp_path / "new").exists()


def test_repetition_costs_little() -> None:
    nodes = "".join(f"10.0.{number // 250}.{number % 250} gpu{number:04d}\n" for number in range(1000)).encode()
    packed = files.pack([entry(Path("/etc/hosts"), nodes)])
    assert files.unpack(packed) == [entry(Path("/etc/hosts"), nodes)]
    assert len(packed) < len(nodes) / 2


@given(content=st.binary(max_size=200), name=st.text(alphabet="a'\"\\ ${}%\n\t#é", min_size=1, max_size=20))
def test_the_program_brings_any_content_to_any_name(
    content: bytes, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("x") / f"f{name}"
    wanted = File(str(path), content, owner=USER, group=GROUP)
    program = work_of("x", [wanted], difference([wanted], Observation())).program
    assert program is not None
    compile(program, "program", "exec")
    call = program.rstrip().rpartition("\nmain(")[2].removesuffix(")")
    with pytest.raises(SystemExit) as ended:
        files.main(ast.literal_eval(call))
    assert ended.value.code == 0
    assert path.read_bytes() == content


def test_the_whole_program_runs_by_itself(tmp_path: Path) -> None:
    wanted = File(str(tmp_path / "x"), b"content", owner=USER, group=GROUP)
    program = work_of("x", [wanted], difference([wanted], Observation())).program
    words = [sys.executable, "-I", "-"]
    done = subprocess.run(words, input=program, capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "x").read_bytes() == b"content"

"""Wheels: what pip reports, what is fetched, and what is taken from where it is kept."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from aiops.layers.core.errors import FailedError, UnreachableError
from aiops.layers.l1_cluster.bundle import wheelhouse
from aiops.layers.l1_cluster.bundle.lock import Lock
from aiops.layers.l1_cluster.bundle.manifest import sha256_of_bytes
from aiops.layers.l1_cluster.bundle.program import Ended
from aiops.layers.l1_cluster.bundle.target import Target
from aiops.layers.l1_cluster.bundle.wheelhouse import Wheelhouse, parse_report
from aiops.layers.l1_cluster.bundle.wheels import requirements

TARGET = Target("trixie", "amd64")
CONTENT = b"a wheel"


def report(*items: tuple[str, str, bytes | None]) -> bytes:
    installs = [
        {
            "download_info": {
                "url": f"https://index.example/x/{name}-{version}%2Blocal-py3-none-any.whl",
                "archive_info": {"hashes": {"sha256": sha256_of_bytes(content)} if content is not None else {}},
            },
            "metadata": {"name": name, "version": version},
        }
        for name, version, content in items
    ]
    return json.dumps({"install": installs}).encode()


class Pip:
    """Stands in for pip: reports one wheel, and writes what it is told to when it downloads."""

    def __init__(self, content: bytes = CONTENT, trouble: str = "") -> None:
        self.content = content
        self.trouble = trouble
        self.commands: list[str] = []

    def __call__(self, argv: Sequence[str], **_: object) -> Ended:
        words = list(argv)
        command = words[3]
        self.commands.append(command)
        if self.trouble:
            return Ended(1, b"", self.trouble)
        assert words[words.index("--python-version") + 1] == "3.13"
        if command == "install":
            Path(words[words.index("--report") + 1]).write_bytes(report(("Thing", "1.0", CONTENT)))
        else:
            assert f"#sha256={sha256_of_bytes(CONTENT)}" in words[-1]
            (Path(words[words.index("--dest") + 1]) / "Thing-1.0+local-py3-none-any.whl").write_bytes(self.content)
        return Ended(0, b"", "")


@pytest.fixture
def complete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheelhouse, "closure_gaps", lambda *_: ())


def test_a_report_is_read_with_names_as_they_are_on_disk() -> None:
    (wheel,) = parse_report(report(("Thing", "1.0", CONTENT)), TARGET)
    assert (wheel.name, wheel.version, wheel.file) == ("Thing", "1.0", "Thing-1.0+local-py3-none-any.whl")
    assert wheel.sha256 == sha256_of_bytes(CONTENT)


def test_a_wheel_without_a_digest_is_not_taken() -> None:
    with pytest.raises(FailedError, match=r"Python 3\.13") as caught:
        parse_report(report(("Thing", "1.0", None)), TARGET)
    assert caught.value.problems[0].message == "the index gives no sha256 of Thing 1.0"


@pytest.mark.usefixtures("complete")
def test_what_is_there_is_not_fetched_again_unless_it_is_spoilt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip = Pip()
    monkeypatch.setattr(wheelhouse, "run_program", pip)
    first = Wheelhouse(tmp_path).fetch(TARGET, ["thing"])
    assert (first.new, first.bytes) == (1, len(CONTENT))
    assert first.paths[0].read_bytes() == CONTENT
    again = Wheelhouse(tmp_path).fetch(TARGET, ["thing"])
    assert (again.new, again.bytes, again.paths) == (0, 0, first.paths)
    assert pip.commands == ["install", "download", "install"]
    first.paths[0].write_bytes(b"spoilt")
    assert Wheelhouse(tmp_path).fetch(TARGET, ["thing"]).new == 1
    assert first.paths[0].read_bytes() == CONTENT


@pytest.mark.usefixtures("complete")
def test_what_a_killed_build_left_goes_and_what_comes_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fetch-killed").mkdir()
    monkeypatch.setattr(wheelhouse, "run_program", Pip(b"something else"))
    with pytest.raises(FailedError) as caught:
        Wheelhouse(tmp_path).fetch(TARGET, ["thing"])
    assert "is not what the index promises" in caught.value.problems[0].message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("said", "kind", "code"),
    [
        ("ERROR: NameResolutionError: no", UnreachableError, "bundle.no_network"),
        ("ERROR: No matching distribution found for thing", FailedError, "bundle.missing_wheel"),
        ("/usr/bin/python3: No module named pip", FailedError, "bundle.no_pip"),
    ],
)
def test_what_pip_refuses_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, kind: type[Exception], code: str
) -> None:
    monkeypatch.setattr(wheelhouse, "run_program", Pip(trouble=said))
    with pytest.raises(kind) as caught:
        Wheelhouse(tmp_path).fetch(TARGET, ["thing"])
    assert getattr(caught.value, "code", "") == code


def test_a_closure_that_never_closes_names_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheelhouse, "run_program", Pip())
    monkeypatch.setattr(wheelhouse, "closure_gaps", lambda *_: ("other>=2",))
    with pytest.raises(FailedError) as caught:
        Wheelhouse(tmp_path).fetch(TARGET, ["thing"])
    assert caught.value.problems[0].message == "nothing satisfies `other>=2`"


@pytest.mark.usefixtures("complete")
def test_a_lock_is_fetched_by_its_digests_and_by_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[list[str], str]] = []

    class Listening(Pip):
        def __call__(self, argv: Sequence[str], **more: object) -> Ended:
            if argv[3] == "install":
                given.append((list(argv), Path(argv[-1]).read_text()))
            return super().__call__(argv, **more)

    monkeypatch.setattr(wheelhouse, "run_program", Listening())
    digest = sha256_of_bytes(CONTENT)
    lock = Lock("trainer", f"Thing==1.0 ; python_version >= '3.8' --hash=sha256:{digest}\n", "x", ("thing",))
    assert Wheelhouse(tmp_path).locked(TARGET, lock).new == 1
    ((words, file),) = given
    assert {"--require-hashes", "--no-deps", "--only-binary=:all:"} <= set(words)
    assert file == f"Thing==1.0 --hash=sha256:{digest}\n"


def test_a_lock_that_lacks_what_a_package_needs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheelhouse, "closure_gaps", lambda *_: ("numpy>=2",))
    monkeypatch.setattr(wheelhouse, "run_program", Pip())
    lock = Lock("trainer", f"Thing==1.0 --hash=sha256:{sha256_of_bytes(CONTENT)}\n", "x", ("thing",))
    with pytest.raises(FailedError, match="the environment `trainer` needs") as caught:
        Wheelhouse(tmp_path).locked(TARGET, lock)
    assert caught.value.problems[0].message == "its lock has nothing that satisfies `numpy>=2`"


def test_a_head_has_what_recipes_and_data_stand_on() -> None:
    names = {Requirement(word).name for word in requirements()}
    assert {"typer", "orjson", "tokenizers", "pyarrow", "datatrove"} <= names
    assert "psycopg" not in names
    assert all(Requirement(word).marker is None or "extra" not in word for word in requirements())

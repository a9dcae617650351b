"""The memory on a node and its reset: whatever was done and however often it was cut off, a tree ends as it began."""

import hashlib
import itertools
import os
import shutil
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.fake_transport import FakeTransport

from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.node import Connection, Node
from aiops.layers.l1_cluster.gate import FleetGate
from aiops.layers.l1_cluster.remote import (
    accounts,
    evidence,
    files,
    machine,
    memory,
    notebook,
    paths,
    purge,
    repack,
    reset,
    sight,
    units,
)
from aiops.layers.l1_cluster.resource import File, Resource, Tree
from aiops.layers.l1_cluster.undo import request_of

# What a user may call a file; the tree is small, so that the same paths come again and again.
NAMES = st.sampled_from(["a", "b c", "-rf", "'quoted\"", "ünï", "new\tline", "$(x)", "%s"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
CONTENTS = st.binary(max_size=8)
MODES = st.sampled_from([0o600, 0o644, 0o755])
THINGS = st.one_of(
    st.tuples(st.just("file"), CONTENTS, MODES),
    st.tuples(st.just("folder"), st.none(), st.sampled_from([0o700, 0o755])),
    st.tuples(st.just("link"), st.sampled_from(["a", "/nowhere"]), st.none()),
)
WANTED = st.one_of(
    st.tuples(st.just("file"), CONTENTS, MODES),
    st.tuples(st.just("folder"), st.none(), st.sampled_from([0o700, 0o755])),
    st.tuples(st.just("absent"), st.none(), st.none()),
)
DEPLOYS = st.lists(st.tuples(st.lists(st.tuples(PATHS, WANTED), max_size=3), st.integers(0, 60)), max_size=4)


class KilledError(BaseException):
    """The power is cut."""


@pytest.fixture(autouse=True)
def no_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """This machine's packages, accounts and units are none of a test's business."""
    monkeypatch.setattr(memory, "first_sight", first_sight)
    monkeypatch.setattr(reset, "installed", dict)
    monkeypatch.setattr(units, "run", lambda *_: "")
    for name in ("OWN", "ANSIBLE", "SHARED"):
        monkeypatch.setattr(reset, name, ())
    monkeypatch.setattr(reset, "PROGRAM", str(tmp_path / "nowhere"))
    monkeypatch.setattr(reset, "STATE", str(tmp_path / "state"))
    monkeypatch.setattr(paths, "BACKUPS", str(tmp_path / "backups"))
    monkeypatch.setattr(paths, "RESTARTS", str(tmp_path / "restarts"))
    monkeypatch.setattr(units, "RESTARTS", str(tmp_path / "restarts"))
    monkeypatch.setattr(purge, "ARCHIVES", str(tmp_path / "nowhere"))
    monkeypatch.setattr(accounts, "put_backups_back", lambda _: None)
    monkeypatch.setattr(evidence, "fresh", lambda *_: [])
    monkeypatch.setattr(evidence, "leftovers", lambda *_: [])


def first_sight(known: dict[str, Any], folder: str) -> None:
    import json
    import zlib

    known["accounts"] = {"/etc/passwd": [], "/etc/group": []}
    notebook.write(folder, "places.json", zlib.compress(json.dumps({"whole": True, "places": {}}).encode()))


def tree(root: Path) -> dict[str, tuple[object, ...]]:
    """Everything below `root`, with kind, mode, owner and content."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(root.rglob("*")):
        state = path.lstat()
        what: object = None
        if path.is_symlink():
            what = str(path.readlink())
        elif path.is_file():
            what = path.read_bytes()
        mode = 0 if path.is_symlink() else stat.S_IMODE(state.st_mode)
        found[str(path.relative_to(root))] = (stat.S_IFMT(state.st_mode), mode, state.st_uid, state.st_gid, what)
    return found


def grow(root: Path, things: dict[str, tuple[str, Any, Any]]) -> None:
    """A node as it was before: what does not fit below another thing is left out."""
    for name, (kind, value, mode) in things.items():
        path = root / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if kind == "link":
                path.symlink_to(value)
            elif kind == "folder":
                path.mkdir(exist_ok=True)
                path.chmod(mode)
            else:
                path.write_bytes(value)
                path.chmod(mode)
        except OSError:
            continue


def entries(root: Path, wanted: list[tuple[str, tuple[str, Any, Any]]]) -> list[dict[str, Any]]:
    """What the program for files is given."""
    import base64
    import grp
    import pwd

    owner, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    return [
        {
            "path": str(root / name),
            "absent": kind == "absent",
            "folder": kind == "folder",
            "mode": f"{mode or 0:04o}",
            "owner": owner,
            "group": group,
            "content": base64.b64encode(content or b"").decode(),
            "validate": "",
            "secret": False,
            "restarts": [],
        }
        for name, (kind, content, mode) in wanted
    ]


def asked(given: list[dict[str, Any]]) -> dict[str, Any]:
    """What the memory is given for the same."""
    import base64

    found = []
    for one in given:
        content = base64.b64decode(one["content"])
        digest = "" if one["absent"] or one["folder"] else hashlib.sha256(content).hexdigest()
        goes = one["absent"]
        entry = {"path": one["path"], "put": not goes, "whole": goes, "fill": False, "digest": digest, "restarts": []}
        entry["ours"] = False
        found.append(entry)
    nothing: dict[str, Any] = {"install": [], "remove": [], "hold": [], "units": [], "mounts": [], "users": []}
    return {**nothing, "token": "x", "sysctls": {}, "reboot": None, "files": found}


class Fuse:
    """Cuts the power at the n-th change of a file system."""

    CALLS = ("rename", "unlink", "rmdir", "chmod", "chown", "mkdir", "symlink", "fsync")

    def __init__(self, patch: pytest.MonkeyPatch, left: int) -> None:
        self._left = left
        for name in self.CALLS:
            patch.setattr(os, name, self._counted(getattr(os, name)))

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            self._left -= 1
            if self._left <= 0:  # nothing is done any more, what would have cleaned up is dead too
                raise KilledError
            return call(*arguments, **options)

        return counted


def deploy(root: Path, folder: Path, wanted: list[tuple[str, tuple[str, Any, Any]]], fuse: int) -> None:
    """Remember, then put files in place, as a phase does; cut off at the `fuse`-th step, 0 for never."""
    given = entries(root, wanted)
    with pytest.MonkeyPatch.context() as patch:
        if fuse:
            Fuse(patch, fuse)
        try:
            try:
                memory.remember(asked(given), str(folder))
            except OSError:  # a path through a circle of links: nothing is changed then
                return
            for one in given:
                try:
                    files.put(one, str(folder.parent / "restarts"))
                except (OSError, files.RefusedError):
                    continue
        except KilledError:
            return


def asked_to_reset(*, dry: bool) -> dict[str, Any]:
    """What the reset of a node is given."""
    return {"dry": dry, "epoch": 5, "machine": "", "whole": "", "boot": "", "prefix": "/"}


def undo(folder: Path, fuse: int = 0) -> dict[str, Any] | None:
    """Reset; None where it was cut off."""
    with pytest.MonkeyPatch.context() as patch:
        if fuse:
            Fuse(patch, fuse)
        try:
            return reset.reset(asked_to_reset(dry=False), str(folder))
        except KilledError:
            return None


@pytest.fixture
def fresh() -> Iterator[Callable[[], tuple[Path, Path]]]:
    """Gives a new node and its undo folder, for every example of a property."""
    made = []

    def make() -> tuple[Path, Path]:
        place = Path(tempfile.mkdtemp())
        made.append(place)
        for name in ("node", "undo/files"):
            (place / name).mkdir(parents=True)
        (place / "undo").chmod(0o700)
        return place / "node", place / "undo"

    yield make
    for place in made:
        shutil.rmtree(place, ignore_errors=True)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    things=st.dictionaries(PATHS, THINGS, max_size=6),
    deploys=DEPLOYS,
    fuses=st.lists(st.integers(1, 40), max_size=3),
)
def test_whatever_was_deployed_and_cut_off_a_reset_ends_at_the_original_tree(
    fresh: Callable[[], tuple[Path, Path]],
    things: dict[str, tuple[str, Any, Any]],
    deploys: list[tuple[list[tuple[str, tuple[str, Any, Any]]], int]],
    fuses: list[int],
) -> None:
    root, folder = fresh()
    grow(root, things)
    before = tree(root)
    for wanted, fuse in deploys:
        deploy(root, folder, wanted, fuse)
    for fuse in fuses:
        undo(folder, fuse)
    answer = undo(folder)
    assert answer is not None
    assert answer["failed"] == []
    assert tree(root) == before
    nothing = {"known": False, "done": [], "kept": [], "failed": [], "reboot": None}
    assert undo(folder) == {**nothing, **machine.identity()}


def test_the_first_sight_wins(fresh: Callable[[], tuple[Path, Path]]) -> None:
    root, folder = fresh()
    (root / "a").write_text("original")
    for content in (b"one", b"two", b"three"):
        deploy(root, folder, [("a", ("file", content, 0o600))], 0)
    known = notebook.read(str(folder))["seen"][f"file:{root}/a"]
    assert (folder / known["kept"]).read_text() == "original"
    assert known["wrote"] == [hashlib.sha256(content).hexdigest() for content in (b"one", b"two", b"three")]


def test_what_somebody_changed_since_is_kept_beside(fresh: Callable[[], tuple[Path, Path]], tmp_path: Path) -> None:
    root, folder = fresh()
    (root / "a").write_text("original")
    deploy(root, folder, [("a", ("file", b"ours", 0o600)), ("b", ("file", b"ours", 0o600))], 0)
    (root / "a").write_text("edited")
    answer = undo(folder)
    assert answer is not None
    assert (root / "a").read_text() == "original"
    assert not (root / "b").exists()
    (kept,) = answer["kept"]
    assert kept["why"] == f"somebody had changed {root}/a since"
    assert Path(kept["what"]).read_text() == "edited"
    assert Path(kept["what"]).parent == tmp_path / "backups"


def test_a_folder_of_ours_with_files_of_others_stays_and_is_told(fresh: Callable[[], tuple[Path, Path]]) -> None:
    root, folder = fresh()
    deploy(root, folder, [("conf.d", ("folder", None, 0o755)), ("conf.d/ours", ("file", b"x", 0o644))], 0)
    (root / "conf.d" / "theirs").write_text("y")
    answer = undo(folder)
    assert answer is not None
    assert answer["kept"] == [{"what": f"{root}/conf.d", "why": "there are files in it"}]
    assert [path.name for path in (root / "conf.d").iterdir()] == ["theirs"]


def test_a_dry_run_changes_nothing_and_tells_the_same(fresh: Callable[[], tuple[Path, Path]]) -> None:
    root, folder = fresh()
    (root / "a").write_text("original")
    deploy(root, folder, [("a", ("file", b"x", 0o644)), ("b", ("file", b"x", 0o644))], 0)
    before = tree(root.parent)
    told = reset.reset(asked_to_reset(dry=True), str(folder))
    assert tree(root.parent) == before
    assert [(one["key"], one["action"]) for one in told["done"]] == [
        (f"file:{root}/a", "restore"),
        (f"file:{root}/b", "delete"),
    ]
    done = undo(folder)
    assert done is not None
    assert done["done"] == told["done"]


def test_nothing_of_what_is_in_our_own_places_is_copied(fresh: Callable[[], tuple[Path, Path]]) -> None:
    root, folder = fresh()
    (root / "incoming").mkdir()
    (root / "incoming" / "parcel.tar").write_bytes(b"x" * 100_000)
    request = asked(entries(root, [("incoming", ("absent", None, None))]))
    request["files"] = [{**one, "ours": True, "whole": False} for one in request["files"]]
    memory.remember(request, str(folder))
    assert notebook.read(str(folder))["seen"][f"file:{root}/incoming"]["was"] == "ours"
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 10_000


def test_which_places_are_ours() -> None:
    wanted: list[Resource] = [
        File("/srv/aiops/incoming", None, absent=True),
        Tree("/srv/aiops/bundle", {}, 0),
        File("/etc/aiops/apt/sources.list", b""),
        File("/srv/aiops/incomings", None, absent=True),
    ]
    found = {one["path"]: (one["ours"], one["whole"]) for one in request_of(wanted, ())["files"]}
    assert found == {
        "/srv/aiops/incoming": (True, False),
        "/srv/aiops/bundle": (True, False),
        "/etc/aiops/apt/sources.list": (True, False),
        "/srv/aiops/incomings": (False, True),
    }


def test_a_step_that_makes_copies_is_given_the_time_that_these_may_take() -> None:
    nodes = [Node(name, connection=Connection(address=name)) for name in ("w1", "w2")]
    transports = {node.name: FakeTransport(node, {"python3": lambda _: (0, b"", b"")}) for node in nodes}
    with Fleet(lambda node: transports[node.name]) as fleet:
        assert FleetGate(fleet).open(nodes, 1, {"w1": "pass"}) == {}
    seconds = {name: transport.ran[0].timeout for name, transport in transports.items()}
    assert seconds["w1"] > repack.BUILD_SECONDS + notebook.WAIT_SECONDS > seconds["w2"]


def test_a_memory_that_was_lost_is_a_failure_and_what_is_left_of_it_stays(
    fresh: Callable[[], tuple[Path, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, folder = fresh()
    (root / "a").write_text("original")
    deploy(root, folder, [("a", ("file", b"x", 0o644))], 0)
    (folder / "memory.json").unlink()
    before = tree(root.parent)
    for dry in (True, False):
        answer = reset.reset(asked_to_reset(dry=dry), str(folder))
        (failed,) = answer["failed"]
        assert not answer["known"]
        assert failed["reason"].startswith(f"{folder}/files is there, but what was there before is not remembered")
    assert tree(root.parent) == before
    shutil.rmtree(folder)
    monkeypatch.setattr(reset, "OWN", (str(root / "a"), str(root / "b")))
    assert "a is there" in reset.reset(asked_to_reset(dry=False), str(folder))["failed"][0]["reason"]
    monkeypatch.setattr(reset, "NO_PROOF", (str(root / "a"),))
    answer = reset.reset(asked_to_reset(dry=False), str(folder))
    assert answer["failed"] == []
    assert [one["what"] for one in answer["kept"]] == [f"{root}/a"]


def test_a_first_memory_that_was_cut_off_is_none(fresh: Callable[[], tuple[Path, Path]]) -> None:
    root, folder = fresh()
    (root / "a").write_text("original")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "see", lambda *_: (_ for _ in ()).throw(KilledError))
        with pytest.raises(KilledError):
            memory.remember(asked(entries(root, [("a", ("file", b"x", 0o644))])), str(folder))
    assert any(folder.iterdir())
    answer = undo(folder)
    assert answer is not None
    assert (answer["known"], answer["failed"]) == (False, [])
    assert not folder.exists()


def test_a_reset_waits_for_the_one_before_it_and_looking_waits_for_nobody(
    fresh: Callable[[], tuple[Path, Path]],
) -> None:
    root, folder = fresh()
    deploy(root, folder, [("a", ("file", b"x", 0o644))], 0)
    descriptor = notebook.guard(str(folder))  # an orphan is at work
    try:
        assert reset.reset(asked_to_reset(dry=True), str(folder))["known"]
        answers: list[dict[str, Any] | None] = []
        waiting = threading.Thread(target=lambda: answers.append(undo(folder)))
        waiting.start()
        waiting.join(0.1)
        assert not answers
        assert (root / "a").exists()
        shutil.rmtree(folder)  # it ends: all is done, and its memory is gone
    finally:
        os.close(descriptor)
    waiting.join(10)
    (answer,) = answers
    assert answer is not None
    assert (answer["known"], answer["done"], answer["failed"]) == (True, [], [])


def test_a_reset_ends_before_its_next_step_once_another_owner_has_come(
    fresh: Callable[[], tuple[Path, Path]], tmp_path: Path
) -> None:
    root, folder = fresh()
    deploy(root, folder, [("a", ("file", b"x", 0o644))], 0)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "epoch").write_text("6\n")
    with pytest.raises(reset.StaleError, match="fence: epoch 5 is stale, this node has seen 6"):
        undo(folder)
    assert (root / "a").exists()
    (tmp_path / "state" / "epoch").write_text("5\n")
    answer = undo(folder)
    assert answer is not None
    assert not (root / "a").exists()


def test_a_reset_refuses_another_machine_than_was_looked_at(fresh: Callable[[], tuple[Path, Path]]) -> None:
    root, folder = fresh()
    deploy(root, folder, [("a", ("file", b"x", 0o644))], 0)
    with pytest.raises(sight.TroubleError, match="another machine"):
        reset.reset({**asked_to_reset(dry=False), "machine": "0" * 32}, str(folder))
    assert (root / "a").exists()


def test_what_is_in_a_folder_is_weighed(tmp_path: Path) -> None:
    (tmp_path / "data" / "deep").mkdir(parents=True)
    assert paths.weight(str(tmp_path / "data"), "ours") == "ours"
    (tmp_path / "data" / "deep" / "a").write_bytes(b"x" * 1_234_000)
    assert paths.weight(str(tmp_path / "data"), "ours") == "folder of 1.2 MB in 1 file"
    assert paths.weight(str(tmp_path / "data" / "deep" / "a"), "file") == "file"


def test_packages_that_others_need_stay() -> None:
    def package(depends: str = "", provides: str = "", status: str = "install ok installed") -> dict[str, str]:
        return {"Depends": depends, "Provides": provides, "Status": status, "Version": "1"}

    there = {
        "ours": package("lib (>= 1.2), tool | other-tool"),
        "lib": package("sublib:any"),
        "sublib": package(),
        "tool": package(provides="virtual (= 1), another"),
        "other": package("virtual"),
        "gone": package(status="deinstall ok config-files"),
    }
    leaving, needed = purge.removable(["ours", "lib", "sublib", "tool"], there)
    assert leaving == ["lib", "ours", "sublib"]
    assert needed == {"tool": "other"}
    there["theirs"] = package("lib")
    leaving, needed = purge.removable(["ours", "lib", "sublib"], there)
    assert leaving == ["ours"]
    assert needed == {"lib": "theirs", "sublib": "lib"}


@given(
    st.dictionaries(
        st.sampled_from("abcdef"), st.lists(st.sampled_from(["a", "b", "c | d", "e", "f | a"]), max_size=3), min_size=1
    ),
    st.sets(st.sampled_from("abcdef")),
)
def test_nothing_that_stays_loses_what_it_has(depends: dict[str, list[str]], brought: set[str]) -> None:
    status = "install ok installed"
    there = {name: {"Depends": ", ".join(ones), "Status": status, "Version": "1"} for name, ones in depends.items()}
    leaving, needed = purge.removable(brought & set(there), there)
    assert set(leaving) | set(needed) == brought & set(there)
    stay = set(there) - set(leaving)
    for name in stay:
        for group in purge.alternatives(there[name]):
            assert not (set(group) & set(there)) or set(group) & stay


def test_a_window_claims_what_came_for_us_and_not_what_others_brought(monkeypatch: pytest.MonkeyPatch) -> None:
    def there(*names: str) -> dict[str, dict[str, str]]:
        return {name: {"Status": "install ok installed", "Version": "1"} for name in names}

    known = {**notebook.empty(), "wanted": ["ours"], "window": {"token": "", "packages": {"before": "0.9"}}}
    monkeypatch.setattr(memory, "automatic", lambda: ["dependency"])
    memory.close_window(known, there("before", "ours", "dependency", "theirs"))
    assert known["brought"] == ["dependency", "ours"]
    assert known["upgraded"] == {"before": "0.9"}
    assert known["window"] is None


def test_only_what_was_not_there_and_is_named_is_left_over() -> None:
    before = {"/var", "/var/lib", "/var/lib/dpkg", "/etc", "/etc/ssl", "/var/lib/systemd"}
    assert evidence.outermost_new("/var/lib/slurm/state/job", before) == "/var/lib/slurm"
    assert evidence.outermost_new("/etc/slurm", before) == "/etc/slurm"
    assert evidence.outermost_new("/var/lib/dpkg", before) == ""
    assert evidence.outermost_new("/var/lib/systemd/helper/x", before) == "/var/lib/systemd/helper"
    assert evidence.outermost_new("/var/lib/../../home", before) == ""
    for path in ("/home/somebody", "/usr/bin/x", "/var", "/", "/etc", "/boot/x", "/srv/data", "/var/data", "/opt/x"):
        assert evidence.outermost_new(path, before) == ""


def test_nothing_of_a_user_is_left_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared, state = tmp_path / "lib" / "shared", tmp_path / "lib" / "slurm"
    for path in (shared, state):
        path.mkdir(parents=True)
        (path / "file").write_text("")
    monkeypatch.undo()
    monkeypatch.setattr(evidence, "places", lambda _: {"whole": True, "places": {str(tmp_path / "lib"): None}})
    monkeypatch.setattr(evidence, "LEAST_DEPTH", {str(tmp_path): len(tmp_path.parts) + 1})
    monkeypatch.setattr(evidence, "owned", lambda _: set())
    named = [f"{shared}/x", f"{state}/job"]
    known: dict[str, Any] = {"seen": {}, "evidence": {"places": named, "numbers": ["64030"]}}

    assert evidence.leftovers(known, "", []) == [str(shared), str(state)]
    known["seen"] = {f"file:{shared}": {}}  # a folder that a phase has made, the source of the shared directory say
    assert evidence.leftovers(known, "", []) == [str(state)]
    assert evidence.leftovers(known, "", ["/", str(tmp_path)]) == [str(state)]
    assert evidence.leftovers(known, "", [str(state / "mounted")]) == []
    assert evidence.leftovers({**known, "seen": {f"mount:{tmp_path}/lib": {}}}, "", []) == []

    if os.getuid() == 0:
        os.chown(state / "file", 64030, 0)
        assert evidence.person(str(state), known) == ""
        os.chown(state / "file", 1200, 0)
        assert evidence.person(str(state), known) == "1200"


def test_what_is_exported_or_mounted_names_nothing_of_ours(tmp_path: Path) -> None:
    for name in ("exports.d/a.exports", "shared.mount", "slurm.conf"):
        assert bool(evidence._SHARES.fullmatch(f"/etc/{name}")) == (name != "slurm.conf")


def test_accounts_that_went_with_their_packages_are_told_and_those_that_had_gone_before_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Work:
        memory: ClassVar = {"seen": {}, "evidence": {"users": ["munge", "slurm"], "groups": ["munge", "slurm", "gone"]}}

    files = {"/etc/passwd": {"slurm", "munge"}, "/etc/group": {"slurm", "munge"}}
    there = {path: set(names) for path, names in files.items()}
    files["/etc/passwd"].remove("munge")  # by the purge of its package
    ran = []

    def run(words: list[str]) -> None:
        ran.append(words)
        files["/etc/passwd"].discard(words[-1])
        files["/etc/group"].discard(words[-1])

    monkeypatch.setattr(accounts, "account", lambda path, name: name if name in files[path] else None)
    monkeypatch.setattr(accounts, "run", run)
    told = []
    for step in accounts.accounts(Work, there):
        step.do()
        told.append(step.key)
    assert told == ["user:munge", "user:slurm", "group:munge", "group:slurm"]
    assert ran == [["userdel", "--", "slurm"], ["groupdel", "--", "munge"]]


def test_all_accounts_are_known_by_name() -> None:
    found = accounts.present()
    assert set(found) == {"/etc/passwd", "/etc/group"}  # a node need not have the other account files
    assert "root" in found["/etc/passwd"]
    assert "root" in found["/etc/group"]


def test_units_go_back_to_what_they_were() -> None:
    def unit(file: str, active: str) -> dict[str, str]:
        return {"load": "loaded", "file": file, "active": active}

    verbs = units.verbs_to
    assert verbs(unit("enabled", "active"), unit("enabled", "active"), False) == []
    assert verbs(unit("enabled", "active"), unit("enabled", "active"), True) == ["restart"]
    assert verbs(unit("disabled", "inactive"), unit("enabled", "active"), True) == ["disable", "stop"]
    assert verbs(unit("enabled", "active"), unit("masked", "inactive"), False) == ["unmask", "enable", "start"]
    assert verbs(unit("masked", "inactive"), unit("disabled", "inactive"), False) == ["mask"]
    assert verbs(unit("static", "active"), unit("static", "failed"), False) == ["start"]


def test_every_status_of_dpkg_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "status").write_text(
        "Package: one\nStatus: hold ok installed\nArchitecture: amd64\nVersion: 1:2\nDepends: a (>= 1), b | c\n"
        "Description: text\n more: text\n\nPackage: two\nStatus: deinstall ok config-files\nArchitecture: i386\n"
        "Version: 3\n\n"
    )
    monkeypatch.setattr(sight, "DPKG", str(tmp_path))
    monkeypatch.setattr(sight, "run", lambda *_: "amd64\n")
    found = sight.installed()
    assert list(found) == ["one", "two:i386"]
    assert [sight.is_there(one) for one in found.values()] == [True, False]
    assert purge.alternatives(found["one"]) == [["a"], ["b", "c"]]
    assert dict(itertools.islice(found["one"].items(), 1)) == {"Package": "one"}


def test_what_a_reset_was_removing_when_it_was_cut_off_goes_in_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Apt takes its marks of what came for others away before dpkg removes it: a power loss in between keeps none."""
    packages = {name: {"Status": "install ok installed", "Version": "1"} for name in ("slurmd", "libmunge2", "mine")}
    known = {**notebook.empty(), "brought": ["slurmd", "libmunge2", "mine"], "wanted": ["slurmd"]}
    monkeypatch.setattr(purge, "automatic", lambda: ["libmunge2"])
    leaving, staying = purge.ours(known, packages)
    assert (leaving, staying) == (["libmunge2", "slurmd"], {"mine": "somebody has asked apt for it since"})
    monkeypatch.setattr(purge, "automatic", list)
    assert purge.ours(known, packages)[0] == ["slurmd"]
    assert purge.ours({**known, "leaving": leaving}, packages) == (leaving, staying)

"""What Ansible is given: only what differs, nothing that is a template to it, in a place of its own."""

import os
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.core.errors import InputError
from aiops.layers.l0_nodes.inventory import Inventory
from aiops.layers.l0_nodes.node import Connection, Node
from aiops.layers.l1_cluster.change import difference
from aiops.layers.l1_cluster.context import cluster_context
from aiops.layers.l1_cluster.gate import interpreter, refused
from aiops.layers.l1_cluster.guardian import PAUSED, kill_marked
from aiops.layers.l1_cluster.observation import FileState, Observation, PackageState, UnitState, restart_marker
from aiops.layers.l1_cluster.phase import read_phases, shipped_phases
from aiops.layers.l1_cluster.playbook import IDLE_SECONDS, Playbook, TaskFailure
from aiops.layers.l1_cluster.reason import reason_of, tail_of
from aiops.layers.l1_cluster.remote.fence import EPOCH, FOLDER, build_gate, raise_to
from aiops.layers.l1_cluster.render import (
    GROUPS,
    PrivateFolder,
    scrub_stale,
    unsafe_yaml,
    variables_of,
    write_by_hand,
    write_phase,
)
from aiops.layers.l1_cluster.resource import File, Mount, Package, Reboot, Resource, Service, Sysctl, User
from aiops.layers.l1_cluster.work import Work, work_of

FILE = File("/etc/chrony.conf", b"x", restarts=("chrony", "other"))


def work(resources: list[Resource], seen: Observation | None = None, *, reboot: bool = True) -> dict[str, Any]:
    return dict(work_of("x", resources, difference(resources, seen or Observation()), reboot=reboot).variables)


def test_only_what_differs_is_in_it() -> None:
    seen = Observation(packages={"chrony": PackageState("4", held=False), "old": PackageState("1", held=False)})
    resources: list[Resource] = [
        Package("chrony"),
        Package("curl", version="7", held=True),
        Package("old", absent=True),
        Package("chrony2", held=True),
    ]
    given_work = work(resources, seen)
    assert given_work["packages"] == ["curl=7", "chrony2"]
    assert given_work["removed"] == ["old"]
    assert given_work["held"] == ["curl", "chrony2"]
    assert given_work["files"] == []
    assert given_work["services"] == []


def test_holding_what_is_installed_installs_nothing() -> None:
    seen = Observation(packages={"linux": PackageState("6", held=False), "free": PackageState("6", held=True)})
    given_work = work([Package("linux", held=True), Package("free")], seen)
    assert (given_work["packages"], given_work["held"], given_work["released"]) == ([], ["linux"], ["free"])


def test_a_changed_file_restarts_its_services_once() -> None:
    running = Observation(units={"chrony.service": UnitState("loaded", "active", "enabled")})
    assert work([FILE, Service("chrony")], running)["services"] == [
        {"name": "chrony.service", "enabled": True, "state": "restarted"},
        {"name": "other.service", "state": "restarted"},
    ]


def test_a_restart_left_over_is_done_without_writing_anything() -> None:
    conf = File("/etc/chrony.conf", folder=True, restarts=("chrony", "other"))
    there = FileState("folder", "0644", "root", "root")
    marks = {restart_marker(unit): there for unit in ("chrony.service", "other.service")}
    seen = Observation(
        files={"/etc/chrony.conf": there, **marks},
        units={"chrony.service": UnitState("loaded", "active", "enabled")},
    )
    given_work = work([conf, Service("chrony")], seen)
    assert given_work["files"] == []
    assert given_work["services"] == [
        {"name": "chrony.service", "enabled": True, "state": "restarted"},
        {"name": "other.service", "state": "restarted"},
    ]
    assert given_work["restarted"] == sorted(marks)


def test_a_service_that_comes_with_its_own_unit_is_started_and_leaves_no_mark() -> None:
    own = File("/etc/systemd/system/keeper.service", b"[Service]", restarts=("keeper",))
    other = File("/etc/keeper.conf", b"x", restarts=("keeper",))
    resources: list[Resource] = [own, other, Service("keeper")]
    begun = work_of("x", resources, difference(resources, Observation()))
    assert [one["state"] for one in begun.variables["services"]] == ["started"]
    assert begun.variables["restarted"] == []
    assert all(not one.restarts for one in begun.files)
    # Where the unit is known, something may run with an older file.
    seen = Observation(units={"keeper.service": UnitState("loaded", "inactive", "disabled")})
    again = work_of("x", resources, difference(resources, seen))
    assert [one["state"] for one in again.variables["services"]] == ["restarted"]
    assert again.variables["restarted"] == [restart_marker("keeper.service")]
    assert {one.restarts for one in again.files} == {("keeper",)}


def test_a_reboot_is_a_restart() -> None:
    given_work = work([FILE, Service("chrony"), Reboot("x", (FILE.key,))])
    assert given_work["services"] == [{"name": "chrony.service", "enabled": True, "state": "started"}]
    assert given_work["restarted"] == []


def test_a_stopped_service_is_not_restarted_for_its_file() -> None:
    seen = Observation(units={"chrony.service": UnitState("loaded", "active", "enabled")})
    (first, _) = work([FILE, Service("chrony", enabled=False, running=False)], seen)["services"]
    assert first == {"name": "chrony.service", "enabled": False, "state": "stopped"}


def test_a_unit_file_reloads_systemd() -> None:
    unit = File("/etc/systemd/system/a.service", b"x")
    assert work([unit])["services"] == [{"name": "", "daemon_reload": True}]
    assert work([unit, Service("a")])["services"][0]["daemon_reload"] is True


def test_a_unit_file_of_a_deploy_that_was_cut_off_is_heard_of_before_its_service_starts() -> None:
    """The file is as wanted already; systemd may still go by what was there before it, and a service not start."""
    unit = File("/etc/systemd/system/a.service.d/60-aiops.conf", b"x")
    digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    there = FileState("file", "0644", "root", "root", digest)
    off = Observation(files={unit.path: there}, units={"a.service": UnitState("loaded", "inactive", "enabled")})
    (service,) = work([unit, Service("a")], off)["services"]
    assert service == {"name": "a.service", "enabled": True, "state": "started", "daemon_reload": True}
    on = Observation(files={unit.path: there}, units={"a.service": UnitState("loaded", "active", "enabled")})
    assert work([unit, Service("a")], on)["services"] == []


def test_a_mount_is_made_by_its_unit() -> None:
    resources: list[Resource] = [Mount("/shared", "/src", "bind"), Service("shared.mount")]
    seen = Observation(units={"shared.mount": UnitState("loaded", "active", "enabled")})
    assert work(resources, seen)["services"] == [{"name": "shared.mount", "enabled": True, "state": "restarted"}]


def test_a_reboot_now_or_only_marked() -> None:
    resources: list[Resource] = [Package("driver"), Service("fabric"), Reboot("the driver", ("package:driver",))]
    now = work(resources)
    assert (now["mark_reboot"], now["reboot"]) == (True, "the driver")
    later = work(resources, reboot=False)
    assert (later["mark_reboot"], later["reboot"]) == (True, "")


def test_settings_are_loaded_when_one_differs() -> None:
    assert work([Sysctl("vm.swappiness", "1")])["sysctl"] == "/etc/sysctl.d/60-aiops-x.conf"
    assert work([FILE])["sysctl"] == ""


def test_no_content_is_told_and_users_without_a_shell_get_no_home() -> None:
    key = File("/etc/key", b"canary", secret=True, mode="0400")
    given_work = work(
        [key, User("slurm", 1, 2, "hpc", "/nonexistent"), User("alice", 3, 3, "alice", "/home/a", "/bin/sh")]
    )
    assert [file["path"] for file in given_work["files"]] == ["/etc/key"]
    assert [user["create_home"] for user in given_work["users"]] == [False, True]
    assert given_work["groups"] == [{"name": "hpc", "gid": 2}, {"name": "alice", "gid": 3}]
    assert "canary" not in repr(given_work)


class Unsafe(str):
    __slots__ = ()


class Loader(yaml.SafeLoader):
    """Reads Ansible's one tag."""


Loader.add_constructor("!unsafe", lambda loader, one: Unsafe(one.value))

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_the_inventory_reads_back_and_no_text_is_a_template(value: Any) -> None:
    read = yaml.load(unsafe_yaml({"value": value}), Loader=Loader)["value"]  # noqa: S506 - a safe one with one tag more
    assert read == value
    for text in texts(read):
        assert isinstance(text, Unsafe) == ("{" in text)


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from texts(item)


def test_the_private_folder_is_private_and_goes_away(tmp_path: Path) -> None:
    with PrivateFolder({}, tmp_path) as private:
        assert private.path.stat().st_mode & 0o777 == 0o700
        changes = difference([FILE], Observation())
        hosts = write_phase(private.path, "x", {"n1": work_of("x", [FILE], changes)}, {"n1": {}})
        modes = {path.stat().st_mode & 0o777 for path in private.path.rglob("*") if path.is_file()}
        assert modes == {0o600}
        assert (hosts.parent / "limit").read_text() == "n1\n"
    assert not private.path.exists()


def test_folders_of_dead_processes_are_removed_and_others_kept(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    dead = tmp_path / f"aiops-deploy-{os.getuid()}-{process.pid}-1-ab"
    reused = tmp_path / f"aiops-deploy-{os.getuid()}-{os.getpid()}-1-ab"
    start = Path(f"/proc/{os.getpid()}/stat").read_text().rpartition(")")[2].split()[19]
    alive = tmp_path / f"aiops-deploy-{os.getuid()}-{os.getpid()}-{start}-ab"
    foreign = tmp_path / "aiops-deploy-notes"
    for path in (dead, reused, alive, foreign):
        path.mkdir()
    marks = [{"AWX_ISOLATED_DATA_DIR": f"{path}/artifacts/x"} for path in (dead, alive)]
    with subprocess.Popen(["sleep", "60"], env=marks[0]) as left, subprocess.Popen(["sleep", "60"], env=marks[1]) as on:
        scrub_stale(tmp_path)
        assert left.wait(10) == -9
        assert on.poll() is None
        on.kill()
    assert [path.exists() for path in (dead, reused, alive, foreign)] == [False, False, True, True]


def test_a_plan_is_written_only_into_an_empty_folder(tmp_path: Path) -> None:
    one = work_of("x", [FILE], difference([FILE], Observation()))
    write_by_hand(tmp_path / "new", {"x": ({"n1": one}, {"n1": {}})})
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["apply.yml", "x"]
    with pytest.raises(InputError, match="is not empty"):
        write_by_hand(tmp_path / "new", {})


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (
            {"msg": "'/usr/bin/apt-get install x' failed: E: Unable to locate", "stderr": "W: a\nE: No space left\n"},
            "No space left",
        ),
        ({"msg": "Destination directory /a does not exist", "item": {"path": "/a/b"}}, "/a/b: Destination directory"),
        ({"msg": "non-zero return code", "stderr": "one\nsysctl: permission denied\n"}, "sysctl: permission denied"),
        ({"msg": "Task failed: Unable to start service x: Job failed\nsee journal"}, "Unable to start service x"),
        (
            {"msg": "non-zero return code", "stdout": "/a: no space\nShared connection to 10.0.0.1 closed.\n"},
            "/a: no space",
        ),
        (
            {
                "msg": "'/usr/bin/apt-get install x' failed: E: Sub-process /usr/bin/dpkg returned an error code (1)\n",
                "stderr": "E: Sub-process /usr/bin/dpkg returned an error code (1)\n",
                "stdout": "Unpacking x ...\r\ndpkg: error processing archive /x.deb (--unpack):\r\n"
                " cannot copy extracted data for './y' to '/y.dpkg-new':\r\n"
                " failed to write (No space left on device)\r\nErrors were encountered while processing:\r\n x.deb\r\n",
            },
            (
                "error processing archive /x.deb (--unpack): cannot copy extracted data for './y' to '/y.dpkg-new': "
                "failed to write (No space left on device)"
            ),
        ),
        ({"censored": "hidden", "msg": "canary"}, "it failed, and its output is hidden"),
        ({}, "no reason was given"),
        ({"msg": "x" * 1000}, "x" * 399 + "…"),
    ],
)
def test_the_reason_is_the_module_s_own_in_one_line(result: dict[str, Any], expected: str) -> None:
    found = reason_of(result)
    assert found.startswith(expected)
    assert "\n" not in found
    assert "canary" not in found + "".join(tail_of(result))


def test_the_tail_has_the_last_lines() -> None:
    assert tail_of({"stdout": "\n".join("abcdefg"), "stderr": "E: h"}) == ("d", "e", "f", "g", "E: h")
    assert tail_of({"stderr": "E: h", "msg": "it failed: E: h"}) == ("E: h",)
    assert tail_of({"msg": "why"}) == ("why",)


@pytest.fixture
def playbook(tmp_path: Path) -> Playbook:
    (tmp_path / "inventory.yml").write_text(
        "all: {hosts: {n1: {ansible_connection: local}, n2: {ansible_connection: local}}}"
    )
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    return Playbook(private, tmp_path / "inventory.yml", {**os.environ, "ANSIBLE_LOG_PATH": "/nonexistent/x"}, tmp_path)


def hosts_of(playbook: Playbook, works: dict[str, Work]) -> Path:
    works = {name: replace(work, undo={}) for name, work in works.items()}  # this machine is no node of a cluster
    return write_phase(
        playbook.private, "x", works, {name: {"ansible_python_interpreter": sys.executable} for name in works}
    )


def mine(path: Path, content: bytes, *, secret: bool = False) -> File:
    import grp
    import pwd

    user = pwd.getpwuid(os.getuid())
    return File(str(path), content, owner=user.pw_name, group=grp.getgrgid(user.pw_gid).gr_name, secret=secret)


def test_the_playbook_really_applies_and_tells_who_failed_why(playbook: Playbook, tmp_path: Path) -> None:
    good = mine(tmp_path / "good {{ braces }}", b"content {{ braces }}")
    secret = mine(tmp_path / "key", b"canary-of-a-key", secret=True)
    bad = mine(tmp_path / "missing" / "x", b"")
    works = {
        "n1": work_of("x", [good, secret], difference([good, secret], Observation())),
        "n2": work_of("x", [bad], difference([bad], Observation())),
        "n3": work_of("x", [secret], difference([secret], Observation())),
    }
    playbook.inventory.write_text(
        "all: {hosts: {n1: {ansible_connection: local}, n2: {ansible_connection: local},"
        " n3: {ansible_host: 127.0.0.1, ansible_port: 1}}}"
    )
    told: list[TaskFailure] = []
    tasks: list[tuple[str, str]] = []
    played = playbook.apply(
        "x", hosts_of(playbook, works), on_task=lambda *one: tasks.append(one), on_failure=told.append
    )
    assert played.trouble is None
    assert (tmp_path / "good {{ braces }}").read_bytes() == good.content
    assert (tmp_path / "key").read_bytes() == b"canary-of-a-key"
    assert ("n1", "Put files in place") in tasks
    assert played.failures == {failure.node: failure for failure in told}
    lost, failure = played.failures["n3"], played.failures["n2"]
    assert (lost.reason, lost.unreachable) == ("the connection to it was lost", True)
    assert (failure.node, failure.task, failure.unreachable) == ("n2", "Have all files in place", False)
    assert failure.reason == f"{bad.path}: No such file or directory"
    program = call_of(works["n1"].program)
    artefacts = [path.read_bytes() for path in (playbook.private / "artifacts").rglob("*") if path.is_file()]
    assert artefacts
    for shape in (b"canary-of-a-key", program.encode(), program[:40].encode()):
        assert not [text for text in artefacts if shape in text]
        assert shape.decode() not in played.log


def test_why_files_took_too_long_is_told(playbook: Playbook, tmp_path: Path) -> None:
    slow = replace(mine(tmp_path / "x", b"canary", secret=True), validate="sleep 62.75")
    one = work_of("x", [slow], difference([slow], Observation()))
    hasty = replace(playbook, task_seconds=1)
    failure = hasty.apply("x", hosts_of(hasty, {"n1": one})).failures["n1"]
    assert failure.reason == "Timed out after 1 second(s)."


def test_nodes_with_the_same_files_share_one_program(tmp_path: Path) -> None:
    other = File("/etc/chrony.conf", b"y")
    works = {
        name: work_of("x", [file], difference([file], Observation()))
        for name, file in (("n1", FILE), ("n2", FILE), ("n3", other))
    }
    hosts = write_phase(tmp_path, "x", works, {name: {} for name in works})
    read = yaml.load(hosts.read_text(), Loader=Loader)["all"]["hosts"]  # noqa: S506 - a safe one with one tag more
    for kind in ("aiops_files", "aiops_memory"):
        programs = {name: read[name][kind] for name in works}
        assert programs["n1"] == programs["n2"] != programs["n3"]
    assert len(list((tmp_path / "x").glob("*.py"))) == 4


def call_of(program: str | None) -> str:
    """What the program calls `main` with: all contents, packed."""
    assert program is not None
    return program.rstrip().rpartition("\nmain('")[2].removesuffix("')")


def test_a_playbook_that_cannot_start_is_trouble_for_all(playbook: Playbook, tmp_path: Path) -> None:
    hosts = hosts_of(playbook, {"n1": work_of("x", [], [])})
    (tmp_path / "inventory.yml").write_text("all: {hosts: [broken")
    (tmp_path / "broken.yml").write_text("- hosts: all\n  nonsense: true\n")
    broken = Playbook(
        playbook.private, playbook.inventory, playbook.environment, tmp_path, playbook=tmp_path / "broken.yml"
    )
    played = broken.apply("x", hosts)
    assert played.trouble
    assert "nonsense" in played.trouble


def test_an_interrupt_kills_what_ansible_has_started(
    playbook: Playbook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    slow = "- hosts: all\n  gather_facts: false\n  tasks:\n    - ansible.builtin.command: sleep 60.25\n"
    (tmp_path / "slow.yml").write_text(slow)
    sleeper = Playbook(
        playbook.private, playbook.inventory, playbook.environment, tmp_path, playbook=tmp_path / "slow.yml"
    )

    def interrupt(seconds: float | None = None) -> None:
        deadline = time.monotonic() + 30
        while not sleeping():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        if not seen:
            seen.append("interrupted")
            raise KeyboardInterrupt

    import threading

    join = threading.Thread.join
    monkeypatch.setattr(
        threading.Thread,
        "join",
        lambda self, timeout=None: interrupt() if self.name == "ansible-x" and not seen else join(self, timeout),
    )
    with pytest.raises(KeyboardInterrupt):
        sleeper.apply("x", hosts_of(sleeper, {"n1": work_of("x", [], [])}))
    assert not sleeping()


def test_a_task_that_never_ends_fails_its_node_and_no_other(playbook: Playbook, tmp_path: Path) -> None:
    (tmp_path / "slow.yml").write_text(
        "- hosts: all\n  gather_facts: false\n  tasks:\n"
        "    - name: Hang\n      ansible.builtin.command: sleep 60.25\n      when: inventory_hostname == 'n1'\n"
        f"    - name: Go on\n      ansible.builtin.file: {{path: '{tmp_path}/after', state: touch}}\n"
    )
    hanging = Playbook(
        playbook.private,
        playbook.inventory,
        playbook.environment,
        tmp_path,
        playbook=tmp_path / "slow.yml",
        task_seconds=2,
    )
    begun: list[tuple[str, str]] = []
    works = {name: work_of("x", [], []) for name in ("n1", "n2")}
    played = hanging.apply("x", hosts_of(playbook, works), on_start=lambda *one: begun.append(one))
    assert list(played.failures) == ["n1"]
    assert "2 second" in played.failures["n1"].reason
    assert played.trouble is None
    assert ("n2", "Go on") in begun
    assert (tmp_path / "after").exists()
    assert not sleeping()


def test_a_cancelled_playbook_ends_with_all_it_has_started(playbook: Playbook, tmp_path: Path) -> None:
    (tmp_path / "slow.yml").write_text(
        "- hosts: all\n  gather_facts: false\n  tasks:\n    - ansible.builtin.command: sleep 60.25\n"
    )
    sleeper = Playbook(
        playbook.private, playbook.inventory, playbook.environment, tmp_path, playbook=tmp_path / "slow.yml"
    )
    deadline = time.monotonic() + 30
    played = sleeper.apply(
        "x",
        hosts_of(sleeper, {"n1": work_of("x", [], [])}),
        cancel=lambda: bool(sleeping()) or time.monotonic() > deadline,
    )
    assert time.monotonic() < deadline
    assert played.trouble == "Ansible was ended on the way"
    assert not sleeping()


def test_an_owner_that_slept_says_why_ansible_has_ended(playbook: Playbook, tmp_path: Path) -> None:
    (tmp_path / "broken.yml").write_text("- hosts: all\n  tasks: [{no_such_module: {}}]\n")
    broken = Playbook(
        playbook.private, playbook.inventory, playbook.environment, tmp_path, playbook=tmp_path / "broken.yml"
    )
    hosts = hosts_of(broken, {"n1": work_of("x", [], [])})
    (playbook.private / PAUSED).touch()
    assert "stopped for too long" in str(broken.apply("x", hosts).trouble)
    assert "no_such_module" in str(broken.apply("y", hosts).trouble)


def test_what_is_killed_while_it_puts_files_leaves_no_content_behind(playbook: Playbook, tmp_path: Path) -> None:
    home = tmp_path / "home"  # what Ansible copies to a node is there, and stays when it is killed
    canary = b"canary-of-a-key"
    slow = replace(mine(tmp_path / "key", canary, secret=True), validate="sleep 61.75")
    one = work_of("x", [slow], difference([slow], Observation()))
    payload = call_of(one.program).encode()
    found: list[Path] = []

    def look() -> bool:
        if not sleeping("61.75"):
            return False
        files = [path for place in (home, playbook.private / "artifacts") for path in place.rglob("*")]
        shapes = (canary, b64encode(canary), payload, payload[:40])
        found.extend(path for path in files if path.is_file() and any(one in path.read_bytes() for one in shapes))
        return True

    deadline = time.monotonic() + 30
    homely = replace(playbook, environment={**playbook.environment, "ANSIBLE_REMOTE_TMP": str(home)})
    played = homely.apply("x", hosts_of(homely, {"n1": one}), cancel=lambda: look() or time.monotonic() > deadline)
    assert time.monotonic() < deadline
    assert played.trouble == "Ansible was ended on the way"
    assert found == []
    assert not list(home.rglob("*.py"))
    assert not sleeping("61.75")


def sleeping(seconds: str = "60.25") -> list[str]:
    found = []
    for path in [one / "cmdline" for one in Path("/proc").glob("[0-9]*")]:
        try:
            if path.read_bytes().startswith(f"sleep\0{seconds}".encode()):
                found.append(path.parent.name)
        except OSError:
            continue
    return found


def test_shared_connections_are_ended_by_their_title(tmp_path: Path) -> None:
    title = f"ssh: {tmp_path}/ssh/abc [mux]"
    with (
        subprocess.Popen(["sleep", "60"], env={"AWX_ISOLATED_DATA_DIR": f"{tmp_path}/artifacts/x"}) as marked,
        subprocess.Popen([title, "60"], executable="/bin/sleep", env={}) as titled,
        subprocess.Popen(["sleep", "60"], env={"AWX_ISOLATED_DATA_DIR": "/other"}) as other,
    ):
        kill_marked(f"AWX_ISOLATED_DATA_DIR={tmp_path}/", f"ssh: {tmp_path}/")
        assert marked.wait(10) == -9
        assert titled.wait(10) == -9
        assert other.poll() is None
        other.kill()


def test_the_user_s_way_of_connecting_stays_and_the_rest_is_ours(playbook: Playbook) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "ANSIBLE_REMOTE_USER": "admin",
        "ANSIBLE_STDOUT_CALLBACK": "json",
        "ANSIBLE_CALLBACKS_ENABLED": "slack",
        "ANSIBLE_SSH_EXTRA_ARGS": "-o Mine=yes",
        "ANSIBLE_LOG_PATH": "/var/log/ansible.log",
        "AIOPS_DB": "postgresql://user:canary@host/db",
    }
    given_playbook = Playbook(playbook.private, playbook.inventory, environment, playbook.folder)
    runner = given_playbook._runner("x", playbook.private / "x" / "hosts.yml", _reader(), _event(), 60.0)
    made = runner.config.env
    assert made["ANSIBLE_REMOTE_USER"] == "admin"
    assert made["ANSIBLE_STDOUT_CALLBACK"] == "awx_display"
    assert made["ANSIBLE_CALLBACKS_ENABLED"] != "slack"
    assert made["ANSIBLE_LOG_PATH"] == os.devnull
    assert "ANSIBLE_HOST_KEY_CHECKING" not in made
    assert made["ANSIBLE_SSH_EXTRA_ARGS"] == "-o Mine=yes -o ServerAliveInterval=15 -o ServerAliveCountMax=4"
    assert 1800 < int(made["ANSIBLE_TASK_TIMEOUT"]) < IDLE_SECONDS
    assert "canary" not in repr(made) + repr(runner.config.command) + repr(given_playbook)


def _reader() -> Any:
    from aiops.layers.l1_cluster.playbook import _Reader

    return _Reader(None, None, None)


def _event() -> Any:
    import threading

    return threading.Event()


def test_every_play_has_its_group_and_every_group_its_play() -> None:
    plays = yaml.safe_load((shipped_phases() / "apply.yml").read_text())
    named = [name.lstrip("&!") for play in plays for name in play["hosts"].split(":")]
    assert set(named) == set(GROUPS)
    worked_on = [name for play in plays for name in play["hosts"].split(":") if name in GROUPS]
    assert list(dict.fromkeys(worked_on)) == [
        name for name in GROUPS if name not in {"aiops_files_first", "aiops_remembering"}
    ]


def test_what_is_there_is_remembered_first_and_again_after_packages() -> None:
    plays = [play["hosts"] for play in yaml.safe_load((shipped_phases() / "apply.yml").read_text())]
    assert plays[0] == "aiops_remember:!aiops_files_first"
    again = "aiops_remove:aiops_install:&aiops_remembering:!aiops_put"
    assert plays.index(again) == plays.index("aiops_install") + 1


def test_a_node_is_in_the_groups_where_it_has_work(tmp_path: Path) -> None:
    resources: list[Resource] = [Package("a", held=True), Service("b"), FILE]
    one = work_of("x", resources, difference(resources, Observation()))
    none = work_of("x", [], [])
    hosts = write_phase(tmp_path, "x", {"n1": one, "n2": none}, {"n1": {"aiops_gated": True}, "n2": {}})
    children = yaml.load(hosts.read_text(), Loader=Loader)["all"]["children"]  # noqa: S506 - as above
    found = [name for name, group in children.items() if group["hosts"]]
    assert found == [
        "aiops_remembering",  # the first time it was done when the gate was opened
        *("aiops_install", "aiops_hold", "aiops_put", "aiops_services", "aiops_restarted"),
    ]
    assert children["aiops_put"]["hosts"] == {"n1": {}}


def test_every_module_goes_through_the_gate(playbook: Playbook, tmp_path: Path) -> None:
    build_gate(str(tmp_path), 7, sys.executable)
    one = mine(tmp_path / "x", b"content")
    work = replace(work_of("x", [one], difference([one], Observation())), undo={})
    python = interpreter(7).replace(FOLDER, str(tmp_path))
    hosts = write_phase(playbook.private, "x", {"n1": work}, {"n1": {"ansible_python_interpreter": python}})
    raise_to(str(tmp_path / EPOCH), 8)
    reason = playbook.apply("x", hosts).failures["n1"].reason
    assert reason == "fence: epoch 7 is stale, this node has seen 8"
    assert refused(reason)
    build_gate(str(tmp_path), 8, sys.executable)
    reason = playbook.apply("x", hosts).failures["n1"].reason
    assert refused(reason.replace(str(tmp_path), FOLDER)), reason
    assert not (tmp_path / "x").exists()
    (tmp_path / EPOCH).write_text("7\n")
    build_gate(str(tmp_path), 7, sys.executable)
    assert playbook.apply("x", hosts).failures == {}
    assert (tmp_path / "x").read_bytes() == b"content"


def test_by_hand_there_is_no_gate() -> None:
    node = Node("n1", connection=Connection(address="10.0.0.1"), variables={"aiops_repository": "system"})
    cluster = cluster_context(Inventory(Path("inventory.yml"), "test", (node,), {}), {})
    phase = read_phases(shipped_phases())[0]
    by_hand = variables_of(phase, node, cluster, None)
    assert (by_hand["ansible_python_interpreter"], by_hand["aiops_gated"]) == ("/usr/bin/python3", False)
    found = variables_of(phase, node, cluster, 7)
    assert found["ansible_python_interpreter"] == "/var/lib/aiops/gate-7"
    assert found["aiops_gated"]

"""What the keeper of a lock remembers: the tenures before, and which cluster it is."""

import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.layers.core.errors import ConflictError
from aiops.layers.l0_nodes.node import Connection, Node
from aiops.layers.l1_cluster.identity import FILE, Identity, forget
from aiops.layers.l1_cluster.lock import ClusterLock, FolderKeeper
from aiops.layers.l1_cluster.owner import Owner
from aiops.layers.l1_cluster.past import Past
from aiops.layers.l1_cluster.remote import lock as remote

ANN: dict[str, Any] = {"user": "ann", "host": "ctl1"}
BOB: dict[str, Any] = {"user": "bob", "host": "ctl2"}


def at(up: float) -> dict[str, Any]:
    return {"wall": 1_000.0 + up, "up": up, "boot": "b"}


def acquire(token: str, owner: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"verb": "acquire", "token": token, "owner": owner, "dead": None, **more}


def ends(state: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    return [(one["owner"]["user"], one["how"], (one["by"] or {}).get("user")) for one in state["history"]]


def test_every_end_of_a_tenure_is_remembered_with_who_ended_it() -> None:
    state, _ = remote.decide(remote.empty(), acquire("a", ANN, purpose="aiops cluster deploy"), at(0))
    state, _ = remote.decide(state, {"verb": "release", "token": "a"}, at(5))
    state, taken = remote.decide(state, acquire("b", BOB), at(10))
    state, _ = remote.decide(state, {"verb": "release", "epoch": taken["epoch"], "by": ANN}, at(15))
    state, _ = remote.decide(state, acquire("c", BOB), at(20))
    state, taken = remote.decide(state, acquire("d", ANN), at(90))
    assert taken["reason"] == "stale"
    state, _ = remote.decide(state, acquire("e", BOB, dead=taken["epoch"]), at(95))
    assert ends(state) == [
        ("ann", "released", None),
        ("bob", "by_hand", "ann"),
        ("bob", "stale", "ann"),
        ("ann", "dead", "bob"),
    ]
    assert state["history"][0]["purpose"] == "aiops cluster deploy"
    assert [one["ended"] for one in state["history"]] == [1005.0, 1015.0, 1090.0, 1095.0]
    told = remote.decide(state, {"verb": "history"}, at(99))
    assert told[0] is state
    assert told[1]["history"] == state["history"]
    assert "token" not in json.dumps(told[1])


def test_only_after_a_clean_end_nobody_else_can_be_at_work() -> None:
    state, first = remote.decide(remote.empty(), acquire("a", ANN), at(0))
    assert first["clean"], "nobody ever held it"
    lost, after_repair = remote.decide({**remote.empty(), "torn": True}, acquire("a", ANN), at(0))
    assert (after_repair["clean"], "torn" in lost) == (False, False)
    state, _ = remote.decide(state, {"verb": "release", "token": "a"}, at(1))
    state, second = remote.decide(state, acquire("b", ANN), at(2))
    assert second["clean"]
    _, taken = remote.decide(state, acquire("c", ANN), at(80))
    assert not taken["clean"]
    state, _ = remote.decide(state, {"verb": "release", "epoch": second["epoch"]}, at(3))
    _, after_release_by_hand = remote.decide(state, acquire("d", ANN), at(4))
    assert not after_release_by_hand["clean"]
    assert after_release_by_hand["previous"] is None


def test_the_history_is_bounded() -> None:
    state = remote.empty()
    for number in range(remote.HISTORY + 7):
        state, _ = remote.decide(state, acquire(f"t{number}", ANN, purpose=str(number)), at(number))
        state, _ = remote.decide(state, {"verb": "release", "token": f"t{number}"}, at(number))
    assert len(state["history"]) == remote.HISTORY
    assert [state["history"][index]["purpose"] for index in (0, -1)] == ["7", str(remote.HISTORY + 6)]


def test_a_state_of_before_there_was_a_history_goes_on() -> None:
    old = remote.parse('{"v": 1, "epoch": 3, "holder": null}')
    state, answer = remote.decide(old, acquire("a", ANN), at(0))
    assert (answer["answer"], answer["clean"]) == ("granted", False)
    state, _ = remote.decide(state, {"verb": "release", "token": "a"}, at(1))
    assert len(state["history"]) == 1


def test_who_only_looks_leaves_no_trace(tmp_path: Path) -> None:
    lock = ClusterLock(FolderKeeper(tmp_path / "lock"))
    assert lock.show() is None
    assert not lock.release(1)
    assert lock.past() == ()
    assert not (tmp_path / "lock").exists()


def test_the_past_is_told_with_who_holds_it_now(tmp_path: Path) -> None:
    lock = ClusterLock(FolderKeeper(tmp_path / "lock"))
    owner = Owner("bob", "ctl2", "boot", "pid:[1]", 7, 1, "r-1")
    lock.acquire(owner, "aiops cluster deploy").release()
    with lock.acquire(replace(owner, run="r-2")) as held:
        assert held.tenure.clean
        past = lock.past()
        assert [(one.owner.run, one.how) for one in past] == [("r-1", "released"), ("r-2", None)]
        assert past[0].purpose == "aiops cluster deploy"
        assert lock.release(held.epoch, Owner.here("r-3"))
    assert lock.past()[-1].by == Owner.here("r-3")
    assert all(isinstance(one, Past) and json.dumps(one.document()) for one in lock.past())


def test_after_a_repair_others_may_be_at_work(tmp_path: Path) -> None:
    lock = ClusterLock(FolderKeeper(tmp_path))
    lock.acquire(Owner.here("r-1")).release()
    (tmp_path / "state.json").write_text("half a st")
    lock.repair()
    with lock.acquire(Owner.here("r-2")) as held:
        assert not held.tenure.clean
    with lock.acquire(Owner.here("r-3")) as held:
        assert held.tenure.clean


# ---------------------------------------------------------------- which cluster


def head(name: str = "head", address: str = "10.0.0.1", port: int | None = None) -> Node:
    return Node(name, connection=Connection(address=address, port=port))


class Site:
    """One AIOPS_HOME and some heads, each with a lock of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def lock(self, cluster: str, node: Node | None, *, home: str = "home") -> ClusterLock:
        folder = self.folder / home / "clusters" / cluster
        place = folder / "lock" if node is None else self.folder / "heads" / f"{node.name}-{node.connection.address}"
        return ClusterLock(FolderKeeper(place), identity=Identity(folder, node))

    def deploy(self, cluster: str, node: Node | None, *, home: str = "home") -> str | None:
        with self.lock(cluster, node, home=home).acquire(Owner.here("r-1")) as held:
            return held.tenure.renamed

    def reinstall(self, node: Node) -> None:
        for path in (self.folder / "heads" / f"{node.name}-{node.connection.address}").iterdir():
            path.unlink()

    def id_of(self, node: Node) -> str:
        state = json.loads((self.folder / "heads" / f"{node.name}-{node.connection.address}/state.json").read_text())
        return str(state["cluster"]["id"])


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_another_head_under_the_same_name_is_refused_before_anything_is_done_to_it(site: Site, tmp_path: Path) -> None:
    site.deploy("lab-a", head())
    other = head(address="10.9.0.1")
    remembered = (tmp_path / "home/clusters/lab-a" / FILE).read_bytes()
    acts: list[Callable[[], object]] = [
        lambda: site.deploy("lab-a", other),
        lambda: site.lock("lab-a", other).require_known(),
    ]
    for act in acts:
        with pytest.raises(ConflictError) as refused:
            act()
        assert refused.value.code == "cluster.other"
        assert "10.0.0.1" in refused.value.message
        assert "10.9.0.1" in refused.value.message
        assert "aiops_cluster" in refused.value.hints[0]
    assert not (tmp_path / "heads/head-10.9.0.1").exists()
    assert (tmp_path / "home/clusters/lab-a" / FILE).read_bytes() == remembered
    site.deploy("lab-b", other)
    site.deploy("lab-a", head())


def test_a_cluster_that_others_deployed_under_that_name_is_refused_too(site: Site) -> None:
    site.deploy("lab-a", head())
    site.deploy("lab-a", head(address="10.9.0.1"), home="home-of-bob")
    with pytest.raises(ConflictError, match="calls itself `lab-a`"):
        site.deploy("lab-a", head(address="10.9.0.1"))


def test_the_same_address_with_another_id_is_another_cluster(site: Site) -> None:
    """Two sites may both number their networks from 10.0.0.1."""
    site.deploy("lab-a", head())
    site.reinstall(head())
    site.deploy("lab-a", head(), home="home-of-bob")
    with pytest.raises(ConflictError) as refused:
        site.deploy("lab-a", head())
    assert refused.value.code == "cluster.other"


def test_a_head_that_was_installed_anew_is_the_same(site: Site) -> None:
    site.deploy("lab-a", head())
    before = site.id_of(head())
    site.reinstall(head())
    site.deploy("lab-a", head())
    assert site.id_of(head()) == before


def test_a_head_that_has_moved_is_known_by_its_id(site: Site, tmp_path: Path) -> None:
    site.deploy("lab-a", head())
    (tmp_path / "heads/head-10.0.0.1").rename(tmp_path / "heads/head-10.0.0.7")
    moved = head(address="10.0.0.7")
    site.lock("lab-a", moved).require_known()
    site.deploy("lab-a", moved)
    assert json.loads((tmp_path / "home/clusters/lab-a" / FILE).read_text())["address"] == "10.0.0.7"


def test_two_controllers_of_one_cluster_agree_on_its_id(site: Site, tmp_path: Path) -> None:
    site.deploy("lab-a", head())
    site.deploy("lab-a", head(), home="home-of-bob")
    assert (tmp_path / "home/clusters/lab-a" / FILE).read_bytes() == (
        tmp_path / "home-of-bob/clusters/lab-a" / FILE
    ).read_bytes()


def test_a_new_name_is_told_once(site: Site) -> None:
    assert site.deploy("lab-a", head()) is None
    assert site.deploy("lab-b", head()) == "lab-a"
    assert site.deploy("lab-b", head()) is None


def test_a_cluster_may_get_its_first_head_and_never_loses_it(site: Site) -> None:
    site.deploy("lab-a", None)
    site.deploy("lab-a", head())
    with pytest.raises(ConflictError):
        site.deploy("lab-a", None)
    assert site.lock("lab-a", None).show() is None


def test_what_was_deployed_under_a_head_that_is_gone_can_be_undone_without_it(site: Site, tmp_path: Path) -> None:
    """Only that: no deploy goes on without the head, before or after."""
    site.deploy("lab-a", head())
    folder = tmp_path / "home/clusters/lab-a"
    remembered = (folder / FILE).read_bytes()
    lock = ClusterLock.of(None, folder / "lock", headless=True)
    lock.require_known()
    with lock.acquire(Owner.here("r-2")):
        pass
    with lock.acquire(Owner.here("r-3")):
        pass
    assert (folder / FILE).read_bytes() == remembered
    with pytest.raises(ConflictError) as refused:
        site.deploy("lab-a", None)
    assert "names none" in refused.value.message
    assert "`aiops cluster reset --confirm lab-a`" in refused.value.hints[1]
    site.deploy("lab-a", head())


def test_a_head_of_another_cluster_is_refused_by_a_reset_too(site: Site, tmp_path: Path) -> None:
    site.deploy("lab-a", head())
    identity = Identity(tmp_path / "home/clusters/lab-a", head(address="10.9.0.1"), headless=True)
    with pytest.raises(ConflictError):
        ClusterLock(FolderKeeper(tmp_path / "other"), identity=identity).acquire(Owner.here("r-2"))


def test_a_spoilt_memory_is_made_anew(site: Site, tmp_path: Path) -> None:
    site.deploy("lab-a", head())
    (tmp_path / "home/clusters/lab-a" / FILE).write_text("[")
    site.deploy("lab-a", head())
    assert json.loads((tmp_path / "home/clusters/lab-a" / FILE).read_text())["id"] == site.id_of(head())


def test_what_a_name_stands_for_can_be_forgotten(site: Site, tmp_path: Path) -> None:
    site.deploy("lab-a", head())
    forget(tmp_path / "home/clusters/never-met", "head", "10.0.0.1")
    forget(tmp_path / "home/clusters/lab-a", "head", "10.9.0.1")
    with pytest.raises(ConflictError):
        site.deploy("lab-a", head(address="10.9.0.1"))
    forget(tmp_path / "home/clusters/lab-a", "head", "10.0.0.1")
    site.deploy("lab-a", head(address="10.9.0.1"))


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["deploy", "deploy", "deploy", "reinstall"]),
        st.sampled_from(["home", "home-of-bob"]),
        st.sampled_from(["lab-a", "lab-b"]),
        st.sampled_from(["10.0.0.1", "10.9.0.1", ""]),
    ),
    max_size=14,
)


@settings(max_examples=60, deadline=None)
@given(ACTS)
def test_states_of_two_clusters_never_mix(acts: list[tuple[str, str, str, str]]) -> None:
    """Whatever is deployed from wherever under whichever name: a name in a home stands for one head, for good."""
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder))
        stands_for: dict[tuple[str, str], str] = {}
        for act, home, cluster, address in acts:
            if act == "reinstall":
                if (site.folder / "heads" / f"head-{address}").exists():
                    site.reinstall(head(address=address))
                continue
            before = tree(site.folder / home / "clusters" / cluster)
            try:
                site.deploy(cluster, head(address=address) if address else None, home=home)
            except ConflictError:
                assert tree(site.folder / home / "clusters" / cluster) == before
                continue
            # A cluster may get its first head; nothing else may change what a name stands for.
            known = stands_for.get((home, cluster), "")
            assert known in {address, ""}
            stands_for[home, cluster] = address


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*.json")}

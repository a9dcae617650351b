"""Slurm's words, read and written: no text of a user's is taken for Slurm's, and what is garbled is unknown."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.fake_slurm import FakeSlurm
from tests.support.fake_transport import FakeTransport, Program

from aiops.layers.core.errors import FailedError
from aiops.layers.core.plugin import Plugins
from aiops.layers.l0_nodes.connector import Connector
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.inventory import Inventory
from aiops.layers.l0_nodes.node import Connection, Node
from aiops.layers.l1_cluster.draining import Hold, Standing, workloads_of
from aiops.plugins.slurm import Slurm
from aiops.plugins.slurm.commands import drain, plain, resume, show_jobs
from aiops.plugins.slurm.reading import SlurmNode, jobs_by_node, named, read_nodes, standing_of

# Taken from a cluster of Debian 12 (Slurm 22.05.8); the last line was shortened.
CAPTURED = """NodeName=gpu01 Arch=x86_64 CoresPerSocket=2
   CPUAlloc=1 CPUEfctv=2 CPUTot=2 CPULoad=7.98
   Gres=gpu:4
   NodeAddr=10.199.3.11 NodeHostName=gpu01 Version=22.05.8
   OS=Linux 6.18.44 #1 SMP PREEMPT_DYNAMIC @0
   State=MIXED+DRAIN ThreadsPerCore=1 TmpDisk=0 Weight=1 Owner=N/A MCS_label=N/A
   BootTime=2026-11-21T20:44:47 SlurmdStartTime=2026-11-22T00:11:02
   AllocTRES=cpu=1,mem=11424M
   Reason=aiops: reboot, run r-1: it's "x" = y [root@2026-11-22T00:11:43]

NodeName=gpu02 Arch=x86_64 CoresPerSocket=2
   NodeAddr=10.199.3.12 NodeHostName=gpu02 Version=22.05.8
   State=UNKNOWN+NOT_RESPONDING ThreadsPerCore=1 TmpDisk=0 Weight=1 Owner=N/A MCS_label=N/A
   BootTime=None SlurmdStartTime=None

"""


def test_a_captured_answer() -> None:
    first, second = read_nodes(CAPTURED)
    assert first.name == "gpu01"
    assert first.states == {"MIXED", "DRAIN"}
    assert first.reason == 'aiops: reboot, run r-1: it\'s "x" = y'
    assert (first.host, first.address, first.started) == ("gpu01", "10.199.3.11", "2026-11-22T00:11:02")
    assert standing_of(first, ("job 1 of root",)).state == "draining"
    assert standing_of(second, ()) == Standing("in_service", session=None)


@pytest.mark.parametrize(
    ("state", "work", "expected"),
    [
        ("IDLE", (), "in_service"),
        ("IDLE+PLANNED", (), "in_service"),
        ("ALLOCATED", ("job 1 of a",), "in_service"),
        ("MIXED+MAINTENANCE", ("job 1 of a",), "in_service"),
        ("IDLE+DRAIN", (), "drained"),
        ("IDLE*+DRAIN", (), "drained"),
        ("IDLE+DRAIN", ("job 1 of a",), "draining"),  # Slurm's own two answers differ: the worse counts
        ("MIXED+DRAIN", (), "draining"),
        ("IDLE+COMPLETING+DRAIN", (), "draining"),
        ("UNKNOWN+DRAIN", (), "drained"),  # slurmctld has just started; it knows its jobs and gives it none
        ("UNKNOWN+DRAIN", ("job 1 of a",), "draining"),
        ("DOWN+DRAIN", (), "drained"),
        ("IDLE+FAIL", (), "drained"),
        ("DOWN*", (), "down"),
        ("DOWN", ("job 1 of a",), "draining"),
        ("FUTURE", (), "down"),
        ("", (), "unknown"),
        ("WHATEVER", (), "unknown"),
        ("WHATEVER+DRAIN", (), "unknown"),
    ],
)
def test_where_a_node_stands(state: str, work: tuple[str, ...], expected: str) -> None:
    (node,) = read_nodes(f"NodeName=n1 Arch=x86_64\n   State={state} ThreadsPerCore=1\n")
    assert standing_of(node, work).state == expected


@pytest.mark.parametrize("state", ["IDLE*", "IDLE+NOT_RESPONDING", "DOWN*+DRAIN"])
def test_a_node_that_does_not_respond_has_no_session(state: str) -> None:
    (node,) = read_nodes(f"NodeName=n1\n   State={state}\n   SlurmdStartTime=2026-11-22T00:11:02\n")
    assert node.started is not None
    assert standing_of(node, ()).session is None


def test_jobs_hold_their_nodes_until_they_are_over() -> None:
    jobs = jobs_by_node(
        "41|COMPLETED|alice|n[1-4]\n42_7|RUNNING|alice|n[1-2]\n43|COMPLETING|bob|n2\n44|PENDING|bob|\n45|NEWSTATE|c|n3\n"
    )
    assert jobs == {
        "n1": ("job 42_7 of alice",),
        "n2": ("job 42_7 of alice", "job 43 of bob"),
        "n3": ("job 45 of c",),
    }


@pytest.mark.parametrize("line", ["nonsense", "1|RUNNING|a|n1|more", "1|RUNNING|a|n[1-"])
def test_a_garbled_list_of_jobs_is_no_empty_one(line: str) -> None:
    with pytest.raises(FailedError) as caught:
        jobs_by_node(f"{line}\n")
    assert caught.value.code == "slurm.garbled"


def test_nodes_are_found_by_name_address_or_host() -> None:
    known = [SlurmNode("n1"), SlurmNode("c2", host="n2"), SlurmNode("c3", address="10.0.0.3")]
    nodes = [
        Node("n1"),
        Node("n2"),
        Node("n3", connection=Connection(address="10.0.0.3")),
        Node("n4", connection=Connection(address="10.0.0.4")),
    ]
    assert {name: one.name for name, one in named(nodes, known).items()} == {"n1": "n1", "n2": "c2", "n3": "c3"}


@given(st.text())
def test_any_answer_is_read(text: str) -> None:
    for node in read_nodes(text):
        standing_of(node, ())


@given(st.text(max_size=120))
def test_a_reason_comes_back_as_it_was_written(why: str) -> None:
    slurm = FakeSlurm("w1", "w2")
    reason = plain(str(Hold("accelerator", "r-1122-0001", why)))
    workload = slurm.workload
    workload.drain([Node("w1")], reason, 7)
    standings = workload.standings([Node("w1"), Node("w2")])
    assert standings["w1"].reason == reason
    assert standings["w1"].state == "drained"
    assert standings["w2"] == Standing("in_service", session="2026-11-22T00:11:02")
    hold = Hold.of(standings["w1"])
    assert hold is not None
    assert (hold.phase, hold.run) == ("accelerator", "r-1122-0001")


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=80))
def test_a_reason_is_one_word_of_the_command(why: str) -> None:
    command = drain(["w1", "w2"], f"aiops: {why}")
    assert command.argv[:4] == ("scontrol", "update", "NodeName=w1,w2", "State=DRAIN")
    assert len(command.argv) == 5
    assert command.argv[4].startswith("Reason=aiops:")
    assert not set(command.argv[4]) & set('"\n\r\0')
    assert shlex.split(str(command)) == list(command.argv)


@given(st.text(max_size=60))
def test_a_foreign_reason_is_never_taken_for_ours(text: str) -> None:
    slurm = FakeSlurm("w1")
    slurm.nodes["w1"].drained = True
    slurm.nodes["w1"].reason = plain(f"x{text} aiops: reboot in base, run r-1: y")
    slurm.workload.drain([Node("w1")], "aiops: reboot in base, run r-2: z", 7)
    slurm.workload.resume([Node("w1")], 7)
    assert slurm.updates == []


NO_CONFIGURATION = b"scontrol: error: fetch_config: failed\nscontrol: fatal: Could not establish a configuration source"


@pytest.mark.parametrize("programs", [{}, {"scontrol": lambda _: (1, b"", NO_CONFIGURATION)}])
def test_a_head_without_slurm_tells_nothing_of_nodes_on_which_it_runs(programs: dict[str, Program]) -> None:
    """A head that was installed anew: daemons and jobs on the workers live on, and reboots would end them."""

    def processes(*names: str) -> dict[str, Program]:
        return {"sh": lambda _: (0, "".join(f"{name}\n" for name in ("systemd", *names)).encode(), b"")}

    hosts = {
        "bare": FakeTransport(Node("bare"), processes()),
        "idle": FakeTransport(Node("idle"), processes("slurmd")),
        "busy": FakeTransport(Node("busy"), processes("slurmd", "slurmstepd")),
        "mute": FakeTransport(Node("mute"), {"sh": lambda _: (0, b"", b"")}),
        "gone": FakeTransport(Node("gone")),
    }
    hosts["gone"].close()
    head = FakeTransport(Node("head"), programs)
    with Fleet(lambda node: hosts[node.name]) as fleet:
        slurm = Slurm(head, fleet)
        standings = slurm.standings([Node(name) for name in hosts])
        assert {name: one.state for name, one in standings.items()} == dict.fromkeys(
            ("idle", "busy", "mute", "gone"), "unknown"
        )
        assert standings["busy"].reason == (
            "there is no Slurm on head, and on busy runs slurmd and slurmstepd: deploy to the head first"
        )
        # A first deploy: nobody works on bare nodes, and nothing is waited for.
        assert slurm.standings([Node("bare")]) == {}
        with pytest.raises(FailedError):
            slurm.drain([Node("idle")], "aiops: reboot in base, run r-1: x", 7)


def test_a_node_that_is_listed_and_has_no_daemon_yet_is_in_nobodys_service() -> None:
    names = ("bare", "stopped", "busy", "gone")
    listed = "".join(f"NodeName={name}\n   State=UNKNOWN+NOT_RESPONDING\n   SlurmdStartTime=None\n\n" for name in names)
    jobs = b"7|RUNNING|alice|busy\n"
    head = FakeTransport(
        Node("head"), {"scontrol": lambda _: (0, listed.encode(), b""), "squeue": lambda _: (0, jobs, b"")}
    )
    hosts = {
        "bare": FakeTransport(Node("bare"), {"sh": lambda _: (0, b"systemd\n", b"")}),
        "stopped": FakeTransport(Node("stopped"), {"sh": lambda _: (0, b"systemd\nslurmstepd\n", b"")}),
        "busy": FakeTransport(Node("busy"), {"sh": lambda _: (0, b"systemd\n", b"")}),
        "gone": FakeTransport(Node("gone")),
    }
    hosts["gone"].close()
    with Fleet(lambda node: hosts[node.name]) as fleet:
        standings = Slurm(head, fleet).standings([Node(name) for name in names])
    assert {name: one.state for name, one in standings.items()} == dict.fromkeys(
        ("stopped", "busy", "gone"), "in_service"
    )


def test_why_nothing_is_known_is_told() -> None:
    slurm = FakeSlurm("w1")
    slurm.silent = True
    reason = slurm.workload.standings([Node("w1")])["w1"].reason
    assert reason == "`scontrol` on head: slurm_load_node error: Unable to contact slurm controller (connect failure)"
    with pytest.raises(FailedError) as caught:
        slurm.workload.resume([Node("w1")], 7)
    assert "slurmctld" in caught.value.hints[0]
    head = Node("head", roles=frozenset({"head"}))
    assert set(slurm.workload.standings([head, Node("w1")])) == {"w1"}
    working = Node("head", roles=frozenset({"head", "workers"}))
    assert set(slurm.workload.standings([working, Node("w1")])) == {"head", "w1"}
    slurm.head.close()
    assert slurm.workload.standings([Node("w1")])["w1"].state == "unknown"


def test_commands() -> None:
    assert resume(["w1"]).argv == ("scontrol", "update", "NodeName=w1", "State=RESUME")
    assert show_jobs().argv == ("squeue", "--all", "--noheader", "--states=all", "--format=%i|%T|%u|%N")
    assert all(command.root for command in (resume(["w1"]), drain(["w1"], "x"), show_jobs()))


def test_it_is_plugged_in_and_connects_to_nobody() -> None:
    def inventory(*nodes: Node) -> Inventory:
        from pathlib import Path

        return Inventory(Path("inventory.yml"), "test", nodes, {})

    with Fleet(Connector({})) as fleet:
        (slurm,) = workloads_of(Plugins(), inventory(Node("head", roles=frozenset({"head"}))), fleet)
        assert slurm.name == "Slurm"
        assert workloads_of(Plugins(), inventory(Node("w1", roles=frozenset({"workers"}))), fleet) == ()

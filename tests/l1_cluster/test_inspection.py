"""One look at a cluster of fake nodes: every node is asked once, nothing is changed, the dead are told."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import yaml

from aiops.layers.core.errors import InputError, UnreachableError
from aiops.layers.l0_nodes.ask import Answer, Record
from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l0_nodes.fleet import Outcome
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l1_cluster.desired import SecretSource
from aiops.layers.l1_cluster.drift import Report, judge
from aiops.layers.l1_cluster.file_difference import difference_of, shown, with_lines
from aiops.layers.l1_cluster.inspection import Inspection, KeptSecrets, Scope
from aiops.layers.l1_cluster.observation import FileState
from aiops.layers.l1_cluster.phase import read_phases
from aiops.layers.l1_cluster.repair import Commands
from aiops.layers.l1_cluster.resource import File
from aiops.layers.l1_cluster.secrets import Secrets
from aiops.layers.l1_cluster.survey import AsksFor, Survey

from .fake_cluster import BASE, SCHEDULER, World

COMMANDS = Commands("inventory.yml")
NEEDY = """
phase: needy
resources:
  - file: /etc/needy
    content: "{{ node.facts.kernel.split('.')[0] }}"
"""


class Memory:
    """Remembers records."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}

    def keep(self, record: Record) -> None:
        self.records[record.node] = record

    def of(self, node: str) -> Record | None:
        return self.records.get(node)


class NoSecrets:
    """A head that does not tell them."""

    def get(self, name: str) -> bytes:
        raise UnreachableError(f"head did not answer about {name}", code="secret.timeout")


@dataclass
class Looking:
    """A world, with what is needed to look at it and a count of how often each node was asked."""

    world: World
    memory: Memory = field(default_factory=Memory)
    asked: Counter[str] = field(default_factory=Counter)

    def probe(self, nodes: Sequence[Node], asks_for: AsksFor) -> Iterator[Outcome[Record]]:
        for outcome in self.world.probe(nodes, asks_for):
            self.asked[outcome.node.name] += 1
            if outcome.value is not None:
                answers = {**outcome.value.answers, **{n: Answer(n) for n in ("probe.clock", "probe.python")}}
                yield Outcome(outcome.node, value=Record(outcome.node.name, outcome.value.at, answers))
            else:
                yield outcome

    def look(
        self, *, on: str | None = None, compared: bool = False, secrets: SecretSource | None = None, lines: bool = False
    ) -> Report:
        self.asked.clear()
        inventory = self.world.inventory
        scope = Scope(inventory, read_phases(self.world.folder / "phases"), inventory.select(on), compared=compared)
        kept = KeptSecrets(secrets or Secrets(self.world.folder / "secrets"))
        survey = Survey(inventory, scope.phases, self, kept, memory=self.memory)
        report = judge(Inspection(scope, survey, self, kept, self.memory).evidence(), COMMANDS)
        return with_lines(report, survey, self, scope.nodes) if lines else report

    fact_asks = property(lambda self: self.world.fact_asks)
    facts = property(lambda self: self.world.facts)


@pytest.fixture
def looking(tmp_path: Path) -> Looking:
    world = World(tmp_path)
    world.deploy(BASE, SCHEDULER)
    return Looking(world)


def found(report: Report) -> list[tuple[tuple[str, ...], str, str]]:
    return [(one.nodes, one.verdict, one.what) for one in report.drifts]


def test_a_deployed_cluster_has_none_and_is_asked_once(looking: Looking) -> None:
    looking.world.on = lambda moment: pytest.fail(moment) if moment != "probe" else None
    assert found(looking.look()) == []
    assert looking.asked == {"head": 2, "w1": 2, "w2": 2}  # nobody had been asked for facts before
    assert found(looking.look()) == []
    assert looking.asked == {"head": 1, "w1": 1, "w2": 1}


def test_what_changed_is_found_where_it_changed(looking: Looking) -> None:
    looking.look()
    looking.world.hosts["w1"].files["/etc/hosts"] = ("0644", "f" * 64)
    looking.world.hosts["w2"].units["slurmd.service"] = "inactive"
    assert found(looking.look()) == [
        (("w1",), "drift", "file:/etc/hosts"),
        (("w2",), "drift", "service:slurmd"),
    ]
    assert looking.asked == {"head": 1, "w1": 1, "w2": 1}
    assert found(looking.look(on="w2")) == [(("w2",), "drift", "service:slurmd")]


def test_a_dead_node_is_unknown_and_hides_nobody(looking: Looking) -> None:
    looking.look()
    looking.world.hosts["w1"].dead = True
    looking.world.hosts["w2"].units["slurmd.service"] = "inactive"
    report = looking.look()
    assert found(report) == [(("w2",), "drift", "service:slurmd"), (("w1",), "unknown", "node")]
    assert looking.asked == {"head": 1, "w1": 1, "w2": 1}
    assert found(looking.look(on="w2")) == [(("w2",), "drift", "service:slurmd")]


def test_a_head_that_keeps_its_secrets_to_itself(looking: Looking) -> None:
    looking.look()
    looking.world.hosts["head"].dead = True
    report = looking.look(secrets=NoSecrets())
    assert found(report) == [
        (("w1", "w2"), "unknown", "file:/etc/munge.key"),
        (("head",), "unknown", "node"),
    ]
    assert report.drifts[0].found == "head did not answer about munge_key"
    assert report.strangers == ()


def test_a_node_that_never_answered_is_named(looking: Looking) -> None:
    looking.world.hosts["w1"].dead = True
    assert looking.look().strangers == ("w1",)


def test_a_kernel_unlike_the_others(looking: Looking) -> None:
    looking.look()
    looking.world.kernels["w2"] = "6.8"
    # Its kernel is not the head's, so no file rests on it.
    report = looking.look(compared=True)
    assert [one.nodes for one in report.drifts if one.what == "kernel"] == [("w2",)]
    assert looking.asked == {"head": 1, "w1": 1, "w2": 1}


def test_what_is_wanted_rests_on_the_newest_facts(looking: Looking) -> None:
    looking.look()
    looking.world.kernels["head"] = "7.0"
    assert found(looking.look()) == [(("head", "w1", "w2"), "drift", "file:/etc/slurm.conf")]
    assert looking.asked == {"head": 1, "w1": 1, "w2": 1}


def test_a_phase_that_cannot_be_worked_out_is_a_mistake(looking: Looking) -> None:
    folder = looking.world.folder / "phases" / yaml.safe_load(NEEDY)["phase"]
    folder.mkdir()
    (folder / "phase.yml").write_text(NEEDY.replace("kernel", "no_such_fact"))
    with pytest.raises(InputError):
        looking.look()
    (folder / "phase.yml").write_text(NEEDY)
    assert found(looking.look()) == [(("head", "w1", "w2"), "drift", "file:/etc/needy")]


def test_a_node_whose_own_facts_do_not_do_is_unknown_and_hides_nobody(looking: Looking) -> None:
    """As with a release that cannot be read, where packages come from a bundle."""
    folder = looking.world.folder / "phases/needy"
    folder.mkdir()
    (folder / "phase.yml").write_text(NEEDY)
    facts = looking.world.facts

    def without_kernel(record: Record, devices_of: Facts | None = None) -> Facts:
        return replace(facts(record, devices_of), kernel=None) if record.node == "w1" else facts(record, devices_of)

    looking.world.facts = without_kernel  # type: ignore[method-assign]
    report = looking.look()
    assert [(one.nodes, one.verdict, one.what, one.expected) for one in report.drifts] == [
        (("head", "w2"), "drift", "file:/etc/needy", "file"),
        (("w1",), "unknown", "node", "what is wanted of it"),
    ]
    assert report.drifts[1].found.startswith("phase `needy` cannot be worked out for w1; file `/etc/needy`: ")
    with pytest.raises(InputError, match="needy"):
        looking.look(on="w1")


def test_lines_are_asked_of_one_node_of_those_that_are_alike(looking: Looking) -> None:
    looking.look()
    for name in ("w1", "w2"):
        looking.world.hosts[name].files["/etc/hosts"] = ("0644", "f" * 64)
    answer = looking.world.hosts["w1"].answer
    looking.world.hosts["w1"].answer = lambda ask: (  # type: ignore[method-assign]
        Answer(ask.name, files={"/etc/hosts": "head w1 w3 "}) if ask.paths == ("/etc/hosts",) else answer(ask)
    )
    (drift,) = looking.look(lines=True).drifts
    assert looking.asked == {"head": 1, "w1": 2, "w2": 1}
    assert drift.lines == ("@@ -1 +1 @@", "-head w1 w2 ", "+head w1 w3 ")


def test_lines_of_what_not_everybody_may_read_stay_where_they_are() -> None:
    state = FileState("file", "0644", "root", "root", "f" * 64)
    assert shown(File("/etc/a", b"x"), state)
    assert not shown(File("/etc/a", b"x", secret=True), state)
    assert not shown(File("/etc/a", b"x", mode="0640"), state)
    assert not shown(File("/etc/a", b"x"), FileState("file", "0600", "root", "root", "f" * 64))
    assert not shown(File("/etc/a", b"x"), FileState("link", "0777", "root", "root"))
    assert not shown(File("/etc/a", b"x" * 70_000), state)
    assert not shown(File("/etc/a", folder=True), None)


def test_long_differences_are_cut_and_say_so() -> None:
    lines = list(difference_of(b"", "x\n" * 500))
    assert lines[-1] == "... and 301 more lines"
    assert list(difference_of(b"a\n\xff\n", "a\nb\n")) == ["@@ -1,2 +1,2 @@", " a", "-�", "+b"]

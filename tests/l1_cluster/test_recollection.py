"""A node that does not answer now is still known from the last time it did."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiops.layers.core.errors import UnreachableError
from aiops.layers.l0_nodes.ask import Answer, Ask, Record
from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l0_nodes.fleet import Outcome
from aiops.layers.l0_nodes.inventory import Inventory
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l1_cluster.recollection import Recollection
from aiops.layers.l1_cluster.survey import AsksFor, Survey

NOW = datetime(2026, 11, 21, 20, 0, 3, 125000, tzinfo=UTC)
NODES = (Node("gpu01"), Node("gpu02"))


def record(node: str, kernel: str = "6.1") -> Record:
    answer = Answer("os", 0, stdout=f"{kernel}\n", files={"/etc/x": "ü"}, missing={"/y": "gone"}, seconds=0.25)
    return Record(node, NOW, {"os": answer})


class Prober:
    """Answers for the nodes that are up; the kernel stands for all facts."""

    def __init__(self, *up: str, kernel: str = "6.1") -> None:
        self._up = up
        self.kernel = kernel
        self.moment = NOW

    def probe(self, nodes: Sequence[Node], asks_for: AsksFor) -> Iterator[Outcome[Record]]:
        for node in nodes:
            if node.name in self._up:
                yield Outcome(node, value=replace(record(node.name, self.kernel), at=self.moment))
            else:
                yield Outcome(node, error=UnreachableError("no answer", code="ssh.refused"))

    def fact_asks(self, node: Node, *, devices: bool = True) -> tuple[Ask, ...]:
        return (Ask("os"),)

    def facts(self, record: Record, devices_of: Facts | None = None) -> Facts:
        return Facts(record.node, record.at, kernel=record.answer("os").stdout.strip())


class NoSecrets:
    def get(self, name: str) -> bytes:
        raise AssertionError(name)


def survey(prober: Prober, memory: Recollection | None) -> Survey:
    found = Survey(Inventory(Path("i.yml"), "lab-a", NODES, {}), (), prober, NoSecrets(), memory=memory)
    list(found.learn(NODES))
    return found


def kernels(found: Survey) -> list[str | None]:
    return [node.facts.kernel if node.facts else None for node in found.cluster.nodes]


def test_a_record_is_kept_whole_and_for_its_owner_only(tmp_path: Path) -> None:
    memory = Recollection(tmp_path / "records")
    memory.keep(record("gpu01"))
    assert Recollection(tmp_path / "records").of("gpu01") == record("gpu01")
    (file,) = (tmp_path / "records").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert memory.of("gpu02") is None


def test_a_name_cannot_leave_the_folder(tmp_path: Path) -> None:
    memory = Recollection(tmp_path / "records")
    memory.keep(record("../../etc/x"))
    assert [path.parent for path in tmp_path.rglob("*.json")] == [tmp_path / "records"]
    assert memory.of("../../etc/x") == record("../../etc/x")


def test_what_cannot_be_read_or_written_was_never_there(tmp_path: Path) -> None:
    memory = Recollection(tmp_path / "records")
    memory.keep(record("gpu01"))
    (file,) = (tmp_path / "records").iterdir()
    for content in ("", "[]", "{", '{"node": 1}', '{"node": "a", "at": "x", "answers": {}}', '{"answers": {"a": 1}}'):
        file.write_text(content)
        assert memory.of("gpu01") is None
    (tmp_path / "occupied").write_text("")
    try:
        Recollection(tmp_path / "occupied").keep(record("gpu01"))
    except FileExistsError:
        raise AssertionError("a file in the way must not stop a deploy") from None


def test_files_that_list_all_nodes_keep_a_node_that_does_not_answer(tmp_path: Path) -> None:
    memory = Recollection(tmp_path)
    assert kernels(survey(Prober("gpu01", "gpu02"), memory)) == ["6.1", "6.1"]
    later = survey(Prober("gpu01", kernel="6.9"), memory)
    assert kernels(later) == ["6.9", "6.1"]
    assert set(later.facts) == {"gpu01"}, "judges see only what answers now"
    assert kernels(survey(Prober("gpu01"), None)) == ["6.1", None]


def test_what_templates_see_changes_with_facts_and_not_with_readings() -> None:
    prober = Prober("gpu01", "gpu02")
    found = survey(prober, None)
    before = found.cluster
    prober.moment += timedelta(seconds=5)
    list(found.learn(NODES))
    assert found.cluster is before
    assert found.facts["gpu01"].at == prober.moment
    prober.kernel = "6.9"
    list(found.learn(NODES[:1]))
    assert found.cluster is not before
    assert kernels(found) == ["6.9", "6.1"]

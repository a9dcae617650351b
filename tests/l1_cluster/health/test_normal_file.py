"""health.yml, read: what it says of a node, and its mistakes with their lines."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.core.errors import InputError
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l1_cluster.health.normal_file import Normals, normals_path, parse_normals, read_normals

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "health.yml"
HERE = Path("health.yml")


def test_the_reference_file_is_right_and_says_all_there_is_to_say() -> None:
    normals = read_normals(REFERENCE, ["workers", "h100"])
    everything = {trait.split(".")[0] for traits in normals.groups.values() for trait in traits}
    assert everything == {
        *("memory_mib", "memory_gbs", "threads", "kernel", "cgroup"),
        *("gpu", "nvme", "disk", "pcie", "ib", "eth"),
    }
    expected = normals.expected(Node("gpu01", groups=("h100", "workers")))
    assert expected.source == "health.yml, groups workers and h100"
    assert expected.word("gpu.driver") == "580.95.05"
    assert expected.number("ib.mlx5_0.gbit") == 400.0
    assert expected.number("eth.eth0.mtu") == 9000
    assert expected.word("cgroup") == "v2"
    assert expected.word("gpu.ecc") == "on"
    assert expected.number("gpu.links") == 18
    assert expected.number("pcie.0000:5e:00.0.width") == 8
    assert expected.number("disk./scratch.delay_us") == 88
    assert expected.number("memory_gbs") == 612


@pytest.mark.parametrize(("written", "meant"), [("on", "on"), ('"on"', "on"), ("off", "off"), ("false", "off")])
def test_a_bare_on_is_no_boolean(written: str, meant: str) -> None:
    normals = parse_normals(f"aiops: 1\ngroups:\n  a: {{gpu: {{ecc: {written}}}}}\n", HERE)
    assert normals.groups["a"] == {"gpu.ecc": meant}


@pytest.mark.parametrize(
    ("text", "line", "message", "hint"),
    [
        ("", 1, "is empty", "it begins with `aiops: 1`"),
        ("- h100\n", 1, "must be a mapping, is a list", "it begins with `aiops: 1`"),
        ("groups: {}\n", 1, "`aiops` is missing", "it begins with `aiops: 1`"),
        ("aiops: 2\n", 1, "`aiops` must be 1, not `2`", None),
        ("aiops: 1\ngroup: {}\n", 2, "unknown key `group`", "did you mean `groups`?"),
        ("aiops: 1\ngroups: [\n", 3, "is not YAML: did not find expected node content", None),
        (
            "aiops: 1\ngroups:\n  h100:\n    gpu:\n      cuont: 8\n",
            5,
            "unknown key `gpu.cuont` of the group `h100`",
            "did you mean `count`?",
        ),
        (
            "aiops: 1\ngroups:\n  h100:\n    volumes: {count: 8}\n",
            4,
            "unknown key `volumes` of the group `h100`",
            "known are cgroup, disk, eth, gpu, ib, kernel, memory_gbs, memory_mib, nvme, pcie, threads",
        ),
        (
            "aiops: 1\ngroups:\n  h100:\n    gpu: {ecc: maybe}\n",
            4,
            "`gpu.ecc` of the group `h100` must be 'on' or 'off', not `maybe`",
            None,
        ),
        (
            "aiops: 1\ngroups:\n  h100:\n    disk: {/scratch: {read_mbs: 0}}\n",
            4,
            "`disk./scratch.read_mbs` of the group `h100` must be greater than 0, not `0`",
            None,
        ),
        (
            "aiops: 1\ngroups:\n  h100:\n    gpu: {driver: 570.10}\n",
            4,
            "`gpu.driver` of the group `h100` must be a string, not `570.10`",
            'quote it: "570.10"',
        ),
        (
            "aiops: 1\ngroups:\n  h100:\n    gpu: {count: eight}\n",
            4,
            "`gpu.count` of the group `h100` must be an integer, not `eight`",
            None,
        ),
        (
            "aiops: 1\ngroups:\n  h100:\n    threads: 0\n",
            4,
            "`threads` of the group `h100` must be greater than or equal to 1, not `0`",
            None,
        ),
        (
            "aiops: 1\ngroups:\n  h100:\n    ib: {mlx5_0: {gbit: .inf}}\n",
            4,
            "`ib.mlx5_0.gbit` of the group `h100` must be a finite number, not `.inf`",
            None,
        ),
        (
            "aiops: 1\ngroups:\n  h100:\n    threads: 8\n    threads: 9\n",
            5,
            "`threads` of the group `h100` is written twice, first in line 4",
            None,
        ),
        (
            "aiops: 1\ngroups:\n  h100:\n    eth: [eth0]\n",
            4,
            "`eth` of the group `h100` must be a mapping",
            None,
        ),
        ("aiops: 1\ngroups:\n  h200: {}\n", 3, "there is no group `h200`", "did you mean `h100`?"),
    ],
)
def test_a_mistake_is_told_with_its_line(text: str, line: int, message: str, hint: str | None) -> None:
    with pytest.raises(InputError) as caught:
        parse_normals(text, Path("/etc/aiops/health.yml"), ["h100", "workers"])
    (problem,) = caught.value.problems
    assert (problem.line, problem.message, problem.hint) == (line, message, hint)
    assert problem.file == "/etc/aiops/health.yml"
    assert caught.value.code == "health.normals_wrong"


def test_a_group_that_says_nothing_is_no_source() -> None:
    normals = parse_normals("aiops: 1\ngroups:\n  a: {threads: 8}\n  b: {}\n  c: {threads: 9}\n", HERE)
    assert normals.expected(Node("n1", groups=("a", "b"))).source == "health.yml, group a"
    both = normals.expected(Node("n1", groups=("a", "b", "c")))
    assert (both.source, both.number("threads")) == ("health.yml, groups a and c", 9)
    assert normals.expected(Node("n1", groups=("d",))).source == ""


def test_all_mistakes_are_told_together() -> None:
    text = "aiops: 1\ngroups:\n  a: {threads: -1, cgroup: v3}\n  a: {gpu: {}}\n  b: {nvme: {size: 1}}\n"
    with pytest.raises(InputError) as caught:
        parse_normals(text, HERE)
    assert [problem.line for problem in caught.value.problems] == [4, 5]


@given(st.text())
def test_any_file_is_read_or_refused(text: str) -> None:
    try:
        parse_normals(text, HERE)
    except InputError as error:
        assert error.problems  # noqa: PT017 - most texts are refused, a few are right


def test_an_anchor_that_leads_into_itself_is_refused() -> None:
    with pytest.raises(InputError):
        parse_normals("aiops: 1\ngroups: &all\n  h100: *all\n", HERE)


def test_a_file_that_is_not_there_expects_nothing(tmp_path: Path) -> None:
    path = normals_path(tmp_path / "inventory.yml")
    assert path == tmp_path / "health.yml"
    assert read_normals(path) == Normals()
    assert Normals().expected(Node("n1", groups=("workers",))).values == {}
    path.write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"health\.yml is wrong"):
        read_normals(path)
    path.write_text("aiops: 1\ngroups:\n  workers: {threads: 192}\n", "utf-8")
    assert read_normals(path).groups["workers"]["threads"] == 192

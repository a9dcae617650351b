"""The judge of drift: what is told of which nodes, with what repairs it; and that the unknown is never fine."""

import shlex
import subprocess
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aiops.layers.l1_cluster.change import Change
from aiops.layers.l1_cluster.drift import Drift, Evidence, Report, judge, repairs
from aiops.layers.l1_cluster.majority import Odd
from aiops.layers.l1_cluster.repair import UNDECIDED, Commands, join, repair
from aiops.layers.l1_cluster.trait import Trait, plain
from aiops.layers.l1_cluster.trait_reading import TRAITS

NODES = tuple(f"gpu{number:02}" for number in range(1, 9))
SAME = {
    "kernel": plain("kernel", "6.8.0-88", "ubuntu"),
    "firmware": Trait("firmware", {"H100": "96.00"}),
    "driver": Trait("driver", {"nvidia": "580"}),
    "packages": Trait("packages", {"jq": "1.6", "libc6": "2.39"}, "ubuntu", whole=True),
    "sudoers": Trait("sudoers", {"/etc/sudoers": "sha256 a"}, whole=True),
    "privileged users": Trait("privileged users", {"root with uid 0": ""}, whole=True),
    "time sources": Trait("time sources", {"10.0.0.1": ""}, whole=True),
    "disk layout": Trait("disk layout", {"3.49 TiB NVME": "× 8"}, whole=True),
}
COMMANDS = Commands("/etc/aiops/inventory.yml", frozenset(NODES))
CLEAN = Evidence(NODES, traits=dict.fromkeys(NODES, SAME), groups=dict.fromkeys(NODES, ("workers",)))


def with_trait(node: str, trait: Trait, evidence: Evidence = CLEAN) -> Evidence:
    return replace(evidence, traits={**evidence.traits, node: {**evidence.traits[node], trait.name: trait}})


def only(report: Report) -> Drift:
    (drift,) = report.drifts
    return drift


def test_a_clean_cluster_has_no_drift() -> None:
    assert judge(CLEAN, COMMANDS) == Report(NODES, ())


@pytest.mark.parametrize(
    ("trait", "expected", "found", "mend"),
    [
        (plain("kernel", "6.8.0-79", "ubuntu"), "6.8.0-88", "6.8.0-79", "apt-get install -y linux-image-6.8.0-88"),
        (Trait("firmware", {"H100": "95.00"}), "H100 96.00", "H100 95.00", "H100 96.00 with its maker's tool"),
        (Trait("driver", {"nvidia": "570"}), "nvidia 580", "nvidia 570", "systemctl reboot"),
        (
            Trait("packages", {"jq": "9.9", "cowsay": "3"}, "ubuntu", whole=True),
            "no cowsay; jq 1.6; libc6 2.39",
            "cowsay 3; jq 9.9; no libc6",
            "apt-get install -y --allow-downgrades --allow-change-held-packages cowsay- jq=1.6 libc6=2.39`",
        ),
        (
            Trait("sudoers", {"/etc/sudoers": "sha256 a", "/etc/sudoers.d/m": "sha256 b"}, whole=True),
            "no /etc/sudoers.d/m",
            "/etc/sudoers.d/m sha256 b",
            "-- rm /etc/sudoers.d/m`",
        ),
        (
            Trait("sudoers", {"/etc/sudoers": "sha256 c"}, whole=True),
            "/etc/sudoers sha256 a",
            "/etc/sudoers sha256 c",
            "copy /etc/sudoers from gpu01",
        ),
        (
            Trait("privileged users", {"root with uid 0": "", "m in sudo": ""}, whole=True),
            "no m in sudo",
            "m in sudo",
            "-- gpasswd --delete m sudo`",
        ),
        (
            Trait("time sources", {"192.0.2.1": ""}, whole=True),
            "10.0.0.1; no 192.0.2.1",
            "no 10.0.0.1; 192.0.2.1",
            "-- systemctl restart chrony`",
        ),
        (
            Trait("disk layout", {"3.49 TiB NVME": "× 7"}, whole=True),
            "3.49 TiB NVME × 8",
            "3.49 TiB NVME × 7",
            "--on 'gpu[01,03]' -- lsblk",
        ),
    ],
)
def test_a_node_unlike_most_is_told_with_its_repair(trait: Trait, expected: str, found: str, mend: str) -> None:
    report = judge(with_trait("gpu03", trait), COMMANDS)
    drift = only(report)
    assert (drift.nodes, drift.verdict, drift.what) == (("gpu03",), "drift", trait.name)
    assert (drift.expected, drift.found) == (expected, found)
    assert mend in drift.repair
    assert report.having("drift") == ("gpu03",)


def test_what_a_phase_wants_is_told_with_the_deploy_that_brings_it() -> None:
    changed = Change("file:/etc/hosts", "write", "sha256 a", "sha256 b")
    stopped = Change("service:chrony", "start", "enabled, active", "masked, inactive")
    changes = {"base": {"gpu02": (changed,), "gpu05": (changed,)}, "time": {"gpu02": (stopped,)}}
    report = judge(replace(CLEAN, changes=changes), COMMANDS)
    assert [(one.nodes, one.what, one.phase) for one in report.drifts] == [
        (("gpu02", "gpu05"), "file:/etc/hosts", "base"),
        (("gpu02",), "service:chrony", "time"),
    ]
    assert report.drifts[0].repair == ("`aiops cluster deploy /etc/aiops/inventory.yml --only base --on 'gpu[02,05]'`")
    assert list(repairs(report.drifts, COMMANDS)) == [
        ("gpu02", "`aiops cluster deploy /etc/aiops/inventory.yml --only base,time --on gpu02`"),
        ("gpu05", "`aiops cluster deploy /etc/aiops/inventory.yml --only base --on gpu05`"),
    ]


def test_what_could_not_be_read_or_did_not_answer_is_unknown() -> None:
    unread = Change("file:/etc/munge/munge.key", "read", "to be read", "the head does not answer")
    evidence = with_trait("gpu01", Trait("kernel", unknown="exit 1"))
    traits = {node: own for node, own in evidence.traits.items() if node != "gpu08"}
    errors = {"gpu08": "gpu08 did not answer on 10.0.0.8:22"}
    report = judge(replace(evidence, traits=traits, errors=errors, changes={"x": {"gpu02": (unread,)}}), COMMANDS)
    assert [(one.nodes, one.verdict, one.what) for one in report.drifts] == [
        (("gpu02",), "unknown", "file:/etc/munge/munge.key"),
        (("gpu01",), "unknown", "kernel"),
        (("gpu08",), "unknown", "node"),
    ]
    assert report.having("unknown") == ("gpu01", "gpu02", "gpu08")
    assert list(repairs(report.drifts, COMMANDS)) == []


def test_without_a_majority_nobody_is_called_wrong() -> None:
    evidence = CLEAN
    for node in NODES[:4]:
        evidence = with_trait(node, plain("kernel", "6.8.0-79", "ubuntu"), evidence)
    report = judge(evidence, COMMANDS)
    assert [(one.nodes, one.verdict, one.expected, one.found) for one in report.drifts] == [
        (NODES[:4], "unknown", "no majority in gpu[01-08]", "6.8.0-79"),
        (NODES[4:], "unknown", "no majority in gpu[01-08]", "6.8.0-88"),
    ]
    assert {one.repair for one in report.drifts} == {UNDECIDED}


def test_what_a_phase_tells_is_not_told_again_by_the_majority() -> None:
    changes = {"accelerator": {"gpu03": (Change("package:jq", "replace", "1.6", "9.9"),)}}
    packages = Trait("packages", {"jq:amd64": "9.9", "libc6": "2.39"}, "ubuntu", whole=True)
    most = Trait("packages", {"jq:amd64": "1.6", "libc6": "2.39"}, "ubuntu", whole=True)
    evidence = CLEAN
    for node in NODES:
        evidence = with_trait(node, packages if node == "gpu03" else most, evidence)
    assert only(judge(replace(evidence, changes=changes), COMMANDS)).what == "package:jq"
    torn = replace(with_trait("gpu03", Trait("driver", {"nvidia": "570"})), mismatches={"gpu03": "570 is loaded"})
    assert only(judge(torn, COMMANDS)).found == "570 is loaded"


def test_others_help_to_compare_and_are_not_told() -> None:
    evidence = with_trait("gpu03", plain("kernel", "6.8.0-79", "ubuntu"))
    assert judge(replace(evidence, nodes=("gpu01",)), COMMANDS).drifts == ()
    assert only(judge(replace(evidence, nodes=("gpu03",)), COMMANDS)).nodes == ("gpu03",)


def test_many_items_are_counted_and_all_are_in_the_document() -> None:
    most = {f"p{number:02}": "1" for number in range(30)}
    evidence = CLEAN
    for node in NODES:
        items = dict.fromkeys(most, "2") if node == "gpu03" else most
        evidence = with_trait(node, Trait("packages", items, "ubuntu", whole=True), evidence)
    drift = only(judge(evidence, COMMANDS))
    assert drift.expected == "p00 1; p01 1; p02 1; and 27 more"
    assert len(drift.document()["odds"]) == 30
    assert drift.repair.startswith("bring 30 packages to what gpu01 has")


@given(
    st.dictionaries(
        st.sampled_from(NODES),
        st.one_of(
            st.just(None),
            st.dictionaries(st.sampled_from(["", "a"]), st.sampled_from(["1", "2"]), min_size=1),
        ),
    )
)
def test_the_unknown_is_never_fine(values: dict[str, dict[str, str] | None]) -> None:
    traits = {
        node: {"kernel": Trait("kernel", values[node] or {}, unknown=None if values[node] else "no answer")}
        for node in values
    }
    errors = {node: "did not answer" for node in NODES if node not in values}
    report = judge(Evidence(NODES, errors, {}, traits, dict.fromkeys(NODES, "w")), COMMANDS)
    unknown = {node for node in NODES if not values.get(node)}
    assert unknown <= set(report.having("unknown"))


@pytest.mark.parametrize("trait", TRAITS)
@pytest.mark.parametrize("odd", [Odd("a in b", "1", None), Odd("/x y", None, "2"), Odd("", "3", "4")])
def test_every_trait_has_a_repair_and_its_commands_can_be_pasted(trait: str, odd: Odd) -> None:
    words = repair(trait, [odd], ["gpu03"], "gpu01", Commands("/a b/inventory.yml"))
    assert words
    for command in words.split("`")[1::2]:
        assert shlex.split(command)[0] == "aiops"


def test_packages_come_from_where_each_node_has_them() -> None:
    """A finding folded over a node with the bundle and one with its own sources."""
    evidence = CLEAN
    for node in ("gpu03", "gpu04"):
        evidence = with_trait(node, Trait("packages", {"jq": "9", "libc6": "2.39"}, "ubuntu", whole=True), evidence)
    drift = only(judge(evidence, Commands("i.yml", frozenset(NODES) - {"gpu04"})))
    assert drift.nodes == ("gpu03", "gpu04")
    words = "apt-get install -y --allow-downgrades --allow-change-held-packages jq=1.6"
    assert drift.repair == (
        f"`aiops node exec -i i.yml --on gpu03 --root -- env APT_CONFIG=/etc/aiops/apt.conf {words}` and "
        f"`aiops node exec -i i.yml --on gpu04 --root -- {words}`"
    )


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1, max_size=3))
@example(["a\x1b[31m'\\", "é\x9b\n"])
def test_a_repair_can_be_pasted_and_holds_no_control_characters(words: list[str]) -> None:
    line = join(["printf", "%s\\0", *words])
    assert line.isprintable()
    done = subprocess.run(["bash", "-c", line], capture_output=True, timeout=60, check=True)
    assert done.stdout.decode() == "".join(f"{word}\0" for word in words)

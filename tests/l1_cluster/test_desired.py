"""Desired state: what a phase file becomes for a node, and how its mistakes are told."""

import subprocess
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.core.errors import InputError
from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l0_nodes.variables import NodeVariables
from aiops.layers.l1_cluster.context import ClusterContext, NodeContext
from aiops.layers.l1_cluster.desired import Desired
from aiops.layers.l1_cluster.phase import read_phases
from aiops.layers.l1_cluster.resource import File, Mount, Package, Reboot, Resource, Service, Sysctl, User
from aiops.layers.l1_cluster.secrets import SIZE, Secrets
from aiops.layers.l1_cluster.unit import mount_unit, mount_unit_name, unit_name

from .golden_nodes import LAB_HOST


def node(name: str, role: str = "workers", facts: Facts | None = LAB_HOST, **variables: Any) -> NodeContext:
    return NodeContext(name, f"10.0.0.{len(name)}", frozenset({role}), (role,), NodeVariables(**variables), facts)


CLUSTER = ClusterContext("test", (node("head", "head"), node("gpu01"), node("gpu002")))


def desired(tmp_path: Path, text: str, at: NodeContext | None = None, **files: str) -> tuple[Resource, ...]:
    folder = tmp_path / "x"
    folder.mkdir(exist_ok=True)
    (folder / "phase.yml").write_text(f"phase: x\n{text}")
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)
    (phase,) = read_phases(tmp_path)
    return Desired(phase, Secrets(tmp_path / "secrets")).of(at or CLUSTER.nodes[1], CLUSTER)


def reason(tmp_path: Path, text: str, **files: str) -> str:
    with pytest.raises(InputError) as caught:
        desired(tmp_path, text, None, **files)
    (problem,) = caught.value.problems
    assert problem.file == str(tmp_path / "x" / "phase.yml")
    return f"{problem.line}: {problem.message}"


def test_every_kind(tmp_path: Path) -> None:
    text = """
resources:
  - package: chrony
    version: "4.10"
    held: true
  - file: /etc/chrony.conf
    template: chrony.conf.j2
    restarts: chrony
  - file: /etc/dir/
    folder: true
  - file: /etc/gone
    absent: true
  - service: chrony
  - sysctl: vm.swappiness
    value: 1
  - user: slurm
    uid: 64030
  - mount: /my data
    source: /srv/100%
    type: bind
  - reboot: the kernel has changed
    when_changed: [package:chrony]
"""
    found = desired(
        tmp_path, text, chrony__conf__j2="{% for one in cluster.nodes %}\n{{ one.name }}\n{% endfor %}\nend\n"
    )
    unit = "my\\x20data.mount"
    assert found == (
        Package("chrony", "4.10", held=True),
        File("/etc/chrony.conf", b"head\ngpu01\ngpu002\nend\n", restarts=("chrony",)),
        File("/etc/dir", folder=True, mode="0755"),
        File("/etc/gone", absent=True),
        Service("chrony"),
        Sysctl("vm.swappiness", "1"),
        User("slurm", 64030, 64030, "slurm", "/home/slurm"),
        Mount("/my data", "/srv/100%", "bind"),
        Reboot("the kernel has changed", ("package:chrony",)),
        File("/etc/sysctl.d/60-aiops-x.conf", b"# Written by aiops, phase x.\nvm.swappiness = 1\n"),
        File(
            f"/etc/systemd/system/{unit}", mount_unit(Mount("/my data", "/srv/100%", "bind")).encode(), restarts=(unit,)
        ),
        Service(unit),
    )
    assert b"What=/srv/100%%\n" in (found[10].content or b"") if isinstance(found[10], File) else False


def test_each_and_when(tmp_path: Path) -> None:
    text = """
resources:
  - sysctl: "{{ item[0] }}"
    value: "{{ item[1] }}"
    each: node.variables.aiops_sysctl.items()
    when: item[0] != "a.b"
"""
    at = node("gpu01", aiops_sysctl={"a.b": 1, "vm.max_map_count": 1048576})
    assert desired(tmp_path, text, at)[0] == Sysctl("vm.max_map_count", "1048576")
    assert len(desired(tmp_path, text, at)) == 2


def test_a_phase_of_other_roles_wants_nothing(tmp_path: Path) -> None:
    assert desired(tmp_path, "on: head\nresources: [{package: a}]") == ()
    assert desired(tmp_path, "on: [head]\nresources: [{package: a}]", CLUSTER.nodes[0]) == (Package("a"),)


def test_values_keep_their_types_and_text_stays_text(tmp_path: Path) -> None:
    text = """
resources:
  - package: "{{ 'driver' }}-{{ 580 }}"
    version: "{{ node.variables.aiops_driver_version }}"
  - file: /etc/a
    content: "{{ '{{ not a template }}: [no, yaml]' }}"
    restarts: "{{ ['a', 'b'] }}"
"""
    found = desired(tmp_path, text, node("gpu01", aiops_driver_version="580.10"))
    assert found == (
        Package("driver-580", "580.10"),
        File("/etc/a", b"{{ not a template }}: [no, yaml]", restarts=("a", "b")),
    )


@given(value=st.text(alphabet="{}%#:-[]'\"\\ ab1.\t", max_size=40))
def test_no_value_is_ever_parsed_again(value: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    text = 'resources:\n  - file: /etc/a\n    content: "{{ node.variables.aiops_bundle }}"\n'
    at = node("gpu01", aiops_bundle=value or "x")
    assert desired(tmp_path_factory.mktemp("x"), text, at) == (File("/etc/a", (value or "x").encode()),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('resources:\n  - package: "{{ node.nmae }}"', "3: package `{{ node.nmae }}`: 'aiops"),
        ("resources:\n  - package: a\n    version: 4.10", "3: package `a`: `version` is 4.1; it must be text"),
        ("resources:\n  - package: a\n    held: maybe", "3: package `a`: `held` is 'maybe'"),
        ("resources:\n  - file: etc/a\n    content: x", "3: file `etc/a`: 'etc/a' is not an absolute path"),
        ("resources:\n  - file: /a/../b\n    content: x", "is not an absolute path"),
        ("resources:\n  - file: /a\n    content: x\n    mode: 644", '`mode` is 644; write it as "0644", quoted'),
        ("resources:\n  - file: /a\n    content: x\n    validate: visudo", "`validate` needs `%s`"),
        ("resources:\n  - user: a\n    uid: many", "`uid` is 'many'; it must be a whole number"),
        ("resources:\n  - package: a\n    each: node.name", "`each` gives 'gpu01', which is not a list"),
        ("resources:\n  - package: a\n    when: 1 / 0", "ZeroDivisionError"),
        ("resources:\n  - package: a\n    when: node.facts.nothing", "has no attribute 'nothing'"),
        ('resources:\n  - package: ""', "has no name"),
        ("resources:\n  - file: /a\n    secret: ../../etc/passwd", "not a name for a secret"),
        ("resources:\n  - package: \"{{ ''.__class__.__mro__ }}\"", "unsafe"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_the_node(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in reason(tmp_path, text)


def test_a_mistake_in_a_template_is_told_with_its_own_line(tmp_path: Path) -> None:
    text = "resources:\n  - file: /a\n    template: a.j2"
    assert "line 2 of its template" in reason(tmp_path, text, a__j2="one\n{{ cluster.nope }}\n")


def test_one_resource_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="`package:a` twice on gpu01"):
        desired(tmp_path, "resources: [{package: a}, {package: a}]")


def test_a_node_that_never_answered_has_no_facts(tmp_path: Path) -> None:
    text = "resources:\n  - package: a\n    when: node.facts is none"
    assert desired(tmp_path, text, node("gpu01", facts=None)) == (Package("a"),)


def test_a_secret_is_drawn_once_and_kept_only_on_request(tmp_path: Path) -> None:
    text = "resources:\n  - file: /etc/munge.key\n    secret: munge_key\n"
    (first,) = desired(tmp_path, text)
    assert isinstance(first, File)
    assert first.secret
    assert first.mode == "0600"
    assert not (tmp_path / "secrets").exists()
    secrets = Secrets(tmp_path / "secrets")
    drawn = secrets.get("munge_key")
    secrets.keep()
    assert len(drawn) == SIZE
    assert Secrets(tmp_path / "secrets").get("munge_key") == drawn
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "secrets" / "munge_key").stat().st_mode & 0o777 == 0o600
    assert drawn.hex()[:16] not in repr(secrets)
    assert repr(drawn)[2:20] not in repr(first)


@pytest.mark.parametrize(
    ("name", "unit"), [("chrony", "chrony.service"), ("a.timer", "a.timer"), ("a.b", "a.b.service")]
)
def test_unit_names(name: str, unit: str) -> None:
    assert unit_name(name) == unit


@pytest.mark.skipif(which("systemd-escape") is None, reason="needs systemd-escape")
@pytest.mark.parametrize("path", ["/shared", "/mnt/my-data", "/a b/ü", "/", "/.hidden/x", "/a//b/", "/1:2_3.4"])
def test_mount_units_are_named_as_systemd_names_them(path: str) -> None:
    words = ["systemd-escape", "--path", "--suffix=mount", path]
    assert mount_unit_name(path) == subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def test_a_want_of_a_list_is_named_as_it_would_be_called(tmp_path: Path) -> None:
    text = 'resources:\n  - package: \'{{ item.name }}\'\n    each: \'[{"name": "a"}, {"name": "b"}]\'\n'
    broken = "    version: '{{ 1 // 0 if item.name == \"b\" else 1 }}'\n"
    assert reason(tmp_path, text + broken).startswith("3: package `b`: ")
    assert reason(tmp_path, "resources:\n  - package: '{{ item.name }}'\n    each: '[1]'\n").startswith(
        "3: package `{{ item.name }}`: "
    )

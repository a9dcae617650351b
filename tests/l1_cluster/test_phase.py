"""Phase files: what is read, and what a mistake is told as."""

from pathlib import Path

import pytest

from aiops.layers.core.errors import InputError
from aiops.layers.l1_cluster.phase import choose, read_phases, shipped_phases


def write(folder: Path, name: str, text: str, **files: str) -> Path:
    (folder / name).mkdir(parents=True)
    path = folder / name / "phase.yml"
    path.write_text(text)
    for file, content in files.items():
        (folder / name / file.replace("__", ".")).write_text(content)
    return path


def problems(folder: Path) -> list[str]:
    with pytest.raises(InputError) as caught:
        read_phases(folder)
    return [f"{problem.line}: {problem.message}" for problem in caught.value.problems]


def test_a_whole_phase_is_read(tmp_path: Path) -> None:
    write(
        tmp_path,
        "time",
        """
phase: time
title: One clock
on: [head, workers]
needs: [head]
before: tasks.yml
resources:
  - package: chrony
    version: "4.3-2"
    held: true
  - file: /etc/chrony/chrony.conf
    template: chrony.conf.j2
    restarts: [chrony]
  - sysctl: "{{ item[0] }}"
    value: "{{ item[1] }}"
    each: node.variables.aiops_sysctl.items()
    when: not node.facts.container
""",
        tasks__yml="[]",
        chrony__conf__j2="server {{ cluster.head.address }}\n",
    )
    (phase,) = read_phases(tmp_path)
    assert (phase.name, phase.title, phase.on, phase.needs) == ("time", "One clock", ("head", "workers"), ("head",))
    assert phase.before == tmp_path / "time" / "tasks.yml"
    assert [(want.kind, want.line) for want in phase.wants] == [("package", 8), ("file", 11), ("sysctl", 14)]
    assert phase.wants[0].fields == {"version": "4.3-2", "held": True}
    assert phase.wants[2].when == "not node.facts.container"
    assert phase.covers({"head"})
    assert not phase.covers({"login"})


def test_phases_come_in_topological_order_and_ties_by_name(tmp_path: Path) -> None:
    write(tmp_path, "zeta", "phase: zeta\nresources: []\n")
    write(tmp_path, "alpha", "phase: alpha\nafter: [zeta]\nresources: []\n")
    write(tmp_path, "beta", "phase: beta\nafter: [zeta]\nresources: []\n")
    write(tmp_path, "last", "phase: last\nafter: [beta, alpha]\nresources: []\n")
    assert [phase.name for phase in read_phases(tmp_path)] == ["zeta", "alpha", "beta", "last"]


def test_what_the_shipped_phases_mend_and_provide() -> None:
    declared = {phase.name: (phase.mends, phase.provides) for phase in read_phases(shipped_phases())}
    assert {name: words for name, words in declared.items() if words != ((), ())} == {
        "time": (("clock",), ()),
        "accelerator": (("driver",), ()),
        "scheduler": ((), ("slurm",)),
        "monitoring": ((), ("metrics",)),
        "environments": ((), ("environments",)),
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("phase: x\nresorces: []\n", "2: unknown key `resorces`; did you mean `resources`?"),
        ("phase: y\n", "1: `phase: y` does not name its folder `x`"),
        ("phase: x\non: [hed]\n", "2: `on` has `hed`; the role groups are all, head, workers, storage, login"),
        ("phase: x\nmends: [clocks]\n", "2: `mends` has `clocks`; what it can mend is clock, driver"),
        ("phase: x\nprovides: [fun]\n", "2: `provides` has `fun`; what it can provide is metrics, slurm, environments"),
        ("phase: x\nresources:\n  - pakage: a\n", "3: a resource is one of package, file, tree, service, sysctl"),
        ("phase: x\nresources:\n  - package: a\n    service: b\n", "3: a resource is only one of package"),
        ("phase: x\nresources:\n  - file: /a\n", "3: `file` needs exactly one of template, content"),
        ("phase: x\nresources:\n  - file: /a\n    template: no.j2\n", "4: there is no template `no.j2` beside it"),
        ("phase: x\nresources:\n  - package: a\n    when: a ==\n", "4: `when`: "),
        ('phase: x\nresources:\n  - package: "{{ a"\n', "3: `package`: "),
        ("phase: x\nresources:\n  - sysctl: a\n", "3: `sysctl` needs `value`"),
        ("phase: x\nphase: x\n", "2: `phase` is written twice"),
        ("phase: x\nresources: {}\n", "2: `resources` is a list"),
        ("phase: [x\n", "is not YAML"),
        ("", "1: is empty"),
        ("- a\n", "1: a phase is a mapping"),
        ("phase: x\nbefore: gone.yml\n", "2: there is no gone.yml beside it"),
        ("phase: x\nafter: [nobody]\n", "None: `after` names `nobody`, which is no phase"),
        ("phase: !!python/object:os.system x\n", "is not YAML"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, text: str, expected: str) -> None:
    write(tmp_path, "x", text)
    assert any(expected in problem for problem in problems(tmp_path))


def test_a_broken_template_is_told_with_the_line_in_it(tmp_path: Path) -> None:
    write(
        tmp_path, "x", "phase: x\nresources:\n  - file: /a\n    template: a__j2\n".replace("__", "."), a__j2="1\n{% if"
    )
    with pytest.raises(InputError) as caught:
        read_phases(tmp_path)
    assert [(Path(str(one.file)).name, one.line) for one in caught.value.problems] == [("a.j2", 2)]


def test_all_mistakes_of_all_files_are_told_together(tmp_path: Path) -> None:
    write(tmp_path, "x", "phase: x\nfoo: 1\nbar: 2\n")
    write(tmp_path, "y", "phase: y\nbaz: 1\n")
    assert len(problems(tmp_path)) == 3


def test_a_circle_of_phases_is_named(tmp_path: Path) -> None:
    write(tmp_path, "x", "phase: x\nafter: [y]\n")
    write(tmp_path, "y", "phase: y\nafter: [x]\n")
    (problem,) = problems(tmp_path)
    assert "wait for each other" in problem
    assert "x" in problem
    assert "y" in problem


def test_no_phases_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no phases"):
        read_phases(tmp_path)


def test_choosing_phases(tmp_path: Path) -> None:
    for name, after in (("a", []), ("b", ["a"]), ("c", ["b"])):
        write(tmp_path, name, f"phase: {name}\nafter: {after}\n")
    phases = read_phases(tmp_path)
    assert [phase.name for phase in choose(phases, None, None)] == ["a", "b", "c"]
    assert [phase.name for phase in choose(phases, "c,a", None)] == ["a", "c"]
    assert [phase.name for phase in choose(phases, None, "b")] == ["b", "c"]
    with pytest.raises(InputError, match="no phase `d`"):
        choose(phases, "d", None)


@pytest.mark.parametrize(("only", "start"), [("a", "b"), ("", None), (" , ", None), (None, "")])
def test_choosing_no_phase_at_all_is_refused(tmp_path: Path, only: str | None, start: str | None) -> None:
    for name in "ab":
        write(tmp_path, name, f"phase: {name}\nresources: []\n")
    with pytest.raises(InputError) as caught:
        choose(read_phases(tmp_path), only, start)
    assert caught.value.code == "phase.nothing"


def test_a_wrong_phase_name_is_answered_with_all_names(tmp_path: Path) -> None:
    phases = read_phases(shipped_phases())
    with pytest.raises(InputError, match="there is no phase `bsae`") as caught:
        choose(phases, "bsae", None)
    assert caught.value.hints[0] == "did you mean `base`?"
    assert all(phase.name in caught.value.hints[1] for phase in phases)

"""The tasks that bring a bundle to the head, run by Ansible on this machine: what came before a cut is kept."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support.small_bundle import small_bundle

from aiops.layers.l1_cluster.bundle.offer import Offer
from aiops.layers.l1_cluster.change import Change
from aiops.layers.l1_cluster.phase import shipped_phases
from aiops.layers.l1_cluster.render import unsafe_yaml
from aiops.layers.l1_cluster.resource import Tree
from aiops.layers.l1_cluster.work import work_of

pytestmark = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="its packages are made with dpkg-deb")

PLAY = """
- hosts: head
  gather_facts: false
  tasks:
    - ansible.builtin.include_tasks:
        file: "{{ aiops_before }}"
"""
PACK = """
import sys
from functools import partial
from pathlib import Path
from aiops.layers.l1_cluster.bundle import parcel
log = Path(sys.argv[0] + ".log")
real = parcel.pack
def pack(places, pieces, folder):
    carried = log.read_text().split() if log.exists() else []
    if carried and carried[-1] != "cut":
        log.write_text(" ".join([*carried, "cut"]))
        sys.exit("the line is cut")
    log.write_text(" ".join([*carried, str(sum(piece.length for piece in pieces))]))
    return real(places, pieces, folder)
parcel.pack, parcel.divide = pack, partial(parcel.divide, limit=LIMIT)
sys.exit(parcel.main())
"""


def test_a_bundle_arrives_over_a_line_that_is_cut_after_each_parcel(tmp_path: Path) -> None:
    bundle = small_bundle(tmp_path / "home", tmp_path / "home/bundle")
    offer = Offer(bundle, tmp_path / "parcels")
    folder = tmp_path / "srv/bundle"
    folder.parent.mkdir()
    total = sum(path.stat().st_size for path in bundle.path.rglob("*") if path.is_file())
    pack = tmp_path / "pack.py"
    pack.write_text(PACK.replace("LIMIT", str(total // 2 + 1)))
    tree = Tree(str(folder), offer.digests, offer.size)
    work = work_of("repository", [tree], [Change(tree.key, "create", "", "")])
    (given,) = work.variables["trees"]
    fill = given["fill"].rpartition("')")[0] + f"', {str(tmp_path / 'records')!r})\n"
    variables: dict[str, Any] = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "aiops_desired": {"trees": [{**given, "fill": fill}]},
        "aiops_pack": [sys.executable, str(pack), *offer.pack_command[4:]],
        "aiops_before": str(shipped_phases() / "repository/fill.yml"),
    }
    (tmp_path / "hosts.yml").write_text(unsafe_yaml({"all": {"hosts": {"head": variables}}}))
    (tmp_path / "play.yml").write_text(PLAY)

    def play() -> subprocess.CompletedProcess[str]:
        words: list[str | Path] = [Path(sys.executable).with_name("ansible-playbook"), "-i", "hosts.yml", "play.yml"]
        environment = {**os.environ, "ANSIBLE_HOME": str(tmp_path / "ansible"), "ANSIBLE_NOCOLOR": "1"}
        return subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    first = play()
    assert first.returncode != 0
    assert "the line is cut" in first.stdout
    assert not folder.exists()
    second = play()
    assert second.returncode == 0, second.stdout
    carried = (tmp_path / "pack.py.log").read_text().split()
    assert carried[1] == "cut"
    assert [int(carried[0]), int(carried[2])] == [total // 2 + 1, total - total // 2 - 1]
    listed = [line.partition("  ") for line in (folder / "SHA256SUMS").read_text().splitlines()]
    assert len(listed) > 5
    done = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, timeout=60, check=False)
    assert done.returncode == 0
    assert sorted(path.name for path in folder.parent.iterdir()) == ["bundle"]
    assert list((tmp_path / "parcels").iterdir()) == []

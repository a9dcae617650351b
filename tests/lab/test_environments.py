"""The phase `environments` on booted hosts: laid from the bundle, whole or not at all, the same on all, and once."""

from collections.abc import Iterator

import pytest

from .conftest import Cluster

pytestmark = pytest.mark.lab

NODES = ("head", "gpu01", "gpu02")
PLACE = "/opt/aiops/env"
WHEEL = "/srv/aiops/bundle/wheels/pool/*/six-1.17.0-*.whl"
IMPORT = f"{PLACE}/tiny/bin/python -I -c 'import six, idna; print(six.__file__)'"


def want(cluster: Cluster, more: str = "") -> None:
    folder = cluster.inventory.parent / "group_vars"
    folder.mkdir(exist_ok=True)
    words = f"aiops_environments: [tiny]\naiops_environment_locks: {{tiny: tiny.lock}}\n{more}"
    (folder / "all.yml").write_text(words)


@pytest.fixture(scope="module")
def site(deployed: Cluster) -> Iterator[Cluster]:
    """The deployed cluster, whose inventory names `tiny`; its hosts are reset at the end."""
    want(deployed)
    yield deployed
    (deployed.inventory.parent / "group_vars/all.yml").unlink()
    deployed.lab.reset("deployed")


@pytest.fixture(scope="module")
def label(site: Cluster) -> str:
    """What is laid on all nodes."""
    planned = site.deploy("--only", "environments", "--dry-run")
    assert set(planned.document["plan"]["phases"][0]["changes"]) == set(NODES)
    assert site.shell("gpu01", f"ls -d {PLACE} || echo nothing").endswith("nothing")
    return lay(site)


def lay(cluster: Cluster) -> str:
    """Deploy; the label of what all nodes have then."""
    done = cluster.deploy("--only", "environments")
    assert done.code == 0, done.stdout + done.stderr
    (label,) = {cluster.shell(node, f"readlink {PLACE}/tiny") for node in NODES}
    return label


def test_it_is_laid_on_all_works_and_a_second_deploy_changes_nothing(site: Cluster, label: str) -> None:
    for node in NODES:
        assert site.shell(node, f"runuser -u nobody -- {IMPORT}").startswith(f"{PLACE}/tiny/lib/python3.11/")
        assert site.shell(node, f"ls -A {PLACE}").split() == ["tiny", label]
        assert site.shell(node, f"find {PLACE}/{label} -perm /222 -not -type l") == ""
    again = site.deploy("--only", "environments")
    assert again.document["plan"]["summary"] == "nothing to change on 3 nodes"
    assert f"environment.{label}" in site.shell("head", "aiops doctor || true")


def test_a_wheel_that_was_changed_is_refused_by_name_and_what_is_broken_is_mended(site: Cluster, label: str) -> None:
    site.shell("gpu01", f"chmod u+w {PLACE}/{label} && rm {PLACE}/{label}/manifest.json && touch {PLACE}/{label}/half")
    site.shell("gpu01", f"mkdir -p {PLACE}/.taking-{label}-gpu01-7-1/new {PLACE}/.lock-{label}")
    owner = '{"machine": "\'$(cat /etc/machine-id)\'", "boot": "an earlier one"}'
    site.shell("gpu01", f"echo '{owner}' > {PLACE}/.lock-{label}/owner.json")  # it was killed at it
    site.shell("gpu02", f"ln -sfn tiny-000000000000 {PLACE}/tiny")
    site.shell("head", f"cp {WHEEL} /root/kept.whl && rm -r /srv/aiops/environments")
    site.shell("head", f"printf X | dd of=$(echo {WHEEL}) bs=1 seek=99 conv=notrunc status=none")
    refused = site.deploy("--only", "environments")
    assert refused.code == 1
    assert "six-1.17.0-py2.py3-none-any.whl is not the wheel that was locked" in refused.stdout + refused.stderr
    assert site.shell("head", "ls -A /srv/aiops/environments") == ""
    site.shell("head", f"cp /root/kept.whl $(echo {WHEEL})")
    assert lay(site) == label
    for node in NODES:
        assert site.shell(node, f"ls -A {PLACE}").split() == ["tiny", label]
    assert site.shell("gpu01", f"ls {PLACE}/tiny").split() == ["bin", "lib", "manifest.json", "pyvenv.cfg"]


def test_nodes_that_share_a_folder_lay_it_once(site: Cluster, label: str) -> None:
    for node in NODES:
        site.shell(node, f"chmod -R u+w {PLACE} && rm -rf {PLACE}")
    want(site, "aiops_environments_folder: /shared/aiops/env\n")
    assert lay(site) == label
    assert site.shell("gpu01", "ls -A /shared/aiops/env") == label
    for node in NODES:
        assert site.shell(node, f"readlink {PLACE}/{label}") == f"/shared/aiops/env/{label}"
        assert site.shell(node, IMPORT).startswith(f"{PLACE}/tiny/lib/")

"""The pure parts of the lab: subnets, the record and its names, control groups, the image's recipe, its inventory."""

import contextlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.core.errors import ConflictError, InputError, NotFoundError
from aiops.layers.l0_nodes.lab.cgroup import Hierarchies, hierarchies
from aiops.layers.l0_nodes.lab.disk import Disk, mounts_below
from aiops.layers.l0_nodes.lab.fault import Target, kind_called
from aiops.layers.l0_nodes.lab.host import Launch, kernel_line, launcher, nspawn
from aiops.layers.l0_nodes.lab.inventory import inventory_text
from aiops.layers.l0_nodes.lab.limit import PER_HOST, raise_limit, restore_limit
from aiops.layers.l0_nodes.lab.machine import Resources, missing_programs, require_room
from aiops.layers.l0_nodes.lab.network import ruleset
from aiops.layers.l0_nodes.lab.recipe import Recipe, recipe_for
from aiops.layers.l0_nodes.lab.shim import release, seconds
from aiops.layers.l0_nodes.lab.specification import LabSpec, Simulated, WorkerGroup
from aiops.layers.l0_nodes.lab.state import LabState, plan_lab, read_state, write_state
from aiops.layers.l0_nodes.lab.subnet import CANDIDATES, free_subnet, routed
from aiops.layers.l0_nodes.variables import mistakes_in
from aiops.layers.l0_nodes.vendor import SimulatedFault, SimulatedTool

SUBNET = IPv4Network("10.199.3.0/24")
FOLDER = Path("/var/lib/aiops/labs/demo")


def plan(spec: LabSpec | None = None, folder: Path = FOLDER) -> LabState:
    return plan_lab(
        spec or LabSpec("demo"), folder, SUBNET, lambda release: Path("/image", release), "2026-01-02T03:04:05+00:00"
    )


def test_the_first_subnet_that_no_route_knows_is_taken() -> None:
    routes = [
        {"dst": "default", "gateway": "192.0.2.1"},
        {"dst": "10.199.0.0/24", "dev": "a"},
        {"dst": "10.199.1.77", "type": "local"},
    ]
    taken = routed(json.dumps(routes))
    assert free_subnet(taken) == IPv4Network("10.199.2.0/24")


def test_a_wide_route_hides_all_that_it_covers() -> None:
    assert free_subnet(routed('[{"dst": "10.0.0.0/8"}]')) == IPv4Network("172.31.0.0/24")
    with pytest.raises(ConflictError):
        free_subnet(routed('[{"dst": "10.0.0.0/8"}, {"dst": "172.16.0.0/12"}]'))


@given(st.lists(st.sampled_from(CANDIDATES), max_size=40))
def test_a_chosen_subnet_overlaps_nothing(taken: list[IPv4Network]) -> None:
    assert not any(free_subnet(taken).overlaps(network) for network in taken)


def test_the_record_names_everything_before_it_is_made(tmp_path: Path) -> None:
    spec = LabSpec("demo", nodes=12, accelerator=Simulated("nvidia", 8, "H200"), driver="580.95.05", memory_mib=4096)
    state = plan(spec)
    assert [host.name for host in state.hosts][:3] == ["head", "gpu01", "gpu02"]
    assert state.hosts[12].address == "10.199.3.22"
    for name in ("name", "address", "namespace", "link", "machine", "machine_id"):
        assert len({getattr(host, name) for host in state.hosts}) == 13, name
    assert all(len(host.link) <= 15 for host in state.hosts)  # the kernel's limit
    write_state(tmp_path, state)
    assert read_state(tmp_path) == state
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600


def test_two_labs_share_no_name_even_when_they_are_called_the_same() -> None:
    here, there = plan(), plan(folder=Path("/home/me/aiops/labs/demo"))
    assert not {here.id, here.bridge, here.table, here.cgroup} & {there.id, there.bridge, there.table, there.cgroup}


def test_a_record_with_unknown_keys_is_read_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    write_state(tmp_path, plan())
    document = json.loads((tmp_path / "state.json").read_text())
    (tmp_path / "state.json").write_text(json.dumps({**document, "later": 1}))
    assert read_state(tmp_path) == plan()
    del document["bridge"]
    (tmp_path / "state.json").write_text(json.dumps(document))
    with pytest.raises(ConflictError):
        read_state(tmp_path)
    (tmp_path / "state.json").write_text("{")
    with pytest.raises(ConflictError):
        read_state(tmp_path)
    (tmp_path / "state.json").unlink()
    with pytest.raises(NotFoundError):
        read_state(tmp_path)


@pytest.mark.parametrize(
    "spec",
    [
        LabSpec("Demo"), LabSpec("1demo"), LabSpec("de mo"), LabSpec("d" * 41), LabSpec("../x"), LabSpec(""),
        LabSpec(nodes=-1), LabSpec(nodes=241), LabSpec(disk_mib=10), LabSpec(driver="580"),
        LabSpec(accelerator=Simulated("nvidia", 0)), LabSpec(accelerator=Simulated("nvidia", 17)),
        LabSpec(release="sid"), LabSpec(groups=(WorkerGroup("new", 1, release="sid"),)),
        LabSpec(groups=(WorkerGroup("a", 1), WorkerGroup("a", 2))), LabSpec(groups=(WorkerGroup("head", 1),)),
        LabSpec(groups=(WorkerGroup("A", 1),)), LabSpec(groups=(WorkerGroup("a-b", 1),)),
        LabSpec(groups=(WorkerGroup("a", -1),)), LabSpec(groups=(WorkerGroup("a", 121), WorkerGroup("b", 120))),
        LabSpec(groups=(WorkerGroup("a", 1, Simulated("nvidia", 0)),)),
        LabSpec(groups=(WorkerGroup("a", 1), WorkerGroup("a01", 1))),
        LabSpec(groups=(WorkerGroup("a", 1),), driver="580"),
    ],
)  # fmt: skip
def test_senseless_labs_are_refused(spec: LabSpec) -> None:
    with pytest.raises(InputError):
        plan(spec)


@pytest.mark.parametrize("letter", [",", ":", " ", '"', "\\"])
def test_folders_that_mount_options_cannot_carry_are_refused(letter: str) -> None:
    with pytest.raises(InputError):
        plan(folder=Path(f"/var/lib{letter}aiops/labs/demo"))


def test_the_inventory_is_yaml_whatever_the_values_are() -> None:
    state = plan(LabSpec("demo", nodes=1, accelerator=Simulated("nvidia", 8, 'H100: "x" #1'), driver="580.10"))
    document = yaml.safe_load(inventory_text(state, FOLDER))["all"]
    workers = document["children"]["workers"]
    assert workers["hosts"] == {"gpu01": {"ansible_host": "10.199.3.11"}}
    assert workers["vars"]["aiops_accelerators"] == {"vendor": "nvidia", "count": 8, "model": 'H100: "x" #1'}
    assert workers["vars"]["aiops_driver_version"] == "580.10"
    assert document["vars"]["aiops_cluster"] == "demo"
    assert yaml.safe_load(inventory_text(plan(LabSpec(nodes=0)), FOLDER))["all"]["children"]["workers"]["hosts"] == {}


def groups() -> LabSpec:
    return LabSpec(
        "demo",
        groups=(
            WorkerGroup("h200", 2, Simulated("nvidia", 8, "H200")),
            WorkerGroup("l40s", 1, Simulated("nvidia", 4, "L40S")),
            WorkerGroup("cpu", 1),
            WorkerGroup("new", 1, release="trixie"),
            WorkerGroup("later", 0),
        ),
        driver="580.10",
    )


def test_workers_of_several_kinds(tmp_path: Path) -> None:
    state = plan(groups())
    assert [host.name for host in state.hosts] == ["head", "h200-01", "h200-02", "l40s01", "cpu01", "new01"]
    assert [host.group for host in state.hosts] == ["", "h200", "h200", "l40s", "cpu", "new"]
    assert [host.accelerator.count if host.accelerator else 0 for host in state.hosts] == [0, 8, 8, 4, 0, 0]
    assert {host.name: host.image for host in state.hosts if host.image != "/image/bookworm"} == {
        "new01": "/image/trixie"
    }
    write_state(tmp_path, state)
    assert read_state(tmp_path) == state


def test_each_group_of_a_lab_says_what_is_expected_of_it() -> None:
    workers = yaml.safe_load(inventory_text(plan(groups()), FOLDER))["all"]["children"]["workers"]
    assert set(workers) == {"children"}
    variables = {name: (group or {}).get("vars") for name, group in workers["children"].items()}
    assert variables == {
        "h200": {
            "aiops_accelerators": {"vendor": "nvidia", "count": 8, "model": "H200"},
            "aiops_driver_version": "580.10",
            "aiops_expect": {"os": "debian 12"},
        },
        "l40s": {
            "aiops_accelerators": {"vendor": "nvidia", "count": 4, "model": "L40S"},
            "aiops_driver_version": "580.10",
            "aiops_expect": {"os": "debian 12"},
        },
        "cpu": {"aiops_expect": {"os": "debian 12"}},
        "new": {"aiops_expect": {"os": "debian 13"}, "aiops_engine": "ssh"},
        "later": None,
    }
    for values in filter(None, variables.values()):
        assert not list(mistakes_in(values))


def test_a_lab_of_before_there_were_groups_is_read(tmp_path: Path) -> None:
    state = plan(LabSpec("demo", nodes=1, accelerator=Simulated("nvidia", 8)))
    write_state(tmp_path, state)
    document = json.loads((tmp_path / "state.json").read_text())
    document["image"] = document["hosts"][0]["image"]
    for host in document["hosts"]:
        for name in ("image", "release", "group", "accelerator"):
            del host[name]
    del document["spec"]["groups"], document["spec"]["release"]
    (tmp_path / "state.json").write_text(json.dumps(document))
    assert read_state(tmp_path) == state


HYBRID = """\
30 24 0:26 / /sys/fs/cgroup rw shared:9 - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
32 30 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
33 30 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
34 30 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
"""


def test_control_groups_of_both_versions_are_found() -> None:
    hybrid = hierarchies(HYBRID)
    assert hybrid.unified == Path("/sys/fs/cgroup/unified")
    assert set(hybrid.legacy) == {"name=systemd", "memory"}
    pure = hierarchies("30 24 0:26 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw,nsdelegate\n")
    assert (pure.unified, pure.legacy) == (Path("/sys/fs/cgroup"), {})
    with pytest.raises(InputError):
        hierarchies("".join(HYBRID.splitlines(keepends=True)[2:]))


def test_mounts_are_found_by_folder_and_in_the_order_to_unmount_them() -> None:
    text = "".join(
        f"{n} 1 0:1 / {path} rw - ext4 x rw\n" for n, path in enumerate(["/a", "/l/x", "/l/x/y", "/lx", "/l"])
    )
    assert mounts_below(Path("/l"), text) == [Path("/l"), Path("/l/x/y"), Path("/l/x")]


def test_the_launcher_quotes_and_enters_its_groups() -> None:
    host = plan().hosts[1]
    folder = FOLDER / "hosts" / host.name
    launch = Launch(host, folder, FOLDER / "shared", ("/cg/h/cgroup.procs",), ("/cg/h/launcher/cgroup.procs",))
    words = launcher(launch, Disk(folder, Path("/image")).mount_script(["one", "two"], fresh=True))
    script = words[-1]
    assert words[:2] == ["setsid", "--fork"]
    assert "--mount" in words
    assert "lowerdir=/var/lib/aiops/labs/demo/hosts/node01/disk/layers/two:" in script
    assert "! -name one ! -name two" in script
    assert script.index("launcher/cgroup.procs") < script.index("mount -o loop") < script.index("systemd-nspawn")
    assert f"--network-namespace-path=/run/netns/{host.namespace}" in nspawn(launch)


def test_the_rules_are_about_the_labs_own_bridge_alone() -> None:
    state = plan()
    rules = [line for line in ruleset(state).splitlines() if "drop" in line or "accept" in line]
    assert all(f'"{state.bridge}"' in line for line in rules if "policy" not in line)
    assert f"table inet {state.table} {{" in ruleset(state)


def test_kernel_lines_are_records() -> None:
    assert kernel_line(7, 12.5, 3, "NVRM: Xid") == "3,7,12500000,-;NVRM: Xid\n"


def test_the_recipe_follows_this_machines_sources(tmp_path: Path) -> None:
    assert recipe_for(tmp_path).sources == "deb http://deb.debian.org/debian bookworm main\n"
    (tmp_path / "sources.list").write_text(
        "# deb http://old bookworm main\ndeb [arch=amd64] http://mirror/debian bookworm main contrib\n"
        "deb-src http://mirror/debian bookworm main\ndeb http://mirror/debian trixie main\n"
    )
    assert recipe_for(tmp_path).sources == "deb [arch=amd64] http://mirror/debian bookworm main contrib\n"
    assert recipe_for(tmp_path, suite="trixie").sources == "deb http://mirror/debian trixie main\n"
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d/debian.sources").write_text(
        "Types: deb\n# a word\nURIs: http://near/debian\nSuites: bookworm bookworm-updates\nComponents: main\n\n"
        "Types: deb\nURIs: http://far/debian\nSuites: trixie\nComponents: main\n\n"
        "Enabled: no\nTypes: deb\nURIs: http://off/debian\nSuites: bookworm\nComponents: main\n"
    )
    recipe = recipe_for(tmp_path)
    assert (
        recipe.sources == "Types: deb\nURIs: http://near/debian\nSuites: bookworm bookworm-updates\nComponents: main\n"
    )
    assert recipe.sources_name == "image.sources"


def test_the_digest_is_of_what_is_in_the_image() -> None:
    recipe = Recipe("bookworm", "deb http://mirror bookworm main\n")
    assert recipe.digest == replace(recipe, proxy="http://proxy:3128").digest
    assert recipe.digest != replace(recipe, packages=(*recipe.packages, "vim")).digest
    assert not {"chrony", "munge", "slurmd"} & set(recipe.packages)


def test_the_inotify_limit_is_raised_for_labs_and_put_back_after_the_last(tmp_path: Path) -> None:
    where = Hierarchies(tmp_path / "cg", {})
    setting = tmp_path / "max_user_instances"
    setting.write_text("128")
    assert raise_limit(tmp_path, where, "aiops-lab", 0, setting) is None
    first = tmp_path / "cg/aiops-lab/a1b2c3"
    assert raise_limit(tmp_path, where, "aiops-lab", 9, setting) == 128 + 9 * PER_HOST
    for host in ("head", *(f"node{number}" for number in range(8))):
        (first / host).mkdir(parents=True)
        (first / host / "cgroup.procs").touch()
    assert raise_limit(tmp_path, where, "aiops-lab", 2, setting) == 128 + 11 * PER_HOST
    restore_limit(tmp_path, where, "aiops-lab", setting)
    assert setting.read_text() == str(128 + 11 * PER_HOST)  # a lab is left
    shutil.rmtree(tmp_path / "cg")
    restore_limit(tmp_path, where, "aiops-lab", setting)
    assert setting.read_text() == "128"
    raise_limit(tmp_path, where, "aiops-lab", 2, setting)
    setting.write_text("4096")  # someone else's wish
    restore_limit(tmp_path, where, "aiops-lab", setting)
    assert setting.read_text() == "4096"


def test_missing_programs_and_room_are_told() -> None:
    assert missing_programs(["sh", "no-such-program-anywhere"]) == ["no-such-program-anywhere"]
    with pytest.raises(InputError, match="memory"):
        require_room(Resources(memory_mib=100, disk_mib=10**6), 9, image_mib=0)
    with pytest.raises(InputError, match="disk"):
        require_room(Resources(memory_mib=10**6, disk_mib=100), 9, image_mib=800)
    require_room(Resources(memory_mib=4096, disk_mib=8192), 33, image_mib=800)


@given(st.text(max_size=12))
def test_shims_take_only_what_they_can_write_unquoted(text: str) -> None:
    for parse in (seconds, release):
        with contextlib.suppress(InputError):
            assert not set(str(parse(text))) & set("/'\"$`\\ \n;&|")


def test_a_healed_device_says_in_the_kernel_log_that_it_was_mended(tmp_path: Path) -> None:
    state = plan(LabSpec("demo", nodes=1, accelerator=Simulated("acme", 1)), tmp_path)
    launch = Launch(state.hosts[-1], tmp_path, tmp_path / "shared", (), ())
    launch.kernel_log.write_text("6,0,1,-;booted\n")
    launch.state.mkdir()

    def broken(state: Mapping[str, Any], kind: str, device: int, value: str | None) -> SimulatedFault | None:
        mended = ((6, f"device {device} was reset"),) if kind == "xid" else ()
        return SimulatedFault(state, ((3, f"error {value} of device {device}"),), mended=mended)

    tool = SimulatedTool({}, "/run/state.json", {"devices": 1}, {}, fault=broken)
    orders = {kind: {"device": 0, "value": "79"} for kind in ("xid", "firmware-skew")}
    target = Target(launch, Mock(), Mock(), tool, None, orders, lambda: None)
    kind_called("xid").heal(target)
    kind_called("firmware-skew").heal(target)
    records = launch.kernel_log.read_text().splitlines()
    assert [record.partition(";")[2] for record in records] == ["booted", "device 0 was reset"]

"""What a plan asks of nodes, and what it makes of their answers."""

import json
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.l0_nodes.accelerator import Accelerator
from aiops.layers.l0_nodes.ask import Answer, Record
from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l2_jobs.torch_build import TorchBuild, read_torch
from aiops.layers.l3_tuning.plan.asking import config_text, machine_of, plan_asks, silent
from aiops.layers.l3_tuning.plan.machine import Machine, environment_upon, imagined, simulated_upon
from aiops.layers.l3_tuning.recipe import Placement

from .models import recipe

AT = datetime(2026, 11, 29, tzinfo=UTC)
DF = "Filesystem 1024-blocks Used Available Capacity Mounted on\nnfs:/x 2000 1000 900 53% /shared\n"
TCP = (
    "  sl  local_address rem_address   st tx_queue\n"
    "   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0\n"
    "   1: 0100007F:D431 0100007F:0016 01 00000000:00000000 00:00000000 00000000     0\n"
)
LIB = "/opt/aiops/env/trainer/lib/python3.11/site-packages"
GOOD = {
    "plan.disk": Answer("plan.disk", 1, DF),  # `df` ends with 1: the folder itself is not there yet
    "plan.shm": Answer("plan.shm", 0, DF),
    "plan.ports": Answer("plan.ports", files={"/proc/net/tcp": TCP, "/proc/net/tcp6": ""}),
    "plan.base": Answer("plan.base", 0, "model.safetensors\t100\nconfig.json\t20\n"),
    "plan.base.small": Answer("plan.base.small", 1, f"{'1' * 64}  /shared/base/config.json\n"),
    "plan.config": Answer("plan.config", files={"/shared/base/config.json": "{}"}),
    "plan.environment": Answer(
        "plan.environment",
        0,
        f"{LIB}/torch-2.13.0+cpu.dist-info\n{LIB}/torchgen-1.dist-info\n{LIB}/peft-0.21.2.dist-info\n",
    ),
    "plan.torch": Answer(
        "plan.torch", 0, "__version__ = '2.13.0+cpu'\ncuda: Optional[str] = None\n# beside torch_npu\n"
    ),
    "plan.data": Answer("plan.data", files={"/shared/data/manifest.json": json.dumps({"digest": "d" * 64})}),
}


def record(**answers: Answer) -> Record:
    return Record("gpu01", AT, {**GOOD, **{name.replace("_", "."): one for name, one in answers.items()}})


def facts(**more: object) -> Facts:
    return Facts("gpu01", AT, **more)  # type: ignore[arg-type]


def test_answers_of_a_good_node() -> None:
    devices = (Accelerator("nvidia", driver="580.95", model="H100", memory_total_mib=81_559),)
    found = machine_of(record(), facts(memory_mib=1024, accelerators=devices))
    assert found.devices == (81_559 << 20,)
    assert found.memory == 1 << 30
    assert (found.free, found.shared) == (900 * 1024, 2000 * 1024)
    assert found.ports == (22,)
    assert found.data == "d" * 64
    assert found.versions == {"python": "3.11", "torch": "2.13.0+cpu", "peft": "0.21.2", "driver": "580.95"}
    assert found.torch == TorchBuild("2.13.0+cpu", frozenset({"torch_npu"}))
    assert found.base is not None


def test_a_base_of_another_size_or_content_is_another() -> None:
    first = machine_of(record(), facts()).base
    size = machine_of(
        record(plan_base=Answer("plan.base", 0, "model.safetensors\t101\nconfig.json\t20\n")), facts()
    ).base
    order = machine_of(
        record(plan_base=Answer("plan.base", 0, "config.json\t20\nmodel.safetensors\t100\n")), facts()
    ).base
    small = Answer("plan.base.small", 1, f"{'2' * 64}  /shared/base/config.json\n")
    content = machine_of(record(plan_base_small=small), facts()).base
    assert first == order
    assert len({first, size, content}) == 3


@pytest.mark.parametrize("name", [one for one in GOOD if one != "plan.config"])
def test_what_was_not_answered_is_unknown(name: str) -> None:
    timed_out = Answer(name, None, timed_out=True, missing={"argv": "killed"})
    full, found = machine_of(record(), facts()), machine_of(record(**{name.replace(".", "_"): timed_out}), facts())
    differing = [
        one
        for one in ("free", "shared", "ports", "base", "data", "versions", "torch")
        if getattr(full, one) != getattr(found, one)
    ]
    assert len(differing) == 1
    assert not getattr(found, differing[0])


def test_an_environment_is_known_by_its_manifest_else_by_its_packages() -> None:
    own = machine_of(record(), facts())
    assert own.packages == {"python": "3.11", "torch": "2.13.0+cpu", "torchgen": "1", "peft": "0.21.2"}
    assert own.environment is not None
    listed = f"{LIB}/torch-2.13.1.dist-info\n{LIB}/torchgen-1.dist-info\n{LIB}/peft-0.21.2.dist-info\n"
    other = machine_of(record(plan_environment=Answer("plan.environment", 0, listed)), facts())
    assert other.environment not in {own.environment, None}
    said = {"/opt/aiops/env/trainer/manifest.json": json.dumps({"digest": "e" * 64})}
    deployed = machine_of(record(plan_manifest=Answer("plan.manifest", files=said)), facts())
    assert (deployed.environment, deployed.packages) == ("e" * 64, own.packages)
    assert machine_of(record(plan_environment=Answer("plan.environment", 1, "")), facts()).environment is None
    asks = {one.name: one for one in plan_asks(recipe(), "axolotl")}
    assert asks["plan.manifest"].paths == ("/opt/aiops/env/axolotl/manifest.json",)

    def upon(*machines: Machine) -> str | None:
        found = environment_upon(recipe(placement=Placement(devices=0)), machines)
        return None if found is None else found.environment

    assert upon(own, replace(own, name="gpu02"), replace(own, name="gpu03", environment=None)) == own.environment
    assert upon(own, other) is None  # a job is not taken then; nothing is said of which it would be
    assert upon() is None


def test_nodes_are_simulated_where_all_that_may_be_chosen_have_said_so() -> None:
    real, lab = machine_of(record(), facts()), machine_of(record(), facts(simulated=True))

    def upon(*machines: Machine, **place: Any) -> bool | None:
        return simulated_upon(recipe(placement=Placement(devices=0, **place)), machines)

    assert upon(lab, replace(lab, name="gpu02"), silent("gpu03", "cut off")) is True
    assert upon(real, silent("gpu03", "cut off")) is False
    assert upon(real, replace(lab, name="gpu02")) is None  # which it will be is not known yet
    assert upon(real, replace(lab, name="gpu02"), only=("gpu02",)) is True
    assert upon(silent("gpu03", "cut off")) is None
    assert upon(*imagined(1, 0, 1 << 30)) is None


def test_a_device_that_does_not_say_its_memory_is_unknown() -> None:
    devices = (Accelerator("nvidia", memory_total_mib=1), Accelerator("nvidia"))
    assert machine_of(record(), facts(accelerators=devices)).devices is None
    assert machine_of(record(), facts(accelerators=())).devices == ()


@given(st.sampled_from(sorted(GOOD)), st.text(max_size=80))
def test_garbage_costs_what_it_is_about_and_nothing_else(name: str, text: str) -> None:
    answer = Answer(name, 0, text, files={"/proc/net/tcp": text, "/shared/data/manifest.json": text})
    assert machine_of(record(**{name.replace(".", "_"): answer}), facts()).name == "gpu01"


def test_asks_are_plain_questions() -> None:
    asks = {one.name: one for one in plan_asks(recipe())}
    assert asks["plan.disk"].argv[-3:] == ("/shared/runs", "/shared", "/")
    assert "/opt/aiops/env/trainer/lib" in asks["plan.environment"].argv
    assert config_text(record(), recipe()) == "{}"


def test_what_is_asked_of_torch_is_what_a_folder_tells(tmp_path: Path) -> None:
    site = tmp_path / "lib/python3.11/site-packages"
    for name in ("torch", "torch_npu/torch_sub", "torch_npu-2.9.dist-info", "torchgen", "numpy/torch"):
        (site / name).mkdir(parents=True)
    for place in ("torch", "numpy/torch"):
        (site / place / "version.py").write_text(f"__version__ = '{len(place)}'\n")
    (ask,) = (one for one in plan_asks(recipe(environment=str(tmp_path))) if one.name == "plan.torch")
    told = subprocess.run(ask.argv, capture_output=True, text=True, check=True).stdout
    assert read_torch(told) == TorchBuild("5", frozenset({"torch_npu", "torch_npu-2.9.dist-info"}))

"""The trainer `aiops`: what it refuses and renders; its worker's parts that need no torch are in `test_worker.py`."""

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from tests.l3_tuning.trainer_contract import TrainerContract, a_recipe, a_run

from aiops.layers.l3_tuning.recipe import Adapter, Handing, Placement, TrainPlan
from aiops.layers.l3_tuning.trainer import refusals
from aiops.plugins.trainers.transformers import DOCUMENT, TransformersTrainer, document
from aiops.plugins.trainers.transformers.worker.work import RefusedError, Work, read


@pytest.fixture
def trainer() -> TransformersTrainer:
    return TransformersTrainer()


class TestContract(TrainerContract):
    pass


def test_the_worker_reads_all_that_is_written_for_it(trainer: TransformersTrainer, tmp_path: Path) -> None:
    run = a_run(replace(a_recipe(), options={"trace_samples": True}), trainer)
    path = tmp_path / DOCUMENT
    path.write_bytes(trainer.render(run).files[DOCUMENT])
    work = read(path)
    assert work.digests == {"base": "ef" * 32, "data": "cd" * 32, "recipe": "ab" * 32, "code": "12" * 32}
    assert (work.steps, work.world, work.batch, work.accumulate) == (100, 16, 2, 4)
    assert work.adapter == {"kind": "lora", "rank": 16, "alpha": 32, "dropout": 0.0, "targets": [], "layers": None}
    assert work.trace
    written = set(json.loads(path.read_text())) - {"v"}
    assert written == {one.name for one in fields(Work)}


@pytest.mark.parametrize("simulated", [True, False, None])
def test_the_worker_is_told_whether_its_nodes_are_simulated(
    trainer: TransformersTrainer, tmp_path: Path, simulated: bool | None
) -> None:
    path = tmp_path / DOCUMENT
    path.write_bytes(trainer.render(replace(a_run(a_recipe(), trainer), simulated=simulated)).files[DOCUMENT])
    assert read(path).simulated is simulated


GOLDEN = Path(__file__).parent / "golden/trainer.json"
"""As the first aiops with this worker wrote it; it is not to be written anew while `v` is 1."""


@pytest.fixture
def golden() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(GOLDEN.read_text())
    return found


def test_the_worker_reads_what_the_first_aiops_wrote(golden: dict[str, Any]) -> None:
    work = read(GOLDEN)
    assert (work.run, work.steps, work.world, work.allowed, work.gguf) == ("llama-facts-3", 100, 16, (), ())
    assert work.simulated is None  # it was not told, so it is not known
    assert {name: getattr(work, name) for name in golden if name not in {"v", "allowed", "gguf"}} == {
        name: value for name, value in golden.items() if name not in {"v", "allowed", "gguf"}
    }


def test_a_run_that_keeps_its_worker_goes_on_after_an_upgrade(golden: dict[str, Any], tmp_path: Path) -> None:
    """A later aiops may say more than a worker of before knows."""
    (tmp_path / DOCUMENT).write_text(json.dumps({**golden, "not_yet": {"thought": "of"}}))
    assert read(tmp_path / DOCUMENT) == read(GOLDEN)


def test_workers_of_before_are_still_told_all_that_they_need(
    trainer: TransformersTrainer, golden: dict[str, Any]
) -> None:
    """What they were told is told as it was; whoever changes that raises `v`, and keeps a golden file of each."""
    written = document(a_run(replace(a_recipe(), options={"trace_samples": True}), trainer))
    assert {name: json.loads(json.dumps(written.get(name))) for name in golden} == golden


def test_a_worker_of_another_meaning_says_what_to_do(golden: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / DOCUMENT).write_text(json.dumps({**golden, "v": 2}))
    with pytest.raises(RefusedError, match=r"is of version 2, .* version 1\n\nhint: .*`--resume --allow-changed code`"):
        read(tmp_path / DOCUMENT)


def test_code_is_whole_and_imports_nothing_else_of_ours(trainer: TransformersTrainer) -> None:
    code = trainer.code()
    assert {"train.py", "aiops/checkpoint.py", "worker/main.py", "worker/__init__.py"} <= set(code)
    for name, text in code.items():
        for line in text.decode().splitlines():
            if "aiops" in line and line.strip().startswith(("from ", "import ")):
                assert line.strip() == "from aiops import checkpoint", f"{name}: {line}"


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"adapter": Adapter(kind="qlora"), "placement": Placement(2, 8, sharding="fsdp")}, ("placement", "sharding")),
        (
            {"train": TrainPlan(steps=1, optimizer="adamw-8bit"), "placement": Placement(2, 8, sharding="fsdp")},
            ("train", "optimizer"),
        ),
        ({"placement": Placement(devices=0), "train": TrainPlan(steps=1, precision="fp16")}, ("train", "precision")),
        ({"placement": Placement(devices=0), "train": TrainPlan(steps=1, attention="flash")}, ("train", "attention")),
        ({"handing": Handing(gguf=("q3_k_l",))}, ("register", "gguf")),
        ({"options": {"threads": 0}}, ("options", "threads")),
        ({"options": {"threads": True}}, ("options", "threads")),
        ({"options": {"trace_samples": "yes"}}, ("options", "trace_samples")),
        ({"options": {"thread": 2}}, ("options", "thread")),
    ],
)
def test_what_cannot_be_done_is_refused(
    trainer: TransformersTrainer, changes: dict[str, Any], path: tuple[str, str]
) -> None:
    assert path in {one.path for one in refusals(replace(a_recipe(), **changes), trainer)}


@pytest.mark.parametrize(
    ("devices", "options", "threads"), [(0, {}, 1), (0, {"threads": 3}, 3), (8, {}, None), (8, {"threads": 3}, None)]
)
def test_threads_are_of_processors(
    trainer: TransformersTrainer, devices: int, options: dict[str, Any], threads: int | None
) -> None:
    run = a_run(replace(a_recipe(), placement=Placement(1, devices), options=options), trainer)
    rendered = trainer.render(run)
    assert json.loads(rendered.files[DOCUMENT])["threads"] == threads
    assert rendered.variables.get("OMP_NUM_THREADS") == (None if threads is None else str(threads))


def test_pairs_share_no_samples(trainer: TransformersTrainer) -> None:
    recipe = a_recipe("dpo")
    recipe = replace(recipe, data=replace(recipe.data, packing=True))
    assert ("data", "packing") in {one.path for one in refusals(recipe, trainer)}


def test_one_process_splits_nothing(trainer: TransformersTrainer) -> None:
    alone = replace(a_recipe(), placement=Placement(1, 1, sharding="fsdp"))
    assert document(a_run(alone, trainer))["sharding"] == "none"

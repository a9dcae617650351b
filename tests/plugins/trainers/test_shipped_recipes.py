"""Every shipped recipe is one that the shipped trainer takes whole, and becomes a job of its command."""

from dataclasses import replace

import pytest
from tests.l3_tuning.test_shipped import whole
from tests.l3_tuning.trainer_contract import a_run

from aiops.layers.l2_jobs.job_file import read_job_file
from aiops.layers.l3_tuning.compile import compile_run
from aiops.layers.l3_tuning.shipped import shipped
from aiops.layers.l3_tuning.trainer import refusals
from aiops.plugins.trainers.transformers import TransformersTrainer


@pytest.mark.parametrize("name", shipped())
def test_the_shipped_trainer_takes_it(name: str) -> None:
    trainer, recipe = TransformersTrainer(), whole(name)
    assert recipe.trainer == trainer.name
    assert refusals(recipe, trainer) == ()
    run = a_run(recipe, trainer)
    document = read_job_file(compile_run(run, trainer.render(run)), "job.yml", folder=run.folder).document
    assert document.command[0] == "/opt/aiops/env/trainer/bin/torchrun"
    assert document.processes == max(recipe.placement.devices, 1)


def test_what_the_shipped_trainer_cannot_is_refused() -> None:
    recipe = replace(whole("llama-3-8b-sft-qlora"), options={"thread": 2})
    assert [one.hint for one in refusals(recipe, TransformersTrainer())] == ["did you mean `threads`?"]

"""Each trainer that renders for another tool keeps the contract."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from tests.l3_tuning.trainer_contract import TrainerContract, a_recipe, a_run

from aiops.layers.core.plugin import Plugins
from aiops.layers.l3_tuning.trainer import Trainer, refusals, trainers_of
from aiops.plugins.trainers.axolotl import Axolotl
from aiops.plugins.trainers.command import Command
from aiops.plugins.trainers.llamafactory import LlamaFactory
from aiops.plugins.trainers.ms_swift import MsSwift
from aiops.plugins.trainers.torchtitan import Torchtitan
from aiops.plugins.trainers.transformers import TransformersTrainer


class TestLlamaFactory(TrainerContract):
    @pytest.fixture
    def trainer(self) -> Trainer:
        return LlamaFactory()


class TestAxolotl(TrainerContract):
    @pytest.fixture
    def trainer(self) -> Trainer:
        return Axolotl()


class TestMsSwift(TrainerContract):
    @pytest.fixture
    def trainer(self) -> Trainer:
        return MsSwift()


class TestCommand(TrainerContract):
    options: Mapping[str, str | int | float | bool] = {
        "command": "torchrun /shared/ann/train.py {settings} --rows {rows} --rate {rate} --length {length} {seed}"
    }

    @pytest.fixture
    def trainer(self) -> Trainer:
        return Command()


class TestTorchtitan(TrainerContract):
    packed = True

    @pytest.fixture
    def trainer(self) -> Trainer:
        return Torchtitan()


@pytest.mark.parametrize("trainer", [LlamaFactory(), MsSwift()])
def test_a_template_of_the_tools_own_is_told(trainer: Trainer) -> None:
    for options in ({}, {"template": "qwen"}):
        run = a_run(replace(a_recipe(), trainer=trainer.name, options=options), trainer)
        assert not refusals(run.recipe, trainer)
        assert trainer.render(run).own_template == bool(options)


def test_each_trainer_that_is_installed_keeps_it() -> None:
    kept = {Axolotl, Command, LlamaFactory, MsSwift, Torchtitan, TransformersTrainer}  # the last in its own file
    assert {type(one) for one in trainers_of(Plugins()).values()} == kept

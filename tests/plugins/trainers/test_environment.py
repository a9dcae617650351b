"""The environment of the shipped trainer: handed in as the package says, and all of it pinned by digest."""

import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from aiops.layers.core.plugin import GROUP, Plugins
from aiops.layers.l1_cluster.bundle.lock import KIND, EnvironmentWish, Lock, chosen_locks, locks_of, read_lock
from aiops.plugins.trainers.transformers import TransformersTrainer

HERE = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def lock() -> Lock:
    """What the entry points of this checkout hand in."""
    points = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]["entry-points"][GROUP]
    found = [EntryPoint(name, value, GROUP) for name, value in points.items() if name.startswith(f"{KIND}.")]
    (lock,) = chosen_locks(locks_of(Plugins(found)), [EnvironmentWish("trainer", "`aiops_environments`")], HERE)
    return lock


def test_the_environment_of_the_trainer_is_handed_in(lock: Lock) -> None:
    trainer = TransformersTrainer()
    assert (lock.name, lock.imports) == (trainer.environment, trainer.imports)
    assert (HERE / lock.origin).read_text() == lock.text


def test_every_line_is_a_version_with_its_digest(lock: Lock) -> None:
    pins = read_lock(lock)
    lines = [line for line in lock.text.splitlines() if not line.startswith("#")]
    assert [pin.words for pin in pins] == lines
    assert all(pin.hashes for pin in pins)


def test_what_proves_it_is_in_it(lock: Lock) -> None:
    assert set(lock.imports) <= {pin.name for pin in read_lock(lock)}

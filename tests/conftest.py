"""Settings of all tests, and how they share several cores."""

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import Scheduling

# A commit is judged by the same examples each time; at a desk, and in the nights' runs, new ones are drawn.
# How long one example takes is judged in neither: it says more about what else the machine does than about the code.
settings.register_profile("desk", deadline=None)
settings.register_profile("commit", derandomize=True, deadline=None)
settings.load_profile("commit" if os.environ.get("CI") else "desk")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: "Producer") -> "Scheduling":
    """Keep in one process what shares fixtures: the tests of a file, and all that use the labs.

    Groups by mark (`--dist loadgroup`) are ignored without a word by xdist 3.8 under pytest 9.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Files(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "tests/lab" if file.startswith("tests/lab/") else file

    return Files(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the labs: they take longest and mostly wait, while another process has the rest.

    The first test of a lab has a whole deploy in its time, which takes a minute alone and more beside the others.
    """
    items.sort(key=lambda item: item.get_closest_marker("lab") is None)
    for item in items:
        if item.get_closest_marker("lab") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(900))

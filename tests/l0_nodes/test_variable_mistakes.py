"""Mistakes in variables are told in the operator's words."""

from typing import Any

import pytest

from aiops.layers.l0_nodes.variables import Mistake, mistakes_in


@pytest.mark.parametrize(
    ("values", "message", "hint"),
    [
        (
            {"aiops_accelerators": 8},
            "`aiops_accelerators` must be a mapping of vendor, count, model, not 8",
            "for example `aiops_accelerators:",
        ),
        ({"aiops_nosuch": 1}, "there is no variable `aiops_nosuch`", "known are aiops_"),
        ({"aiops_syctl": {}}, "there is no variable `aiops_syctl`", "did you mean `aiops_sysctl`?"),
        ({"aiops_shared": {"pth": "/a", "source": "b", "path": "/a"}}, "`aiops_shared.pth`", "did you mean `path`?"),
    ],
)
def test_each_is_told(values: dict[str, Any], message: str, hint: str) -> None:
    (mistake,) = mistakes_in(values)
    assert isinstance(mistake, Mistake)
    assert message in mistake.message
    assert mistake.hint is not None
    assert hint in mistake.hint

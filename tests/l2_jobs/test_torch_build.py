"""Whose accelerators a torch can use, by what it says of itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.l2_jobs.torch_build import TorchBuild, read_torch

REAL = """from typing import Optional

__all__ = ['__version__', 'debug', 'cuda', 'git_version', 'hip', 'rocm', 'xpu']
__version__ = '2.13.0+cpu'
debug = False
cuda: Optional[str] = None
git_version = 'cf30153c4c131c8164ee7798e5022d810682e2cb'
hip: Optional[str] = None
rocm: Optional[str] = None
xpu: Optional[str] = None
"""


def test_one_for_processors() -> None:
    """As torch 2.13 of PyPI for x86_64 has written it."""
    assert read_torch(REAL) == TorchBuild("2.13.0+cpu", frozenset())


@pytest.mark.parametrize(
    ("text", "vendor", "fits"),
    [
        (REAL, "nvidia", False),
        (REAL, "amd", False),
        (REAL, "ascend", False),
        (REAL, None, True),
        (REAL, "metax", True),
        (REAL.replace("cuda: Optional[str] = None", "cuda: Optional[str] = '13.0'"), "nvidia", True),
        (REAL.replace("cuda: Optional[str] = None", "cuda: Optional[str] = '13.0'"), "amd", False),
        (REAL.replace("cuda: Optional[str] = None", 'cuda = "12.8"'), "nvidia", True),
        (REAL.replace("hip: Optional[str] = None", "hip: Optional[str] = '7.0.51831'"), "amd", True),
        (REAL.replace("hip: Optional[str] = None", "hip: Optional[str] = '7.0.51831'"), "nvidia", False),
        (REAL + "# beside torch_npu\n", "ascend", True),
        (REAL + "# beside torch_npu\n", "nvidia", False),
    ],
)
def test_what_it_can_use(text: str, vendor: str | None, *, fits: bool) -> None:
    build = read_torch(text)
    assert build is not None
    assert (build.unfit(vendor) is None) == fits


@given(st.text(max_size=200))
def test_no_text_is_more_than_it_says(text: str) -> None:
    assert read_torch(text) is None or "__version__" in text
    assert read_torch(None) is None

"""Torch's build: whose accelerators the torch of an environment can use, told without importing it. Pure.

What is read is `torch/version.py`, which torch's build writes (tools/generate_torch_version.py of pytorch): `cuda` and
`hip` are None unless it was built for them. Makers that extend a torch for processors bring a package beside it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

BESIDE = "# beside "
"""Begins a line, behind those of version.py, for each package beside it that may be an extension."""

_FIELD = re.compile(
    r"""^(?P<name>__version__|cuda|hip|rocm)[ \t]*(:[^=\n]*)?=[ \t]*(?P<quote>['"])(?P<value>[^'"\n]+)(?P=quote)""",
    re.MULTILINE,
)

_NEEDS: Mapping[str, tuple[str, ...]] = {
    "nvidia": ("cuda",),
    "amd": ("hip", "rocm"),
    "hygon": ("hip", "rocm"),
    "ascend": ("torch_npu",),
    "cambricon": ("torch_mlu",),
    "mthreads": ("torch_musa",),
    "gaudi": ("habana_frameworks",),
}
"""By maker, what a torch must have of: fields of version.py (docs.nvidia.com and rocm.docs.amd.com: torch for CUDA, for
ROCm; Hygon's DTK is a ROCm), or the maker's package. Of makers that bring a torch of their own nothing is said."""


@dataclass(frozen=True, slots=True)
class TorchBuild:
    """A torch.

    Attributes:
        has: What it was built for (`cuda`, `hip`), and which packages extend it.
    """

    version: str
    has: frozenset[str]

    def unfit(self, vendor: str | None) -> str | None:
        """Why it cannot use a maker's accelerators, in words; None where it can, or where nobody knows."""
        needed = _NEEDS.get(vendor or "")
        if needed is None or self.has.intersection(needed):
            return None
        return f"its torch {self.version} is not built for {vendor}: it has no {needed[0]}"


def read_torch(text: str | None) -> TorchBuild | None:
    """What version.py and the lines behind it say; None where there is no torch, or it says nothing."""
    found = {one["name"]: one["value"] for one in _FIELD.finditer(text or "")}
    version = found.pop("__version__", None)
    if version is None:
        return None
    beside = {line.removeprefix(BESIDE).strip() for line in (text or "").splitlines() if line.startswith(BESIDE)}
    return TorchBuild(version, frozenset(found) | beside)

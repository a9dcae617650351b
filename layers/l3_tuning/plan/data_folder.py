"""The folder of prepared data, as far as a plan needs it: its manifest."""

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from aiops.layers.l3_tuning.data.dataset import MANIFEST, Manifest


def prepared(train: Sequence[str]) -> Manifest | None:
    """What prepared data says of itself; None where a recipe names files, or what cannot be read yet."""
    if len(train) != 1:
        return None
    try:
        said = json.loads((Path(train[0]) / MANIFEST).read_text(encoding="utf-8"))
        known = {one.name for one in fields(Manifest)}
        found = Manifest(**{name: value for name, value in said.items() if name in known})
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return None
    counts = (found.samples, found.tokens, found.longest)
    return found if all(isinstance(one, int) and one >= 0 for one in counts) else None

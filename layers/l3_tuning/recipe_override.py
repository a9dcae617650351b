"""`--set` of a recipe. Pure."""

from collections.abc import Sequence

from aiops.layers.core.places import Override
from aiops.layers.l2_jobs.job_override import overrides_of

_EXAMPLE = "train.rate=1e-5"


def recipe_overrides(sets: Sequence[str]) -> tuple[Override, ...]:
    """What `--set` says of a recipe, as overrides.

    Args:
        sets: `KEY=VALUE` with dots between keys; the value is YAML.

    Raises:
        InputError: One of them cannot be understood (`job.option`); the hint is a key of recipes.
    """
    return overrides_of(sets, example=_EXAMPLE)

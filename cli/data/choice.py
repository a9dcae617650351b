"""What options of data take: one of some words. Of any other the nearest is told."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from aiops.layers.core.errors import InputError


def one_of(option: str, given: str, known: Sequence[str]) -> str:
    """`given`, where it is known.

    Args:
        option: As in `--long`.
        given: What was written behind it.
        known: What may be.

    Raises:
        InputError: It is none of them (`usage.value`).
    """
    if given in known:
        return given
    near = get_close_matches(given, known, n=1)
    hint = f"did you mean `{option} {near[0]}`?" if near else f"for example `{option} {known[0]}`"
    raise InputError(f"`{option}` is one of {', '.join(known)}, not `{given}`", code="usage.value", hints=[hint])


def kinds_of(names: Iterable[str] | None) -> tuple[str, ...]:
    """The kinds of faults that `--allow` names.

    Raises:
        InputError: There is none of a name (`usage.value`).
    """
    from aiops.layers.l3_tuning.data.fault import CATALOGUE, nearest_kind

    kinds = tuple(names or ())
    for name in kinds:
        if name not in CATALOGUE:
            near = nearest_kind(name)
            hint = f"did you mean `--allow {near}`?" if near else "docs/data.md has all kinds"
            raise InputError(f"there is no kind of fault `{name}`", code="usage.value", hints=[hint])
    return kinds

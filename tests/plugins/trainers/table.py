"""The table of docs/trainers.md: which trainer can what, from what they say of themselves."""

from collections.abc import Iterable

from aiops.layers.l3_tuning.trainer import Trainer

_SIGNS = {True: "yes", False: "-"}


def table(trainers: Iterable[Trainer]) -> str:
    """The table, in Markdown."""
    rows = [
        ("trainer", "proof", "methods", "adapters", "processors", "packing", "last layers", "sharding", "exact resume"),
        ("---",) * 9,
    ]
    for one in sorted(trainers, key=lambda trainer: trainer.name):
        able = one.abilities
        rows.append(
            (
                f"`{one.name}`",
                one.proof,
                ", ".join(sorted(able.methods)),
                ", ".join(sorted(able.adapters)),
                _SIGNS[able.processors],
                _SIGNS[able.packing],
                _SIGNS[able.layers],
                ", ".join(sorted(able.shardings)),
                _SIGNS[able.exact],
            )
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)

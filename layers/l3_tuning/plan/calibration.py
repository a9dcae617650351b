"""Calibration: what formulas cannot say, as measured.

benchmarks/recipe_memory.py fits these on one half of its points, chosen by a seed before anything is fitted, and shows
how well they hold on the other.
"""

from dataclasses import dataclass

GIB = 1 << 30
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Guess:
    """How one reading of what formulas leave open is made.

    Attributes:
        activations: Times what the formula says; `logits` likewise.
        layers: Of an architecture that is not counted: times the same again.
        held: Whether logits are still there when their gradient is made.
        foreach: Whether the optimizer works on all weights at once, with a copy of them.
        buckets: Whether gradients are copied to be sent (ddp).
        upcast: Bytes of weights that QLoRA leaves in more than 4 bits; None as the others.
        spare: Part of what comes and goes within a step that the allocator cannot use again.
        runtime: Bytes of a process before there is a model: interpreter and libraries, or the device's context.
        talk: Bytes of what processes talk through, where there are several.
    """

    activations: float = 1.0
    layers: float = 1.0
    logits: float = 1.0
    held: bool = False
    foreach: bool = False
    buckets: bool = True
    upcast: int | None = None
    spare: float = 0.0
    runtime: int = 0
    talk: int = 0


@dataclass(frozen=True, slots=True)
class Calibration:
    """Three readings: what is thought likely, and what it is not under and not over."""

    low: Guess
    likely: Guess
    high: Guess


DEVICES = Calibration(
    Guess(0.75, 0.5, 0.6, buckets=False, runtime=300 * MIB, talk=100 * MIB),
    Guess(1.0, 1.0, 1.0, spare=0.02, runtime=600 * MIB, talk=400 * MIB),
    Guess(1.2, 2.0, 1.3, held=True, foreach=True, upcast=4, spare=0.1, runtime=1200 * MIB, talk=1024 * MIB),
)
"""Of accelerators. The runtime's share is the context, kernels and handles of libraries that the driver counts and the
allocator does not."""

PROCESSORS = Calibration(
    Guess(0.85, 0.5, 0.8, buckets=False, runtime=500 * MIB, talk=20 * MIB),
    Guess(1.0, 1.0, 1.0, spare=0.02, runtime=800 * MIB, talk=60 * MIB),
    Guess(1.15, 2.0, 1.3, held=True, foreach=True, upcast=4, spare=0.1, runtime=1400 * MIB, talk=200 * MIB),
)
"""Of processors."""


def calibration_of(*, processors: bool) -> Calibration:
    """The one that goes with where it trains."""
    return PROCESSORS if processors else DEVICES

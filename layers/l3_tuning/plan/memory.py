"""Memory of one process, by term, at each moment of a step at which it may be greatest. Pure.

The moments: the loss is made (all activations and logits are there, gradients of this pass are not); the first layer's
gradients are made (no activations but one layer's, all gradients); the optimizer's step (no activations). What lies
between is never more than its ends: with each layer its activations go and its gradients come.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .activations import kept, stream, transient
from .calibration import Calibration, Guess, calibration_of
from .model import Model, adapted, adapter_parameters
from .work import FULL, HALF, Work

TERMS = ("weights", "gradients", "optimizer", "activations", "logits", "overhead")

BLOCK = 64
"""Weights of QLoRA that share a constant, and 256 of these constants one in fp32 (Dettmers et al., "QLoRA", 2023)."""

_CONSTANTS = 256
_BLOCK_8BIT = 256
"""Numbers of an 8-bit optimizer that share a constant (bitsandbytes, `optim/optimizer.py`)."""

_PARTS = 8
"""Into which a chunked loss is cut (torchtune, `CEWithChunkedOutputLoss`)."""


@dataclass(frozen=True, slots=True)
class Range:
    """Bytes: at least, likely, at most."""

    low: int
    likely: int
    high: int


@dataclass(frozen=True, slots=True)
class Terms:
    """Bytes by term at one moment.

    Attributes:
        overhead: All that no other name fits: copies that are gathered or sent, the optimizer's scratch, what the
            allocator loses, and `runtime`, which is a part of it.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    overhead: int
    runtime: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.gradients + self.optimizer + self.activations + self.logits + self.overhead


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one process needs.

    Attributes:
        terms: By name, at the moment when the likely total is greatest.
        total: All terms together, each reading at its own greatest moment.
        runtime: The part of it that is there before the model is.
        moment: When that is, in words.
        trained: Parameters that are trained.
    """

    terms: Mapping[str, Range] = field(hash=False)
    total: Range
    runtime: Range
    moment: str
    trained: int


def estimate(model: Model, work: Work, calibration: Calibration | None = None) -> Estimate:
    """What one process needs, with bounds.

    Args:
        model: What is tuned.
        work: How.
        calibration: Of where it trains, by default.
    """
    calibration = calibration or calibration_of(processors=work.processors)
    readings = [moments(model, work, guess) for guess in (calibration.low, calibration.likely, calibration.high)]
    peaks = [max(reading.values(), key=lambda terms: terms.total) for reading in readings]
    moment = max(readings[1], key=lambda name: readings[1][name].total)
    at = [reading[moment] for reading in readings]

    def range_of(value: Callable[[Terms], int], among: list[Terms]) -> Range:
        return Range(value(among[0]), value(among[1]), value(among[2]))

    terms = {name: range_of(lambda one, name=name: int(getattr(one, name)), at) for name in TERMS}  # type: ignore[misc]
    total = range_of(lambda one: one.total, peaks)
    return Estimate(terms, total, range_of(lambda one: one.runtime, peaks), moment, trained_parameters(model, work))


def trained_parameters(model: Model, work: Work) -> int:
    """How many numbers are learnt."""
    if work.adapter == "none":
        return model.total
    return adapter_parameters(model, work.rank, work.targets, work.layers)


def moments(model: Model, work: Work, guess: Guess) -> dict[str, Terms]:
    """Bytes by term at each moment."""
    sizes = _Sizes.of(model, work, guess)
    inside = _inside(model, work, guess)
    lasting = sizes.gradients if work.accumulate > 1 else 0
    ending = 0 if work.step_in_backward else sizes.gradients
    # What is trained of the output is there as soon as the loss has gone back through it.
    first = min(ending, model.embedding * work.trained // work.shards) if work.adapter == "none" else 0
    logits = _logits(model, work, guess)
    return {
        "when the loss is made": sizes.terms(max(lasting, first), inside.all, logits, sizes.moving),
        "in a layer's backward pass": sizes.terms(max(lasting, first), inside.all + inside.one, 0, sizes.moving),
        "when gradients are there": sizes.terms(ending, inside.one, 0, sizes.moving),
        "in the optimizer's step": sizes.terms(ending, 0, 0, sizes.scratch),
    }


@dataclass(frozen=True, slots=True)
class _Sizes:
    """What does not depend on tokens.

    Attributes:
        passing: Copies of weights that last as long as a pass.
        moving: What is gathered, sent or cast during a pass.
        scratch: The optimizer's, during its step.
    """

    weights: int
    gradients: int
    states: int
    passing: int
    moving: int
    scratch: int
    sent: int
    guess: Guess
    talk: int

    @classmethod
    def of(cls, model: Model, work: Work, guess: Guess) -> "_Sizes":
        trained = trained_parameters(model, work)
        gradients = trained * work.trained // work.shards
        ddp = work.sharding == "ddp" and work.world > 1
        return cls(
            weights=_weights(model, work, guess),
            gradients=gradients,
            states=0 if work.paged else _states(model, work, trained) // work.shards,
            passing=HALF * trained if work.casts else 0,
            moving=_gathered(model, work) + _widened(model, work),
            scratch=_scratch(model, work, trained, guess),
            sent=gradients if ddp and guess.buckets else 0,
            guess=guess,
            talk=guess.talk if work.world > 1 else 0,
        )

    def terms(self, gradients: int, activations: int, logits: int, extra: int) -> Terms:
        passing = self.passing if activations or logits else 0
        coming = gradients + activations + logits + extra + passing
        overhead = extra + passing + self.sent + self.talk + self.guess.runtime + int(self.guess.spare * coming)
        return Terms(self.weights, gradients, self.states, activations, logits, overhead, self.guess.runtime)


def _weights(model: Model, work: Work, guess: Guess) -> int:
    """Of the base, of adapters, and of the model that preferences are measured from where it is one of its own."""
    trained = trained_parameters(model, work)
    if work.adapter == "none":
        reference = model.total * work.frozen if work.method == "dpo" else 0
        return (trained * work.trained + reference) // work.shards
    adapters = trained * work.trained
    if work.adapter == "lora":
        return (model.total * work.frozen + adapters) // work.shards
    small, left = model.quantizable, model.total - model.quantizable
    wide = max(work.frozen, guess.upcast or 0)
    return (packed(small) + left * wide + adapters) // work.shards


def packed(parameters: int) -> int:
    """Bytes of weights in 4 bits with their constants, which are packed again."""
    return parameters // 2 + parameters // BLOCK + FULL * parameters // (BLOCK * _CONSTANTS)


def _states(model: Model, work: Work, trained: int) -> int:
    if work.optimizer == "adamw":
        return 2 * work.state * trained
    if work.optimizer == "adamw-8bit":
        return 2 * (trained + FULL * trained // _BLOCK_8BIT)
    if work.optimizer == "adafactor":  # a row's and a column's sums of each matrix
        return FULL * _edges(model, work)
    return 0


def _edges(model: Model, work: Work) -> int:
    if work.adapter != "none":
        layers = model.layers if work.layers is None else min(work.layers, model.layers)
        return layers * sum(2 * work.rank + one.width + one.height for one in adapted(model, work.targets).values())
    edges = sum(one.width + one.height for one in model.linears.values()) + model.norms * model.hidden
    edges += 3 * model.experts * (model.hidden + model.intermediate)
    return model.layers * edges + 2 * (model.vocabulary + model.hidden)


def _scratch(model: Model, work: Work, trained: int, guess: Guess) -> int:
    """One by one the optimizer has two copies of the largest weight; all at once a copy of all; fused none."""
    if work.optimizer in {"sgd", "adamw-8bit"}:
        return 0
    if work.adapter == "none":
        largest = max(model.embedding, *(one.parameters for one in model.linears.values()))
    else:
        sides = [max(one.width, one.height) for one in adapted(model, work.targets).values()]
        largest = work.rank * max(sides, default=0)
    one_by_one = 2 * largest * work.state // work.shards if work.processors else 0
    return max(one_by_one, trained * work.state // work.shards if guess.foreach else 0)


def _gathered(model: Model, work: Work) -> int:
    """What FSDP2 has whole during a pass.

    What is outside the layers all the time (`FSDPState` does not free the root's weights between forward and backward),
    two layers, this one and the next, and of one its gradients.
    """
    if work.sharding != "fsdp":
        return 0
    layer = packed(model.layer) if work.adapter == "qlora" else model.layer * work.compute
    gradients = model.layer * work.compute if work.adapter == "none" else 0
    return model.outside * work.compute + 2 * layer + gradients


def _widened(model: Model, work: Work) -> int:
    """QLoRA widens one weight at a time."""
    if work.adapter != "qlora":
        return 0
    return work.compute * max(one.parameters for one in model.linears.values())


@dataclass(frozen=True, slots=True)
class _Inside:
    """Bytes of activations: kept by all layers; of one that is computed again."""

    all: int
    one: int


def _inside(model: Model, work: Work, guess: Guess) -> _Inside:
    scale = guess.activations * (1.0 if model.known else guess.layers)
    through = model.layers
    if work.adapter != "none" and work.layers is not None:
        through = min(work.layers, model.layers)  # below the first adapter nothing is kept
    layer, moving = kept(model, work), transient(model, work)
    ends = stream(model, work) + FULL * model.hidden + work.compute * model.hidden
    mask = work.batch * work.length * work.length if work.masked and work.attention != "flash" else 0
    if work.recompute:
        each = 0 if work.offloaded else stream(model, work)
        all_, one = through * each + ends, layer + moving
    else:
        all_, one = through * layer + ends, moving
    return _Inside(int(scale * work.tokens * all_) + mask, int(scale * work.tokens * one))


def _logits(model: Model, work: Work, guess: Guess) -> int:
    """Bytes of logits when most of them are there (`loss_utils.py` of transformers; backward of `cross_entropy`).

    Whole: the logarithm of the softmax, the loss's gradient by it and by the logits, all in fp32; the logits themselves
    where somebody still holds them.
    """
    count = work.tokens * model.vocabulary
    if work.loss == "whole":
        each = 3 * FULL + (work.compute if guess.held else 0)
        return int(guess.logits * count * each)
    part = 3 * FULL * (count // _PARTS)
    if work.loss == "rows":
        return int(guess.logits * part)
    held = work.compute + (FULL if work.loss == "chunked" else 0)
    return int(guess.logits * (count * held + part))

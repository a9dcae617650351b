"""Prepared data: a folder under its digest, read by trainers without asking anybody.

    DIGEST/manifest.json        `Manifest`; written last, so a folder with one is whole
    DIGEST/tokens.bin           uint32, little-endian, all samples one after the other
    DIGEST/mask.bin             uint8 for each token: 1 where the loss counts it
    DIGEST/samples.bin          uint64 pairs: each sample's first token, and how many it has; of preferences three pairs
                                a sample: prompt, chosen, rejected (neither repeats the prompt)
    DIGEST/segments.bin         uint32 for each token, only of packed data: the row's number within its sample, so that
                                attention and positions do not cross from one row into the next
    DIGEST/rows.jsonl.zst       the normalised rows in the order of the samples, each with its place: the lineage
    DIGEST/removed.jsonl.zst    the rows that are not there, each with its place and why
    DIGEST/evaluation/          the same files of the part that is held out, where there is one

Samples are in the order of the source; a trainer's order is `order(seed, epoch)` of its own, a permutation that depends
on nothing else, so that a run that goes on reads what the unbroken one would have read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .row import Form

MANIFEST = "manifest.json"
TOKENS = "tokens.bin"
MASK = "mask.bin"
SAMPLES = "samples.bin"
SEGMENTS = "segments.bin"
ROWS = "rows.jsonl.zst"
REMOVED = "removed.jsonl.zst"
EVALUATION = "evaluation"
TOLERATED = "tolerated"
"""Of a lineage: kinds of faults that were allowed and met, with how many."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a prepared folder says of itself.

    Attributes:
        digest: sha256 over what made it: the rows, the tokenizer's files, the template, the length, what was done to
            the rows and the version of the code that did it. The same inputs give the same digest on any machine.
        form: Of all its rows.
        samples: How many sequences (packed ones count once).
        rows: How many rows they hold.
        tokens: All of them.
        counted: Of these, those that the loss counts.
        longest: Tokens of the longest sample.
        packed: Whether rows share samples.
        length: The most tokens a sample may have.
        vocabulary: How many tokens the tokenizer has; all ids are below.
        inputs: By name the digest of each thing that went into `digest`.
        lineage: Where rows came from and what became of them: files with digests, counts by step and reason, and which
            faults it was made in spite of.
        files: By name sha256 and size of each file beside the manifest.
    """

    digest: str
    form: Form
    samples: int
    rows: int
    tokens: int
    counted: int
    longest: int
    packed: bool
    length: int
    vocabulary: int
    inputs: Mapping[str, str] = field(default_factory=dict, hash=False)
    lineage: Mapping[str, Any] = field(default_factory=dict, hash=False)
    files: Mapping[str, Any] = field(default_factory=dict, hash=False)

"""Preparation: what is made of which files, with everything that its digest is made of."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from shlex import join
from typing import Any

from aiops.layers.core.errors import FailedError, InputError
from aiops.layers.l3_tuning.recipe import DataPlan

from .reading import form_found, without_rows
from .row import FORMS, Form
from .source import SourceFile, sources
from .store import digest_of
from .taking import named_form
from .template import read_template
from .tokenizer import read_tokenizer

VERSION = 2
"""Of the steps of this package, from reading to packing. Raised by whoever changes what comes of the same inputs, and
by nobody else: a run whose data another version prepared refuses to go on. `test_golden.py` tells who forgets it."""

LIBRARIES = ("jinja2", "tokenizers")
"""Distributions whose versions decide what comes of the same inputs: texts of templates, and tokens."""

_PIECE = 1 << 20
Told = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Material:
    """A file that rows come from.

    Attributes:
        name: What it is called in the lineage: as much of its path as tells it from the others.
        path: Absolute.
        digest: sha256 of its bytes.
        size: Of it in bytes.
        changed: When it was changed last, in nanoseconds: what was hashed is what is to be read.
    """

    name: str
    path: str
    digest: str
    size: int
    changed: int = field(compare=False)

    def unchanged(self) -> bool:
        """Whether it looks as it did when it was hashed."""
        state = Path(self.path).stat()
        return (state.st_size, state.st_mtime_ns) == (self.size, self.changed)


@dataclass(frozen=True, slots=True)
class Preparation:
    """What is made of which files.

    Attributes:
        train: Where rows come from.
        evaluation: Where held-out rows come from, if not from `train`.
        exam: Whose rows must not be in `train`.
        base: A folder with a tokenizer.
        form: What its rows are.
        plan: What is done. Of its paths only the template's is still used.
        filters: Names and bounds.
        vocabulary: How many tokens the tokenizer has.
        inputs: By name the digest of each thing that goes into `digest`.
        digest: Of the folder that comes of it.
    """

    train: tuple[Material, ...]
    evaluation: tuple[Material, ...]
    exam: tuple[Material, ...]
    base: str
    form: Form
    plan: DataPlan
    filters: tuple[tuple[str, float], ...] = ()
    vocabulary: int = 0
    inputs: Mapping[str, str] = field(default_factory=dict, hash=False)
    digest: str = ""

    @property
    def allow(self) -> tuple[str, ...]:
        """Kinds of faults in spite of which something is prepared."""
        return self.plan.allow

    def written(self) -> str:
        """All of it as JSON, for whoever carries out a part of it."""
        return json.dumps(asdict(self), sort_keys=True)


def read_preparation(text: str) -> Preparation:
    """What `Preparation.written` wrote."""
    found = json.loads(text)
    for name in ("train", "evaluation", "exam"):
        found[name] = tuple(Material(**one) for one in found[name])
    plan: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in found["plan"].items()
    }
    found["filters"] = tuple((name, bound) for name, bound in found["filters"])
    return Preparation(**{**found, "plan": DataPlan(**plan)})


def preparation_of(
    plan: DataPlan,
    base: str,
    filters: Sequence[tuple[str, float]] = (),
    *,
    told: Told | None = None,
) -> Preparation:
    """What is to be made, with its digest; every file is read once to be hashed, and nothing is written.

    Args:
        plan: What is learnt from and what is done to it.
        base: The folder of the model.
        filters: Names and bounds, as `filter.chosen` gives them.
        told: Told the bytes that were hashed, each time.

    Raises:
        InputError: A file is missing or is no data; the base has no tokenizer, or its template cannot be read; or what
            is asked for does not go together.
    """
    _sensible(plan)
    plan = replace(plan, mask=tuple(sorted(set(plan.mask))))
    found = sources(plan.train)
    train = materials(found, told)
    evaluation = materials(sources(plan.evaluation), told) if plan.evaluation else ()
    exam = materials(sources(plan.decontaminate), told) if plan.decontaminate else ()
    tokenizer = read_tokenizer(Path(base))
    form = form_found(found) if plan.form == "auto" else named_form(plan.form)
    if form is None and all(map(without_rows, found)):
        be = "is empty: it has" if len(found) == 1 else "are empty: they have"
        raise InputError(
            f"{', '.join(plan.train)} {be} no rows", code="data.empty", hints=["write rows, or name another file"]
        )
    if form is None:
        raise InputError(
            f"nobody can tell what the rows of {', '.join(plan.train)} are",
            code="data.form",
            hints=[
                f"say it: `--format {'|'.join(FORMS)}`",
                f"see what is wrong: `aiops data check {join(plan.train)}`",
            ],
        )
    if form == "preference" and plan.packing:
        raise InputError(
            "rows of preferences cannot share samples",
            code="data.packing",
            hints=["leave out `--packing`; of a recipe: `packing: false`"],
        )
    template = read_template(tokenizer, None if plan.template is None else Path(plan.template))
    if template is None and form != "text":
        raise InputError(
            f"{base} has no chat template, and rows of {form} need one",
            code="data.template",
            hints=["name a file with one: `--template FILE`"],
        )
    options = {
        "form": form,
        "length": plan.length,
        "long": plan.long,
        "packing": plan.packing,
        "loss": plan.loss,
        "duplicates": plan.duplicates,
        "mask": list(plan.mask),
        "held_out": plan.held_out,
        "filters": [list(one) for one in filters],
    }
    inputs = {
        "rows": listed(train),
        "evaluation": listed(evaluation),
        "decontaminate": listed(exam),
        "tokenizer": tokenizer.digest,
        "template": "" if template is None or form == "text" else template.digest,
        "options": _hashed(options),
        **versions(),
    }
    return Preparation(
        train,
        evaluation,
        exam,
        base,
        form,
        plan,
        tuple(filters),
        tokenizer.vocabulary,
        inputs,
        digest_of(inputs),
    )


def materials(found: Sequence[SourceFile], told: Told | None = None) -> tuple[Material, ...]:
    """The files with their digests and the names that they have in the lineage.

    Raises:
        FailedError: One changed while it was hashed.
    """
    names = short_names([source.path.resolve() for source in found])
    made = []
    for source, name in zip(found, names, strict=True):
        path = source.path.resolve()
        before = path.stat()
        digest = _file(path, told)
        one = Material(name, str(path), digest, before.st_size, before.st_mtime_ns)
        if not one.unchanged():
            raise changed(one)
        made.append(one)
    return tuple(made)


def changed(material: Material) -> FailedError:
    """The error where a file is not any more what was hashed."""
    return FailedError(
        f"{material.path} changed while it was read",
        code="data.changed",
        hints=["wait until nobody writes it, and type the same again"],
    )


def short_names(paths: Sequence[Path]) -> list[str]:
    """For each path its name, with so many of the folders above that no two are the same. Pure.

    The lineage has these, so that the same files give the same bytes wherever they lie.
    """
    parts = 1
    while len({path.parts[-parts:] for path in paths}) < len(set(paths)):
        parts += 1
    return ["/".join(path.parts[-parts:]).removeprefix("//") for path in paths]


def versions() -> dict[str, str]:
    """What makes rows and tokens of the inputs: our own steps by `VERSION`, and libraries that decide what comes out.

    Others (orjson, pyarrow, zstandard) read what a standard says, and NFC is fixed by Unicode's stability policy.
    """
    return {"steps": str(VERSION), **{name: version(name) for name in LIBRARIES}}


def listed(files: Iterable[Material]) -> str:
    """The digest of some files: their names in the lineage and their bytes. Pure."""
    return _hashed([(one.name, one.digest) for one in files])


def _sensible(plan: DataPlan) -> None:
    if plan.length < 1:
        raise InputError(f"a sample of {plan.length} tokens holds nothing", code="data.length", hints=["--length 2048"])
    if not 0 <= plan.held_out < 1:
        raise InputError(
            f"{plan.held_out:g} of the rows cannot be held out",
            code="data.held_out",
            hints=["write a part of all, from 0 to below 1: `--held-out 0.02`"],
        )
    if plan.held_out and plan.evaluation:
        raise InputError(
            "both a part of the rows and files of their own are to be held out",
            code="data.held_out",
            hints=["leave out `--held-out` or `--evaluation`"],
        )


def _file(path: Path, told: Told | None = None) -> str:
    hashing = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            hashing.update(piece)
            if told is not None:
                told(len(piece))
    return hashing.hexdigest()


def _hashed(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

"""Faults: what can be wrong with data, by name, with what it means and what to do."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, NamedTuple

from .row import Place

Level = Literal["structure", "full"]
"""`structure` reads and compares; `full` also renders the template and runs the tokenizer."""

LEVELS: tuple[Level, ...] = ("structure", "full")


_ALIKE = 0.6
"""From which ratio on two words are spelled alike, as difflib has it by default."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault.

    Attributes:
        name: `area.fault`; stable, for `--allow` and for programs.
        meaning: What is wrong with such a row.
        advice: What to do about it.
        level: From which level on it is looked for.
        fails: Whether it fails a check; else it is only told.
    """

    name: str
    meaning: str
    advice: str
    level: Level = "structure"
    fails: bool = True


class Flaw(NamedTuple):
    """What is wrong with a record, wherever it stands.

    Attributes:
        kind: The name of a `Kind`.
        reason: What is wrong with this one, without repeating it.
    """

    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong where.

    Attributes:
        place: File and line.
        kind: The name of a `Kind`.
        reason: What is wrong with this one, without repeating it.
    """

    place: Place
    kind: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.kind}: {self.reason}"


def at(place: Place, flaw: Flaw) -> Fault:
    """The flaw, where it stands."""
    return Fault(place, flaw.kind, flaw.reason)


_KINDS = (
    # Files
    Kind("file.empty", "the file has no rows", "remove it, or find out why it was never written"),
    Kind("file.unreadable", "the file cannot be read as what its name says", "write it anew, or rename it"),
    Kind("compression.broken", "the compressed file is cut off or damaged", "copy it again, and compare its size"),
    Kind("row.huge", "one row is larger than 64 MiB", "split it, or end its lines"),
    # Parsing
    Kind("json.broken", "the line is no JSON", "write rows with a JSON library, one on a line"),
    Kind("json.not_object", "the row is JSON, but no object with keys", "give each value a key, as the format wants"),
    Kind(
        "csv.broken", "the row has other columns than the header, or a quote is left open", "quote fields with commas"
    ),
    # Encoding
    Kind("encoding.utf8", "bytes that are not UTF-8", "convert the file: `iconv -f LATIN1 -t UTF-8`"),
    Kind(
        "encoding.wide",
        "the file is UTF-16 or UTF-32",
        "convert the file: `iconv -f UTF-16 -t UTF-8`, or `-f UTF-32`",
    ),
    Kind(
        "encoding.surrogate", "half of a surrogate pair, which no tokenizer can read", "remove it where rows are made"
    ),
    Kind("encoding.replacement", "U+FFFD stands where a character was lost", "read the source with its own encoding"),
    Kind("encoding.mojibake", "UTF-8 that was read as Latin-1 and written again", "decode the source as UTF-8"),
    Kind("encoding.control", "control or noncharacters that no text has", "remove them; only tab and newlines stay"),
    # Form
    Kind("form.unknown", "the keys are those of no known format", "see docs/data.md for the keys of each format"),
    Kind("form.ambiguous", "the keys are those of more than one format", "say which is meant with `--format`"),
    Kind("form.mixed", "the row is of another format than those before", "keep one format in one set"),
    Kind("field.missing", "a key is missing", "write it, or drop the row where rows are made"),
    Kind("field.type", "a value is of another type than the format wants", "write text as text and turns as a list"),
    Kind("field.unsupported", "something that would be lost without a word", "remove it, or put it into the text"),
    # Turns
    Kind("role.unknown", "a role that is none of system, user, assistant, tool", "rename it where rows are made"),
    Kind("role.order", "the turns do not follow each other as a conversation does", "merge or drop turns"),
    Kind("turn.none", "there are no turns", "drop the row where rows are made"),
    Kind("turn.empty", "a turn says nothing", "drop the row where rows are made"),
    Kind("answer.empty", "there is nothing to learn", "drop the row where rows are made"),
    Kind("text.empty", "the text is empty", "drop the row where rows are made"),
    Kind("preference.same", "chosen and rejected are the same", "drop the row: it teaches nothing"),
    Kind("preference.prompt", "the prompt is not what both answers begin with", "write prompt and answers apart"),
    Kind("tools.broken", "a tool, or a call of one, is not written as OpenAI writes it", "see docs/data.md"),
    Kind("tools.unanswered", "a call of a tool without its answer, or the other way round", "keep both, or neither"),
    # Between rows
    Kind("duplicate.exact", "the same row came before", "`aiops data prepare` removes it"),
    Kind(
        "duplicate.conflicting",
        "the same prompt came before with another answer",
        "keep both only where several answers are right",
        "full",
        fails=False,
    ),
    # Template and tokenizer
    Kind("template.error", "the chat template refuses the row", "mend the row, or use another `--template`", "full"),
    Kind(
        "template.drops_text", "text of the row is not in what the model reads", "use a template that keeps it", "full"
    ),
    Kind("template.special_token", "a special token stands in the text as if typed", "remove or escape it", "full"),
    Kind("tokens.unknown", "the tokenizer has no token for something", "use another base, or remove it", "full"),
    Kind("length.over", "the row has more tokens than `--length`", "split it, or train with a longer length", "full"),
    Kind("length.answer_cut_off", "cut at `--length`, nothing of the answer is left", "shorten the prompt", "full"),
    Kind("leak.evaluation", "a row of the evaluation stands in the data", "`aiops data prepare` removes it", "full"),
    # Personal data
    Kind("personal.email", "an e-mail address", "mask it with `aiops data prepare`", "full"),
    Kind("personal.phone", "a telephone number", "mask it with `aiops data prepare`", "full"),
    Kind("personal.card", "the number of a payment card", "mask it with `aiops data prepare`", "full"),
    Kind("personal.iban", "the number of a bank account", "mask it with `aiops data prepare`", "full"),
    Kind("personal.ip", "the public address of a machine", "mask it with `aiops data prepare`", "full"),
    Kind("personal.key", "a password, key or token that opens something", "revoke it, then remove it", "full"),
)

CATALOGUE: Mapping[str, Kind] = {kind.name: kind for kind in _KINDS}
"""All kinds by name, in the order of a report."""


def nearest_kind(name: str) -> str | None:
    """The kind that was surely meant: one that `name` is a part of (`role`), or one that is spelled alike."""
    word = name.lower()
    holding = [kind for kind in CATALOGUE if word in kind] if word else []
    near = get_close_matches(word, holding or CATALOGUE, n=1, cutoff=0.0 if holding else _ALIKE)
    return near[0] if near else None

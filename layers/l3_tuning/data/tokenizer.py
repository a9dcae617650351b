"""Tokenizer: the real one of a model's folder as Hugging Face lays it out, by the library that trainers use."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aiops.layers.core.errors import InputError

FILE: Final = "tokenizer.json"
CONFIG: Final = "tokenizer_config.json"
_MAP: Final = "special_tokens_map.json"
_NAMED: Final = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_LLAMA_LIKE: Final = ("Llama", "CodeLlama", "Gemma")
"""Classes that put the first and last token by `add_bos_token` and `add_eos_token`, whatever tokenizer.json says."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """One text as tokens.

    Attributes:
        ids: The tokens.
        offsets: For each the characters of the text that it stands for, first and after the last; (0, 0) for one that
            was put there by the tokenizer itself.
    """

    ids: Sequence[int]
    offsets: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """A model's tokenizer.

    Attributes:
        folder: Where it was read.
        digest: sha256 over the tokenizer and what its configuration says of special tokens; not over the template.
        vocabulary: All ids are below.
        named: Special tokens by what they are for, `bos_token` and the like, for templates.
        special: The text of every special token.
        unknown: The id of the token for what it does not know; None where there is none.
        eos: The id of the last token; None where it has none.
        first: Ids that it puts before a text.
        last: Ids that it puts behind.
        inner: The library's own.
    """

    folder: Path
    digest: str
    vocabulary: int
    named: Mapping[str, str]
    special: frozenset[str]
    unknown: int | None
    eos: int | None
    first: tuple[int, ...]
    last: tuple[int, ...]
    inner: Any = field(repr=False, hash=False, compare=False)

    def lengths(self, texts: Sequence[str], *, special: bool) -> list[int]:
        """How many tokens each text has.

        Args:
            texts: In one batch; the library uses all processors unless TOKENIZERS_PARALLELISM says otherwise.
            special: Whether the tokens before and behind are counted; a template writes its own.
        """
        more = len(self.first) + len(self.last) if special else 0
        return [len(one) + more for one in self.inner.encode_batch_fast(texts, add_special_tokens=False)]

    def ids(self, texts: Sequence[str], *, special: bool) -> list[list[int]]:
        """The tokens of each text; see `lengths`."""
        found = [one.ids for one in self.inner.encode_batch_fast(texts, add_special_tokens=False)]
        return [[*self.first, *one, *self.last] for one in found] if special else found

    def encoded(self, texts: Sequence[str], *, special: bool) -> list[Encoded]:
        """The tokens of each text with the characters that they stand for; see `lengths`."""
        found = self.inner.encode_batch(texts, add_special_tokens=False)
        if not special:
            return [Encoded(one.ids, one.offsets) for one in found]
        before, behind = [(0, 0)] * len(self.first), [(0, 0)] * len(self.last)
        return [Encoded([*self.first, *one.ids, *self.last], [*before, *one.offsets, *behind]) for one in found]


def read_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a model's folder.

    Raises:
        InputError: It has none that is known, or its files are broken.
    """
    import tokenizers

    file = folder / FILE
    if not file.is_file():
        raise InputError(
            f"{folder} has no {FILE}",
            code="tokenizer.none",
            hints=["name the folder of a model as Hugging Face lays it out: `ls` shows config.json and tokenizer.json"],
        )
    content = _bytes(file)
    try:
        inner = tokenizers.Tokenizer.from_buffer(content)
    except Exception as error:  # the library raises a bare Exception
        raise InputError(f"{file} is no tokenizer: {_line(error)}", code="tokenizer.broken") from error
    inner.no_truncation()
    inner.no_padding()
    config = read_config(folder)
    named = _named(config, _mapping(folder / _MAP))
    added = inner.get_added_tokens_decoder()
    special = {token.content for token in added.values() if token.special} | set(named.values())
    size = max([inner.get_vocab_size(with_added_tokens=True) - 1, *added]) + 1
    first, last = _around(inner, config, named)
    unknown = (
        inner.model.unk_token if isinstance(getattr(inner.model, "unk_token", None), str) else named.get("unk_token")
    )
    return Tokenizer(
        folder,
        _digest(content, config, named),
        size,
        named,
        frozenset(special),
        None if unknown is None else inner.token_to_id(unknown),
        inner.token_to_id(named["eos_token"]) if "eos_token" in named else None,
        first,
        last,
        inner,
    )


def read_config(folder: Path) -> Mapping[str, Any]:
    """What tokenizer_config.json says; nothing where there is none.

    Raises:
        InputError: It is broken.
    """
    return _mapping(folder / CONFIG)


def _mapping(file: Path) -> Mapping[str, Any]:
    if not file.is_file():
        return {}
    try:
        value = json.loads(_bytes(file))
    except ValueError as error:
        raise InputError(f"{file} is no JSON: {_line(error)}", code="tokenizer.broken") from error
    if not isinstance(value, dict):
        raise InputError(f"{file} is no JSON object", code="tokenizer.broken")
    return value


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}", code="tokenizer.unreadable") from error


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _named(config: Mapping[str, Any], mapped: Mapping[str, Any]) -> dict[str, str]:
    """Special tokens by what they are for; each is text, or an object with `content`."""
    named = {}
    for key in _NAMED:
        value = config.get(key) or mapped.get(key)
        value = value.get("content") if isinstance(value, dict) else value
        if isinstance(value, str) and value:
            named[key] = value
    return named


def _around(inner: Any, config: Mapping[str, Any], named: Mapping[str, str]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What is put before and behind every text: by tokenizer.json, or for some classes by their configuration."""
    probe = "a"
    plain, whole = (inner.encode(probe, add_special_tokens=special).ids for special in (False, True))
    begin = next((at for at in range(len(whole)) if whole[at : at + len(plain)] == plain), 0)
    first, last = tuple(whole[:begin]), tuple(whole[begin + len(plain) :])
    if str(config.get("tokenizer_class", "")).startswith(_LLAMA_LIKE):
        first = _wanted(config, "add_bos_token", inner, named.get("bos_token"), first)
        last = _wanted(config, "add_eos_token", inner, named.get("eos_token"), last)
    return first, last


def _wanted(
    config: Mapping[str, Any], key: str, inner: Any, token: str | None, otherwise: tuple[int, ...]
) -> tuple[int, ...]:
    wanted = config.get(key)
    if not isinstance(wanted, bool) or token is None:
        return otherwise
    number = inner.token_to_id(token)
    return (number,) if wanted and number is not None else ()


def _digest(content: bytes, config: Mapping[str, Any], named: Mapping[str, str]) -> str:
    said = {key: config.get(key) for key in ("tokenizer_class", "add_bos_token", "add_eos_token")}
    rest = json.dumps([said, dict(sorted(named.items()))], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(hashlib.sha256(content).digest() + rest.encode()).hexdigest()

"""Lessons: rows as the model reads them, and what is wrong with that: template, tokens, length. Pure but for caches."""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any, Final, NamedTuple

from .fault import Flaw
from .pattern import Pattern, pattern
from .recognition import Known, row_of
from .row import Row, Turn
from .template import RefusedError, Template
from .tokenizer import Tokenizer

_SURE: Final = 16
"""Characters of a text that hardly stands in another by chance; shorter ones are judged by what becomes of marks."""


class Lesson(NamedTuple):
    """A row as the model reads it.

    Attributes:
        row: The row, or what is known of it.
        texts: What it reads: one text, of a preference two.
        flaws: What is wrong so far.
        plain: Whether no template wrote them: the tokenizer then puts its own tokens before and behind.
    """

    row: Row | Known
    texts: tuple[str, ...]
    flaws: tuple[Flaw, ...] = ()
    plain: bool = False


@dataclass
class Reader:
    """Reads rows as a model does.

    Attributes:
        tokenizer: The model's.
        template: The model's, or the one that is used instead; None where it has none, and reads plain texts.
        length: Tokens that are read at most; None for all.
    """

    tokenizer: Tokenizer
    template: Template | None
    length: int | None = None
    _special: re.Pattern[str] | None = field(init=False)
    _dropped: dict[Any, frozenset[int]] = field(init=False, default_factory=dict)
    _patterns: dict[tuple[str, ...], Pattern | None] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        tokens = sorted(self.tokenizer.special, key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, tokens))) if tokens else None

    def known(self, known: Known, *, typed: bool) -> Lesson:
        """A row rendered of which all is known; as `lesson`, at a smaller price.

        Args:
            known: The row.
            typed: Whether its texts may have special tokens.
        """
        if typed or known.form in ("text", "preference") or self.template is None:
            return self.lesson(row_of(known), known.contents)
        try:
            found = self._patterns[known.roles]
        except KeyError:
            found = self._patterns[known.roles] = pattern(self.template, known.roles)
        if found is not None and found.whole:  # so nothing that it says is lost
            return Lesson(known, (found.written(known.contents),))
        messages = [{"role": role, "content": said} for role, said in zip(known.roles, known.contents, strict=True)]
        try:
            text = self.template.written(messages)
        except RefusedError as error:
            return Lesson(known, (), (Flaw("template.error", str(error)),))
        dropped = self._dropped.get(known.roles)
        if dropped is None:
            dropped = self._dropped[known.roles] = self._marked(row_of(known))
        if dropped or any(said not in text and said.strip() not in text for said in known.contents):
            return self.lesson(row_of(known), known.contents)
        return Lesson(known, (text,))

    def typed(self, texts: Sequence[str]) -> set[int]:
        """Numbers of the texts in which a special token stands."""
        if self._special is None:
            return set()
        ends = list(accumulate(len(text) + 1 for text in texts))
        return {bisect_right(ends, match.start()) for match in self._special.finditer("\0".join(texts))}

    def lesson(self, row: Row, contents: Sequence[str]) -> Lesson:
        """A row rendered.

        Args:
            row: Without flaws of structure.
            contents: Its texts.
        """
        flaws = self._typed(contents)
        if row.form == "text" or self.template is None:
            return Lesson(row, self._plain(row), tuple(flaws), plain=True)
        texts = []
        for answer in (row.answer, row.rejected) if row.form == "preference" else (row.answer,):
            turns = (*row.turns, *answer)
            try:
                text = self.template.render(turns, row.tools)
            except RefusedError as error:
                return Lesson(row, (), (*flaws, Flaw("template.error", str(error))))
            flaws += self._losses(turns, row, text)
            texts.append(text)
        return Lesson(row, tuple(texts), tuple(dict.fromkeys(flaws)))

    def _typed(self, contents: Sequence[str]) -> list[Flaw]:
        """Special tokens that stand in the text: the tokenizer takes them for its own."""
        match = self._special.search("\0".join(contents)) if self._special is not None else None
        return [] if match is None else [Flaw("template.special_token", f"has `{match[0]}`, which is a special token")]

    def _plain(self, row: Row) -> tuple[str, ...]:
        """Without a template a prompt and its answers follow each other as they are, and the last token ends them."""
        if row.form == "text":
            return (row.text,)
        end = self.tokenizer.named.get("eos_token", "")
        prompt = "".join(turn.content for turn in row.turns)
        answers = (row.answer, row.rejected) if row.form == "preference" else (row.answer,)
        return tuple(prompt + "".join(turn.content for turn in answer) + end for answer in answers)

    def _losses(self, turns: Sequence[Turn], row: Row, text: str) -> Iterator[Flaw]:
        """What the row says and the model would not read."""
        shape = (tuple((turn.role, bool(turn.calls), turn.call is None) for turn in turns), bool(row.tools))
        dropped = self._dropped.get(shape)
        if dropped is None:
            dropped = self._dropped[shape] = self._marked(replace(row, turns=tuple(turns), answer=()))
        for number, turn in enumerate(turns):
            said = turn.content.strip()
            if said and (number in dropped or (len(said) >= _SURE and said not in text)):
                whole = "" if number in dropped else "some text of "
                yield Flaw("template.drops_text", f"{whole}turn {number + 1} ({turn.role}) is not in what it writes")
            for call in turn.calls:
                if call["function"]["name"] not in text:
                    yield Flaw("template.drops_text", f"a call of turn {number + 1} is not in what it writes")
        if any(tool["function"]["name"] not in text for tool in row.tools):
            yield Flaw("template.drops_text", "a tool is not in what it writes")

    def _marked(self, row: Row) -> frozenset[int]:
        """The turns of such a conversation that the template leaves out, whatever they say."""
        if self.template is None:
            return frozenset()
        turns = (*row.turns, *row.answer)
        marks = [f"mark{number}of{len(turns)}end" for number in range(len(turns))]
        marked = [replace(turn, content=mark) for turn, mark in zip(turns, marks, strict=True)]
        try:
            text = self.template.render(marked, row.tools)
        except RefusedError:
            return frozenset()
        return frozenset(number for number, mark in enumerate(marks) if mark not in text)

    def measured(self, lessons: Sequence[Lesson]) -> tuple[list[int], Mapping[int, tuple[Flaw, ...]]]:
        """The tokens of each lesson, of a preference the longer's; and by its number what is wrong with some."""
        counts = [0] * len(lessons)
        flaws: dict[int, tuple[Flaw, ...]] = {}
        for special in {one.plain for one in lessons}:
            texts = [text for one in lessons if one.plain is special for text in one.texts]
            if len(texts) == len(lessons) and self.tokenizer.unknown is None:  # one of each, as of most sets
                counts = self.tokenizer.lengths(texts, special=special)
                break
            wanted = [number for number, one in enumerate(lessons) if one.plain is special for _ in one.texts]
            for number, length in zip(wanted, self._lengths(texts, wanted, flaws, special=special), strict=True):
                counts[number] = max(counts[number], length)
        if self.length is not None and max(counts, default=0) > self.length:
            for number, count in enumerate(counts):
                if count > self.length:
                    flaws[number] = (*flaws.get(number, ()), self._long(lessons[number], count, self.length))
        return counts, flaws

    def _lengths(
        self, texts: Sequence[str], numbers: Sequence[int], flaws: dict[int, tuple[Flaw, ...]], *, special: bool
    ) -> list[int]:
        """The tokens of texts; the lessons that have unknown ones go into `flaws` by their numbers."""
        unknown = self.tokenizer.unknown
        if unknown is None:
            return self.tokenizer.lengths(texts, special=special)
        ids = self.tokenizer.ids(texts, special=special)
        for number, one in zip(numbers, ids, strict=True):
            if unknown in one:
                flaws[number] = (Flaw("tokens.unknown", f"{one.count(unknown)} of {len(one)} tokens are unknown"),)
        return [len(one) for one in ids]

    def _long(self, lesson: Lesson, count: int, length: int) -> Flaw:
        """Over the length; and whether of the answer nothing is left when it is cut there."""
        words = Flaw("length.over", f"has {count} tokens")
        row = lesson.row if isinstance(lesson.row, Row) else row_of(lesson.row)
        if row.form == "text":
            return words
        try:
            begin = self._begin(row)
        except RefusedError:
            begin = 0
        if begin >= length:
            return Flaw("length.answer_cut_off", f"has {count} tokens, the answer begins after {begin}")
        return words

    def _begin(self, row: Row) -> int:
        """Tokens before the first that is learnt."""
        if self.template is None:
            return self.tokenizer.lengths(["".join(turn.content for turn in row.turns)], special=True)[0]
        rendered = self.template.rendered(row)
        heads = [one.text[: one.spans[0][0]] for one in rendered if one.spans]
        return max(self.tokenizer.lengths(heads, special=False), default=0)

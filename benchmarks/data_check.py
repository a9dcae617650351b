"""`aiops data check`: how fast, that nothing planted is missed, and that clean data is left alone.

The texts are documentation inside the Python packages of this machine, cut into conversations: real words, so that the
tokenizer works as it does on real data. Structure is measured in processor time, so one core; full is
compared with the same tokenizer on the same rendered rows in batches of the same size, each in turn.
"""

import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.l3_tuning.data import clean_rows
from tests.l3_tuning.data.checked_model import lay_checked_model
from tests.l3_tuning.data.planting import CHAT, LENGTH, QUESTION, line, planted

from aiops.layers.l3_tuning.data.check import Wish, check
from aiops.layers.l3_tuning.data.evaluation_set import evaluation_of
from aiops.layers.l3_tuning.data.form import read_row
from aiops.layers.l3_tuning.data.lesson import Reader
from aiops.layers.l3_tuning.data.reading import Record, records
from aiops.layers.l3_tuning.data.row import Row
from aiops.layers.l3_tuning.data.source import sources
from aiops.layers.l3_tuning.data.template import Template, read_template
from aiops.layers.l3_tuning.data.tokenizer import Tokenizer, read_tokenizer

from .measurement import Figure, report

ROWS = 100_000
TOKENISED = 20_000
QUESTIONS = 1000
"""Of the evaluation that is looked for while the speed is measured."""

TIMES = 5
SEEDS = 20
BATCH = 512
LEAST = 150_000
"""Rows of structure in a second."""

SIZES = range(80, 2000)
"""Characters of a text that is taken."""

MOST = 1.5
"""Times of tokenising alone."""


def paragraphs() -> list[str]:
    """Sentences of documentation strings and of text files in this Python's packages."""
    found: list[str] = []
    for root in sorted({Path(os.__file__).parent, *(Path(one) for one in sys.path if one.endswith("site-packages"))}):
        for file in sorted(root.rglob("*.py"))[:2000]:
            parts = file.read_text("utf-8", errors="ignore").split('"""')[1::2]
            found += (" ".join(part.split()) for part in parts if len(part) in SIZES)
    return sorted(set(found))


def conversations(count: int, seed: int) -> Iterator[bytes]:
    """Rows of about 480 bytes, as in the set whose speed without checks is known."""
    texts = paragraphs()
    rng = random.Random(seed)  # noqa: S311 - drawn by a seed
    for number in range(count):
        asked, answer = rng.choice(texts), rng.choice(texts)
        begin = rng.randrange(max(1, len(answer) - 220))
        turns = [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": f"{number}: {asked[:110]}?"},
            {"role": "assistant", "content": answer[begin : begin + 220].strip() or "Nothing."},
        ]
        yield line({"messages": turns}) + b"\n"


def questions(count: int, seed: int) -> Iterator[bytes]:
    """What an evaluation may ask: the same words in another order, so that none of it stands in a row."""
    texts = paragraphs()
    rng = random.Random(seed)  # noqa: S311 - drawn by a seed
    for _ in range(count):
        words = rng.choice(texts).split()[:40]
        rng.shuffle(words)
        yield line({"prompt": " ".join(words), "completion": "gpu07"}) + b"\n"


def model_folder(work: Path) -> tuple[Path, str]:
    """The folder of SmolLM2 where AIOPS_BASE names it; else a small one of our own."""
    named = os.environ.get("AIOPS_BASE")
    if named:
        return Path(named), "a real model's tokenizer and template"
    return lay_checked_model(work / "model"), "a small tokenizer that was trained for it; name a real one in AIOPS_BASE"


def structure_speed(path: Path) -> float:
    """Rows in a second of one core."""
    files = sources([path])
    begun = time.process_time()
    found = check(files, Wish())
    seconds = time.process_time() - begun
    assert found.rows == ROWS
    return found.rows / seconds


def rendered(path: Path, template: Template) -> list[str]:
    """All rows as the model reads them."""
    texts = []
    for one in records(sources([path])[0]):
        assert isinstance(one, Record)
        row = read_row(one.value, "chat")
        assert isinstance(row, Row)
        texts.append(template.render(row.turns, row.tools))
    return texts


def full_ratio(
    path: Path, exam: Path, tokenizer: Tokenizer, template: Template, texts: list[str]
) -> tuple[float, float, float, float]:
    """Wall and processor seconds of tokenising alone, and of the full check."""
    begun, used = time.perf_counter(), time.process_time()
    tokens = sum(sum(tokenizer.lengths(texts[at : at + BATCH], special=False)) for at in range(0, len(texts), BATCH))
    alone, alone_used = time.perf_counter() - begun, time.process_time() - used
    wish = Wish(reader=Reader(tokenizer, template, 4096), evaluation=evaluation_of([exam]))
    begun, used = time.perf_counter(), time.process_time()
    found = check(sources([path]), wish)
    full, full_used = time.perf_counter() - begun, time.process_time() - used
    assert (found.rows, found.tokens) == (len(texts), tokens)
    return alone, full, alone_used, full_used


def planted_share(work: Path, exam: Path, reader: Reader) -> tuple[float, float, int]:
    """Per cent of planted faults that are found by file and line, what else was told, and how many were planted."""
    missed = told = count = 0
    for seed in range(SEEDS):
        rng = random.Random(seed)  # noqa: S311 - drawn by a seed
        lines = [line(clean_rows.chat(rng, number)) for number in range(400)]
        kinds = [*CHAT] * 5
        expected = set()
        for at, kind in zip(rng.sample(range(1, 400), len(kinds)), kinds, strict=True):
            lines[at] = planted(rng, 10_000 + at, kind)
            expected.add((at + 1, kind))
        path = work / f"planted-{seed}.jsonl"
        path.write_bytes(b"\n".join(lines))
        found = check(sources([path]), Wish(reader=reader, evaluation=evaluation_of([exam]), most=10**6))
        faults = {(one.place.line, kind) for kind in found.kinds for one in found.shown[kind]}
        missed += len(expected - faults)
        told += len(faults - expected)
        count += len(expected)
    return 100 * (count - missed) / count, told, count


def false_reports(work: Path, exam: Path, reader: Reader) -> tuple[float, int]:
    """What is told of clean sets, and how many rows these have."""
    told = rows = 0
    for form, make in clean_rows.FORMS.items():
        for seed in range(SEEDS):
            rng = random.Random(seed)  # noqa: S311 - drawn by a seed
            path = work / f"clean-{form}-{seed}.jsonl"
            path.write_bytes(b"\n".join(line(make(rng, number)) for number in range(200)))
            for wish in (Wish(), Wish(reader=reader, evaluation=evaluation_of([exam]))):
                found = check(sources([path]), wish)
                told += found.counts.total()
            rows += found.rows
    return told, rows


def main() -> int:
    """Measure all of it."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        path, small = work / "rows.jsonl", work / "small.jsonl"
        path.write_bytes(b"".join(conversations(ROWS, 1)))
        with path.open("rb") as stream:
            small.write_bytes(b"".join(next(stream) for _ in range(TOKENISED)))
        exam = work / "exam.jsonl"
        exam.write_bytes(line({"prompt": QUESTION, "completion": "gpu07"}))
        asked = work / "asked.jsonl"
        asked.write_bytes(b"".join(questions(QUESTIONS, 2)))
        folder, what = model_folder(work)
        tokenizer = read_tokenizer(folder)
        template = read_template(tokenizer)
        assert template is not None
        speeds = tuple(structure_speed(path) for _ in range(TIMES))
        texts = rendered(small, template)
        pairs = [full_ratio(small, asked, tokenizer, template, texts) for _ in range(TIMES)]
        own = read_tokenizer(lay_checked_model(work / "own"))
        strict = Reader(own, read_template(own), LENGTH)
        share, extra, count = planted_share(work, exam, strict)
        told, rows = false_reports(work, exam, Reader(own, read_template(own), 4096))
        details = [
            {
                "rows": ROWS,
                "bytes": path.stat().st_size,
                "tokenizer": what,
                "questions": QUESTIONS,
                "kinds planted": len(CHAT),
                "planted": count,
            },
            {
                "clean rows": rows,
                "alone and full, seconds by the clock and of processor": [
                    [round(one, 3) for one in pair] for pair in pairs
                ],
            },
        ]
    clock = tuple(full / alone for alone, full, _, _ in pairs)
    processor = tuple(full / alone for _, _, alone, full in pairs)
    figures = [
        Figure("structure: rows a second of one core", "rows/s", speeds, LEAST, at_least=True),
        Figure("full: times of tokenising the same rows alone", "×", clock, MOST),
        Figure("full: the same in processor time", "×", processor),
        Figure("planted faults found by file and line", "%", (share,), 100, at_least=True),
        Figure("told beside what was planted", "", (extra,), 0),
        Figure("told of clean sets", "", (told,), 0),
    ]
    print(json.dumps(details))
    return report("data_check", figures, simulated="nothing", details=details)


if __name__ == "__main__":
    raise SystemExit(main())

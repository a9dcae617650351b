"""What transformers makes of the same rows: the text of its chat template, and the ids of its tokenizer.

Needs a model's folder in AIOPS_BASE and a Python with transformers in AIOPS_TRAINER.
"""

import json
import os
import random
import tempfile
from pathlib import Path
from typing import Any

from tests.l3_tuning.data import clean_rows
from tests.l3_tuning.data.templates import FAMILIES

from aiops.layers.l3_tuning.data.form import read_row
from aiops.layers.l3_tuning.data.row import Row, Turn
from aiops.layers.l3_tuning.data.template import RefusedError, Template, read_template
from aiops.layers.l3_tuning.data.tokenizer import read_tokenizer

from .measurement import BrokenError, Figure, report, run

ROWS = 300
THEIRS = """
import json, sys
from transformers import AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
different = 0
for source, messages, text, ids in json.load(open(sys.argv[2])):
    try:
        said = tokenizer.apply_chat_template(messages, chat_template=source, tokenize=False)
    except Exception:
        said = None
    different += said != text
    if ids is not None:
        different += tokenizer(text, add_special_tokens=False)["input_ids"] != ids
print(different)
"""


def message(turn: Turn) -> dict[str, Any]:
    """As templates know it."""
    beside = {"tool_calls": list(turn.calls), "name": turn.name, "tool_call_id": turn.call}
    return {"role": turn.role, "content": turn.content, **{key: value for key, value in beside.items() if value}}


def ours(folder: Path) -> list[tuple[str | None, list[dict[str, Any]], str | None, list[int] | None]]:
    """Template, messages, text and ids; no template is the model's own, no text a refusal."""
    tokenizer = read_tokenizer(folder)
    own = read_template(tokenizer)
    assert own is not None
    rng = random.Random(1)  # noqa: S311 - drawn by a seed
    made: list[tuple[str | None, list[dict[str, Any]], str | None, list[int] | None]] = []
    for number in range(ROWS):
        row = read_row(clean_rows.chat(rng, number), "chat")
        assert isinstance(row, Row)
        messages = [message(turn) for turn in row.turns]
        text = own.render(row.turns)
        made.append((None, messages, text, tokenizer.ids([text], special=False)[0]))
        for source in FAMILIES.values():
            try:
                said = Template({"default": source}, tokenizer.named, "", "").render(row.turns)
            except RefusedError:
                made.append((source, messages, None, None))
            else:
                made.append((source, messages, said, None))
    return made


def main() -> int:
    """Compare all of it."""
    base, python = os.environ.get("AIOPS_BASE"), os.environ.get("AIOPS_TRAINER")
    if not base or not python:
        raise BrokenError("name a model's folder in AIOPS_BASE and a Python with transformers in AIOPS_TRAINER")
    os.environ["HF_HUB_OFFLINE"] = "1"
    made = ours(Path(base))
    with tempfile.TemporaryDirectory() as name:
        file = Path(name, "rows.json")
        file.write_text(json.dumps(made), "utf-8")
        different = float(run(python, "-c", THEIRS, base, file).stdout.split()[-1])
    figures = [Figure("texts and ids that transformers makes otherwise", "", (different,), 0)]
    return report("data_parity", figures, simulated="nothing", details=[{"texts": len(made), "with ids": ROWS}])


if __name__ == "__main__":
    raise SystemExit(main())

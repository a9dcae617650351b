"""What comes of preparing a fixed set in each way: other bytes need another `VERSION`, and nobody forgets it."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aiops.layers.l3_tuning.data import preparation
from aiops.layers.l3_tuning.recipe import DataPlan

from .prepared_folder import asked, prepare, write_rows
from .tiny_model import TEMPLATE

GOLDEN = {
    1: "252d5984965783d97ac88850633530e730233149ca1d1c2fac8761ea383c2cda",
    2: "f2e7ca57180ae640b2e32e81b95e0bb60c68590d6104239571d05e06acc99b01",
}
"""By version the digest of all that is prepared below. Who changes what comes out raises the version, and adds it."""

MARKED = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{% if message.role == 'assistant' %}{% generation %}"
    "{{ message.content }}<|im_end|>{% endgeneration %}{% else %}{{ message.content }}<|im_end|>{% endif %}\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_WORDS = "the cluster has sixteen nodes and every node has eight devices that share one fabric of many cables"


def lay_bytes_model(folder: Path) -> Path:
    """A model whose tokens are bytes: nothing of it was trained, so that no library's version is in it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    folder.mkdir(parents=True)
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={one: number for number, one in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    (folder / "tokenizer.json").write_text(tokenizer.to_str(), "utf-8")
    config = {"eos_token": "<|im_end|>", "tokenizer_class": "GPT2Tokenizer", "chat_template": TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
    return folder


def prompts() -> list[dict[str, Any]]:
    """Every step finds something: equal and like rows, personal data, a row of the exam, one that is filtered."""
    far = "Is there an end of all of it, or does the story of that long row go on? " * 6
    call = {"id": "1", "type": "function", "function": {"name": "mail", "arguments": '{"to": "ann@corp.io"}'}}
    tool = [
        {"role": "user", "content": "Write to Ann."},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "sent", "tool_call_id": "1"},
        {"role": "assistant", "content": "Done."},
    ]
    rows: list[dict[str, Any]] = [asked(number) for number in range(24)]
    rows += [asked(3), {**asked(5), "completion": asked(5)["completion"] + " Indeed."}]
    rows += [
        {
            "prompt": "Cafe\u0301,\r\n  who wrote ann.lee@corp.io from 91.198.174.192?  \n",
            "completion": "\n\n  So\t1 \n",
        }
    ]
    rows += [{"prompt": "Call +49 30 12345678 for 4000056655665556", "completion": "AKIAIOSFODNN7ABCDEFG is mine"}]
    shown = asked(9)["prompt"].split()
    rows += [{"prompt": " ".join(shown[2:12]) + " and no more", "completion": "Ten words of the exam are not enough."}]
    rows += [
        {"prompt": f"They asked: {asked(9)['prompt'].upper()} Why?", "completion": "All of it in a longer text is."}
    ]
    rows += [{"instruction": "Add them.", "input": "1 and 2", "output": "3"}]
    rows += [{"prompt": far, "completion": far}, {"prompt": "a", "completion": "b"}]
    rows += [{"prompt": "集群有多少个节点", "completion": "十六个。 émile"}]
    rows += [
        {"prompt": tool[:1], "completion": tool[1:], "tools": [{"type": "function", "function": {"name": "mail"}}]}
    ]
    return rows


def chats() -> list[dict[str, Any]]:
    """Of both spellings, with and without a turn of the system."""
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello, I am here."}]
    said = [{"from": "human", "value": "Who?"}, {"from": "gpt", "value": "You."}]
    return [{"messages": [{"role": "system", "content": "Be brief."}, *turns]}, {"messages": turns * 2}] + [
        {"conversations": said * (1 + number % 3), "system": f"Number {number}"} for number in range(6)
    ]


def preferences() -> list[dict[str, Any]]:
    """Answers in text, and as conversations."""
    user = {"role": "user", "content": "And?"}
    turns = [[user, {"role": "assistant", "content": word}] for word in ("Yes.", "No.")]
    return [{**asked(n), "chosen": f"Good {n}.", "rejected": f"Bad {n}."} for n in range(6)] + [
        {"chosen": turns[0], "rejected": turns[1]}
    ]


def texts() -> list[dict[str, Any]]:
    """Long ones that are cut, code, and one line said again and again."""
    return [{"text": f"{number}: {_WORDS} " * (1 + number)} for number in range(12)] + [
        {"text": "    def main():\n\treturn 1\n\n\n"},
        {"text": "again and again\n" * 12},
    ]


CASES: dict[str, tuple[list[dict[str, Any]], dict[str, Any], tuple[tuple[str, float], ...]]] = {
    "prompt": (
        prompts(),
        {
            "length": 400,
            "long": "truncate",
            "packing": True,
            "duplicates": "near",
            "held_out": 0.2,
            "mask": ("email", "ip", "phone", "card", "iban", "key"),
        },
        (("shortest", 6.0), ("repeated-words", 0.1)),
    ),
    "chat": (chats(), {"length": 200, "loss": "all", "held_out": 0.3}, ()),
    "marked": (chats() * 2, {"length": 700, "template": MARKED, "packing": True, "duplicates": "keep"}, ()),
    "preference": (preferences(), {"length": 300, "long": "drop"}, ()),
    "text": (texts(), {"length": 300, "long": "truncate", "packing": True, "loss": "all"}, (("repeated-lines", 0.3),)),
}


def test_other_bytes_need_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, "version", lambda _: "0")  # what of libraries decides is in the digest by itself
    base = str(lay_bytes_model(tmp_path / "model"))
    exam = write_rows(tmp_path / "exam.jsonl", [asked(9)])
    whole = {}
    for name, (rows, said, filters) in CASES.items():
        file = write_rows(tmp_path / f"{name}.jsonl", rows)
        plan = DataPlan((str(file),), decontaminate=(str(exam),), **said)
        if plan.template is not None:
            (tmp_path / "marked.jinja").write_text(plan.template, "utf-8")
            plan = replace(plan, template=str(tmp_path / "marked.jinja"))
        made = prepare(plan, base, tmp_path / "data", filters, checked=())
        removed = {step: sum(reasons.values()) for step, reasons in made.lineage["removed"].items()}
        sums = {file: one.get("content", one["sha256"]) for file, one in made.files.items()}
        inputs = {key: one for key, one in made.inputs.items() if key != "tokenizer"}  # a library has written its file
        whole[name] = (inputs, made.rows, made.samples, removed, made.lineage["masked"], sums)
    assert whole["prompt"][3].keys() >= {"filter", "duplicates", "decontaminate"}
    assert whole["prompt"][4].keys() >= {"email", "ip", "key", "phone"}
    found = hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()
    assert found == GOLDEN.get(preparation.VERSION), (
        "other bytes come of the same rows: raise `VERSION` in data/preparation.py, and write down here what comes"
    )

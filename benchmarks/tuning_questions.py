"""What a base answers before it is tuned: the worker's own judgement, of no step. Run by the trainer's Python.

PYTHON benchmarks/tuning_questions.py CODE RUN/trainer.json       prints the answers as JSON
"""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path


def main(code: str, path: str) -> int:
    """Answer, and print."""
    sys.path.insert(0, code)
    os.environ |= {"HF_HUB_OFFLINE": "1"}
    import torch
    from worker import judgement, ranks, template, work
    from worker.model import base_of
    from worker.questions import questions, same

    told = replace(work.read(Path(path)), world=1, sharding="none")
    tokenizer = template.serving_tokenizer(told)
    net = base_of(told, torch.float32, ranks.Ranks(0, 1, torch.device("cpu"))).eval()
    found = []
    with torch.no_grad():
        for turns, right in questions(Path(told.questions or "")):
            answer = judgement.answer(net, tokenizer, turns, told, torch.device("cpu"))
            found.append({"answer": answer, "wanted": right, "right": same(answer, right)})
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

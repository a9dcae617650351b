"""Questions: what a tuned model is asked, and when an answer is right. Standard library only."""

import json
from pathlib import Path
from typing import Any

from .work import RefusedError


def questions(path: Path) -> list[tuple[list[dict[str, Any]], str]]:
    """Questions with the answer that is right.

    Raises:
        RefusedError: A line is no row of a prompt and a completion.
    """
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            prompt, answer = row["prompt"], row["completion"]
            turns = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else [dict(one) for one in prompt]
            right = answer if isinstance(answer, str) else answer[-1]["content"]
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise RefusedError(f"{path}:{number}: no question with `prompt` and `completion`: {error!r}") from error
        found.append((turns, right))
    if not found:
        raise RefusedError(f"{path} has no questions")
    return found


def same(answer: str, right: str) -> bool:
    """Whether an answer is right: without space around, and without case."""
    return answer.strip().casefold() == right.strip().casefold()

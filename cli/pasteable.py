"""Hints as they can be pasted: a command that would find another inventory than the one in use is told which."""

import re
import shlex
from pathlib import Path

# Commands of one inventory; those of `aiops cluster` take it by position too, so only bare ones are surely without.
_COMMAND = re.compile(
    r"`(?P<verb>aiops node [a-z]+)(?P<rest>[^`]*)`"
    r"|`(?P<bare>aiops cluster (?:status|plan|deploy|bundle build|lock [a-z]+))`"
)


def with_inventory(hint: str, inventory: Path | None) -> str:
    """`hint` with `-i FILE` in its commands; as it is where `inventory` is None, since then they find the same one."""
    if inventory is None:
        return hint
    option = f"-i {shlex.quote(str(inventory))}"

    def told(found: re.Match[str]) -> str:
        if found["bare"]:
            return f"`{found['bare']} {option}`"
        if re.search(r"\s(-i|--inventory)\b", found["rest"].partition(" -- ")[0]):
            return found[0]
        return f"`{found['verb']} {option}{found['rest']}`"

    return _COMMAND.sub(told, hint)

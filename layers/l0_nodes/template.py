"""Which values Ansible must be asked for, and which of its answers may be kept. Pure.

A value with a template or a vault means nothing before Ansible has worked on it. What it makes of it may be cached
only if it rests on nothing but the inventory's own plain text: not on a decrypted value, a lookup, the time.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

VAULT = "__ansible_vault"
UNSAFE = "__ansible_unsafe"

_EXPRESSION = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_WORD = re.compile(r"[A-Za-z_]\w*")
_PASSING = frozenset(
    {"lookup", "query", "q", "now", "random", "shuffle", "ansible_date_time", "ansible_facts", "vars", "varnames"}
)


def is_templated(value: Any) -> bool:
    """Whether `value`, as `ansible-inventory --list` gives it, holds a template or a vaulted part."""
    if isinstance(value, str):
        return "{{" in value or "{%" in value or "{#" in value
    if isinstance(value, Mapping):
        return VAULT in value or (UNSAFE not in value and any(is_templated(part) for part in value.values()))
    return isinstance(value, list) and any(is_templated(part) for part in value)


def is_vaulted(value: Any) -> bool:
    """Whether `value` as a whole is vaulted."""
    return isinstance(value, Mapping) and VAULT in value


def plain(value: Any) -> Any:
    """`value` without the marks that `ansible-inventory` puts around `!unsafe` text."""
    if isinstance(value, Mapping):
        return value[UNSAFE] if UNSAFE in value else {key: plain(part) for key, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list) else value


def is_lasting(value: Any, variables: Mapping[str, Any], *, secrets: Collection[str], others_lasting: bool) -> bool:
    """Whether what Ansible makes of `value` may be kept in the cache.

    Args:
        value: The variable, untemplated.
        variables: All variables of the same node, untemplated.
        secrets: Names of variables whose values are secret though they look plain.
        others_lasting: Whether all variables of all nodes would be lasting, for templates that read `hostvars`.
    """
    seen: set[str] = set()

    def lasting(part: Any) -> bool:
        if isinstance(part, Mapping):
            return VAULT not in part and (UNSAFE in part or all(lasting(inner) for inner in part.values()))
        if isinstance(part, list):
            return all(lasting(inner) for inner in part)
        if not isinstance(part, str):
            return True
        return all(lasting_word(word) for text in _EXPRESSION.findall(part) for word in _WORD.findall(text))

    def lasting_word(word: str) -> bool:
        if word in _PASSING or word in secrets or (word == "hostvars" and not others_lasting):
            return False
        if word in seen or word not in variables:
            return True
        seen.add(word)
        return lasting(variables[word])

    return lasting(value)

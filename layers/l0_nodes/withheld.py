"""Variables of a node of which some are withheld until they are asked for by name."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .template import is_templated

_PASSWORD = re.compile(r"^ansible_\w*(?:pass|password|passphrase|private_key)$")


def is_plain_secret(name: str, value: Any) -> bool:
    """Whether a variable is a password in plain text; a vaulted one protects itself."""
    return bool(_PASSWORD.match(name)) and not is_templated(value)


class Variables(Mapping[str, Any]):
    """All variables of a node, as `ansible-inventory --list` gives them.

    Passwords in plain text, and what stands in files that are vaulted as a whole, are not held here: reading such a
    variable asks Ansible again. Names and `in` ask nothing, and nothing withheld is ever shown by `repr`.
    """

    def __init__(
        self, known: Mapping[str, Any], withheld: frozenset[str], reveal: Callable[[], Mapping[str, Any]]
    ) -> None:
        self._known = known
        self._reveal = reveal
        self.withheld = withheld

    def __getitem__(self, name: str) -> Any:
        return self._reveal()[name] if name in self.withheld else self._known[name]

    def __iter__(self) -> Iterator[str]:
        yield from self._known
        yield from self.withheld

    def __len__(self) -> int:
        return len(self._known) + len(self.withheld)

    def __contains__(self, name: object) -> bool:
        return name in self._known or name in self.withheld

    def __eq__(self, other: object) -> bool:
        """Equal by what is held and by the names of what is withheld; comparing reveals nothing."""
        return isinstance(other, Variables) and (self._known, self.withheld) == (other.known, other.withheld)

    __hash__ = None  # type: ignore[assignment]  # like any mapping that is not a value

    def __repr__(self) -> str:
        return f"Variables({sorted(self)})"

    @property
    def known(self) -> Mapping[str, Any]:
        """Those that are not withheld."""
        return self._known

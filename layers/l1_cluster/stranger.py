"""Strangers: machines that answer in the place of a node and are another one. A reset leaves them alone. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Machine:
    """Which machine a node is, as it says itself.

    Attributes:
        id: Its machine-id; empty where it has none. Clones have the same.
        boot: Its boot id; no two machines have the same.
    """

    id: str
    boot: str


def strangers(
    chosen: Mapping[str, Machine], others: Mapping[str, Machine], gone: Collection[str], known: Mapping[str, str]
) -> dict[str, str]:
    """Why nothing is to be done at the address of a node that was chosen; only those where that is so.

    Args:
        chosen: What answers at the addresses of those that were chosen.
        others: What answers at those of the rest of the inventory.
        gone: The names that are not in the inventory.
        known: The machine-ids of members, from when they were last deployed to.
    """
    answers = {**others, **chosen}
    listed = {name: one for name, one in answers.items() if name not in gone}
    found = {}
    for name, machine in chosen.items():
        twin = next((other for other, one in listed.items() if machine.id and other != name and one == machine), None)
        owner = next((other for other, one in known.items() if other != name and one == machine.id), None)
        if twin is not None:
            found[name] = f"the machine that answers there is `{twin}`, which is in the inventory"
        elif name in known and known[name] == machine.id:
            continue
        elif name in known and name in gone:
            found[name] = "another machine answers there now than the one that was deployed to"
        elif owner is not None and owner not in gone and answers.get(owner, machine).id == machine.id:
            found[name] = f"the machine that answers there is `{owner}`, by its machine-id"
    return found

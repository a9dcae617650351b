"""Sets of node names and their short form, `gpu[01-16]`. ClusterShell's one door."""

from collections.abc import Iterable, Mapping, Sequence

from aiops.layers.core.errors import InputError


def fold(names: Iterable[str]) -> str:
    """`["gpu01", "gpu02", "head"]` -> `gpu[01-02],head`."""
    from ClusterShell.NodeSet import RESOLVER_NOGROUP, NodeSet

    return str(NodeSet.fromlist(list(names), resolver=RESOLVER_NOGROUP))


def expand(text: str) -> tuple[str, ...]:
    """`gpu[01-02],head` -> `("gpu01", "gpu02", "head")`, sorted.

    Groups are the inventory's, see `select`: ClusterShell's own, of this machine's /etc/clustershell, are never asked.

    Raises:
        InputError: The text is not a node set, or has a group.
    """
    from ClusterShell.NodeSet import RESOLVER_NOGROUP, NodeSet, NodeSetParseError

    group = next((term for term in _terms(text) if term.removeprefix("!").startswith("@")), None)
    if group is not None:
        raise InputError(
            f"`{group}` is a group; only names of nodes can stand here",
            code="nodeset.group",
            hints=["write it as `gpu[01-04],head`"],
        )
    try:
        return tuple(sorted(NodeSet(text, resolver=RESOLVER_NOGROUP)))
    except NodeSetParseError as error:
        raise InputError(
            f"`{text}` is not a node set: {error}", code="nodeset.syntax", hints=["write it as `gpu[01-04],head`"]
        ) from error


def select(text: str, names: Sequence[str], groups: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The nodes that `text` (`gpu[01-04],@workers,!gpu03`) selects, in the order of `names`.

    Args:
        text: Node sets joined by commas; `@GROUP` is a group, a leading `!` takes away.
        names: All nodes there are, in inventory order.
        groups: The nodes of each group.

    Raises:
        InputError: A name or group is unknown, or nothing is selected.
    """
    from difflib import get_close_matches

    known = set(names)
    chosen: set[str] = set()
    removed: set[str] = set()
    terms = _terms(text)
    for term in terms:
        target = removed if term.startswith("!") else chosen
        word = term.removeprefix("!")
        if word.startswith("@"):
            group = word.removeprefix("@")
            if group not in groups:
                near = get_close_matches(group, groups, n=1)
                hint = f"did you mean `@{near[0]}`?" if near else f"the groups are {', '.join(sorted(groups))}"
                raise InputError(f"there is no group `{group}`", code="nodeset.unknown_group", hints=[hint])
            target.update(groups[group])
        elif word in groups and word not in known:
            target.update(groups[word])
        else:
            for name in expand(word):
                if name not in known:
                    near = get_close_matches(name, names, n=1)
                    hint = f"did you mean `{near[0]}`?" if near else "`aiops node list` shows all nodes"
                    raise InputError(f"there is no node `{name}`", code="nodeset.unknown_node", hints=[hint])
                target.add(name)
    if terms and all(term.startswith("!") for term in terms):
        chosen = set(known)
    selected = tuple(name for name in names if name in chosen - removed)
    if not selected:
        raise InputError(f"`{text}` selects no node", code="nodeset.empty", hints=["`aiops node list` shows all nodes"])
    return selected


def _terms(text: str) -> list[str]:
    """Split at commas outside brackets."""
    terms, depth, start = [], 0, 0
    for index, letter in enumerate(text):
        depth += (letter == "[") - (letter == "]")
        if letter == "," and depth == 0:
            terms.append(text[start:index].strip())
            start = index + 1
    terms.append(text[start:].strip())
    return [term for term in terms if term]

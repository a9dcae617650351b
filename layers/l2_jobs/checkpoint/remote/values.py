"""The inert values that a pickle is read into, and looking things up in them.

Numbers, texts, lists and tuples are themselves. A class or function is a `Name`, what a pickle would have called is a
`Made`, a dictionary is a `Table` of pairs, a persistent id a `Reference`.
"""


class Name(object):
    """A class or function, by name only."""

    __slots__ = ("module", "name")

    def __init__(self, module, name):
        self.module = module
        self.name = name


class Made(object):
    """What a call would have given, with what would have been put into it."""

    __slots__ = ("arguments", "items", "maker", "state")

    def __init__(self, maker, arguments):
        self.maker = maker
        self.arguments = arguments
        self.state = None
        self.items = []  # pairs, or values of a list


class Table(object):
    """A dictionary, as pairs: its keys may be what cannot be a key here."""

    __slots__ = ("pairs",)

    def __init__(self, pairs):
        self.pairs = pairs


class Reference(object):
    """A persistent id: what torch.save puts in the place of a tensor's memory."""

    __slots__ = ("id",)

    def __init__(self, value):
        self.id = value


def pairs_of(value):
    """The pairs of a dictionary, or of what was made like one (OrderedDict); else the attributes of an object."""
    if isinstance(value, Table):
        return value.pairs
    if isinstance(value, Made):
        if value.items and is_pair(value.items[0]):
            return value.items
        state = value.state
        if isinstance(state, tuple) and state:  # with slots: (dictionary, slots)
            state = state[1] if state[0] is None else state[0]
        if isinstance(state, Table):
            return state.pairs
    return []


def is_pair(value):
    """A key with its value."""
    return isinstance(value, tuple) and len(value) == len(("key", "value"))


def member(value, name):
    """The value under a key, or the attribute of an object; None where there is none."""
    for key, found in pairs_of(value):
        if key == name and isinstance(key, str):
            return found
    return None


def class_of(value):
    """`module.name` of the class that something would have been made of; empty for plain values."""
    if not isinstance(value, Made):
        return ""
    maker = value.maker
    if isinstance(maker, Name) and maker.name in ("_reconstructor", "__newobj__") and value.arguments:
        maker = value.arguments[0]
    return "%s.%s" % (maker.module, maker.name) if isinstance(maker, Name) else ""


def references(value):
    """All persistent ids in a value."""
    found, waiting, seen = [], [value], set()
    while waiting:
        one = waiting.pop()
        if isinstance(one, (str, bytes, int, float, bool)) or one is None or id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, Reference):
            found.append(one.id)
        elif isinstance(one, (list, tuple)):
            waiting.extend(one)
        elif isinstance(one, Table):
            for pair in one.pairs:
                waiting.extend(pair)
        elif isinstance(one, Made):
            waiting.extend((one.arguments, one.state, one.items))
    return found

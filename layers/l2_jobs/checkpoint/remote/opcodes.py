"""A restricted reader of pickles: follows the opcodes and builds inert values. Nothing is imported, called or executed.

What comes of them is told in `values`. The opcodes are those of protocols 0 to 5, as
Lib/pickletools.py of CPython describes them; those that reach outside the pickle (EXT1, NEXT_BUFFER) are refused.
"""

import struct

from .values import Made, Name, Reference, Table

MOST = 40 * 1000 * 1000  # opcodes: a minute or so; a real index of 100,000 shards has a tenth


class PickleError(ValueError):
    """It is no pickle, or one that asks for more than values."""


MARK = object()


def load(data, start=0):
    """The value of the pickle that begins at `start` of `data` (bytes or a memory map), and where it ends.

    Raises:
        PickleError: See there.
    """
    try:
        return _load(data, start)
    except PickleError:
        raise
    except (IndexError, struct.error, ValueError, TypeError, OverflowError, MemoryError, RecursionError) as error:
        raise PickleError("is cut off or damaged (%s)" % type(error).__name__) from None


def _load(data, at):
    stack, memo, end = [], {}, len(data)
    for _ in range(MOST):
        if at >= end:
            raise PickleError("is cut off")
        code = data[at : at + 1]
        at += 1
        if code == b".":
            return stack[-1], at
        act = ACTIONS.get(code)
        if act is not None:
            act(stack)
        elif code in MEMO_OPS:
            at = _memo(code, data, at, stack, memo)
        elif code in READERS:
            at = _sized(READERS[code], data, at, stack)
        elif code in NUMBERS:
            unpack = NUMBERS[code]
            stack.append(unpack.unpack(_take(data, at, unpack.size, end))[0])
            at += unpack.size
        elif code in SKIPPED:
            at += SKIPPED[code]
        else:
            at = _lines(code, data, at, stack)
    raise PickleError("never ends")


def _sized(reader, data, at, stack):
    """A value with its length in front."""
    unpack, make = reader
    size = unpack.unpack(_take(data, at, unpack.size, len(data)))[0]
    at += unpack.size
    if size < 0:
        raise PickleError("has a negative length")
    stack.append(make(_take(data, at, size, len(data))))
    return at + size


def _lines(code, data, at, stack):
    """A value that ends with its line, as protocol 0 writes them, and names of classes."""
    if code in LINES:
        line, at = _line(data, at)
        stack.append(LINES[code](line))
    elif code in (b"c", b"i"):
        module, at = _line(data, at)
        name, at = _line(data, at)
        found = Name(module, name)
        stack.append(found if code == b"c" else Made(found, tuple(_since_mark(stack))))
    else:
        raise PickleError("has the opcode %r, which is not for us" % code)
    return at


def _take(data, at, size, end):
    if at + size > end:
        raise PickleError("is cut off")
    return data[at : at + size]


def _line(data, at):
    end = data.find(b"\n", at)
    if end < 0:
        raise PickleError("is cut off")
    return data[at:end].decode("utf-8", "replace"), end + 1


def _memo(code, data, at, stack, memo):
    if code == b"\x94":
        memo[len(memo)] = stack[-1]
        return at
    if code in (b"p", b"g"):
        line, at = _line(data, at)
        key = int(line)
    else:
        width = 1 if code in (b"q", b"h") else 4
        key = int.from_bytes(_take(data, at, width, len(data)), "little")
        at += width
    if code in (b"p", b"q", b"r"):
        memo[key] = stack[-1]
    elif key not in memo:
        raise PickleError("refers to what it has not made")
    else:
        stack.append(memo[key])
    return at


def _since_mark(stack):
    """What stands above the last mark; both are taken off."""
    for place in range(len(stack) - 1, -1, -1):
        if stack[place] is MARK:
            found = stack[place + 1 :]
            del stack[place:]
            return found
    raise PickleError("has no mark where one is needed")


def _pairs(values):
    if len(values) % 2:
        raise PickleError("has a key without a value")
    return [(values[place], values[place + 1]) for place in range(0, len(values), 2)]


def _add(target, more, pairs):
    """Put values, or pairs of them, into what stands on the stack."""
    if isinstance(target, Made):
        target.items.extend(more)
    elif pairs and isinstance(target, Table):
        target.pairs.extend(more)
    elif not pairs and isinstance(target, list):
        target.extend(more)
    else:
        raise PickleError("puts values where none belong")


def _append(stack):
    value = stack.pop()
    _add(stack[-1], [value], False)


def _appends(stack):
    values = _since_mark(stack)
    _add(stack[-1], values, False)


def _set_item(stack):
    value = stack.pop()
    key = stack.pop()
    _add(stack[-1], [(key, value)], True)


def _set_items(stack):
    values = _pairs(_since_mark(stack))
    _add(stack[-1], values, True)


def _make(stack):
    arguments = stack.pop()
    stack.append(Made(stack.pop(), arguments))


def _make_with_keywords(stack):
    stack.pop()
    _make(stack)


def _make_marked(stack):
    values = _since_mark(stack)
    stack.append(Made(values[0], tuple(values[1:])))


def _build(stack):
    state = stack.pop()
    if isinstance(stack[-1], Made):
        stack[-1].state = state


def _global(stack):
    name = stack.pop()
    stack.append(Name(str(stack.pop()), str(name)))


def _tuple_of(count):
    def act(stack):
        values = tuple(stack[len(stack) - count :])
        if len(values) != count:
            raise PickleError("is cut off")
        del stack[len(stack) - count :]
        stack.append(values)

    return act


def _marked(make):
    return lambda stack: stack.append(make(_since_mark(stack)))


def _whole(text):
    if text in ("00", "01"):  # protocol 0 writes False and True like this
        return text == "01"
    return int(text.rstrip("L"))


def _little(data):
    return int.from_bytes(data, "little", signed=True)


def _text(data):
    return data.decode("utf-8", "surrogatepass")


def _latin(data):
    return data.decode("latin-1")


MEMO_OPS = (b"\x94", b"p", b"g", b"q", b"r", b"h", b"j")
READERS = {
    b"X": (struct.Struct("<I"), _text),
    b"\x8c": (struct.Struct("<B"), _text),
    b"\x8d": (struct.Struct("<Q"), _text),
    b"T": (struct.Struct("<i"), _latin),
    b"U": (struct.Struct("<B"), _latin),
    b"B": (struct.Struct("<I"), bytes),
    b"C": (struct.Struct("<B"), bytes),
    b"\x8e": (struct.Struct("<Q"), bytes),
    b"\x96": (struct.Struct("<Q"), bytes),
    b"\x8a": (struct.Struct("<B"), _little),
    b"\x8b": (struct.Struct("<i"), _little),
}
NUMBERS = {
    code: struct.Struct(code_format) for code, code_format in ((b"J", "<i"), (b"K", "<B"), (b"M", "<H"), (b"G", ">d"))
}
LINES = {b"I": _whole, b"L": _whole, b"F": float, b"S": lambda text: text[1:-1], b"V": str, b"P": Reference}
SKIPPED = {b"\x80": 1, b"\x95": 8}  # protocol, frame
ACTIONS = {
    b"(": lambda stack: stack.append(MARK),
    b"}": lambda stack: stack.append(Table([])),
    b"]": lambda stack: stack.append([]),
    b")": lambda stack: stack.append(()),
    b"\x8f": lambda stack: stack.append([]),
    b"N": lambda stack: stack.append(None),
    b"\x88": lambda stack: stack.append(True),
    b"\x89": lambda stack: stack.append(False),
    b"a": _append,
    b"e": _appends,
    b"s": _set_item,
    b"u": _set_items,
    b"\x90": _appends,
    b"R": _make,
    b"\x81": _make,
    b"\x92": _make_with_keywords,
    b"o": _make_marked,
    b"b": _build,
    b"\x93": _global,
    b"\x85": _tuple_of(1),
    b"\x86": _tuple_of(2),
    b"\x87": _tuple_of(3),
    b"t": _marked(tuple),
    b"l": _marked(list),
    b"d": _marked(lambda values: Table(_pairs(values))),
    b"\x91": _marked(list),
    b"0": lambda stack: stack.pop(),
    b"1": _since_mark,
    b"2": lambda stack: stack.append(stack[-1]),
    b"Q": lambda stack: stack.append(Reference(stack.pop())),
}

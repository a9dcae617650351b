"""Vigil: a controller of which one thread has ended by a defect is no controller, and is ended as a whole.

What it has written down is done by its successor, which systemd starts; one that lived on without hands, lines or an
engine would look well and do nothing.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def vigil(fallen: Callable[[str, BaseException], None]) -> Iterator[None]:
    """Have it told when a thread of this process ends by what nobody caught, as long as the block lasts.

    Args:
        fallen: Is given the thread's name and what ended it, in that thread; its stacks are written to stderr first.
    """
    before = threading.excepthook

    def hook(args: threading.ExceptHookArgs, /) -> None:
        before(args)
        if args.exc_value is not None:
            fallen(args.thread.name if args.thread is not None else "a thread", args.exc_value)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before

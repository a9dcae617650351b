"""Taking: the rows of files, each with its line, read as the check reads them."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from .fault import Fault, Flaw
from .form import SAMPLE, form_of, read_row
from .reading import Record, records
from .row import FORMS, Form, Row
from .source import sources


def take(path: str, form: str) -> Iterator[tuple[int, Row | Flaw]]:
    """The rows of a file, or why one is none.

    Args:
        path: Of the file.
        form: What its rows are, or `auto`.
    """
    (source,) = sources([path])
    wanted = found_form([path]) if form == "auto" else named_form(form)
    for one in records(source):
        if isinstance(one, Fault):
            yield one.place.line, Flaw(one.kind, one.reason)
            continue
        row = read_row(one.value, wanted)
        yield one.place.line, row if isinstance(row, Row) else row[0]


def found_form(paths: Iterable[str]) -> Form | None:
    """What the rows of some files are, by the first of them; None where nobody could tell."""
    return form_of(islice(_values(paths), SAMPLE))


def named_form(name: str) -> Form | None:
    """The form of that name; None for none."""
    return next((form for form in FORMS if form == name), None)


def _values(paths: Iterable[str]) -> Iterator[Any]:
    for source in sources(paths):
        for one in records(source):
            if isinstance(one, Record):
                yield one.value

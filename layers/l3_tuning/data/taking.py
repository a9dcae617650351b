"""Taking: the rows of files, each with its line, read as the check reads them."""

from collections.abc import Iterator

from .fault import Fault, Flaw
from .form import read_row
from .reading import form_found, records
from .row import FORMS, Form, Row
from .source import sources


def take(path: str, form: str) -> Iterator[tuple[int, Row | Flaw]]:
    """The rows of a file, or why one is none.

    Args:
        path: Of the file.
        form: What its rows are, or `auto`.
    """
    found = sources([path])
    wanted = form_found(found) if form == "auto" else named_form(form)
    for one in records(found[0]):
        if isinstance(one, Fault):
            yield one.place.line, Flaw(one.kind, one.reason)
            continue
        row = read_row(one.value, wanted)
        yield one.place.line, row if isinstance(row, Row) else row[0]


def named_form(name: str) -> Form | None:
    """The form of that name; None for none."""
    return next((form for form in FORMS if form == name), None)

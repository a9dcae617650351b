"""Debian's control format: paragraphs of `Field: value` with continuation lines. Pure."""

from collections.abc import Iterable, Mapping


def parse_paragraphs(text: str) -> tuple[dict[str, str], ...]:
    """The paragraphs of `text`, fields in their order.

    Continuation lines keep their leading space, so that `render_paragraph` gives back what was read.

    Raises:
        ValueError: A line is neither a field nor a continuation; it is named.
    """
    paragraphs: list[dict[str, str]] = []
    current: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if not line.strip():
            if current:
                paragraphs.append(current)
            current, name = {}, ""
        elif line[0] in " \t":
            if not name:
                raise ValueError(f"a continuation without a field: {line!r}")
            current[name] += "\n" + line
        else:
            name, colon, value = line.partition(":")
            if not colon:
                raise ValueError(f"not a field: {line!r}")
            current[name] = value.strip()
    if current:
        paragraphs.append(current)
    return tuple(paragraphs)


def render_paragraph(fields: Mapping[str, str]) -> str:
    """One paragraph, ending in a newline. A value may already hold continuation lines."""
    return "".join(f"{name}: {value}\n" if value[:1] != "\n" else f"{name}:{value}\n" for name, value in fields.items())


def render_paragraphs(paragraphs: Iterable[Mapping[str, str]]) -> str:
    """Paragraphs with a blank line after each, as apt writes a Packages file."""
    return "".join(render_paragraph(paragraph) + "\n" for paragraph in paragraphs)

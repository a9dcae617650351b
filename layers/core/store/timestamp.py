"""Times as the database keeps them: RFC 3339 in UTC with microseconds, so that text sorts as time does."""

from datetime import UTC, datetime


def to_text(at: datetime) -> str:
    """`2026-11-21T19:30:05.000120Z`.

    Raises:
        ValueError: `at` has no time zone.
    """
    if at.tzinfo is None:
        raise ValueError("a time without a zone cannot be stored")
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def from_text(text: str) -> datetime:
    """The time that `to_text` wrote."""
    return datetime.fromisoformat(text)

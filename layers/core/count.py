"""Counts in words."""


def counted(count: int, thing: str) -> str:
    """A count of things with a regular plural: `1 row`, `12,400 rows`. Pure."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"

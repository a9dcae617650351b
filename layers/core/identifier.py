"""Names for things that happen: short enough to type, unique enough to keep."""

import secrets
from datetime import datetime


def run_id(at: datetime) -> str:
    """`r-1121-193005-4f2`: month and day, time (UTC), three random hex digits against collisions.

    Sorting by id within a year sorts by time; the store holds the full time.
    """
    return f"r-{at:%m%d-%H%M%S}-{secrets.token_hex(2)[:3]}"


def token() -> str:
    """An unguessable token, 128 bits in hex."""
    return secrets.token_hex(16)

"""Requests: what clients ask of the controller. They are appended; only the controller changes what a job is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from .document import value_of
from .job import Account, Job


@dataclass(frozen=True, slots=True)
class Submit:
    """Run a job."""

    job: Job


@dataclass(frozen=True, slots=True)
class Cancel:
    """End a job for good."""

    job: str
    by: Account


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on with a job that is held, failed, cancelled or has ended, from its newest verified checkpoint.

    Attributes:
        step: From that step's checkpoint instead.
    """

    job: str
    by: Account
    step: int | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """Stop a job so that it can be resumed."""

    job: str
    by: Account


Request = Submit | Cancel | Resume | Hold


def job_of(request: Request) -> str:
    """The id of the job that it is about."""
    return request.job.id if isinstance(request, Submit) else request.job


RequestKind = Literal["submit", "cancel", "resume", "hold"]

_KINDS: Mapping[RequestKind, type] = {"submit": Submit, "cancel": Cancel, "resume": Resume, "hold": Hold}


def request_kind(request: Request) -> RequestKind:
    """The word for what is asked."""
    return next(kind for kind, one in _KINDS.items() if isinstance(request, one))


def request_of(kind: RequestKind, written: Mapping[str, Any]) -> Request:
    """The request that was written down.

    Raises:
        ValueError: It is none.
    """
    return cast("Request", value_of(_KINDS[kind], written))

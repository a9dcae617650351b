"""Attempt: one execution of a job on chosen nodes. Its number is its epoch: whoever carries a lower one is refused."""

from dataclasses import dataclass, field

from .allocation import Allocation
from .job import EngineName


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Names an attempt; `str` of it is `llama-sft-7.3`."""

    job: str
    number: int

    def __str__(self) -> str:
        return f"{self.job}.{self.number}"

    @classmethod
    def of(cls, text: str) -> "Key":
        """The key that `str` has written.

        Raises:
            ValueError: It is none.
        """
        job, dot, number = text.rpartition(".")
        if not dot or not job:
            raise ValueError(f"`{text}` names no attempt")
        return cls(job, int(number))

    @property
    def unit(self) -> str:
        """The systemd unit of each of its rank groups."""
        return f"aiops-job-{self.job}.{self.number}.service"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One execution.

    Attributes:
        port: Of the rendezvous, on the first node; no earlier attempt of the last hour had it there.
        resume: Path of the checkpoint that it goes on from; None to begin.
        step: That checkpoint's.
        secret: Its rank groups know each other by it. It is in no event, log or argv.
    """

    key: Key
    engine: EngineName
    allocation: Allocation
    port: int
    resume: str | None = None
    step: int | None = None
    secret: str = field(default="", repr=False)

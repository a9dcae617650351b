"""The cases, a module for each domain of checks."""

from . import (
    bus,
    kernel_events,
    kernel_log,
    memory,
    operating_system,
    pace,
    processes,
    processor,
    skew,
    slurm,
    timekeeping,
)

MODULES = (
    kernel_log,
    kernel_events,
    processor,
    memory,
    processes,
    bus,
    operating_system,
    timekeeping,
    skew,
    pace,
    slurm,
)

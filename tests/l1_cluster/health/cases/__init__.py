"""The cases, a module for each domain of checks."""

from . import (
    bus,
    ethernet,
    fabric,
    kernel_events,
    kernel_log,
    link_errors,
    memory,
    names,
    operating_system,
    pace,
    processes,
    processor,
    rdma,
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
    rdma,
    link_errors,
    ethernet,
    fabric,
    names,
    operating_system,
    timekeeping,
    skew,
    pace,
    slurm,
)

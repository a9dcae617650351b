"""The cases, a module for each domain of checks."""

from . import kernel_log, timekeeping

MODULES = (kernel_log, timekeeping)
